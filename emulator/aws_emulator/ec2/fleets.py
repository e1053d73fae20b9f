"""EC2 Fleets, Spot Fleet requests and Spot Instance requests, as far as what they would launch.

They hold their configuration and their state; nothing is launched for them, as if there were no capacity.
An EC2 Fleet of type `instant` launches once, at once and never again, so it is not emulated: RunInstances is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.api.errors import UNSUPPORTED_PARAMETER
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.launch_templates import version_of
from aws_emulator.ec2.launches import launchable_image
from aws_emulator.ec2.model import Fleet
from aws_emulator.ec2.requests import ClientTokens, refuse_dry_run, supported, tag_list, tags_for
from aws_emulator.ec2.store import Ec2Store, ImageParameters

_ALIAS: Final = "resolve:ssm:"
_FLEET_FILTERS: Final[Mapping[str, Values]] = {
    "fleet-state": lambda each: [each.state.replace("_", "-")],
    "type": lambda each: [each.config["Type"]],
}
_SPOT_FILTERS: Final[Mapping[str, Values]] = {
    "launch.image-id": lambda each: [each.config["LaunchSpecification"].get("ImageId")],
    "spot-instance-request-id": lambda each: [each.fleet_id],
    "state": lambda each: [each.state],
    "type": lambda each: [each.config["Type"]],
}


class Fleets:
    """The operations on fleets and Spot requests."""

    def __init__(self, store: Ec2Store, parameters: ImageParameters) -> None:
        self._store = store
        self._parameters = parameters
        self._fleet_tokens = ClientTokens[Fleet]()
        self._spot_fleet_tokens = ClientTokens[Fleet]()
        self._spot_request_tokens = ClientTokens[Fleet]()

    @operation("ec2", "CreateFleet")
    def create_fleet(self, request: Request) -> Response:
        """Create a fleet of type `maintain` or `request` from existing versions of launch templates."""
        with self._store.lock:
            asked = supported(
                request,
                "ClientToken",
                "LaunchTemplateConfigs",
                "TagSpecifications",
                "TargetCapacitySpecification",
                "Type",
            )
            if (known := self._fleet_tokens.known(request, asked)) is not None:
                return {"FleetId": known.fleet_id}
            kind = asked.get("Type", "maintain")
            if kind == "instant":
                raise ApiError(UNSUPPORTED_PARAMETER, "the emulator has no fleets of type instant", 501)
            self._check_configs(asked["LaunchTemplateConfigs"])
            tags = tags_for(asked.get("TagSpecifications"), ("fleet", "instance", "volume"))
            refuse_dry_run(request)
            fleet = Fleet(
                **self._store.stamp(),
                fleet_id=self._store.new_id("fleet"),
                state="active",
                config={**asked, "Type": kind},
                tags=tags["fleet"],
            )
            self._store.fleets[fleet.fleet_id] = fleet
            self._fleet_tokens.remember(asked, fleet)
            return {"FleetId": fleet.fleet_id}

    @operation("ec2", "DescribeFleets")
    def describe_fleets(self, request: Request) -> Response:
        """Describe fleets by id and filters, in pages; deleted ones are still shown."""
        with self._store.lock:
            asked = supported(request, "Filters", "FleetIds", "MaxResults", "NextToken")
            found = _by_id(self._store.fleets, asked.get("FleetIds"), "InvalidFleetId.NotFound")
            shown, token = page(select(found, asked.get("Filters"), _FLEET_FILTERS), asked)
            return {"Fleets": [_shown_fleet(each) for each in shown], "NextToken": token}

    @operation("ec2", "DeleteFleets")
    def delete_fleets(self, request: Request) -> Response:
        """Delete fleets, which launch nothing any more."""
        with self._store.lock:
            asked = supported(request, "FleetIds", "TerminateInstances")
            found = _by_id(self._store.fleets, asked["FleetIds"], "InvalidFleetId.NotFound")
            refuse_dry_run(request)
            done = [_ended(each, "deleted") for each in found]
            return {
                "SuccessfulFleetDeletions": [
                    {"FleetId": each.fleet_id, "CurrentFleetState": each.state, "PreviousFleetState": before}
                    for each, before in done
                ]
            }

    @operation("ec2", "RequestSpotFleet")
    def request_spot_fleet(self, request: Request) -> Response:
        """Create a Spot Fleet request, from launch specifications or from launch templates but not both."""
        with self._store.lock:
            config = supported(request, "SpotFleetRequestConfig")["SpotFleetRequestConfig"]
            if (known := self._spot_fleet_tokens.known(request, config)) is not None:
                return {"SpotFleetRequestId": known.fleet_id}
            specifications = config.get("LaunchSpecifications") or []
            templates = config.get("LaunchTemplateConfigs") or []
            if bool(specifications) == bool(templates):
                raise ApiError(
                    "InvalidSpotFleetRequestConfig",
                    "Exactly one of LaunchSpecifications and LaunchTemplateConfigs is needed",
                )
            self._check_configs(templates)
            for each in specifications:
                self._check_image(each.get("ImageId"))
            refuse_dry_run(request)
            fleet = Fleet(
                **self._store.stamp(),
                fleet_id=self._store.new_id("sfr"),
                state="active",
                config={"Type": "maintain", **config},
            )
            self._store.spot_fleets[fleet.fleet_id] = fleet
            self._spot_fleet_tokens.remember(config, fleet)
            return {"SpotFleetRequestId": fleet.fleet_id}

    @operation("ec2", "DescribeSpotFleetRequests")
    def describe_spot_fleet_requests(self, request: Request) -> Response:
        """Describe Spot Fleet requests, in pages; cancelled ones are still shown."""
        with self._store.lock:
            asked = supported(request, "MaxResults", "NextToken", "SpotFleetRequestIds")
            code = "InvalidSpotFleetRequestId.NotFound"
            found = _by_id(self._store.spot_fleets, asked.get("SpotFleetRequestIds"), code)
            shown, token = page(found, asked)
            return {
                "SpotFleetRequestConfigs": [
                    {
                        "SpotFleetRequestId": each.fleet_id,
                        "SpotFleetRequestState": each.state,
                        "SpotFleetRequestConfig": each.config,
                        "ActivityStatus": "pending_fulfillment",
                        "CreateTime": each.created,
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    @operation("ec2", "CancelSpotFleetRequests")
    def cancel_spot_fleet_requests(self, request: Request) -> Response:
        """Cancel Spot Fleet requests, which launch nothing any more."""
        with self._store.lock:
            asked = supported(request, "SpotFleetRequestIds", "TerminateInstances")
            code = "InvalidSpotFleetRequestId.NotFound"
            found = _by_id(self._store.spot_fleets, asked["SpotFleetRequestIds"], code)
            refuse_dry_run(request)
            done = [_ended(each, "cancelled") for each in found]
            return {
                "SuccessfulFleetRequests": [
                    {
                        "SpotFleetRequestId": each.fleet_id,
                        "CurrentSpotFleetRequestState": each.state,
                        "PreviousSpotFleetRequestState": before,
                    }
                    for each, before in done
                ]
            }

    @operation("ec2", "RequestSpotInstances")
    def request_spot_instances(self, request: Request) -> Response:
        """Create one Spot Instance request, which waits for capacity."""
        with self._store.lock:
            asked = supported(
                request, "ClientToken", "InstanceCount", "LaunchSpecification", "SpotPrice", "Type"
            )
            if (known := self._spot_request_tokens.known(request, asked)) is not None:
                return {"SpotInstanceRequests": [_shown_spot(known)]}
            if asked.get("InstanceCount", 1) != 1:
                raise ApiError(UNSUPPORTED_PARAMETER, "the emulator takes one Spot instance at a time", 501)
            self._check_image(asked["LaunchSpecification"].get("ImageId"))
            refuse_dry_run(request)
            made = Fleet(
                **self._store.stamp(),
                fleet_id=self._store.new_id("sir"),
                state="open",
                config={"Type": asked.get("Type", "one-time"), **asked},
            )
            self._store.spot_requests[made.fleet_id] = made
            self._spot_request_tokens.remember(asked, made)
            return {"SpotInstanceRequests": [_shown_spot(made)]}

    @operation("ec2", "DescribeSpotInstanceRequests")
    def describe_spot_instance_requests(self, request: Request) -> Response:
        """Describe Spot Instance requests by id and filters, in pages."""
        with self._store.lock:
            asked = supported(request, "Filters", "MaxResults", "NextToken", "SpotInstanceRequestIds")
            code = "InvalidSpotInstanceRequestID.NotFound"
            found = _by_id(self._store.spot_requests, asked.get("SpotInstanceRequestIds"), code)
            shown, token = page(select(found, asked.get("Filters"), _SPOT_FILTERS), asked)
            return {"SpotInstanceRequests": [_shown_spot(each) for each in shown], "NextToken": token}

    @operation("ec2", "CancelSpotInstanceRequests")
    def cancel_spot_instance_requests(self, request: Request) -> Response:
        """Cancel Spot Instance requests, which launch nothing any more."""
        with self._store.lock:
            asked = supported(request, "SpotInstanceRequestIds")
            code = "InvalidSpotInstanceRequestID.NotFound"
            found = _by_id(self._store.spot_requests, asked["SpotInstanceRequestIds"], code)
            refuse_dry_run(request)
            for each in found:
                each.state = "cancelled"
            return {
                "CancelledSpotInstanceRequests": [
                    {"SpotInstanceRequestId": each.fleet_id, "State": each.state} for each in found
                ]
            }

    def _check_configs(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """EC2 API reference, FleetLaunchTemplateSpecificationRequest: id or name, and a version, are needed."""
        for config in configs:
            reference = config.get("LaunchTemplateSpecification") or {}
            if not reference.get("Version"):
                raise ApiError(
                    "MissingParameter", "The launch template specification must have a Version in a fleet"
                )
            _, version = version_of(self._store, reference)
            overrides = [each["ImageId"] for each in config.get("Overrides") or () if each.get("ImageId")]
            for image_id in overrides or [version.data.get("ImageId")]:
                self._check_image(image_id)

    def _check_image(self, image_id: str | None) -> None:
        """EC2 user guide, Use a Systems Manager parameter instead of an AMI ID: only fleets of type instant
        take one. The code of that refusal is not on record.
        """
        if not image_id:
            raise ApiError("MissingParameter", "The request must contain the parameter ImageId")
        if image_id.startswith(_ALIAS):
            raise ApiError(
                "InvalidParameterValue", f"{image_id}: only fleets of type instant take a parameter's name"
            )
        launchable_image(self._store, self._parameters, image_id)


def _by_id(known: Mapping[str, Fleet], ids: Iterable[str] | None, code: str) -> list[Fleet]:
    if not ids:
        return list(known.values())
    for each in ids:
        if each not in known:
            raise ApiError(code, f"The ID '{each}' does not exist")
    return [known[each] for each in ids]


def _ended(fleet: Fleet, state: str) -> tuple[Fleet, str]:
    """With no instance to wait for, a fleet ends at once."""
    before, fleet.state = fleet.state, state
    return fleet, before


def _shown_fleet(fleet: Fleet) -> dict[str, Any]:
    return {
        "FleetId": fleet.fleet_id,
        "FleetState": fleet.state,
        "ActivityStatus": "pending_fulfillment",
        "Type": fleet.config["Type"],
        "LaunchTemplateConfigs": fleet.config["LaunchTemplateConfigs"],
        "TargetCapacitySpecification": fleet.config.get("TargetCapacitySpecification"),
        "CreateTime": fleet.created,
        "Tags": tag_list(fleet.tags),
    }


def _shown_spot(request: Fleet) -> dict[str, Any]:
    return {
        "SpotInstanceRequestId": request.fleet_id,
        "State": request.state,
        "Type": request.config["Type"],
        "LaunchSpecification": request.config["LaunchSpecification"],
        "CreateTime": request.created,
    }
