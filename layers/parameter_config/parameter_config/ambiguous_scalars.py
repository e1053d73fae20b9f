"""Plain words of YAML that one reader takes for a number or a truth value, and another for text.

YAML 1.1 has `yes`, `0123`, `1_000` and `12:30`, YAML 1.2 has not, and neither keeps the last zero of `1.10`. Such a
word is refused where nothing says which of the two is meant, so that what is written is what is used.
Sources: YAML 1.1, "Boolean", "Integer" and "Floating-Point Language-Independent Types"; YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import json
import re
from typing import Final

from parameter_config.schema import ValueType

_TRUTH_VALUES: Final = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
# A fraction, or an exponent with its sign: text of other kinds, such as a commit, does not have these.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+][0-9]+)")
_NUMBER_OF_A_DECLARED_TYPE = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_LOST_ZERO = re.compile(r"-?[0-9]*\.[0-9]+0|-?[0-9]*\.00+")


def quoted(written: str) -> str:
    """The word as text: in double quotes, as YAML and JSON write it."""
    return json.dumps(written, ensure_ascii=False)


def reading_of(written: str, value: bool | float, expected: ValueType | None = None) -> str | None:
    """How a plain word should be written, where it may be meant as something else; None where it is clear.

    Args:
        written: the word as it stands in the file.
        value: what our YAML reads it as.
        expected: the declared type, which decides for numbers with a fraction or an exponent.
    """
    if isinstance(value, bool):
        clear = written in _TRUTH_VALUES
    elif isinstance(value, int):
        clear = written == repr(value)
    elif expected == "float":
        clear = _NUMBER_OF_A_DECLARED_TYPE.fullmatch(written) is not None
    else:
        clear = _NUMBER.fullmatch(written) is not None and not _LOST_ZERO.fullmatch(written)
    return None if clear else json.dumps(value)
