"""CloudFormation's intrinsic functions (CloudFormation User Guide, Intrinsic function reference)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.cloudformation.template import Template, TemplateError

_VARIABLE: Final = re.compile(r"\$\{(!?)([^}]*)\}")


class _NoValue:
    """What `AWS::NoValue` resolves to: the property is left out."""


NO_VALUE: Final = _NoValue()


class Resolver:
    """Resolves the values of a template.

    Args:
        references: what `Ref` gives: parameters, pseudo parameters, and resources once they exist.
        attributes: what `Fn::GetAtt` gives, by logical id.
        zones: Availability Zones of the Region, for `Fn::GetAZs`.
    """

    def __init__(
        self,
        template: Template,
        references: dict[str, Any],
        attributes: dict[str, Mapping[str, Any]],
        zones: list[str],
    ) -> None:
        self._template = template
        self.references = references
        self.attributes = attributes
        self._zones = zones
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda value: value[0].join(str(part) for part in self.resolve(value[1])),
            "Fn::Select": lambda value: self.resolve(value[1])[int(self.resolve(value[0]))],
            "Fn::Split": lambda value: self.resolve(value[1]).split(value[0]),
            "Fn::If": lambda value: self.resolve(value[1 if self.condition(value[0]) else 2]),
            "Fn::Equals": lambda value: str(self.resolve(value[0])) == str(self.resolve(value[1])),
            "Fn::And": lambda value: all(self.resolve(part) for part in value),
            "Fn::Or": lambda value: any(self.resolve(part) for part in value),
            "Fn::Not": lambda value: not self.resolve(value[0]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda value: base64.b64encode(str(self.resolve(value)).encode()).decode(),
            "Fn::GetAZs": lambda _value: list(self._zones),
            "Fn::ToJsonString": lambda value: json.dumps(self.resolve(value)),
            "Fn::Length": lambda value: len(self.resolve(value)),
        }

    def resolve(self, value: Any) -> Any:
        """Resolve a value of the template; raises TemplateError."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._functions and not (name == "Condition" and not isinstance(argument, str)):
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"the emulator has no intrinsic function {name}")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """The value of a condition."""
        if name not in self._template.conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.resolve(self._template.conditions[name]))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name not in self.references:
            raise TemplateError(f"Ref {name} names nothing in the template")
        return self.references[name]

    def _get_att(self, value: Any) -> Any:
        name, _, attribute = value.partition(".") if isinstance(value, str) else (value[0], "", value[1])
        try:
            return self.attributes[name][attribute]
        except KeyError:
            raise TemplateError(f"the emulator does not know the attribute {name}.{attribute}") from None

    def _sub(self, value: Any) -> str:
        text, extra = (value, {}) if isinstance(value, str) else (value[0], value[1])
        variables = self.resolve(extra)

        def replace(match: re.Match[str]) -> str:
            escaped, name = match.groups()
            if escaped:
                return "${" + name + "}"
            if name in variables:
                return str(variables[name])
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(replace, text)

    def _find_in_map(self, value: list[Any]) -> Any:
        name, first, second = (self.resolve(part) for part in value[:3])
        try:
            return self._template.mappings[name][first][second]
        except KeyError:
            raise TemplateError(f"there is no {name}.{first}.{second} in Mappings") from None


def references_in(value: Any) -> set[str]:
    """The names that a value refers to: parameters, pseudo parameters and resources."""
    if isinstance(value, list):
        return set().union(*map(references_in, value))
    if not isinstance(value, dict):
        return set()
    if len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Ref":
            return {argument}
        if name == "Fn::GetAtt":
            return {argument.partition(".")[0] if isinstance(argument, str) else argument[0]}
        if name == "Fn::Sub":
            text, extra = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
            names = {match[2].partition(".")[0] for match in _VARIABLE.finditer(text) if not match[1]} - set(
                extra
            )
            return names | references_in(extra)
    return set().union(*map(references_in, value.values()))
