"""The stack: creates a template's resources in order, and shows them through CloudFormation's API."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.cloudformation.intrinsics import NO_VALUE, Resolver, references_in
from aws_emulator.cloudformation.resources import CREATORS, Account, Created
from aws_emulator.cloudformation.rules import Rules
from aws_emulator.cloudformation.template import LOCAL_SOURCE, Template, TemplateError
from aws_emulator.cloudformation.workloads import Workloads

_RESOURCE_MEMBERS: Final = {
    "Type",
    "Properties",
    "Metadata",
    "Condition",
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
}
_REFERENCED_VALUE: Final = "AWS::SSM::Parameter::Value<"


@dataclass(frozen=True)
class StackResource:
    """A created resource."""

    logical_id: str
    kind: str
    created: Created


class Stack:
    """One deployed template.

    Args:
        account: where the resources go.
        values: template parameters that are given; others need a default or a type that the emulated
            account has a value for (a VPC, subnets).
        network: those values by parameter type.
    """

    def __init__(
        self,
        template: Template,
        account: Account,
        workloads: Workloads,
        clock: Clock,
        *,
        values: Mapping[str, Any],
        network: Mapping[str, Any],
        zones: list[str],
    ) -> None:
        self._template = template
        self._account = account
        self._clock = clock
        self._creators: dict[str, Callable[[str, dict[str, Any], Path | None], Created]] = {
            "AWS::Events::Rule": workloads.create_rule,
            "AWS::Lambda::EventInvokeConfig": workloads.create_invoke_config,
            "AWS::Lambda::Function": workloads.create_function,
            "AWS::Lambda::LayerVersion": workloads.create_layer,
            "AWS::Lambda::Permission": workloads.create_permission,
            "AWS::Scheduler::Schedule": workloads.create_schedule,
            "AWS::StepFunctions::StateMachine": workloads.create_state_machine,
        }
        self.name = account.stack_name
        self.arn = account.arn("cloudformation", f"stack/{self.name}/{uuid.uuid4()}")
        self.resources: dict[str, StackResource] = {}
        self.outputs: dict[str, str] = {}
        self.parameters = self._parameters(values, network)
        Rules(template, self.parameters, account.call).check()
        references = {
            **self.parameters,
            "AWS::AccountId": account.account_id,
            "AWS::Partition": "aws",
            "AWS::Region": account.region,
            "AWS::StackId": self.arn,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NotificationARNs": [],
        }
        self._resolver = Resolver(template, references, {}, zones)
        self._created = clock.now()

    def deploy(self) -> None:
        """Create all resources; raises TemplateError naming the first that cannot be created."""
        for logical_id in self._order():
            self._create(logical_id, self._template.resources[logical_id])
        for name, output in self._template.outputs.items():
            if "Condition" not in output or self._resolver.condition(output["Condition"]):
                self.outputs[name] = str(self._resolver.resolve(output["Value"]))

    def physical_ids(self, kind: str) -> dict[str, str]:
        """Physical ids of the resources of a type, by logical id."""
        return {
            name: resource.created.physical_id
            for name, resource in self.resources.items()
            if resource.kind == kind
        }

    def _parameters(self, values: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
        unknown = set(values) - set(self._template.parameters)
        if unknown:
            raise TemplateError(f"the template has no parameters {sorted(unknown)}")
        resolved: dict[str, Any] = {}
        for name, parameter in self._template.parameters.items():
            kind = parameter["Type"]
            if name in values:
                value = values[name]
            elif "Default" in parameter:
                value = parameter["Default"]
            elif kind in network:
                value = network[kind]
            else:
                raise TemplateError(f"the template's parameter {name} ({kind}) needs a value")
            if kind.startswith(_REFERENCED_VALUE):
                value = self._account.call("ssm", "GetParameter", Name=value)["Parameter"]["Value"]
            if (kind.startswith("List<") or kind == "CommaDelimitedList") and isinstance(value, str):
                value = [part.strip() for part in value.split(",") if part.strip()]
            pattern = parameter.get("AllowedPattern")
            # Of a list, each value (CloudFormation user guide, Parameters, AllowedPattern).
            texts = value if isinstance(value, list) else [value]
            if pattern and not all(re.fullmatch(pattern, str(text)) for text in texts):
                message = parameter.get("ConstraintDescription") or f"it must match {pattern}"
                raise TemplateError(f"the parameter {name} cannot be {value!r}: {message}")
            allowed = parameter.get("AllowedValues")
            if allowed and str(value) not in map(str, allowed):
                raise TemplateError(f"the parameter {name} must be one of {allowed}, not {value!r}")
            resolved[name] = value
        return resolved

    def _order(self) -> list[str]:
        resources = self._template.resources
        graph: dict[str, set[str]] = {}
        for name, resource in resources.items():
            depends = resource.get("DependsOn", [])
            explicit = {depends} if isinstance(depends, str) else set(depends)
            graph[name] = (references_in(resource.get("Properties", {})) | explicit) & set(resources)
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise TemplateError(
                f"circular dependency between resources: {' -> '.join(error.args[1])}"
            ) from error

    def _create(self, logical_id: str, resource: Mapping[str, Any]) -> None:
        kind = resource["Type"]
        if unknown := set(resource) - _RESOURCE_MEMBERS:
            raise TemplateError(f"{logical_id}: the emulator does not know {sorted(unknown)}")
        if "Condition" in resource and not self._resolver.condition(resource["Condition"]):
            return
        try:
            properties = copy.deepcopy(self._resolver.resolve(resource.get("Properties", {})))
            properties.pop("Tags", None)
            created = self._run_creator(logical_id, kind, properties, resource)
        except ApiError as error:
            raise TemplateError(f"{logical_id} ({kind}) cannot be created: {error}") from error
        except KeyError as error:
            raise TemplateError(f"{logical_id} ({kind}) lacks the property {error}") from error
        except TemplateError as error:
            raise TemplateError(f"{logical_id} ({kind}): {error}") from error
        if properties:
            raise TemplateError(f"{logical_id} ({kind}): the emulator does not know {sorted(properties)}")
        self.resources[logical_id] = StackResource(logical_id, kind, created)
        self._resolver.references[logical_id] = created.physical_id
        self._resolver.attributes[logical_id] = created.attributes

    def _run_creator(
        self, logical_id: str, kind: str, properties: dict[str, Any], resource: Mapping[str, Any]
    ) -> Created:
        if kind in CREATORS:
            return CREATORS[kind](self._account, logical_id, properties)
        if kind not in self._creators:
            raise TemplateError("the emulator cannot create resources of this type")
        source = resource.get("Metadata", {}).get(LOCAL_SOURCE)
        return self._creators[kind](logical_id, properties, Path(source) if source else None)

    # CloudFormation's view.

    @operation("cloudformation", "DescribeStacks")
    def describe_stacks(self, request: Request) -> Response:
        """The stack with its parameters and outputs."""
        self._check_name(request)
        return {
            "Stacks": [
                {
                    "StackId": self.arn,
                    "StackName": self.name,
                    "Description": self._template.description,
                    "StackStatus": "CREATE_COMPLETE",
                    "CreationTime": self._created,
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": _plain(value)}
                        for key, value in self.parameters.items()
                    ],
                    "Outputs": [
                        {
                            "OutputKey": key,
                            "OutputValue": value,
                            "Description": self._template.outputs[key].get("Description", ""),
                        }
                        for key, value in self.outputs.items()
                    ],
                    "Tags": [],
                }
            ]
        }

    @operation("cloudformation", "DescribeStackResources")
    def describe_stack_resources(self, request: Request) -> Response:
        """The stack's resources, or the one that is asked for."""
        self._check_name(request)
        logical_id = request.parameters.get("LogicalResourceId")
        rows = [
            {**self._row(resource), "StackName": self.name, "StackId": self.arn, "Timestamp": self._created}
            for name, resource in self.resources.items()
            if logical_id in {None, name}
        ]
        if logical_id and not rows:
            raise ApiError("ValidationError", f"Resource {logical_id} does not exist for stack {self.name}")
        return {"StackResources": rows}

    @operation("cloudformation", "ListStackResources")
    def list_stack_resources(self, request: Request) -> Response:
        """The stack's resources."""
        self._check_name(request)
        rows = [
            {**self._row(resource), "LastUpdatedTimestamp": self._created}
            for resource in self.resources.values()
        ]
        return {"StackResourceSummaries": rows}

    def _row(self, resource: StackResource) -> dict[str, Any]:
        return {
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.created.physical_id,
            "ResourceType": resource.kind,
            "ResourceStatus": "CREATE_COMPLETE",
        }

    def _check_name(self, request: Request) -> None:
        name = request.parameters.get("StackName")
        if name not in {None, self.name, self.arn}:
            raise ApiError("ValidationError", f"Stack with id {name} does not exist")


def _plain(value: Any) -> str:
    if value is NO_VALUE:
        return ""
    return ",".join(value) if isinstance(value, list) else str(value)
