"""What EC2 launches by itself: EC2 Fleets, Spot Fleet requests and Spot Instance requests.

A fleet of type `instant` launches once, when it is created, and EC2 does not list it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.adapters.usage.groups import reference_of
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.launchers import Launcher
from ami_lifecycle.domain.model import UsageKind

FLEETS_ACTION: Final = "ec2:DescribeFleets"
SPOT_FLEETS_ACTION: Final = "ec2:DescribeSpotFleetRequests"
SPOT_REQUESTS_ACTION: Final = "ec2:DescribeSpotInstanceRequests"
ITEMS_PER_PAGE: Final = 1000
# States in which no instance is launched any more (EC2 user guide, EC2 Fleet and Spot Fleet request states); a
# state that is not known here may launch.
FLEET_OVER: Final = frozenset({"deleted", "failed", "deleted_running", "deleted_terminating"})
SPOT_FLEET_OVER: Final = frozenset({"cancelled", "failed", "cancelled_running", "cancelled_terminating"})
# EC2 user guide, Spot Instance request states: `open` waits for capacity, and so does a persistent request again
# after its instance was interrupted; `disabled` is a persistent request whose instance is stopped.
SPOT_STATES: Final = ("open", "active", "disabled")


def read_fleets(ec2: Any, limit: TimeLimit) -> Iterator[Launcher]:
    """EC2 Fleets that may launch, with the templates and images that they launch."""
    with aws_errors(FLEETS_ACTION, "EC2 Fleets"):
        for page in limit.pages(ec2.get_paginator("describe_fleets")):
            for fleet in page["Fleets"]:
                if fleet.get("FleetState") not in FLEET_OVER:
                    yield _launcher(UsageKind.FLEET, fleet["FleetId"], fleet)


def read_spot_fleets(ec2: Any, limit: TimeLimit) -> Iterator[Launcher]:
    """Spot Fleet requests that may launch, with the templates and images that they launch."""
    with aws_errors(SPOT_FLEETS_ACTION, "Spot Fleet requests"):
        paginator = ec2.get_paginator("describe_spot_fleet_requests")
        for page in limit.pages(paginator, MaxResults=ITEMS_PER_PAGE):
            for request in page["SpotFleetRequestConfigs"]:
                if request.get("SpotFleetRequestState") not in SPOT_FLEET_OVER:
                    config = request["SpotFleetRequestConfig"]
                    yield _launcher(UsageKind.SPOT_FLEET, request["SpotFleetRequestId"], config)


def read_spot_requests(ec2: Any, limit: TimeLimit) -> Iterator[Launcher]:
    """Spot Instance requests that may launch: open ones, and persistent ones again."""
    with aws_errors(SPOT_REQUESTS_ACTION, "Spot Instance requests"):
        filters = [{"Name": "state", "Values": list(SPOT_STATES)}]
        paginator = ec2.get_paginator("describe_spot_instance_requests")
        for page in limit.pages(paginator, Filters=filters, MaxResults=ITEMS_PER_PAGE):
            for request in page["SpotInstanceRequests"]:
                image = request.get("LaunchSpecification", {}).get("ImageId")
                is_one_time = request.get("Type") == "one-time" and request.get("State") == "active"
                if image and not is_one_time:
                    yield Launcher(
                        kind=UsageKind.SPOT_REQUEST, name=request["SpotInstanceRequestId"], images=(image,)
                    )


def _launcher(kind: UsageKind, name: str, config: Mapping[str, Any]) -> Launcher:
    images = [each.get("ImageId") for each in config.get("LaunchSpecifications") or ()]
    templates = []
    for each in config.get("LaunchTemplateConfigs") or ():
        if each.get("LaunchTemplateSpecification"):
            templates.append(reference_of(each["LaunchTemplateSpecification"]))
        images += [override.get("ImageId") for override in each.get("Overrides") or ()]
    return Launcher(
        kind=kind,
        name=name,
        images=tuple(dict.fromkeys(image for image in images if image)),
        templates=tuple(dict.fromkeys(templates)),
    )
