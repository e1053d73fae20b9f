"""Schedules fire by the emulated clock."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from aws_emulator.eventbridge.recurrence import ExpressionError, parse_recurrence

SATURDAY = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("rate(15 minutes)", datetime(2026, 2, 1, 0, 14, 30, tzinfo=UTC)),
        ("rate(1 hour)", datetime(2026, 2, 1, 0, 59, 30, tzinfo=UTC)),
        ("rate(2 days)", datetime(2026, 2, 2, 23, 59, 30, tzinfo=UTC)),
        ("at(2026-02-03T04:05:06)", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("at(2026-01-01T00:00:00)", None),
        ("cron(0/15 * * * ? *)", datetime(2026, 2, 1, 0, 0, tzinfo=UTC)),
        ("cron(30 4 ? * MON-FRI *)", datetime(2026, 2, 2, 4, 30, tzinfo=UTC)),
        ("cron(0 12 29 2 ? *)", datetime(2028, 2, 29, 12, 0, tzinfo=UTC)),
        ("cron(0 0 1 JAN ? 2025)", None),
        ("cron(0 0 L * ? *)", datetime(2026, 2, 28, 0, 0, tzinfo=UTC)),
        ("cron(0 0 L-2 * ? *)", datetime(2026, 2, 26, 0, 0, tzinfo=UTC)),
        ("cron(0 0 LW * ? *)", datetime(2026, 2, 27, 0, 0, tzinfo=UTC)),
        ("cron(0 0 1W * ? *)", datetime(2026, 2, 2, 0, 0, tzinfo=UTC)),
        ("cron(0 0 14W * ? *)", datetime(2026, 2, 13, 0, 0, tzinfo=UTC)),
        ("cron(0 0 31W * ? *)", datetime(2026, 3, 31, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * 6L *)", datetime(2026, 2, 27, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * L *)", datetime(2026, 2, 7, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * SAT#3 *)", datetime(2026, 2, 21, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * 2#1 *)", datetime(2026, 2, 2, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * 2L,SUN *)", datetime(2026, 2, 1, 0, 0, tzinfo=UTC)),
        ("cron(*/20,50-52/2 1 1 feb ? *)", datetime(2026, 2, 1, 1, 0, tzinfo=UTC)),
        ("rate(9999999 days)", None),
        (f"rate({'9' * 200} days)", None),
    ],
)
def test_the_next_time_of_an_expression(expression: str, following: datetime | None) -> None:
    assert parse_recurrence(expression).next_after(SATURDAY) == following


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "cron(* * * * * *)",
        "cron(71 8 1 * ? *)",
        "cron(0 dummy ? * MON-FRI *)",
        "cron(0 0 32W * ? *)",
        "cron(0 0 ? * 8#1 *)",
        "cron(0 0 ? * 2#6 *)",
        "cron(0/0 0 ? * 2 *)",
        "cron(0 5-1 ? * 2 *)",
        "cron(INVALID)",
        "cron()",
        "rate( 10 minutes )",
        "at(2021-12-31)",
        "every day",
        # User guide, Cron expressions: ? is of the two fields of days; with # there is one expression in the field.
        "cron(? 0 1 * ? *)",
        "cron(0 ? 1 * ? *)",
        "cron(0 0 1 ? ? *)",
        "cron(0 0 1 * ? ?)",
        "cron(0 0 1,? * 2 *)",
        "cron(0 0 ? * 2,? *)",
        "cron(0 0 ?/2 * 2 *)",
        "cron(0 0 ? * 2#1,FRI *)",
        "cron(5- 0 1 * ? *)",
        "cron(0 0 ? * MON- *)",
        "cron(0/+5 0 1 * ? *)",
        "cron(0/ 0 1 * ? *)",
        "cron(0/1_0 0 1 * ? *)",
        "cron(0/\u0665 0 1 * ? *)",
        "cron(0 0 \u0665W * ? *)",
        "rate(\u0665 minutes)",
    ],
)
def test_expressions_that_aws_refuses(expression: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(f"Invalid Schedule Expression {expression}.")):
        parse_recurrence(expression)


def target(platform: Any) -> dict[str, str]:
    roles = platform.emulator.account.roles
    role = next(arn for arn in roles if "StartRole" in arn)
    function = platform.emulator.stack.resources["WorkerFunction"].created.attributes["Arn"]
    return {"Arn": function, "RoleArn": role, "Input": json.dumps({"mode": "scheduled"})}


def test_a_rate_fires_again_and_again_by_the_emulated_clock(platform: Any, eventually: Any) -> None:
    scheduler = platform.client("scheduler")
    before = platform.lines("WorkerFunction").count("hello from the layer scheduled")
    scheduler.create_schedule(
        Name="minutely",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target(platform),
    )
    try:
        assert scheduler.get_schedule(Name="minutely")["State"] == "ENABLED"
        eventually(
            lambda: platform.lines("WorkerFunction").count("hello from the layer scheduled") >= before + 2
        )
        with pytest.raises(scheduler.exceptions.ConflictException):
            scheduler.create_schedule(
                Name="minutely",
                ScheduleExpression="rate(1 minute)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target=target(platform),
            )
    finally:
        scheduler.delete_schedule(Name="minutely")
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name="minutely")


@pytest.mark.parametrize("member", ["Arn", "RoleArn"])
def test_a_schedule_needs_a_whole_target(platform: Any, member: str) -> None:
    """EventBridge Scheduler API reference, Target: Arn and RoleArn are required."""
    scheduler = platform.client("scheduler", parameter_validation=False)
    with pytest.raises(scheduler.exceptions.ValidationException, match=member):
        scheduler.create_schedule(
            Name="lacking",
            ScheduleExpression="rate(1 minute)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={name: value for name, value in target(platform).items() if name != member},
        )


def test_schedules_are_listed_by_name(platform: Any) -> None:
    rows = platform.client("scheduler").list_schedules()["Schedules"]
    assert [row["Name"] for row in rows] == [platform.physical_id("HourlySchedule")]


def test_a_schedule_can_be_fired_by_hand(platform: Any, eventually: Any) -> None:
    url = f"{platform.emulator.endpoint_url}/_emulator/schedule/fire"
    mark = platform.emulator.calls.since(0)[-1].number
    assert requests.post(url, params={"name": "HourlySchedule"}, timeout=10).status_code == 202
    call = eventually(
        lambda: next(
            (call for call in platform.emulator.calls.since(mark) if call.operation == "Invoke"), None
        )
    )
    assert call.parameters["InvocationType"] == "Event"
    unknown = requests.post(url, params={"name": "nothing"}, timeout=10)
    assert unknown.status_code == 404
    assert platform.physical_id("HourlySchedule") in unknown.json()["schedules"]


def test_a_wrong_expression_is_refused(platform: Any) -> None:
    scheduler = platform.client("scheduler")
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.create_schedule(
            Name="wrong",
            ScheduleExpression="rate(1 minutes)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=target(platform),
        )


def test_an_update_resets_what_it_leaves_out(platform: Any) -> None:
    """EventBridge Scheduler user guide, Managing a schedule: UpdateSchedule uses all values in the request."""
    scheduler = platform.client("scheduler")
    settings = {"FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target(platform)}
    scheduler.create_schedule(
        Name="daily", ScheduleExpression="rate(1 day)", State="DISABLED", Description="Said.", **settings
    )
    try:
        scheduler.update_schedule(Name="daily", ScheduleExpression="rate(2 days)", **settings)
        found = scheduler.get_schedule(Name="daily")
        assert (found["ScheduleExpression"], found["State"]) == ("rate(2 days)", "ENABLED")
        assert not found.get("Description")
    finally:
        scheduler.delete_schedule(Name="daily")
