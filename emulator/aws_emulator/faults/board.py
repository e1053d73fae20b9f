"""The fault rules that were posted, and their look-up by the emulated services."""

from __future__ import annotations

import copy
import fnmatch
import random
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from aws_emulator.api.operations import Request, Response
from aws_emulator.api.strict_json import strict_json
from aws_emulator.clock import Clock
from aws_emulator.faults import rules
from aws_emulator.faults.call_faults import CallFaults, at, matches_call
from aws_emulator.gateway.gateway import Route

_Kind = TypeVar("_Kind", bound=rules.Rule)


class FaultError(ValueError):
    """A posted rule is not valid; the message names the field."""


class _Posted:
    def __init__(self, rule: Any, asked: Callable[[], bool] | None) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.rule = rule
        self.asked = asked
        self.seen = 0
        self.applied = 0

    def occurs(self, draw: Callable[[], float]) -> bool:
        """Count one matching occasion; whether the fault applies to it."""
        self.seen += 1
        exhausted = self.rule.times is not None and self.applied >= self.rule.times
        if self.seen <= self.rule.skip or exhausted:
            return False
        if self.rule.probability < 1 and draw() >= self.rule.probability:
            return False
        if self.asked is not None and not self.applied and not self.asked():
            return False
        self.applied += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "seen": self.seen, "applied": self.applied, "rule": self.rule.model_dump()}


