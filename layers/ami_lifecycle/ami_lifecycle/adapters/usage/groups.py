"""What Auto Scaling launches: groups, refreshes that are under way, launch configurations.

The instances of a warm pool are launched as those of its group are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.launchers import Launcher, TemplateReference
from ami_lifecycle.domain.model import UsageKind

GROUPS_ACTION: Final = "autoscaling:DescribeAutoScalingGroups"
REFRESHES_ACTION: Final = "autoscaling:DescribeInstanceRefreshes"
CONFIGURATIONS_ACTION: Final = "autoscaling:DescribeLaunchConfigurations"
RECORDS_PER_PAGE: Final = 100
# Auto Scaling API reference, InstanceRefresh: a refresh in one of these states launches nothing any more. After
# a success the group has the desired configuration itself; before, only the refresh has it.
OVER: Final = frozenset({"Successful", "Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful"})


def read_groups(autoscaling: Any, limit: TimeLimit) -> Iterator[Launcher]:
    """All groups of the account, with what each launches."""
    with aws_errors(GROUPS_ACTION, "Auto Scaling groups"):
        paginator = autoscaling.get_paginator("describe_auto_scaling_groups")
        for page in limit.pages(paginator, MaxRecords=RECORDS_PER_PAGE):
            for group in page["AutoScalingGroups"]:
                yield _launcher(UsageKind.AUTO_SCALING_GROUP, group["AutoScalingGroupName"], group)


def read_refreshes(autoscaling: Any, groups: Iterable[Launcher], limit: TimeLimit) -> Iterator[Launcher]:
    """Refreshes that are under way to another configuration than the group's: one call for each group."""
    for group in groups:
        limit.check()
        with aws_errors(REFRESHES_ACTION, f"Auto Scaling group {group.name}"):
            for refresh in _refreshes_of(autoscaling, group.name, limit):
                desired = refresh.get("DesiredConfiguration")
                if desired and refresh.get("Status") not in OVER:
                    yield _launcher(UsageKind.INSTANCE_REFRESH, group.name, desired)


def _refreshes_of(autoscaling: Any, name: str, limit: TimeLimit) -> Iterator[Mapping[str, Any]]:
    # botocore has no paginator for it.
    request: dict[str, Any] = {"AutoScalingGroupName": name, "MaxRecords": RECORDS_PER_PAGE}
    while True:
        try:
            page = autoscaling.describe_instance_refreshes(**request)
        except ClientError as error:
            if code_of(error) == "ValidationError" and "not found" in str(error):
                # The group is gone since it was listed, and its refresh with it.
                return
            raise
        yield from page["InstanceRefreshes"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]
        limit.check()


def read_launch_configurations(autoscaling: Any, limit: TimeLimit) -> Iterator[Launcher]:
    """All launch configurations of the account; each names an image."""
    with aws_errors(CONFIGURATIONS_ACTION, "launch configurations"):
        paginator = autoscaling.get_paginator("describe_launch_configurations")
        for page in limit.pages(paginator, MaxRecords=RECORDS_PER_PAGE):
            for found in page["LaunchConfigurations"]:
                yield Launcher(
                    kind=UsageKind.LAUNCH_CONFIGURATION,
                    name=found["LaunchConfigurationName"],
                    images=(found["ImageId"],),
                )


def _launcher(kind: UsageKind, name: str, config: Mapping[str, Any]) -> Launcher:
    """A group, or the configuration that a refresh brings to it: both have the same members."""
    references = [config.get("LaunchTemplate")]
    images = []
    policy = (config.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    references.append(policy.get("LaunchTemplateSpecification"))
    for override in policy.get("Overrides") or ():
        references.append(override.get("LaunchTemplateSpecification"))
        if override.get("ImageId"):
            images.append(override["ImageId"])
    return Launcher(
        kind=kind,
        name=name,
        images=tuple(dict.fromkeys(images)),
        templates=tuple(dict.fromkeys(reference_of(each) for each in references if each)),
    )


def reference_of(specification: Mapping[str, Any]) -> TemplateReference:
    """A template specification of Auto Scaling or of a fleet; without a version it means the default one."""
    return TemplateReference(
        template=specification.get("LaunchTemplateId") or specification["LaunchTemplateName"],
        version=specification.get("Version") or "$Default",
    )
