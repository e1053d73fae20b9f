"""The promises P1 to P6, held after every single port call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fakes import Call, Faulty, World
from tests.fakes.images import OWNER

from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_ENVIRONMENT, TAG_EXECUTION, Image, ImageState

APPLICATION = "comfyui"
LATEST_SUFFIX = "/latest"


def is_ours(tags: Mapping[str, str]) -> bool:
    return tags.get(TAG_APPLICATION) == APPLICATION


def _is_changed(before: object, now: object) -> bool:
    # Most are the very same objects, which models would compare field by field.
    return now is not before and now != before


@dataclass
class Promises:
    """Watches a world. What a broken promise was is in `broken`, with the call that broke it."""

    world: World
    unverified_is_allowed: bool = False
    broken: list[str] = field(default_factory=list)
    _disks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _latest: dict[str, str] = field(default_factory=dict)
    _trusted: set[str] = field(default_factory=set)
    _foreign_images: dict[str, Image] = field(default_factory=dict)
    _foreign_instances: dict[str, object] = field(default_factory=dict)
    _foreign_snapshots: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.watch(self)
        self.trust_what_is_there()

    def trust_what_is_there(self) -> None:
        """Take the world as it is: what `latest` names is verified, what has no tags is foreign."""
        self._trusted |= set(self.world.images.all)
        self._foreign_images = {
            key: image for key, image in self.world.images.all.items() if not is_ours(image.tags)
        }
        self._foreign_instances = {
            key: found for key, found in self.world.instances.all.items() if not is_ours(found.tags)
        }
        self._foreign_snapshots = {
            key: found for key, found in self.world.images.snapshots.items() if not is_ours(found.tags)
        }
        self._latest = self._read_latest()

    def before(self, port: Faulty, call: Call) -> None:
        if port is self.world.images and call.method == "deregister":
            self._hold_p3(str(call.args[0]), call)

    def after(self, port: Faulty, call: Call) -> None:
        for image in self.world.images.all.values():
            if image.state is ImageState.AVAILABLE:
                self._disks[image.image_id] = image.snapshot_ids
        now = self._read_latest()
        self._hold_p1(call, now)
        self._hold_p2(call, now)
        self._hold_p6(call)
        self._latest = now

    def _read_latest(self) -> dict[str, str]:
        return {
            name: stored.value
            for name, stored in self.world.parameters.all.items()
            if name.startswith(f"/{APPLICATION}/ami/") and name.endswith(LATEST_SUFFIX)
        }

    def _break(self, promise: str, call: Call, what: str) -> None:
        self.broken.append(f"{promise} after {call.method}{call.args}: {what}")

    def _hold_p1(self, call: Call, now: Mapping[str, str]) -> None:
        for name, value in now.items():
            image = self.world.images.all.get(value)
            if image is None or image.state is not ImageState.AVAILABLE:
                self._break("P1", call, f"{name} names {value}, which is not available")
            elif is_ours(image.tags) and image.tags[TAG_ENVIRONMENT] != name.split("/")[3]:
                self._break("P1", call, f"{name} names {value} of {image.tags[TAG_ENVIRONMENT]}")
        for name in self._latest.keys() - now.keys():
            self._break("P1", call, f"{name} is gone")

    def _hold_p2(self, call: Call, now: Mapping[str, str]) -> None:
        if self.unverified_is_allowed:
            return
        for name, value in now.items():
            if self._latest.get(name) == value or value in self._trusted:
                continue
            if self._disks.get(value) not in self._verified_disks():
                self._break("P2", call, f"{name} names {value}, which was never verified")

    def _verified_disks(self) -> set[tuple[str, ...]]:
        verified = {self._disks[found] for found in self._trusted if found in self._disks}
        for command in self.world.commands.sent:
            result = self.world.commands.results[command.command_id]
            if " verify " in command.comment and result.status.value == "success":
                image_id = self.world.instances.all[command.instance_id].image_id
                verified.add(self._disks.get(image_id, ()))
        return verified - {()}

    def _hold_p3(self, image_id: str, call: Call) -> None:
        if self.world.usage.uses.get(image_id):
            self._break("P3", call, f"{image_id} is in use: {self.world.usage.uses[image_id]}")
        if self.world.usage.unreadable is not None:
            self._break("P3", call, f"the use of {image_id} cannot be read")
        if image_id in self._read_latest().values():
            self._break("P3", call, f"`latest` names {image_id}")

    def _hold_p6(self, call: Call) -> None:
        for image_id, image in self._foreign_images.items():
            if _is_changed(image, self.world.images.all.get(image_id)):
                self._break("P6", call, f"the foreign image {image_id} was changed")
        for instance_id, instance in self._foreign_instances.items():
            if _is_changed(instance, self.world.instances.all.get(instance_id)):
                self._break("P6", call, f"the foreign instance {instance_id} was changed")
        for snapshot_id, snapshot in self._foreign_snapshots.items():
            if _is_changed(snapshot, self.world.images.snapshots.get(snapshot_id)):
                self._break("P6", call, f"the foreign snapshot {snapshot_id} was changed")

    def leaks_of(self, execution_arn: str | None = None) -> list[str]:
        """P4: what an ended execution has left, or all ended ones have: unpublished things with our tag."""
        mine = {TAG_APPLICATION: APPLICATION} | ({TAG_EXECUTION: execution_arn} if execution_arn else {})

        def is_mine(tags: Mapping[str, str]) -> bool:
            return mine.items() <= dict(tags).items()

        published = {
            name.rsplit("/", 1)[1] for name in self.world.parameters.all if "/history/" in name
        } | set(self._read_latest().values())
        images = self.world.images.all
        used = {snapshot_id for found in images.values() for snapshot_id in found.snapshot_ids}
        return [
            *(found.instance_id for found in self.world.instances.running() if is_mine(found.tags)),
            *(key for key, found in images.items() if is_mine(found.tags) and key not in published),
            *(
                key
                for key, found in self.world.images.snapshots.items()
                if is_mine(found.tags) and key not in used
            ),
            # A copy whose tags do not say whose it is can be found by nobody.
            *(
                key
                for key, found in images.items()
                if found.owner_id == OWNER
                and found.tags.get(TAG_EXECUTION)
                and not is_ours(found.tags)
                and execution_arn is None
            ),
        ]
