"""Claims under every interleaving: one holder, nothing lost, nobody writes after the claim is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.fakes import Call, FakeEnvironments, Faulty
from tests.unit.steps.account import MACHINE, Account, an_image, arn_of
from tests.unit.steps.execution import Execution
from tests.unit.steps.interleaving import schedules
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.execution import ClaimResult, ClaimStatus, ExecutionStatus, Published, StepInput
from ami_lifecycle.domain.model import TAG_DIGEST
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.domain.result import CleanUpResult, ReleaseResult
from ami_lifecycle.errors import ClaimBusyError, ClaimContendedError, ClaimLostError
from ami_lifecycle.steps.claim_environment import claim_environment
from ami_lifecycle.steps.clean_up_build import CleanUpInput
from ami_lifecycle.steps.plan_build import PlanInput
from ami_lifecycle.steps.publish_image import PublishInput
from ami_lifecycle.steps.release_environment import ReleaseInput, Releaser

MANY = 25
LOOKS = 20


def claimant(account: Account, name: str, request: BuildRequest) -> Callable[[], ClaimResult | str]:
    """Plans and claims, as often as the state machine does."""
    world = account.world
    world.executions.statuses[arn_of(name)] = ExecutionStatus.RUNNING

    def claim() -> ClaimResult | str:
        for _ in range(LOOKS):
            plan_input = PlanInput(
                request=request.model_dump(mode="json", exclude_none=True),
                execution_arn=arn_of(name),
                execution_name=name,
            )
            plan = account.planner.plan(plan_input).plan
            if plan.action is Action.NONE:
                return plan.reasons[0]
            result = claimed(account, StepInput(plan=plan, execution_arn=arn_of(name)))
            if result.status is not ClaimStatus.OUTDATED:
                return result
        raise AssertionError("the plan is outdated again and again")

    return claim


def claimed(account: Account, step: StepInput) -> ClaimResult:
    world = account.world
    for _ in range(LOOKS):
        try:
            return claim_environment(step, world.environments, world.executions, world.clock)
        except ClaimContendedError:
            continue
        except ClaimBusyError:
            world.clock.advance(30)
    raise AssertionError("the claim is contended again and again")


def holder_of(account: Account, name: str, digest: str | None = None) -> Claim:
    """Let an execution hold the environment."""
    now = account.world.clock.now()
    record = account.world.environments.get("prod")
    claim = Claim(
        execution_arn=arn_of(name),
        number=record.fencing + 1,
        action=Action.BUILD,
        digest=digest,
        claimed_at=now,
        lease_until=now + timedelta(hours=30),
    )
    assert account.world.environments.claim("prod", claim)
    account.world.executions.statuses[arn_of(name)] = ExecutionStatus.RUNNING
    return claim


def a_push() -> BuildRequest:
    return BuildRequest(environment="prod")


def build_of(digest: str) -> BuildRequest:
    return BuildRequest(environment="prod", image_digest=digest)


def statuses(results: list[object]) -> list[str]:
    return sorted(result.status for result in results if isinstance(result, ClaimResult))


def planned(account: Account, name: str) -> StepInput:
    """A plan of what the environment's tag names now, not carried out yet."""
    plan = account.planner.plan_request(a_push(), arn_of(name)).plan
    assert plan.action is Action.BUILD
    return StepInput(plan=plan, execution_arn=arn_of(name))


@pytest.mark.parametrize("meanwhile", ["claimed and released", "claimed, released, and claimed again"])
def test_a_plan_made_before_others_claimed_the_environment_is_outdated(meanwhile: str) -> None:
    account = Account()
    account.push("old")
    stale = planned(account, "slow")
    for _ in range(meanwhile.count("claimed")):
        other = holder_of(account, "other")
        assert account.world.environments.release("prod", other, revision=0)
    before = account.world.environments.get("prod")
    result = claimed(account, stale)
    assert result.status is ClaimStatus.OUTDATED
    assert result.number == before.fencing
    assert "has changed since the plan was made" in result.reason
    assert account.world.environments.get("prod") == before, "nothing is claimed by a plan that is not true"
    assert claimed(account, planned(account, "slow")).status is ClaimStatus.CLAIMED


