"""Describing images and changing their attributes (EC2 API reference: DescribeImages, ModifyImageAttribute, ...)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.allowed_images import is_allowed, may_launch
from aws_emulator.ec2.block_devices import shown_for_image
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.model import Image
from aws_emulator.ec2.requests import refuse_dry_run, require_id, supported, tag_list
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.gateway.wire.scalars import iso8601

_FILTERS: Final[Mapping[str, Values]] = {
    "architecture": lambda each: [each.architecture],
    "block-device-mapping.device-name": lambda each: [device.device_name for device in each.devices],
    "block-device-mapping.snapshot-id": lambda each: [] if each.state == "pending" else each.snapshot_ids,
    "block-device-mapping.volume-type": lambda each: [device.volume_type for device in each.devices],
    "creation-date": lambda each: [creation_date(each)],
    "description": lambda each: [each.description],
    "ena-support": lambda each: [str(each.ena_support).lower()],
    "hypervisor": lambda _each: ["xen"],
    "image-id": lambda each: [each.image_id],
    "image-type": lambda _each: ["machine"],
    "is-public": lambda each: [str(each.public).lower()],
    "name": lambda each: [each.name],
    "owner-alias": lambda each: [each.owner_alias],
    "owner-id": lambda each: [each.owner_id],
    "root-device-name": lambda each: [each.root_device_name],
    "root-device-type": lambda _each: ["ebs"],
    "source-image-id": lambda each: [each.source_image_id],
    "source-instance-id": lambda each: [each.source_instance_id],
    "state": lambda each: [each.state],
    "virtualization-type": lambda each: [each.virtualization_type],
}
_ACCOUNT: Final = re.compile(r"\d{12}")
_ANY_ACCOUNT: Final = "0" * 12
_ALIASES: Final = ("amazon", "aws-backup-vault", "aws-marketplace")


class ImageViews:
    """Images as they are described, and their attributes."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("ec2", "DescribeImages")
    def describe_images(self, request: Request) -> Response:
        """Describe images by id, owner, permission and filters, in pages.

        A deregistered image is left out without an error; disabled ones are shown only if asked for.
        """
        with self._store.lock:
            parameters = supported(
                request,
                "ExecutableUsers",
                "Filters",
                "ImageIds",
                "IncludeDeprecated",
                "IncludeDisabled",
                "MaxResults",
                "NextToken",
                "Owners",
            )
            ids = parameters.get("ImageIds")
            candidates = self._by_ids(ids) if ids else list(self._store.images.values())
            tests = self._tests(parameters)
            images = [image for image in candidates if all(test(image) for test in tests)]
            shown, token = page(
                select(images, parameters.get("Filters"), _FILTERS), parameters, ids="ImageIds"
            )
            return {"Images": [self._shown(image) for image in shown], "NextToken": token}

    def _by_ids(self, ids: list[str]) -> list[Image]:
        for image_id in ids:
            require_id("ami", image_id, "InvalidAMIID")
        missing = [
            each
            for each in ids
            if each not in self._store.images or not self._store.settled(self._store.images[each])
        ]
        if missing:
            verb = "does" if len(missing) == 1 else "do"
            noun = "id" if len(missing) == 1 else "ids"
            raise ApiError(
                "InvalidAMIID.NotFound", f"The image {noun} '[{', '.join(missing)}]' {verb} not exist"
            )
        return [self._store.images[each] for each in dict.fromkeys(ids)]

    def _tests(self, parameters: Mapping[str, Any]) -> list[Callable[[Image], bool]]:
        now = self._store.clock.now()
        deprecated_too = parameters.get("IncludeDeprecated", False)
        disabled_too = parameters.get("IncludeDisabled", False)
        tests: list[Callable[[Image], bool]] = [
            lambda image: may_launch(self._store, image),
            self._store.settled,
            lambda image: image.state != "deregistered",
            lambda image: disabled_too or image.state != "disabled",
            lambda image: (
                deprecated_too
                or image.owner_id == self._store.account_id
                or image.deprecation_time is None
                or image.deprecation_time > now
            ),
        ]
        owners = parameters.get("Owners")
        if owners:
            accounts = {self._store.account_id if owner == "self" else owner for owner in owners}
            aliases = accounts.intersection(_ALIASES)
            tests.append(lambda image: image.owner_id in accounts or image.owner_alias in aliases)
        users = parameters.get("ExecutableUsers")
        if users:
            tests.append(lambda image: any(self._grants(image, user) for user in users))
        return tests

    def _grants(self, image: Image, user: str) -> bool:
        if user == "all":
            return image.public
        account = self._store.account_id if user == "self" else user
        return {"UserId": account} in image.launch_permissions

    def _shown(self, image: Image) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "PlatformDetails": image.platform_details,
            "UsageOperation": image.usage_operation,
            "BlockDeviceMappings": shown_for_image(image),
            "Description": image.description,
            "EnaSupport": True if image.ena_support else None,
            "Hypervisor": "xen",
            "ImageOwnerAlias": image.owner_alias,
            "Name": image.name,
            "RootDeviceName": image.root_device_name,
            "RootDeviceType": "ebs",
            "SriovNetSupport": image.sriov_net_support,
            "Tags": tag_list(image.tags) if image.owner_id == self._store.account_id else None,
            "VirtualizationType": image.virtualization_type,
            "BootMode": image.boot_mode,
            "TpmSupport": image.tpm_support,
            "ImdsSupport": image.imds_support,
            "DeprecationTime": iso8601(image.deprecation_time) if image.deprecation_time else None,
            "DeregistrationProtection": image.deregistration_protection,
            "SourceInstanceId": image.source_instance_id,
            "SourceImageId": image.source_image_id,
            "SourceImageRegion": self._store.region if image.source_image_id else None,
            "FreeTierEligible": True,
            "ImageId": image.image_id,
            "ImageLocation": f"{image.owner_alias or image.owner_id}/{image.name}",
            "State": image.state,
            "OwnerId": image.owner_id,
            "CreationDate": creation_date(image),
            "Public": image.public,
            "Architecture": image.architecture,
            "ImageType": "machine",
        }
        if self._store.allowed_images_state != "disabled":
            shown["ImageAllowed"] = is_allowed(self._store, image)
        if image.state_reason is not None:
            shown["StateReason"] = {"Code": image.state_reason[0], "Message": image.state_reason[1]}
        return {name: value for name, value in shown.items() if value not in (None, [])}

    @operation("ec2", "DescribeImageAttribute")
    def describe_image_attribute(self, request: Request) -> Response:
        """Show one attribute of an image that this account owns."""
        with self._store.lock:
            parameters = supported(request, "Attribute", "ImageId")
            image = require_own_image(self._store, parameters["ImageId"])
            if parameters["Attribute"] == "blockDeviceMapping":
                # Recorded calls; the EC2 API reference lists it all the same.
                raise ApiError("AuthFailure", "Unauthorized attempt to access restricted resource")
            readers: dict[str, Callable[[], dict[str, Any]]] = {
                "bootMode": lambda: {"BootMode": _value(image.boot_mode)},
                "deregistrationProtection": lambda: {
                    "DeregistrationProtection": _value(image.deregistration_protection)
                },
                "description": lambda: {"Description": _value(image.description)},
                "imdsSupport": lambda: {"ImdsSupport": _value(image.imds_support)},
                "kernel": lambda: {"KernelId": {}},
                # EC2 reports a launch with a delay of 24 hours (EC2 user guide, Check when an AMI was last used).
                "lastLaunchedTime": lambda: {"LastLaunchedTime": {}},
                "launchPermission": lambda: {"LaunchPermissions": image.launch_permissions},
                "productCodes": lambda: {"ProductCodes": []},
                "ramdisk": lambda: {"RamdiskId": {}},
                "sriovNetSupport": lambda: {"SriovNetSupport": _value(image.sriov_net_support)},
                "tpmSupport": lambda: {"TpmSupport": _value(image.tpm_support)},
                "uefiData": lambda: {"UefiData": _value(image.uefi_data)},
            }
            reader = readers.get(parameters["Attribute"])
            if reader is None:
                raise ApiError("InvalidRequest", f"The request does not support {parameters['Attribute']}")
            return {"ImageId": image.image_id, **reader()}

    @operation("ec2", "ModifyImageAttribute")
    def modify_image_attribute(self, request: Request) -> Response:
        """Change launch permissions, the description or IMDS support: nothing else can change."""
        with self._store.lock:
            parameters = supported(
                request,
                "Attribute",
                "Description",
                "ImageId",
                "ImdsSupport",
                "LaunchPermission",
                "OperationType",
                "UserGroups",
                "UserIds",
                "Value",
            )
            image = require_own_image(self._store, parameters["ImageId"])
            refuse_dry_run(request)
            if image.state != "available" and "LaunchPermission" in parameters:
                raise ApiError(
                    "InvalidAMIID.Unavailable", f"The image ID '{image.image_id}' is not available"
                )
            attribute = parameters.get("Attribute")
            if attribute not in {None, "description", "imdsSupport", "launchPermission"}:
                raise ApiError(
                    "InvalidParameterValue", f"Value ({attribute}) for parameter attribute is invalid."
                )
            match _attribute_to_change(parameters):
                case "launchPermission":
                    added, removed = _permission_changes(parameters)
                    image.launch_permissions = [
                        *(
                            each
                            for each in image.launch_permissions
                            if each not in removed and each not in added
                        ),
                        *added,
                    ]
                case "description":
                    image.description = _new_value(parameters, "Description", "description")
                case "imdsSupport":
                    support = _new_value(parameters, "ImdsSupport", "imdsSupport with value v2.0")
                    _require_imds_support(support)
                    image.imds_support = support
            return {}

    @operation("ec2", "ResetImageAttribute")
    def reset_image_attribute(self, request: Request) -> Response:
        """Take all launch permissions away."""
        with self._store.lock:
            parameters = supported(request, "Attribute", "ImageId")
            image = require_own_image(self._store, parameters["ImageId"])
            if parameters["Attribute"] != "launchPermission":
                raise ApiError("InvalidRequest", f"The request does not support {parameters['Attribute']}")
            refuse_dry_run(request)
            image.launch_permissions = []
            return {}


