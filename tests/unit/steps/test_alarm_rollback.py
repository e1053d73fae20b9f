"""An alarm has a publication undone: within its soak, once, and never to and fro."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.steps.account import Account
from tests.unit.steps.execution import Ended, Execution, converge, run, run_started

from ami_lifecycle.domain.decision import Decision
from ami_lifecycle.domain.environment import Claim, Pin
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import ImageState
from ami_lifecycle.domain.outcomes import ImagePublished, RollbackPerformed
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.steps.retire_images import RetirementReview

EVENT = json.loads((Path(__file__).parents[3] / "events" / "alarm_raised.json").read_text())
NAME = "prod-comfyui-errors"
WATCHED = {"rollback_on_alarm": {"alarms": "{environment}-comfyui-*", "soak_minutes": 60}}


@dataclass
class Watched:
    """An environment that listens to alarms, with two published images."""

    account: Account
    old: str
    new: str
    published: datetime

    @property
    def latest(self) -> str | None:
        return self.account.latest

    def record(self, image_id: str) -> HistoryRecord:
        found = self.account.history(image_id)
        assert found is not None
        return found

    def pin(self) -> Pin | None:
        return self.account.world.environments.get("prod").pin

    def event(self, *, name: str = NAME, began: datetime | None = None, before: str = "OK") -> dict[str, Any]:
        at = (began or self.account.world.clock.now()).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
        detail = EVENT["detail"]
        return EVENT | {
            "detail": detail
            | {
                "alarmName": name,
                "state": detail["state"] | {"timestamp": at, "reason": "41 errors"},
                "previousState": detail["previousState"] | {"value": before},
            }
        }

    def alarm(self, execution: str = "alarm", **event: Any) -> Ended:
        return Execution(self.account, execution).run(self.event(**event))

    def passes(self, minutes: float) -> None:
        self.account.world.clock.advance(minutes * 60)

    def decisions(self) -> list[Decision]:
        world = self.account.world
        review = RetirementReview(
            self.account.catalogue.get("prod"),
            world.instances,
            world.images,
            world.usage,
            world.parameters,
            world.environments,
            world.clock,
        )
        return review.decide(self.account.live)


def watch(**defaults: Any) -> Watched:
    account = Account(defaults=WATCHED | defaults)
    account.push("one")
    assert run(account, "first").outcome == "published"
    old = account.latest
    account.world.clock.advance(86_400)
    account.push("two")
    assert run(account, "second").outcome == "published"
    new = account.latest
    assert old is not None
    assert new is not None
    return Watched(account, old, new, account.world.clock.now())


@pytest.fixture
def watched() -> Watched:
    return watch()


# Within the soak.


def test_an_alarm_moves_latest_back_and_pins_it(watched: Watched) -> None:
    watched.passes(5)
    ended = watched.alarm()
    assert ended.outcome == "published", ended
    assert watched.latest == watched.old
    pin = watched.pin()
    assert pin is not None
    assert (pin.image_id, pin.reason) == (watched.old, f"alarm {NAME}: 41 errors")
    left, live = watched.record(watched.new), watched.record(watched.old)
    assert (left.rolled_back, left.superseded_by) == (True, watched.old)
    assert (live.status.value, live.soaking_since) == ("live", None)
    assert live.reason == f"alarm {NAME}: 41 errors"


def test_events_and_message_name_the_alarm(watched: Watched) -> None:
    watched.alarm()
    notifier = watched.account.world.notifier
    found = [each for each in notifier.announced if isinstance(each, RollbackPerformed)]
    assert [(each.alarm, each.pinned, each.image_id, each.replaced) for each in found] == [
        (NAME, True, watched.old, watched.new)
    ]
    told = [each for each in notifier.announced if isinstance(each, ImagePublished)][-1]
    assert (told.trigger, told.image_id, told.reasons) == (
        Trigger.ALARM,
        watched.old,
        (f"alarm {NAME}: 41 errors",),
    )


def test_the_image_before_is_kept_while_the_publication_soaks(watched: Watched) -> None:
    (decision,) = watched.decisions()
    assert (decision.image_id, decision.action.value, decision.blocked) == (watched.old, "keep", False)
    assert decision.reason.startswith("an alarm (prod-comfyui-*) would have it published again until 20")
    since = watched.record(watched.new).soaking_since
    assert since is not None
    # To the second: so long, and as long as an event may be late.
    left = datetime.fromisoformat(since) + timedelta(minutes=75) - watched.account.world.clock.now()
    watched.account.world.clock.advance(left.total_seconds())
    assert [each.action.value for each in watched.decisions()] == ["keep"]
    watched.account.world.clock.advance(1)
    assert [each.action.value for each in watched.decisions()] == ["retire"]


def test_the_sweep_leaves_it_and_lets_it_go_after_the_soak(watched: Watched) -> None:
    watched.passes(20)
    watched.account.world.settle()
    watched.account.sweeper.sweep()
    assert watched.old in watched.account.world.images.all
    since = watched.record(watched.new).soaking_since
    converge(watched.account)
    assert watched.latest != watched.new, "it has the constant name now, and another id"
    assert [image.image_id for image in watched.account.own_images()] == [watched.latest]
    assert watched.record(str(watched.latest)).soaking_since == since, "which is no publication of its own"
    assert watched.alarm().outcome == "nothing"


def test_what_gets_the_constant_name_within_the_soak_goes_on_soaking(watched: Watched) -> None:
    # A person has removed the image before, so the name is free.
    watched.account.world.images.all.pop(watched.old)
    before = watched.record(watched.new).soaking_since
    watched.passes(10)
    assert run(watched.account, "retire", action=Action.RETIRE).outcome == "published"
    latest = str(watched.latest)
    assert latest != watched.new
    assert (watched.record(latest).soaking_since, watched.record(latest).replaces) == (before, watched.old)


def test_while_history_says_nothing_every_image_is_kept(watched: Watched) -> None:
    watched.account.world.parameters.set(f"{watched.account.prefix}/history/{watched.new}", "{")
    (decision,) = watched.decisions()
    assert decision.reason == f"history has no readable record of {watched.new} yet, so an alarm may need it"


def test_a_rebuild_of_the_same_docker_image_is_undone_as_well(watched: Watched) -> None:
    disks = watched.account.live.snapshot_ids
    assert run(watched.account, "again", force=True, fresh=True).outcome == "published"
    assert watched.account.live.snapshot_ids != disks
    assert watched.alarm().outcome == "published"
    assert watched.account.live.snapshot_ids == disks, "what was live before, whatever is in it"


def test_a_repair_of_the_records_is_no_publication_of_its_own(watched: Watched) -> None:
    before = watched.record(watched.new).soaking_since
    watched.passes(10)
    ended = run(
        watched.account,
        "repair",
        action=Action.PUBLISH,
        trigger=Trigger.RECONCILE,
        publish_image_id=watched.new,
        reason="metadata did not agree with latest",
    )
    assert ended.outcome == "published"
    assert watched.record(watched.new).soaking_since == before


@pytest.mark.parametrize(
    ("trigger", "soaks"),
    [(Trigger.ROLLBACK, False), (Trigger.MANUAL, True), (Trigger.QUEUED, True), (Trigger.RECONCILE, True)],
)
def test_a_build_soaks_and_a_rollback_by_a_build_does_not(
    watched: Watched, trigger: Trigger, *, soaks: bool
) -> None:
    ended = run(watched.account, "built", trigger=trigger, force=True)
    assert ended.outcome == "published", ended
    assert (watched.record(str(watched.latest)).soaking_since is not None) is soaks


# Once.


def test_an_alarm_that_comes_again_moves_nothing(watched: Watched) -> None:
    assert watched.alarm().outcome == "published"
    for number in range(3):
        watched.passes(1)
        again = watched.alarm(f"again-{number}")
        assert again.outcome == "nothing"
        assert f"pinned to {watched.old}" in again.reason
    assert watched.latest == watched.old


def test_an_event_that_is_delivered_twice_at_once_moves_latest_once(watched: Watched) -> None:
    # The second comes while the first holds the environment.
    world = watched.account.world
    holder = Execution(watched.account, "first-alarm")
    record, now = world.environments.get("prod"), world.clock.now()
    claim = Claim(
        execution_arn=holder.arn,
        number=record.fencing + 1,
        action=Action.PUBLISH,
        claimed_at=now,
        lease_until=now + timedelta(hours=30),
    )
    assert world.environments.claim("prod", claim)
    world.executions.statuses[holder.arn] = ExecutionStatus.RUNNING
    event = watched.event()
    second = Execution(watched.account, "second-alarm").run(event)
    assert second.outcome == "queued"
    waiting = world.environments.get("prod").queued_request
    assert waiting is not None
    assert (waiting.trigger, waiting.publish_image_id, waiting.pin, waiting.alarm) == (
        Trigger.ALARM,
        watched.old,
        True,
        NAME,
    )
    already = len(world.executions.started)
    assert holder.run(event).outcome == "published"
    (started,) = run_started(watched.account, already)
    assert started.outcome == "nothing"
    assert "pinned" in started.reason
    performed = [each for each in world.notifier.announced if isinstance(each, RollbackPerformed)]
    assert len(performed) == 1


def test_a_rollback_is_never_undone_by_an_alarm(watched: Watched) -> None:
    back = run(watched.account, "back", action=Action.PUBLISH, publish_image_id=watched.old, reason="slow")
    assert back.outcome == "published"
    assert watched.pin() is None
    ended = watched.alarm()
    assert ended.outcome == "nothing"
    assert "does not soak" in ended.reason
    assert watched.latest == watched.old


def test_after_unpin_the_next_publication_soaks_again(watched: Watched) -> None:
    watched.alarm()
    watched.account.world.environments.set_pin("prod", None)
    watched.account.push("three")
    assert run(watched.account, "third").outcome == "published"
    watched.passes(1)
    assert watched.alarm("later").outcome == "published"
    assert watched.latest == watched.old


# Nothing.


def test_an_alarm_after_the_soak_moves_nothing(watched: Watched) -> None:
    watched.passes(61)
    ended = watched.alarm()
    assert ended.outcome == "nothing"
    assert "has soaked until" in ended.reason
    assert watched.latest == watched.new


def test_an_alarm_from_before_the_publication_moves_nothing(watched: Watched) -> None:
    ended = watched.alarm(began=watched.published - timedelta(hours=2))
    assert ended.outcome == "nothing"
    assert "so another image is no remedy" in ended.reason


def test_an_alarm_that_was_in_alarm_before_moves_nothing(watched: Watched) -> None:
    assert "was in ALARM before" in watched.alarm(before="ALARM").reason


def test_a_late_event_counts_from_when_the_alarm_began(watched: Watched) -> None:
    began = watched.account.world.clock.now()
    watched.passes(70)
    assert watched.alarm(began=began).outcome == "published"


def test_an_alarm_of_nobody_moves_nothing(watched: Watched) -> None:
    ended = watched.alarm(name="staging-comfyui-errors")
    assert (ended.outcome, ended.reason) == (
        "nothing",
        "alarm staging-comfyui-errors is of no environment's rollback_on_alarm",
    )


def test_a_pinned_environment_stays_as_it_is(watched: Watched) -> None:
    pin = Pin(image_id=watched.new, at=watched.published, reason="the release")
    watched.account.world.environments.set_pin("prod", pin)
    ended = watched.alarm()
    assert ended.outcome == "nothing"
    assert "is pinned to" in ended.reason
    assert (watched.latest, watched.pin()) == (watched.new, pin)


def test_without_a_live_image_nothing_is_moved(watched: Watched) -> None:
    watched.account.world.images.all.pop(watched.new)
    ended = watched.alarm()
    assert ended.outcome == "nothing"
    assert ended.reason == (
        f"alarm {NAME} undoes nothing: `latest` names {watched.new}, which does not exist any more"
    )


def test_what_was_published_before_the_setting_does_not_soak() -> None:
    account = Account()
    account.push("one")
    run(account, "first")
    assert account.history(str(account.latest)).soaking_since is None  # type: ignore[union-attr]
    watched = Watched(Account(defaults=WATCHED, world=account.world), "", str(account.latest), LATER)
    assert "does not soak" in watched.alarm().reason


LATER = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


# Nothing to go back to.


def test_the_first_image_is_told_and_stays() -> None:
    account = Account(defaults=WATCHED)
    account.push("one")
    run(account, "first")
    watched = Watched(account, "", str(account.latest), account.world.clock.now())
    ended = watched.alarm()
    assert (ended.outcome, ended.error) == ("failed", "NoPreviousImageError")
    assert ended.reason == (
        f"alarm {NAME} is in ALARM since {watched.latest} was published in prod, which is the first image there, so "
        "there is nothing to go back to and it stays live; push a corrected Docker image (41 errors)"
    )
    assert watched.pin() is None
    message = account.world.notifier.sent[-1]
    assert "NoPreviousImageError" in str(message)


@pytest.mark.parametrize("how", ["gone", "disabled", "foreign", "unverified", "without a record"])
def test_an_image_that_cannot_be_published_again_is_told(watched: Watched, how: str) -> None:
    images, parameters = watched.account.world.images, watched.account.world.parameters
    name = f"{watched.account.prefix}/history/{watched.old}"
    old = images.all[watched.old]
    if how == "gone":
        images.all.pop(watched.old)
    elif how == "disabled":
        images.all[watched.old] = old.model_copy(update={"state": ImageState.DISABLED})
    elif how == "foreign":
        images.all[watched.old] = old.model_copy(update={"tags": {}})
    elif how == "unverified":
        record = watched.record(watched.old).model_copy(update={"verified_at": None})
        parameters.set(name, record.model_dump_json())
    else:
        parameters.set(name, "{")
    ended = watched.alarm()
    assert (ended.outcome, ended.error) == ("failed", "NoPreviousImageError")
    assert ended.reason == (
        f"alarm {NAME} is in ALARM since {watched.new} was published in prod, and {watched.old}, which it has "
        "replaced, is gone or cannot be published again, so it stays live; see what there is: ami-lifecycle rollback "
        "prod --dry-run (41 errors)"
    )
    assert watched.latest == watched.new


# While something else goes on.


def test_an_alarm_during_a_build_waits_for_it_and_goes_back_then(watched: Watched) -> None:
    world = watched.account.world
    watched.account.push("three")
    build = Execution(watched.account, "third")
    publish, queued = build.handlers["publish_image"], []

    def alarm_and_publish(payload: Any) -> Any:
        if not queued:
            queued.append(watched.alarm().outcome)
        return publish(payload)

    build.handlers["publish_image"] = alarm_and_publish
    already = len(world.executions.started)
    assert build.run({"environment": "prod"}).outcome == "published"
    assert queued == ["queued"]
    (back,) = run_started(watched.account, already)
    assert back.outcome == "published"
    assert watched.latest == watched.old
    third = next(each for each in world.notifier.announced[::-1] if isinstance(each, RollbackPerformed))
    assert (third.alarm, third.image_id) == (NAME, watched.old)
    assert watched.record(watched.new).rolled_back
