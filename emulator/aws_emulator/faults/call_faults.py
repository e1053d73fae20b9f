"""Faults of API calls."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aws_emulator.api.disruptions import Disruption, LostAnswer, ProcessHangs, ProcessKilled
from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.clock import Clock
from aws_emulator.faults import rules
from aws_emulator.gateway.passthrough import CutAnswer, without

_READS: Final = ("Describe*", "Get*", "List*", "BatchGet*")
_DISRUPTIONS: Final[Mapping[type[rules.Rule], type[Disruption]]] = {
    rules.LostFault: LostAnswer,
    rules.KilledFault: ProcessKilled,
    rules.HangsFault: ProcessHangs,
}


class RulesOfCalls(Protocol):
    """The rules for API calls."""

    def for_call(self, request: Request) -> rules.Rule | None:
        """The first rule that applies to a call."""

    def slowness(self, request: Request) -> float:
        """How many emulated seconds all rules together add to a call."""

    @property
    def knows_stale_reads(self) -> bool:
        """Whether answers to reads have to be remembered."""


class CallFaults:
    """Applies rules to the gateway's calls.

    Args:
        faults: the rules.
    """

    def __init__(self, clock: Clock, faults: RulesOfCalls) -> None:
        self._clock = clock
        self._faults = faults
        self._answers: dict[str, deque[Response]] = {}
        self._lock = threading.Lock()

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Apply the rules to a call (a gateway middleware)."""
        if slowness := self._faults.slowness(request):
            self._clock.sleep(slowness)
        rule = self._faults.for_call(request)
        match rule:
            case None:
                return self._remembering(request, proceed)
            case rules.ErrorFault():
                if rule.when == "after":
                    proceed()
                raise ApiError(rule.code, rule.message, rule.status)
            case rules.CapacityFault():
                raise ApiError(
                    rule.code,
                    f"We currently do not have sufficient {request.parameters.get('InstanceType')} capacity in the "
                    "Availability Zone you requested.",
                    500,
                )
            case rules.StaleFault():
                return self._stale(request, proceed)
            case rules.RepeatedFault():
                return self._twice(rule, proceed)
            case rules.LacksFault() | rules.CutFault():
                return _damaged(rule, proceed())
            case rules.LostFault() | rules.KilledFault() | rules.HangsFault():
                return _disrupted(rule, proceed)
            case _:
                raise TypeError(f"{type(rule).__name__} is no fault of calls")

    def _twice(self, rule: rules.RepeatedFault, proceed: Callable[[], Response]) -> Response:
        if rule.apart is None:
            with contextlib.suppress(ApiError):
                proceed()
            return proceed()
        apart = rule.apart

        def again() -> None:
            self._clock.sleep(apart)
            with contextlib.suppress(ApiError):
                proceed()

        self._clock.spawn("emulator-repeated-call", again)
        return proceed()

    def _remembering(self, request: Request, proceed: Callable[[], Response]) -> Response:
        answer = proceed()
        if _is_read(request) and self._faults.knows_stale_reads:
            with self._lock:
                known = self._answers.setdefault(_key(request), deque(maxlen=2))
                if not known or known[-1] != answer:
                    known.append(answer)
        return answer

    def _stale(self, request: Request, proceed: Callable[[], Response]) -> Response:
        answer = self._remembering(request, proceed)
        with self._lock:
            return next(iter(self._answers.get(_key(request), (answer,))))


def _disrupted(
    rule: rules.LostFault | rules.KilledFault | rules.HangsFault, proceed: Callable[[], Response]
) -> Response:
    if rule.when == "after":
        # The caller does not get the response.
        with contextlib.suppress(ApiError):
            proceed()
    raise _DISRUPTIONS[type(rule)]


def _damaged(rule: rules.LacksFault | rules.CutFault, answer: Response) -> Response:
    return without(answer, rule.member) if isinstance(rule, rules.LacksFault) else CutAnswer(answer)


def matches_call(rule: rules.Rule, request: Request) -> bool:
    """Whether a rule is for an API call."""
    if isinstance(rule, rules.CapacityFault):
        return request.operation == "RunInstances" and _has_place(rule, request.parameters)
    if isinstance(rule, rules.StaleFault) and not _is_read(request):
        return False
    return (
        isinstance(rule, rules.CallRule)
        and _fits(request.operation, rule.operation)
        and _fits(request.service, rule.service)
        and _fits(request.caller, rule.caller)
        and all(at(request.parameters, path) == value for path, value in rule.match.items())
    )


def _fits(name: str, pattern: str) -> bool:
    # Most rules name one call, and there may be thousands.
    return name == pattern or (_has_wildcards(pattern) and fnmatch.fnmatchcase(name, pattern))


@functools.cache
def _has_wildcards(pattern: str) -> bool:
    return any(each in pattern for each in "*?[")


def at(parameters: Any, path: str) -> Any:
    """The value at a dotted path such as `TagSpecifications.0.ResourceType`, or None."""
    value = parameters
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _has_place(rule: rules.CapacityFault, parameters: Mapping[str, Any]) -> bool:
    interfaces = parameters.get("NetworkInterfaces") or [{}]
    subnet = str(parameters.get("SubnetId") or interfaces[0].get("SubnetId") or "")
    kind = str(parameters.get("InstanceType") or "")
    return fnmatch.fnmatchcase(subnet, rule.subnet) and fnmatch.fnmatchcase(kind, rule.instance_type)


def _is_read(request: Request) -> bool:
    return any(fnmatch.fnmatchcase(request.operation, pattern) for pattern in _READS)


def _key(request: Request) -> str:
    return json.dumps([request.service, request.operation, request.parameters], sort_keys=True, default=str)
