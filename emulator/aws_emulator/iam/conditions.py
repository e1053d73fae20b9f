"""Condition operators of IAM policies (IAM user guide, IAM JSON policy elements: Condition operators).

Only the operators and condition keys that the emulator can evaluate truly are accepted; a policy with
another one is refused, because leaving a condition out would allow or deny too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

Values = tuple[str, ...]
Context = Mapping[str, Values]

# Keys that the calls fill, in lower case: IAM does not distinguish (IAM user guide, Condition keys).
_KEYS: Final = frozenset(
    {
        "aws:calledvia",
        "aws:principalaccount",
        "aws:requestedregion",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:tagkeys",
        "dynamodb:leadingkeys",
        "ec2:createaction",
        "events:detail-type",
        "events:source",
        "iam:passedtoservice",
        "kms:grantisforawsresource",
        "kms:viaservice",
    }
)
_KEY_PREFIXES: Final = (
    "aws:requesttag/",
    "aws:resourcetag/",
    "ec2:resourcetag/",
    "kms:encryptioncontext:",
    "ssm:resourcetag/",
    "ecr:resourcetag/",
)
# Keys with several values: an operator without a set prefix never holds for them, not even a negated one (recorded
# calls; IAM user guide, Single-valued vs. multivalued context keys, says to use one).
_MULTIVALUED: Final = frozenset({"aws:calledvia", "aws:tagkeys", "dynamodb:leadingkeys"})
_ARN_PARTS: Final = 6
_SET_PREFIX: Final = re.compile(r"(ForAllValues|ForAnyValue):")
_NEGATIONS: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnLike",
    "ArnNotLike": "ArnLike",
}


class PolicyError(ValueError):
    """A policy holds something that IAM does not know, or the emulator cannot evaluate."""


@cache
def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern with `*` for any characters and `?` for one, as in actions, resources and `StringLike`."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
    return re.compile("".join(parts), re.DOTALL)


def _is_like_arn(actual: str, expected: str) -> bool:
    """Each of the six parts for itself (IAM user guide, ARN condition operators)."""
    pairs = zip(actual.split(":", _ARN_PARTS - 1), expected.split(":", _ARN_PARTS - 1), strict=False)
    return expected.count(":") >= _ARN_PARTS - 1 and all(
        pattern_of(pattern).fullmatch(part) is not None for part, pattern in pairs
    )


def _is_true(text: str) -> bool:
    return text.lower() == "true"


_POSITIVE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": lambda actual, expected: actual == expected,
    "StringEqualsIgnoreCase": lambda actual, expected: actual.lower() == expected.lower(),
    "StringLike": lambda actual, expected: pattern_of(expected).fullmatch(actual) is not None,
    # ArnEquals and ArnLike behave identically (IAM user guide, ARN condition operators).
    "ArnEquals": _is_like_arn,
    "ArnLike": _is_like_arn,
    # Whatever is not true is false (recorded calls).
    "Bool": lambda actual, expected: _is_true(actual) == _is_true(expected),
}


class Condition:
    """One operator with one key of a statement's `Condition`.

    Raises:
        PolicyError: the operator or the key is not known.
    """

    def __init__(self, operator: str, key: str, expected: Iterable[str]) -> None:
        self._key = key.lower()
        self._expected = tuple(expected)
        if self._key not in _KEYS and not self._key.startswith(_KEY_PREFIXES):
            raise PolicyError(f"the emulator does not know the condition key {key}")
        match = _SET_PREFIX.match(operator)
        self._set = match.group(1) if match else ""
        name = operator[match.end() :] if match else operator
        self._if_exists = name.endswith("IfExists")
        name = name.removesuffix("IfExists")
        self._null = name == "Null"
        self._negated = name in _NEGATIONS
        compare = _POSITIVE.get(_NEGATIONS.get(name, name))
        if compare is None and not self._null:
            raise PolicyError(f"the emulator does not know the condition operator {operator}")
        self._compare = compare
        self._of_arns = name.startswith("Arn")

    def holds(self, context: Context) -> bool:
        """Whether a call with these condition keys meets the condition."""
        actual = context.get(self._key)
        if self._null:
            return (not actual) == (self._expected[0].lower() == "true")
        if not actual:
            return self._without_key()
        if not self._set and self._key in _MULTIVALUED:
            return False
        results = (self._matches(value) for value in actual)
        return all(results) if self._set == "ForAllValues" else any(results)

    def _without_key(self) -> bool:
        """A missing key fails, unless it is negated, or asked for only if it exists, or for all of none."""
        if self._set:
            return self._set == "ForAllValues"
        return self._if_exists or self._negated

    def _matches(self, value: str) -> bool:
        assert self._compare is not None  # noqa: S101 - only Null has none, and it does not compare
        if self._of_arns and value.count(":") < _ARN_PARTS - 1:
            # Of what is no ARN nothing is said, not even that it is another one (recorded calls).
            return False
        found = any(self._compare(value, expected) for expected in self._expected)
        return found != self._negated


def conditions_of(element: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """The conditions of a statement, all of which must hold.

    Raises:
        PolicyError: as Condition.
    """
    return tuple(
        Condition(operator, key, [str(value) for value in _listed(values)])
        for operator, by_key in element.items()
        for key, values in by_key.items()
    )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