def require_image(store: Ec2Store, image_id: str) -> Image:
    """An image that this account can see and that is not deregistered.

    Raises:
        ApiError: `InvalidAMIID.Malformed`, `.NotFound` or `.Unavailable`.
    """
    require_id("ami", image_id, "InvalidAMIID")
    image = store.images.get(image_id)
    if image is None or not may_launch(store, image) or not store.settled(image):
        raise ApiError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if image.state == "deregistered":
        raise ApiError("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is no longer available")
    return image


def require_own_image(store: Ec2Store, image_id: str) -> Image:
    """As `require_image`, of an image that this account owns.

    Raises:
        ApiError: as `require_image`, or `AuthFailure`.
    """
    image = require_image(store, image_id)
    if image.owner_id != store.account_id:
        raise ApiError("AuthFailure", f"Not authorized for image:{image_id}")
    return image


def notify_image(store: Ec2Store, image: Image, request_id: str, error: str = "") -> None:
    """Emit the event of an image's new state (EC2 user guide, Monitor AMI events)."""
    store.bus.emit(
        "aws.ec2",
        "EC2 AMI State Change",
        {"RequestId": request_id, "ImageId": image.image_id, "State": image.state, "ErrorMessage": error},
        [store.arn("image", image.image_id, owned=False)],
    )


