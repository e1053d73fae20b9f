"""Uses of images: those that the account has, and those that a test states."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.faults import Faulty, port_call
from tests.fakes.instances import FakeInstances
from tests.fakes.parameters import FakeParameters

from ami_lifecycle.domain.model import ImageUse, Usage, UsageKind

_ARN = "arn:aws:{service}:us-east-1:123456789012"


class FakeImageUsage(Faulty):
    """An image is used by the `latest` parameters that name it, by instances that run, and as a test says."""

    def __init__(
        self, instances: FakeInstances | None = None, parameters: FakeParameters | None = None
    ) -> None:
        super().__init__()
        self.instances = instances
        self.parameters = parameters
        self.uses: dict[str, list[ImageUse]] = {}
        self.unreadable: str | None = None

    def use(self, image_id: str, kind: UsageKind, resource: str) -> None:
        """Let a resource use an image."""
        self.uses.setdefault(image_id, []).append(ImageUse(kind=kind, resource=resource))

    def free(self, image_id: str) -> None:
        """Let nothing use an image any more."""
        self.uses.pop(image_id, None)

    @port_call
    def permissions_of(self, image_id: str) -> Usage:
        """The launch permissions among the uses that a test stated; with `unreadable` set, they are not known."""
        uses = [use for use in self.uses.get(image_id, []) if use.kind is UsageKind.LAUNCH_PERMISSION]
        if self.unreadable is not None:
            uses.append(ImageUse(kind=UsageKind.UNKNOWN, resource=self.unreadable))
        return Usage(image_id=image_id, uses=tuple(uses))

    @port_call
    def usage_of(
        self,
        image_ids: Sequence[str],
        parameter_paths: Sequence[str] = ("/",),
        *,
        with_permissions: bool = True,
    ) -> list[Usage]:
        """All uses of each image; with `unreadable` set, each has one that is not known."""
        unknown: list[ImageUse] = []
        if self.unreadable is not None:
            unknown.append(ImageUse(kind=UsageKind.UNKNOWN, resource=self.unreadable))
        return [
            Usage(
                image_id=image_id,
                uses=(*self._found(image_id), *self._stated(image_id, with_permissions), *unknown),
            )
            for image_id in image_ids
        ]

    def _stated(self, image_id: str, with_permissions: bool) -> list[ImageUse]:
        return [
            use
            for use in self.uses.get(image_id, [])
            if with_permissions or use.kind is not UsageKind.LAUNCH_PERMISSION
        ]

    def _found(self, image_id: str) -> list[ImageUse]:
        parameters = self.parameters.all if self.parameters else {}
        running = self.instances.running() if self.instances else []
        return [
            *(
                ImageUse(kind=UsageKind.LATEST, resource=f"{_ARN.format(service='ssm')}:parameter{name}")
                for name, stored in parameters.items()
                if stored.value == image_id and name.endswith("/latest")
            ),
            *(
                ImageUse(
                    kind=UsageKind.RUNNING_INSTANCE,
                    resource=f"{_ARN.format(service='ec2')}:instance/{instance.instance_id}",
                )
                for instance in running
                if instance.image_id == image_id
            ),
        ]
