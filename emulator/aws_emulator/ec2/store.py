"""The store of the emulated EC2 of one account and Region, shared by its operation classes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2.bin import Bin
from aws_emulator.ec2.model import (
    BlockDevice,
    Content,
    Fleet,
    Image,
    Instance,
    LaunchTemplate,
    Resource,
    Snapshot,
    Volume,
)
from aws_emulator.ec2.moto_resources import MotoResources
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.moto_backend import MotoAccount

# The AWS managed key of EBS, which every principal of the account may use through EC2.
KEY_OF_AWS: Final = "alias/aws/ebs"
_OUTSIDE_VOLUME: Final = "vol-ffffffff"


class ImageParameters(Protocol):
    """What EC2 asks of the account's Parameter Store."""

    def resolve_image(self, name: str) -> str:
        """The image id in a parameter given as `name`, `name:version` or `name:label`.

        Raises:
            ApiError: unless it is a String of data type `aws:ec2:image`.
        """

    def arns_naming(self, image_id: str) -> list[str]:
        """The ARNs of the parameters of that data type whose newest version names an image."""


class Ec2Store:
    """Instances, volumes, snapshots, images, launch templates, fleets and settings of one account and Region.

    Callers hold `lock`. The operation classes decide which changes are valid.

    Args:
        moto: keeps the network and the instance profiles.
        role_tag: the tag that says what an instance is for.

    Attributes:
        moto: what EC2 looks up in what moto keeps.
    """

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        durations: Durations,
        *,
        account_id: str,
        region: str,
        moto: MotoAccount,
        faults: Faults | None = None,
        role_tag: str = "role",
    ) -> None:
        self.clock = clock
        self.bus = bus
        self.durations = durations
        self.account_id = account_id
        self.region = region
        self.faults = faults or Faults(clock)
        self.moto = MotoResources(moto, account_id)
        self.lock = threading.RLock()
        self.instances: dict[str, Instance] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.bin = Bin()
        self.images: dict[str, Image] = {}
        self.templates: dict[str, LaunchTemplate] = {}
        self.fleets: dict[str, Fleet] = {}
        self.spot_fleets: dict[str, Fleet] = {}
        self.spot_requests: dict[str, Fleet] = {}
        self.allowed_images_state = "disabled"
        self.image_criteria: list[dict[str, Any]] = []
        self.encrypts_by_default = False
        self.default_volume_key = KEY_OF_AWS
        self._role_tag = role_tag

    def stamp(self) -> dict[str, Any]:
        """The creation fields of a new resource."""
        return {"created": self.clock.now(), "created_elapsed": self.clock.elapsed()}

    def role_of(self, instance: Instance) -> str:
        """The role tag of an instance; durations and faults can differ by it."""
        return instance.tags.get(self._role_tag, "")

    def new_id(self, prefix: str) -> str:
        """A new resource id such as `ami-0123456789abcdef0`."""
        return f"{prefix}-{secrets.token_hex(9)[:17]}"

    def arn(self, kind: str, resource_id: str, *, owned: bool = True) -> str:
        """A resource's ARN; images and snapshots have no account in theirs."""
        return f"arn:aws:ec2:{self.region}:{self.account_id if owned else ''}:{kind}/{resource_id}"

    def settled(self, resource: Resource) -> bool:
        """Whether a resource is visible yet (EC2's eventual consistency)."""
        return self.clock.elapsed() - resource.created_elapsed >= self.durations.consistency

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` with the lock held after a number of emulated seconds."""

        def run() -> None:
            with self.lock:
                action()

        self.clock.call_later(seconds, run)

    def root_volume(self, instance: Instance) -> Volume:
        """The volume that an instance boots from."""
        root = instance.image.root_device_name or ""
        return self.volumes[instance.volumes[root]]

    def content_of(self, instance: Instance) -> Content:
        """What is on an instance's root volume; changing it changes the disk."""
        return self.root_volume(instance).content

    def images_using(self, snapshot_id: str) -> list[str]:
        """The ids of the images, in whatever state but deregistered, that need a snapshot."""
        return [
            image.image_id
            for image in self.images.values()
            if image.state != "deregistered" and snapshot_id in image.snapshot_ids
        ]

    def add_snapshot(
        self,
        *,
        volume_id: str,
        size: int,
        description: str,
        content: Content,
        boot_mode: str | None,
        owner_id: str | None = None,
        encrypted: bool = False,
        key_arn: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Snapshot:
        """Begin a snapshot, with its tags from the start."""
        snapshot = Snapshot(
            **self.stamp(),
            snapshot_id=self.new_id("snap"),
            owner_id=owner_id or self.account_id,
            volume_id=volume_id,
            size=size,
            description=description,
            encrypted=encrypted,
            key_arn=key_arn,
            content=content,
            boot_mode=boot_mode,
            tags=dict(tags or {}),
        )
        self.snapshots[snapshot.snapshot_id] = snapshot
        return snapshot

    def seed_image(
        self,
        name: str,
        *,
        owner_id: str,
        owner_alias: str | None = None,
        architecture: str = "x86_64",
        root_device: str = "/dev/sda1",
        root_gib: int = 8,
        boot_mode: str | None = "uefi-preferred",
        public: bool = True,
        content: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> str:
        """Put an available image into the account's view, as its owner would have shared it; returns its id."""
        with self.lock:
            snapshot = self.add_snapshot(
                volume_id=_OUTSIDE_VOLUME,
                size=root_gib,
                description=f"Root of {name}",
                owner_id=owner_id,
                content=dict(content or {}),
                boot_mode=boot_mode,
            )
            snapshot.state, snapshot.completed = "completed", self.clock.now()
            root = BlockDevice(
                device_name=root_device, snapshot_id=snapshot.snapshot_id, volume_size=root_gib
            )
            image = Image(
                **self.stamp(),
                image_id=self.new_id("ami"),
                owner_id=owner_id,
                owner_alias=owner_alias,
                name=name,
                description=description,
                state="available",
                architecture=architecture,
                virtualization_type="hvm",
                root_device_name=root.device_name,
                devices=[root],
                ena_support=True,
                sriov_net_support="simple",
                boot_mode=boot_mode,
                imds_support=None,
                launch_permissions=[{"Group": "all"}] if public else [{"UserId": self.account_id}],
            )
            self.images[image.image_id] = image
            return image.image_id
