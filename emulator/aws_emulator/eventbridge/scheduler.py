"""EventBridge Scheduler: schedules that fire by the emulated clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.delivery import Delivery, TargetInvocation, retry_policy
from aws_emulator.eventbridge.recurrence import ExpressionError, Ticker, parse_recurrence
from aws_emulator.gateway.identities import Identities

_TARGET_MEMBERS: Final = ("Arn", "RoleArn", "Input", "RetryPolicy", "DeadLetterConfig")
_GROUP: Final = "default"


@dataclass
class Schedule:
    """A schedule of the default group."""

    name: str
    arn: str
    expression: str
    timezone: str
    state: str
    description: str
    flexible_window: dict[str, Any]
    target: dict[str, Any]
    created: datetime
    modified: datetime
    ticker: Ticker | None = None


class Scheduler:
    """Schedules of the account."""

    def __init__(
        self, clock: Clock, account_id: str, region: str, delivery: Delivery, identities: Identities
    ) -> None:
        self._clock = clock
        self._prefix = f"arn:aws:scheduler:{region}:{account_id}:schedule/{_GROUP}"
        self._delivery = delivery
        self._identities = identities
        self._schedules: dict[str, Schedule] = {}
        self._lock = threading.RLock()

    def fire(self, name: str) -> bool:
        """Deliver a schedule's target input now, whatever its state; False for an unknown name."""
        with self._lock:
            schedule = self._schedules.get(name)
        if schedule is None:
            return False
        target = schedule.target
        self._delivery.invoke(
            TargetInvocation(
                target_arn=target["Arn"],
                body=self._input(schedule),
                source_arn=schedule.arn,
                caller=self._identities.name_of(schedule.name),
                **retry_policy(target),
            )
        )
        return True

    def names(self) -> list[str]:
        """The names of all schedules."""
        with self._lock:
            return sorted(self._schedules)

    def _input(self, schedule: Schedule) -> str:
        text: str = schedule.target.get("Input") or "{}"
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for keyword, value in (
            ("schedule-arn", schedule.arn),
            ("scheduled-time", now),
            ("attempt-number", "1"),
        ):
            text = text.replace(f"<aws.scheduler.{keyword}>", value)
        return text

    def _tick(self, schedule: Schedule) -> None:
        if schedule.state == "ENABLED":
            self.fire(schedule.name)

    @operation("scheduler", "CreateSchedule")
    def create_schedule(self, request: Request) -> Response:
        """Create a schedule."""
        parameters = request.parameters
        with self._lock:
            if parameters["Name"] in self._schedules:
                raise ApiError("ConflictException", f"Schedule {parameters['Name']} already exists.", 409)
            schedule = self._build(parameters, self._clock.now())
            self._schedules[schedule.name] = schedule
        return {"ScheduleArn": schedule.arn}

    @operation("scheduler", "UpdateSchedule")
    def update_schedule(self, request: Request) -> Response:
        """Replace a schedule: what is left out is reset, as in AWS."""
        with self._lock:
            known = self._schedule(request)
            schedule = self._build(request.parameters, known.created)
            if known.ticker is not None:
                known.ticker.cancel()
            self._schedules[schedule.name] = schedule
        return {"ScheduleArn": schedule.arn}

    @operation("scheduler", "DeleteSchedule")
    def delete_schedule(self, request: Request) -> Response:
        """Delete a schedule."""
        with self._lock:
            schedule = self._schedule(request)
            if schedule.ticker is not None:
                schedule.ticker.cancel()
            del self._schedules[schedule.name]
        return {}

    @operation("scheduler", "GetSchedule")
    def get_schedule(self, request: Request) -> Response:
        """Describe a schedule."""
        schedule = self._schedule(request)
        return {
            "Arn": schedule.arn,
            "GroupName": _GROUP,
            "Name": schedule.name,
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "State": schedule.state,
            "Description": schedule.description,
            "FlexibleTimeWindow": schedule.flexible_window,
            "Target": schedule.target,
            "CreationDate": schedule.created,
            "LastModificationDate": schedule.modified,
        }

    @operation("scheduler", "ListSchedules")
    def list_schedules(self, request: Request) -> Response:
        """List schedules, by name."""
        prefix = request.parameters.get("NamePrefix") or ""
        with self._lock:
            schedules = [self._schedules[name] for name in self.names() if name.startswith(prefix)]
        rows = [
            {
                "Arn": each.arn,
                "Name": each.name,
                "GroupName": _GROUP,
                "State": each.state,
                "CreationDate": each.created,
                "LastModificationDate": each.modified,
                "Target": {"Arn": each.target["Arn"]},
            }
            for each in schedules
        ]
        return {"Schedules": rows}

    def _schedule(self, request: Request) -> Schedule:
        with self._lock:
            schedule = self._schedules.get(request.parameters["Name"])
        if schedule is None or request.parameters.get("GroupName", _GROUP) != _GROUP:
            message = f"Schedule {request.parameters['Name']} does not exist."
            raise ApiError("ResourceNotFoundException", message, 404)
        return schedule

    def _build(self, parameters: Mapping[str, Any], created: datetime) -> Schedule:
        refuse_unsupported_parameters(
            "scheduler",
            "CreateSchedule",
            parameters,
            (
                "Name",
                "GroupName",
                "ScheduleExpression",
                "ScheduleExpressionTimezone",
                "State",
                "Description",
                "FlexibleTimeWindow",
                "Target",
                "ClientToken",
            ),
        )
        refuse_unsupported_parameters("scheduler", "CreateSchedule", parameters["Target"], _TARGET_MEMBERS)
        for member in ("Arn", "RoleArn"):
            if not parameters["Target"].get(member):
                raise ApiError(
                    "ValidationException", f"The request must contain the parameter Target.{member}"
                )
        if parameters.get("GroupName", _GROUP) != _GROUP:
            raise ApiError("ResourceNotFoundException", "Schedule group does not exist.", 404)
        try:
            recurrence = parse_recurrence(parameters["ScheduleExpression"])
        except ExpressionError as error:
            raise ApiError("ValidationException", str(error)) from error
        schedule = Schedule(
            name=parameters["Name"],
            arn=f"{self._prefix}/{parameters['Name']}",
            expression=parameters["ScheduleExpression"],
            timezone=parameters.get("ScheduleExpressionTimezone") or "UTC",
            state=parameters.get("State") or "ENABLED",
            description=parameters.get("Description") or "",
            flexible_window=dict(parameters["FlexibleTimeWindow"]),
            target=dict(parameters["Target"]),
            created=created,
            modified=self._clock.now(),
        )
        schedule.ticker = Ticker(self._clock, recurrence, lambda: self._tick(schedule))
        return schedule
