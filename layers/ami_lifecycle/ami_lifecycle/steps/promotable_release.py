"""Which image of an environment can be promoted, and whether it fits another environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ami_lifecycle.domain.baked_settings import differences, fingerprint
from ami_lifecycle.domain.model import TAG_BUILT_FOR, TAG_DIGEST, TAG_RECIPE, TAG_RELEASE, Image, ImageState
from ami_lifecycle.domain.plan import Promotion, Source
from ami_lifecycle.domain.planning import base_setting_of, imaged_of
from ami_lifecycle.domain.recipe import baked_part
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.release import release_name, release_of
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import PromotionRefusedError, RecordNotFoundError
from ami_lifecycle.ports import Clock, Images, Parameters
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.retire_images import environment_tags


@dataclass(frozen=True)
class Offer:
    """A release that an environment has published, and the image that shows its disks there."""

    source: EnvironmentSettings
    image: Image
    record: HistoryRecord
    release: str

    @property
    def digest(self) -> str:
        """Digest of the Docker image."""
        return self.image.tags.get(TAG_DIGEST) or self.record.image_digest

    @property
    def name(self) -> str:
        """What people call the release."""
        return release_name(self.release, self.digest) or self.release

    @property
    def docker_image(self) -> Source:
        """The Docker image as it is on the disks, whatever the settings name by now."""
        return docker_image_of(self.record, self.digest)

    @property
    def promotion(self) -> Promotion:
        """What the plan says of it."""
        return Promotion(
            environment=self.source.environment,
            image_id=self.image.image_id,
            release=self.release,
            built_for=self.image.tags.get(TAG_BUILT_FOR) or self.source.environment,
        )

    def misfits(self, target: EnvironmentSettings) -> Iterator[str]:
        """What of the disks is not as the target's settings want it, in words."""
        wanted = target.builder.architecture
        if self.image.architecture != wanted:
            yield f"it is {self.image.architecture}, and builder.architecture of {target.environment} is {wanted}"
        gib, room = self.image.root_volume_gib, target.builder.root_volume_gib
        if gib is not None and gib > room:
            yield f"its root volume has {gib} GiB, and builder.root_volume_gib of {target.environment} is {room}"
        base = base_setting_of(self.image)
        if base != target.base.tag:
            yield f"its base is {base}, and base of {target.environment} is {target.base.text}"
        hooks, wanted_hooks = baked_part(self.image.tags.get(TAG_RECIPE)), baked_part(target.recipe)
        if hooks != wanted_hooks:
            yield (
                f"its hooks are {hooks or 'none'}, and hooks.provision and hooks.provision_after of "
                f"{target.environment} make {wanted_hooks or 'none'}"
            )
        yield from self._container_misfits(target)

    def _container_misfits(self, target: EnvironmentSettings) -> Iterator[str]:
        names = (self.source.environment, target.environment)
        found = differences(self.source.container, target.container, names)
        # An image from before there was a fingerprint was built with what the source has set now, or nobody knows.
        baked = self.record.container or fingerprint(self.source.container)
        if baked == fingerprint(target.container):
            return
        if baked == fingerprint(self.source.container):
            yield from found
            return
        now = f"; {'; '.join(found)}" if found else ", which has been changed since as it has there"
        yield (
            f"the container settings that it was built with are not those of {target.environment}, nor what "
            f"{self.source.environment} has now{now}"
        )


