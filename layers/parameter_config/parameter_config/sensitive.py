"""Strings that may be used but must not be seen."""

from __future__ import annotations

from typing import Final

MASK: Final = "********"


class Sensitive(str):
    """A string whose `repr` hides it, so that it does not appear in logs, tracebacks or printed trees.

    It is a string in every other respect: it compares, formats and encodes as its value does.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"
