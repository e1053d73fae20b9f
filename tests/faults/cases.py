"""The faults to try: every kind that fits, at every point of the undisturbed run."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aws_emulator.gateway.calls import Call

Rule = dict[str, Any]

# What each service says when it is called too often (its API reference).
THROTTLED: Mapping[str, tuple[str, int]] = {
    "ec2": ("RequestLimitExceeded", 503),
    "ssm": ("ThrottlingException", 400),
    "dynamodb": ("ThrottlingException", 400),
    "stepfunctions": ("ThrottlingException", 400),
    "ecr": ("ThrottlingException", 400),
    "sns": ("Throttling", 400),
    "autoscaling": ("Throttling", 400),
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
}
REFUSED: Mapping[str, str] = {"ec2": "UnauthorizedOperation", "s3": "AccessDenied"}
NOT_FOUND: Mapping[str, str] = {
    "DescribeImages": "InvalidAMIID.NotFound",
    "DescribeInstances": "InvalidInstanceID.NotFound",
    "CreateImage": "InvalidInstanceID.NotFound",
    "StopInstances": "InvalidInstanceID.NotFound",
    "TerminateInstances": "InvalidInstanceID.NotFound",
    "DeregisterImage": "InvalidAMIID.NotFound",
    "DescribeImageAttribute": "InvalidAMIID.NotFound",
    "DisableImageDeprecation": "InvalidAMIID.NotFound",
    "DisableImageDeregistrationProtection": "InvalidAMIID.NotFound",
    "EnableImageDeprecation": "InvalidAMIID.NotFound",
    "EnableImageDeregistrationProtection": "InvalidAMIID.NotFound",
    "RegisterImage": "InvalidSnapshotID.NotFound",
    "RestoreSnapshotFromRecycleBin": "InvalidSnapshot.NotFound",
    "SendCommand": "InvalidInstanceId",
    "GetCommandInvocation": "InvocationDoesNotExist",
}
REFUSED_FOR_LONG = 8
UNKNOWN_CODE = "NewerThanThisService"
# Functions that make or move what others see: what they are about to write must not go meanwhile.
PUBLISHING = frozenset(
    {"AdoptImageNameFunction", "CreateImageFunction", "PublishImageFunction", "RetireImagesFunction"}
)
FUNCTIONS = "*Function"
# How long a service is gone: the SDK tries on, or steps and whole executions fail meanwhile.
OUTAGE_SECONDS = (20.0, 240.0)
STORM_SHARES = (10, 30, 60)
STORM_SECONDS = 600.0
STORMS_OF_EACH_SHARE = 4
# More often than boto3 tries, so that the state machine has to.
BEYOND_THE_SDK = 5


class Point(NamedTuple):
    """One call of the undisturbed run, by its number among its like."""

    service: str
    operation: str
    caller: str
    skip: int

    @property
    def place(self) -> str:
        return f"{self.caller}.{self.service}.{self.operation}#{self.skip}"

    def rule(self, kind: str, **more: Any) -> Rule:
        return {
            "kind": kind,
            "service": self.service,
            "operation": self.operation,
            "caller": self.caller,
            "skip": self.skip,
            **more,
        }


class Case(NamedTuple):
    """One disturbance.

    Attributes:
        kind: the row of the matrix.
        place: where; with the kind it names the case.
        rules: of one, it begins where it finds its first occasion; several apply from the act's beginning.
        stop: the call at which the execution is stopped, and the sweep runs, while the call is on its way.
        redrive: virtual seconds after an unsuccessful end at which the execution is redriven, once.
        lasting: virtual seconds after which the rules end; as long as the act and its aftermath, if None.
    """

    kind: str
    place: str
    rules: tuple[Rule, ...]
    stop: Point | None = None
    redrive: float | None = None
    lasting: float | None = None

    @property
    def name(self) -> str:
        """What `--case` takes."""
        return f"{self.kind}@{self.place}"


class Baseline(NamedTuple):
    """What an undisturbed run did: calls of the stack, states entered, events emitted."""

    calls: Sequence[Call]
    states: Sequence[tuple[str, str]]
    events: Sequence[Mapping[str, Any]]


def all_cases(baseline: Baseline, callers: frozenset[str] = frozenset()) -> list[Case]:
    """Every case of a scenario, in a fixed order.

    Args:
        callers: only faults at calls of these, where the rest is another scenario's.
    """
    calls = [call for call in baseline.calls if not callers or call.caller in callers]
    at_calls = [case for point in points(calls) for case in _at_call(point)]
    of_many_calls = [*_storms(), *_outages(baseline, callers)]
    if callers:
        return [*at_calls, *of_many_calls]
    return [
        *at_calls,
        *of_many_calls,
        *_in_states(baseline.states),
        *_of_events(baseline.events),
        *_of_resources(baseline),
    ]


def sample(cases: Sequence[Case], number: int, seed: int) -> list[Case]:
    """So many cases, of all kinds in turn, the same ones for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    by_kind: dict[str, list[Case]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case)
    groups = list(by_kind.values())
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    chosen: list[Case] = []
    while len(chosen) < number and any(groups):
        for group in groups:
            if group and len(chosen) < number:
                chosen.append(group.pop())
    return chosen


