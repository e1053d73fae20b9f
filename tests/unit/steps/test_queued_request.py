"""The request that waits for an environment is started once, and then forgotten."""

from __future__ import annotations

from tests.unit.steps.account import MACHINE, Account
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.steps.queued_request import start_queued_request

WANTED = BuildRequest(environment="prod", fresh=True)


def start(account: Account) -> str | None:
    world = account.world
    return start_queued_request(world.environments.get("prod"), world.environments, world.executions, MACHINE)


def test_it_is_started_under_a_name_of_its_own_and_forgotten(account: Account) -> None:
    world = account.world
    world.environments.set(EnvironmentRecord(environment="prod", queued_request=WANTED, revision=7))
    name = execution_name("prod", "queued", "7", WANTED.model_dump_json(exclude_none=True))
    assert start(account) == f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
    assert [(each.name, each.request) for each in world.executions.started] == [(name, WANTED)]
    assert (world.environments.get("prod").queued_request, start(account)) == (None, None)


def test_one_that_came_since_is_not_forgotten(account: Account) -> None:
    world = account.world
    seen = EnvironmentRecord(environment="prod", queued_request=WANTED, revision=7)
    world.environments.set(seen.model_copy(update={"revision": 8}))
    start_queued_request(seen, world.environments, world.executions, MACHINE)
    assert world.environments.get("prod").queued_request == WANTED


def test_it_waits_while_somebody_holds_the_environment(account: Account) -> None:
    claim = holder_of(account, "holder")
    assert account.world.environments.queue("prod", WANTED, behind=claim, revision=0)
    assert start(account) is None
    assert account.world.executions.started == []
    assert account.world.environments.get("prod").queued_request == WANTED
