"""EC2's filters and paging (EC2 API reference: Filter, Pagination)."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from aws_emulator.api.operations import ApiError
from aws_emulator.api.strict_json import strict_json

Values = Callable[[Any], Iterable[str | None]]


class Ordered(Protocol):
    """Anything with a creation order."""

    @property
    def sequence(self) -> int:
        """The position in creation order."""


Item = TypeVar("Item", bound=Ordered)


def select(
    items: Iterable[Item], filters: Sequence[Mapping[str, Any]] | None, table: Mapping[str, Values]
) -> list[Item]:
    """The items that match all filters; each by any of its values, with `*` and `?` as wildcards.

    Args:
        table: filter names and the values that an item has for them; `tag:<key>` and `tag-key` are
            understood for items with `tags`.

    Raises:
        ApiError: `InvalidParameterValue` for a filter that the table does not have.
    """
    tests = [_test(each, table) for each in filters or ()]
    return [item for item in items if all(test(item) for test in tests)]


def _test(each: Mapping[str, Any], table: Mapping[str, Values]) -> Callable[[Any], bool]:
    name, patterns = str(each.get("Name", "")), [_pattern(value) for value in each.get("Values", ())]
    values = _tag_values(name) or table.get(name)
    if values is None:
        raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
    read = values

    def matches(item: Any) -> bool:
        return any(
            value is not None and pattern.fullmatch(value) for value in read(item) for pattern in patterns
        )

    return matches


def _tag_values(name: str) -> Values | None:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda item: [item.tags.get(key)]
    if name == "tag-key":
        return lambda item: item.tags
    return None


@functools.lru_cache(maxsize=4096)
def _pattern(value: str) -> re.Pattern[str]:
    """`*` matches any text, `?` any one character, and a backslash takes their meaning away."""
    parts = re.split(r"(\\.|\*|\?)", value)
    expression = "".join(
        {"*": ".*", "?": "."}.get(part)
        or re.escape(part[1:] if part.startswith("\\") and len(part) == 2 else part)
        for part in parts
    )
    return re.compile(expression, re.DOTALL)


def page(
    items: Sequence[Item],
    parameters: Mapping[str, Any],
    *,
    ids: str | None = None,
    limits: tuple[int, int] = (5, 1000),
) -> tuple[list[Item], str | None]:
    """One page of the items in creation order, and the token of the next.

    Args:
        ids: name of the parameter with ids, which cannot be combined with MaxResults.
        limits: the smallest and largest MaxResults.

    Raises:
        ApiError: `InvalidParameterValue`, `InvalidParameterCombination` or `InvalidNextToken`.
    """
    size, token = parameters.get("MaxResults"), parameters.get("NextToken")
    if ids is not None and parameters.get(ids) and size is not None:
        raise ApiError(
            "InvalidParameterCombination",
            f"The parameter {ids[0].lower()}{ids[1:]} cannot be used with the parameter maxResults",
        )
    low, high = limits
    if size is not None and size < low:
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid value '{size}' for maxResults. Expecting a value greater than {low}.",
        )
    after = _read_token(token) if token else 0
    rest = sorted((item for item in items if item.sequence > after), key=lambda item: item.sequence)
    if size is None or len(rest) <= min(size, high):
        return rest, None
    shown = rest[: min(size, high)]
    return shown, _write_token(shown[-1].sequence)


def _write_token(after: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"after": after}).encode()).decode()


def _read_token(token: str) -> int:
    try:
        return int(strict_json(base64.urlsafe_b64decode(token))["after"])
    except (ValueError, KeyError, TypeError) as error:
        raise ApiError("InvalidNextToken", "The specified NextToken is not valid") from error
