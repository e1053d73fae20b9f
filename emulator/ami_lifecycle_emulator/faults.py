"""Faults on demand: errors, lost responses, and resources that fail.

Rules are posted as JSON to `/_emulator/faults`, one object or a list. The first rule that matches an
occasion applies to it, `times` times (null: always), after the first `skip` matching occasions.

    error               service, operation, caller, match, code, message, status, when (before, after)
    slow                service, operation, caller, match, seconds
    event               source, detail_type, match, effect (lose, repeat, delay), seconds
    command_fails       document, environment, digest, stderr, exit_code
    command_lost        document
    image_fails         name, reason
    agent_never_online  role
    instance_dies       role, reason, after

`service`, `operation`, `caller`, `source`, `detail_type`, `name` and `role` may hold wildcards;
`document` is part of a name; `match` holds values by dotted path into the parameters or the detail.
`when: after` lets the call take effect and loses the response. Seconds are emulated.
"""

from __future__ import annotations

import fnmatch
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ami_lifecycle_emulator.clock import Clock
from ami_lifecycle_emulator.gateway import Gateway
from ami_lifecycle_emulator.operations import ApiError, Request, Response


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    times: int | None = Field(default=1, ge=1, description="how often it applies; null for always")
    skip: int = Field(default=0, ge=0, description="how many matching occasions pass first")


class _CallRule(_Rule):
    service: str = "*"
    operation: str = "*"
    caller: str = "*"
    match: dict[str, Any] = Field(default_factory=dict)


class ErrorFault(_CallRule):
    """A call that answers with an error, before or after it takes effect."""

    kind: Literal["error"]
    code: str
    message: str = "An emulated fault."
    status: int = Field(default=400, ge=400, le=599)
    when: Literal["before", "after"] = "before"


class SlowFault(_CallRule):
    """A call whose answer takes longer, in emulated seconds."""

    kind: Literal["slow"]
    seconds: float = Field(gt=0)


class CommandFault(_Rule):
    """A Run Command document that fails on the instance."""

    kind: Literal["command_fails"]
    document: str
    environment: str | None = None
    digest: str | None = None
    stderr: str = "the emulated command failed"
    exit_code: int = Field(default=1, ge=1, le=255)


class LostCommandFault(_Rule):
    """A command that never reaches its instance."""

    kind: Literal["command_lost"]
    document: str = ""


class EventFault(_Rule):
    """An event that is lost, delivered twice, or delivered `seconds` (emulated) late."""

    kind: Literal["event"]
    source: str = "*"
    detail_type: str = "*"
    match: dict[str, Any] = Field(default_factory=dict)
    effect: Literal["lose", "repeat", "delay"]
    seconds: float = Field(default=60.0, ge=0)


class ImageFault(_Rule):
    """An image that ends in the state `failed`."""

    kind: Literal["image_fails"]
    name: str = "*"
    reason: str = "Server.InternalError: Internal error on launch"


class AgentFault(_Rule):
    """An instance whose SSM agent never reports."""

    kind: Literal["agent_never_online"]
    role: str = "*"


class InstanceFault(_Rule):
    """An instance that goes from `pending` to `terminated`, or ends `after` emulated seconds."""

    kind: Literal["instance_dies"]
    role: str = "*"
    after: float | None = Field(default=None, ge=0)
    reason: str = "Client.VolumeLimitExceeded: Volume limit exceeded"


Fault = Annotated[
    ErrorFault
    | SlowFault
    | CommandFault
    | LostCommandFault
    | EventFault
    | ImageFault
    | AgentFault
    | InstanceFault,
    Field(discriminator="kind"),
]
_FAULTS: TypeAdapter[Any] = TypeAdapter(Fault)
_Kind = TypeVar("_Kind", bound=_Rule)


class FaultError(ValueError):
    """A posted rule is not valid; the message names the field."""


class _Posted:
    def __init__(self, rule: Any) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.rule = rule
        self.seen = 0
        self.applied = 0

    def occurs(self) -> bool:
        """Count one matching occasion; whether the fault applies to it."""
        self.seen += 1
        exhausted = self.rule.times is not None and self.applied >= self.rule.times
        if self.seen <= self.rule.skip or exhausted:
            return False
        self.applied += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "seen": self.seen, "applied": self.applied, "rule": self.rule.model_dump()}


