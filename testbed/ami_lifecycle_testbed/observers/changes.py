"""P3 and P6: what the stack ends or changes, at the moment of the call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

from ami_lifecycle_testbed.observers.view import View
from ami_lifecycle_testbed.observers.violations import Violations
from aws_emulator.api.operations import Request

# The look-ups that show who uses an image; without one of them nobody can know.
_LOOK_UPS: Final = (
    "DescribeImageReferences",
    "DescribeInstances",
    "DescribeLaunchTemplateVersions",
    "DescribeAutoScalingGroups",
    "DescribeInstanceRefreshes",
    "DescribeLaunchConfigurations",
    "DescribeFleets",
    "DescribeSpotFleetRequests",
    "DescribeSpotInstanceRequests",
    "DescribeParameters",
    "DescribeImageAttribute",
)
# Look-ups that the account may give no reason for: they must have worked if they were made.
_WHERE_NEEDED: Final = ("GetParameters",)
# Records of images, which are read for what they say and are no uses.
_OWN_HISTORY: Final = re.compile(r"/[^/]+/ami/[^/]+/history/ami-[0-9a-f]+")
# Which parameter of a changing call names what it changes.
_CHANGES: Final[Mapping[str, str]] = {
    "CreateImage": "InstanceId",
    "CreateTags": "Resources",
    "DeleteSnapshot": "SnapshotId",
    "DeleteTags": "Resources",
    "DeregisterImage": "ImageId",
    "ModifyImageAttribute": "ImageId",
    "ModifyInstanceAttribute": "InstanceId",
    "SendCommand": "InstanceIds",
    "StopInstances": "InstanceIds",
    "TerminateInstances": "InstanceIds",
}
# An image that was pending when somebody looked, a few calls ago, is used by nobody.
_NEW_SECONDS: Final = 5.0
_IN_USE_STATES: Final = frozenset({"available", "disabled"})


class _Strand:
    """A thread, or an actor of virtual time, where many share a thread; what is kept of it ends with it."""


_STRAND: Final[ContextVar[_Strand]] = ContextVar("strand")
# How look-ups ended: by operation, and by the image, group or parameter that it was asked of.
_Outcomes = dict[tuple[str, str | None], str]


class ChangeObserver:
    """Looks at each changing call of the stack before it takes effect.

    Args:
        protects_instances: the settings count running instances as uses.
    """

    def __init__(
        self, view: View, violations: Violations, elapsed: Callable[[], float], *, protects_instances: bool
    ) -> None:
        self._view = view
        self._elapsed = elapsed
        self._available_since: dict[str, float] = {}
        self._violations = violations
        self._protects_instances = protects_instances
        self._looked: WeakKeyDictionary[_Strand, dict[str, _Outcomes]] = WeakKeyDictionary()
        self._foreign: dict[str, Any] = {}

    def remember_foreign(self) -> None:
        """Everything that is not ours now must stay as it is."""
        for resource_id, tags, state in self._everything():
            if not self._view.belongs_to(tags):
                self._foreign[resource_id] = (dict(tags), state)

    def forget(self, resource_id: str) -> None:
        """Somebody else changes what is theirs."""
        self._foreign.pop(resource_id, None)

    def targets(self, request: Request) -> list[str]:
        """The ids that a changing call names."""
        value = request.parameters.get(_CHANGES.get(request.operation, ""), ())
        return [value] if isinstance(value, str) else list(value)

    def note_look_up(self, request: Request, outcome: str) -> None:
        """Remember how a look-up of uses ended in this invocation."""
        if request.operation not in (*_LOOK_UPS, *_WHERE_NEEDED):
            return
        parameters = request.parameters
        of = (
            parameters.get("ImageIds")
            or parameters.get("Names")
            or [parameters.get("ImageId") or parameters.get("AutoScalingGroupName")]
        )
        self._looked_by(request).update(
            {(request.operation, each): outcome for each in of if not _OWN_HISTORY.fullmatch(each or "")}
        )

    def notice_event(self, event: Mapping[str, Any]) -> None:
        """Learn from events since when images are available."""
        detail = event["detail"]
        if event["detail-type"] == "EC2 AMI State Change" and detail["State"] == "available":
            self._available_since[detail["ImageId"]] = self._elapsed()

    def before(self, request: Request) -> list[tuple[str, str]]:
        """What would be wrong if this call took effect: promises, each with words."""
        found = []
        for resource_id in self.targets(request):
            tags = self._tags(resource_id)
            if tags is not None and not self._view.belongs_to(tags):
                found.append(("P6", f"{resource_id}, which is not ours, was changed"))
        if request.service == "ssm" and request.operation in {"PutParameter", "DeleteParameter"}:
            name = str(request.parameters.get("Name"))
            if not name.startswith(f"/{self._view.application}/ami/"):
                found.append(("P6", f"the parameter {name}, which is not ours, was changed"))
        if request.operation == "DeregisterImage":
            found += [("P3", text) for text in self._uses(request)]
        return found

    def check_foreign(self) -> None:
        """Hold what is not ours against what it was."""
        now = {resource_id: (dict(tags), state) for resource_id, tags, state in self._everything()}
        for resource_id, before in self._foreign.items():
            if now.get(resource_id) != before:
                self._violations.add("P6", f"{resource_id}, which is not ours, is no longer what it was")

    def _uses(self, request: Request) -> list[str]:
        image_id = str(request.parameters["ImageId"])
        image = self._view.image(image_id)
        if image is None or image.state not in _IN_USE_STATES:
            return []
        users = self._view.users_of(image_id, with_instances=self._protects_instances)
        found = [f"{image_id} was deregistered while it is used: {user}" for user in users]
        looked = self._looked_by(request)
        if self._elapsed() - self._available_since.get(image_id, -_NEW_SECONDS) < _NEW_SECONDS:
            return found
        asked = [
            (operation, looked.get((operation, of), "not asked")) for operation, of in self._needed(image_id)
        ]
        asked += [
            (operation, outcome) for (operation, _), outcome in looked.items() if operation in _WHERE_NEEDED
        ]
        return found + [
            f"{image_id} was deregistered although its use is unknown: {operation} {outcome}"
            for operation, outcome in asked
            if outcome != "ok"
        ]

    def _looked_by(self, request: Request) -> _Outcomes:
        """The look-ups of one invocation of a function, as well as the gateway can tell it from others."""
        strand = _STRAND.get(None)
        if strand is None:
            _STRAND.set(strand := _Strand())
        return self._looked.setdefault(strand, {}).setdefault(request.caller, {})

    def _needed(self, image_id: str) -> list[tuple[str, str | None]]:
        """The look-ups that show whether the image is used, each with what it is asked of."""
        needed: list[tuple[str, str | None]] = []
        for operation in _LOOK_UPS:
            match operation:
                case "DescribeImageAttribute" | "DescribeImageReferences":
                    needed.append((operation, image_id))
                case "DescribeInstanceRefreshes":
                    needed += [(operation, name) for name in self._view.auto_scaling.groups]
                case _:
                    needed.append((operation, None))
        return needed

    def _tags(self, resource_id: str) -> Mapping[str, str] | None:
        ec2 = self._view.ec2
        for group in (ec2.instances, ec2.images, ec2.snapshots, ec2.volumes, ec2.templates):
            resource = group.get(resource_id)
            if resource is not None:
                return resource.tags
        return None

    def _everything(self) -> list[tuple[str, Mapping[str, str], str]]:
        view = self._view
        return [
            *((each.image_id, each.tags, each.state) for each in view.images()),
            *((each.instance_id, each.tags, each.state) for each in view.instances()),
            *((each.snapshot_id, each.tags, each.state) for each in view.snapshots()),
        ]
