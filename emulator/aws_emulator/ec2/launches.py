"""RunInstances (EC2 API reference, RunInstances; EC2 developer guide, Ensuring idempotency)."""

from __future__ import annotations

import base64
import copy
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aws_emulator.api.errors import UNSUPPORTED_PARAMETER
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.allowed_images import may_launch
from aws_emulator.ec2.block_devices import overlay
from aws_emulator.ec2.instance_views import shown_instance
from aws_emulator.ec2.instances import Instances
from aws_emulator.ec2.launch_templates import template_data, version_of
from aws_emulator.ec2.model import BlockDevice, Image, Instance, Volume
from aws_emulator.ec2.moto_resources import Subnet
from aws_emulator.ec2.requests import ClientTokens, refuse_dry_run, require_id, supported, tags_for
from aws_emulator.ec2.store import KEY_OF_AWS, Ec2Store, ImageParameters

# Parameters that change nothing which the emulator shows are accepted too.
_EMULATED: Final = (
    "BlockDeviceMappings",
    "ClientToken",
    "CreditSpecification",
    "DisableApiTermination",
    "EbsOptimized",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "KeyName",
    "LaunchTemplate",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterfaces",
    "Placement",
    "PrivateDnsNameOptions",
    "SecurityGroupIds",
    "SubnetId",
    "TagSpecifications",
    "UserData",
)
_TAGGABLE: Final = ("instance", "volume", "network-interface", "spot-instances-request")
_MAX_USER_DATA_BYTES: Final = 16_384
_METADATA_TAG: Final = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")


@dataclass(frozen=True)
class _Target:
    image: Image
    instance_type: str
    subnet: Subnet
    security_groups: list[dict[str, str]]
    devices: list[BlockDevice]
    profile: dict[str, str] | None
    tags: dict[str, dict[str, str]]