class Faults:
    """The posted rules, and the questions that the emulated services ask about them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._posted: list[_Posted] = []
        self._lock = threading.Lock()

    def attach(self, gateway: Gateway) -> None:
        """Serve the rules under `/_emulator/faults` and apply them to the gateway's calls."""
        gateway.middlewares.append(self.around_call)
        gateway.routes[("GET", "/_emulator/faults")] = lambda _body, _query: (200, self.listing())
        gateway.routes[("POST", "/_emulator/faults")] = self._post
        gateway.routes[("DELETE", "/_emulator/faults")] = lambda _body, _query: (
            200,
            {"deleted": self.clear()},
        )

    def add(self, rule: Mapping[str, Any]) -> str:
        """Add a rule; returns its id.

        Raises:
            FaultError: naming the field that is wrong.
        """
        try:
            parsed = _FAULTS.validate_python(dict(rule))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "kind"
            raise FaultError(f"{where}: {first['msg']}") from error
        posted = _Posted(parsed)
        with self._lock:
            self._posted.append(posted)
        return posted.id

    def clear(self) -> int:
        """Drop all rules; returns how many there were."""
        with self._lock:
            count = len(self._posted)
            self._posted.clear()
        return count

    def listing(self) -> list[dict[str, Any]]:
        """All rules with how often they were seen and applied."""
        with self._lock:
            return [posted.as_json() for posted in self._posted]

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Apply the rules for API calls (a gateway middleware)."""
        for slow in self._all(SlowFault, lambda rule: _matches_call(rule, request)):
            self._clock.sleep(slow.seconds)
        fault = self._first(ErrorFault, lambda rule: _matches_call(rule, request))
        if fault is None:
            return proceed()
        if fault.when == "after":
            proceed()
        raise ApiError(fault.code, fault.message, fault.status)

    def command(self, document: str, environment: str | None, digest: str | None) -> CommandFault | None:
        """The fault for a command of `document` that is about to run."""
        return self._first(
            CommandFault,
            lambda rule: (
                rule.document in document
                and rule.environment in {None, environment}
                and rule.digest in {None, digest}
            ),
        )

    def lost_command(self, document: str) -> LostCommandFault | None:
        """The fault for a command of `document` that is being delivered."""
        return self._first(LostCommandFault, lambda rule: rule.document in document)

    def deliveries(self, event: Mapping[str, Any]) -> list[float]:
        """How many emulated seconds late an event is to be delivered, once for each delivery."""
        fault = self._first(EventFault, lambda rule: _matches_event(rule, event))
        if fault is None:
            return [0.0]
        return {"lose": [], "repeat": [0.0, fault.seconds], "delay": [fault.seconds]}[fault.effect]

    def image(self, name: str) -> ImageFault | None:
        """The fault for an image that is being created."""
        return self._first(ImageFault, lambda rule: fnmatch.fnmatchcase(name, rule.name))

    def agent(self, role: str) -> AgentFault | None:
        """The fault for the agent of an instance that starts."""
        return self._first(AgentFault, lambda rule: fnmatch.fnmatchcase(role, rule.role))

    def instance(self, role: str) -> InstanceFault | None:
        """The fault for an instance that is being launched."""
        return self._first(InstanceFault, lambda rule: fnmatch.fnmatchcase(role, rule.role))

    def _first(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> _Kind | None:
        with self._lock:
            for posted in self._posted:
                if isinstance(posted.rule, kind) and matches(posted.rule) and posted.occurs():
                    return posted.rule
        return None

    def _all(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> list[_Kind]:
        with self._lock:
            return [
                posted.rule
                for posted in self._posted
                if isinstance(posted.rule, kind) and matches(posted.rule) and posted.occurs()
            ]

    def _post(self, body: bytes, _query: dict[str, str]) -> tuple[int, Any]:
        try:
            content = json.loads(body)
            rules = content if isinstance(content, list) else [content]
            return 200, {"ids": [self.add(rule) for rule in rules]}
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}


def _matches_call(rule: Any, request: Request) -> bool:
    return (
        fnmatch.fnmatchcase(request.service, rule.service)
        and fnmatch.fnmatchcase(request.operation, rule.operation)
        and fnmatch.fnmatchcase(request.caller, rule.caller)
        and all(_at(request.parameters, path) == value for path, value in rule.match.items())
    )


def _matches_event(rule: EventFault, event: Mapping[str, Any]) -> bool:
    return (
        fnmatch.fnmatchcase(event["source"], rule.source)
        and fnmatch.fnmatchcase(event["detail-type"], rule.detail_type)
        and all(_at(event["detail"], path) == value for path, value in rule.match.items())
    )


def _at(parameters: Any, path: str) -> Any:
    """The value at a dotted path such as `TagSpecifications.0.ResourceType`, or None."""
    value = parameters
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
