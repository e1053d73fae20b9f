"""A world as the promises look at it, whatever it is made of."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

APPLICATION_TAG: Final = "ami-lifecycle:application"
ENVIRONMENT_TAG: Final = "ami-lifecycle:environment"
EXECUTION_TAG: Final = "ami-lifecycle:execution"
ROLE_TAG: Final = "ami-lifecycle:role"
DIGEST_TAG: Final = "ami-lifecycle:image-digest"
RECIPE_TAG: Final = "ami-lifecycle:recipe"
RELEASE_TAG: Final = "ami-lifecycle:release"
BUILT_FOR_TAG: Final = "ami-lifecycle:built-for"
_LATEST: Final = re.compile(r"/([^/]+)/ami/([^/]+)/latest")


class LookUp(NamedTuple):
    """A question about the uses of images.

    Attributes:
        operation: AWS's name of the call.
        of: the image, group or parameter that it is asked of; None for a question about all of them.
    """

    operation: str
    of: str | None = None


class Image(Protocol):
    """An image."""

    @property
    def image_id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> str:
        """EC2's name of its state."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""

    @property
    def snapshot_ids(self) -> Sequence[str]:
        """The snapshots that its mappings show."""


class Instance(Protocol):
    """An instance."""

    @property
    def instance_id(self) -> str:
        """Its id."""

    @property
    def state(self) -> str:
        """EC2's name of its state."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


class Snapshot(Protocol):
    """A snapshot."""

    @property
    def snapshot_id(self) -> str:
        """Its id."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


class Volume(NamedTuple):
    """A volume that no instance has attached any more, and the instance that had it."""

    volume_id: str
    instance_id: str | None
    tags: Mapping[str, str]


class Thing(NamedTuple):
    """All that would differ of a resource if somebody had changed it."""

    tags: Mapping[str, str]
    content: object


class View(ABC):
    """Reads of a world.

    Attributes:
        application: value of the tag that makes a resource ours.
    """

    application: str

    # What each world answers in its own way.

    @abstractmethod
    def elapsed(self) -> float:
        """Seconds since the start."""

    @abstractmethod
    def image(self, image_id: str | None) -> Image | None:
        """An image that has not been deregistered."""

    @abstractmethod
    def images(self) -> Sequence[Image]:
        """This account's images that have not been deregistered."""

    @abstractmethod
    def instances(self) -> Sequence[Instance]:
        """Instances that are alive."""

    @abstractmethod
    def snapshots(self) -> Sequence[Snapshot]:
        """This account's snapshots."""

    @abstractmethod
    def snapshots_behind(self, image_id: str) -> tuple[str, ...]:
        """The snapshots that an image is made of, whether or not its mappings show them yet."""

    @abstractmethod
    def volumes_behind(self, instance_id: str) -> tuple[str, ...]:
        """The volumes of an instance."""

    @abstractmethod
    def left_volumes(self) -> Sequence[Volume]:
        """Volumes that are attached to nothing."""

    @abstractmethod
    def tags_of(self, resource_id: str) -> Mapping[str, str] | None:
        """The tags of a resource; None if there is none."""

    @abstractmethod
    def thing(self, resource_id: str) -> Thing | None:
        """An image, instance or snapshot of this account; None for one that is gone."""

    @abstractmethod
    def parameter_names(self) -> Sequence[str]:
        """The names of all parameters."""

    @abstractmethod
    def value(self, name: str) -> str | None:
        """The value of a parameter."""

    @abstractmethod
    def package_lists(self) -> Sequence[str]:
        """The keys of all package lists."""

    @abstractmethod
    def users_of(self, image_id: str) -> list[str]:
        """Who needs an image to launch again, and whoever else the settings protect."""

    @abstractmethod
    def look_ups_for(self, image_id: str) -> list[LookUp]:
        """What has to be asked to know whether an image is used."""

    @abstractmethod
    def environments(self) -> Iterable[str]:
        """The environments."""

    @abstractmethod
    def pushed(self, environment: str) -> str | None:
        """The digest that an environment's tag names."""

    @abstractmethod
    def held(self) -> Mapping[str, Collection[str]]:
        """Which of `claim`, `queued request` and `pin` the environments' records have."""

    @abstractmethod
    def is_unverified(self, environment: str) -> bool:
        """Whether its settings switch verification off."""

    @abstractmethod
    def is_hooked(self, environment: str) -> bool:
        """Whether its settings have hooks for the canary."""

    @abstractmethod
    def unpassed_gates(self, environment: str, image: Image) -> list[str]:
        """The gates of an environment that have not let an image pass."""

    @abstractmethod
    def waits_at_gate(self, environment: str, digest: str) -> bool:
        """Whether a gate of an environment keeps a Docker image from being published there."""

    @abstractmethod
    def is_running(self, execution_arn: str) -> bool:
        """Whether an execution runs."""

    @abstractmethod
    def is_forced(self, execution_arn: str) -> bool:
        """Whether whoever started an execution wanted this build whatever is published."""

    # What follows from that.

    def belongs_to(self, tags: Mapping[str, str]) -> bool:
        """Whether tags are those of the application."""
        return tags.get(APPLICATION_TAG) == self.application

    def resource_ids(self) -> Iterator[str]:
        """The ids of all images, instances and snapshots."""
        yield from (image.image_id for image in self.images())
        yield from (instance.instance_id for instance in self.instances())
        yield from (snapshot.snapshot_id for snapshot in self.snapshots())

    def environment_of(self, name: str) -> str | None:
        """The environment whose `latest` a parameter is; None for another parameter."""
        match = _LATEST.fullmatch(name)
        return match.group(2) if match and match.group(1) == self.application else None

    def latest_of(self, environment: str) -> str | None:
        """What an environment's `latest` names."""
        return self.value(f"/{self.application}/ami/{environment}/latest")

    def json_value(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a parameter; None if there is none."""
        try:
            content = json.loads(self.value(name) or "")
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def record_of(self, environment: str, image_id: str) -> dict[str, Any] | None:
        """The history record of an image."""
        return self.json_value(f"/{self.application}/ami/{environment}/history/{image_id}")

    def records_of(self, environment: str) -> dict[str, dict[str, Any]]:
        """The history records of an environment that can be read, by image id."""
        path = f"/{self.application}/ami/{environment}/history/"
        names = [name for name in self.parameter_names() if name.startswith(path)]
        records = {name.removeprefix(path): self.json_value(name) for name in names}
        return {image_id: record for image_id, record in records.items() if record is not None}
