"""Terraform variable definitions: the part of HCL's syntax that values need.

Source: HCL native syntax specification, "Literal values", "Collection values" and "Template expressions".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_-]*)
    |(?P<mark>[{}\[\]=,]))""",
    re.VERBOSE,
)
_WORDS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPES: Final = {escaped: plain for plain, escaped in _ESCAPES.items()}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f]')
_ESCAPED = re.compile(r"\\u[0-9a-f]{4}|\\.|\$\$\{|%%\{")


def format_tfvars(tree: Mapping[str, Any]) -> str:
    """Write a mapping as the text of a `.tfvars` file."""
    return "".join(f"{_key(name)} = {_format(value, 0)}\n" for name, value in tree.items())


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) and name not in _WORDS else _quote(name)


def _format(value: Any, depth: int) -> str:
    indent = "  " * (depth + 1)
    if isinstance(value, Mapping):
        lines = [f"{indent}{_key(key)} = {_format(item, depth + 1)}\n" for key, item in value.items()]
        return "{\n" + "".join(lines) + "  " * depth + "}" if lines else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_format(item, depth + 1) for item in value) + "]"
    return _quote(value) if isinstance(value, str) else json.dumps(value)


def _quote(text: str) -> str:
    """A quoted template: escapes as HCL has them, and `${` and `%{` doubled, which would begin a template."""
    escaped = _TO_ESCAPE.sub(lambda match: _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}", text)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _unquote(token: str) -> str:
    return _ESCAPED.sub(_unescape, token[1:-1])


def _unescape(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith("\\u"):
        return chr(int(found[2:], 16))
    return found[1:] if found[0] in "$%" else _UNESCAPES[found]


def parse_tfvars(text: str) -> dict[str, Any]:
    """Read what `format_tfvars` writes.

    Raises:
        ValueError: the text is something else.
    """
    parser = _Parser(text)
    return parser.entries(end=None)


class _Parser:
    """Reads tokens one by one; `_next` is the one not yet used."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0
        self._kind = ""
        self._next: str | None = None
        self._advance()

    def entries(self, end: str | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._next != end:
            key = self._take_key()
            self._expect("=")
            found[key] = self._value()
            if self._next == ",":
                self._advance()
        self._advance()
        return found

    def _value(self) -> Any:
        kind, token = self._kind, self._next
        self._advance()
        match kind, token:
            case "mark", "{":
                return self.entries(end="}")
            case "mark", "[":
                return self._items()
            case "string", str():
                return _unquote(token)
            case "number", str():
                return json.loads(token)
            case "word", str() if token in _WORDS:
                return _WORDS[token]
            case _:
                raise ValueError(f"{token!r} is not a value")

    def _items(self) -> list[Any]:
        items: list[Any] = []
        while self._next != "]":
            items.append(self._value())
            if self._next == ",":
                self._advance()
        self._advance()
        return items

    def _take_key(self) -> str:
        kind, token = self._kind, self._next
        if token is None or kind not in {"string", "word"}:
            raise ValueError(f"{token!r} is not a name")
        self._advance()
        return _unquote(token) if kind == "string" else token

    def _expect(self, mark: str) -> None:
        if self._next != mark:
            raise ValueError(f"{self._next!r} stands where {mark!r} should")
        self._advance()

    def _advance(self) -> None:
        if self._at >= len(self._text):
            self._kind, self._next = "end", None
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{self._text[self._at : self._at + 10]!r} cannot be read")
        self._at = match.end()
        self._kind, self._next = match.lastgroup, match[match.lastgroup]
