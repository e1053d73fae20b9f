"""EventBridge event patterns with all content filters (EventBridge User Guide, Event patterns)."""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_NUMERIC: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PATTERN_CHARACTERS: Final = 4096


class PatternError(ValueError):
    """The pattern is not one that EventBridge accepts."""


def parse_pattern(text: str) -> dict[str, Any]:
    """Parse and check a pattern; raises PatternError."""
    if len(text) > _PATTERN_CHARACTERS:
        raise PatternError(f"Event pattern is longer than {_PATTERN_CHARACTERS} characters")
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise PatternError(f"Event pattern is not valid JSON: {error}") from error
    if not isinstance(pattern, dict) or not pattern:
        raise PatternError("Event pattern must be a JSON object that is not empty")
    _check(pattern)
    return pattern


def _check(pattern: Mapping[str, Any]) -> None:
    for key, value in pattern.items():
        if key == "$or":
            if not isinstance(value, list) or len(value) < 2:
                raise PatternError("$or must be an array of at least two patterns")
            for part in value:
                _check(part)
        elif isinstance(value, dict):
            _check(value)
        elif not isinstance(value, list) or not value:
            raise PatternError(f"the value of '{key}' must be an object or an array that is not empty")
        else:
            for condition in value:
                if isinstance(condition, dict):
                    _check_filter(condition)


def _check_filter(condition: Mapping[str, Any]) -> None:
    if len(condition) != 1:
        raise PatternError(f"a content filter has one key, not {sorted(condition)}")
    name, value = next(iter(condition.items()))
    if name not in _FILTERS:
        raise PatternError(f"Unrecognized match type {name}")
    if name == "anything-but" and isinstance(value, dict):
        _check_filter(dict.fromkeys(value, ""))
    elif name in {"prefix", "suffix"} and isinstance(value, dict):
        if set(value) != {"equals-ignore-case"}:
            raise PatternError(f"{name} takes a string or equals-ignore-case, not {value!r}")
    elif name in {"prefix", "suffix", "wildcard", "equals-ignore-case", "cidr"} and not isinstance(
        value, str
    ):
        raise PatternError(f"{name} takes a string, not {value!r}")
    elif name == "numeric" and (
        not isinstance(value, list) or len(value) % 2 or any(sign not in _NUMERIC for sign in value[::2])
    ):
        raise PatternError(f"numeric takes operators and numbers, not {value!r}")


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether an event matches a pattern."""
    return all(_matches_key(key, value, event) for key, value in pattern.items())


def _matches_key(key: str, wanted: Any, event: Mapping[str, Any]) -> bool:
    if key == "$or":
        return any(matches(part, event) for part in wanted)
    if isinstance(wanted, dict):
        child = event.get(key)
        if isinstance(child, list):
            return any(isinstance(item, dict) and matches(wanted, item) for item in child)
        return matches(wanted, child if isinstance(child, dict) else {})
    if key not in event or isinstance(event[key], dict):
        return any(isinstance(condition, dict) and condition.get("exists") is False for condition in wanted)
    value = event[key]
    values = value if isinstance(value, list) else [value]
    return any(_matches_value(condition, item) for condition in wanted for item in values)


def _matches_value(condition: Any, value: Any) -> bool:
    if isinstance(condition, dict):
        name, argument = next(iter(condition.items()))
        return _FILTERS[name](argument, value)
    return _equals(condition, value)


def _equals(one: Any, other: Any) -> bool:
    # JSON's true is not the number 1, which Python's is.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _affix(argument: Any, value: Any, test: str) -> bool:
    if not isinstance(value, str):
        return False
    if isinstance(argument, dict):
        argument, value = str(argument["equals-ignore-case"]).lower(), value.lower()
    return bool(getattr(value, test)(argument))


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(
        _NUMERIC[sign](value, number) for sign, number in zip(argument[::2], argument[1::2], strict=True)
    )


def _wildcard(argument: str, value: Any) -> bool:
    expression = ".*".join(re.escape(part) for part in argument.split("*"))
    return isinstance(value, str) and re.fullmatch(expression, value, re.DOTALL) is not None


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        name, wanted = next(iter(argument.items()))
        return not any(
            _FILTERS[name](each, value) for each in (wanted if isinstance(wanted, list) else [wanted])
        )
    unwanted = argument if isinstance(argument, list) else [argument]
    return not any(_equals(each, value) for each in unwanted)


def _ignoring_case(argument: str, value: Any) -> bool:
    return isinstance(value, str) and value.lower() == argument.lower()


def _in_network(argument: str, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


_FILTERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "prefix": lambda argument, value: _affix(argument, value, "startswith"),
    "suffix": lambda argument, value: _affix(argument, value, "endswith"),
    "anything-but": _anything_but,
    "exists": lambda argument, _value: bool(argument),
    "numeric": _numeric,
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
    "cidr": _in_network,
}
