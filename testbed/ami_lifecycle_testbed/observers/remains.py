"""P4 and P5: what is left, and what is published, when nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ami_lifecycle_testbed.observers.view import (
    APPLICATION_TAG,
    DIGEST_TAG,
    ENVIRONMENT_TAG,
    EXECUTION_TAG,
    GONE,
    RECIPE_TAG,
    ROLE_TAG,
    View,
)
from ami_lifecycle_testbed.observers.violations import Violations
from aws_emulator.api.operations import Request, Response

_OWNER_TAGS = (APPLICATION_TAG, ENVIRONMENT_TAG, EXECUTION_TAG)


@dataclass
class Created:
    """Ids of what the stack has created, whatever tags it carries."""

    instances: set[str] = field(default_factory=set)
    images: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What an environment is built from."""

    repository: str
    tag: str


class RemainsObserver:
    """Keeps account of what the stack creates, and holds it against what is left.

    Args:
        sources: what each environment is built from.
        items: reads the environments' records of the stack's table: by environment, `claim` and `wanted`.
        is_running: whether an execution runs.
        is_forced: whether whoever started an execution wanted this build whatever is published.
    """

    def __init__(
        self,
        view: View,
        violations: Violations,
        *,
        sources: Mapping[str, Source],
        items: Callable[[], Mapping[str, Mapping[str, Any]]],
        is_running: Callable[[str], bool],
        is_forced: Callable[[str], bool],
    ) -> None:
        self._view = view
        self._violations = violations
        self._sources = sources
        self._items = items
        self._is_running = is_running
        self._is_forced = is_forced
        self.created = Created()
        self._excused: set[str] = set()

    # During the call.

    def note_created(self, request: Request, response: Response) -> None:
        """Remember what a call of the stack has created, and that it carries its owner's tags."""
        if request.operation == "RunInstances":
            for shown in response.get("Instances", ()):
                self._note_instance(shown["InstanceId"])
        elif request.operation in {"CreateImage", "RegisterImage", "CopyImage"}:
            self._note_image(response["ImageId"], copies=request.operation == "RegisterImage")

    def excuse(self, resource_id: str) -> None:
        """A person has removed or changed a resource or its record, so the two may not agree."""
        self._excused.add(resource_id)

    def _note_instance(self, instance_id: str) -> None:
        instance = self._view.ec2.instances[instance_id]
        if instance_id in self.created.instances:
            return  # a client token brought the same one
        self.created.instances.add(instance_id)
        self._require_tags(instance_id, instance.tags)
        for volume_id in instance.volumes.values():
            self._require_tags(volume_id, self._view.ec2.volumes[volume_id].tags)
        self._check_need(instance.tags)

    def _note_image(self, image_id: str, *, copies: bool) -> None:
        image = self._view.ec2.images[image_id]
        self.created.images[image_id] = tuple(image.snapshot_ids)
        self._require_tags(image_id, image.tags)
        for snapshot_id in () if copies else image.snapshot_ids:
            self._require_tags(snapshot_id, self._view.ec2.snapshots[snapshot_id].tags)

    def _require_tags(self, resource_id: str, tags: Mapping[str, str]) -> None:
        missing = [name for name in _OWNER_TAGS if not tags.get(name)]
        if missing or not self._view.belongs_to(tags):
            self._violations.add("P4", f"{resource_id} was created without its owner's tags: {missing}")

    def _check_need(self, tags: Mapping[str, str]) -> None:
        if tags.get("ami-lifecycle:role") != "builder" or self._is_forced(tags.get(EXECUTION_TAG, "")):
            return
        environment = tags.get(ENVIRONMENT_TAG, "")
        live = self._view.image(self._view.latest_of(environment))
        if live is None:
            return
        digest, published = tags.get(DIGEST_TAG), live.tags.get(DIGEST_TAG)
        # Other hooks make another image of the same digest.
        if published == digest and tags.get(RECIPE_TAG, "") == live.tags.get(RECIPE_TAG, ""):
            self._violations.add("P5", f"{environment}: a build of {digest}, which is published already")
        elif published != digest and published == self._pushed(environment):
            self._violations.add(
                "P5",
                f"{environment}: a build of {digest}, though {published} was pushed after it and is published",
            )

    def _pushed(self, environment: str) -> str | None:
        """The digest that an environment's tag names."""
        source = self._sources.get(environment)
        repository = self._view.registry.repositories.get(source.repository) if source else None
        pushed = repository.tagged(source.tag) if repository and source else None
        return pushed.digest if pushed else None

    # At rest.

    def check_leaks(self) -> None:
        """P4: nothing is left of executions that have ended."""
        for instance_id in self.created.instances:
            instance = self._view.ec2.instances.get(instance_id)
            if instance is None or self._is_running(instance.tags.get(EXECUTION_TAG, "")):
                continue
            if instance.state not in GONE:
                self._violations.add(
                    "P4", f"{instance_id} ({instance.tags.get(ROLE_TAG)}) is still {instance.state}"
                )
            self._check_volumes(instance_id)
        for image_id, snapshot_ids in self.created.images.items():
            self._check_image(image_id, snapshot_ids)
        self._check_disks()

    def _check_disks(self) -> None:
        """P3: what an image is made of is there, whichever environment's build has made it."""
        for image in self._view.images():
            lost = [found for found in image.snapshot_ids if found not in self._view.ec2.snapshots]
            if image.state == "available" and self._view.belongs_to(image.tags) and lost:
                self._violations.add(
                    "P3", f"{image.image_id} has lost {', '.join(lost)}, which it is made of"
                )

    def _check_volumes(self, instance_id: str) -> None:
        for volume in list(self._view.ec2.volumes.values()):
            if volume.instance_id == instance_id and volume.state == "available":
                self._violations.add("P4", f"{volume.volume_id} of {instance_id} is still there")

    def _check_image(self, image_id: str, snapshot_ids: tuple[str, ...]) -> None:
        image = self._view.ec2.images[image_id]
        if self._is_running(image.tags.get(EXECUTION_TAG, "")):
            return
        environment = image.tags.get(ENVIRONMENT_TAG, "")
        record = self._view.record_of(environment, image_id)
        if image.state != "deregistered":
            published = self._view.latest_of(environment) == image_id
            if not published and (record is None or record.get("status") == "retired"):
                self._violations.add("P4", f"{image_id} ({image.name}) was not published and is still there")
            return
        told = image_id in self._excused or record is None or record.get("status") == "retired"
        if not told and record is not None:
            self._violations.add(
                "P4", f"the record of {image_id} says {record.get('status')}, and it is gone"
            )
        used = {found for each in self._view.images() for found in each.snapshot_ids}
        for snapshot_id in snapshot_ids:
            if snapshot_id in self._view.ec2.snapshots and snapshot_id not in used:
                self._violations.add("P4", f"{snapshot_id} of {image_id} is still there")

    def check_convergence(self) -> None:
        """P5: every environment publishes what its tag names, and nobody holds or waits for it."""
        items = self._items()
        for environment, source in self._sources.items():
            item = items.get(environment, {})
            for part in ("claim", "wanted"):
                if item.get(part):
                    self._violations.add("P5", f"{environment} is at rest with a {part}")
            self._check_published(environment, source, item)
            self._check_history(environment)

    def _check_history(self, environment: str) -> None:
        """One record says live: that of the image which `latest` names."""
        latest = self._view.latest_of(environment)
        image = self._view.image(latest)
        if image is None or not self._view.belongs_to(image.tags) or latest in self._excused:
            return
        records = self._view.records_of(environment)
        live = sorted(
            image_id
            for image_id, record in records.items()
            if record.get("status") == "live" and image_id not in self._excused
        )
        if live != [latest]:
            self._violations.add("P5", f"{environment}: history says live of {live}, latest is {latest}")

    def _check_published(self, environment: str, source: Source, item: Mapping[str, Any]) -> None:
        pushed = self._pushed(environment)
        if pushed is None:
            return
        value = self._view.latest_of(environment)
        live = self._view.image(value)
        if not item.get("pin"):
            digest = live.tags.get(DIGEST_TAG) if live else None
            if digest != pushed:
                self._violations.add("P5", f"{environment} publishes {digest}, and {source.tag} is {pushed}")
        metadata = self._view.json_value(f"/{self._view.application}/ami/{environment}/metadata") or {}
        if metadata.get("ami_id") != value:
            self._violations.add(
                "P5", f"{environment}: metadata is of {metadata.get('ami_id')}, latest is {value}"
            )
