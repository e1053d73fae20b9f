"""Holds every call of an adapter to the IAM actions that its method declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ami_lifecycle.adapters.permissions import actions_of
from aws_emulator.gateway.calls import CallLog

# The service authorization reference names Step Functions by its endpoint.
PREFIXES = {"stepfunctions": "states"}


class UndeclaredActionError(AssertionError):
    """A method has called AWS for something that it does not declare."""


class Watched:
    """An adapter whose calls are compared with the account's call log."""

    def __init__(self, adapter: object, calls: CallLog) -> None:
        self._adapter = adapter
        self._seen: list[str] = []
        calls.subscribe(
            lambda call: self._seen.append(f"{PREFIXES.get(call.service, call.service)}:{call.operation}")
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._adapter, name)
        declared = actions_of(method)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._seen.clear()
            try:
                return method(*args, **kwargs)
            finally:
                undeclared = set(self._seen) - declared
                if undeclared:
                    raise UndeclaredActionError(f"{name} needs @calls({', '.join(sorted(undeclared))})")

        return call
