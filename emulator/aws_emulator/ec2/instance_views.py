"""How instances are found and described (EC2 API reference: DescribeInstances, DescribeInstanceStatus)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.model import Instance, Volume
from aws_emulator.ec2.requests import require_id, supported, tag_list
from aws_emulator.ec2.store import Ec2Store

_CODES: Final = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
_FILTERS: Final[Mapping[str, Values]] = {
    "architecture": lambda each: [each.image.architecture],
    "availability-zone": lambda each: [each.zone],
    "client-token": lambda each: [each.client_token],
    "iam-instance-profile.arn": lambda each: [each.profile and each.profile["Arn"]],
    "image-id": lambda each: [each.image.image_id],
    "instance-id": lambda each: [each.instance_id],
    "instance-state-code": lambda each: [str(_CODES[each.state])],
    "instance-state-name": lambda each: [each.state],
    "instance-type": lambda each: [each.instance_type],
    "instance.group-id": lambda each: [group["GroupId"] for group in each.security_groups],
    "key-name": lambda each: [each.key_name],
    "private-ip-address": lambda each: [each.private_ip],
    "reservation-id": lambda each: [each.reservation_id],
    "root-device-name": lambda each: [each.image.root_device_name],
    "subnet-id": lambda each: [each.subnet_id],
    "vpc-id": lambda each: [each.vpc_id],
}
_STATUS_FILTERS: Final[Mapping[str, Values]] = {
    "availability-zone": lambda each: [each.zone],
    "instance-state-code": lambda each: [str(_CODES[each.state])],
    "instance-state-name": lambda each: [each.state],
    "instance-status.status": lambda each: [_check_status(each)],
    "system-status.status": lambda each: [_check_status(each)],
}


class InstanceViews:
    """Instances as they are described."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    def _visible(self) -> list[Instance]:
        return [instance for instance in self._store.instances.values() if self._store.settled(instance)]

    @operation("ec2", "DescribeInstances")
    def describe_instances(self, request: Request) -> Response:
        """Describe instances by id or filters, in pages."""
        with self._store.lock:
            parameters = supported(
                request, "InstanceIds", "Filters", "MaxResults", "NextToken", "IncludeManagedResources"
            )
            ids = parameters.get("InstanceIds")
            instances = require_instances(self._store, ids) if ids else self._visible()
            shown, token = page(
                select(instances, parameters.get("Filters"), _FILTERS), parameters, ids="InstanceIds"
            )
            reservations: dict[str, list[Instance]] = {}
            for instance in shown:
                reservations.setdefault(instance.reservation_id, []).append(instance)
            return {
                "Reservations": [
                    {
                        "ReservationId": reservation_id,
                        "OwnerId": self._store.account_id,
                        "Groups": [],
                        "Instances": [
                            shown_instance(self._store, each, index) for index, each in enumerate(members)
                        ],
                    }
                    for reservation_id, members in reservations.items()
                ],
                "NextToken": token,
            }

    @operation("ec2", "DescribeInstanceStatus")
    def describe_instance_status(self, request: Request) -> Response:
        """Describe the status checks, of running instances unless all are asked for."""
        with self._store.lock:
            parameters = supported(
                request, "InstanceIds", "Filters", "MaxResults", "NextToken", "IncludeAllInstances"
            )
            ids = parameters.get("InstanceIds")
            instances = require_instances(self._store, ids) if ids else self._visible()
            if not parameters.get("IncludeAllInstances"):
                instances = [instance for instance in instances if instance.state == "running"]
            shown, token = page(
                select(instances, parameters.get("Filters"), _STATUS_FILTERS), parameters, ids="InstanceIds"
            )
            return {
                "InstanceStatuses": [
                    {
                        "InstanceId": instance.instance_id,
                        "AvailabilityZone": instance.zone,
                        "InstanceState": shown_state(instance.state),
                        "InstanceStatus": {"Status": _check_status(instance)},
                        "SystemStatus": {"Status": "ok" if instance.state == "running" else "not-applicable"},
                    }
                    for instance in shown
                ],
                "NextToken": token,
            }


