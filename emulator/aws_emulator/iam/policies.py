"""Policy documents and their evaluation (IAM user guide, Policy evaluation logic)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Final

from aws_emulator.iam.conditions import Condition, PolicyError, Values, conditions_of, pattern_of

EVERYTHING: Final = "*"
_ELEMENTS: Final = frozenset({"Sid", "Effect", "Action", "Resource", "Condition", "Principal"})


@dataclass(frozen=True)
class Check:
    """One check of a call: may the caller do `action` on `resource`?

    Attributes:
        resource: an ARN, or `*` for an action that has no resource. What does not exist yet ends in `/*`.
        context: condition keys in lower case with their values.
        admitted: whether the resource's own policy admits the caller, so that only a Deny refuses it (IAM user
            guide, Policy evaluation for requests within a single account).
    """

    action: str
    resource: str = EVERYTHING
    context: tuple[tuple[str, Values], ...] = ()
    admitted: bool = False


def check(
    action: str,
    resource: str = EVERYTHING,
    context: Mapping[str, Iterable[str] | str] | None = None,
    *,
    admitted: bool = False,
) -> Check:
    """A check whose condition keys may be written in any case; keys without a value are left out."""
    given = {
        key.lower(): (value,) if isinstance(value, str) else tuple(value)
        for key, value in (context or {}).items()
    }
    keys = tuple(sorted((key, value) for key, value in given.items() if value))
    return Check(action, resource, keys, admitted)


class Decision(Enum):
    """The result of an evaluation; without a matching statement, a call is denied implicitly."""

    ALLOWED = "allowed"
    DENIED_IMPLICITLY = "implicit deny"
    DENIED_EXPLICITLY = "explicit deny"
    DENIED_BY_ORGANIZATION = "explicit deny in a service control policy"


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = field(compare=False)
    principals: tuple[str, ...] = ()

    def matches(self, asked: Check) -> bool:
        """Whether the statement applies to a check."""
        if not any(pattern_of(each.lower()).fullmatch(asked.action.lower()) for each in self.actions):
            return False
        if not any(pattern_of(each).fullmatch(asked.resource) for each in self.resources):
            return False
        context = dict(asked.context)
        return all(condition.holds(context) for condition in self.conditions)


def parse_statements(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """The statements of a policy document.

    Raises:
        PolicyError: for an element that is unknown, or that the emulator cannot evaluate.
    """
    return tuple(_statement(raw) for raw in _listed(document.get("Statement", [])))


def _statement(raw: Mapping[str, Any]) -> Statement:
    name = raw.get("Sid", "a statement without a Sid")
    if unknown := set(raw) - _ELEMENTS:
        raise PolicyError(f"{name}: the emulator does not evaluate {sorted(unknown)}")
    if raw.get("Effect") not in {"Allow", "Deny"}:
        raise PolicyError(f"{name}: Effect must be Allow or Deny, not {raw.get('Effect')!r}")
    if "Action" not in raw:
        raise PolicyError(f"{name} has no Action")
    if "Principal" not in raw and "Resource" not in raw:
        raise PolicyError(f"{name} has no Resource")
    for action in _listed(raw["Action"]):
        if action != EVERYTHING and ":" not in action:
            raise PolicyError(f"{name}: {action!r} is no action; write it as service:Action")
    try:
        conditions = conditions_of(raw.get("Condition", {}))
    except PolicyError as error:
        raise PolicyError(f"{name}: {error}") from error
    return Statement(
        effect=raw["Effect"],
        actions=tuple(_listed(raw["Action"])),
        resources=tuple(_listed(raw.get("Resource", EVERYTHING))),
        conditions=conditions,
        principals=tuple(_principals(raw.get("Principal", {}))),
    )


def _principals(element: Any) -> list[str]:
    if element == EVERYTHING:
        return [EVERYTHING]
    return [str(each) for values in element.values() for each in _listed(values)]


@cache
def statements_of(document: str) -> tuple[Statement, ...]:
    """The statements of a policy document in JSON, parsed once; raises PolicyError."""
    content = json.loads(document)
    if not isinstance(content, dict):
        raise PolicyError("a policy is a JSON object")
    given = content.get("Statement")
    if not all(isinstance(each, dict) for each in (given if isinstance(given, list) else [given])):
        raise PolicyError("a policy's Statement is an object or a list of objects")
    return parse_statements(content)


def decide(statements: Iterable[Statement], asked: Check) -> Decision:
    """Evaluate a check: a Deny outweighs every Allow."""
    allowed = asked.admitted
    for statement in statements:
        if statement.matches(asked):
            if statement.effect == "Deny":
                return Decision.DENIED_EXPLICITLY
            allowed = True
    return Decision.ALLOWED if allowed else Decision.DENIED_IMPLICITLY


def admits(document: str, principal: str, asked: Check) -> bool:
    """Whether a resource-based policy or a trust policy lets a service do something."""
    applicable = [
        statement
        for statement in statements_of(document)
        if {principal, EVERYTHING} & set(statement.principals)
    ]
    return decide(applicable, asked) is Decision.ALLOWED


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
