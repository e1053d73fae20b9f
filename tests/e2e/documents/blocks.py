"""The code blocks of the documentation, as a reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHELL: Final = frozenset({"", "bash", "sh"})
_FENCE: Final = re.compile(r"(\s*)```(\w*)")
_INDENT: Final = "    "


@dataclass(frozen=True)
class Block:
    """A fenced block with its language, or an indented one, whose language is empty."""

    page: str
    line: int
    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, which names it."""
        return self.text.splitlines()[0].strip()

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.page, self.first


def blocks_of(root: Path, page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    return list(_blocks(page, (root / page).read_text(encoding="utf-8").splitlines()))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence:
            end = next(at for at in range(number + 1, len(lines)) if lines[at].strip().startswith("```"))
            indent = len(fence[1])
            yield Block(page, number + 1, fence[2] or "text", _joined(lines[number + 1 : end], indent))
            number = end + 1
        elif lines[number].startswith(_INDENT) and (number == 0 or not lines[number - 1].strip()):
            end = number
            while end < len(lines) and (lines[end].startswith(_INDENT) or not lines[end].strip()):
                end += 1
            indent = len(lines[number]) - len(lines[number].lstrip())
            yield Block(page, number + 1, "", _joined(lines[number:end], indent).rstrip())
            number = end
        else:
            number += 1


def _joined(lines: list[str], indent: int) -> str:
    return "\n".join(line[indent:] for line in lines)
