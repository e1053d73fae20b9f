"""When an alarm undoes a publication."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.domain.builders import image_id, published, settings

from ami_lifecycle.domain.alarms import (
    LATE,
    Soak,
    began,
    reason_not_to_undo,
    reason_to_ignore,
    reason_to_keep,
    soak_of,
    undoing,
)
from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import parse_request

EVENT = json.loads((Path(__file__).parents[3] / "events" / "alarm_raised.json").read_text())
BEGAN = datetime(2026, 11, 22, 10, 45, 40, 989_000, tzinfo=UTC)
PUBLISHED = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SOAK = Soak(image_id(2), PUBLISHED, PUBLISHED + timedelta(hours=1), image_id(1))
WATCHED = settings(rollback_on_alarm={"alarms": "prod-*", "soak_minutes": 60})


def an_alarm(
    state: dict[str, Any] | None = None, before: dict[str, Any] | None = None, **detail: Any
) -> AlarmDetail:
    known = EVENT["detail"]
    merged = {
        **known,
        "state": {**known["state"], **(state or {})},
        "previousState": {**known["previousState"], **(before or {})},
        **detail,
    }
    found = parse_request({**EVENT, "detail": merged})
    assert isinstance(found, AlarmDetail)
    return found


def test_the_event_of_an_alarm_is_read() -> None:
    alarm = an_alarm()
    assert (alarm.alarm_name, alarm.state.value, alarm.state.timestamp) == (
        "prod-comfyui-errors",
        "ALARM",
        BEGAN,
    )
    assert alarm.previous is not None
    assert (alarm.previous.value, alarm.mute, alarm.state.suppressed_by) == ("OK", None, None)
    assert reason_to_ignore(alarm) is None
    assert began(alarm) == BEGAN


@pytest.mark.parametrize(
    ("alarm", "reason"),
    [
        (
            an_alarm({"value": "OK"}),
            "alarm prod-comfyui-errors is OK, and only ALARM has a publication undone",
        ),
        (
            an_alarm({"value": "INSUFFICIENT_DATA"}),
            "alarm prod-comfyui-errors is INSUFFICIENT_DATA, and only ALARM has a publication undone",
        ),
        (
            an_alarm(before={"value": "ALARM"}),
            "alarm prod-comfyui-errors was in ALARM before, since 2026-11-22 10:41:12 UTC",
        ),
        (
            an_alarm(muteDetail={"mutedByArn": "arn"}),
            "alarm prod-comfyui-errors is muted, so that nothing is done",
        ),
        (
            an_alarm({"actionsSuppressedBy": "WaitPeriod"}),
            "actions of alarm prod-comfyui-errors are suppressed (WaitPeriod), so that nothing is done",
        ),
        (
            an_alarm({"actionsSuppressedBy": "Alarm"}, {"value": "ALARM"}),
            "actions of alarm prod-comfyui-errors are suppressed (Alarm), so that nothing is done",
        ),
    ],
)
def test_only_a_transition_into_alarm_counts(alarm: AlarmDetail, reason: str) -> None:
    assert reason_to_ignore(alarm) == reason


def test_a_composite_alarm_counts_when_its_suppression_ends_and_from_when_it_was_in_alarm() -> None:
    """CloudWatch user guide, Alarm suppression: after the wait period the composite alarm performs its actions."""
    alarm = an_alarm(before={"value": "ALARM", "actionsSuppressedBy": "WaitPeriod"})
    assert reason_to_ignore(alarm) is None
    assert began(alarm) == datetime(2026, 11, 22, 10, 41, 12, 331_000, tzinfo=UTC)


@pytest.mark.parametrize("value", ["OK", "INSUFFICIENT_DATA"])
def test_whatever_it_was_before(value: str) -> None:
    assert reason_to_ignore(an_alarm(before={"value": value})) is None
    assert began(an_alarm(before={"value": value})) == BEGAN


def test_without_a_previous_state_it_is_a_transition() -> None:
    alarm = an_alarm(previousState=None)
    assert reason_to_ignore(alarm) is None
    assert began(alarm) == BEGAN


def test_a_time_is_read_in_its_zone() -> None:
    alarm = an_alarm({"timestamp": "2026-11-22T12:45:40.989+0200"})
    assert began(alarm) == BEGAN
    assert began(alarm).tzinfo is UTC


NAME = "alarm prod-comfyui-errors"
LIVE = image_id(2)


def reason(soak: Soak | None, *, now: datetime = BEGAN) -> str | None:
    return reason_not_to_undo(an_alarm(), soak, LIVE, now)


def test_an_alarm_within_the_soak_undoes_it_to_the_last_moment() -> None:
    assert reason(SOAK) is None
    assert reason(SOAK._replace(since=BEGAN)) is None
    assert reason(SOAK._replace(until=BEGAN)) is None
    assert reason(SOAK, now=SOAK.until + LATE) is None
    assert timedelta(minutes=15) == LATE


def test_what_does_not_soak_stays() -> None:
    assert reason(None) == (
        f"{NAME} undoes nothing: {LIVE} does not soak, because it was published again or before rollback_on_alarm was "
        "set"
    )


def test_an_alarm_from_before_the_publication_undoes_nothing() -> None:
    later = BEGAN + timedelta(milliseconds=1)
    assert reason(SOAK._replace(since=later)) == (
        f"{NAME} is in ALARM since 2026-11-22 10:45:40 UTC, before {LIVE} was published at 2026-11-22 10:45:40 UTC, so "
        "another image is no remedy"
    )


def test_an_alarm_after_the_soak_undoes_nothing() -> None:
    over = (
        f"{NAME} is in ALARM since 2026-11-22 10:45:40 UTC, and {LIVE} has soaked until %s UTC; to go back all the "
        "same: ami-lifecycle rollback"
    )
    assert reason(SOAK._replace(until=BEGAN - timedelta(milliseconds=1))) == over % "2026-11-22 10:45:40"
    late = SOAK.until + LATE + timedelta(milliseconds=1)
    assert reason(SOAK, now=late) == over % "2026-11-22 11:00:00"


def soaking(since: str | None, replaces: str | None = image_id(1)) -> Soak | None:
    record = published(2, 2).model_copy(update={"soaking_since": since, "replaces": replaces})
    return soak_of(record, WATCHED)


def test_a_soak_is_told_from_the_record_and_the_settings() -> None:
    found = soaking("2026-11-22T10:00:00Z")
    assert found == SOAK
    assert found is not None
    assert found.kept_until == datetime(2026, 11, 22, 11, 15, tzinfo=UTC)


def test_a_date_without_a_zone_is_utc() -> None:
    assert soaking("2026-11-22T10:00:00") == SOAK


@pytest.mark.parametrize("since", [None, "", "yesterday"])
def test_a_record_that_says_nothing_does_not_soak(since: str | None) -> None:
    assert soaking(since) is None


@pytest.mark.parametrize("replaces", [None, "nothing"])
def test_the_first_image_has_none_to_go_back_to(replaces: str | None) -> None:
    found = soaking("2026-11-22T10:00:00Z", replaces)
    assert found is not None
    assert found.back_to is None


def test_nothing_soaks_where_no_alarm_is_listened_to_or_history_is_silent() -> None:
    record = published(2, 2).model_copy(update={"soaking_since": "2026-11-22T10:00:00Z"})
    assert soak_of(record, settings()) is None
    assert soak_of(None, WATCHED) is None


def test_what_an_alarm_asks_for_is_a_rollback_that_pins() -> None:
    request = undoing(an_alarm({"reason": "41 errors\nof 50"}), "prod", image_id(1))
    assert request == BuildRequest(
        environment="prod",
        action=Action.PUBLISH,
        trigger=Trigger.ALARM,
        publish_image_id=image_id(1),
        pin=True,
        reason="alarm prod-comfyui-errors: 41 errors of 50",
        alarm="prod-comfyui-errors",
    )
    assert request.goes_back


@pytest.mark.parametrize("why", ["", "x" * 1_000, "{{resolve}} {{{x", "a\x00b\nc"])
def test_whatever_an_alarm_says_another_execution_can_be_started_with_it(why: str) -> None:
    request = undoing(an_alarm({"reason": why}, alarmName="a" * 255), "prod", image_id(1))
    assert parse_request(request.model_dump(mode="json", exclude_none=True)) == request
    assert len(request.reason or "") <= 200


def test_an_alarm_without_a_reason_is_named() -> None:
    assert undoing(an_alarm({"reason": ""}), "prod", image_id(1)).reason == "alarm prod-comfyui-errors"


def test_why_the_image_to_go_back_to_is_kept() -> None:
    assert reason_to_keep(SOAK, "prod-*") == (
        "an alarm (prod-*) would have it published again until 2026-11-22 11:00:00 UTC"
    )
