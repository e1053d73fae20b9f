"""Images, snapshots, instances and how they are used, in EC2's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

AMI_ID: Final = re.compile(r"ami-[0-9a-f]{8,17}")
AmiId = Annotated[str, Field(pattern=f"^{AMI_ID.pattern}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

TAG_APPLICATION: Final = "ami-lifecycle:application"
TAG_ENVIRONMENT: Final = "ami-lifecycle:environment"
TAG_EXECUTION: Final = "ami-lifecycle:execution"
TAG_ROLE: Final = "ami-lifecycle:role"
TAG_DIGEST: Final = "ami-lifecycle:image-digest"
TAG_GENERATION: Final = "ami-lifecycle:generation"
TAG_BASE_CREATED: Final = "ami-lifecycle:base-created"
# The setting `base` as it was, and the image of others that it named, below all images since.
TAG_BASE: Final = "ami-lifecycle:base"
TAG_BASE_IMAGE: Final = "ami-lifecycle:base-image"
# When the disks were imaged: an image that is registered under another name has a creation date of its own.
TAG_IMAGED: Final = "ami-lifecycle:imaged"
# The execution that made the disks, whichever image is registered from them (docs/decisions/0008).
TAG_RELEASE: Final = "ami-lifecycle:release"
# The environment that the disks were built for, on images of other environments that are registered from them.
TAG_BUILT_FOR: Final = "ami-lifecycle:built-for"
TAG_RECIPE: Final = "ami-lifecycle:recipe"


def is_ami_id(text: str | None) -> bool:
    """Whether a text can be the id of an image: a parameter that others made may hold any."""
    return text is not None and AMI_ID.fullmatch(text) is not None


class Role(StrEnum):
    """What a resource of ours is for; the value of the tag `ami-lifecycle:role`."""

    BUILDER = "builder"
    CANARY = "canary"
    CANDIDATE = "candidate"
    CANONICAL = "canonical"


class Frozen(BaseModel):
    """A value that cannot change and has no unknown fields.

    Validators are built when they are first used: a function uses few of the many models that it imports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ImageState(StrEnum):
    """State of an image (EC2 API reference, Image.State)."""

    PENDING = "pending"
    AVAILABLE = "available"
    INVALID = "invalid"
    DEREGISTERED = "deregistered"
    TRANSIENT = "transient"
    FAILED = "failed"
    ERROR = "error"
    DISABLED = "disabled"


class InstanceState(StrEnum):
    """State of an instance (EC2 API reference, InstanceState)."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether the instance can never run again."""
        return self in {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}


class BlockDevice(Frozen):
    """One EBS or instance-store mapping of an image; sizes in GiB, throughput in MiB/s."""

    device_name: str
    snapshot_id: str | None = None
    volume_type: str | None = None
    volume_size: int | None = None
    iops: int | None = None
    throughput: int | None = None
    delete_on_termination: bool | None = None
    encrypted: bool | None = None
    virtual_name: str | None = None


class VolatileDevice(Frozen):
    """A data volume that an instance gets from its image and that goes with the instance."""

    device_name: str
    volume_type: str | None = None
    iops: int | None = None
    throughput: int | None = None


