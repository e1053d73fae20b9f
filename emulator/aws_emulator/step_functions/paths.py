"""JSONPath as state machines use it: names, indexes and `[*]`.

Filters, slices and `..` exist in Step Functions and are refused here, when the state machine is created.
"""

from __future__ import annotations

import copy
import functools
import re
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.step_functions.errors import DefinitionError, StateError

Step = str | int | None  # a name, an index, or None for [*]
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)+)'\]|(\[\*\])")


class NoSuchPathError(StateError):
    """A path selects nothing in the data (Step Functions reports it as States.Runtime)."""

    def __init__(self, path: str) -> None:
        super().__init__("States.Runtime", f"The JSONPath '{path}' could not be found in the input")


@dataclass(frozen=True)
class Path:
    """A parsed path: `$` is the state's data, `$$` the context object."""

    text: str
    in_context: bool
    steps: tuple[Step, ...]

    def read(self, data: Any, context: Any) -> Any:
        """Select; raises NoSuchPathError."""
        return self._select(context if self.in_context else data, self.steps)

    def _select(self, value: Any, steps: tuple[Step, ...]) -> Any:
        for position, step in enumerate(steps):
            if step is None:
                if not isinstance(value, list):
                    raise NoSuchPathError(self.text)
                return [self._select(item, steps[position + 1 :]) for item in value]
            try:
                if isinstance(step, int) != isinstance(value, list):
                    raise NoSuchPathError(self.text)
                value = value[step]
            except (KeyError, IndexError, TypeError):
                raise NoSuchPathError(self.text) from None
        return value

    def write(self, data: Any, value: Any) -> Any:
        """A copy of `data` with `value` at this (reference) path; missing objects are made."""
        if not self.steps:
            return value
        result = copy.deepcopy(data) if isinstance(data, dict) else {}
        target = result
        for step in self.steps[:-1]:
            child = target.get(step) if isinstance(target, dict) else None
            if not isinstance(child, dict):
                child = {}
                target[step] = child
            target = child
        target[self.steps[-1]] = value
        return result


@functools.cache
def parse_path(text: str) -> Path:
    """Parse a path; raises DefinitionError for one that is wrong or not supported."""
    in_context = text.startswith("$$")
    rest = text[2:] if in_context else text[1:]
    if not text.startswith("$"):
        raise DefinitionError(f"'{text}' is not a path: it must start with '$'")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None:
            raise DefinitionError(
                f"'{text}' is not a path that the emulator supports (at '{rest[position:]}')"
            )
        name, index, quoted, star = match.groups()
        steps.append(None if star else int(index) if index else (name or quoted.replace("\\'", "'")))
        position = match.end()
    return Path(text, in_context, tuple(steps))


def parse_reference_path(text: str) -> Path:
    """Parse a path to write to: names only (Amazon States Language, Reference Paths)."""
    path = parse_path(text)
    if path.in_context or not all(isinstance(step, str) for step in path.steps):
        raise DefinitionError(f"'{text}' is not a reference path that the emulator can write to")
    return path