def creation_date(image: Image) -> str:
    """The creation date as EC2 writes it: with milliseconds that are always 0."""
    return iso8601(image.created.replace(microsecond=0))


def _value(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Value": value}


def _attribute_to_change(parameters: Mapping[str, Any]) -> str:
    """The one attribute that a request changes (radkawar/stackd, testdata/aws/ec2/images_controls.json).

    Raises:
        ApiError: `InvalidParameterCombination` for none or several.
    """
    permissions = bool(
        parameters.get("LaunchPermission") or parameters.get("UserIds") or parameters.get("UserGroups")
    )
    named = parameters.get("Attribute")
    given = [
        name
        for name, is_given in (
            ("description", "Description" in parameters or named == "description"),
            ("imdsSupport", "ImdsSupport" in parameters or named == "imdsSupport"),
            ("launchPermission", permissions),
        )
        if is_given
    ]
    if not given:
        raise ApiError("InvalidParameterCombination", "No attributes specified.")
    if len(given) > 1:
        raise ApiError(
            "InvalidParameterCombination",
            f"Fields for multiple attribute types specified: {', '.join(given)}",
        )
    return given[0]


def _new_value(parameters: Mapping[str, Any], member: str, shown: str) -> str:
    value = str(parameters.get(member, {}).get("Value", parameters.get("Value", "")))
    if not value:
        raise ApiError("MissingParameter", f"The request must contain the parameter {shown}")
    return value


def _require_imds_support(value: str) -> None:
    if value != "v2.0":
        raise ApiError("InvalidParameterValue", f"Value ({value}) for parameter imdsSupport is invalid.")


def _permission_changes(parameters: Mapping[str, Any]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Permissions to add and to remove, from either of the two ways to write them."""
    change = parameters.get("LaunchPermission", {})
    added, removed = list(change.get("Add", ())), list(change.get("Remove", ()))
    listed = [{"UserId": each} for each in parameters.get("UserIds", ())]
    listed += [{"Group": each} for each in parameters.get("UserGroups", ())]
    if listed:
        (added if parameters.get("OperationType") == "add" else removed).extend(listed)
    for permission in (*added, *removed):
        if not _ACCOUNT.fullmatch(permission.get("UserId", _ANY_ACCOUNT)):
            raise ApiError(
                "InvalidAMIAttributeItemValue",
                f'Invalid attribute item value "{permission["UserId"]}" for userId item type.',
            )
    return added, removed
