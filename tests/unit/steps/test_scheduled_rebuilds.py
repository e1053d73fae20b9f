"""The sweep builds what is live again, for the sake of the base's patches."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fakes import Call, Faulty
from tests.unit.steps.account import LONG_AGO, UBUNTU, Account, an_image, arn_of, catalogue
from tests.unit.steps.execution import converge, run, run_started
from tests.unit.steps.leftovers import a_clean_up, findings, started
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.execution import ClaimStatus, ExecutionStatus, StepInput
from ami_lifecycle.domain.model import TAG_BASE_CREATED, TAG_DIGEST, TAG_IMAGED
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.domain.result import FindingKind
from ami_lifecycle.errors import AccessDeniedError
from ami_lifecycle.steps.claim_environment import claim_environment

AGED = {"rebuild_after_days": 30}


class Calls:
    """What is called, in words."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def before(self, port: Faulty, call: Call) -> None:
        self.texts.append(str(call))

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing is to be seen afterwards."""


def built(**refresh: Any) -> tuple[Account, str]:
    """An account with a published image, and its digest."""
    account = Account(defaults={"refresh": refresh})
    digest = account.push("one")
    run(account, "first")
    account.sweeper.sweep()
    return account, digest


def pass_days(account: Account, days: float) -> None:
    account.world.clock.advance(timedelta(days=days).total_seconds())


def move_base(account: Account) -> str:
    """Canonical publishes another image."""
    newer = account.world.images.all[UBUNTU].model_copy(
        update={"image_id": "ami-0fedcba9876543210", "creation_date": account.world.clock.now()}
    )
    account.world.images.add(newer)
    (name,) = [each for each in account.world.parameters.all if each.startswith("/aws/service/canonical")]
    account.world.parameters.set(name, newer.image_id, "aws:ec2:image")
    return newer.image_id


def scheduled(account: Account) -> list[str]:
    return [request.environment for request in started(account) if request.trigger is Trigger.SCHEDULE]


def test_an_image_that_ages_is_built_again_with_the_same_digest_from_the_base() -> None:
    account, digest = built(**AGED)
    before = account.latest
    pass_days(account, 29)
    converge(account, rounds=2)
    assert scheduled(account) == []
    pass_days(account, 1)
    converge(account, rounds=4)
    assert scheduled(account) == ["prod"]
    assert account.latest != before
    assert account.live.tags[TAG_DIGEST] == digest
    assert (account.metadata.generation, account.metadata.base_ami_id) == (1, UBUNTU)
    assert "a rebuild was due" in account.metadata.reason
    assert "rebuild_after_days is 30" in account.metadata.reason
    assert account.metadata.docker_image.endswith(":prod-latest")
    assert Promises(account.world).leaks() == []


def test_a_base_that_moves_is_followed_once() -> None:
    account, digest = built(follow_base=True)
    pass_days(account, 3)
    converge(account, rounds=2)
    assert scheduled(account) == []
    newer = move_base(account)
    converge(account, rounds=5)
    assert scheduled(account) == ["prod"]
    assert (account.metadata.base_ami_id, account.live.tags[TAG_DIGEST]) == (newer, digest)
    assert "the base of" in account.metadata.reason


def test_no_look_at_the_base_where_nobody_follows_it() -> None:
    account, _ = built(**AGED)
    seen = Calls()
    account.world.watch(seen)
    account.sweeper.sweep()
    assert seen.texts
    assert not [text for text in seen.texts if "canonical" in text]


def test_nothing_starts_while_nobody_can_see_the_base() -> None:
    account, _ = built(**AGED)
    pass_days(account, 31)
    (name,) = [each for each in account.world.parameters.all if each.startswith("/aws/service/canonical")]
    account.world.parameters.delete(name)
    result = account.sweeper.sweep()
    assert started(account) == []
    (finding,) = [each for each in result.findings if "Ubuntu 22.04" in each.finding]
    assert finding.kind is FindingKind.BLOCKED
    account.world.parameters.set(name, UBUNTU, "aws:ec2:image")
    converge(account, rounds=1)
    assert scheduled(account) == ["prod"]


def test_what_failed_in_one_window_takes_its_turn_after_the_others_in_the_next() -> None:
    # The clock starts at noon.
    account = Account(
        defaults={"refresh": AGED | {"window": {"from": "02:00", "to": "05:00"}}, "reconcile_attempts": 9}
    )
    for environment in ("dev", "prod"):
        account.environment = environment
        account.push("one")
        run(account, f"first-{environment}")
    pass_days(account, 31)
    account.verification_fails = True
    converge(account, rounds=24)
    assert scheduled(account) == ["dev", "prod", "dev"]
    converge(account, rounds=24)
    assert scheduled(account)[3:] == ["prod", "dev", "prod"]


def aged_environments(number: int, **refresh: Any) -> Account:
    """An account in which so many environments are to be rebuilt."""
    names = [f"env{index}" for index in range(number)]
    account = Account(defaults={"refresh": AGED | refresh})
    account.catalogue = catalogue(
        environments={name: {} for name in names},
        defaults={"publication": {"grace_period_seconds": 0}, "refresh": AGED | refresh},
    )
    for environment in names:
        account.environment = environment
        account.push("one")
        run(account, f"first-{environment}")
    account.sweeper.sweep()
    pass_days(account, 31)
    return account


@pytest.mark.parametrize("refresh", [{}, {"follow_base": True}])
def test_what_cannot_be_read_of_the_base_is_asked_for_once_for_all_environments(
    refresh: dict[str, Any],
) -> None:
    account = aged_environments(5, **refresh)
    (name,) = [each for each in account.world.parameters.all if each.startswith("/aws/service/canonical")]
    account.world.parameters.delete(name)
    seen = Calls()
    account.world.watch(seen)
    result = account.sweeper.sweep()
    assert len([each for each in findings(result) if "Ubuntu 22.04" in each]) == 5
    assert len([text for text in seen.texts if "canonical" in text]) == 1


def test_past_the_number_of_a_sweep_no_other_environment_is_looked_at_closer() -> None:
    account = aged_environments(5)
    seen = Calls()
    account.world.watch(seen)
    account.sweeper.sweep()
    assert len(scheduled(account)) == 1
    assert len([text for text in seen.texts if "has_digest" in text]) == 1


def test_a_rebuild_that_cannot_be_started_takes_no_place_of_another() -> None:
    account = aged_environments(2)
    account.world.executions.fail("start", AccessDeniedError("denied. Grant it."), times=1)
    account.sweeper.sweep()
    assert scheduled(account) == ["env1"]


def test_the_base_is_read_once_in_a_plan() -> None:
    account, _ = built(follow_base=True)
    move_base(account)
    account.sweeper.sweep()
    (request,) = started(account)
    seen = Calls()
    account.world.watch(seen)
    plan = account.planner.plan_request(request, arn_of("rebuild")).plan
    assert plan.action is Action.BUILD
    assert len([text for text in seen.texts if "canonical" in text]) == 1


def test_what_failed_keeps_its_turn_while_the_base_cannot_be_read() -> None:
    account, _ = built(follow_base=True)
    move_base(account)
    account.verification_fails = True
    converge(account, rounds=1)
    (before,) = account.world.environments.get("prod").held_back
    (name,) = [each for each in account.world.parameters.all if each.startswith("/aws/service/canonical")]
    account.world.parameters.delete(name)
    account.sweeper.sweep()
    assert account.world.environments.get("prod").held_back == (before,)


def test_two_environments_are_rebuilt_one_by_one() -> None:
    account = Account(defaults={"refresh": AGED})
    for environment in ("dev", "prod"):
        account.environment = environment
        account.push("one")
        run(account, f"first-{environment}")
    pass_days(account, 31)
    account.sweeper.sweep()
    assert len(scheduled(account)) == 1
    converge(account, rounds=3)
    assert sorted(scheduled(account)) == ["dev", "prod"]


def test_a_window_that_is_closed_is_waited_for() -> None:
    # The clock starts at noon.
    account, _ = built(**AGED, window={"from": "02:00", "to": "05:00"})
    pass_days(account, 31)
    converge(account, rounds=3)
    assert scheduled(account) == []
    converge(account, rounds=14)
    assert scheduled(account) == ["prod"]


def test_a_pinned_environment_is_not_rebuilt() -> None:
    account, _ = built(**AGED)
    account.world.environments.set_pin(
        "prod", Pin(image_id=account.latest or "", at=account.world.clock.now())
    )
    pass_days(account, 60)
    result = account.sweeper.sweep()
    assert (scheduled(account), result.overdue) == ([], ())
    assert result.image_age_days is not None


def test_a_push_comes_before_a_rebuild_and_makes_it_needless() -> None:
    account, _ = built(**AGED)
    pass_days(account, 31)
    digest = account.push("two")
    converge(account, rounds=4)
    assert [request.trigger for request in started(account)] == [Trigger.RECONCILE]
    assert account.live.tags[TAG_DIGEST] == digest


def test_what_the_sweep_has_asked_for_is_judged_again_by_the_plan() -> None:
    account, _ = built(**AGED)
    pass_days(account, 31)
    account.sweeper.sweep()
    (request,) = started(account)
    run(account, "by-hand", fresh=True)
    live = account.latest
    run_started(account)
    assert account.latest == live
    plan = account.planner.plan_request(request, "arn:aws:states:us-east-1:123456789012:execution:m:x").plan
    assert plan.action is Action.NONE
    assert "no rebuild of" in plan.reasons[0]


def test_a_rebuild_is_not_queued_behind_another_execution() -> None:
    account, _ = built(**AGED)
    pass_days(account, 31)
    account.sweeper.sweep()
    (request,) = started(account)
    step = StepInput(
        plan=account.planner.plan_request(request, arn_of("rebuild")).plan, execution_arn=arn_of("rebuild")
    )
    holder_of(account, "push", digest=account.push("two"))
    world = account.world
    result = claim_environment(step, world.environments, world.executions, world.clock)
    assert result.status is ClaimStatus.ALREADY_BUILDING
    assert "asks again" in result.reason
    assert world.environments.get("prod").queued_request is None


def test_a_rebuild_that_fails_is_tried_so_often_and_no_more() -> None:
    account, _ = built(**AGED)
    before = account.latest
    pass_days(account, 31)
    account.verification_fails = True
    converge(account, rounds=12)
    assert len(scheduled(account)) == 3
    assert account.latest == before
    result = account.sweeper.sweep()
    assert any("a rebuild is due" in each and "has failed 3 times" in each for each in findings(result))
    assert result.overdue == ("prod",), "nothing more happens by itself"


def test_a_rebuild_does_not_start_what_a_person_has_stopped() -> None:
    account, digest = built(**AGED)
    stopped = account.push("two")
    account.sweeper.sweep()
    (request,) = started(account)
    holder_of(account, "stopped", digest=stopped)
    account.world.executions.end(arn_of("stopped"), ExecutionStatus.ABORTED)
    account.build_cleaner.clean_up(a_clean_up("stopped", status="ABORTED"))
    before = account.latest
    pass_days(account, 31)
    converge(account, rounds=6)
    assert [each.trigger for each in started(account)] == [request.trigger, Trigger.SCHEDULE]
    assert account.latest != before
    assert account.live.tags[TAG_DIGEST] == digest
    assert any("stopped by a person" in each for each in findings(account.sweeper.sweep()))


def test_a_rebuild_that_fails_does_not_start_again_what_was_given_up() -> None:
    account, _ = built(**AGED)
    account.push("two")
    account.verification_fails = True
    converge(account, rounds=8)
    assert len(started(account)) == 3
    pass_days(account, 31)
    converge(account, rounds=30)
    triggers = [each.trigger for each in started(account)]
    assert triggers == [Trigger.RECONCILE] * 3 + [Trigger.SCHEDULE] * 3


def test_bases_that_follow_each_other_quickly_do_not_hide_that_none_is_followed() -> None:
    account, digest = built(follow_base=True)
    account.world.repository.remove(digest)
    overdue = []
    for _ in range(4):
        move_base(account)
        for _ in range(4):
            overdue.append(account.sweeper.sweep().overdue)
            pass_days(account, 1)
    assert [each == ("prod",) for each in overdue] == [False] * 9 + [True] * 7


def test_a_base_that_moves_after_a_long_time_is_not_overdue_at_once() -> None:
    account, digest = built(follow_base=True)
    account.world.repository.remove(digest)
    pass_days(account, 90)
    account.sweeper.sweep()
    move_base(account)
    assert account.sweeper.sweep().overdue == ()
    pass_days(account, 7)
    assert account.sweeper.sweep().overdue == ()


def test_what_was_switched_on_or_unpinned_lately_is_not_overdue() -> None:
    account, digest = built()
    account.world.repository.remove(digest)
    switched_off, switched_on = account.catalogue, Account(defaults={"refresh": AGED}).catalogue
    environments = account.world.environments
    pass_days(account, 60)
    pin = Pin(image_id=account.latest or "", at=account.world.clock.now())
    for settings, pinned in (
        (switched_on, None),
        (switched_off, None),
        (switched_on, pin),
        (switched_on, None),
    ):
        account.catalogue = settings
        environments.set_pin("prod", pinned)
        assert account.sweeper.sweep().overdue == ()
        pass_days(account, 7)
        assert account.sweeper.sweep().overdue == ()
    pass_days(account, 2)
    assert account.sweeper.sweep().overdue == ("prod",)


def test_a_rebuild_that_is_published_is_not_due_any_more() -> None:
    account, _ = built(**AGED)
    pass_days(account, 31)
    account.sweeper.sweep()
    assert account.world.environments.get("prod").rebuild_due_since == account.world.clock.now()
    run_started(account)
    account.sweeper.sweep()
    assert account.world.environments.get("prod").rebuild_due_since is None


def test_a_digest_that_is_gone_from_the_repository_is_told() -> None:
    account, digest = built(**AGED)
    pass_days(account, 31)
    account.world.repository.remove(digest)
    result = account.sweeper.sweep()
    assert scheduled(account) == []
    assert any("push it again" in each for each in findings(result))


def test_ages_are_told_where_something_is_rebuilt_by_schedule() -> None:
    account, _ = built(**AGED)
    pass_days(account, 10)
    result = account.sweeper.sweep()
    assert result.image_age_days == pytest.approx(10, abs=0.1)
    assert result.base_age_days is not None
    assert result.base_age_days > 10
    off, _ = built()
    assert off.sweeper.sweep().image_age_days is None


def test_a_name_that_is_adopted_late_does_not_make_an_image_young() -> None:
    account, _ = built(**AGED)
    pass_days(account, 10)
    live, now = account.live, account.world.clock.now()
    assert live.name == an_image(1).name
    assert TAG_BASE_CREATED in live.tags
    assert live.tags[TAG_IMAGED] < (live.creation_date or LONG_AGO).isoformat()
    account.world.images.add(live.model_copy(update={"creation_date": now}))
    since = now - datetime.fromisoformat(live.tags[TAG_IMAGED])
    assert account.sweeper.sweep().image_age_days == pytest.approx(since / timedelta(days=1), abs=0.01)
    assert since > timedelta(days=10)
