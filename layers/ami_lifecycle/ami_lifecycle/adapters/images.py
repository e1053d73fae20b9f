"""AMIs and their snapshots behind the port `Images`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.image_shapes import registration_of, to_image, to_snapshot
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.tags import filters, has_tags, specifications
from ami_lifecycle.adapters.translation import aws_errors, code_of, garbled, is_of_the_request, message_of
from ami_lifecycle.domain.model import Image, ImageState, Snapshot
from ami_lifecycle.errors import BuilderLostError, RefusedError, ResourceNotVisibleError
from ami_lifecycle.ports import AllowedImages

# An id that never existed may be Malformed rather than NotFound; a deregistered one is Unavailable.
ABSENT: Final = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"})
NAME_TAKEN: Final = "InvalidAMIName.Duplicate"
# CreateImage on an instance that is on its way to another state, or gone.
WRONG_INSTANCE_STATE: Final = frozenset(
    {
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidInstanceID.NotFound",
        "InvalidParameterValue",
        "InvalidState",
    }
)
MAXIMUM_PER_PAGE: Final = 500
# EC2 API reference, Filter: 200 values at most.
VALUES_PER_FILTER: Final = 200


@contextmanager
def _of_existing(operation: str, image_id: str) -> Iterator[None]:
    """Translate errors; an image that is gone needs nothing any more."""
    with aws_errors(operation, image_id):
        try:
            yield
        except ClientError as error:
            if code_of(error) not in ABSENT:
                raise


class Ec2Images:
    """Images and snapshots through a low-level EC2 client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ec2:DescribeImages")
    def get(self, image_id: str) -> Image | None:
        """One image of any owner; None when it does not exist or is deregistered."""
        for image in self._known(image_id) or ():
            return None if image.state is ImageState.DEREGISTERED else image
        return None

    @calls("ec2:DescribeImages")
    def is_deregistered(self, image_id: str) -> bool:
        """Whether EC2 knows the id, and of no image any more."""
        known = self._known(image_id)
        return known is not None and all(image.state is ImageState.DEREGISTERED for image in known)

    def _known(self, image_id: str) -> list[Image] | None:
        """The image of an id; None when EC2 does not know the id.

        A deregistered image EC2 shows for a short while, then as an empty list, and with an error when it has
        forgotten the id (EC2 API reference, DescribeImages); of one that does not show yet, the error.
        """
        with aws_errors("ec2:DescribeImages", image_id):
            try:
                answer = self._client.describe_images(
                    ImageIds=[image_id], IncludeDisabled=True, IncludeDeprecated=True
                )
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise
            return [to_image(found) for found in answer["Images"]]

    @calls("ec2:DescribeImages")
    def find(self, tags: Mapping[str, str]) -> list[Image]:
        """All own images that carry all these tags, disabled ones included, in any state."""
        return [image for image in self._own(filters(tags)) if has_tags(image.tags, tags)]

    @calls("ec2:DescribeImages")
    def find_by_name(self, pattern: str) -> list[Image]:
        """All own images whose name matches; `*` and `?` as in EC2's filters."""
        return self._own([{"Name": "name", "Values": [pattern]}])

    @calls("ec2:DescribeImages")
    def newest(self, owner: str, name: str, architecture: str) -> Image | None:
        """The newest available image of an owner whose name matches; `*` and `?` as in EC2's filters.

        Never without the owner: anybody can give a public image any name. Deprecated ones are left out unless they are
        the account's own (EC2 API reference, DescribeImages).
        """
        criteria = {
            "name": name,
            "architecture": architecture,
            "state": "available",
            "root-device-type": "ebs",
            "virtualization-type": "hvm",
        }
        given = [{"Name": key, "Values": [value]} for key, value in criteria.items()]
        with aws_errors("ec2:DescribeImages", f"images of {owner} named {name}"):
            pages = self._client.get_paginator("describe_images").paginate(
                Owners=[owner], Filters=given, PaginationConfig={"PageSize": MAXIMUM_PER_PAGE}
            )
            found = [to_image(image) for page in pages for image in page["Images"]]
        dated = [image for image in found if image.creation_date is not None]
        return max(dated, key=lambda image: (image.creation_date, image.image_id), default=None)

    @calls("ec2:CreateImage", "ec2:CreateTags", "ec2:DescribeInstances")
    def create(self, instance_id: str, name: str, description: str, tags: Mapping[str, str]) -> str | None:
        """CreateImage with tags on image and snapshots; None when the name is taken.

        Raises `BuilderLostError` when the instance is gone, `ResourceNotVisibleError` while EC2 does not
        accept its state.
        """
        with aws_errors("ec2:CreateImage", f"{instance_id} as {name}"):
            try:
                answer = self._client.create_image(
                    InstanceId=instance_id,
                    Name=name,
                    Description=description,
                    TagSpecifications=specifications(tags, "image", "snapshot"),
                )
            except ClientError as error:
                if code_of(error) == NAME_TAKEN:
                    return None
                if code_of(error) in WRONG_INSTANCE_STATE:
                    self._explain_refused_instance(instance_id, error)
                raise
            return str(answer["ImageId"])

    @calls("ec2:RegisterImage", "ec2:CreateTags", "ec2:DescribeImageAttribute")
    def register_copy(self, image: Image, name: str, tags: Mapping[str, str]) -> str | None:
        """RegisterImage from the image's own snapshots with every attribute copied; None when the name
        is taken.

        Raises `ResourceNotVisibleError` for an image that is not available: its mappings may lack
        snapshot ids.
        """
        if image.state is not ImageState.AVAILABLE or not image.snapshot_ids:
            raise ResourceNotVisibleError(
                f"{image.image_id} is {image.state.value} and cannot be registered as {name} yet. "
                "It is tried again."
            )
        parameters = registration_of(image)
        if uefi_data := self._uefi_data(image.image_id):
            parameters["UefiData"] = uefi_data
        with aws_errors("ec2:RegisterImage", f"{image.image_id} as {name}"):
            try:
                answer = self._client.register_image(
                    Name=name, TagSpecifications=specifications(tags, "image"), **parameters
                )
            except ClientError as error:
                if code_of(error) == NAME_TAKEN:
                    return None
                raise
            return str(answer["ImageId"])

    @calls("ec2:DeregisterImage", "ec2:DeleteSnapshot")
    def deregister(self, image_id: str, *, with_snapshots: bool = False) -> list[str]:
        """Deregister it. Idempotent. Raises `RefusedError` when EC2 protects it.

        `with_snapshots` has EC2 delete its snapshots in the same call, except those that another image uses. The
        image is deregistered even if they stay; returns those that EC2 reports as deleted (EC2 API reference,
        DeregisterImage).
        """
        with aws_errors("ec2:DeregisterImage", image_id):
            try:
                answer = (
                    self._client.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
                    if with_snapshots
                    else self._client.deregister_image(ImageId=image_id)
                )
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return []
                raise
        # The image is deregistered by now, so a response without results must not fail the call; remaining snapshots
        # are found later.
        results = answer.get("DeleteSnapshotResults") or ()
        return [
            str(each["SnapshotId"])
            for each in results
            if each.get("ReturnCode") == "success" and each.get("SnapshotId")
        ]

    @calls("ec2:EnableImageDeprecation")
    def deprecate(self, image_id: str, at: datetime) -> None:
        """Set the date from which other accounts do not find it; launches by id go on (EC2 user guide, Deprecate an
        Amazon EC2 AMI).
        """
        with _of_existing("ec2:EnableImageDeprecation", image_id):
            self._client.enable_image_deprecation(ImageId=image_id, DeprecateAt=at)

    @calls("ec2:DisableImageDeprecation")
    def undeprecate(self, image_id: str) -> None:
        """Take that date away."""
        with _of_existing("ec2:DisableImageDeprecation", image_id):
            self._client.disable_image_deprecation(ImageId=image_id)

    @calls("ec2:EnableImageDeregistrationProtection")
    def protect(self, image_id: str) -> None:
        """Have EC2 refuse its deregistration. Never with a cooldown, which holds for a day after it is switched off
        (EC2 API reference, EnableImageDeregistrationProtection).
        """
        with _of_existing("ec2:EnableImageDeregistrationProtection", image_id):
            self._client.enable_image_deregistration_protection(ImageId=image_id, WithCooldown=False)

    @calls("ec2:DisableImageDeregistrationProtection")
    def unprotect(self, image_id: str) -> None:
        """Take the protection away."""
        with _of_existing("ec2:DisableImageDeregistrationProtection", image_id):
            self._client.disable_image_deregistration_protection(ImageId=image_id)

    @calls("ec2:DescribeImageAttribute")
    def launch_permissions(self, image_id: str) -> list[str]:
        """Account ids, groups (`all`), organizations and units that may launch it.

        Raises if EC2 does not find the image: its permissions are unknown then.
        """
        with aws_errors("ec2:DescribeImageAttribute", image_id):
            answer = self._client.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
            permissions = answer["LaunchPermissions"]
            if not all(permissions):
                raise garbled("ec2:DescribeImageAttribute", image_id, "a launch permission for nobody")
            return [str(who) for permission in permissions for who in permission.values()]

    @calls("ec2:GetAllowedImagesSettings")
    def allowed_images(self) -> AllowedImages:
        """The setting Allowed AMIs (EC2 user guide, Allowed AMIs)."""
        with aws_errors("ec2:GetAllowedImagesSettings", "the setting Allowed AMIs"):
            answer = self._client.get_allowed_images_settings()
            # In audit mode nothing is hidden.
            return AllowedImages(
                answer["State"] == "enabled", answer.get("ManagedBy") == "declarative-policy"
            )

    @calls("ec2:DescribeSnapshots")
    def find_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        """All own snapshots that carry all these tags."""
        with aws_errors("ec2:DescribeSnapshots", f"snapshots tagged {dict(tags)}"):
            found = self._own_snapshots(filters(tags))
        return [snapshot for snapshot in found if has_tags(snapshot.tags, tags)]

    @calls("ec2:DescribeSnapshots")
    def find_each_snapshot(self, snapshot_ids: Sequence[str]) -> list[Snapshot]:
        """Those of the snapshots that this account owns and that exist.

        By a filter, since one unknown id among `SnapshotIds` refuses the whole call.
        """
        criteria = set(snapshot_ids)
        with aws_errors("ec2:DescribeSnapshots", ", ".join(snapshot_ids)):
            found = [
                snapshot
                for start in range(0, len(snapshot_ids), VALUES_PER_FILTER)
                for snapshot in self._own_snapshots(
                    [
                        {
                            "Name": "snapshot-id",
                            "Values": list(snapshot_ids[start : start + VALUES_PER_FILTER]),
                        }
                    ]
                )
            ]
        return [snapshot for snapshot in found if snapshot.snapshot_id in criteria]

    @calls("ec2:ListSnapshotsInRecycleBin")
    def snapshots_in_bin(self, snapshot_ids: Sequence[str]) -> dict[str, datetime]:
        """Those of the snapshots that are in the Recycle Bin, each with the date when it goes for good.

        All are listed: what is answered for an id that is not in the bin is documented nowhere.
        """
        with aws_errors("ec2:ListSnapshotsInRecycleBin", ", ".join(snapshot_ids)):
            pages = self._client.get_paginator("list_snapshots_in_recycle_bin").paginate(
                PaginationConfig={"PageSize": MAXIMUM_PER_PAGE}
            )
            binned = {
                each["SnapshotId"]: each["RecycleBinExitTime"] for page in pages for each in page["Snapshots"]
            }
        return {each: binned[each] for each in snapshot_ids if each in binned}

    @calls("ec2:RestoreSnapshotFromRecycleBin")
    def restore_snapshot(self, snapshot_id: str) -> None:
        """Take it out of the Recycle Bin; one that is not there any more was taken out, or is gone."""
        with aws_errors("ec2:RestoreSnapshotFromRecycleBin", snapshot_id):
            try:
                self._client.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)
            except ClientError as error:
                if code_of(error) not in {"InvalidSnapshot.NotFound", "InvalidSnapshotID.NotFound"}:
                    raise

    def _own_snapshots(self, criteria: list[dict[str, Any]]) -> list[Snapshot]:
        pages = self._client.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=criteria, PaginationConfig={"PageSize": MAXIMUM_PER_PAGE}
        )
        return [to_snapshot(snapshot) for page in pages for snapshot in page["Snapshots"]]

    @calls("ec2:DescribeImages")
    def find_each(self, image_ids: Sequence[str]) -> list[Image]:
        """Those of the images that this account owns and that exist; 200 in a call.

        By a filter, since one unknown id among `ImageIds` refuses the whole call.
        """
        return self._own_with("image-id", image_ids)

    @calls("ec2:DescribeImages")
    def images_of_snapshots(self, snapshot_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of own images that use each snapshot; 200 in a call."""
        users: dict[str, list[str]] = {snapshot_id: [] for snapshot_id in snapshot_ids}
        for image in self._own_with("block-device-mapping.snapshot-id", snapshot_ids):
            # An image whose mappings name none of them may use any of them.
            for snapshot_id in (set(image.snapshot_ids) & users.keys()) or users:
                if image.image_id not in users[snapshot_id]:
                    users[snapshot_id].append(image.image_id)
        return users

    @calls("ec2:DeleteSnapshot")
    def delete_snapshot(self, snapshot_id: str) -> bool:
        """Delete it; False when an image still uses it.

        Raises `RefusedError` for one that is locked, or enabled for fast snapshot restore.
        """
        with aws_errors("ec2:DeleteSnapshot", snapshot_id):
            try:
                self._client.delete_snapshot(SnapshotId=snapshot_id)
            except ClientError as error:
                if code_of(error) == "InvalidSnapshot.InUse":
                    # The same code for both; only EC2's message distinguishes them (rebuy-de/aws-nuke issue 453).
                    if "fast restore" in message_of(error) or "ast snapshot restore" in message_of(error):
                        raise RefusedError(
                            f"{snapshot_id} is enabled for fast snapshot restore: disable that "
                            "(aws ec2 disable-fast-snapshot-restores) if it should go; it is tried again later."
                        ) from error
                    return False
                if code_of(error) != "InvalidSnapshot.NotFound":
                    raise
        return True

    def _own(self, criteria: list[dict[str, Any]]) -> list[Image]:
        with aws_errors("ec2:DescribeImages", f"images with {criteria}"):
            found = [to_image(image) for image in self._pages(criteria)]
        # EC2 shows images for a short while after they are deregistered (its API reference, DescribeImages).
        return [image for image in found if image.state is not ImageState.DEREGISTERED]

    def _own_with(self, name: str, values: Sequence[str]) -> list[Image]:
        return [
            image
            for start in range(0, len(values), VALUES_PER_FILTER)
            for image in self._own(
                [{"Name": name, "Values": list(values[start : start + VALUES_PER_FILTER])}]
            )
        ]

    def _pages(self, criteria: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("describe_images").paginate(
            Owners=["self"],
            Filters=criteria,
            IncludeDisabled=True,
            PaginationConfig={"PageSize": MAXIMUM_PER_PAGE},
        )
        for page in pages:
            yield from page["Images"]

    def _uefi_data(self, image_id: str) -> str | None:
        with aws_errors("ec2:DescribeImageAttribute", image_id):
            try:
                answer = self._client.describe_image_attribute(ImageId=image_id, Attribute="uefiData")
            except ClientError as error:
                # EC2's answer for an image without such data is undocumented, so any error about the request itself
                # counts as none.
                if is_of_the_request(error):
                    return None
                raise
            return (answer.get("UefiData") or {}).get("Value") or None

    def _explain_refused_instance(self, instance_id: str, error: ClientError) -> None:
        instance = Ec2Instances(self._client).get(instance_id)
        if instance is None or instance.state.is_over:
            state = instance.state_reason or instance.state.value if instance else "not known any more"
            raise BuilderLostError(
                f"no image can be made of {instance_id}, it is gone: {state}. Start the build again."
            ) from error
        raise ResourceNotVisibleError(
            f"EC2 makes no image of {instance_id} while it is {instance.state.value} "
            f"({code_of(error)}: {message_of(error)}). It is tried again."
        ) from error
