"""What an account is like, as a text that two accounts share when the same can follow in both.

Every id that was drawn by chance gets a number in the order in which the ids come, every time an age on a coarse
scale, so that neither names nor jitter tell two states apart. All that the emulated services keep is walked; what is
left out is listed here, with the reason.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
import weakref
from bisect import bisect
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, ModuleType
from typing import Any, Final

from tests.faults.runner import is_heard
from tests.faults.world import World

from ami_lifecycle_testbed.promises import View
from ami_lifecycle_testbed.promises.remains import Created
from ami_lifecycle_testbed.promises.violations import Violations
from aws_emulator.cloudformation.stack import Stack
from aws_emulator.durations import Durations
from aws_emulator.ec2.requests import ClientTokens
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.eventbridge.recurrence import Ticker
from aws_emulator.eventbridge.rules import Rules
from aws_emulator.eventbridge.scheduler import Scheduler
from aws_emulator.faults import Faults
from aws_emulator.gateway.api import Api
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.iam.account import AccountView
from aws_emulator.iam.enforcement import Enforcement
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.layers import Layers
from aws_emulator.lambda_.service import Lambda
from aws_emulator.logs import Logs
from aws_emulator.s3.buckets import StoredObject
from aws_emulator.server import Emulator
from aws_emulator.simulation.virtual_clock import VirtualClock
from aws_emulator.ssm.commands import Invocation
from aws_emulator.ssm.documents import DocumentVersion
from aws_emulator.ssm.parameters import IMAGE, Parameter
from aws_emulator.ssm.throttle import TokenBucket
from aws_emulator.step_functions.execution import Execution
from aws_emulator.step_functions.service import StepFunctions

# Ages in seconds that are told apart: of resources, eventual consistency and how long what has ended is shown; of
# dates, what the product goes by, which are pauses between attempts, days, and how long leases and calls go on. A
# case whose times fall on another side of such an age runs on.
_PAST: Final = (2.0, 3_600.0)
_PAST_DATES: Final = (600.0, 3_600.0, 172_800.0)
_FUTURE: Final = (3.0, 20.0, 120.0, 900.0, 7_200.0, 86_400.0)
_PART: Final = re.compile(
    r"(?P<date>20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00| GMT))"
    r"|(?P<epoch>\b17\d{8}(?:\.\d+)?\b)"
    r"|(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,}(?:-[0-9a-f]{8}\b)?|20\d{6}[T-]?\d{6}|\b[0-9A-F]{12}\b|[\w=+/-]{60,})"
)
# What has no state of its own, or one that nothing in the account's future depends on.
_LEFT_OUT: Final = (
    AccountView,
    Api,
    CallLog,
    ClientTokens,  # nobody gives one again in another state, and within one they made what is told
    EventBus,  # what is on its way is a timer
    Enforcement,
    Faults,  # of a state that is told, no fault is left
    DocumentVersion,
    Durations,
    Gateway,
    Emulator,
    Lambda,  # invocations are actors and timers
    Layers,
    Logs,
    ModuleType,
    MotoAccount,  # its tables are told below, the rest stays as it was deployed
    Ticker,  # fires at dates of the calendar, which are no ages
    Rules,
    Scheduler,
    Stack,
    StepFunctions,  # its executions are told below, and between two states nobody waits for a token
    View,
    re.Pattern,
    random.Random,  # whatever it draws can follow in both
    Violations,  # a case keeps its own
    VirtualClock,
    threading.Condition,
    weakref.WeakKeyDictionary,  # of invocations, of which none runs
)
_without_parts: set[str] = set()
_WITHOUT_MEMBERS: Final = (type(threading.Lock()), type(threading.RLock()), PurePath)
# Numbers that only say in which order things came, which the text says by its own order.
_ORDINALS: Final = frozenset({"sequence"})
_EXECUTION: Final = "emulator-execution"


def is_between_steps(world: World) -> bool:
    """Whether nothing is under way but one execution, which has just entered a state, or nothing at all."""
    clock = world.clock
    running = sum(execution.running for execution in world.executions())
    others = [actor for actor in clock.waiting if actor.name != "driver"]
    acting = clock.actor is not None and clock.actor.name != "driver"
    return running <= 1 and not others and acting <= running


def digest_of(world: World, phase: str) -> str:
    """The account's state, and how far whoever acts in it is."""
    return hashlib.sha256("\n".join(text_of(world, phase)).encode()).hexdigest()


