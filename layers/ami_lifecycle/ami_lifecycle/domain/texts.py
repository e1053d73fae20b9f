"""Free text, made to fit its destination, so that it cannot fail a verified build.

Text in requests is validated by the plan instead (`domain.requests`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

# Characters that shells, terminals, mail programs and stores do not accept.
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
    """A valid subject of SNS: printable ASCII, one line, at most 100 characters."""
    ascii_only = one_line(text).encode("ascii", "replace").decode("ascii")
    return ascii_only[:SUBJECT_LIMIT].strip() or "ami-lifecycle"


def fitting(message: Mapping[str, Any], limit: int, indent: int | None = None) -> str:
    """JSON of a message in at most `limit` bytes; values of other types are written as text.

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
    """The value with each text cut to half its length, down to a minimum."""
    if isinstance(value, str):
        return value[: max(_TEXT_BYTES, len(value) // 2)]
    if isinstance(value, Mapping):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_shortened(each) for each in value]
    return value
