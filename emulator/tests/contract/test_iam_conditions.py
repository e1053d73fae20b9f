"""Condition operators of IAM, restated from recorded calls: TagUser with session policies that allow, or deny, it.

A policy that allows holds where the call succeeded, one that denies where it did not.
"""

from __future__ import annotations

import pytest

from aws_emulator.iam.conditions import Condition, conditions_of

USERS = "arn:aws:iam::*:user/*"
TEAM, ENV, BOTH = ("team",), ("env",), ("team", "env")


def holds(operator: str, key: str, expected: str, actual: tuple[str, ...]) -> bool:
    return Condition(operator, key, [expected]).holds({key.lower(): actual} if actual else {})


@pytest.mark.parametrize(
    ("operator", "keys", "expected"),
    [
        ("StringEquals", (), False),
        ("StringEquals", TEAM, False),
        ("StringEquals", ENV, False),
        ("StringEquals", BOTH, False),
        ("StringNotEquals", (), True),
        ("StringNotEquals", TEAM, False),
        ("StringNotEquals", ENV, False),
        ("StringNotEquals", BOTH, False),
        ("StringEqualsIfExists", (), True),
        ("StringEqualsIfExists", TEAM, False),
        ("StringEqualsIfExists", ENV, False),
        ("StringEqualsIfExists", BOTH, False),
        ("StringNotEqualsIfExists", (), True),
        ("StringNotEqualsIfExists", TEAM, False),
        ("StringNotEqualsIfExists", ENV, False),
        ("StringNotEqualsIfExists", BOTH, False),
        ("ForAnyValue:StringEquals", (), False),
        ("ForAnyValue:StringEquals", TEAM, True),
        ("ForAnyValue:StringEquals", ENV, False),
        ("ForAnyValue:StringEquals", BOTH, True),
        ("ForAllValues:StringEquals", (), True),
        ("ForAllValues:StringEquals", TEAM, True),
        ("ForAllValues:StringEquals", ENV, False),
        ("ForAllValues:StringEquals", BOTH, False),
        ("ForAnyValue:StringNotEquals", (), False),
        ("ForAnyValue:StringNotEquals", TEAM, False),
        ("ForAnyValue:StringNotEquals", ENV, True),
        ("ForAnyValue:StringNotEquals", BOTH, True),
        ("ForAllValues:StringNotEquals", (), True),
        ("ForAllValues:StringNotEquals", TEAM, False),
    ],
)
def test_a_key_with_several_values_needs_a_set_operator(
    operator: str, keys: tuple[str, ...], expected: bool
) -> None:
    assert holds(operator, "aws:TagKeys", "team", keys) is expected


@pytest.mark.parametrize(
    ("value", "like", "not_like"),
    [
        ("arn:aws:iam::123456789012:user/test", True, False),
        ("arn:aws:iam::123456789012:role/test", False, True),
        ("not-an-arn", False, False),
        ("", False, False),
        # Not recorded: a wildcard stays within its part.
        ("arn:aws:iam::1:x:user/test", False, True),
    ],
)
def test_of_what_is_no_arn_neither_is_true(value: str, like: bool, not_like: bool) -> None:
    key = "aws:RequestTag/value"
    assert holds("ArnLike", key, USERS, (value,)) is like
    assert holds("ArnNotLike", key, USERS, (value,)) is not_like


@pytest.mark.parametrize(
    ("value", "is_false"),
    [("true", False), ("True", False), ("TRUE", False), ("false", True), ("yes", True), ("1", True)],
)
def test_whatever_is_not_true_is_false(value: str, is_false: bool) -> None:
    assert holds("Bool", "aws:RequestTag/value", "false", (value,)) is is_false


@pytest.mark.parametrize(
    ("expected", "value", "same"),
    [
        ("prod", "PrOd", True),
        ("I", "\u0131", False),
        ("i", "\u0130", False),
        ("K", "\u212a", True),
        ("s", "\u017f", False),
        ("\u00df", "\u1e9e", True),
        ("\u00df", "SS", False),
        ("\u03a3", "\u03c2", False),
        ("\u03a3", "\u03c3", True),
        ("\u039f\u03a3", "\u03bf\u03c2", True),
        ("\u039f\u03a3", "\u03bf\u03c3", False),
        ("\u039f\u03a3\u0391", "\u03bf\u03c3\u03b1", True),
        ("\u00c9", "\u00e9", True),
    ],
)
def test_case_is_that_of_lower_letters(expected: str, value: str, same: bool) -> None:
    key = "aws:RequestTag/value"
    assert holds("StringEqualsIgnoreCase", key, expected, (value,)) is same
    assert holds("StringNotEqualsIgnoreCase", key, expected, (value,)) is not same


def test_all_conditions_of_a_statement_hold_or_it_does_not() -> None:
    element = {"StringEquals": {"aws:RequestTag/a": "1"}, "Bool": {"aws:RequestTag/b": "true"}}
    context = {"aws:requesttag/a": ("1",), "aws:requesttag/b": ("false",)}
    assert [each.holds(context) for each in conditions_of(element)] == [True, False]