class Image(Frozen):
    """An AMI. A pending image may lack snapshot ids (seen on EC2), so never read them from one."""

    image_id: AmiId
    name: str
    state: ImageState
    owner_id: str = ""
    owner_alias: str | None = None
    description: str = ""
    creation_date: datetime | None = None
    architecture: str = "x86_64"
    virtualization_type: str = "hvm"
    root_device_name: str = "/dev/sda1"
    root_device_type: str = "ebs"
    platform: str | None = None
    block_devices: tuple[BlockDevice, ...] = ()
    ena_support: bool = False
    sriov_net_support: str | None = None
    boot_mode: str | None = None
    tpm_support: str | None = None
    imds_support: str | None = None
    platform_details: str | None = None
    usage_operation: str | None = None
    state_reason: str | None = None
    deregistration_protection: str | None = None
    deprecated_at: datetime | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)

    @property
    def snapshot_ids(self) -> tuple[str, ...]:
        """Ids of the snapshots behind the mappings, in their order."""
        return tuple(device.snapshot_id for device in self.block_devices if device.snapshot_id)

    @property
    def root_volume_gib(self) -> int | None:
        """Size of the root volume in GiB, where known."""
        for device in self.block_devices:
            if device.device_name == self.root_device_name:
                return device.volume_size
        return None

    @property
    def volatile_devices(self) -> tuple[VolatileDevice, ...]:
        """The data volumes beside the root. They are named at a launch, so that they are deleted with the
        instance whatever the image's mapping says.
        """
        return tuple(
            VolatileDevice(
                device_name=device.device_name,
                volume_type=device.volume_type,
                iops=device.iops,
                throughput=device.throughput,
            )
            for device in self.block_devices
            if device.snapshot_id and device.device_name != self.root_device_name
        )

    def belongs_to(self, application: str, environment: str) -> bool:
        """Whether the tags of this application and environment are on it."""
        return self.tags.get(TAG_APPLICATION) == application and self.tags.get(TAG_ENVIRONMENT) == environment

    @property
    def is_protected(self) -> bool:
        """Whether EC2 refuses to deregister it (EC2 API reference, Image.DeregistrationProtection)."""
        return self.deregistration_protection not in {None, "", "disabled"}

    @property
    def is_protected_at_will(self) -> bool:
        """Whether EC2 lets it go as soon as the protection is switched off: one with a cooldown holds for a day."""
        return self.deregistration_protection == "enabled-without-cooldown"

    @property
    def is_copy(self) -> bool:
        """Whether somebody copied our tags onto an image of theirs.

        CopyImage and backup tools can copy tags; the name, which is unique, they cannot. Our images are
        named as their tag `Name` says, or as a candidate of it.
        """
        name = self.tags.get("Name", "")
        return self.name != name and not self.name.startswith(f"{name}.candidate.")


class Snapshot(Frozen):
    """An EBS snapshot with our tags. `data_bytes`: of all its blocks, where EC2 tells it."""

    snapshot_id: str
    state: str
    description: str = ""
    start_time: datetime | None = None
    data_bytes: int | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)

    @property
    def is_copy(self) -> bool:
        """Whether somebody copied our tags onto a snapshot of theirs.

        CopySnapshot and backup tools can copy tags; EC2 describes a snapshot that CreateImage made as
        `Created by CreateImage(i-...) for ami-...` (EC2 user guide, Deregister an AMI).
        """
        return not self.description.startswith("Created by CreateImage(")


class Instance(Frozen):
    """An EC2 instance with our tags."""

    instance_id: str
    state: InstanceState
    image_id: str = ""
    instance_type: str = ""
    subnet_id: str = ""
    launch_time: datetime | None = None
    state_reason: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)


class UsageKind(StrEnum):
    """What can use an image."""

    AUTO_SCALING_GROUP = "Auto Scaling group"
    FLEET = "EC2 Fleet"
    INSTANCE_REFRESH = "instance refresh of Auto Scaling group"
    LATEST = "latest parameter"
    LAUNCH_CONFIGURATION = "launch configuration"
    LAUNCH_PERMISSION = "launch permission"
    LAUNCH_TEMPLATE = "launch template"
    OLD_TEMPLATE_VERSION = "old version of launch template"
    PARAMETER = "parameter"
    RECIPE = "image recipe"
    RUNNING_INSTANCE = "running instance"
    SPOT_FLEET = "Spot Fleet request"
    SPOT_REQUEST = "Spot Instance request"
    UNKNOWN = "unknown"


class ImageUse(Frozen):
    """One use of an image: what kind, and which resource (an ARN, a name or an account id)."""

    kind: UsageKind
    resource: str


class Usage(Frozen):
    """All uses of an image. What could not be read is a use of kind `UNKNOWN`."""

    image_id: AmiId
    uses: tuple[ImageUse, ...] = ()


def owner_tags(
    application: str,
    environment: str,
    execution_arn: str,
    role: Role,
    digest: str,
    name: str,
    demanded: Mapping[str, str],
) -> dict[str, str]:
    """The tags that every resource of a build carries from the call on that makes it.

    `demanded` are those of the settings, which can never take the place of our own.
    """
    return {
        **demanded,
        TAG_APPLICATION: application,
        TAG_ENVIRONMENT: environment,
        TAG_EXECUTION: execution_arn,
        TAG_ROLE: role.value,
        TAG_DIGEST: digest,
        "Name": name,
    }
