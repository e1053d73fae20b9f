"""Text of people's choice is made to fit where it is kept, and says what it lacks."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.texts import fitting, one_line, subject

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def fitted(message: dict[str, object], limit: int) -> dict[str, object]:
    text = fitting(message, limit)
    assert len(text) <= limit
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\x1b[31m\n b", "a [31m b"), ("  a \t b\u2003c ", "a b c"), ("\x85\x9f\x7f", ""), ("é", "é")],
)
def test_a_line_has_no_control_characters_and_single_spaces(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [("x" * 101, "x" * 100), ("x" * 99 + " y", "x" * 99), ("", "ami-lifecycle"), ("prod: ü", "prod: ?")],
)
def test_a_subject_is_what_sns_takes(text: str, line: str) -> None:
    assert subject(text) == line


def test_what_just_fits_is_not_changed() -> None:
    message = {"items": [1, 2, 3], "text": "x"}
    text = json.dumps(message)
    assert fitting(message, len(text)) == text
    assert fitted(message, len(text) + 20) == message


def test_a_message_can_be_indented_for_a_person() -> None:
    assert fitting({"a": 1}, 100, indent=2) == '{\n  "a": 1\n}'


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert fitted({"at": NOW}, 100) == {"at": "2026-01-15 12:00:00+00:00"}


def test_the_longest_list_is_halved_until_the_message_fits() -> None:
    message = {"short": [1, 2], "long": list(range(100, 200)), "text": "y" * 40}
    found = fitted(message, 400)
    assert found == message | {"long": list(range(100, 150)), "left_out": {"long": 50}}
    found = fitted(message, 250)
    assert found == message | {"long": list(range(100, 125)), "left_out": {"long": 75}}


def test_the_longest_list_is_the_one_that_takes_most_room_and_not_the_one_with_most_items() -> None:
    message = {"a": [1, 2, 3, 4], "few": ["x" * 400, "y" * 400]}
    assert fitted(message, 700) == {"a": [1, 2, 3, 4], "few": ["x" * 400], "left_out": {"few": 1}}


def test_the_last_item_of_a_list_stays_and_its_texts_are_cut() -> None:
    message = {"items": [{"reason": "x" * 9_000}], "cause": "y" * 5_000}
    assert fitted(message, 8_000) == {"items": [{"reason": "x" * 4_500}], "cause": "y" * 2_500}


def test_a_text_is_halved_but_keeps_what_says_something() -> None:
    assert fitted({"cause": "x" * 5_000}, 3_000) == {"cause": "x" * 2_500}
    assert fitted({"cause": "x" * 1_500}, 1_100) == {"cause": "x" * 1_000}


def test_what_cannot_be_made_shorter_is_handed_on() -> None:
    """The store's own refusal says more than a loop without an end."""
    message = {f"key-{number}": number for number in range(100)} | {"text": "x" * 900, "none": None}
    assert json.loads(fitting(message, 100)) == message


@given(
    st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=50), max_size=20), max_size=4),
    st.integers(2_000, 4_000),
)
def test_what_is_left_out_is_counted(message: dict[str, list[str]], limit: int) -> None:
    found = json.loads(fitting(message, limit))
    left_out = {} if "left_out" in message else found.pop("left_out", {})
    assert {key: len(found[key]) + left_out.get(key, 0) for key in message} == {
        key: len(value) for key, value in message.items()
    }
