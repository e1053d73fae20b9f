"""Amazon EC2 Auto Scaling, as far as what its groups would launch (Auto Scaling API reference).

Groups and launch configurations are held and checked; no instance is launched for a group, as if there were
no capacity. An instance refresh is in progress for five minutes and then takes effect, unless an alarm that it watches
goes into ALARM before: then it fails, or is rolled back for as long. Its other preferences are checked only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.ec2.launch_templates import version_of
from aws_emulator.ec2.launches import launchable_image
from aws_emulator.ec2.store import Ec2Store, ImageParameters
from aws_emulator.refresh_preferences import checked_preferences

REFRESH_SECONDS: Final = 300.0
_SOURCES: Final = ("LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy")
_GROUP_MEMBERS: Final = (
    "AutoScalingGroupName",
    "AvailabilityZones",
    "CapacityRebalance",
    "DefaultCooldown",
    "DesiredCapacity",
    "HealthCheckGracePeriod",
    "HealthCheckType",
    "LaunchConfigurationName",
    "LaunchTemplate",
    "MaxSize",
    "MinSize",
    "MixedInstancesPolicy",
    "NewInstancesProtectedFromScaleIn",
    "Tags",
    "TerminationPolicies",
    "VPCZoneIdentifier",
)
_GOING_ON: Final = frozenset({"Pending", "InProgress"})
_UNDER_WAY: Final = _GOING_ON | {"RollbackInProgress"}


@dataclass
class Refresh:
    """An instance refresh of a group."""

    refresh_id: str
    started: datetime
    desired: dict[str, Any]
    preferences: dict[str, Any] = field(default_factory=dict)
    status: str = "InProgress"
    reason: str | None = None


@dataclass
class Group:
    """An Auto Scaling group: what it launches is in one of `LaunchTemplate`, `MixedInstancesPolicy`, ..."""

    name: str
    arn: str
    created: datetime
    config: dict[str, Any]
    refreshes: list[Refresh] = field(default_factory=list)


class AutoScaling:
    """The operations on groups, their refreshes and launch configurations; state is under EC2's lock."""

    def __init__(self, ec2: Ec2Store, parameters: ImageParameters) -> None:
        self.ec2 = ec2
        self._parameters = parameters
        self.groups: dict[str, Group] = {}
        self.launch_configurations: dict[str, dict[str, Any]] = {}

    @operation("autoscaling", "CreateLaunchConfiguration")
    def create_launch_configuration(self, request: Request) -> Response:
        """Create a launch configuration of an image that can be launched."""
        with self.ec2.lock:
            asked = _supported(request, "ImageId", "InstanceType", "LaunchConfigurationName")
            name = asked["LaunchConfigurationName"]
            if name in self.launch_configurations:
                raise ApiError(
                    "AlreadyExists",
                    f"Launch Configuration by this name already exists - A launch configuration already exists with "
                    f"the name {name}",
                )
            if "ImageId" not in asked or "InstanceType" not in asked:
                raise _invalid(
                    "Valid requests must contain either the InstanceID parameter or both the ImageId and "
                    "InstanceType parameters."
                )
            self._check_image(asked["ImageId"])
            self.launch_configurations[name] = {
                **asked,
                "LaunchConfigurationARN": self._arn(f"launchConfiguration:{uuid.uuid4()}", name),
                "CreatedTime": self.ec2.clock.now(),
            }
            return {}

    @operation("autoscaling", "DescribeLaunchConfigurations")
    def describe_launch_configurations(self, request: Request) -> Response:
        """Describe launch configurations, in pages; names that do not exist are left out."""
        with self.ec2.lock:
            asked = _supported(request, "LaunchConfigurationNames", "MaxRecords", "NextToken")
            names = asked.get("LaunchConfigurationNames") or self.launch_configurations
            found = [self.launch_configurations[name] for name in names if name in self.launch_configurations]
            shown, token = _page(found, asked)
            return {"LaunchConfigurations": shown, "NextToken": token}

    @operation("autoscaling", "DeleteLaunchConfiguration")
    def delete_launch_configuration(self, request: Request) -> Response:
        """Delete a launch configuration that no group uses."""
        with self.ec2.lock:
            name = _supported(request, "LaunchConfigurationName")["LaunchConfigurationName"]
            if name not in self.launch_configurations:
                raise _invalid(f"Launch configuration name not found - Launch configuration {name} not found")
            if any(group.config.get("LaunchConfigurationName") == name for group in self.groups.values()):
                raise ApiError(
                    "ResourceInUse",
                    f"Cannot delete launch configuration {name} because it is attached to a group",
                )
            del self.launch_configurations[name]
            return {}

    @operation("autoscaling", "CreateAutoScalingGroup")
    def create_auto_scaling_group(self, request: Request) -> Response:
        """Create a group that launches what one source says."""
        with self.ec2.lock:
            asked = _supported(request, *_GROUP_MEMBERS)
            name = asked["AutoScalingGroupName"]
            if name in self.groups:
                raise ApiError(
                    "AlreadyExists",
                    "AutoScalingGroup by this name already exists - A group with the name "
                    f"{name} already exists",
                )
            if sum(source in asked for source in _SOURCES) != 1:
                raise _invalid(
                    "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
                    "MixedInstancesPolicy parameter."
                )
            if not asked.get("AvailabilityZones") and not asked.get("VPCZoneIdentifier"):
                raise _invalid("At least one Availability Zone or VPC Subnet is required.")
            if (
                not 0
                <= asked["MinSize"]
                <= asked.get("DesiredCapacity", asked["MinSize"])
                <= asked["MaxSize"]
            ):
                raise _invalid("Desired capacity must be between the minimum and the maximum size.")
            config = self._checked(asked)
            self.groups[name] = Group(
                name=name,
                arn=self._arn(f"autoScalingGroup:{uuid.uuid4()}", name, kind="autoScalingGroupName"),
                created=self.ec2.clock.now(),
                config={**asked, **config},
            )
            return {}

    @operation("autoscaling", "UpdateAutoScalingGroup")
    def update_auto_scaling_group(self, request: Request) -> Response:
        """Change a group; another source takes the place of the one that it has."""
        with self.ec2.lock:
            asked = _supported(request, *_GROUP_MEMBERS)
            group = self._require(asked["AutoScalingGroupName"])
            config = self._checked(asked)
            if config:
                for source in _SOURCES:
                    group.config.pop(source, None)
            group.config |= {**asked, **config}
            return {}

    @operation("autoscaling", "DeleteAutoScalingGroup")
    def delete_auto_scaling_group(self, request: Request) -> Response:
        """Delete a group."""
        with self.ec2.lock:
            name = _supported(request, "AutoScalingGroupName", "ForceDelete")["AutoScalingGroupName"]
            self._require(name)
            del self.groups[name]
            return {}

    @operation("autoscaling", "DescribeAutoScalingGroups")
    def describe_auto_scaling_groups(self, request: Request) -> Response:
        """Describe groups, in pages; names that do not exist are left out."""
        with self.ec2.lock:
            asked = _supported(request, "AutoScalingGroupNames", "MaxRecords", "NextToken")
            names = asked.get("AutoScalingGroupNames") or self.groups
            shown, token = _page([self.groups[name] for name in names if name in self.groups], asked)
            return {
                "AutoScalingGroups": [
                    {
                        "DesiredCapacity": each.config["MinSize"],
                        "DefaultCooldown": 300,
                        "AvailabilityZones": [],
                        "HealthCheckType": "EC2",
                        **each.config,
                        "AutoScalingGroupARN": each.arn,
                        "CreatedTime": each.created,
                        "Instances": [],
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    @operation("autoscaling", "DescribeScalingActivities")
    def describe_scaling_activities(self, request: Request) -> Response:
        """Describe what groups launched and ended: nothing, because no instance is launched for them."""
        with self.ec2.lock:
            asked = _supported(
                request,
                "ActivityIds",
                "AutoScalingGroupName",
                "IncludeDeletedGroups",
                "MaxRecords",
                "NextToken",
            )
            if (name := asked.get("AutoScalingGroupName")) and not asked.get("IncludeDeletedGroups"):
                self._require(name)
            shown, token = _page([], asked)
            return {"Activities": shown, "NextToken": token}

    @operation("autoscaling", "StartInstanceRefresh")
    def start_instance_refresh(self, request: Request) -> Response:
        """Begin to replace a group's instances; the group takes the desired configuration at the end."""
        with self.ec2.lock:
            asked = _supported(
                request, "AutoScalingGroupName", "DesiredConfiguration", "Preferences", "Strategy"
            )
            group = self._require(asked["AutoScalingGroupName"])
            if any(each.status in _UNDER_WAY for each in group.refreshes):
                raise ApiError(
                    "InstanceRefreshInProgress",
                    "An Instance Refresh is already in progress and blocks the execution",
                )
            desired = asked.get("DesiredConfiguration") or {}
            if len(desired) > 1:
                raise _invalid("A desired configuration has a launch template or a mixed instances policy.")
            checked = self._checked(desired)
            preferences = checked_preferences(self.ec2, asked.get("Preferences") or {}, group.config, checked)
            refresh = Refresh(str(uuid.uuid4()), self.ec2.clock.now(), checked, preferences)
            group.refreshes.append(refresh)
            self.ec2.later(REFRESH_SECONDS, lambda: self._finish(group, refresh))
            return {"InstanceRefreshId": refresh.refresh_id}

    @operation("autoscaling", "CancelInstanceRefresh")
    def cancel_instance_refresh(self, request: Request) -> Response:
        """End the refresh that is in progress; the group keeps the configuration that it has."""
        with self.ec2.lock:
            group = self._require(_supported(request, "AutoScalingGroupName")["AutoScalingGroupName"])
            for refresh in group.refreshes:
                if refresh.status in _UNDER_WAY:
                    refresh.status = "Cancelled"
                    return {"InstanceRefreshId": refresh.refresh_id}
            raise ApiError("ActiveInstanceRefreshNotFound", "No in progress Instance Refresh was found")

    @operation("autoscaling", "DescribeInstanceRefreshes")
    def describe_instance_refreshes(self, request: Request) -> Response:
        """Describe the refreshes of one group, in pages."""
        with self.ec2.lock:
            asked = _supported(
                request, "AutoScalingGroupName", "InstanceRefreshIds", "MaxRecords", "NextToken"
            )
            group = self._require(asked["AutoScalingGroupName"])
            refresh_ids = asked.get("InstanceRefreshIds")
            found = [
                each
                for each in reversed(group.refreshes)
                if not refresh_ids or each.refresh_id in refresh_ids
            ]
            shown, token = _page(found, asked)
            return {
                "InstanceRefreshes": [
                    {
                        "InstanceRefreshId": each.refresh_id,
                        "AutoScalingGroupName": group.name,
                        "Status": each.status,
                        "StartTime": each.started,
                        **({"DesiredConfiguration": each.desired} if each.desired else {}),
                        **({"Preferences": each.preferences} if each.preferences else {}),
                        **({"StatusReason": each.reason} if each.reason else {}),
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    def notice_event(self, event: Mapping[str, Any]) -> None:
        """End the refreshes that watch an alarm which goes into ALARM (EC2 Auto Scaling user guide, Undo changes with a
        rollback).
        """
        detail = event["detail"]
        if event["source"] != "aws.cloudwatch" or (detail.get("state") or {}).get("value") != "ALARM":
            return
        with self.ec2.lock:
            for refresh in (each for group in self.groups.values() for each in group.refreshes):
                watched = (refresh.preferences.get("AlarmSpecification") or {}).get("Alarms", ())
                if refresh.status in _GOING_ON and detail["alarmName"] in watched:
                    refresh.status = "Failed"
                    refresh.reason = f"The CloudWatch alarm {detail['alarmName']} went into ALARM."
                    if refresh.preferences.get("AutoRollback"):
                        refresh.status = "RollbackInProgress"
                        self.ec2.later(REFRESH_SECONDS, partial(_end_rollback, refresh))

    def _finish(self, group: Group, refresh: Refresh) -> None:
        if refresh.status not in _GOING_ON:
            return
        refresh.status = "Successful"
        if refresh.desired:
            for source in _SOURCES:
                group.config.pop(source, None)
            group.config |= refresh.desired

    def _require(self, name: str) -> Group:
        if name not in self.groups:
            raise _invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return self.groups[name]

    def _checked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The source that a request names, with ids and names of its templates filled in as AWS shows them."""
        if "LaunchConfigurationName" in asked:
            if asked["LaunchConfigurationName"] not in self.launch_configurations:
                raise _invalid("Launch configuration name not found - it does not exist")
            return {"LaunchConfigurationName": asked["LaunchConfigurationName"]}
        if "LaunchTemplate" in asked:
            return {"LaunchTemplate": self._template(asked["LaunchTemplate"])}
        if "MixedInstancesPolicy" not in asked:
            return {}
        policy = asked["MixedInstancesPolicy"]
        template = policy.get("LaunchTemplate") or {}
        if not template.get("LaunchTemplateSpecification"):
            raise _invalid("A mixed instances policy needs a launch template.")
        overrides = list(template.get("Overrides") or ())
        # A template may leave the image to the overrides, if all of them have one.
        have_image = bool(overrides) and all("ImageId" in each for each in overrides)
        base = self._template(template["LaunchTemplateSpecification"], needs_image=not have_image)
        checked: dict[str, Any] = {"LaunchTemplateSpecification": base}
        if overrides:
            checked["Overrides"] = [self._override(each) for each in overrides]
        return {"MixedInstancesPolicy": {**policy, "LaunchTemplate": checked}}

    def _override(self, override: Mapping[str, Any]) -> dict[str, Any]:
        shown = dict(override)
        if "ImageId" in override:
            self._check_image(override["ImageId"])
        if "LaunchTemplateSpecification" in override:
            shown["LaunchTemplateSpecification"] = self._template(
                override["LaunchTemplateSpecification"], needs_image="ImageId" not in override
            )
        return shown

    def _template(self, reference: Mapping[str, str], *, needs_image: bool = True) -> dict[str, str]:
        try:
            template, version = version_of(self.ec2, reference)
        except ApiError as error:
            raise _invalid(f"You must use a valid fully-formed launch template. {error.message}") from error
        if needs_image:
            self._check_image(version.data.get("ImageId"))
        shown = {"LaunchTemplateId": template.template_id, "LaunchTemplateName": template.name}
        return shown | ({"Version": reference["Version"]} if "Version" in reference else {})

    def _check_image(self, image_id: str | None) -> None:
        if not image_id:
            raise _invalid(
                "You must use a valid fully-formed launch template. The request must contain the parameter ImageId"
            )
        try:
            launchable_image(self.ec2, self._parameters, image_id)
        except ApiError as error:
            raise _invalid(f"You must use a valid fully-formed launch template. {error.message}") from error

    def _arn(self, what: str, name: str, *, kind: str = "launchConfigurationName") -> str:
        return f"arn:aws:autoscaling:{self.ec2.region}:{self.ec2.account_id}:{what}:{kind}/{name}"


def _end_rollback(refresh: Refresh) -> None:
    if refresh.status == "RollbackInProgress":
        refresh.status = "RollbackSuccessful"


def _supported(request: Request, *names: str) -> Mapping[str, Any]:
    refuse_unsupported_parameters(request.service, request.operation, request.parameters, names)
    return request.parameters


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)


def _page(items: Iterable[Any], asked: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """50 records unless asked otherwise, and at most 100."""
    size = asked.get("MaxRecords")
    if size is not None and not 1 <= size <= 100:
        raise _invalid("MaxRecords must be between 1 and 100")
    return page(list(items), asked.get("NextToken"), size, default=50)
