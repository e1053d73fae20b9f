"""Typed values: how a value becomes the text that Parameter Store holds, and the way back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

from parameter_config.schema import ValueType

# Without leading zeros and separators: 0123 is an account, an octal number or 123.
_INT = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SHOWN_CHARACTERS: Final = 60


def infer_type(default: object) -> ValueType:
    """Choose the type of a declaration that has none from its default; str where there is no default.

    So a value has one type, whether it comes from Parameter Store or from the default.
    """
    match default:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case list() if all(_fits_string_list(item) for item in default):
            return "list"
        case list() | dict():
            return "json"
        case _:
            return "str"


def _fits_string_list(item: object) -> bool:
    return isinstance(item, str) and item != "" and "," not in item and item == item.strip()


def parse_text(text: str, value_type: ValueType) -> Any:
    """Read a stored text as a value of `value_type`.

    Raises:
        ValueError: the text is not of that type; the message has no part of the text.
    """
    return _PARSERS[value_type](text)


def format_value(value: Any, value_type: ValueType) -> str:
    """Write a value as the text that Parameter Store holds; `parse_text` reads it back as it was.

    Raises:
        ValueError: the value is not of that type.
    """
    checked = coerce_value(value, value_type)
    match value_type:
        case "str":
            return str(checked)
        case "bool":
            return "true" if checked else "false"
        case "list":
            return ",".join(checked)
        case "json":
            return json.dumps(checked, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        case _:
            return repr(checked)


def coerce_value(value: Any, value_type: ValueType) -> Any:
    """Check a value of a YAML file against a type; whole numbers become floats where a float is due.

    Raises:
        ValueError: the value is not of that type.
    """
    match value_type, value:
        case "str", str():
            return value
        case "bool", bool():
            return value
        case (("int" | "float"), bool()):
            pass
        case "int", int():
            return value
        case "float", int() | float() if math.isfinite(value):
            return float(value)
        case "list", list() if all(_fits_string_list(item) for item in value):
            return value
        case "json", _:
            return value
    raise ValueError(_DESCRIPTIONS[value_type])


def show(value: object) -> str:
    """Render a value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


_DESCRIPTIONS: Final[dict[ValueType, str]] = {
    "str": "a string (quote it in YAML)",
    "int": "a whole number (without leading zeros)",
    "float": "a finite number",
    "bool": "true or false",
    "list": "a list of strings without commas or outer spaces (use `type: json` for others)",
    "json": "JSON (with no key twice)",
}


def _parse_int(text: str) -> int:
    if not _INT.fullmatch(text.strip()):
        raise ValueError(_DESCRIPTIONS["int"])
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text) if _FLOAT.fullmatch(text.strip()) else math.nan
    if not math.isfinite(number):
        raise ValueError(_DESCRIPTIONS["float"])
    return number


def _parse_bool(text: str) -> bool:
    match text.strip().lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError(_DESCRIPTIONS["bool"])


def _parse_list(text: str) -> list[str]:
    # What `format_value` makes of an empty list; Parameter Store itself has no empty values.
    items = [item.strip() for item in text.split(",")] if text else []
    if not all(items):
        raise ValueError("a list of strings, separated by commas, none of them empty")
    return items


def _parse_json(text: str) -> Any:
    def refuse(_: str) -> Any:
        raise ValueError(_DESCRIPTIONS["json"])

    def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            refuse("")
        return found

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=no_key_twice)
    except (ValueError, RecursionError):
        raise ValueError(_DESCRIPTIONS["json"]) from None


_PARSERS: Final[dict[ValueType, Callable[[str], Any]]] = {
    "str": str,
    "int": _parse_int,
    "float": _parse_float,
    "bool": _parse_bool,
    "list": _parse_list,
    "json": _parse_json,
}