def points(calls: Iterable[Call]) -> Iterator[Point]:
    """The calls to disturb.

    All writes, and of reads that a function repeats the first three and the last two: the ones between
    are polls and look-ups of the same thing, which answer alike.
    """
    calls = list(calls)
    totals = Counter((call.service, call.operation, call.caller) for call in calls)
    seen: Counter[tuple[str, str, str]] = Counter()
    for call in calls:
        key = (call.service, call.operation, call.caller)
        number, seen[key] = seen[key], seen[key] + 1
        if not _is_read(call.operation) or number < 3 or number >= totals[key] - 2:
            yield Point(*key, number)


def _is_read(operation: str) -> bool:
    return operation.startswith(("Describe", "Get", "List", "BatchGet"))


def _at_call(point: Point) -> Iterator[Case]:
    if point.caller.endswith("Function"):
        yield from _at_function_call(point)
    else:
        yield from _at_platform_call(point)


def _at_function_call(point: Point) -> Iterator[Case]:
    code, status = THROTTLED.get(point.service, ("ThrottlingException", 400))
    refused = REFUSED.get(point.service, "AccessDeniedException")
    kinds: dict[str, Rule] = {
        "throttled": point.rule("error", code=code, status=status, times=BEYOND_THE_SDK),
        "refused": point.rule("error", code=refused, status=403),
        # For so long that steps and whole executions are refused again and again, as by a policy.
        "refused-for-long": point.rule("error", code=refused, status=403, times=REFUSED_FOR_LONG),
        # What no table knows.
        "unknown-code": point.rule("error", code=UNKNOWN_CODE, status=400),
        "server-error-after-effect": point.rule("error", code="InternalError", status=500, when="after"),
        "answer-lost": point.rule("lost"),
        "answer-lacks-members": point.rule("lacks"),
        "answer-cut-off": point.rule("cut"),
        "error-without-code": point.rule("error", code=""),
        "killed-before": point.rule("killed", when="before"),
        "killed-after": point.rule("killed"),
        "timed-out": point.rule("hangs"),
    }
    if point.operation in NOT_FOUND:
        kinds["not-visible-yet"] = point.rule("error", code=NOT_FOUND[point.operation], times=3)
    if _is_read(point.operation) and point.service != "dynamodb":
        kinds["stale"] = point.rule("stale")
    else:
        kinds["slow"] = point.rule("slow", seconds=20)
    for kind, rule in kinds.items():
        yield Case(kind, point.place, (rule,))
    if point.caller in PUBLISHING:
        yield Case("stopped-and-swept", point.place, (), stop=point)


def _at_platform_call(point: Point) -> Iterator[Case]:
    """Calls of the state machine, the rules and the schedule: they start executions and functions."""
    code, status = THROTTLED.get(point.service, ("ThrottlingException", 400))
    yield Case("throttled", point.place, (point.rule("error", code=code, status=status, times=2),))
    yield Case("answer-lost", point.place, (point.rule("lost"),))
    if point.service == "lambda":
        yield Case("task-delivered-twice", point.place, (point.rule("repeated"),))
        yield Case("task-delivered-twice-at-once", point.place, (point.rule("repeated", apart=0.1),))


def _storms() -> Iterator[Case]:
    """So many of a hundred calls go wrong in every way at once, and then none does."""
    for share in STORM_SHARES:
        for number in range(STORMS_OF_EACH_SHARE):
            ways: tuple[Rule, ...] = (
                {"kind": "error", "code": "ThrottlingException", "status": 400},
                {"kind": "error", "code": "InternalError", "status": 500, "when": "after"},
                {"kind": "lost", "when": "after"},
                {"kind": "lost", "when": "before"},
                {"kind": "lacks"},
                {"kind": "killed", "when": "after"},
            )
            # Whoever skips another number of calls draws other lots for the rest.
            every: Rule = {"caller": FUNCTIONS, "times": None, "skip": number}
            rules = tuple({**way, **every, "probability": share / 100 / len(ways)} for way in ways)
            yield Case("storm", f"{share}%#{number}", rules, lasting=STORM_SECONDS)


def _outages(baseline: Baseline, callers: frozenset[str]) -> Iterator[Case]:
    """A service, or each, is gone for a while, from the first call that a function makes to it."""
    seen: Counter[str] = Counter()
    begun: set[tuple[str, str]] = set()
    for call in baseline.calls:
        if not call.caller.endswith("Function"):
            continue
        for service in (call.service, "*"):
            number, seen[service] = seen[service], seen[service] + 1
            if (service, call.caller) in begun or (callers and call.caller not in callers):
                continue
            begun.add((service, call.caller))
            rule: Rule = {
                "kind": "error",
                "code": "ServiceUnavailable",
                "status": 503,
                "service": service,
                "caller": FUNCTIONS,
                "skip": number,
                "times": None,
            }
            for seconds in OUTAGE_SECONDS:
                kind = "outage-of-all" if service == "*" else "outage-of-a-service"
                yield Case(kind, f"{call.caller}.{service}+{seconds:.0f}s", (rule,), lasting=seconds)