def test_a_plan_is_outdated_by_the_removal_of_a_claim_whose_holder_has_ended() -> None:
    account = Account()
    account.push("old")
    holder_of(account, "dead")
    stale = planned(account, "slow")
    account.world.executions.end(arn_of("dead"), ExecutionStatus.ABORTED)
    assert claimed(account, stale).status is ClaimStatus.OUTDATED
    assert claimed(account, stale).status is ClaimStatus.OUTDATED, "the removal has changed the environment"


class BetweenPlanAndClaim:
    """Does something when an execution comes to its claim with the plan that it has made."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act
        self._has_planned = False

    def before(self, port: Faulty, call: Call) -> None:
        """The claim begins with reading the environment's record, as the plan does."""
        if call.method != "get" or not isinstance(port, FakeEnvironments):
            return
        if self._has_planned and self._act is not None:
            act, self._act = self._act, None
            act()
        self._has_planned = True

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing more."""


def test_a_stale_plan_never_builds_an_old_digest_after_a_new_one() -> None:
    account = Account()
    old = account.push("old")
    newer: list[str] = []

    def publish_the_newest() -> None:
        newer.append(account.push("new"))
        assert Execution(account, "fast").run(a_push()).outcome == "published"

    account.world.environments.hooks.append(BetweenPlanAndClaim(publish_the_newest))
    slow = Execution(account, "slow")
    assert slow.run(a_push()).outcome == "nothing"
    assert [name for name in slow.visited if not name.endswith("?")] == [
        "Plan Build",
        "Claim Environment",
        "Plan Build",
        "Nothing To Do",
    ]
    assert old not in newer
    assert account.metadata.image_digest == newer[0]
    assert {image.tags[TAG_DIGEST] for image in account.own_images()} == {newer[0]}


def test_of_two_duplicate_pushes_one_builds_and_the_other_ends() -> None:
    runs = 0
    for schedule in schedules(preemptions=3):
        account = Account()
        account.push("one")
        schedule.hold(account.world.environments, account.world.executions)
        results = schedule.run(claimant(account, "a", a_push()), claimant(account, "b", a_push()))
        assert statuses(results) == ["already_building", "claimed"], schedule.choices
        assert account.world.environments.get("prod").queued_request is None
        runs += 1
    assert runs > MANY


def test_of_three_different_builds_one_is_claimed_and_one_is_wanted() -> None:
    runs = 0
    for schedule in schedules(preemptions=2):
        account = Account()
        digests = [account.push(content) for content in ("one", "two", "three")]
        schedule.hold(account.world.environments, account.world.executions)
        results = schedule.run(*(claimant(account, digest[-4:], build_of(digest)) for digest in digests))
        assert statuses(results) == ["claimed", "queued", "queued"], schedule.choices
        record = account.world.environments.get("prod")
        assert record.claim is not None
        assert record.queued_request is not None
        assert record.queued_request.image_digest in set(digests) - {record.claim.digest}
        runs += 1
    assert runs > MANY


def releaser(account: Account, claim: Claim) -> Callable[[], ReleaseResult]:
    """The last step of the holder, repeated as the state machine does."""
    world = account.world
    name = claim.execution_arn.rsplit(":", 1)[1]
    plan = account.planner.plan_request(a_push(), claim.execution_arn).plan
    step = ReleaseInput(
        plan=plan,
        execution_arn=arn_of(name),
        claim_number=claim.number,
        state_machine_arn=MACHINE,
    )

    def release() -> ReleaseResult:
        last = Releaser(world.instances, world.environments, world.executions, world.notifier, world.clock)
        for _ in range(LOOKS):
            try:
                result = last.release(step)
            except ClaimContendedError:
                continue
            world.executions.end(claim.execution_arn, ExecutionStatus.SUCCEEDED)
            return result
        raise AssertionError("the release is contended again and again")

    return release


def test_a_push_that_comes_while_the_holder_releases_is_claimed_or_started_by_the_holder() -> None:
    seen = set()
    for schedule in schedules(preemptions=3):
        account = Account()
        old = account.push("one")
        claim = holder_of(account, "holder", digest=old)
        release = releaser(account, claim)
        account.push("two")
        schedule.hold(account.world.environments, account.world.executions)
        _, result = schedule.run(release, claimant(account, "new", a_push()))
        assert isinstance(result, ClaimResult), result
        started = account.world.executions.started
        record = account.world.environments.get("prod")
        if result.status is ClaimStatus.QUEUED:
            assert len(started) == 1, schedule.choices
            assert record.claim is None
        else:
            assert result.status is ClaimStatus.CLAIMED
            assert started == []
            assert record.is_held_by(arn_of("new"), result.number)
        assert record.queued_request is None
        seen.add(result.status)
    assert seen == {ClaimStatus.QUEUED, ClaimStatus.CLAIMED}


def orphan_remover(account: Account, name: str) -> Callable[[], CleanUpResult]:
    def clean() -> CleanUpResult:
        step = CleanUpInput(execution_arn=arn_of(name), state_machine_arn=MACHINE, status="ABORTED")
        for _ in range(LOOKS):
            try:
                return account.build_cleaner.clean_up(step)
            except ClaimContendedError:
                continue
        raise AssertionError("the clean-up is contended again and again")

    return clean


def test_a_dead_claim_is_taken_over_by_exactly_one() -> None:
    runs = 0
    for schedule in schedules(preemptions=2):
        account = Account()
        account.push("one")
        holder_of(account, "dead", digest=account.push("zero", "dev"))
        account.world.executions.end(arn_of("dead"))
        schedule.hold(account.world.environments, account.world.executions)
        *claims, cleaned = schedule.run(
            claimant(account, "a", a_push()),
            claimant(account, "b", a_push()),
            orphan_remover(account, "dead"),
        )
        assert statuses(claims) == ["already_building", "claimed"], schedule.choices
        assert isinstance(cleaned, CleanUpResult), cleaned
        record = account.world.environments.get("prod")
        assert record.claim is not None
        assert record.claim.execution_arn in {arn_of("a"), arn_of("b")}
        runs += 1
    assert runs > MANY


def a_function_that_publishes(account: Account, claim: Claim) -> Callable[[], Published]:
    image = account.world.images.add(
        an_image(7, name="comfyui-multitenant-prod.candidate.x", digest=claim.digest, execution="zombie")
    )
    account.record(image)
    plan = account.planner.plan_request(a_push(), claim.execution_arn).plan
    step = PublishInput(
        plan=plan, execution_arn=claim.execution_arn, claim_number=claim.number, image_id=image.image_id
    )
    return lambda: Execution(account, "zombie").publisher(step).publish()


def test_a_function_of_an_aborted_execution_writes_before_the_clean_up_or_not_at_all() -> None:
    seen: set[tuple[type, type]] = set()
    for schedule in schedules(preemptions=2):
        account = Account()
        account.publish(an_image(1, digest="sha256:" + "0" * 64))
        claim = holder_of(account, "zombie", digest=account.push("one"))
        publish = a_function_that_publishes(account, claim)
        account.world.executions.end(arn_of("zombie"))
        promises = Promises(account.world)
        schedule.hold(account.world.environments, account.world.parameters, account.world.images)

        def clean(account: Account = account) -> CleanUpResult:
            return orphan_remover(account, "zombie")()

        published, cleaned = schedule.run(publish, clean)
        seen.add((type(published), type(cleaned)))
        assert promises.broken == [], schedule.choices
        if isinstance(published, ClaimLostError):
            assert isinstance(cleaned, CleanUpResult)
            assert account.latest == an_image(1).image_id
            assert account.metadata.ami_id == an_image(1).image_id
            assert an_image(7).image_id not in account.world.images.all
    # Whoever cleans up in the midst of the writing is told to come back.
    assert seen == {
        (Published, CleanUpResult),
        (Published, ClaimBusyError),
        (ClaimLostError, CleanUpResult),
    }
