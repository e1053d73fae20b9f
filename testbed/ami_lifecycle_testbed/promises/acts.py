"""What somebody does in a world, as the promises see it: one call, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple

from ami_lifecycle_testbed.promises.view import LookUp


class Invocation:
    """One invocation of a function, as well as it can be told from others; what is kept of it ends with it."""


_INVOCATIONS: Final[ContextVar[dict[str, Invocation]]] = ContextVar("invocations")


def invocation_of(caller: str) -> Invocation:
    """The caller's invocation in this thread, actor of virtual time, or context."""
    known = _INVOCATIONS.get(None)
    if known is None:
        _INVOCATIONS.set(known := {})
    return known.setdefault(caller, Invocation())


class Act(NamedTuple):
    """A call on its way.

    Attributes:
        operation: AWS's name of it.
        by_person: whoever calls is no part of the stack.
        invocation: who calls.
        changes: ids of the resources that it changes.
        parameter: the parameter that it writes or deletes.
        value: what it writes.
        looks_up: what it asks about uses of images.
        describe: the call in words.
    """

    operation: str
    by_person: bool
    invocation: Invocation
    changes: tuple[str, ...] = ()
    parameter: str | None = None
    value: str | None = None
    looks_up: tuple[LookUp, ...] = ()
    describe: Callable[[], str] = str


class Effect(NamedTuple):
    """What a call has created.

    Attributes:
        instances: ids of instances.
        images: ids of images.
        snapshots: ids of snapshots that are made for themselves, and not for an image.
    """

    instances: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()


NONE: Final = Effect()
