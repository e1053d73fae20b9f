"""The `wildcard` filter of event patterns: its escapes, and how complex AWS lets it be.

Source: EventBridge user guide, "Comparison operators": wildcard matching, escape characters, complexity; and AWS's
own matcher, which is public (aws/event-ruler: WildcardParser, MachineComplexityEvaluator).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# Patterns with more simultaneous partial matches than this are refused: AWS takes `*a*a*a*a*a` and refuses
# `*:*:*:*:*:event-bus/*`, eleven patterns `0*` to `10*` on one field, and eight times `*a`.
_MOST_PARTIAL_MATCHES: Final = 10
# Sets of partial matches that are looked at; patterns with more than these have long been found too complex.
_MOST_SETS: Final = 5_000
_QUOTE: Final = '"'

# A character, or None for a star.
Token = str | None
_Place = tuple[int, int, bool]


class WildcardError(ValueError):
    """The wildcard is not one that EventBridge accepts."""


def parse_wildcard(text: str) -> tuple[Token, ...]:
    r"""The tokens of a wildcard, in which `\*` and `\\` stand for the characters themselves.

    Raises:
        WildcardError: two stars in a row, or a backslash before anything else.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        character, following = text[position], text[position + 1 : position + 2]
        # Positions count the quote before the value, in bytes.
        shown = len(text[:position].encode()) + 1
        if character == "*":
            if following == "*":
                raise WildcardError(f"Consecutive wildcard characters at pos {shown}")
            tokens.append(None)
        elif character == "\\":
            if following not in {"*", "\\"}:
                raise WildcardError(f"Invalid escape character at pos {shown}")
            tokens.append(following)
            position += 1
        else:
            tokens.append(character)
        position += 1
    return tuple(tokens)


def wildcard_expression(tokens: tuple[Token, ...]) -> re.Pattern[str]:
    """A regular expression for the whole of what a wildcard matches."""
    return re.compile("".join(".*" if token is None else re.escape(token) for token in tokens), re.DOTALL)


def is_too_complex(wildcards: Iterable[tuple[Token, ...]]) -> bool:
    """Whether a value could match too many beginnings of a field's wildcards at once."""
    patterns = sorted({(_QUOTE, *tokens, _QUOTE) for tokens in wildcards}, key=repr)
    if len(patterns) > _MOST_PARTIAL_MATCHES:
        return True
    characters = {token for pattern in patterns for token in pattern if token is not None}
    # None stands for any character that no pattern names.
    alphabet: list[str | None] = [*sorted(characters), None]
    first = _with_stars({(number, 1, False) for number in range(len(patterns))}, patterns)
    seen, waiting = {first}, [first]
    while waiting:
        places = waiting.pop()
        if len(places) > _MOST_PARTIAL_MATCHES:
            return True
        for character in alphabet:
            following = _after(places, character, patterns)
            if following and following not in seen and len(seen) < _MOST_SETS:
                seen.add(following)
                waiting.append(following)
    return False


def _after(
    places: frozenset[_Place], character: str | None, patterns: list[tuple[Token, ...]]
) -> frozenset[_Place]:
    """Where the partial matches are when another character has come. A place: pattern, position, in its star?"""
    following: set[_Place] = set()
    for number, position, in_star in places:
        pattern = patterns[number]
        if in_star:
            following.add((number, position, True))
        next_position = position + 1 if in_star else position
        if next_position < len(pattern) and character is not None and pattern[next_position] == character:
            following.add((number, next_position + 1, False))
    return _with_stars(following, patterns)


def _with_stars(places: set[_Place], patterns: list[tuple[Token, ...]]) -> frozenset[_Place]:
    """The places, and the stars that begin at them: a star may stand for nothing."""
    stars = {
        (number, position, True)
        for number, position, in_star in places
        if not in_star and position < len(patterns[number]) and patterns[number][position] is None
    }
    return frozenset(places | stars)