def require_instances(store: Ec2Store, ids: Iterable[str]) -> list[Instance]:
    """The instances with these ids.

    Raises:
        ApiError: `InvalidInstanceID.Malformed` or `InvalidInstanceID.NotFound`.
    """
    ids = list(dict.fromkeys(ids))
    for instance_id in ids:
        require_id("i", instance_id, "InvalidInstanceID")
    missing = [
        each for each in ids if each not in store.instances or not store.settled(store.instances[each])
    ]
    if len(missing) == 1:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist")
    if missing:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(missing)}' do not exist")
    return [store.instances[each] for each in ids]


def shown_state(name: str) -> dict[str, Any]:
    """A state as EC2 shows it: code and name."""
    return {"Code": _CODES[name], "Name": name}


def _check_status(instance: Instance) -> str:
    if instance.state != "running":
        return "not-applicable"
    if not instance.bootable:
        return "impaired"
    return "ok" if instance.agent_online or instance.profile is None else "initializing"


def shown_instance(store: Ec2Store, instance: Instance, index: int) -> dict[str, Any]:
    """An instance as DescribeInstances shows it."""
    image = instance.image
    shown: dict[str, Any] = {
        "InstanceId": instance.instance_id,
        "ImageId": image.image_id,
        "State": shown_state(instance.state),
        "PrivateDnsName": "",
        "PublicDnsName": "",
        "StateTransitionReason": instance.transition_reason,
        "KeyName": instance.key_name,
        "AmiLaunchIndex": index,
        "InstanceType": instance.instance_type,
        "LaunchTime": instance.created,
        "Placement": {"AvailabilityZone": instance.zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "enabled" if instance.monitoring else "disabled"},
        "Architecture": image.architecture,
        "BlockDeviceMappings": [_shown_attachment(store.volumes[each]) for each in instance.volumes.values()],
        "ClientToken": instance.client_token,
        "EbsOptimized": instance.ebs_optimized,
        "EnaSupport": image.ena_support,
        "Hypervisor": "xen",
        "NetworkInterfaces": [],
        "RootDeviceName": image.root_device_name,
        "RootDeviceType": "ebs",
        "SecurityGroups": [],
        "Tags": tag_list(instance.tags),
        "VirtualizationType": image.virtualization_type,
        "MetadataOptions": instance.metadata_options,
        "BootMode": image.boot_mode,
        "PlatformDetails": image.platform_details,
        "UsageOperation": image.usage_operation,
    }
    if instance.state_reason is not None:
        shown["StateReason"] = {"Code": instance.state_reason[0], "Message": instance.state_reason[1]}
    if instance.state != "terminated":
        shown |= _shown_placement(store, instance)
    return shown


def _shown_placement(store: Ec2Store, instance: Instance) -> dict[str, Any]:
    """What a terminated instance no longer has."""
    address = instance.private_ip
    name = f"ip-{address.replace('.', '-')}.ec2.internal"
    return {
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "PrivateIpAddress": address,
        "PrivateDnsName": name,
        "SecurityGroups": instance.security_groups,
        "SourceDestCheck": True,
        "IamInstanceProfile": instance.profile,
        "NetworkInterfaces": [
            {
                "NetworkInterfaceId": instance.interface_id,
                "OwnerId": store.account_id,
                "SubnetId": instance.subnet_id,
                "VpcId": instance.vpc_id,
                "PrivateIpAddress": address,
                "PrivateDnsName": name,
                "PrivateIpAddresses": [
                    {"Primary": True, "PrivateIpAddress": address, "PrivateDnsName": name}
                ],
                "Groups": instance.security_groups,
                "SourceDestCheck": True,
                "Attachment": {
                    "AttachmentId": instance.interface_id.replace("eni-", "eni-attach-"),
                    "AttachTime": instance.created,
                    "DeleteOnTermination": True,
                    "DeviceIndex": 0,
                    "NetworkCardIndex": 0,
                    "Status": "attached",
                },
                "Status": "in-use",
                "InterfaceType": "interface",
            }
        ],
    }


def _shown_attachment(volume: Volume) -> dict[str, Any]:
    return {
        "DeviceName": volume.device.device_name,
        "Ebs": {
            "AttachTime": volume.attached,
            "DeleteOnTermination": volume.device.delete_on_termination,
            "Status": "attached",
            "VolumeId": volume.volume_id,
        },
    }
