"""Errors inside a workflow, as `Retry` and `Catch` see them, and the two ways in which one is ended."""

from __future__ import annotations

from typing import Final

# Names that States.ALL does not match (Step Functions Developer Guide, Error names).
UNMATCHED_BY_ALL: Final = frozenset({"States.Runtime", "States.DataLimitExceeded"})


class StateError(Exception):
    """A state has failed.

    Args:
        error: the error's name, which `ErrorEquals` is compared with.
        cause: text for people, or a function's error payload as JSON.
    """

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def output(self) -> dict[str, str]:
        """The error output that a Catcher places in the state's data."""
        return {"Error": self.error, "Cause": self.cause}

    def matches(self, names: list[str]) -> bool:
        """Whether an `ErrorEquals` list names this error."""
        return any(self._matches(name) for name in names)

    def _matches(self, name: str) -> bool:
        if name == "States.ALL":
            return self.error not in UNMATCHED_BY_ALL
        if name == "States.TaskFailed":
            return self.error not in UNMATCHED_BY_ALL | {"States.Timeout"}
        return name == self.error


class ExecutionEndedError(Exception):
    """The execution is over, by StopExecution or its own timeout: enter no further state."""


class DefinitionError(ValueError):
    """The definition is not one that Step Functions, or this emulator, accepts."""
