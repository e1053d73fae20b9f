"""AMIs and snapshots in memory: unique names, and a graph of images and the snapshots they are made of."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faulty, port_call
from tests.fakes.instances import FakeInstances

from ami_lifecycle.domain.model import BlockDevice, Image, ImageState, Instance, InstanceState, Snapshot
from ami_lifecycle.errors import AmiLifecycleError, BuilderLostError, RefusedError, ResourceNotVisibleError
from ami_lifecycle.ports import AllowedImages, Clock

OWNER = "123456789012"


class FakeImages(Faulty):
    """Images that stay pending until a test completes them."""

    def __init__(self, instances: FakeInstances | None = None, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.instances = instances or FakeInstances(self.clock)
        self.all: dict[str, Image] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.permissions: dict[str, list[str]] = {}
        self.protected: set[str] = set()
        self.hidden: set[str] = set()
        self.gone: set[str] = set()
        self.allowed = AllowedImages(restricts=False)
        self.bin_days = 0
        self._recovers: dict[str, datetime] = {}
        self.bin: dict[str, tuple[Snapshot, datetime]] = {}
        self.lost_on_register: dict[str, Any] = {}
        self._made_of: dict[str, list[str]] = {}
        self._number = 0

    # What tests arrange.

    def add(self, image: Image) -> Image:
        """Put an image that was there before, with its snapshots."""
        self.all[image.image_id] = image
        self._made_of[image.image_id] = list(image.snapshot_ids)
        if image.owner_id in {"", OWNER}:
            for snapshot_id in image.snapshot_ids:
                self.snapshots.setdefault(
                    snapshot_id,
                    Snapshot(
                        snapshot_id=snapshot_id,
                        state="completed",
                        description=f"Created by CreateImage(i-0) for {image.image_id}",
                        tags=dict(image.tags),
                    ),
                )
        return image

    def complete(self, image_id: str) -> None:
        """Let a pending image become available: its mappings now name their snapshots."""
        image = self.all[image_id]
        snapshot_ids = iter(self._made_of[image_id])
        devices = tuple(
            device.model_copy(update={"snapshot_id": next(snapshot_ids)}) for device in image.block_devices
        )
        self._change(image_id, state=ImageState.AVAILABLE, block_devices=devices)
        for snapshot_id in self._made_of[image_id]:
            completed = self.snapshots[snapshot_id].model_copy(update={"state": "completed"})
            self.snapshots[snapshot_id] = completed

    def settle(self) -> None:
        """Complete every pending image."""
        for image_id in [found.image_id for found in self.all.values() if found.state is ImageState.PENDING]:
            self.complete(image_id)

    def disable(self, image_id: str) -> None:
        """Disable an image, as an operator can."""
        self._change(image_id, state=ImageState.DISABLED)

    def made_of(self, image_id: str) -> tuple[str, ...]:
        """The snapshots that an image is made of, which its mappings do not show while it is pending."""
        return tuple(self._made_of.get(image_id, ()))

    # The port.

    @port_call
    def get(self, image_id: str) -> Image | None:
        """One image of any owner."""
        image = self.all.get(image_id)
        if image is not None and self.allowed.restricts and image.owner_id != OWNER:
            return None
        return None if image_id in self.hidden else image

    @port_call
    def is_deregistered(self, image_id: str) -> bool:
        """Whether it was there, and is no more."""
        return image_id in self.gone

    @port_call
    def allowed_images(self) -> AllowedImages:
        """What the account allows itself of others' images."""
        return self.allowed

    @port_call
    def find(self, tags: Mapping[str, str]) -> list[Image]:
        """All own images that carry all these tags."""
        return [image for image in self._own() if tags.items() <= dict(image.tags).items()]

    @port_call
    def find_by_name(self, pattern: str) -> list[Image]:
        """All own images whose name matches."""
        escaped = pattern.replace("[", "[[]")
        return [image for image in self._own() if fnmatch.fnmatchcase(image.name, escaped)]

    @port_call
    def newest(self, owner: str, name: str, architecture: str) -> Image | None:
        """The newest available image of an owner whose name matches."""
        escaped, account = name.replace("[", "[[]"), OWNER if owner == "self" else owner
        found = [
            image
            for image in self.all.values()
            if account in {image.owner_id, image.owner_alias}
            and fnmatch.fnmatchcase(image.name, escaped)
            and image.architecture == architecture
            and image.state is ImageState.AVAILABLE
            and (image.root_device_type, image.virtualization_type) == ("ebs", "hvm")
            and not (self.allowed.restricts and image.owner_id != OWNER)
            and image.creation_date is not None
        ]
        return max(found, key=lambda image: (image.creation_date, image.image_id), default=None)

    @port_call
    def create(self, instance_id: str, name: str, description: str, tags: Mapping[str, str]) -> str | None:
        """Make an image of an instance; None when the name is taken."""
        instance = self.instances.all.get(instance_id)
        if instance is None or instance.state.is_over:
            raise BuilderLostError(f"{instance_id} is gone")
        if instance.state not in {InstanceState.RUNNING, InstanceState.STOPPED}:
            raise ResourceNotVisibleError(f"{instance_id} is {instance.state.value}")
        if self._taken(name):
            return None
        number = self._next()
        snapshot_id = f"snap-{number:017x}"
        image = self._image_of(instance, f"ami-{number:017x}", name, description, tags)
        self.all[image.image_id] = image
        self._made_of[image.image_id] = [snapshot_id]
        self.snapshots[snapshot_id] = Snapshot(
            snapshot_id=snapshot_id,
            state="pending",
            description=f"Created by CreateImage({instance_id}) for {image.image_id}",
            start_time=self.clock.now(),
            tags=dict(tags),
        )
        return image.image_id

    @port_call
    def register_copy(self, image: Image, name: str, tags: Mapping[str, str]) -> str | None:
        """Register the image's snapshots under another name; None when the name is taken."""
        if image.state is not ImageState.AVAILABLE or not image.snapshot_ids:
            raise ResourceNotVisibleError(f"{image.image_id} is {image.state.value}")
        if self._taken(name):
            return None
        missing = [found for found in image.snapshot_ids if found not in self.snapshots]
        if missing:
            raise RefusedError(f"snapshots of {image.image_id} do not exist: {', '.join(missing)}")
        changes: dict[str, Any] = {
            "image_id": f"ami-{self._next():017x}",
            "name": name,
            "owner_id": OWNER,
            "creation_date": self.clock.now(),
            "tags": dict(tags),
        }
        copy = image.model_copy(update=changes | self.lost_on_register)
        self.add(copy)
        return copy.image_id

    @port_call
    def find_each(self, image_ids: Sequence[str]) -> list[Image]:
        """Those of the images that are own ones and exist."""
        return [image for image in self._own() if image.image_id in image_ids]

    @port_call
    def deregister(self, image_id: str, *, with_snapshots: bool = False) -> list[str]:
        """Deregister it; its snapshots stay, or those go that no other image is made of."""
        if image_id in self.protected or (image_id in self.all and self.all[image_id].is_protected):
            raise RefusedError(f"{image_id} is protected against deregistration")
        if self.all.pop(image_id, None) is not None:
            self.gone.add(image_id)
        snapshot_ids = self._made_of.pop(image_id, [])
        return [each for each in snapshot_ids if with_snapshots and self._deleted_within(each)]

    def _deleted_within(self, snapshot_id: str) -> bool:
        """EC2 deletes it itself: what refuses it does not refuse the deregistration."""
        try:
            return self.delete_snapshot(snapshot_id)
        except (AmiLifecycleError, ClientError):
            # A code that no table names passes the adapters as what it is.
            return False

    @port_call
    def deprecate(self, image_id: str, at: datetime) -> None:
        """Set the date from which others do not find it."""
        if image_id in self.all:
            self._change(image_id, deprecated_at=at)

    @port_call
    def undeprecate(self, image_id: str) -> None:
        """Take the date away."""
        if image_id in self.all:
            self._change(image_id, deprecated_at=None)

    @port_call
    def protect(self, image_id: str) -> None:
        """Have its deregistration refused."""
        if image_id in self.all:
            self._change(image_id, deregistration_protection="enabled-without-cooldown")

    @port_call
    def unprotect(self, image_id: str) -> None:
        """Take the protection away, which takes a day where it has a cooldown."""
        if image_id in self.all:
            has_cooldown = self.all[image_id].deregistration_protection == "enabled-with-cooldown"
            after = "disabled-after 2026-01-01T00:00:00Z" if has_cooldown else "disabled"
            self._change(image_id, deregistration_protection=after)

    @port_call
    def launch_permissions(self, image_id: str) -> list[str]:
        """Who may launch it."""
        if image_id not in self.all or image_id in self.hidden:
            raise ResourceNotVisibleError(f"{image_id} is not shown")
        return list(self.permissions.get(image_id, []))

    @port_call
    def find_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        """All own snapshots that carry all these tags."""
        return [found for found in self.snapshots.values() if tags.items() <= dict(found.tags).items()]

    @port_call
    def find_each_snapshot(self, snapshot_ids: Sequence[str]) -> list[Snapshot]:
        """Those of the snapshots that exist."""
        self._recover()
        return [found for found in self.snapshots.values() if found.snapshot_id in snapshot_ids]

    @port_call
    def snapshots_in_bin(self, snapshot_ids: Sequence[str]) -> dict[str, datetime]:
        """Those of the snapshots that are in the bin, each with the date when it goes."""
        now = self.clock.now()
        held = {key: when for key, (_, when) in self.bin.items() if now < when}
        return {each: held[each] for each in snapshot_ids if each in held}

    @port_call
    def restore_snapshot(self, snapshot_id: str) -> None:
        """Take it out of the bin; it can be used a second later."""
        if snapshot_id in self.bin:
            snapshot, _ = self.bin.pop(snapshot_id)
            self.snapshots[snapshot_id] = snapshot.model_copy(update={"state": "recovering"})
            self._recovers[snapshot_id] = self.clock.now() + timedelta(seconds=1)

    def _recover(self) -> None:
        for snapshot_id, at in self._recovers.items():
            known = self.snapshots.get(snapshot_id)
            if known is not None and known.state == "recovering" and self.clock.now() >= at:
                self.snapshots[snapshot_id] = known.model_copy(update={"state": "completed"})

    @port_call
    def images_of_snapshots(self, snapshot_ids: Sequence[str]) -> dict[str, list[str]]:
        """Own images that show each snapshot in their mappings; a pending one does not yet."""
        return {
            snapshot_id: [image.image_id for image in self._own() if snapshot_id in image.snapshot_ids]
            for snapshot_id in snapshot_ids
        }

    @port_call
    def delete_snapshot(self, snapshot_id: str) -> bool:
        """Delete it, unless an image is made of it."""
        if any(snapshot_id in made_of for made_of in self._made_of.values()):
            return False
        deleted = self.snapshots.pop(snapshot_id, None)
        if deleted is not None and self.bin_days:
            self.bin[snapshot_id] = (deleted, self.clock.now() + timedelta(days=self.bin_days))
        return True

    def _own(self) -> list[Image]:
        return [
            image
            for image in self.all.values()
            if image.owner_id in {"", OWNER} and image.image_id not in self.hidden
        ]

    def _taken(self, name: str) -> bool:
        return any(image.name == name and image.owner_id in {"", OWNER} for image in self.all.values())

    def _next(self) -> int:
        self._number += 1
        while f"ami-{self._number:017x}" in self.all or f"snap-{self._number:017x}" in self.snapshots:
            self._number += 1
        return self._number

    def _change(self, image_id: str, **changes: Any) -> None:
        self.all[image_id] = self.all[image_id].model_copy(update=changes)

    def _image_of(
        self, instance: Instance, image_id: str, name: str, description: str, tags: Mapping[str, str]
    ) -> Image:
        request = self.instances.requests.get(instance.instance_id)
        root = request.root_device_name if request else "/dev/sda1"
        device = BlockDevice(
            device_name=root,
            volume_type=request.volume_type if request else "gp3",
            volume_size=request.root_volume_gib if request else 40,
            delete_on_termination=True,
            encrypted=False,
        )
        return Image(
            image_id=image_id,
            name=name,
            description=description,
            state=ImageState.PENDING,
            owner_id=OWNER,
            creation_date=self.clock.now(),
            root_device_name=root,
            block_devices=(device,),
            ena_support=True,
            platform_details="Linux/UNIX",
            usage_operation="RunInstances",
            tags=dict(tags),
        )
