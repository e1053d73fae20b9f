"""Choice Rules of the Amazon States Language."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.step_functions.errors import DefinitionError
from aws_emulator.step_functions.paths import NoSuchPathError, parse_path
from aws_emulator.step_functions.timestamps import parse_timestamp

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "IsNull": lambda value: value is None,
    "IsString": lambda value: isinstance(value, str),
    "IsNumeric": _is_number,
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: parse_timestamp(value) is not None,
    "IsPresent": lambda _value: True,
}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "String": lambda value: value if isinstance(value, str) else None,
    "Numeric": lambda value: value if _is_number(value) else None,
    "Boolean": lambda value: value if isinstance(value, bool) else None,
    "Timestamp": parse_timestamp,
}
_COMPARISON: Final = re.compile(
    r"(String|Numeric|Timestamp|Boolean)(Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)(Path)?"
)


def matches(rule: Mapping[str, Any], data: Any, context: Any) -> bool:
    """Evaluate a rule; raises StateError when `Variable` selects nothing (except for IsPresent)."""
    match rule:
        case {"And": parts}:
            return all(matches(part, data, context) for part in parts)
        case {"Or": parts}:
            return any(matches(part, data, context) for part in parts)
        case {"Not": part}:
            return not matches(part, data, context)
        case _:
            return _test(rule, data, context)


def _test(rule: Mapping[str, Any], data: Any, context: Any) -> bool:
    name = _operator_of(rule)
    path = parse_path(rule["Variable"])
    try:
        value = path.read(data, context)
    except NoSuchPathError:
        if name == "IsPresent":
            return rule[name] is False
        raise
    if name in _TYPES:
        return _TYPES[name](value) is rule[name]
    if name == "StringMatches":
        return isinstance(value, str) and re.fullmatch(_glob(rule[name]), value, re.DOTALL) is not None
    return _compare(name, value, rule[name], data, context)


def _compare(name: str, value: Any, expected: Any, data: Any, context: Any) -> bool:
    match = _COMPARISON.fullmatch(name)
    if match is None:
        raise DefinitionError(f"'{name}' is not a comparison")
    kind, comparison, by_path = match.groups()
    if by_path:
        expected = parse_path(expected).read(data, context)
    read = _READERS[kind]
    left, right = read(value), read(expected)
    return left is not None and right is not None and _COMPARISONS[comparison](left, right)


def _glob(pattern: str) -> str:
    """`*` matches anything and `\\*` a star; no other character is special."""
    return ".*".join(re.escape(part.replace("\\*", "*")) for part in re.split(r"(?<!\\)\*", pattern))


def _operator_of(rule: Mapping[str, Any]) -> str:
    names = [key for key in rule if key not in {"Variable", "Next", "Comment"}]
    if len(names) != 1 or "Variable" not in rule:
        raise DefinitionError(f"a Choice Rule needs Variable and one comparison, not {sorted(rule)}")
    return names[0]


def check_rule(rule: Any) -> None:
    """Raise DefinitionError for a rule that is not one."""
    if not isinstance(rule, dict):
        raise DefinitionError(f"a Choice Rule must be an object, not {rule!r}")
    for name in ("And", "Or"):
        if name in rule:
            for part in rule[name]:
                check_rule(part)
            return
    if "Not" in rule:
        check_rule(rule["Not"])
        return
    name = _operator_of(rule)
    parse_path(rule["Variable"])
    if name in _TYPES or name == "StringMatches":
        _check_literal(name, rule[name], "Boolean" if name in _TYPES else "String")
        return
    match = _COMPARISON.fullmatch(name)
    if match is None or (match[1] == "Boolean" and match[2] != "Equals"):
        raise DefinitionError(f"'{name}' is not a comparison")
    if match[3]:
        parse_path(rule[name])
    else:
        _check_literal(name, rule[name], match[1])


def _check_literal(name: str, value: Any, kind: str) -> None:
    if _READERS[kind](value) is None:
        raise DefinitionError(f"the value of '{name}' must be of the type {kind}, not {value!r}")