def text_of(world: World, phase: str) -> list[str]:
    """The same as lines, to see what tells two states apart."""
    return _Text(world).lines(phase)


class _Text:
    def __init__(self, world: World) -> None:
        self._world = world
        self._now = world.clock.elapsed()
        self._date = world.clock.now()
        self._ids: dict[str, int] = {}
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        self._lines: list[str] = []

    def lines(self, phase: str) -> list[str]:
        world, clock = self._world, self._world.clock
        self._add("phase", phase)
        executions = world.executions()
        for execution in executions:
            if execution.running:
                root = execution.root
                self._add(
                    "running", [execution.name, execution.redrive_count, root and (root.state, root.data)]
                )
        self._tell_tables()
        for service in self._services():
            self._walk(type(service).__name__, service)
        self._walk("observers", world.observers)
        for actor in clock.waiting:
            self._add("waits", [actor.name, None if actor.due is None else self._age(actor.due)])
        self._tell_timers()
        self._tell_ended(executions)
        return self._lines

    def _services(self) -> Iterator[Any]:
        seen: set[int] = set()
        for handler in self._world.simulation.gateway.handlers.values():
            service = getattr(handler, "__self__", None)
            if service is not None and id(service) not in seen:
                seen.add(id(service))
                yield service

    def _tell_tables(self) -> None:
        with self._world.simulation.moto.backend("dynamodb") as dynamodb:
            for name, table in dynamodb.tables.items():
                for item in table.all_items():
                    self._add(self._string(name), item.attrs)

    def _tell_timers(self) -> None:
        told: list[str] = []
        for due, timer in self._world.clock.timers:
            callback = timer.callback
            if not (_is_unheard(callback) or _is_of_an_ended_command(callback)):
                told.append(f"{self._age(due)} {self._shown(callback)}")
        self._lines += sorted(told)

    def _tell_ended(self, executions: list[Execution]) -> None:
        """Those that something names, or that will be started under the same name again."""
        for execution in executions:
            if execution.running:
                continue
            ids = [match["id"] for match in _PART.finditer(execution.name) if match["id"]]
            if not ids or any(each in self._ids for each in ids):
                self._add("ended", [execution.name, execution.status, execution.error, execution.cause])

    def _add(self, label: str, value: Any) -> None:
        self._walk(label, value)

    def _walk(self, label: str, value: Any) -> None:
        self._lines.append(f"{label} {self._shown(value)}")

    # Values.

    def _shown(self, value: Any) -> str:  # noqa: PLR0911 - one for each kind
        match value:
            case str():
                return self._string(value)
            case None | bool() | int():
                return repr(value)
            case float():
                # A whole number is a setting, any other one a moment.
                return repr(value) if value.is_integer() else self._age(value)
            case bytes():
                return self._string(value.decode("latin-1"))
            case datetime():
                return self._date_age(value)
            case type():
                return value.__qualname__
        if isinstance(value, _LEFT_OUT) or type(value).__module__.startswith(
            "tests."
        ):  # who acts in the account
            return type(value).__name__
        known = self._seen.get(id(value))
        if known is not None:
            return f"#{known}"
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)  # so that no other one gets its id
        return self._inside(value)

    def _inside(self, value: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each kind
        match value:
            case Execution():
                return self._string(value.name)
            case TokenBucket():
                return "plenty" if 2 * self._left_in(value) >= value._burst else "little"
            case Function():
                return value.name
            case Parameter():
                # Nobody reads an older version but by an alias, which names an image.
                older = [each for each in value.versions[:-1] if each.data_type == IMAGE]
                return self._shown([value.name, value.tags, value.issued, older, value.latest])
            case Created():
                return self._set(self._there((*value.instances, *value.images)))
            case StoredObject():
                # Its checksums are of the ids in it.
                return self._shown([value.body, value.content_type])
            case Mapping():
                return (
                    "{"
                    + ", ".join(f"{self._shown(key)}: {self._shown(each)}" for key, each in value.items())
                    + "}"
                )
            case set() | frozenset():
                return self._set(value)
            case list() | tuple() | deque():
                return "[" + ", ".join(self._shown(each) for each in value) + "]"
            case partial():
                return f"partial {self._shown(value.func)} {self._shown(value.args)} {self._shown(value.keywords)}"
        if hasattr(value, "__func__"):
            return f"{value.__func__.__qualname__} of {self._shown(value.__self__)}"
        if isinstance(value, BuiltinFunctionType):
            return value.__qualname__
        if hasattr(value, "__closure__"):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return f"{value.__qualname__} {self._shown([each for each in cells if each is not value])}"
        return self._attributes(value)

    def _attributes(self, value: Any) -> str:
        if isinstance(value, _WITHOUT_MEMBERS):
            return type(value).__name__
        members = getattr(value, "__dict__", None)
        if members is None:
            raise TypeError(f"nobody has said how the state of {value!r} is told")
        return type(value).__name__ + "".join(
            f" {name}={self._shown(each)}" for name, each in list(members.items()) if name not in _ORDINALS
        )

    def _string(self, value: str) -> str:
        if value in _without_parts:
            return repr(value)
        text, changes = _PART.subn(self._part, value)
        if not changes:
            _without_parts.add(value)
        return repr(text)

    def _part(self, match: re.Match[str]) -> str:
        if match["date"]:
            return self._date_age(datetime.fromisoformat(match["date"].replace(" GMT", "Z")))
        if match["epoch"]:
            return _aged(float(match["epoch"]) - self._date.timestamp(), _PAST_DATES)
        return f"<{self._ids.setdefault(match['id'], len(self._ids))}>"

    def _date_age(self, date: datetime) -> str:
        return _aged((date - self._date).total_seconds(), _PAST_DATES)

    def _age(self, moment: float) -> str:
        return _aged(moment - self._now, _PAST)

    def _set(self, values: Iterable[Any]) -> str:
        """In an order that does not depend on ids: those come first that were named before."""
        return "{" + ", ".join(self._shown(each) for each in sorted(values, key=self._place)) + "}"

    def _place(self, value: Any) -> tuple[int, str]:
        ids = [match["id"] for match in _PART.finditer(repr(value)) if match["id"]]
        known = [self._ids[each] for each in ids if each in self._ids]
        return (known[0] if known else len(self._ids) + 1, _PART.sub("", repr(value)))

    # What only a part of is of use.

    def _left_in(self, bucket: TokenBucket) -> float:
        return min(bucket._burst, bucket._tokens + (self._now - bucket._filled) * bucket._rate)

    def _there(self, ids: Iterable[str]) -> list[str]:
        """Those that exist; for the others nothing can be seen that is not so already."""
        ec2 = self._world.simulation.ec2
        return [each for each in ids if each in ec2.instances or each in ec2.images]


def _aged(later: float, ages: Sequence[float]) -> str:
    return f"in<{bisect(_FUTURE, later)}>" if later > 0 else f"ago<{bisect(ages, -later)}>"


def _inner(callback: Any, seen: set[int]) -> Iterator[Any]:
    """What a call that is due will be made with."""
    for cell in getattr(callback, "__closure__", None) or ():
        content = cell.cell_contents
        if id(content) not in seen:
            seen.add(id(content))
            yield content
            yield from _inner(content, seen)


def _is_unheard(callback: Any) -> bool:
    """Whether it is the delivery of an event that no rule is for."""
    return isinstance(callback, partial) and not is_heard(callback.args[0])


def _is_of_an_ended_command(callback: Any) -> bool:
    """Whether it would end a command that has ended."""
    return any(isinstance(each, Invocation) and each.has_ended for each in _inner(callback, set()))


def is_pending_end(callback: Any) -> bool:
    """Whether it is a fault that is about to end an execution."""
    return "_end_by_fault" in callback.__qualname__ if hasattr(callback, "__qualname__") else False
