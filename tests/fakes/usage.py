"""Uses of images, as a test states them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.model import ImageUse, Usage, UsageKind


class FakeImageUsage(Faulty):
    """Nothing is used, until a test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.uses: dict[str, list[ImageUse]] = {}
        self.unreadable: str | None = None

    def use(self, image_id: str, kind: UsageKind, resource: str) -> None:
        """Let a resource use an image."""
        self.uses.setdefault(image_id, []).append(ImageUse(kind=kind, resource=resource))

    def free(self, image_id: str) -> None:
        """Let nothing use an image any more."""
        self.uses.pop(image_id, None)

    @port_call
    def usage_of(self, image_ids: Sequence[str]) -> list[Usage]:
        """All uses of each image; with `unreadable` set, each has one that is not known."""
        unknown: list[ImageUse] = []
        if self.unreadable is not None:
            unknown.append(ImageUse(kind=UsageKind.UNKNOWN, resource=self.unreadable))
        return [
            Usage(image_id=image_id, uses=(*self.uses.get(image_id, []), *unknown)) for image_id in image_ids
        ]
