"""One image, from all sources: EC2, history, uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ami_lifecycle.domain.links import image_link
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_ENVIRONMENT, TAG_EXECUTION, TAG_ROLE, Image, ImageUse
from ami_lifecycle.domain.package_summary import FACT as PACKAGES
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.errors import InvalidRequestError, RecordNotFoundError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.records import first_boot_as_json, read_environment_live, record_as_json

# Stands for the image that was published last in any environment.
LATEST = "latest"


@dataclass(frozen=True)
class KnownImage:
    """An image in EC2, its history record, and its uses."""

    image_id: str
    environment: str
    image: Image | None
    record: HistoryRecord | None
    uses: tuple[ImageUse, ...] = ()
    console: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Facts recorded by the build, with the labels of the Docker image under their short names."""
        if self.record is None:
            return {}
        facts = dict(self.record.facts)
        labels = facts.pop("image_labels", None)
        if isinstance(labels, dict):
            facts["label"] = {
                key.removeprefix("org.opencontainers.image.").removeprefix("ami-lifecycle."): value
                for key, value in labels.items()
            }
        return facts

    def comparable(self) -> dict[str, Any]:
        """The fields by which two images are compared, flattened."""
        flat: dict[str, Any] = {}
        if self.record is not None:
            fields = record_as_json(self.record)
            fields["release"] = self.release
            flat |= {name: value for name, value in fields.items() if name in COMPARED and value is not None}
            # Package lists are compared themselves.
            facts = {name: value for name, value in self.facts.items() if name != PACKAGES}
            _flatten("", facts, flat)
        return flat

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "image",
            "image_id": self.image_id,
            "environment": self.environment,
            "release": self.release,
            "exists": self.image is not None,
            "image": self.image.model_dump() if self.image else None,
            "record": record_as_json(self.record) if self.record else None,
            "first_boot": first_boot_as_json(self.record),
            "uses": [use.model_dump() for use in self.uses],
            "console": self.console,
        }

    @property
    def execution(self) -> str | None:
        """The execution that made it."""
        return self.image.tags.get(TAG_EXECUTION) if self.image else None

    @property
    def release(self) -> str | None:
        """The execution that made its disks."""
        recorded = self.record.release if self.record else None
        return recorded or (release_of(self.image) if self.image else None)

    @property
    def digest(self) -> str | None:
        """Digest of the Docker image."""
        tagged = self.image.tags.get(TAG_DIGEST) if self.image else None
        return tagged or (self.record.image_digest if self.record else None) or None

    @property
    def role(self) -> str | None:
        """`candidate` or `canonical`."""
        return self.image.tags.get(TAG_ROLE) if self.image else None


COMPARED = {
    "image_digest",
    "docker_image",
    "release",
    "promoted_from",
    "container",
    "branch",
    "commit_sha",
    "base_ami_id",
    "base_created",
    "recipe",
    "base_setting",
    "original_ami_id",
    "build_mode",
    "generation",
    "creation_date",
    "verified_at",
    "workflow_run_number",
}


def image_id_of(stack: Stack, what: str) -> str:
    """The id of an image given by id, by environment, or as `latest`: the image that was published last in any
    environment.

    Raises:
        RecordNotFoundError: the environment has no live image.
        InvalidRequestError: it is neither.
    """
    if what.startswith("ami-"):
        return what
    names = stack.environment_names()
    if what != LATEST and what not in names:
        raise InvalidRequestError(
            f"{what!r} is no id of an image and no environment; environments are {', '.join(names) or 'none'}",
            hint="ids begin with ami-, see: ami-lifecycle history ENV",
        )
    live = {name: read_environment_live(stack, name) for name in (names if what == LATEST else [what])}
    found = {name: each.value for name, each in live.items() if each.value and not each.problem}
    if not found:
        problems = "; ".join(
            f"{name}: {each.problem or 'nothing is published'}" for name, each in live.items()
        )
        raise RecordNotFoundError(
            f"nothing is live: {problems}", hint="Start a build: ami-lifecycle build ENV"
        )

    def since(name: str) -> str:
        record = stack.published(name).read_record(found[name])
        return record.status_since if record else ""

    return found[max(found, key=since)]


def find_image(stack: Stack, image_id: str, *, with_uses: bool = False) -> KnownImage:
    """Find an image, named as `image_id_of` takes it, in EC2 and in the history of every environment.

    Raises:
        InvalidRequestError: it names no image.
        RecordNotFoundError: neither EC2 nor any history knows it.
    """
    image_id = image_id_of(stack, image_id)
    image = stack.images.get(image_id)
    tagged = image.tags.get(TAG_ENVIRONMENT) if image else None
    environments = [tagged] if tagged else stack.environment_names()
    for environment in environments:
        record = stack.published(environment).read_record(image_id)
        if record is not None or tagged:
            uses = stack.usage.usage_of([image_id])[0].uses if with_uses and image else ()
            console = image_link(stack.state_machine_arn, image_id) if image else None
            return KnownImage(image_id, environment, image, record, uses, console)
    raise RecordNotFoundError(
        f"{image_id} is no image of {stack.application} in {stack.region}: no history has a record of it",
        hint="the images of an environment are listed by: ami-lifecycle history ENV",
    )


def _flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), below, into)
    else:
        into[prefix] = value
