"""JSON that callers send."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aws_emulator.api.operations import ApiError
from aws_emulator.api.paging import page
from aws_emulator.api.strict_json import strict_json
from aws_emulator.eventbridge.patterns import PatternError, parse_pattern
from aws_emulator.eventbridge.target_inputs import is_json
from aws_emulator.logs.patterns import matcher
from aws_emulator.step_functions.definition import parse_definition
from aws_emulator.step_functions.errors import DefinitionError

NO_JSON = ["NaN", "[Infinity]", '{"n": -Infinity}', "[" * 100_000, '{"n":' * 100_000, "", "{'n': 1}"]


@pytest.mark.parametrize(
    ("text", "value"), [("1.5e3", 1500.0), (b'{"n": [null, true]}', {"n": [None, True]}), ('"NaN"', "NaN")]
)
def test_json_is_read(text: str | bytes, value: Any) -> None:
    assert strict_json(text) == value


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_is_refused_by_whoever_reads_it(text: str) -> None:
    """RFC 8259 has neither NaN nor Infinity, and no caller's text may end in an error of the emulator's own."""
    with pytest.raises(ValueError, match=r"."):
        strict_json(text)
    with pytest.raises(PatternError):
        parse_pattern(text[:4000])
    with pytest.raises(DefinitionError):
        parse_definition(text)
    assert not is_json(text)
    token = base64.urlsafe_b64encode(text.encode()).decode()
    with pytest.raises(ApiError, match="InvalidNextToken"):
        page([1], token or "e30=", None, default=1)
    assert not matcher('{ $.n = "*" }')(text)
