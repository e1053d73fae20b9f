"""One execution at a time changes what an environment publishes; each answer says who holds it and what follows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, arn_of

from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.execution import ClaimResult, ClaimStatus, ExecutionStatus, StepInput
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import ClaimBusyError, ClaimContendedError
from ami_lifecycle.steps.claim_environment import claim_environment

HOLDER, MINE = arn_of("holder"), arn_of("e1")
OTHER_DIGEST = "sha256:" + "cd" * 32
OLD_IMAGE = "ami-00000000000000001"


def planned(account: Account, **changes: Any) -> StepInput:
    plan = account.planner.plan_request(BuildRequest(environment="prod"), MINE).plan
    return StepInput(plan=plan.model_copy(update=changes), execution_arn=MINE)


def claimed(account: Account, step: StepInput) -> ClaimResult:
    world = account.world
    return claim_environment(step, world.environments, world.executions, world.clock)


def held(account: Account, **changes: Any) -> Claim:
    """Let another execution hold the environment, which runs."""
    now = account.world.clock.now()
    values = {"execution_arn": HOLDER, "number": 1, "action": Action.BUILD}
    values |= {"claimed_at": now, "lease_until": now + timedelta(hours=30)}
    claim = Claim.model_validate(values | changes)
    assert account.world.environments.claim("prod", claim)
    account.world.executions.statuses[HOLDER] = ExecutionStatus.RUNNING
    return claim


@pytest.fixture
def step(account: Account) -> StepInput:
    account.push("two")
    return planned(account)


def test_a_free_environment_is_claimed_for_as_long_as_an_execution_can_run(
    account: Account, step: StepInput
) -> None:
    assert claimed(account, step) == ClaimResult(
        status=ClaimStatus.CLAIMED, number=1, reason="the environment was free"
    )
    now = account.world.clock.now()
    assert account.world.environments.get("prod").claim == Claim(
        execution_arn=MINE,
        number=1,
        action=Action.BUILD,
        digest=step.plan.image.digest,
        base_image_id=account.latest,
        claimed_at=now,
        lease_until=now + timedelta(hours=30),
    )


def test_a_fresh_build_names_no_base_of_the_environment(account: Account) -> None:
    account.push("two")
    plan = account.planner.plan_request(BuildRequest(environment="prod", fresh=True), MINE).plan
    claimed(account, StepInput(plan=plan, execution_arn=MINE))
    claim = account.world.environments.get("prod").claim
    assert claim is not None
    assert (claim.base_image_id, plan.base is None) == (None, False)


def test_what_builds_nothing_claims_without_a_digest(account: Account, step: StepInput) -> None:
    retires = step.plan.model_copy(update={"action": Action.RETIRE, "source": None, "base": None})
    assert claimed(account, StepInput(plan=retires, execution_arn=MINE)).status is ClaimStatus.CLAIMED
    claim = account.world.environments.get("prod").claim
    assert claim is not None
    assert (claim.action, claim.digest, claim.base_image_id) == (Action.RETIRE, None, None)


def test_a_plan_of_before_is_made_anew(account: Account, step: StepInput) -> None:
    claim = held(account)
    account.world.environments.release("prod", claim, revision=0)
    assert claimed(account, step) == ClaimResult(
        status=ClaimStatus.OUTDATED, number=2, reason="prod has changed since the plan was made"
    )


def test_of_two_that_claim_at_once_one_looks_again(account: Account, step: StepInput) -> None:
    claim = held(account)
    account.world.environments.records.clear()

    class Overtaken:
        """Another execution claims between the look and the write."""

        def before(self, _: object, call: Any) -> None:
            if call.method == "claim":
                account.world.environments.hooks.clear()
                assert account.world.environments.claim("prod", claim)

        def after(self, _: object, call: Any) -> None:
            """Nothing more."""

    account.world.environments.hooks.append(Overtaken())
    with pytest.raises(
        ClaimContendedError, match=r"^another execution claims prod at this moment; look again$"
    ):
        claimed(account, step)


def test_a_repeated_claim_is_the_same_claim(account: Account, step: StepInput) -> None:
    claimed(account, step)
    assert claimed(account, step) == ClaimResult(
        status=ClaimStatus.CLAIMED, number=1, reason="claimed before"
    )


# A holder that has ended.


def test_the_claim_of_an_ended_execution_is_taken_away_and_the_plan_made_anew(
    account: Account, step: StepInput
) -> None:
    held(account)
    account.world.executions.end(HOLDER)
    assert claimed(account, step) == ClaimResult(
        status=ClaimStatus.OUTDATED,
        number=1,
        reason=f"the claim of {HOLDER}, which has ended, is removed; plan anew",
    )
    assert account.world.environments.get("prod").claim is None


@pytest.mark.parametrize(("seconds", "busy"), [(-1, True), (0, False), (1, False)])
def test_a_function_of_an_ended_execution_is_waited_for(
    account: Account, step: StepInput, seconds: int, busy: bool
) -> None:
    clock = account.world.clock
    until = clock.now() - timedelta(seconds=seconds)
    held(account, busy_until=until)
    account.world.executions.end(HOLDER)
    if busy:
        with pytest.raises(ClaimBusyError) as raised:
            claimed(account, step)
        assert str(raised.value) == (
            f"prod was held by {HOLDER}, which has ended; a function of it may write until {until:%H:%M:%S} UTC, so "
            "the claim is taken over then"
        )
    else:
        assert claimed(account, step).status is ClaimStatus.OUTDATED


def test_a_request_that_is_queued_at_the_same_moment_is_not_lost(account: Account, step: StepInput) -> None:
    held(account)
    account.world.executions.end(HOLDER)
    account.world.environments.release = lambda *_, **__: False  # type: ignore[method-assign]
    with pytest.raises(ClaimContendedError, match=r"^the claim of prod changes at this moment; look again$"):
        claimed(account, step)


@pytest.mark.parametrize(("seconds", "ended"), [(0, False), (1, True)])
def test_an_execution_that_is_not_known_holds_until_its_lease_is_over(
    account: Account, step: StepInput, seconds: int, ended: bool
) -> None:
    held(account, lease_until=account.world.clock.now() - timedelta(seconds=seconds))
    del account.world.executions.statuses[HOLDER]
    assert claimed(account, step).status is (ClaimStatus.OUTDATED if ended else ClaimStatus.QUEUED)


# A holder that runs.


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, "is queued"),
        ({"request": BuildRequest(environment="prod", fresh=True)}, "is queued"),
        ({"request": BuildRequest(environment="prod", force=True)}, "is queued"),
        ({"action": Action.RETIRE}, "does itself"),
        (
            {
                "action": Action.PUBLISH,
                "request": BuildRequest(
                    environment="prod",
                    action=Action.PUBLISH,
                    publish_image_id=OLD_IMAGE,
                    trigger=Trigger.RECONCILE,
                ),
            },
            "does itself",
        ),
        ({"request": BuildRequest(environment="prod", trigger=Trigger.RECONCILE)}, "is queued"),
        (
            {
                "action": Action.PUBLISH,
                "request": BuildRequest(
                    environment="prod", action=Action.PUBLISH, publish_image_id=OLD_IMAGE
                ),
            },
            "is queued",
        ),
    ],
)
def test_what_the_holder_does_itself_ends_and_the_rest_waits(
    account: Account, step: StepInput, changes: dict[str, Any], holds: str
) -> None:
    held(account, digest=OTHER_DIGEST)
    mine = StepInput(plan=step.plan.model_copy(update=changes), execution_arn=MINE)
    expected = {
        "is queued": ClaimResult(
            status=ClaimStatus.QUEUED,
            number=1,
            reason=f"{HOLDER} holds the environment and starts this when it is done",
        ),
        "does itself": ClaimResult(
            status=ClaimStatus.ALREADY_BUILDING,
            number=1,
            reason=f"{HOLDER} holds the environment and does this itself",
        ),
    }
    assert claimed(account, mine) == expected[holds]
    assert (account.world.environments.get("prod").queued_request is not None) is (holds == "is queued")


@pytest.mark.parametrize(
    ("request_", "holder", "ends"),
    [
        ({}, {}, True),
        ({"fresh": True}, {}, False),
        ({"force": True}, {}, False),
        ({}, {"digest": OTHER_DIGEST}, False),
        ({}, {"digest": None}, False),
        ({}, {"action": Action.PUBLISH}, False),
    ],
)
def test_a_digest_that_the_holder_builds_is_not_built_again(
    account: Account, step: StepInput, request_: dict[str, bool], holder: dict[str, Any], ends: bool
) -> None:
    held(account, **{"digest": step.plan.image.digest} | holder)
    request = BuildRequest(environment="prod", **request_)
    mine = StepInput(plan=step.plan.model_copy(update={"request": request}), execution_arn=MINE)
    found = claimed(account, mine)
    assert found.status is (ClaimStatus.ALREADY_BUILDING if ends else ClaimStatus.QUEUED)
    if ends:
        assert found.reason == f"{HOLDER} builds this digest at this moment"


@pytest.mark.parametrize(
    ("trigger", "waits_as"),
    [
        (Trigger.PUSH, Trigger.QUEUED),
        (Trigger.MANUAL, Trigger.QUEUED),
        (Trigger.ROLLBACK, Trigger.ROLLBACK),
    ],
)
def test_what_waits_is_known_as_queued_but_a_rollback_stays_one(
    account: Account, step: StepInput, trigger: Trigger, waits_as: Trigger
) -> None:
    held(account)
    request = BuildRequest(environment="prod", trigger=trigger, branch="main")
    claimed(account, StepInput(plan=step.plan.model_copy(update={"request": request}), execution_arn=MINE))
    assert account.world.environments.get("prod").queued_request == request.model_copy(
        update={"trigger": waits_as}
    )


def test_what_waits_already_is_not_forgotten(account: Account, step: StepInput) -> None:
    claim = held(account)
    waiting = BuildRequest(environment="prod", fresh=True)
    assert account.world.environments.queue("prod", waiting, behind=claim, revision=0)
    claimed(account, step)
    wanted = account.world.environments.get("prod").queued_request
    assert wanted is not None
    assert wanted.fresh


def test_a_plan_without_a_request_waits_as_a_build_of_the_environment(
    account: Account, step: StepInput
) -> None:
    held(account)
    plan: BuildPlan = step.plan.model_copy(update={"request": None})
    assert claimed(account, StepInput(plan=plan, execution_arn=MINE)).status is ClaimStatus.QUEUED
    wanted = account.world.environments.get("prod").queued_request
    assert wanted == BuildRequest(environment="prod", trigger=Trigger.QUEUED)


def test_who_would_wait_behind_a_holder_that_ends_at_the_same_moment_looks_again(
    account: Account, step: StepInput
) -> None:
    held(account)
    account.world.environments.queue = lambda *_, **__: False  # type: ignore[method-assign]
    with pytest.raises(ClaimContendedError, match=r"^the claim of prod changes at this moment; look again$"):
        claimed(account, step)


def test_what_builds_no_digest_waits_behind_a_build(account: Account, step: StepInput) -> None:
    held(account, digest=None)
    mine = StepInput(plan=step.plan.model_copy(update={"source": None}), execution_arn=MINE)
    assert claimed(account, mine).status is ClaimStatus.QUEUED
