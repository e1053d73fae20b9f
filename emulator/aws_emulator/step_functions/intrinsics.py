"""The intrinsic functions of the Amazon States Language, and payload templates that use them."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.api.strict_json import strict_json
from aws_emulator.step_functions.errors import DefinitionError, StateError
from aws_emulator.step_functions.paths import NoSuchPathError, Path, parse_path

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<call>States\.\w+)\s*\(|(?P<string>'(?:[^'\\]|\\.)*')|(?P<path>\$[^,)\s]*)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>true|false|null)|(?P<mark>[,)]))"
)
_HASHES: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


@dataclass(frozen=True)
class Call:
    """A call of an intrinsic function; the arguments are calls, paths or constants."""

    name: str
    arguments: tuple[Any, ...]

    def evaluate(self, data: Any, context: Any) -> Any:
        """The result; raises StateError States.IntrinsicFailure."""
        values = [_evaluate(argument, data, context) for argument in self.arguments]
        try:
            return FUNCTIONS[self.name](*values)
        except (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            binascii.Error,
        ) as error:
            raise StateError("States.IntrinsicFailure", f"{self.name} failed: {error}") from error


def _evaluate(argument: Any, data: Any, context: Any) -> Any:
    if isinstance(argument, Call):
        return argument.evaluate(data, context)
    return argument.read(data, context) if isinstance(argument, Path) else argument


@functools.cache
def parse_expression(text: str) -> Call | Path:
    """Parse what may stand behind a `.$` key: a path or an intrinsic function."""
    if text.startswith("$"):
        return parse_path(text)
    value, position = _parse(text, 0)
    if not isinstance(value, Call) or text[position:].strip():
        raise DefinitionError(f"'{text}' is neither a path nor an intrinsic function")
    return value


def _parse(text: str, position: int) -> tuple[Any, int]:
    match = _TOKEN.match(text, position)
    if match is None or match["mark"]:
        raise DefinitionError(f"'{text}' is not an intrinsic function (at '{text[position:]}')")
    if match["call"]:
        return _parse_call(text, match["call"], match.end())
    if match["string"]:
        # A backslash takes the next character as it stands; Format's own escapes survive for it.
        return re.sub(r"\\(['\\])", r"\1", match["string"][1:-1]), match.end()
    if match["path"]:
        return parse_path(match["path"]), match.end()
    return json.loads(match["number"] or match["word"]), match.end()


def _parse_call(text: str, name: str, position: int) -> tuple[Call, int]:
    if name not in FUNCTIONS:
        raise DefinitionError(f"'{name}' is not an intrinsic function")
    arguments: list[Any] = []
    while True:
        match = _TOKEN.match(text, position)
        if match is not None and match["mark"] == ")":
            return Call(name, tuple(arguments)), match.end()
        if match is not None and match["mark"] == "," and arguments:
            position = match.end()
        value, position = _parse(text, position)
        arguments.append(value)


def render(template: Any, data: Any, context: Any) -> Any:
    """Fill a payload template (`Parameters`, `ResultSelector`): keys that end in `.$` are evaluated."""
    if isinstance(template, list):
        return [render(item, data, context) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        (key[:-2] if key.endswith(".$") else key): (
            evaluate(value, data, context, key) if key.endswith(".$") else render(value, data, context)
        )
        for key, value in template.items()
    }


def evaluate(text: str, data: Any, context: Any, field: str) -> Any:
    """The value of a path or an intrinsic function; raises StateError, naming the field."""
    try:
        return _evaluate(parse_expression(text), data, context)
    except NoSuchPathError as error:
        raise error.of_field(field, data) from error


def check_template(template: Any) -> None:
    """Raise DefinitionError for a template that can never be filled."""
    if isinstance(template, list):
        for item in template:
            check_template(item)
    elif isinstance(template, dict):
        for key, value in template.items():
            if not key.endswith(".$"):
                check_template(value)
            elif isinstance(value, str):
                parse_expression(value)
            else:
                raise DefinitionError(f"the value of '{key}' must be a path or an intrinsic function")


def _format(template: str, *values: Any) -> str:
    parts = re.split(r"(?<!\\)\{\}", template)
    if len(parts) - 1 != len(values):
        raise ValueError(f"{len(parts) - 1} placeholders and {len(values)} arguments")
    texts = [value if isinstance(value, str) else _as_text(value) for value in values]
    joined = parts[0] + "".join(text + part for text, part in zip(texts, parts[1:], strict=True))
    return joined.replace("\\{", "{").replace("\\}", "}")


def _as_text(value: Any, *, nested: bool = False) -> str:
    """How Format writes a value: objects as `{name=value, ...}` (seen on AWS)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_as_text(item, nested=True)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_as_text(item, nested=True) for item in value) + "]"
    return value if nested and isinstance(value, str) else _dump(value)


def _round(number: Any) -> int:
    """To the nearest whole number, halves upwards (seen on AWS)."""
    if isinstance(number, bool):
        raise TypeError(f"{number} is not a number")
    rounded: int = math.floor(number + 0.5)
    return rounded


def _parse_json(text: str) -> Any:
    return strict_json(text) if text.strip() else None


def _length(items: Any) -> int:
    if not isinstance(items, list):
        raise TypeError("the argument is not an array")
    return len(items)


def _item(items: Any, index: Any) -> Any:
    if not isinstance(items, list) or isinstance(index, bool) or index < 0:
        raise IndexError(f"there is no item {index}")
    return items[index]


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _partition(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _range(first: int, last: int, step: int) -> list[int]:
    return list(range(first, last + (1 if step > 0 else -1), step))


def _unique(items: list[Any]) -> list[Any]:
    return list({_dump(item): item for item in items}.values())


def _merge(first: dict[str, Any], second: dict[str, Any], deep: bool) -> dict[str, Any]:  # noqa: FBT001, RUF100 - the language passes it by position
    if deep:
        raise ValueError("Step Functions supports shallow merging only: pass false")
    return {**first, **second}


def _split(text: str, separators: str) -> list[str]:
    return [part for part in re.split(f"[{re.escape(separators)}]", text) if part]


def _random(start: int, end: int, seed: int | None = None) -> int:
    return random.Random(seed).randrange(_round(start), _round(end))  # noqa: S311 - a workflow's number, not a secret


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "States.Array": lambda *items: list(items),
    "States.ArrayPartition": _partition,
    "States.ArrayContains": lambda items, item: _dump(item) in [_dump(each) for each in items],
    "States.ArrayRange": _range,
    "States.ArrayGetItem": _item,
    "States.ArrayLength": _length,
    "States.ArrayUnique": _unique,
    "States.Base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
    "States.Base64Decode": lambda text: base64.b64decode(text, validate=True).decode(),
    "States.Hash": lambda value, name: hashlib.new(
        _HASHES[name], (value if isinstance(value, str) else _dump(value)).encode()
    ).hexdigest(),
    "States.JsonMerge": _merge,
    "States.StringToJson": _parse_json,
    "States.JsonToString": _dump,
    "States.MathRandom": _random,
    "States.MathAdd": lambda first, second: _round(first) + _round(second),
    "States.StringSplit": _split,
    "States.UUID": lambda: str(uuid.uuid4()),
    "States.Format": _format,
}
