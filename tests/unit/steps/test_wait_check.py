"""One look at what a task waits for: done, pending, or never, and then why and what to do."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import facts
from tests.unit.steps.test_instances_and_waits import (
    DIGEST,
    IMAGE,
    INSTANCE,
    TOKEN,
    Build,
    a_command,
    an_image_in,
)

from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.domain.execution import WaitKind
from ami_lifecycle.domain.model import Image, ImageState, InstanceState
from ami_lifecycle.errors import (
    BuilderLostError,
    CommandUndeliveredError,
    DocumentInterruptedError,
    ImageCreationFailedError,
    ProvisioningFailedError,
    VerificationFailedError,
)
from ami_lifecycle.steps.wait_check import parse_facts

COMMANDS = pytest.mark.parametrize(
    ("kind", "document", "error"),
    [
        (WaitKind.PROVISIONING, "provisioning", ProvisioningFailedError),
        (WaitKind.VERIFICATION, "verification", VerificationFailedError),
    ],
)


@pytest.fixture
def build() -> Build:
    return Build()


def test_an_agent_is_there_or_not(build: Build) -> None:
    build.an_instance()
    assert not build.await_(WaitKind.AGENT).is_done
    build.account.world.commands.bring_online(INSTANCE)
    found = build.await_(WaitKind.AGENT)
    assert (found.is_done, found.output) == (True, {})


@pytest.mark.parametrize("state", [InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.PENDING])
def test_an_instance_that_has_not_stopped_is_waited_for(build: Build, state: InstanceState) -> None:
    build.an_instance(state)
    assert not build.await_(WaitKind.STOPPED).is_done


def test_an_instance_that_is_not_shown_is_waited_for(build: Build) -> None:
    assert not build.await_(WaitKind.STOPPED).is_done


def test_a_failed_image_is_told_with_its_reason(build: Build) -> None:
    build.account.world.images.add(an_image_in(ImageState.FAILED))
    with pytest.raises(ImageCreationFailedError) as raised:
        build.await_(WaitKind.IMAGE, IMAGE)
    assert str(raised.value) == (
        f"image {IMAGE} is failed: Client.InternalError. Look at the snapshot's state and the quotas of EBS, and build "
        "again"
    )


def test_a_failed_image_without_a_reason_is_told_as_well(build: Build) -> None:
    build.account.world.images.add(Image(image_id=IMAGE, name="x", state=ImageState.INVALID))
    with pytest.raises(ImageCreationFailedError, match=rf"^image {IMAGE} is invalid\. Look at"):
        build.await_(WaitKind.IMAGE, IMAGE)


@COMMANDS
def test_a_command_that_never_began_is_sent_again(
    build: Build, kind: WaitKind, document: str, error: type[Exception]
) -> None:
    undelivered = CommandResult(status=CommandStatus.UNDELIVERED, status_details="Undeliverable")
    command = a_command(build, undelivered)
    build.an_instance()
    with pytest.raises(CommandUndeliveredError) as raised:
        build.await_(kind, command, instance_id=INSTANCE)
    assert str(raised.value) == (
        f"the {document} command {command} never began on {INSTANCE} (Undeliverable); it is sent again"
    )
    build.instances.set_state(INSTANCE, InstanceState.TERMINATED)
    with pytest.raises(BuilderLostError):
        build.await_(kind, command, instance_id=INSTANCE)


@COMMANDS
@pytest.mark.parametrize(
    ("result", "told"),
    [
        (
            CommandResult(
                status=CommandStatus.FAILED, status_details="Failed", exit_code=3, stderr=" no space \n"
            ),
            "Failed (exit code 3): no space",
        ),
        (
            CommandResult(status=CommandStatus.TIMED_OUT, stderr="  "),
            "timed out: it wrote nothing to standard error",
        ),
        (
            CommandResult(status=CommandStatus.FAILED, exit_code=3, stderr="x" * 2_401),
            f"failed (exit code 3): {'x' * 2_400}",
        ),
    ],
)
def test_a_command_that_failed_is_told_with_its_words(
    build: Build, kind: WaitKind, document: str, error: type[Exception], result: CommandResult, told: str
) -> None:
    command = a_command(build, result)
    with pytest.raises(error) as raised:
        build.await_(kind, command, instance_id=INSTANCE)
    assert type(raised.value) is error
    assert str(raised.value) == (
        f"the {document} command {command} on {INSTANCE} is {told}. Correct what it says and push again; the whole "
        "output is in the command log group"
    )


@COMMANDS
def test_a_command_that_others_ended_is_no_fault_of_the_image(
    build: Build, kind: WaitKind, document: str, error: type[Exception]
) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.FAILED, exit_code=16))
    with pytest.raises(
        DocumentInterruptedError, match=rf"^the {document} command {command} on {INSTANCE} is failed"
    ):
        build.await_(kind, command, instance_id=INSTANCE)


@COMMANDS
def test_a_command_that_succeeds_without_facts_is_told_with_the_problem(
    build: Build, kind: WaitKind, document: str, error: type[Exception]
) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.SUCCESS, stdout=""))
    with pytest.raises(error) as raised:
        build.await_(kind, command, instance_id=INSTANCE)
    assert str(raised.value) == (
        f"the {document} command {command} on {INSTANCE} succeeded without saying what it did: the output is empty. "
        "The document and the functions are of different versions; deploy the stack again"
    )


def test_the_facts_are_the_tasks_output_without_what_was_not_said(build: Build) -> None:
    stdout = facts("verify", DIGEST, boot_to_healthy_seconds=12.5)
    command = a_command(build, CommandResult(status=CommandStatus.SUCCESS, stdout=stdout))
    found = build.await_(WaitKind.VERIFICATION, command, instance_id=INSTANCE)
    assert found.is_done
    assert build.account.world.executions.successes[TOKEN] == {
        "kind": "verify",
        "image_digest": DIGEST,
        "image_labels": {},
        "os": {},
        "boot_to_healthy_seconds": 12.5,
    }


@pytest.mark.parametrize("kind", [WaitKind.PROVISIONING, WaitKind.VERIFICATION])
def test_a_command_that_is_not_shown_or_runs_is_waited_for(build: Build, kind: WaitKind) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.RUNNING))
    build.an_instance()
    assert not build.await_(kind, command, instance_id=INSTANCE).is_done
    build.account.world.commands.invisible.add(command)
    assert not build.await_(kind, command, instance_id=INSTANCE).is_done


@pytest.mark.parametrize(
    ("stdout", "problem"),
    [
        (" \n", "the output is empty"),
        ("a\nb c\n", "the last line is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ('{"kind": "provision"}', "image_digest: Field required"),
    ],
)
def test_an_output_without_facts_is_told_what_is_wrong_with_it(stdout: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_facts(stdout)
    assert str(raised.value) == problem
