"""Faults for fakes: an error before the effect, or after it (the response is lost), a call log, and hooks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Faulty")


class Call(NamedTuple):
    """One call that a step made."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Hook(Protocol):
    """What a test puts around every call: to watch it, to hold it up, or to let it fail."""

    def before(self, port: Faulty, call: Call) -> None:
        """The call has not had its effect. An error raised here prevents it."""

    def after(self, port: Faulty, call: Call) -> None:
        """The call has had its effect. An error raised here loses the response."""


@dataclass
class Fault:
    """An error for the next calls of one method."""

    method: str
    error: Exception
    after: bool
    skip: int
    times: int


class Faulty:
    """Base of all fakes: remembers calls and raises what a test has ordered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.hooks: list[Hook] = []
        self._faults: list[Fault] = []

    def fail(
        self, method: str, error: Exception, *, after: bool = False, skip: int = 0, times: int = 1
    ) -> None:
        """Let the method raise, `times` times, after `skip` good calls.

        `after` applies the effect first: AWS did it, and the response was lost.
        """
        if method not in dir(self):
            raise LookupError(f"{type(self).__name__} has no method {method}")
        self._faults.append(Fault(method, error, after, skip, times))

    def called(self, method: str) -> list[Call]:
        """The calls of one method, oldest first."""
        return [call for call in self.calls if call.method == method]

    def fault_for(self, method: str) -> Fault | None:
        """The fault that this call has to suffer, used up by asking."""
        for fault in self._faults:
            if fault.method != method or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                return None
            fault.times -= 1
            return fault
        return None


def port_call(method: Callable[Concatenate[F, P], R]) -> Callable[Concatenate[F, P], R]:
    """Mark a method of a port: it is logged, and suffers the faults that a test has ordered."""
    name = method.__name__

    @functools.wraps(method)
    def wrapper(self: F, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call = Call(name, args, dict(kwargs))
        self.calls.append(call)
        for hook in self.hooks:
            hook.before(self, call)
        fault = self.fault_for(name)
        if fault is not None and not fault.after:
            raise fault.error
        result = method(self, *args, **kwargs)
        for hook in self.hooks:
            hook.after(self, call)
        if fault is not None:
            raise fault.error
        return result

    return wrapper
