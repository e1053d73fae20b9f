"""JSONPath as state machines use it: names, indexes, slices and `[*]`.

Filters and `..` exist in Step Functions and are refused here, when the state machine is created.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.step_functions.errors import DefinitionError, RuntimeStateError

Step = str | int | slice | None  # a name, an index, [1:2], or None for [*] and .*
_STEP: Final = re.compile(
    r"\.([\w-]+)|\[(-?\d+)\]|\['((?:[^'\\]|\\.)+)'\]|(\[\*\]|\.\*)|\[((?:-?\d+)?:(?:-?\d+)?)\]"
)


class NoSuchPathError(RuntimeStateError):
    """A path selects nothing in the data (Step Functions reports it as States.Runtime).

    Args:
        path: the path's text.
        found: the part of it that selects something, and the first step that does not.
        missing: whether that step is not the last one.
    """

    def __init__(self, path: str, found: str, *, missing: bool) -> None:
        reason = "Missing property in path" if missing else "No results for path:"
        super().__init__(f"Invalid path '{path}' : {reason} {found}")
        self.path = path

    def of_field(self, field: str, data: Any) -> RuntimeStateError:
        """The same where a field that is filled from the data asks for the path."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        return RuntimeStateError(
            f"The JSONPath '{self.path}' specified for the field '{field}' could not be found in the input "
            f"'{text}'"
        )


@dataclass(frozen=True)
class Path:
    """A parsed path: `$` is the state's data, `$$` the context object."""

    text: str
    in_context: bool
    steps: tuple[Step, ...]

    def read(self, data: Any, context: Any) -> Any:
        """Select; raises NoSuchPathError.

        A path with a wildcard or a slice selects a list, which is empty where nothing matches.
        """
        if self.in_context:
            # The context object changes as the execution goes on; what a state has read of it does not.
            return copy.deepcopy(self._select(context))
        return self._select(data)

    def _select(self, value: Any) -> Any:
        if any(step is None or isinstance(step, slice) for step in self.steps):
            return _collect(value, self.steps)
        for position, step in enumerate(self.steps):
            try:
                value = _child(value, step)
            except LookupError:
                found = "$" + "".join(f"[{name!r}]" for name in self.steps[: position + 1])
                last = position == len(self.steps) - 1
                raise NoSuchPathError(self.text, found, missing=not last) from None
        return value

    def write(self, data: Any, value: Any) -> Any:
        """`data` with `value` at this (reference) path, in objects of its own; missing ones are made.

        What the path does not touch is shared with `data`: nothing in a state's data is ever changed.
        """
        if not self.steps:
            return value
        result = dict(data) if isinstance(data, dict) else {}
        target = result
        for step in self.steps[:-1]:
            child = target.get(step)
            target[step] = dict(child) if isinstance(child, dict) else {}
            target = target[step]
        target[self.steps[-1]] = value
        return result


def _child(value: Any, step: Any) -> Any:
    """The member of an object or the item of a list; raises LookupError."""
    if isinstance(step, int) and isinstance(value, list):
        return value[step]
    if isinstance(step, str) and isinstance(value, dict):
        return value[step]
    raise LookupError(step)


def _collect(value: Any, steps: tuple[Step, ...]) -> list[Any]:
    if not steps:
        return [value]
    step, following = steps[0], steps[1:]
    if step is None:
        items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    elif isinstance(step, slice):
        items = value[step] if isinstance(value, list) else []
    else:
        try:
            items = [_child(value, step)]
        except LookupError:
            items = []
    return [found for item in items for found in _collect(item, following)]


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
        steps.append(_step(match))
        position = match.end()
    return Path(text, in_context, tuple(steps))


def _step(match: re.Match[str]) -> Step:
    name, index, quoted, star, bounds = match.groups()
    if star:
        return None
    if bounds:
        first, _, last = bounds.partition(":")
        return slice(int(first) if first else None, int(last) if last else None)
    return int(index) if index else str(name or quoted.replace("\\'", "'"))


def parse_reference_path(text: str) -> Path:
    """Parse a path to write to: names only (Amazon States Language, Reference Paths)."""
    path = parse_path(text)
    if path.in_context or not all(isinstance(step, str) for step in path.steps):
        raise DefinitionError(f"'{text}' is not a reference path that the emulator can write to")
    return path
