"""CloudWatch alarms: moto keeps them; here their states are as CloudWatch has them, and their changes are events.

No alarm is evaluated, so a state changes by SetAlarmState alone; composite alarms are refused. Sources: CloudWatch API
reference, PutMetricAlarm and SetAlarmState; CloudWatch user guide, Alarm events and EventBridge.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.operations import Request, Response
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.gateway.moto_backend import MotoAccount

_CHANGING: Final = frozenset({"DeleteAlarms", "PutMetricAlarm", "SetAlarmState"})
_INITIAL: Final = "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class _State:
    """A state, since when, and why."""

    value: str
    reason: str
    since: datetime
    reason_data: str | None = None

    def as_detail(self) -> dict[str, str]:
        """As an event has it."""
        milliseconds = self.since.microsecond // 1_000
        data = {} if self.reason_data is None else {"reasonData": self.reason_data}
        return {
            "value": self.value,
            "reason": self.reason,
            **data,
            "timestamp": f"{self.since:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}+0000",
        }


class AlarmStates:
    """Goes around the calls that moto answers."""

    def __init__(self, clock: Clock, bus: EventBus, moto: MotoAccount) -> None:
        self._clock = clock
        self._bus = bus
        self._moto = moto
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()

    def around_call(self, request: Request, call: Callable[[], Response]) -> Response:
        """Have a call change states as CloudWatch changes them, and emit what it changes."""
        if request.service != "cloudwatch" or request.operation not in _CHANGING:
            return call()
        with self._lock:
            response = call()
            for resource, detail in self._notice(is_set=request.operation == "SetAlarmState"):
                self._bus.emit("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [resource])
            return response

    def _notice(self, *, is_set: bool) -> list[tuple[str, dict[str, Any]]]:
        changes = []
        with self._moto.backend("cloudwatch") as backend:
            for name in set(self._states) - set(backend.alarms):
                del self._states[name]
            for name, alarm in backend.alarms.items():
                known = self._states.get(name)
                if is_set and known is not None:
                    if (changed := self._set(name, alarm, known)) is not None:
                        changes.append((alarm.alarm_arn, changed))
                    continue
                # An alarm begins so, and keeps its state when it is put again. moto begins with OK each time.
                first = _State(_INITIAL, "Unchecked: Initial alarm creation", self._clock.now())
                state = self._states.setdefault(name, first)
                alarm.state_value, alarm.state_reason = state.value, state.reason
        return changes

    def _set(self, name: str, alarm: Any, known: _State) -> dict[str, Any] | None:
        """The event of a change; none where the state is as it was."""
        reason_data = alarm.state_reason_data if alarm.state_reason_data not in {None, "", "{}"} else None
        state = _State(alarm.state_value, alarm.state_reason, self._clock.now(), reason_data)
        if state.value == known.value:
            self._states[name] = replace(state, since=known.since)
            return None
        self._states[name] = state
        return {
            "alarmName": name,
            "state": state.as_detail(),
            "previousState": known.as_detail(),
            "configuration": _configuration(alarm),
        }


def _configuration(alarm: Any) -> dict[str, Any]:
    described = {"description": alarm.description} if alarm.description else {}
    if alarm.metric_data_queries:
        return {"metrics": [_query(each) for each in alarm.metric_data_queries], **described}
    stat = {"metric": _metric(alarm, alarm.metric_name), "period": int(alarm.period), "stat": alarm.statistic}
    # CloudWatch names the only metric of an alarm by an id of its own.
    metric_id = str(uuid.uuid5(uuid.NAMESPACE_URL, alarm.alarm_arn))
    return {"metrics": [{"id": metric_id, "metricStat": stat, "returnData": True}], **described}


def _query(query: Any) -> Mapping[str, Any]:
    known: dict[str, Any] = {"id": query.id}
    if query.expression:
        known["expression"] = query.expression
    if query.label:
        known["label"] = query.label
    if query.metric_stat is not None:
        stat = query.metric_stat
        metric = _metric(stat.metric, stat.metric.metric_name)
        known["metricStat"] = {"metric": metric, "period": int(stat.period), "stat": stat.stat}
    return {**known, "returnData": str(query.return_data).lower() == "true"}


def _metric(owner: Any, name: str) -> dict[str, Any]:
    dimensions = {each.name: each.value for each in owner.dimensions or ()}
    return {"namespace": owner.namespace, "name": name, "dimensions": dimensions}
