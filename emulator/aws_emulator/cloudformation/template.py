"""Reading a SAM template and translating it to CloudFormation, without any network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

LOCAL_SOURCE: Final = "LocalSource"
# The managed policies of AWS that templates name without an ARN (IAM, AWS managed policy reference).
MANAGED_POLICIES: Final = {
    "AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "AWSXRayDaemonWriteAccess": "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess": "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
    "AmazonSSMManagedInstanceCore": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
}
_SOURCES: Final = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


class TemplateError(ValueError):
    """The template cannot be deployed to the emulator; the message says what and where."""


@dataclass(frozen=True)
class Template:
    """A translated template.

    Attributes:
        directory: where relative paths start.
        resources: by logical id, with `Metadata.LocalSource` for what comes from files.
    """

    directory: Path
    resources: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    description: str = ""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the fast one, where libyaml is
    """Reads YAML with CloudFormation's short forms (`!Ref`, `!Sub`)."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    raise TemplateError(f"!{suffix} has a value of an unknown kind")


_Loader.add_multi_constructor("!", _short_form)


def load_yaml(text: str) -> Any:
    """Parse YAML, with CloudFormation's short forms; raises TemplateError."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise TemplateError(f"not valid YAML: {error}") from error


class _ManagedPolicies:
    """Managed policies, which the translator would otherwise read from IAM."""

    def load(self) -> dict[str, str]:
        return dict(MANAGED_POLICIES)


def load_template(path: Path, region: str) -> Template:
    """Read and translate a SAM template.

    Raises:
        TemplateError: the file is missing or not a template that SAM accepts.
    """
    # The translator asks boto3 for the Region while it is imported and while it runs.
    os.environ.setdefault("AWS_DEFAULT_REGION", region)
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415 - half a second to import
    from samtranslator.translator.transform import transform  # noqa: PLC0415

    if not path.is_file():
        raise TemplateError(f"there is no template at {path}")
    directory = path.parent
    source = _include(load_yaml(path.read_text(encoding="utf-8")), directory)
    defaults = (source.get("Globals") or {}).get("Function") or {}
    for identifier, resource in source["Resources"].items():
        _localize(identifier, resource, defaults, directory)
    try:
        translated = transform(source, {}, _ManagedPolicies(), passthrough_metadata=True)
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes)
        raise TemplateError(f"{path.name} is not a valid SAM template: {causes or error.message}") from error
    return Template(
        directory=directory,
        resources=translated["Resources"],
        parameters=translated.get("Parameters") or {},
        mappings=translated.get("Mappings") or {},
        conditions=translated.get("Conditions") or {},
        outputs=translated.get("Outputs") or {},
        rules=translated.get("Rules") or {},
        description=translated.get("Description") or "",
    )


def _include(value: Any, directory: Path) -> Any:
    """Replace `Fn::Transform: AWS::Include` by the file that it names."""
    if isinstance(value, list):
        return [_include(item, directory) for item in value]
    if not isinstance(value, dict):
        return value
    transform = value.get("Fn::Transform")
    if transform is None:
        return {key: _include(item, directory) for key, item in value.items()}
    if transform.get("Name") != "AWS::Include":
        raise TemplateError(f"the emulator has no transform '{transform.get('Name')}'")
    path = directory / transform["Parameters"]["Location"]
    if not path.is_file():
        raise TemplateError(f"the template includes {path}, which does not exist")
    included = load_yaml(path.read_text(encoding="utf-8"))
    rest = {key: _include(item, directory) for key, item in value.items() if key != "Fn::Transform"}
    return {**included, **rest}


def _localize(
    identifier: str, resource: dict[str, Any], defaults: Mapping[str, Any], directory: Path
) -> None:
    """Note where a resource's code is; the translator accepts only addresses in S3."""
    name = _SOURCES.get(resource["Type"])
    if name is None:
        return
    properties = resource.setdefault("Properties", {})
    inherited = defaults.get(name) if name == "CodeUri" else None
    source = properties.get(name, inherited)
    if not isinstance(source, str):
        if name == "DefinitionUri" and "Definition" in properties:
            return
        raise TemplateError(f"{identifier} needs {name} with a path")
    resource.setdefault("Metadata", {})[LOCAL_SOURCE] = str(directory / source)
    properties[name] = {"Bucket": "local-artifacts", "Key": identifier}
