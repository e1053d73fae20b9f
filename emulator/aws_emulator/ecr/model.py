"""The state of the emulated ECR: repositories, images, layers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.api.strict_json import strict_json

ImageId = dict[str, str]
IMAGE_CONFIGS: Final = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)


@dataclass
class StoredImage:
    """One manifest; `tags` in the order in which they were given."""

    digest: str
    manifest: str
    media_type: str
    artifact_media_type: str | None
    pushed: datetime
    tags: list[str] = field(default_factory=list)

    @property
    def content(self) -> dict[str, Any]:
        """The parsed manifest."""
        parsed: dict[str, Any] = json.loads(self.manifest)
        return parsed

    @property
    def scannable(self) -> bool:
        """Whether it is an image: neither an index nor another artifact is scanned (ECR user guide, Scan images)."""
        return "config" in self.content and self.artifact_media_type in {None, *IMAGE_CONFIGS}

    @property
    def size(self) -> int:
        """Bytes of the layers and the config, as the manifest declares them."""
        content = self.content
        blobs = [content.get("config", {}), *content.get("layers", ())]
        return sum(int(blob.get("size", 0)) for blob in blobs if isinstance(blob, dict))


@dataclass
class Repository:
    """A repository with its images by digest and its layers by digest."""

    name: str
    created: datetime
    mutability: str = "MUTABLE"
    scan_on_push: bool = False
    images: dict[str, StoredImage] = field(default_factory=dict)
    layers: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    policy: str | None = None
    lifecycle_policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def tagged(self, tag: str) -> StoredImage | None:
        """The image that a tag names."""
        return next((image for image in self.images.values() if tag in image.tags), None)

    def lists_with(self, digest: str) -> list[str]:
        """The digests of the indexes that name a digest."""
        return [
            image.digest
            for image in self.images.values()
            if any(each.get("digest") == digest for each in image.content.get("manifests", ()))
        ]

    def find(self, image_id: ImageId) -> StoredImage | None:
        """The image with an id of digest, tag, or both."""
        digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
        image = self.images.get(digest) if digest else self.tagged(tag or "")
        if image is not None and tag is not None and tag not in image.tags:
            return None
        return image


def read_manifest(text: str) -> dict[str, Any]:
    """A manifest as JSON.

    Raises:
        ApiError: `InvalidParameterException` unless it is a JSON object that says what it holds.
    """
    try:
        content = strict_json(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not ({"config", "manifests"} & set(content)):
        raise ApiError(
            "InvalidParameterException",
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
        )
    return content


def shown_id(image_id: ImageId) -> str:
    """An image id as ECR writes it in messages."""
    return f"{{imageDigest:'{image_id.get('imageDigest', 'null')}', imageTag:'{image_id.get('imageTag', 'null')}'}}"