class Launches:
    """Launching instances.

    Args:
        instances: the life cycle of launched instances.
        parameters: resolves an image given as a parameter's name.
        refused_key: the reason for which EBS cannot use a key with a caller's rights, None where it can.
    """

    def __init__(
        self,
        store: Ec2Store,
        instances: Instances,
        parameters: ImageParameters,
        refused_key: Callable[[str, str], str | None],
    ) -> None:
        self._store = store
        self._instances = instances
        self._parameters = parameters
        self._refused_key = refused_key
        self._tokens = ClientTokens[tuple[str, list[Instance]]]()

    @operation("ec2", "RunInstances")
    def run_instances(self, request: Request) -> Response:
        """Launch instances, once for a client token in its scope."""
        with self._store.lock:
            asked = supported(request, *_EMULATED)
            if len(asked.get("ClientToken", "")) > 64:
                raise ApiError("InvalidParameterValue", "Client token length must not exceed 64 characters")
            parameters = self._with_template(asked)
            scope = _scope(parameters)
            if (known := self._tokens.known(request, asked, scope)) is not None:
                return self._reservation(*known)
            target, count = self._target(parameters), _count(parameters)
            refuse_dry_run(request)
            self._require_quota(target.instance_type, count)
            self._require_initialization(target.devices, count)
            reservation_id = self._store.new_id("r")
            self._encrypt_by_default(target.devices)
            refused = self._refused_keys(target.devices, request.caller)
            instances = [self._launch(target, parameters, reservation_id, refused) for _ in range(count)]
            self._tokens.remember(asked, (reservation_id, instances), scope)
            return self._reservation(reservation_id, instances)

    def _require_quota(self, instance_type: str, count: int) -> None:
        """Refuse what would have more vCPUs than a quota allows, in EC2's words; only instances that run count."""

        def vcpus(name: str) -> int:
            return int(self._store.moto.instance_type(name)["VCpuInfo"]["DefaultVCpus"])

        def vcpus_after_launch(pattern: str) -> int:
            running = [
                each.instance_type
                for each in self._store.instances.values()
                if each.state in {"pending", "running"} and fnmatch.fnmatchcase(each.instance_type, pattern)
            ]
            return sum(map(vcpus, running)) + count * vcpus(instance_type)

        if (fault := self._store.faults.quota(instance_type, vcpus_after_launch)) is not None:
            raise ApiError(
                "VcpuLimitExceeded",
                f"You have requested more vCPU capacity than your current vCPU limit of {fault.limit} allows for the "
                "instance bucket that the specified instance type belongs to. Please visit "
                "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
            )

    def _require_initialization(self, devices: list[BlockDevice], count: int) -> None:
        """Refuse what would initialize volumes faster than the Region's quota (EBS user guide, Initialize volumes).

        That guide says "the request fails", and not with which code. `ResourceLimitExceeded` is what the list of
        EC2's error codes has for limits of EC2's own; a fault gives another.
        """
        requested_rate = count * sum(device.initialization_rate or 0 for device in devices)
        if not requested_rate:
            return
        fault = self._store.faults.initialization(self._initializing() + requested_rate)
        if fault is not None:
            raise ApiError(
                fault.code,
                f"The cumulative volume initialization rate of {fault.limit} MiB/s for this Region would be exceeded.",
            )

    def _initializing(self) -> int:
        """The rates of all volumes whose initialization at a rate has not ended yet, together."""
        now = self._store.clock.now()
        return sum(
            volume.device.initialization_rate or 0
            for volume in self._store.volumes.values()
            if volume.initialized is not None and volume.initialized > now
        )

    def _reservation(self, reservation_id: str, instances: list[Instance]) -> Response:
        return {
            "ReservationId": reservation_id,
            "OwnerId": self._store.account_id,
            "Groups": [],
            "Instances": [
                shown_instance(self._store, instance, index) for index, instance in enumerate(instances)
            ],
        }

    def _with_template(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if "LaunchTemplate" not in asked:
            return dict(asked)
        return template_data(self._store, asked["LaunchTemplate"]) | dict(asked)

    def _target(self, parameters: Mapping[str, Any]) -> _Target:
        if "ImageId" not in parameters:
            raise ApiError("MissingParameter", "The request must contain the parameter ImageId")
        image = launchable_image(self._store, self._parameters, parameters["ImageId"])
        instance_type = parameters.get("InstanceType", "m1.small")
        _require_match(image, instance_type, self._store.moto.instance_type(instance_type))
        _check_user_data(parameters.get("UserData"))
        _check_metadata_options(
            parameters.get("MetadataOptions", {}), parameters.get("TagSpecifications", [])
        )
        _refuse_hibernation(parameters.get("HibernationOptions", {}))
        interface = _interface(parameters)
        zone = parameters.get("Placement", {}).get("AvailabilityZone")
        subnet_id = interface.get("SubnetId", parameters.get("SubnetId"))
        subnet = self._store.moto.subnet(subnet_id) if subnet_id else self._store.moto.default_subnet(zone)
        profile = parameters.get("IamInstanceProfile")
        devices = overlay(image.devices, parameters.get("BlockDeviceMappings"), self._store.snapshots)
        if not any(device.device_name == image.root_device_name for device in devices):
            raise ApiError("InvalidBlockDeviceMapping", "The root device cannot be left out.")
        tags = tags_for(parameters.get("TagSpecifications"), _TAGGABLE)
        return _Target(
            image=image,
            instance_type=instance_type,
            subnet=subnet,
            security_groups=self._store.moto.security_groups(
                subnet.vpc_id, interface.get("Groups", parameters.get("SecurityGroupIds", []))
            ),
            devices=devices,
            profile=self._store.moto.instance_profile(profile) if profile else None,
            tags={**tags, "instance": {**tags["instance"], **self._template_tags(parameters)}},
        )

    def _template_tags(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """What EC2 tags an instance with that it launched from a template (EC2 user guide, Launch instances from a
        launch template).
        """
        if "LaunchTemplate" not in parameters:
            return {}
        template, version = version_of(self._store, parameters["LaunchTemplate"])
        return {
            "aws:ec2launchtemplate:id": template.template_id,
            "aws:ec2launchtemplate:version": str(version.number),
        }

    def _encrypt_by_default(self, devices: list[BlockDevice]) -> None:
        """Encrypt what is not encrypted yet where the account says so; what names no key has the default one."""
        for device in devices:
            device.encrypted = device.encrypted or self._store.encrypts_by_default
            if device.encrypted and device.key_arn is None:
                device.key_arn = self._store.default_volume_key

    def _refused_keys(self, devices: list[BlockDevice], caller: str) -> str | None:
        """Why EBS cannot use one of the keys: that of the snapshot, which is read, or that of the new volume.

        RunInstances succeeds all the same, and the instance ends at once (EC2 user guide, Troubleshoot instance
        termination issues).
        """
        keys = [device.key_arn for device in devices if device.encrypted]
        keys += [
            self._store.snapshots[device.snapshot_id].key_arn for device in devices if device.snapshot_id
        ]
        found = (self._refused_key(caller, key) for key in keys if key and key != KEY_OF_AWS)
        return next((reason for reason in found if reason is not None), None)

    def _launch(
        self, target: _Target, parameters: Mapping[str, Any], reservation_id: str, refused: str | None
    ) -> Instance:
        image = target.image
        instance = Instance(
            **self._store.stamp(),
            instance_id=self._store.new_id("i"),
            image=image,
            instance_type=target.instance_type,
            reservation_id=reservation_id,
            subnet_id=target.subnet.subnet_id,
            vpc_id=target.subnet.vpc_id,
            zone=target.subnet.zone,
            private_ip=self._store.moto.private_ip(target.subnet.subnet_id, len(self._store.instances)),
            interface_id=self._store.new_id("eni"),
            security_groups=target.security_groups,
            profile=target.profile,
            metadata_options=_metadata_options(image, parameters.get("MetadataOptions", {})),
            shutdown_behavior=parameters.get("InstanceInitiatedShutdownBehavior", "stop"),
            termination_protected=parameters.get("DisableApiTermination", False),
            user_data=parameters.get("UserData"),
            key_name=parameters.get("KeyName"),
            client_token=parameters.get("ClientToken", ""),
            ebs_optimized=parameters.get("EbsOptimized", False),
            monitoring=parameters.get("Monitoring", {}).get("Enabled", False),
            tags=dict(target.tags["instance"]),
        )
        for device in target.devices:
            volume = self._attach_new_volume(instance, device, target.tags["volume"])
            if device.device_name == image.root_device_name:
                instance.bootable = _boots(volume, image)
                instance.agent_version = volume.content.get("agent_version", instance.agent_version)
        self._store.instances[instance.instance_id] = instance
        if refused is None:
            self._instances.begin_life(instance)
        else:
            self._instances.end_at_once(instance, refused)
        return instance

    def _attach_new_volume(self, instance: Instance, device: BlockDevice, tags: Mapping[str, str]) -> Volume:
        snapshot = self._store.snapshots.get(device.snapshot_id or "")
        volume = Volume(
            **self._store.stamp(),
            volume_id=self._store.new_id("vol"),
            zone=instance.zone,
            device=copy.copy(device),
            instance_id=instance.instance_id,
            attached=self._store.clock.now(),
            content=copy.deepcopy(snapshot.content) if snapshot else {},
            boot_mode=snapshot.boot_mode if snapshot else None,
            tags=dict(tags),
        )
        if snapshot is not None and device.initialization_rate is not None:
            seconds = snapshot.data_bytes / 2**20 / device.initialization_rate
            volume.initialized = volume.created + timedelta(seconds=seconds)
        self._store.volumes[volume.volume_id] = volume
        instance.volumes[device.device_name] = volume.volume_id
        return volume


def _boots(root: Volume, image: Image) -> bool:
    """A disk made for UEFI alone does not boot from an image registered without that boot mode."""
    return root.boot_mode != "uefi" or (image.boot_mode or "").startswith("uefi")


def launchable_image(store: Ec2Store, parameters: ImageParameters, image_id: str) -> Image:
    """The available image of an id or of an alias `resolve:ssm:`.

    Raises:
        ApiError: if there is none, or this account may not launch it.
    """
    if image_id.startswith("resolve:ssm:"):
        image_id = parameters.resolve_image(image_id.removeprefix("resolve:ssm:"))
    require_id("ami", image_id, "InvalidAMIID")
    image = store.images.get(image_id)
    if image is None or not may_launch(store, image):
        raise ApiError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if image.state == "deregistered":
        raise ApiError("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is no longer available")
    if image.state != "available":
        raise ApiError(
            "InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available; it is {image.state}"
        )
    return image


def _require_match(image: Image, instance_type: str, data: Mapping[str, Any]) -> None:
    """Refuse an image that cannot run on the type, with the errors that RunInstances is known to give."""
    architectures = data["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise ApiError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to "
            "discover the architecture of the instance type or AMI.",
        )
    if image.virtualization_type not in data["SupportedVirtualizationTypes"]:
        raise ApiError(
            "InvalidParameterCombination",
            f"Non-Windows instances with a virtualization type of '{image.virtualization_type}' are currently not "
            "supported for this instance type.",
        )
    if data["NetworkInfo"]["EnaSupport"] == "required" and not image.ena_support:
        raise ApiError(
            "InvalidParameterCombination",
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the "
            f"'{instance_type}' instance type. Ensure that you are using an AMI that is enabled for ENA.",
        )


def _scope(parameters: Mapping[str, Any]) -> str:
    """A token counts in a zone if the request names one by zone or subnet, else in the Region."""
    place = parameters.get("Placement", {}).get("AvailabilityZone")
    return str(_interface(parameters).get("SubnetId") or parameters.get("SubnetId") or place or "region")


def _interface(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    interfaces = parameters.get("NetworkInterfaces", [])
    if len(interfaces) > 1:
        raise ApiError("EmulatorUnsupportedParameter", "the emulator emulates one network interface", 501)
    if interfaces and ("SubnetId" in parameters or "SecurityGroupIds" in parameters):
        raise ApiError(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same "
            "request",
        )
    return interfaces[0] if interfaces else {}


def _count(parameters: Mapping[str, Any]) -> int:
    low, high = parameters["MinCount"], parameters["MaxCount"]
    if not 1 <= low <= high:
        raise ApiError("InvalidParameterValue", f"Invalid value '{low}' for minCount; maxCount is {high}.")
    return int(high)


def _check_user_data(user_data: str | None) -> None:
    if user_data is None:
        return
    try:
        content = base64.b64decode(user_data, validate=True)
    except ValueError as error:
        raise ApiError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from error
    if len(content) > _MAX_USER_DATA_BYTES:
        raise ApiError("InvalidParameterValue", "User data is limited to 16384 bytes")


def _refuse_hibernation(options: Mapping[str, Any]) -> None:
    """Take the default, which tools such as Terraform always send."""
    if options.get("Configured", False):
        raise ApiError(UNSUPPORTED_PARAMETER, "the emulator does not emulate instances that hibernate", 501)


def _check_metadata_options(options: Mapping[str, Any], tags: Iterable[Mapping[str, Any]]) -> None:
    limit = options.get("HttpPutResponseHopLimit", 1)
    if not 1 <= limit <= 64:
        raise ApiError(
            "InvalidParameterValue", f"Value ({limit}) for parameter HttpPutResponseHopLimit is invalid."
        )
    if options.get("InstanceMetadataTags") != "enabled":
        return
    keys = (
        tag["Key"] for each in tags if each.get("ResourceType") == "instance" for tag in each.get("Tags", [])
    )
    for key in keys:
        # The words are those of RunInstances (seek-oss/aec, pull request 411).
        if not _METADATA_TAG.fullmatch(key) or key in {".", "..", "_index"}:
            raise ApiError(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\\\-_+=,.@:]{{1,255}}), "
                "and must not be a reserved name ('.', '..', '_index')",
            )


def _metadata_options(image: Image, asked: Mapping[str, Any]) -> dict[str, Any]:
    """An image with ImdsSupport v2.0 makes tokens required and the hop limit 2 (EC2 user guide)."""
    version_2 = image.imds_support == "v2.0"
    defaults = {
        "State": "applied",
        "HttpTokens": "required" if version_2 else "optional",
        "HttpPutResponseHopLimit": 2 if version_2 else 1,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    return defaults | dict(asked)
