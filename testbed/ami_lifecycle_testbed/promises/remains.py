"""P4 and P5: what is left, and what is published, when nothing runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ami_lifecycle_testbed.promises.acts import Act, Effect
from ami_lifecycle_testbed.promises.view import (
    APPLICATION_TAG,
    DIGEST_TAG,
    ENVIRONMENT_TAG,
    EXECUTION_TAG,
    RECIPE_TAG,
    ROLE_TAG,
    Image,
    View,
)
from ami_lifecycle_testbed.promises.violations import Violations

_OWNER_TAGS: Final = (APPLICATION_TAG, ENVIRONMENT_TAG, EXECUTION_TAG)
# What registers the snapshots of another image once more, whose tags they keep.
_COPYING: Final = "RegisterImage"


_LIST: Final = re.compile(r"packages/(?P<environment>[^/]+)/(?P<release>[^/]+)\.json")


def _release_of(record: Mapping[str, Any]) -> str | None:
    """What `build.json` calls the release of a record's image."""
    execution, digest = record.get("release"), str(record.get("image_digest") or "")
    if not execution:
        return None
    own = hashlib.sha256(str(execution).encode()).hexdigest()[:8]
    return f"{digest.removeprefix('sha256:')[:12]}-{own}"


class _IsLeft(Protocol):
    def __call__(self, resource_id: str, tags: Mapping[str, str], *, made: bool) -> bool: ...


@dataclass(frozen=True)
class _Made:
    """An image that the stack has made: whose it was, and what it is made of."""

    environment: str
    execution: str
    snapshots: tuple[str, ...]


@dataclass
class Created:
    """What the stack has created, whatever tags it carries."""

    instances: set[str] = field(default_factory=set)
    images: dict[str, _Made] = field(default_factory=dict)

    @property
    def snapshots(self) -> dict[str, str]:
        """The snapshots of the images, each with the first image that was made of it."""
        return {
            snapshot_id: image_id
            for image_id, made in reversed(self.images.items())
            for snapshot_id in made.snapshots
        }