@dataclass(frozen=True)
class ReleaseFinder:
    """Finds releases among what an environment has published."""

    images: Images
    parameters: Parameters
    clock: Clock
    account_id: str

    def find(self, source: EnvironmentSettings, wanted: str | None, *, force: bool) -> Offer:
        """The release that is asked for, or what is live.

        Raises:
            RecordNotFoundError: nothing of it can be launched, or nobody knows that it was ever published.
            PromotionRefusedError: it is one that somebody has gone back from, whose publication goes on, or of an older
                way of building.
        """
        records = PublishedRecords(self.parameters, source.parameter_names)
        live = records.read_live(self.account_id, self.images, self.clock)
        environment, see = source.environment, f"see: ami-lifecycle history {source.environment}"
        if wanted is None:
            if live.image is None:
                raise RecordNotFoundError(
                    f"nothing of {environment} can be promoted: {live.problem}; publish an image there first"
                )
            if not live.image.belongs_to(source.application, environment):
                raise RecordNotFoundError(
                    f"{live.value}, which is live in {environment}, is no image that was built or promoted there; "
                    "publish one there first"
                )
            found = [live.image]
        else:
            found = self._images_of(source, wanted, records, live.value)
        if not found:
            raise RecordNotFoundError(
                f"{environment} has no image of the release {wanted} (any more), so it cannot be promoted from there; "
                f"name another one, {see}"
            )
        image = found[0]
        record = records.read_record(image.image_id)
        if record is None:
            raise RecordNotFoundError(
                f"history of {environment} has no readable record of {image.image_id}, so nobody knows that it was "
                f"ever published there; promote a release that was, {see}"
            )
        self._require_published(source, image, record, live.value, force=force)
        if not (image.tags.get(TAG_DIGEST) or record.image_digest):
            raise PromotionRefusedError(
                f"nothing says which Docker image is in {image.image_id} of {environment}, so an older way of building "
                f"has made it; build {environment}, and promote that"
            )
        return Offer(source, image, record, self._release_of(image, records))

    def _images_of(
        self, source: EnvironmentSettings, wanted: str, records: PublishedRecords, live: str | None
    ) -> list[Image]:
        owned = [
            image
            for image in self.images.find(environment_tags(source))
            if image.state is ImageState.AVAILABLE and not image.is_copy
        ]
        of_it = [image for image in owned if _is_called(self._release_of(image, records), image, wanted)]
        return sorted(
            of_it,
            key=lambda image: (image.image_id == live, str(imaged_of(image) or ""), image.image_id),
            reverse=True,
        )

    @staticmethod
    def _release_of(image: Image, records: PublishedRecords) -> str:
        if (tagged := image.tags.get(TAG_RELEASE)) is not None:
            return tagged
        known = records.read_record(image.image_id)
        return (known and known.release) or release_of(image) or image.image_id

    @staticmethod
    def _require_published(
        source: EnvironmentSettings, image: Image, record: HistoryRecord, live: str | None, *, force: bool
    ) -> None:
        if record.status is RecordStatus.LIVE and live != image.image_id:
            raise PromotionRefusedError(
                f"{image.image_id} is no longer or not yet live in {source.environment}, though its record says so: a "
                "publication goes on or was interrupted; promote when it has ended, the sweep sees to that"
            )
        if record.status is RecordStatus.RETIRED:
            raise RecordNotFoundError(
                f"{image.image_id} of {source.environment} is being retired; promote a release that stays, see: "
                f"ami-lifecycle history {source.environment}"
            )
        if record.rolled_back and not force:
            raise PromotionRefusedError(
                f"somebody has rolled {source.environment} back from {image.image_id}; promote another release, or ask "
                "with force"
            )


def docker_image_of(record: HistoryRecord, digest: str) -> Source:
    """The Docker image as a record names it."""
    uri, _, _ = record.docker_image.partition("@")
    head, colon, tag = uri.rpartition(":")
    tagged = bool(colon) and "/" not in tag
    return Source(repository_uri=head if tagged else uri, digest=digest, tag=tag if tagged and tag else None)


def _is_called(release: str, image: Image, wanted: str) -> bool:
    """Whether a release goes by this name: its ARN, the execution's name, the short name, or an image of it."""
    digest = image.tags.get(TAG_DIGEST)
    return wanted in {release, release.rsplit(":", 1)[-1], release_name(release, digest), image.image_id}
