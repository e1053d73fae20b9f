"""Errors inside a workflow, as `Retry` and `Catch` see them, and the two ways in which one is ended."""

from __future__ import annotations

from typing import Final

# An execution fails with it whatever Retry and Catch say (Step Functions Developer Guide, Error names).
RUNTIME: Final = "States.Runtime"
TIMEOUT: Final = "States.Timeout"
DATA_LIMIT: Final = "States.DataLimitExceeded"


class StateError(Exception):
    """A state has failed.

    Args:
        error: the error's name, which `ErrorEquals` is compared with.
        cause: text for people, or a function's error payload as JSON.

    Either is None where nobody has given one (SendTaskFailure, Fail).
    """

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def output(self) -> dict[str, str | None]:
        """The error output that a Catcher places in the state's data.

        A callback that failed without error and cause gives nulls, a timeout an empty cause (seen on AWS).
        """
        return {"Error": self.error, "Cause": "" if self.error == TIMEOUT else self.cause}

    def details(self) -> dict[str, str]:
        """The members of an event of the history: those that there are."""
        members = {"error": self.error, "cause": self.cause}
        return {name: text for name, text in members.items() if text is not None}

    def matches(self, names: list[str]) -> bool:
        """Whether an `ErrorEquals` list names this error.

        The guide says that States.ALL does not match States.DataLimitExceeded; for the result of a task
        it does (seen on AWS), and no other state that can exceed the limit has a Catch.
        """
        return self.error != RUNTIME and any(self._matches(name) for name in names)

    def _matches(self, name: str) -> bool:
        if name == "States.ALL":
            return True
        if name == "States.TaskFailed":
            return self.error not in {TIMEOUT, DATA_LIMIT}
        return name == self.error


class RuntimeStateError(StateError):
    """States.Runtime: the data is not what the definition expects.

    Args:
        problem: what is wrong; the state and the number of its event are added where they are known.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(RUNTIME, problem)
        self.problem = problem
        self._located = False

    def locate(self, state: str, event_id: int) -> None:
        """Say in the cause where it happened; the innermost state counts."""
        if not self._located:
            self._located = True
            self.cause = (
                f"An error occurred while executing the state '{state}' "
                f"(entered at the event id #{event_id}). {self.problem}"
            )


class ExecutionEndedError(Exception):
    """The execution is over, by StopExecution or its own timeout: enter no further state."""


class DefinitionError(ValueError):
    """The definition is not one that Step Functions, or this emulator, accepts."""


class SchemaError(DefinitionError):
    """A value is not of the form that the schema of definitions asks for.

    Args:
        problem: in AWS's words.
        at: where, as a path from the part of the definition that is being checked.
    """

    def __init__(self, problem: str, at: str) -> None:
        super().__init__(f"SCHEMA_VALIDATION_FAILED: {problem} at {at}")
        self.problem = problem
        self.at = at

    def below(self, place: str) -> SchemaError:
        """The same error as seen from further above."""
        return SchemaError(self.problem, place + self.at)
