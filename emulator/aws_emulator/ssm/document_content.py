"""Content of Command documents: what is valid, and which parameters and steps it has.

Source: Systems Manager user guide, "Schemas, features, and examples" and "Command document plugin reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from aws_emulator.api.operations import ApiError
from aws_emulator.api.strict_json import strict_json

MAX_BYTES: Final = 65_536
_PLUGINS: Final = frozenset(
    {
        "aws:applications",
        "aws:cloudWatch",
        "aws:configureDocker",
        "aws:configurePackage",
        "aws:domainJoin",
        "aws:downloadContent",
        "aws:psModule",
        "aws:refreshAssociation",
        "aws:runDockerAction",
        "aws:runDocument",
        "aws:runPowerShellScript",
        "aws:runShellScript",
        "aws:softwareInventory",
        "aws:updateAgent",
        "aws:updateSsmAgent",
    }
)
_INTERPOLATION: Final = re.compile(r"\{\{\s*(\w[\w:./-]*)\s*\}\}")
_TYPES: Final = ("String", "StringList")


@dataclass(frozen=True)
class DocumentContent:
    """A parsed Command document of schema 2.2."""

    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    steps: tuple[Mapping[str, Any], ...]

    @property
    def first_step(self) -> str:
        """The name of the first step, which results carry as PluginName."""
        return str(self.steps[0]["name"])

    def timeout_seconds(self, parameters: Mapping[str, Any]) -> float:
        """The execution timeout of the first step; below 5 it silently becomes 3600, as the agent has it."""
        text = str(self.steps[0].get("inputs", {}).get("timeoutSeconds", 3600))
        text = _INTERPOLATION.sub(lambda match: str(parameters.get(match.group(1), "")), text)
        seconds = float(text) if text.isdecimal() else 3600.0
        return seconds if seconds >= 5 else 3600.0


def parse(text: str, document_format: str) -> DocumentContent:
    """Read and check the content of a document.

    Raises:
        ApiError: `InvalidDocumentContent`, `InvalidDocumentSchemaVersion` or `MaxDocumentSizeExceeded`.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ApiError("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
    content = _load(text, document_format)
    version = str(content.get("schemaVersion", ""))
    if version != "2.2":
        raise ApiError(
            "InvalidDocumentSchemaVersion",
            f"The emulator takes documents of schemaVersion 2.2, not {version or 'none'}",
        )
    parameters = content.get("parameters") or {}
    steps = content.get("mainSteps")
    if not isinstance(parameters, dict) or not isinstance(steps, list) or not steps:
        raise invalid("a document needs mainSteps, a list, and may have parameters, a mapping")
    for name, definition in parameters.items():
        _check_parameter(name, definition)
    _check_steps(steps)
    _check_interpolation(steps, parameters)
    return DocumentContent(str(content.get("description", "")), parameters, tuple(steps))


def invalid(reason: str) -> ApiError:
    """The refusal of a document's content."""
    return ApiError("InvalidDocumentContent", f"The content for the document is not valid: {reason}.")


def _load(text: str, document_format: str) -> dict[str, Any]:
    try:
        content = strict_json(text) if document_format == "JSON" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise invalid(f"it is no {document_format}: {error}") from error
    if not isinstance(content, dict):
        raise invalid("it must be a mapping")
    return content


def _check_parameter(name: str, definition: Any) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9]+", str(name)):
        raise invalid(f"the parameter name {name} may have letters and numbers only")
    if not isinstance(definition, dict) or definition.get("type") not in _TYPES:
        raise invalid(f"the parameter {name} must have the type String or StringList")
    if definition.get("interpolationType", "ENV_VAR") != "ENV_VAR":
        raise invalid(f"the interpolationType of {name} must be ENV_VAR")
    try:
        re.compile(str(definition.get("allowedPattern", "")))
    except re.error as error:
        raise invalid(f"the allowedPattern of {name} is no regular expression: {error}") from error


def _check_steps(steps: list[Any]) -> None:
    names = set()
    for step in steps:
        if not isinstance(step, dict) or not isinstance(step.get("name"), str):
            raise invalid("each step needs a name and an action")
        if step["name"] in names:
            raise invalid(f"there are two steps {step['name']}")
        names.add(step["name"])
        if step.get("action") not in _PLUGINS:
            raise invalid(f"the action {step.get('action')} of step {step['name']} is unknown")


def _check_interpolation(steps: list[Any], parameters: Mapping[str, Any]) -> None:
    for text in _texts(steps):
        for name in _INTERPOLATION.findall(text):
            if name not in parameters and not name.startswith(("ssm:", "global:", "platformType")):
                raise invalid(f"the parameter {name} is used but not declared")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def bind(content: DocumentContent, given: Mapping[str, list[str]]) -> dict[str, str | list[str]]:
    """The parameters of a command: those given, the defaults for the others.

    Raises:
        ApiError: `InvalidParameters`, naming the parameter that is unknown, missing or refused.
    """
    for name in given:
        if name not in content.parameters:
            raise ApiError("InvalidParameters", f"Parameter {name} is not defined in the document.")
    bound: dict[str, str | list[str]] = {}
    for name, definition in content.parameters.items():
        if name not in given:
            if "default" not in definition:
                raise ApiError("InvalidParameters", f"Parameter {name} requires argument value(s).")
            bound[name] = definition["default"]
            continue
        values = given[name]
        if definition["type"] == "String" and len(values) != 1:
            raise ApiError("InvalidParameters", f"Parameter {name} takes exactly one value.")
        for value in values:
            _check_value(name, definition, value)
        bound[name] = values[0] if definition["type"] == "String" else list(values)
    return bound


def _check_value(name: str, definition: Mapping[str, Any], value: str) -> None:
    pattern = definition.get("allowedPattern")
    if pattern and not re.search(f"^(?:{pattern})$", value):
        raise ApiError(
            "InvalidParameters",
            f"Parameter {name} has a value that doesn't match its allowedPattern: {pattern}",
        )
    allowed = definition.get("allowedValues")
    if allowed and value not in allowed:
        raise ApiError("InvalidParameters", f"Parameter {name} must be one of {', '.join(allowed)}.")
    low, high = definition.get("minChars"), definition.get("maxChars")
    if (low is not None and len(value) < int(low)) or (high is not None and len(value) > int(high)):
        raise ApiError("InvalidParameters", f"Parameter {name} has a value of a length that is not allowed.")
