"""Filter patterns (CloudWatch Logs user guide, Filter pattern syntax): terms, and equality of properties of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.api.strict_json import strict_json

Matches = Callable[[str], bool]
_TERM: Final = re.compile(
    r'(?P<sign>[-?]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>[A-Za-z0-9_./:@#=,-]+))\s*'
)
_COMPARISON: Final = re.compile(
    r'\s*\$\.(?P<path>[A-Za-z0-9_.-]+)\s*(?P<operator>=|!=)\s*(?:"(?P<text>[^"]*)"|(?P<word>[A-Za-z0-9_.*-]+))\s*'
)
_MOST_CHARACTERS: Final = 1024


def matcher(pattern: str) -> Matches:
    """Whether a message matches a pattern; an empty one matches every message.

    Raises:
        ApiError: the pattern is not valid, or of a kind that is not emulated.
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise ApiError("InvalidParameterException", "Invalid filter pattern")
    text = pattern.strip()
    if not text:
        return lambda _message: True
    if text.startswith("{"):
        return _properties(text)
    if text[0] in "[%":
        raise ApiError("EmulatorUnsupportedOperation", f"the emulator does not know the pattern {text}", 501)
    return _terms(text)


def _terms(text: str) -> Matches:
    """All plain terms, none of those with -, and one of those with ? where there are no plain ones; case counts."""
    needed: list[str] = []
    refused: list[str] = []
    optional: list[str] = []
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise ApiError("InvalidParameterException", "Invalid filter pattern")
        phrase = found["phrase"]
        term = found["word"] if phrase is None else re.sub(r"\\(.)", r"\1", phrase)
        {"": needed, "-": refused, "?": optional}[found["sign"]].append(term)
        position = found.end()

    def matches(message: str) -> bool:
        some = bool(needed) or not optional or any(term in message for term in optional)
        return (
            some and all(term in message for term in needed) and not any(term in message for term in refused)
        )

    return matches


def _properties(text: str) -> Matches:
    if not text.endswith("}"):
        raise ApiError("InvalidParameterException", "Invalid filter pattern")
    alternatives = [[_comparison(part) for part in each.split("&&")] for each in text[1:-1].split("||")]

    def matches(message: str) -> bool:
        try:
            content = strict_json(message)
        except ValueError:
            return False
        return any(all(compare(content) for compare in each) for each in alternatives)

    return matches


def _comparison(text: str) -> Callable[[Any], bool]:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        if "$" not in text:
            raise ApiError("InvalidParameterException", "Invalid filter pattern")
        raise ApiError("EmulatorUnsupportedOperation", f"the emulator does not know the pattern {text}", 501)
    expected = found["text"] if found["text"] is not None else found["word"]
    pattern = re.compile(".*".join(re.escape(part) for part in expected.split("*")), re.DOTALL)
    keys = found["path"].split(".")

    def compare(content: Any) -> bool:
        for key in keys:
            content = content.get(key) if isinstance(content, dict) else None
        if content is None or isinstance(content, dict | list):
            # A property that is missing matches neither = nor !=.
            return False
        shown = content if isinstance(content, str) else json.dumps(content)
        return (pattern.fullmatch(shown) is not None) == (found["operator"] == "=")

    return compare
