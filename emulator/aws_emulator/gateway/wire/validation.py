"""Checks of parameters against the constraints in botocore's service models.

boto3 checks only part of them before it sends; AWS checks all on arrival.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aws_emulator.api.operations import ApiError

_SHORTER = "Member must have length greater than or equal to {}"
_LONGER = "Member must have length less than or equal to {}"


def require_members(operation: Any, parameters: Mapping[str, Any]) -> None:
    """Refuse a request without a required parameter.

    Raises:
        ApiError: `MissingParameter` (EC2), `ValidationError` (query) or `ValidationException`.
    """
    shape = operation.input_shape
    if shape is None:
        return
    missing = [name for name in shape.required_members if name not in parameters]
    if not missing:
        return
    protocol = operation.service_model.metadata["protocol"]
    if protocol == "ec2":
        raise ApiError("MissingParameter", f"The request must contain the parameter {missing[0]}")
    code = "ValidationError" if protocol == "query" else "ValidationException"
    details = "; ".join(
        f"Value null at '{_lower_first(name)}' failed to satisfy constraint: Member must not be null"
        for name in missing
    )
    raise ApiError(code, _detected(len(missing), details))


def check_constraints(operation: Any, parameters: Mapping[str, Any], code: str) -> None:
    """Refuse values outside the model's lengths, ranges, patterns and enumerations.

    Args:
        code: the error code with which this service refuses them.

    Raises:
        ApiError: with AWS's text, "N validation errors detected: Value '...' at '...' failed to satisfy ...".
    """
    if operation.input_shape is None:
        return
    problems = [
        f"Value '{value}' at '{path}' failed to satisfy constraint: {text}"
        for path, value, text in _problems(operation.input_shape, parameters, "")
    ]
    if problems:
        raise ApiError(code, _detected(len(problems), "; ".join(problems)))


def _detected(count: int, details: str) -> str:
    return f"{count} validation error{'s' if count > 1 else ''} detected: {details}"


def _problems(shape: Any, value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    kind = shape.type_name
    if kind == "structure":
        for name, item in value.items():
            where = _lower_first(name)
            yield from _problems(shape.members[name], item, f"{path}.{where}" if path else where)
    elif kind == "list":
        yield from _length_problems(shape, value, path)
        for index, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{index}.member")
    elif kind == "map":
        yield from _length_problems(shape, value, path)
        if any(list(_problems(shape.key, key, path)) for key in value):
            yield path, value, "Map keys must satisfy their constraints"
        for key, item in value.items():
            yield from _problems(shape.value, item, f"{path}.{key}.member")
    elif kind == "string":
        yield from _string_problems(shape, value, path)
    elif kind in {"integer", "long"}:
        yield from _range_problems(shape, value, path)


def _length_problems(shape: Any, value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield path, value, _SHORTER.format(low)
    if high is not None and len(value) > high:
        yield path, value, _LONGER.format(high)


def _string_problems(shape: Any, value: str, path: str) -> Iterator[tuple[str, Any, str]]:
    yield from _length_problems(shape, value, path)
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield path, value, f"Member must satisfy enum value set: [{', '.join(choices)}]"
    text = shape.metadata.get("pattern")
    pattern = _pattern(text) if text else None
    if pattern is not None and not pattern.fullmatch(value):
        yield path, value, f"Member must satisfy regular expression pattern: {text}"


def _range_problems(shape: Any, value: int, path: str) -> Iterator[tuple[str, Any, str]]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield path, value, f"Member must have value greater than or equal to {low}"
    if high is not None and value > high:
        yield path, value, f"Member must have value less than or equal to {high}"


@functools.cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """The model's pattern, or None where it uses what only Java's expressions have."""
    try:
        return re.compile(text)
    except re.error:
        return None


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
