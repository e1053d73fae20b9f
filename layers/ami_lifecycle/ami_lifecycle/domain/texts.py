"""Text of people's choice, made to fit where it is kept: nothing that others wrote may end a build that is verified.

What the caller of a build writes is refused in the plan instead, where it costs nothing (`domain.requests`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# What shells, terminals, mail programs and stores cannot carry.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Amazon SNS API reference, Publish: a subject is one line, and a message has at most 262,144 bytes.
SUBJECT_LIMIT: Final = 100
MESSAGE_BYTES: Final = 262_144
# EventBridge user guide, PutEvents: an entry has at most 256 KB, of which 1 KB is left to its other fields.
EVENT_BYTES: Final = 255 * 1_024
_TEXT_BYTES: Final = 1_000
_FEWEST_ITEMS: Final = 1


def one_line(text: str) -> str:
    """The text without control characters, with one space for each run of white space."""
    return " ".join(CONTROL.sub(" ", text).split())


def subject(text: str) -> str:
    """A subject that SNS takes: printable ASCII, one line, at most 100 characters."""
    ascii_only = one_line(text).encode("ascii", "replace").decode("ascii")
    return ascii_only[:SUBJECT_LIMIT].strip() or "ami-lifecycle"


def fitting(message: Mapping[str, Any], limit: int, indent: int | None = None) -> str:
    """JSON of a message in at most `limit` bytes; values that JSON does not know are written as text.

    What does not fit is left out: long lists are halved, the longest first, with a note of how many were left out;
    then long texts are cut.
    """
    values = json.loads(json.dumps(message, default=str))
    left_out: dict[str, int] = {}
    while len(text := _dumped(values, left_out, indent)) > limit:
        lists = [
            key for key, value in values.items() if isinstance(value, list) and len(value) > _FEWEST_ITEMS
        ]
        if lists:
            longest = max(lists, key=lambda key: len(json.dumps(values[key])))
            kept = values[longest][: len(values[longest]) // 2]
            left_out[longest] = left_out.get(longest, 0) + len(values[longest]) - len(kept)
            values[longest] = kept
            continue
        shorter = _shortened(values)
        if shorter == values:
            break
        values = shorter
    return text


def _dumped(values: Mapping[str, Any], left_out: Mapping[str, int], indent: int | None) -> str:
    return json.dumps({**values, **({"left_out": left_out} if left_out else {})}, indent=indent)


def _shortened(value: Any) -> Any:
    """The value with each text at most half as long, but not shorter than what says something."""
    if isinstance(value, str):
        return value[: max(_TEXT_BYTES, len(value) // 2)]
    if isinstance(value, Mapping):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_shortened(each) for each in value]
    return value
