"""What a rule's target receives: the event, a part of it, a constant, or a filled template.

Sources: EventBridge user guide, "Input transformation"; API reference, Target and InputTransformer; what the
service does with null, missing and quoted values is recorded in radkawar/stackd,
testdata/aws/eventbridge/inputs.json, and in localstack/localstack, tests/aws/services/events/test_events_inputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aws_emulator.api.strict_json import refuse_constant

_PLACEHOLDER: Final = re.compile(r"<([^<>\s]+)>")
_STEP: Final = re.compile(r"\.([^.\[\]*\"'\s]+)|\[(\d+|\*)\]")
# As a member's name: a quoted text that a colon follows.
_KEY: Final = re.compile(r'"(?:[^"\\]|\\.)*"\s*:')
_RULE_VARIABLES: Final = ("aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time")
_EVENT_VARIABLES: Final = ("aws.events.event", "aws.events.event.json")
_MISSING: Final = object()


class InputError(ValueError):
    """The target's Input, InputPath or InputTransformer is not valid."""


@dataclass(frozen=True)
class Origin:
    """Where an event comes from, for the predefined variables of a template.

    Attributes:
        ingested: when EventBridge received the event.
    """

    rule_arn: str
    rule_name: str
    ingested: datetime


def check_target_input(target: Mapping[str, Any]) -> None:
    """Refuse what PutTargets refuses.

    Raises:
        InputError: with the service's words.
    """
    name = target["Id"]
    if sum(member in target for member in ("Input", "InputPath", "InputTransformer")) > 1:
        raise InputError(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}."
        )
    if target.get("Input") and not is_json(target["Input"]):
        raise InputError(f"JSON syntax error in input for target {name}")
    paths = [target["InputPath"]] if target.get("InputPath") else []
    transformer = target.get("InputTransformer")
    if transformer is not None:
        paths += list((transformer.get("InputPathsMap") or {}).values())
    if not all(_is_path(path) for path in paths):
        raise InputError(f"InputPath for target {name} is invalid.")
    if transformer is not None:
        _check_template(name, transformer)


def _check_template(name: str, transformer: Mapping[str, Any]) -> None:
    template, paths = transformer["InputTemplate"], transformer.get("InputPathsMap") or {}
    for placeholder in _PLACEHOLDER.findall(template):
        known = placeholder in paths or placeholder in _RULE_VARIABLES or placeholder in _EVENT_VARIABLES
        # Without a map, what looks like a placeholder is text.
        if paths and not known:
            raise InputError(f"InputTemplate for target {name} contains invalid placeholder {placeholder}.")
        if placeholder in _EVENT_VARIABLES and not _is_structured(template):
            raise InputError(
                f"InputTemplate for target {name} contains placeholder {placeholder} valid only for JSON template."
            )
    if _is_structured(template) and any(_PLACEHOLDER.search(key) for key in _KEY.findall(template)):
        raise InputError(f"InputTemplate placeholder present as a JSON object key for target {name}.")
    if not is_json(_PLACEHOLDER.sub("null", template)):
        raise InputError(f"Invalid InputTemplate for target {name} : [Source: (String){template!r}].")


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], origin: Origin) -> str:
    """The text for a target, which the service delivers only if it `is_json`, and not at all if it is empty."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        path = target["InputPath"]
        value = _read(path, event) if path else _MISSING
        return "{}" if value is _MISSING or value is None else _dump(value)
    if "InputTransformer" in target:
        return _transform(target["InputTransformer"], event, origin)
    return _dump(event)


def is_json(text: str) -> bool:
    """Whether a text is JSON: one value, or several with white space between them."""
    decoder = json.JSONDecoder(parse_constant=refuse_constant)
    position = 0
    while position < len(text):
        try:
            _, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return False
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
    return bool(text.strip())


def _transform(transformer: Mapping[str, Any], event: Mapping[str, Any], origin: Origin) -> str:
    values: dict[str, Any] = {
        name: _read(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()
    }
    values |= {
        "aws.events.rule-arn": origin.rule_arn,
        "aws.events.rule-name": origin.rule_name,
        "aws.events.event": _without_detail(event),
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": origin.ingested.isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        ),
    }
    template: str = transformer["InputTemplate"]
    structured = _is_structured(template)
    pieces: list[str] = []
    position, quoted = 0, False
    for match in _PLACEHOLDER.finditer(template):
        literal = template[position : match.start()]
        quoted ^= _quotes(literal) % 2 == 1
        value = values.get(match[1], match)
        if value is match:
            filled = match[0]
        elif structured:
            filled = _inside_quotes(value) if quoted else _as_json(value)
        else:
            filled = _as_text(value)
        pieces += [literal, filled]
        position = match.end()
    return "".join([*pieces, template[position:]])


def _without_detail(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as `<aws.events.event>` shows it: other names, the time in milliseconds, no detail."""
    moment = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return {
        "id": event["id"],
        "account": event["account"],
        "detailType": event["detail-type"],
        "time": int(moment.timestamp() * 1000),
        "source": event["source"],
        "region": event["region"],
        "resources": event["resources"],
        "version": event["version"],
    }


def _is_structured(template: str) -> bool:
    """Whether a template is a JSON object: only then are texts escaped, and missing values empty texts."""
    return template.lstrip().startswith("{")


def _quotes(text: str) -> int:
    return len(re.findall(r'(?<!\\)"', text))


def _as_json(value: Any) -> str:
    return '""' if value is _MISSING else _dump(value)


def _inside_quotes(value: Any) -> str:
    if value is _MISSING:
        return ""
    # Objects and lists keep their quotes there, so that the result is no JSON.
    return _dump(value)[1:-1] if isinstance(value, str) else _dump(value)


def _as_text(value: Any) -> str:
    if value is _MISSING:
        return ""
    if isinstance(value, str):
        return value
    return _dump(value).replace('"', "")


def _is_path(path: str) -> bool:
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return False
        position = match.end()
    return path.startswith("$")


def _read(path: str, event: Mapping[str, Any]) -> Any:
    value: Any = event
    steps = [(match[1], match[2]) for match in _STEP.finditer(path)]
    for number, (name, index) in enumerate(steps):
        if index == "*":
            rest = "$" + "".join(f".{name}" if name else f"[{index}]" for name, index in steps[number + 1 :])
            items = [_read(rest, item) for item in value] if isinstance(value, list) else []
            return [item for item in items if item is not _MISSING]
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