class Faults:
    """The posted rules.

    Args:
        clock: by which slow calls are slow.
        seed: repeats the choices of rules with a probability.
    """

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._posted: list[_Posted] = []
        # Whoever is asked about a rule may drop others.
        self._lock = threading.RLock()
        self._random = random.Random(seed)  # noqa: S311 - chances of faults, no secrets
        self._calls = CallFaults(clock, self)

    def routes(self) -> dict[tuple[str, str], Route]:
        """What the gateway serves of the rules: listing, posting and deleting them."""
        path = "/_emulator/faults"
        return {
            ("GET", path): lambda _body, _query: (200, self.listing()),
            ("POST", path): self._post,
            ("DELETE", path): lambda _body, _query: (200, {"deleted": self.clear()}),
        }

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Apply the rules for API calls (a gateway middleware)."""
        return self._calls.around_call(request, proceed)

    def add(self, rule: Mapping[str, Any], asked: Callable[[], bool] | None = None) -> str:
        """Add a rule; returns its id.

        Args:
            asked: called at the first match; whether the rule is to apply.

        Raises:
            FaultError: naming the field that is wrong.
        """
        try:
            parsed = rules.FAULTS.validate_python(dict(rule))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "kind"
            raise FaultError(f"{where}: {first['msg']}") from error
        posted = _Posted(parsed, asked)
        with self._lock:
            self._posted.append(posted)
        return posted.id

    def load(self, path: Path) -> list[str]:
        """Add the rules of a file; returns their ids.

        Raises:
            FaultError: the file cannot be read, or a rule is wrong.
        """
        try:
            return self._add_all(path.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise FaultError(f"{path}: {error}") from error

    def clear(self) -> int:
        """Drop all rules; returns how many there were."""
        with self._lock:
            count, self._posted = len(self._posted), []
        return count

    def drop(self, ids: Collection[str]) -> int:
        """Drop some rules; returns how often they applied."""
        with self._lock:
            dropped = [posted for posted in self._posted if posted.id in ids]
            self._posted = [posted for posted in self._posted if posted.id not in ids]
        return sum(posted.applied for posted in dropped)

    def listing(self) -> list[dict[str, Any]]:
        """All rules with how often they were seen and applied."""
        with self._lock:
            return [posted.as_json() for posted in self._posted]

    # What the services ask.

    def command(
        self, document: str, environment: str | None, digest: str | None
    ) -> rules.CommandFault | None:
        """The fault for a command of `document` that is about to run."""
        return self.first(
            rules.CommandFault,
            lambda rule: (
                rule.document in document
                and rule.environment in {None, environment}
                and rule.digest in {None, digest}
            ),
        )

    def lost_command(self, document: str) -> rules.LostCommandFault | None:
        """The fault for a command of `document` that is being delivered."""
        return self.first(rules.LostCommandFault, lambda rule: rule.document in document)

    def deliveries(self, event: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
        """The events to deliver for an event, each with a delay in emulated seconds."""
        fault = self.first(rules.EventFault, lambda rule: _matches_event(rule, event))
        match fault.effect if fault else None:
            case "lose":
                return []
            case "repeat" if fault:
                return [(0.0, event), (fault.seconds, event)]
            case "delay" if fault:
                return [(fault.seconds, event)]
            case "untag" if fault:
                return [(0.0, _untagged(event, None)), (0.0, _untagged(event, ""))]
            case _:
                return [(0.0, event)]

    def image(self, name: str) -> rules.ImageFault | None:
        """The fault for an image that is being created."""
        return self.first(rules.ImageFault, lambda rule: fnmatch.fnmatchcase(name, rule.name))

    def snapshot(self, image_name: str) -> rules.SnapshotFault | None:
        """The fault for the snapshots of an image that is being created."""
        return self.first(rules.SnapshotFault, lambda rule: fnmatch.fnmatchcase(image_name, rule.name))

    def dropped_value(self, parameter: str) -> rules.DroppedValueFault | None:
        """The fault for a value that is being validated."""
        return self.first(
            rules.DroppedValueFault, lambda rule: fnmatch.fnmatchcase(parameter, rule.parameter)
        )

    def agent(self, role: str) -> rules.AgentFault | None:
        """The fault for the agent of an instance that starts."""
        return self.first(rules.AgentFault, lambda rule: fnmatch.fnmatchcase(role, rule.role))

    def vanishing_agent(self, role: str) -> rules.VanishingAgentFault | None:
        """The fault for an agent that has just reported."""
        return self.first(rules.VanishingAgentFault, lambda rule: fnmatch.fnmatchcase(role, rule.role))

    def instance(self, role: str) -> rules.InstanceFault | None:
        """The fault for an instance that is being launched."""
        return self.first(rules.InstanceFault, lambda rule: fnmatch.fnmatchcase(role, rule.role))

    def quota(self, instance_type: str, requested: Callable[[str], int]) -> rules.QuotaFault | None:
        """The limit of vCPUs that a launch of a type breaks.

        Args:
            wanted: how many vCPUs there would be of the types that a pattern names.
        """
        return self.first(
            rules.QuotaFault,
            lambda rule: (
                fnmatch.fnmatchcase(instance_type, rule.instance_type)
                and requested(rule.instance_type) > rule.limit
            ),
        )

    def initialization(self, requested: int) -> rules.InitializationFault | None:
        """The quota of MiB/s of concurrent initialization that `requested` breaks: a rule's, or what AWS begins with.

        A rule with a higher limit is a quota that was raised; any other leaves AWS's own in force beside it.
        """
        found = self.first(rules.InitializationFault, lambda rule: requested > rule.limit)
        if found is not None:
            return found
        default = rules.InitializationFault(kind="initialization")
        with self._lock:
            raised = any(
                isinstance(each.rule, rules.InitializationFault) and each.rule.limit > default.limit
                for each in self._posted
            )
        return default if requested > default.limit and not raised else None

    def execution(self, name: str, state: str) -> rules.ExecutionFault | None:
        """The fault for an execution that enters a state."""
        return self.first(
            rules.ExecutionFault,
            lambda rule: rule.state == state and fnmatch.fnmatchcase(name, rule.execution),
        )

    def first(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> _Kind | None:
        """The first rule of a kind that applies to an occasion, which is counted."""
        with self._lock:
            for posted in self._posted:
                if (
                    isinstance(posted.rule, kind)
                    and matches(posted.rule)
                    and posted.occurs(self._random.random)
                ):
                    return posted.rule
        return None

    def for_call(self, request: Request) -> rules.Rule | None:
        """The first rule that applies to an API call, other than slowness."""
        return self.first(
            rules.Rule, lambda rule: not isinstance(rule, rules.SlowFault) and matches_call(rule, request)
        )

    def error_within(self, request: Request) -> rules.ErrorFault | None:
        """The error of a call that a service makes itself on a caller's behalf."""
        return self.first(rules.ErrorFault, lambda rule: matches_call(rule, request))

    def slowness(self, request: Request) -> float:
        """How many emulated seconds all rules together add to a call."""
        with self._lock:
            return sum(
                posted.rule.seconds
                for posted in self._posted
                if isinstance(posted.rule, rules.SlowFault)
                and matches_call(posted.rule, request)
                and posted.occurs(self._random.random)
            )

    @property
    def knows_stale_reads(self) -> bool:
        """Whether answers to reads have to be remembered."""
        with self._lock:
            return any(isinstance(posted.rule, rules.StaleFault) for posted in self._posted)

    def _add_all(self, body: bytes) -> list[str]:
        content = strict_json(body)
        return [self.add(rule) for rule in (content if isinstance(content, list) else [content])]

    def _post(self, body: bytes, _query: dict[str, str]) -> tuple[int, Any]:
        try:
            return 200, {"ids": self._add_all(body)}
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}


def _matches_event(rule: rules.EventFault, event: Mapping[str, Any]) -> bool:
    return (
        fnmatch.fnmatchcase(event["source"], rule.source)
        and fnmatch.fnmatchcase(event["detail-type"], rule.detail_type)
        and all(at(event["detail"], path) == value for path, value in rule.match.items())
    )


def _untagged(event: dict[str, Any], tag: str | None) -> dict[str, Any]:
    changed = copy.deepcopy(event)
    changed["detail"].pop("image-tag", None)
    if tag is not None:
        changed["detail"]["image-tag"] = tag
    return changed
