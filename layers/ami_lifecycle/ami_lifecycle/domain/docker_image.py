"""What a registry returns for a digest: an image, an index of images, or another kind of artifact.

Sources: OCI image specification (manifest, image index, media types), Docker Registry HTTP API V2 (image manifest
version 2, schema 2), ECR API reference (DescribeImages, BatchGetImage).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from ami_lifecycle.domain.model import Frozen

INDEXES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
MANIFESTS: Final = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
_LEGACY: Final = "application/vnd.docker.distribution.manifest.v1"
_CONFIGS: Final = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
_LAYERS: Final = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
# Artifacts that are not images, by a part of their media type.
_KINDS: Final = {
    "helm": "a Helm chart",
    "in-toto": "an attestation",
    "cosign": "a signature",
    "notary": "a signature",
    "spdx": "a bill of materials",
    "cyclonedx": "a bill of materials",
    "wasm": "a WebAssembly module",
}


class RegistryImage(Frozen):
    """One digest as the registry describes it."""

    digest: str
    is_archived: bool = False
    pushed_at: datetime | None = None


class Child(Frozen):
    """An entry of an index; without a platform where the index does not say it."""

    digest: str
    media_type: str = ""
    platform: str | None = None


class Manifest(Frozen):
    """The parts of a manifest that identify its kind. `size_bytes` is the stored size of config and layers."""

    media_type: str
    config_type: str = ""
    artifact_type: str = ""
    layer_types: tuple[str, ...] = ()
    size_bytes: int = 0
    children: tuple[Child, ...] = ()

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests of several platforms."""
        return self.media_type in INDEXES

    @property
    def is_legacy(self) -> bool:
        """Whether it is of Docker's first schema, which Docker 28.2 stopped to pull by default."""
        return self.media_type.startswith(_LEGACY)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that an index has, `linux/amd64`; attestations have none."""
        named = {child.platform for child in self.children if child.platform}
        return tuple(sorted(named - {"unknown/unknown"}))

    @property
    def other_than_image(self) -> str | None:
        """The kind of artifact, in words; None for an image or where the kind is unknown."""
        types = [self.artifact_type, self.config_type, *self.layer_types]
        is_image = not self.artifact_type and self.config_type in {"", *_CONFIGS}
        if is_image and all(each.startswith(_LAYERS) for each in self.layer_types if each):
            return None
        strange = [each for each in types if each and each not in _CONFIGS and not each.startswith(_LAYERS)]
        if not strange:
            return None
        kind = next(
            (words for part, words in _KINDS.items() if any(part in each for each in strange)), "an artifact"
        )
        return f"{kind} ({strange[0]})"

    def child_for(self, architecture: str) -> Child | None:
        """The entry of an index for linux on an architecture, or one that names no platform."""
        platform = f"linux/{architecture}"
        named = next((child for child in self.children if child.platform == platform), None)
        return named or next((child for child in self.children if child.platform is None), None)


def read_manifest(text: str, media_type: str) -> Manifest | None:
    """Parse a manifest; None where that fails, and the pull decides."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    config = _object(content.get("config"))
    layers = [_object(each) for each in _list(content.get("layers"))]
    return Manifest(
        media_type=str(content.get("mediaType") or media_type),
        config_type=str(config.get("mediaType") or ""),
        artifact_type=_artifact_type(content, config),
        layer_types=tuple(str(each.get("mediaType") or "") for each in layers),
        size_bytes=sum(_size(each) for each in (config, *layers)),
        # Signatures and indexes for lazy loading are listed next to the image that they are about, under its platform
        # or none (OCI image index, artifactType; SOCI index manifest v2); no image is pulled from them.
        children=tuple(
            _child(entry)
            for entry in map(_object, _list(content.get("manifests")))
            if not _artifact_type(entry, {})
        ),
    )


def _artifact_type(content: dict[str, Any], config: dict[str, Any]) -> str:
    """The type of an artifact; an image may name its own config there, which says nothing new."""
    named = str(content.get("artifactType") or "")
    return "" if named in _CONFIGS or named == config.get("mediaType") else named


def _child(entry: dict[str, Any]) -> Child:
    platform = _object(entry.get("platform"))
    named = f"{platform.get('os')}/{platform.get('architecture')}" if platform else None
    return Child(
        digest=str(entry.get("digest") or ""), media_type=str(entry.get("mediaType") or ""), platform=named
    )


def _size(blob: dict[str, Any]) -> int:
    size = blob.get("size")
    return size if isinstance(size, int) and size > 0 else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