class RemainsCheck:
    """Keeps account of what the stack creates, and holds it against what is left.

    Whether something is the stack's is known twice: by the call that created it, which no lost tag hides, and by
    its tags, which tell of what was there before anybody watched.
    """

    def __init__(self, view: View, violations: Violations) -> None:
        self._view = view
        self._violations = violations
        self.created = Created()
        self._excused: set[str] = set()

    # During the call.

    def note_created(self, act: Act, effect: Effect) -> None:
        """Remember what a call of the stack has created, and that it carries its owner's tags."""
        for instance_id in effect.instances:
            self._note_instance(instance_id)
        for image_id in effect.images:
            self._note_image(image_id, copies=act.operation == _COPYING)

    def excuse(self, resource_id: str) -> None:
        """A person has made, removed or changed a resource or its record, so the two may not agree."""
        self._excused.add(resource_id)

    def _note_instance(self, instance_id: str) -> None:
        if instance_id in self.created.instances:
            return  # a client token brought the same one
        self.created.instances.add(instance_id)
        tags = self._require_tags(instance_id)
        for volume_id in self._view.volumes_behind(instance_id):
            self._require_tags(volume_id)
        self._check_need(tags)

    def _note_image(self, image_id: str, *, copies: bool) -> None:
        snapshots = self._view.snapshots_behind(image_id)
        tags = self._require_tags(image_id)
        self.created.images[image_id] = _Made(
            tags.get(ENVIRONMENT_TAG, ""), tags.get(EXECUTION_TAG, ""), snapshots
        )
        for snapshot_id in () if copies else snapshots:
            self._require_tags(snapshot_id)

    def _require_tags(self, resource_id: str) -> Mapping[str, str]:
        tags = self._view.tags_of(resource_id) or {}
        missing = [name for name in _OWNER_TAGS if not tags.get(name)]
        if missing or not self._view.belongs_to(tags):
            self._violations.add("P4", f"{resource_id} was created without its owner's tags: {missing}")
        return tags

    def _check_need(self, tags: Mapping[str, str]) -> None:
        if tags.get(ROLE_TAG) != "builder" or self._view.is_forced(tags.get(EXECUTION_TAG, "")):
            return
        environment = tags.get(ENVIRONMENT_TAG, "")
        live = self._view.image(self._view.latest_of(environment))
        if live is None:
            return
        digest, published = tags.get(DIGEST_TAG), live.tags.get(DIGEST_TAG)
        # Other hooks make another image of the same digest.
        if published == digest and tags.get(RECIPE_TAG, "") == live.tags.get(RECIPE_TAG, ""):
            self._violations.add("P5", f"{environment}: a build of {digest}, which is published already")
        elif published not in {None, digest} and published == self._view.pushed(environment):
            self._violations.add(
                "P5",
                f"{environment}: a build of {digest}, though {published} was pushed after it and is published",
            )

    # At rest.

    def check_leaks(self) -> None:
        """P4: nothing is left of executions that have ended."""
        for what in self.leaks():
            self._violations.add("P4", what)

    def check_disks(self) -> None:
        """P3: what an image is made of is there, whichever environment's build has made it."""
        for image in self._view.images():
            if image.state != "available" or not self._view.belongs_to(image.tags):
                continue
            lost = [found for found in image.snapshot_ids if self._view.tags_of(found) is None]
            if lost:
                self._violations.add(
                    "P3", f"{image.image_id} has lost {', '.join(lost)}, which it is made of"
                )

    def leaks(self, execution_arn: str | None = None) -> list[str]:
        """What is left of executions that have ended, or of this one."""

        def is_left(resource_id: str, tags: Mapping[str, str], *, made: bool) -> bool:
            """Whether it is the stack's, and of such an execution."""
            if not made and (not self._view.belongs_to(tags) or resource_id in self._excused):
                return False
            execution = tags.get(EXECUTION_TAG, "")
            return execution_arn in {None, execution} and not self._view.is_running(execution)

        return [
            *self._left_instances(is_left),
            *self._left_volumes(is_left),
            *self._left_images(is_left),
            *self._wrong_records(execution_arn),
            *self._left_snapshots(is_left),
            *(self._left_lists() if execution_arn is None else ()),
        ]

    def _left_instances(self, is_left: _IsLeft) -> Iterator[str]:
        for each in self._view.instances():
            if is_left(each.instance_id, each.tags, made=each.instance_id in self.created.instances):
                yield f"{each.instance_id} ({each.tags.get(ROLE_TAG)}) is still {each.state}"

    def _left_volumes(self, is_left: _IsLeft) -> Iterator[str]:
        for each in self._view.left_volumes():
            if is_left(each.volume_id, each.tags, made=each.instance_id in self.created.instances):
                yield f"{each.volume_id} of {each.instance_id} is still there"

    def _left_images(self, is_left: _IsLeft) -> Iterator[str]:
        for each in self._view.images():
            made = each.image_id in self.created.images
            if is_left(each.image_id, each.tags, made=made) and not self._is_published(each):
                yield f"{each.image_id} ({each.name}) was not published and is still there"

    def _wrong_records(self, execution_arn: str | None) -> Iterator[str]:
        for image_id, made in self.created.images.items():
            if self._view.image(image_id) is not None or image_id in self._excused:
                continue
            if execution_arn not in {None, made.execution} or self._view.is_running(made.execution):
                continue
            record = self._view.record_of(made.environment, image_id)
            if record is not None and record.get("status") != "retired":
                yield f"the record of {image_id} says {record.get('status')}, and it is gone"

    def _is_published(self, image: Image) -> bool:
        environment = image.tags.get(ENVIRONMENT_TAG, "")
        if self._view.latest_of(environment) == image.image_id:
            return True
        record = self._view.record_of(environment, image.image_id)
        return record is not None and record.get("status") != "retired"

    def _left_snapshots(self, is_left: _IsLeft) -> Iterator[str]:
        used = {
            snapshot_id
            for image in self._view.images()
            for snapshot_id in (*image.snapshot_ids, *self._view.snapshots_behind(image.image_id))
        }
        origins = self.created.snapshots
        for each in self._view.snapshots():
            made = each.snapshot_id in origins
            if each.snapshot_id in used or not is_left(each.snapshot_id, each.tags, made=made):
                continue
            yield f"{each.snapshot_id}{f' of {origins[each.snapshot_id]}' if made else ''} is still there"

    def _left_lists(self) -> Iterator[str]:
        """Package lists of releases that no record of their environment names."""
        for key in self._view.package_lists():
            match = _LIST.fullmatch(key)
            if match is None:
                yield f"{key} is the list of no release"
            elif match["release"] not in map(
                _release_of, self._view.records_of(match["environment"]).values()
            ):
                yield f"{key} is still there, and no record of {match['environment']} names its release"

    def check_convergence(self) -> None:
        """P5: every environment publishes what its tag names, and nobody holds or waits for it."""
        records = self._view.held()
        for environment in self._view.environments():
            held = records.get(environment, ())
            for part in ("claim", "queued request"):
                if part in held:
                    self._violations.add("P5", f"{environment} is at rest with a {part}")
            self._check_published(environment, is_pinned="pin" in held)
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

    def _check_published(self, environment: str, *, is_pinned: bool) -> None:
        pushed = self._view.pushed(environment)
        if pushed is None:
            return
        value = self._view.latest_of(environment)
        live = self._view.image(value)
        digest = live.tags.get(DIGEST_TAG) if live else None
        if digest != pushed and not is_pinned and not self._view.waits_at_gate(environment, pushed):
            self._violations.add("P5", f"{environment} publishes {digest}, and its tag names {pushed}")
        metadata = self._view.json_value(f"/{self._view.application}/ami/{environment}/metadata") or {}
        if metadata.get("ami_id") != value:
            self._violations.add(
                "P5", f"{environment}: metadata is of {metadata.get('ami_id')}, latest is {value}"
            )