def _in_states(states: Sequence[tuple[str, str]]) -> Iterator[Case]:
    seen: Counter[str] = Counter()
    for name, kind in states:
        number, seen[name] = seen[name], seen[name] + 1
        moments = {"Task": (0.0, 0.2, 1.5), "Wait": (0.0, 1.5)}.get(kind, (0.0,))
        for after in moments:
            for status in ("ABORTED", "TIMED_OUT"):
                rule = {
                    "kind": "execution_ends",
                    "state": name,
                    "skip": number,
                    "status": status,
                    "after": after,
                }
                label = "aborted" if status == "ABORTED" else "execution-timed-out"
                yield Case(label, f"{name}#{number}+{after}", (rule,))
        # At once, before the clean-up, and when the clean-up is over.
        for redrive in (0.0, 120.0):
            rule = {
                "kind": "execution_ends",
                "state": name,
                "skip": number,
                "status": "ABORTED",
                "after": 0.2,
            }
            yield Case("redriven", f"{name}#{number}+{redrive}", (rule,), redrive=redrive)


def _of_events(events: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    seen: Counter[tuple[str, str]] = Counter()
    for event in events:
        key = (str(event["source"]), str(event["detail-type"]))
        number, seen[key] = seen[key], seen[key] + 1
        base = {"kind": "event", "source": key[0], "detail_type": key[1], "skip": number}
        place = f"{key[1]}#{number}"
        yield Case("event-lost", place, ({**base, "effect": "lose"},))
        yield Case("event-doubled", place, ({**base, "effect": "repeat", "seconds": 1},))
        yield Case("event-doubled-late", place, ({**base, "effect": "repeat", "seconds": 600},))
        yield Case("event-late", place, ({**base, "effect": "delay", "seconds": 45},))
        if key[0] == "aws.ecr":
            yield Case("push-untagged", place, ({**base, "effect": "untag"},))


def _of_resources(baseline: Baseline) -> Iterator[Case]:
    operations = {call.operation for call in baseline.calls}
    if "RunInstances" in operations:
        yield from _of_instances()
        yield from _of_capacity()
    if "CreateImage" in operations:
        for name in ("*", "*.candidate.*"):
            yield Case("image-fails", name, ({"kind": "image_fails", "name": name},))
        yield Case("snapshot-fails", "*", ({"kind": "snapshot_fails"},))
    for number in range(sum(_writes_latest(call) for call in baseline.calls)):
        for times in (1, 3, None):
            rule = {"kind": "value_dropped", "parameter": "*/latest", "skip": number, "times": times}
            yield Case("value-dropped", f"latest#{number}x{times}", (rule,))


def _of_instances() -> Iterator[Case]:
    for role in ("builder", "canary"):
        for after in (None, 0.5, 2, 5, 9, 14, 20):
            rule = {"kind": "instance_dies", "role": role, "after": after}
            yield Case("instance-dies", f"{role}+{after}", (rule,))
        yield Case("agent-never-online", role, ({"kind": "agent_never_online", "role": role},))
        for after in (0, 1, 3):
            rule = {"kind": "agent_vanishes", "role": role, "after": after}
            yield Case("agent-vanishes", f"{role}+{after}", (rule,))
    for document in ("ProvisionImage", "VerifyImage"):
        for times in (1, None):
            rule = {"kind": "command_fails", "document": document, "times": times}
            yield Case("command-fails", f"{document}x{times}", (rule,))
        for times in (1, 3, 5):
            rule = {"kind": "command_lost", "document": document, "times": times}
            yield Case("command-lost", f"{document}x{times}", (rule,))


def _of_capacity() -> Iterator[Case]:
    for number in (1, 3, 9, 20):
        yield Case("no-capacity", f"first {number}", ({"kind": "capacity", "times": number},))
    yield Case(
        "no-capacity", "m7i.large", ({"kind": "capacity", "instance_type": "m7i.large", "times": None},)
    )
    yield Case("no-capacity", "ever", ({"kind": "capacity", "times": None},))
    unsupported = {"kind": "capacity", "code": "Unsupported", "times": 2}
    yield Case("no-capacity", "unsupported", (unsupported,))
    for limit in (0, 2):
        yield Case("no-quota", f"{limit} vCPUs", ({"kind": "quota", "limit": limit},))


def _writes_latest(call: Call) -> bool:
    return call.operation == "PutParameter" and str(call.parameters.get("Name")).endswith("/latest")
