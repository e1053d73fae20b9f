"""Too many images that would go at once: none goes, somebody is told, and a person can allow it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of, image_id_of
from tests.unit.steps.leftovers import started
from tests.unit.steps.test_publishing import CANDIDATE, Build
from tests.unit.steps.test_retire_images import review

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import Image, UsageKind
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AccessDeniedError, CleanUpIncompleteError, ThrottledError
from ami_lifecycle.steps.retire_images import within_limit

TOO_MANY = "nothing uses it, but too many images would go at once"


def previous(account: Account, *numbers: int) -> list[Image]:
    """Images that were live before."""
    return [
        account.world.images.add(an_image(number, name=f"{CANDIDATE}{number}", digest=f"sha256:{number}"))
        for number in numbers
    ]


def published(**retirement: Any) -> Build:
    """A build whose candidate is published; with the old canonical image, three previous ones."""
    build = Build(retirement=retirement)
    build.publish()
    previous(build.account, 3, 4)
    return build


def left(build: Build) -> set[str]:
    return set(build.account.world.images.all) & {image_id_of(number) for number in (1, 2, 3, 4)}


def test_so_many_may_go() -> None:
    build = published(max_images=3)
    assert {each.action for each in build.retire().decisions} == {RetireAction.RETIRE}
    assert left(build) == {image_id_of(2)}


def test_of_too_many_none_goes_and_it_is_told_once() -> None:
    build = published(max_images=2)
    before = {name: value for name, value in build.account.world.parameters.all.items() if "history" in name}
    retired = build.retire()
    assert left(build) == {image_id_of(number) for number in (1, 2, 3, 4)}
    assert {
        each.snapshot_ids[0] for each in build.account.world.images.all.values() if each.snapshot_ids
    } <= set(build.account.world.images.snapshots) | {an_image(0).snapshot_ids[0]}
    (blocked,) = retired.blocked
    assert (blocked.resource, blocked.error) == ("retirement of prod", "RetirementLimitError")
    assert "3 images of prod would be retired at once" in blocked.reason
    assert blocked.reason.endswith("ami-lifecycle retire prod --at-most 3")
    assert [each for each in retired.decisions if each.image_id != image_id_of(2)] == [
        Decision(image_id=image_id_of(number), action=RetireAction.KEEP, reason=TOO_MANY)
        for number in (1, 3, 4)
    ]
    assert (retired.adopt_name, retired.adopt_reason) == (
        False,
        f"{image_id_of(1)} still has the name comfyui-multitenant-prod",
    )
    after = {name: value for name, value in build.account.world.parameters.all.items() if "history" in name}
    assert after == before, "history says nothing of what did not happen"


def test_a_person_can_allow_it() -> None:
    build = published(max_images=1)
    request = BuildRequest(environment="prod", action=Action.RETIRE, retire_at_most=3)
    build.plan = build.plan.model_copy(update={"request": request})
    assert not build.retire().blocked
    assert left(build) == {image_id_of(2)}


def test_a_person_who_allows_fewer_is_refused_too() -> None:
    build = published()
    request = BuildRequest(environment="prod", action=Action.RETIRE, retire_at_most=2)
    build.plan = build.plan.model_copy(update={"request": request})
    (blocked,) = build.retire().blocked
    assert "and 2 at most were asked for, so none is" in blocked.reason


def test_images_that_stay_for_their_uses_do_not_count() -> None:
    build = published(max_images=2)
    build.account.world.usage.use(image_id_of(3), UsageKind.FLEET, "fleet-1")
    assert not build.retire().blocked
    assert left(build) == {image_id_of(2), image_id_of(3)}


def test_images_that_stay_for_their_permissions_do_not_count() -> None:
    build = published(max_images=2)
    build.account.world.usage.use(image_id_of(4), UsageKind.LAUNCH_PERMISSION, "111122223333")
    assert not build.retire().blocked
    assert left(build) == {image_id_of(2), image_id_of(4)}


def test_shared_images_are_not_among_those_that_are_too_many() -> None:
    build = published(max_images=1)
    build.account.world.usage.use(image_id_of(1), UsageKind.LAUNCH_PERMISSION, "111122223333")
    (blocked,) = build.retire().blocked
    assert "2 images of prod" in blocked.reason
    assert left(build) == {image_id_of(number) for number in (1, 2, 3, 4)}


def test_who_only_looks_is_told_of_each_image_what_would_become_of_it() -> None:
    decisions = [
        Decision(image_id=image_id_of(number), action=RetireAction.RETIRE, reason="nothing uses it")
        for number in (1, 2)
    ]
    assert within_limit(decisions, [image_id_of(2)]) == [
        decisions[0],
        Decision(image_id=image_id_of(2), action=RetireAction.KEEP, reason=TOO_MANY),
    ]


def test_the_candidate_goes_all_the_same() -> None:
    """Its disks have the canonical name by then."""
    build = published(max_images=1)
    live = build.account.live
    twin = build.account.world.images.add(
        an_image(6, name=f"{CANDIDATE}6", snapshot_ids=live.snapshot_ids, execution="e1")
    )
    retired = build.retire()
    assert [each.image_id for each in retired.decisions if each.action is RetireAction.RETIRE] == [
        twin.image_id
    ]
    assert left(build) == {image_id_of(number) for number in (1, 2, 3, 4)}


def test_no_limit_costs_no_call() -> None:
    calls = {}
    for name, settings in {"off": {}, "on": {"max_images": 9}}.items():
        build = published(**settings)
        before = len(build.account.world.images.called("find"))
        build.retire()
        calls[name] = len(build.account.world.images.called("find")) - before
    assert calls["on"] == calls["off"] + 1


# The sweep.


def in_order(**retirement: Any) -> Account:
    """An environment with three previous images that nothing uses, and nothing else to do."""
    account = Account({"retirement": retirement})
    account.publish(an_image(1, digest=account.push("one")))
    previous(account, 3, 4, 5)
    account.world.executions.end(arn_of("long-ago"), ExecutionStatus.SUCCEEDED)
    for number in (3, 4, 5):
        record(account, number)
    return account


def record(account: Account, number: int) -> None:
    """History knows of an image that was live before."""
    live = account.history(image_id_of(1))
    assert live is not None
    old = live.model_copy(update={"ami_id": image_id_of(number), "status": RecordStatus.SUPERSEDED})
    account.world.parameters.set(f"{account.prefix}/history/{image_id_of(number)}", old.model_dump_json())


def test_the_sweep_starts_no_retirement_of_too_many_and_says_so() -> None:
    account = in_order(max_images=2)
    swept = account.sweeper.sweep()
    assert started(account) == []
    assert swept.blocked == ("retirement of prod",)
    (finding,) = swept.findings
    assert (finding.environment, finding.repaired) == ("prod", False)
    assert finding.finding.endswith("ami-lifecycle retire prod --at-most 3")
    assert account.world.environments.get("prod").held_back == ()
    assert account.sweeper.sweep() == swept


def test_the_sweep_starts_a_retirement_of_so_many() -> None:
    account = in_order(max_images=3)
    swept = account.sweeper.sweep()
    assert [each.action for each in started(account)] == [Action.RETIRE]
    assert swept.blocked == ()


def test_what_does_not_count_is_still_started_for() -> None:
    account = in_order(max_images=2)
    live = account.live
    account.world.images.add(an_image(6, name=f"{CANDIDATE}6", snapshot_ids=live.snapshot_ids))
    record(account, 6)
    swept = account.sweeper.sweep()
    (request,) = started(account)
    assert request.action is Action.RETIRE
    assert swept.blocked == ("retirement of prod",)


def test_the_sweep_reads_permissions_only_until_it_is_certain() -> None:
    account = in_order(max_images=1)
    account.sweeper.sweep()
    assert len(account.world.usage.called("permissions_of")) == 2
    shared = in_order(max_images=2)
    shared.world.usage.use(image_id_of(4), UsageKind.LAUNCH_PERMISSION, "111122223333")
    assert not shared.sweeper.sweep().blocked
    assert [each.action for each in started(shared)] == [Action.RETIRE]


# What was never published.


def orphans(*numbers: int, **retirement: Any) -> Account:
    """Images of ended executions that history knows nothing of."""
    account = Account({"retirement": retirement})
    account.publish(an_image(1, digest=account.push("one")))
    for number in numbers:
        account.world.images.add(
            an_image(
                number,
                name=f"{CANDIDATE}{number}",
                role="candidate",
                execution=f"gone-{number}",
                created=account.world.clock.now(),
            )
        )
        account.world.executions.end(arn_of(f"gone-{number}"), ExecutionStatus.FAILED)
    return account


def gone(account: Account, *numbers: int) -> list[int]:
    return [number for number in numbers if image_id_of(number) not in account.world.images.all]


def test_orphans_beyond_the_limit_stay_until_a_person_allows_it() -> None:
    account = orphans(3, 4, 5, max_images=2)
    swept = account.sweeper.sweep()
    assert gone(account, 3, 4, 5) == []
    assert {f"snap-{0xA0000 + number:017x}" for number in (3, 4, 5)} <= set(account.world.images.snapshots)
    assert swept.blocked == ("retirement of prod",)
    assert (
        "history knows nothing of them: 3 images of prod would be retired at once"
        in swept.findings[0].finding
    )
    decided = review(account)
    assert not decided.limit(3).refused([image_id_of(number) for number in (3, 4, 5)])


def test_so_many_orphans_go() -> None:
    account = orphans(3, 4, max_images=2)
    assert account.sweeper.sweep().blocked == ()
    assert gone(account, 3, 4) == [3, 4]


def test_without_a_limit_all_orphans_go() -> None:
    account = orphans(3, 4, 5)
    assert account.sweeper.sweep().blocked == ()
    assert gone(account, 3, 4, 5) == [3, 4, 5]


def test_what_a_running_build_has_made_is_not_counted() -> None:
    account = orphans(3, 4, max_images=1)
    account.world.executions.statuses[arn_of("gone-4")] = ExecutionStatus.RUNNING
    assert account.sweeper.sweep().blocked == ()
    assert gone(account, 3, 4) == [3]


def test_what_the_holder_of_a_claim_has_made_is_not_counted() -> None:
    account = orphans(3, 4, max_images=1)
    held = account.world.environments.held_by
    account.world.environments.held_by = lambda arn: (  # type: ignore[method-assign]
        [account.world.environments.get("prod")] if arn == arn_of("gone-4") else held(arn)
    )
    assert account.sweeper.sweep().blocked == ()
    assert gone(account, 3, 4) == [3]


def test_one_orphan_asks_for_no_limit() -> None:
    account = orphans(3, max_images=1)
    assert account.sweeper.sweep().blocked == ()
    assert gone(account, 3) == [3]


def test_other_environments_have_their_own_limit() -> None:
    account = orphans(3, 4, max_images=1)
    account.world.images.add(
        an_image(
            6,
            name="comfyui-multitenant-dev.candidate.6",
            environment="dev",
            role="candidate",
            execution="gone-6",
            created=account.world.clock.now(),
        )
    )
    account.world.executions.end(arn_of("gone-6"), ExecutionStatus.FAILED)
    account.sweeper.sweep()
    assert gone(account, 3, 4, 6) == [6]


@pytest.mark.parametrize(
    ("error", "ends"), [(AccessDeniedError("denied"), False), (ThrottledError("slower"), True)]
)
def test_an_unknown_limit_lets_none_of_several_go(
    error: Exception, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = orphans(3, 4, max_images=5)

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("ami_lifecycle.steps.sweep_environments.limit_of", refuse)
    if ends:
        with pytest.raises(CleanUpIncompleteError):
            account.sweeper.sweep()
    else:
        swept = account.sweeper.sweep()
        assert "images that prod has not published" in swept.blocked
    assert gone(account, 3, 4) == []
