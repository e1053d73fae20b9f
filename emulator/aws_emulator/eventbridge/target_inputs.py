"""What a rule's target receives: the event, a part of it, a constant, or a filled template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_PLACEHOLDER: Final = re.compile(r"<([\w.-]+)>")
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]")


class InputError(ValueError):
    """The target's Input, InputPath or InputTransformer is not valid."""


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str, rule_name: str) -> str:
    """The JSON text for a target; raises InputError."""
    if "Input" in target:
        try:
            json.loads(target["Input"])
        except ValueError as error:
            raise InputError(
                f"Invalid input for target. Reason: JSON syntax error in Input: {error}"
            ) from error
        return str(target["Input"])
    if "InputPath" in target:
        return _dump(_read(target["InputPath"], event))
    if "InputTransformer" in target:
        return _transform(target["InputTransformer"], event, rule_arn, rule_name)
    return _dump(event)


def _transform(
    transformer: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str, rule_name: str
) -> str:
    values = {name: _read(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()} | {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name,
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event.get("time"),
    }
    template: str = transformer["InputTemplate"]
    pieces: list[str] = []
    position, quoted = 0, False
    for match in _PLACEHOLDER.finditer(template):
        literal = template[position : match.start()]
        quoted ^= _quotes(literal) % 2 == 1
        if match[1] not in values:
            raise InputError(f"Invalid InputTemplate for target: <{match[1]}> is not in InputPathsMap")
        pieces += [literal, _inside_quotes(values[match[1]]) if quoted else _dump(values[match[1]])]
        position = match.end()
    text = "".join([*pieces, template[position:]])
    try:
        json.loads(text)
    except ValueError:
        # A template that is no JSON reaches the target as text.
        return json.dumps(text)
    return text


def _quotes(text: str) -> int:
    return len(re.findall(r'(?<!\\)"', text))


def _inside_quotes(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else _dump(value)
    return json.dumps(text)[1:-1]


def _read(path: str, event: Mapping[str, Any]) -> Any:
    if not path.startswith("$"):
        raise InputError(f"Invalid InputPath for target: {path}")
    value: Any = event
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise InputError(f"the emulator does not support the path {path}")
        name, index, quoted = match.groups()
        try:
            value = value[int(index)] if index else value[name or quoted]
        except (KeyError, IndexError, TypeError):
            value = None
        position = match.end()
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
