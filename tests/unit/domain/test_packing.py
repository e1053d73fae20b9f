"""Data for documents: readable again, and as short as a parameter wants it."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.start_programs import START_PROGRAMS


@pytest.mark.parametrize("value", [{"a": [1, 2], "b": None}, START_PROGRAMS])
def test_what_is_packed_is_compact_json_in_one_line(value: Any) -> None:
    text = zlib.decompress(base64.b64decode(packed(value))).decode()
    assert text == json.dumps(value, separators=(",", ":"))
    assert "\n" not in packed(value)


def test_what_is_packed_is_as_short_as_zlib_makes_it() -> None:
    value = [f"{number * number % 9_973:x}" for number in range(4_000)]
    text = json.dumps(value, separators=(",", ":")).encode()
    lengths = [len(zlib.compress(text, level)) for level in range(1, 10)]
    assert min(lengths) < lengths[5], "an example that tells levels apart"
    assert len(base64.b64decode(packed(value))) == min(lengths)
