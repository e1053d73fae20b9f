"""Which alarms are an environment's: patterns, and where two of them meet."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ami_lifecycle.domain.alarm_settings import RollbackOnAlarm, matches, no_alarms, overlap
from ami_lifecycle.domain.build_config import alarms_of, problems_of, settings_of
from ami_lifecycle.domain.forms import FORMS

PATTERNS = st.text("ab*", max_size=6)


def words(longest: int) -> list[str]:
    return ["".join(each) for size in range(longest + 1) for each in itertools.product("ab", repeat=size)]


WORDS = words(8)


@given(PATTERNS, st.text("ab", max_size=9))
def test_a_star_stands_for_any_characters(pattern: str, name: str) -> None:
    expression = "".join(".*" if each == "*" else each for each in pattern)
    assert matches(pattern, name) is (re.fullmatch(expression, name) is not None)


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4))
def test_patterns_meet_where_some_name_is_of_both(one: str, other: str) -> None:
    assert overlap(one, other) is any(matches(one, name) and matches(other, name) for name in WORDS)


@pytest.mark.parametrize(
    ("pattern", "name", "is_of_it"),
    [
        ("prod-errors", "prod-errors", True),
        ("prod-errors", "prod-errors-2", False),
        ("prod-*", "prod-", True),
        ("prod-*", "prod-comfyui-errors", True),
        ("prod-*", "preprod-errors", False),
        ("*-errors", "prod-errors", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*b*", "ab", False),
        ("*b*b*", "bb", True),
        ("x*ab*ab", "xab", False),
        ("x*ab*ab", "xabab", True),
    ],
)
def test_names_are_of_a_pattern_as_a_whole(pattern: str, name: str, *, is_of_it: bool) -> None:
    assert matches(pattern, name) is is_of_it


@pytest.mark.parametrize(
    "text", ["prod-comfyui-*", "*-errors", "a*b*c", "{environment}-5xx", "EC2 (CPU) 90 %", "x" * 255]
)
def test_a_pattern_is_the_name_of_an_alarm(text: str) -> None:
    assert FORMS["alarm_pattern"].check(text) == text


@pytest.mark.parametrize("text", ["", "*", "**", "a**b", "x" * 256, "back\\slash", "é", "a\nb", "a*b**"])
def test_what_the_rule_could_not_take_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"^write the name of an alarm in at most 255 ASCII characters"):
        FORMS["alarm_pattern"].check(text)


def test_nothing_soaks_without_alarms() -> None:
    assert no_alarms() == RollbackOnAlarm()
    assert RollbackOnAlarm(soak_minutes=10).soak is None
    assert RollbackOnAlarm(alarms="prod-*").soak == timedelta(hours=1)
    assert RollbackOnAlarm(alarms="prod-*", soak_minutes=10_080).soak == timedelta(days=7)


@pytest.mark.parametrize("minutes", [0, 10_081, "60", 1.5])
def test_a_soak_has_bounds(minutes: Any) -> None:
    with pytest.raises(ValidationError):
        RollbackOnAlarm(alarms="prod-*", soak_minutes=minutes)


def build(defaults: dict[str, Any], **environments: Any) -> dict[str, Any]:
    return {"application": "comfyui", "defaults": defaults, "environments": environments}


@pytest.mark.parametrize(
    ("defaults", "own", "alarms"),
    [
        ({}, {}, None),
        ({}, None, None),
        ({"alarms": "{environment}-{application}-*"}, {}, "prod-comfyui-*"),
        ({"alarms": "all-*"}, {"alarms": "own-*"}, "own-*"),
        ({"alarms": "all-*"}, {"alarms": None}, None),
        ({"alarms": "all-*"}, {"soak_minutes": 5}, "all-*"),
        ({"alarms": 7}, {}, None),
        ({"alarms": "all-*"}, 7, None),
    ],
)
def test_alarms_come_from_the_environment_or_the_defaults(
    defaults: Any, own: Any, alarms: str | None
) -> None:
    content = build({"rollback_on_alarm": defaults}, prod={"rollback_on_alarm": own} if own != {} else {})
    assert alarms_of(content, "prod", "comfyui") == alarms
    assert alarms_of(build(defaults={}, prod=None), "prod", "comfyui") is None
    if alarms is not None:
        assert settings_of(content, "prod", "comfyui")["rollback_on_alarm"]["alarms"] == alarms


def test_the_rest_of_the_setting_stays() -> None:
    content = build({"rollback_on_alarm": {"soak_minutes": 5}}, prod={"rollback_on_alarm": {"alarms": "p-*"}})
    assert settings_of(content, "prod", "comfyui")["rollback_on_alarm"] == {
        "alarms": "p-*",
        "soak_minutes": 5,
    }


def test_one_alarm_is_of_one_environment() -> None:
    def said(**alarms: str | None) -> list[str]:
        own = {name: {"rollback_on_alarm": {"alarms": each}} for name, each in alarms.items()}
        return [str(each) for each in problems_of(build({}, **own))]

    assert said(dev="dev-*", staging=None, prod="prod-*") == []
    assert said(dev="dev-*", staging="*-errors", prod="prod-x") == [
        (
            "environments.staging: an alarm could be of both dev and staging, by their rollback_on_alarm.alarms; give "
            "each alarms of its own, such as {environment}-comfyui-*"
        )
    ]
    assert len(said(dev="x", staging="x", prod="x")) == 2
