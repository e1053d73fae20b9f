"""Which IAM actions each adapter method needs, stated where the call is made.

A test holds these declarations and the statements of the template in agreement, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_ATTRIBUTE: Final = "iam_actions"


def calls(*actions: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare the IAM actions (`ec2:RunInstances`) that the decorated method needs."""
    for action in actions:
        service, _, name = action.partition(":")
        if not service.islower() or not name:
            raise ValueError(f"{action!r} is no IAM action; write it as service:Action")

    def declare(method: Callable[P, R]) -> Callable[P, R]:
        method.__dict__[_ATTRIBUTE] = frozenset(actions)
        return method

    return declare


def actions_of(method: Callable[..., Any]) -> frozenset[str]:
    """The IAM actions that a method declares, bound or not.

    Raises `LookupError` for a method without a declaration (one that needs no action declares that).
    """
    actions: frozenset[str] | None = getattr(method, _ATTRIBUTE, None)
    if actions is None:
        raise LookupError(
            f"{getattr(method, '__qualname__', method)} declares no IAM actions; add @calls(...)"
        )
    return actions
