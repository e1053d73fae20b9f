"""Reading template.yaml, the state machine and what surrounds them, as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
STATE_MACHINE_FILE = ROOT / "statemachines" / "build_image.asl.yaml"
TAG_CONDITION = "ami-lifecycle:application"
# Resource of a Task that waits for its token, whatever the partition.
CALLBACK = "${InvokeAndWaitArn}"
THE_APPLICATION = {"Ref": "ApplicationName"}

Document = dict[str, Any]


class _TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags written out: `!Ref x` becomes `{"Ref": "x"}`."""


def _write_out(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Document:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_TemplateLoader.add_multi_constructor("!", _write_out)


@cache
def template() -> Document:
    """The template as CloudFormation reads it."""
    loaded: Document = yaml.load((ROOT / "template.yaml").read_text(), Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader
    return loaded


@cache
def state_machine() -> Document:
    """The state machine's definition, substitutions unresolved."""
    loaded: Document = yaml.safe_load(STATE_MACHINE_FILE.read_text())
    return loaded


def resources(*types: str) -> dict[str, Document]:
    """Properties of all resources of these types, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template()["Resources"].items()
        if resource["Type"] in types
    }


def listed(value: Any) -> list[Any]:
    """A policy's element that may be a single value or a list of them."""
    return list(value) if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """An ARN as written, for patterns: what `!Sub` or `!Ref` or `!GetAtt` names stays `${...}`."""
    match value:
        case str():
            return value
        case {"Fn::Sub": str(pattern)}:
            return pattern
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::If": [_, usual, _]}:
            return text(usual)
    raise AssertionError(f"not a text that can be compared: {value}")


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, and where it stands."""

    owner: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def condition_keys(self) -> dict[str, Any]:
        """Value by condition key, whatever the operator."""
        return {key: value for by_key in self.conditions.values() for key, value in by_key.items()}

    def __str__(self) -> str:
        return f"{self.owner}/{self.sid}"


def _statements(owner: str, document: Document) -> list[Statement]:
    # Those included that only some stacks have.
    found = [raw["Fn::If"][1] if "Fn::If" in raw else raw for raw in document["Statement"]]
    for raw in found:
        assert raw["Effect"] in {"Allow", "Deny"}
        assert not {"NotAction", "NotResource", "NotPrincipal"} & raw.keys(), f"{owner} grants by exclusion"
    return [
        Statement(
            owner=owner,
            sid=raw.get("Sid", ""),
            actions=tuple(listed(raw["Action"])),
            resources=tuple(text(resource) for resource in listed(raw["Resource"])),
            conditions=raw.get("Condition", {}),
        )
        for raw in found
        if raw["Effect"] == "Allow"
    ]


def managed_policy(name: str) -> list[Statement]:
    """The statements of one of the template's managed policies."""
    return _statements(name, resources("AWS::IAM::ManagedPolicy")[name]["PolicyDocument"])


def attached_policies(role: str) -> list[str]:
    """The managed policies of a role, those included that only some stacks have."""
    found = []
    for policy in resources("AWS::IAM::Role")[role].get("ManagedPolicyArns", []):
        chosen = policy["Fn::If"][1] if "Fn::If" in policy else policy
        found.append(str(chosen["Ref"]))
    return found


def grants_of(role: str) -> list[Statement]:
    """All that a role may do: its own statements and those of the policies it names."""
    properties = resources("AWS::IAM::Role")[role]
    own = [
        statement
        for policy in properties.get("Policies", [])
        for statement in _statements(role, policy["PolicyDocument"])
    ]
    return own + [statement for policy in attached_policies(role) for statement in managed_policy(policy)]


def all_grants() -> list[Statement]:
    """Every statement of every role and managed policy, once."""
    own = [
        statement
        for role, properties in resources("AWS::IAM::Role").items()
        for policy in properties.get("Policies", [])
        for statement in _statements(role, policy["PolicyDocument"])
    ]
    shared = [
        statement for policy in resources("AWS::IAM::ManagedPolicy") for statement in managed_policy(policy)
    ]
    return own + shared


@dataclass(frozen=True)
class Function:
    """A Lambda function of the template; `name` is that of its directory."""

    logical_id: str
    properties: Document

    @property
    def name(self) -> str:
        return Path(self.properties["CodeUri"]).name

    @property
    def prefix(self) -> str:
        return self.logical_id.removesuffix("Function")

    @property
    def role(self) -> str:
        return text(self.properties["Role"]).removeprefix("${").removesuffix(".Arn}")

    @property
    def timeout(self) -> int:
        return int(self.properties.get("Timeout", template()["Globals"]["Function"]["Timeout"]))

    @property
    def memory(self) -> int:
        return int(self.properties.get("MemorySize", template()["Globals"]["Function"]["MemorySize"]))

    @property
    def variables(self) -> Document:
        both = (template()["Globals"]["Function"], self.properties)
        return {
            name: value
            for part in both
            for name, value in part.get("Environment", {}).get("Variables", {}).items()
        }

    @property
    def actions(self) -> frozenset[str]:
        """All actions that its role grants."""
        return frozenset(action for grant in grants_of(self.role) for action in grant.actions)


def functions() -> dict[str, Function]:
    """All functions, by name of their directory."""
    found = [
        Function(name, properties) for name, properties in resources("AWS::Serverless::Function").items()
    ]
    return {function.name: function for function in found}


@cache
def states() -> dict[str, Document]:
    """All states by name; the machine has no nested ones."""
    found: dict[str, Document] = state_machine()["States"]
    assert not [name for name, state in found.items() if state["Type"] in {"Map", "Parallel"}]
    return found


def tasks() -> dict[str, Document]:
    """The Task states by name."""
    return {name: state for name, state in states().items() if state["Type"] == "Task"}


def function_of(task: Document) -> str:
    """Directory name of the function that a Task invokes, from its substitution `${PlanBuildArn}`."""
    scalar = task["Resource"]
    if scalar == CALLBACK:
        scalar = task["Parameters"]["FunctionName"]
    words = re.findall(r"[A-Z][a-z]*", scalar.removeprefix("${").removesuffix("Arn}"))
    return "_".join(words).lower()


def followers(name: str) -> set[str]:
    """States that can come next without an error."""
    state = states()[name]
    branches: Sequence[Document] = state.get("Choices", [])
    nexts = [state.get("Next"), state.get("Default"), *(branch["Next"] for branch in branches)]
    return {following for following in nexts if following}


def reachable_from(name: str) -> set[str]:
    """The state and all that can follow it, errors included."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            caught = {catcher["Next"] for catcher in states()[current].get("Catch", [])}
            waiting.extend(followers(current) | caught)
    return seen


def scalars(value: Any) -> Iterator[str]:
    """All strings in a document, keys left out."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    elif isinstance(value, str):
        yield value
