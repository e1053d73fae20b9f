"""What functions may do, held against what they do, at the moment of each call.

A second opinion beside the emulator's own enforcement, which evaluates policies: each call of a function must
be one that its role in template.yaml grants, and what it changes must be ours at that moment, which the
template's conditions demand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.template.stack import functions

from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.api.operations import Request, Response

APPLICATION_TAG = "ami-lifecycle:application"
APPLICATION = "comfyui"
PUBLISHED = re.compile(r"/comfyui/ami/[a-z0-9-]+/(latest|metadata|history/ami-[0-9a-f]+)")
_SERVICES = {"stepfunctions": "states", "cloudwatch": "monitoring"}
_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}
_IMAGE = ("DescribeImages", "ImageIds", "Images")
_SNAPSHOT = ("DescribeSnapshots", "SnapshotIds", "Snapshots")
_INSTANCE = ("DescribeInstances", "InstanceIds", "Reservations")
# What a changing operation of EC2 acts on: the parameter with its id, and how to look at it.
_TARGETS: Mapping[str, tuple[str, tuple[str, str, str]]] = {
    "CreateImage": ("InstanceId", _INSTANCE),
    "DeleteSnapshot": ("SnapshotId", _SNAPSHOT),
    "DeregisterImage": ("ImageId", _IMAGE),
    "StopInstances": ("InstanceIds", _INSTANCE),
    "TerminateInstances": ("InstanceIds", _INSTANCE),
}
# What creates carries our tag from the call on.
_CREATING = frozenset({"CreateImage", "RegisterImage", "RunInstances"})


class Guard:
    """Looks at every call of a function before it takes effect.

    Attributes:
        violations: what should not have happened, in words.
        seen: the actions that each function has called.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._grants = {function.logical_id: function.actions for function in functions().values()}
        self.violations: list[str] = []
        self.seen: dict[str, set[str]] = {}
        emulator.gateway.middlewares.append(self.around_call)

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Check one call (a middleware of the emulator's gateway)."""
        if request.caller in self._grants:
            action = action_of(request)
            self.seen.setdefault(request.caller, set()).add(action)
            if action not in self._grants[request.caller]:
                self._report(request, "is not granted")
            self._check_change(request)
        return proceed()

    def take(self) -> list[str]:
        """The violations since the last time."""
        found, self.violations = self.violations, []
        return found

    def _check_change(self, request: Request) -> None:
        if request.service == "ssm":
            self._check_parameter(request)
        if request.service != "ec2":
            return
        if request.operation in _TARGETS:
            member, look = _TARGETS[request.operation]
            value = request.parameters[member]
            for resource_id in value if isinstance(value, list) else [value]:
                tags = self._tags(resource_id, look)
                if tags is not None and tags.get(APPLICATION_TAG) != APPLICATION:
                    self._report(request, f"changes {resource_id}, which does not carry our tag")
        if request.operation in _CREATING and not _is_tagged(request):
            self._report(request, "creates something without our tag")

    def _check_parameter(self, request: Request) -> None:
        name = request.parameters.get("Name", "")
        if request.operation in {"PutParameter", "DeleteParameter"} and not PUBLISHED.fullmatch(name):
            self._report(request, f"writes {name}, which is not a published parameter")
        if request.operation == "DeleteParameter" and "/history/" not in name:
            self._report(request, f"deletes {name}, which must never be gone")

    def _tags(self, resource_id: str, look: tuple[str, str, str]) -> dict[str, str] | None:
        operation, member, result = look
        found = self._describe(operation, {"Filters": [{"Name": _filter(member), "Values": [resource_id]}]})
        rows = found[result]
        if result == "Reservations":
            rows = [instance for reservation in rows for instance in reservation["Instances"]]
        if not rows:
            return None
        return {tag["Key"]: tag["Value"] for tag in rows[0].get("Tags", [])}

    def _describe(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._emulator.api.call("guard", "ec2", operation, parameters)

    def _report(self, request: Request, what: str) -> None:
        self.violations.append(f"{request.caller}: {action_of(request)} {what}")


def action_of(request: Request) -> str:
    """The IAM action of a call."""
    action = f"{_SERVICES.get(request.service, request.service)}:{request.operation}"
    return _ACTIONS.get(action, action)


def _filter(member: str) -> str:
    return {"ImageIds": "image-id", "SnapshotIds": "snapshot-id", "InstanceIds": "instance-id"}[member]


def _is_tagged(request: Request) -> bool:
    specifications = request.parameters.get("TagSpecifications", [])
    return bool(specifications) and all(
        {"Key": APPLICATION_TAG, "Value": APPLICATION} in specification["Tags"]
        for specification in specifications
    )
