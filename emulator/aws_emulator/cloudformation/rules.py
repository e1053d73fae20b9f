"""Rules: assertions about parameters, checked before any resource is created (CloudFormation Template Reference, Rule
functions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.cloudformation.template import Template, TemplateError

Describe = Callable[..., dict[str, Any]]
_LIST: Final = "List<{}>"
_MEMBERS: Final = frozenset({"RuleCondition", "Assertions"})


class Rules:
    """Checks the rules of a template against the values of its parameters.

    Args:
        describe: calls the account as CloudFormation: service, operation, parameters.
    """

    def __init__(self, template: Template, values: Mapping[str, Any], describe: Describe) -> None:
        self._template = template
        self._values = values
        self._describe = describe
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::And": lambda parts: all(self._value(part) for part in parts),
            "Fn::Or": lambda parts: any(self._value(part) for part in parts),
            "Fn::Not": lambda parts: not self._value(parts[0]),
            "Fn::Equals": lambda parts: self._value(parts[0]) == self._value(parts[1]),
            "Fn::Contains": lambda parts: self._value(parts[1]) in self._value(parts[0]),
            "Fn::EachMemberEquals": lambda parts: set(self._value(parts[0])) <= {self._value(parts[1])},
            "Fn::EachMemberIn": lambda parts: set(self._value(parts[0])) <= set(self._value(parts[1])),
            "Fn::RefAll": self._all_of,
            "Fn::ValueOf": lambda parts: self._attributes([parts[0]], parts[1]),
            "Fn::ValueOfAll": lambda parts: self._attributes(self._named(parts[0]), parts[1]),
        }

    def check(self) -> None:
        """Refuse parameters that a rule does not admit; raises TemplateError with the assertion's description."""
        for name, rule in self._template.rules.items():
            if unknown := set(rule) - _MEMBERS:
                raise TemplateError(f"the rule {name}: the emulator does not know {sorted(unknown)}")
            if "RuleCondition" in rule and not self._value(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self._value(assertion["Assert"]):
                    raise TemplateError(
                        f"the rule {name} refuses it: {assertion.get('AssertDescription', '')}"
                    )

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        (name, argument), *others = value.items()
        if others or name not in self._functions:
            raise TemplateError(f"the emulator has no rule function {name}")
        return self._functions[name](argument)

    def _ref(self, name: str) -> Any:
        if name not in self._values:
            raise TemplateError(f"Ref {name} in a rule names no parameter")
        return self._values[name]

    def _named(self, kind: str) -> list[str]:
        """The parameters of a type, or of lists of it."""
        kinds = {kind, _LIST.format(kind)}
        return [name for name, each in self._template.parameters.items() if each["Type"] in kinds]

    def _all_of(self, kind: str) -> list[Any]:
        found: list[Any] = []
        for name in self._named(kind):
            value = self._values[name]
            found += value if isinstance(value, list) else [value]
        return found

    def _attributes(self, names: list[str], attribute: str) -> list[Any]:
        found: list[Any] = []
        for name in names:
            kind = self._template.parameters[name]["Type"].removeprefix("List<").removesuffix(">")
            if (kind, attribute) != ("AWS::EC2::Subnet::Id", "VpcId"):
                raise TemplateError(f"the emulator does not know the attribute {attribute} of {kind}")
            value = self._values[name]
            found += [self._vpc_of(each) for each in (value if isinstance(value, list) else [value])]
        return found

    def _vpc_of(self, subnet_id: str) -> str:
        try:
            (subnet,) = self._describe("ec2", "DescribeSubnets", SubnetIds=[subnet_id])["Subnets"]
        except ApiError as error:
            raise TemplateError(f"a rule cannot be checked: {error}") from error
        return str(subnet["VpcId"])
