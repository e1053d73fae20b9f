"""EventBridge event patterns: what AWS accepts, and what matches.

Sources: EventBridge user guide, "Event patterns" and "Comparison operators"; API reference, PutRule and
TestEventPattern; and AWS's own matcher, which is public (aws/event-ruler: JsonRuleCompiler, Event, CIDR, Constants).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.api.strict_json import strict_json
from aws_emulator.eventbridge.filters import Condition, PatternError, parse_condition
from aws_emulator.eventbridge.wildcards import is_too_complex

__all__ = ["Pattern", "PatternError", "parse_pattern"]

_PATTERN_CHARACTERS: Final = 4096
# EventBridge user guide, "Using the $or filter": more combinations than this are refused.
_MOST_COMBINATIONS: Final = 1000
_OR: Final = "$or"
_RESERVED_IN_OR: Final = frozenset(
    {
        *(
            "exactly",
            "equals-ignore-case",
            "prefix",
            "suffix",
            "anything-but",
            "exists",
            "wildcard",
            "numeric",
        ),
        *("cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    }
)

# One way to match: the conditions of each field, of which one must hold. Fields are dotted paths, so that a name
# with dots and a nested one are the same.
_Combination = dict[str, list[Condition]]
# A value in an event, and where it is in the event's arrays: the index in each, by the array's number.
_Membership = dict[int, int]
_Field = tuple[Any, _Membership]


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order; a name may come twice."""


@dataclass(frozen=True)
class Pattern:
    """A pattern that EventBridge accepts.

    Attributes:
        text: as it was given.
    """

    text: str
    combinations: tuple[_Combination, ...]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event matches."""
        fields: dict[str, list[_Field]] = {}
        _flatten(event, "", {}, fields)
        return any(_holds(each, fields) for each in self.combinations)


def parse_pattern(text: str) -> Pattern:
    """Parse and check a pattern.

    Raises:
        PatternError: with the reason that AWS gives.
    """
    if len(text) > _PATTERN_CHARACTERS:
        raise PatternError(f"Event pattern is longer than {_PATTERN_CHARACTERS} characters")
    try:
        root = strict_json(text, object_pairs_hook=_Members)
    except ValueError as error:
        raise PatternError(f"Event pattern is not valid JSON: {error}") from error
    if not isinstance(root, _Members):
        raise PatternError("Filter is not an object")
    return Pattern(text, tuple(_of_object(root, "", [{}])))


def _of_object(
    members: _Members, path: str, combinations: list[_Combination], *, in_or: bool = False
) -> list[_Combination]:
    if not members:
        raise PatternError("Empty objects are not allowed")
    for name, value in members:
        where = f"{path}.{name}" if path else name
        if name == _OR:
            combinations = _of_or(value, path, combinations)
        elif in_or and name in _RESERVED_IN_OR:
            raise PatternError(f"{name} is Ruler reserved fieldName which cannot be used inside {_OR}.")
        elif isinstance(value, _Members):
            combinations = _of_object(value, where, combinations, in_or=in_or)
        elif isinstance(value, list):
            conditions = _of_array(value)
            combinations = [{**each, where: conditions} for each in combinations]
        else:
            raise PatternError(f'"{name}" must be an object or an array')
    return combinations


def _of_or(value: Any, path: str, combinations: list[_Combination]) -> list[_Combination]:
    if not isinstance(value, list) or isinstance(value, _Members):
        raise PatternError(f"It must be an Array followed with {_OR}.")
    found: list[_Combination] = []
    for part in value:
        if not isinstance(part, _Members):
            raise PatternError(f"Only JSON object is allowed in array of {_OR} relationship.")
        found += _of_object(part, path, combinations, in_or=True)
        if len(found) > _MOST_COMBINATIONS:
            raise PatternError(f"Event pattern has more than {_MOST_COMBINATIONS} combinations")
    if len(value) < 2:
        raise PatternError(f"There must have at least 2 Objects in {_OR} relationship.")
    return found


def _of_array(values: list[Any]) -> list[Condition]:
    conditions = []
    for value in values:
        if isinstance(value, _Members):
            conditions.append(parse_condition(value))
        elif isinstance(value, list):
            raise PatternError("Match value must be String, number, true, false, or null")
        else:
            conditions.append(Condition.equal_to(value))
    if not conditions:
        raise PatternError("Empty arrays are not allowed")
    _check_complexity(conditions)
    return conditions


def _check_complexity(conditions: Iterable[Condition]) -> None:
    if is_too_complex(wildcard for each in conditions for wildcard in each.wildcards):
        raise PatternError(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after "
            "a wildcard character"
        )


def _flatten(value: Any, path: str, membership: _Membership, fields: dict[str, list[_Field]]) -> None:
    """Collect the leaves of an event by dotted path."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            _flatten(item, f"{path}.{name}" if path else name, membership, fields)
    elif isinstance(value, list):
        number = len(fields.setdefault("", []))  # of arrays so far: no leaf has an empty path
        fields[""].append((None, {}))
        for index, item in enumerate(value):
            nested = isinstance(item, Mapping | list)
            _flatten(item, path, {**membership, number: index} if nested else membership, fields)
    else:
        fields.setdefault(path, []).append((value, membership))


def _holds(combination: _Combination, fields: Mapping[str, list[_Field]]) -> bool:
    """Whether each field has a value that one of its conditions accepts, all in the same elements of arrays."""
    possible: list[_Membership] = [{}]
    for path, conditions in combination.items():
        found = fields.get(path, []) if path else []
        if not found and any(condition.absent for condition in conditions):
            continue
        accepted = [
            membership
            for value, membership in found
            if any(condition.accepts(value) for condition in conditions)
        ]
        merged = [
            one | other
            for one in possible
            for other in accepted
            if all(one.get(array, index) == index for array, index in other.items())
        ]
        possible = _distinct(merged)
        if not possible:
            return False
    return True


def _distinct(memberships: list[_Membership]) -> list[_Membership]:
    return list({tuple(sorted(each.items())): each for each in memberships}.values())
