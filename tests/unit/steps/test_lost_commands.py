"""A Run Command that never began is sent again; one that did begin is never doubled."""

from __future__ import annotations

import pytest
from tests.fakes import SentCommand
from tests.unit.steps.account import Account
from tests.unit.steps.execution import run
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.domain.model import TAG_DIGEST, InstanceState
from ami_lifecycle.errors import ServiceUnavailableError
from ami_lifecycle.steps.document_runner import MOST_COMMANDS

LOST = CommandResult(status=CommandStatus.UNDELIVERED, status_details="DeliveryTimedOut")


def lose(account: Account, purpose: str, times: int) -> list[SentCommand]:
    """Let the first commands of a purpose never reach their instance."""
    lost: list[SentCommand] = []

    def answer(command: SentCommand) -> CommandResult:
        if f" {purpose} " in command.comment and len(lost) < times:
            lost.append(command)
            return LOST
        return account._answer(command)

    account.world.commands.answer = answer
    return lost


@pytest.mark.parametrize("purpose", ["provision", "verify"])
@pytest.mark.parametrize("times", [1, 2, MOST_COMMANDS - 1])
def test_a_command_that_never_began_is_sent_again_in_the_same_execution(
    account: Account, purpose: str, times: int
) -> None:
    digest = account.push("two")
    lost = lose(account, purpose, times)
    assert run(account).outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    sent = [command for command in account.world.commands.sent if f" {purpose} " in command.comment]
    assert len(sent) == times + 1
    assert len(lost) == times
    assert len({command.comment for command in sent}) == times + 1
    assert len({command.instance_id for command in sent}) == 1


@pytest.mark.parametrize("purpose", ["provision", "verify"])
def test_commands_that_never_begin_end_the_build_by_name(account: Account, purpose: str) -> None:
    account.push("two")
    lost = lose(account, purpose, 1_000)
    promises = Promises(account.world)
    ended = run(account)
    assert ended.error == "CommandUndeliveredError"
    assert len(lost) == MOST_COMMANDS
    assert promises.broken == []
    failed = account.world.environments.get("prod").failed
    assert failed is not None
    assert failed.count == 0


@pytest.mark.parametrize("skip", [0, 1])
def test_an_answer_that_was_lost_doubles_no_command(account: Account, skip: int) -> None:
    account.push("two")
    lose(account, "provision", 1)
    account.world.commands.fail("send", ServiceUnavailableError("no answer"), after=True, skip=skip)
    assert run(account).outcome == "published"
    assert len([command for command in account.world.commands.sent if " provision " in command.comment]) == 2


def test_a_command_that_failed_on_the_instance_is_not_sent_again(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    assert run(account).error == "VerificationFailedError"
    assert len([command for command in account.world.commands.sent if " verify " in command.comment]) == 1


def test_a_command_to_an_instance_that_has_ended_is_the_loss_of_the_instance(account: Account) -> None:
    account.push("two")

    def answer(command: SentCommand) -> CommandResult:
        account.world.instances.set_state(command.instance_id, InstanceState.TERMINATED, "stopped by hand")
        return LOST

    account.world.commands.answer = answer
    assert run(account).error == "BuilderLostError"
