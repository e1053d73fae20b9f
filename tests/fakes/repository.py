"""ECR in memory."""

from __future__ import annotations

import hashlib
from datetime import datetime

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.docker_image import Manifest, RegistryImage
from ami_lifecycle.domain.scans import NO_SCAN, NOT_IN_REPOSITORY, ScanReport
from ami_lifecycle.errors import RepositoryNotFoundError

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


PLAIN_IMAGE = Manifest(
    media_type="application/vnd.oci.image.manifest.v1+json",
    config_type="application/vnd.oci.image.config.v1+json",
    layer_types=("application/vnd.oci.image.layer.v1.tar+gzip",),
    size_bytes=2 * 1024**3,
)


class FakeRepository(Faulty):
    """Repositories with tags and digests; a digest outlives the tag that moves on."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.tags: dict[str, dict[str, str]] = {name: {} for name in names or ("comfyui",)}
        self.digests: dict[str, set[str]] = {name: set() for name in self.tags}
        self.manifests: dict[str, Manifest] = {}
        self.archived: set[str] = set()
        self.scans: dict[str, ScanReport] = {}
        self.pushed_at: dict[str, datetime] = {}

    def push(self, tag: str | None, content: str = "first", repository: str = "comfyui") -> str:
        """Push an image whose digest follows from its content; returns the digest."""
        digest = "sha256:" + hashlib.sha256(content.encode()).hexdigest()
        self.digests[repository].add(digest)
        if tag is not None:
            self.tags[repository][tag] = digest
        return digest

    def remove(self, digest: str, repository: str = "comfyui") -> None:
        """Delete an image with all its tags."""
        self.digests[repository].discard(digest)
        self.tags[repository] = {
            tag: found for tag, found in self.tags[repository].items() if found != digest
        }

    @port_call
    def uri(self, repository: str) -> str:
        """`registry/repository`."""
        self._known(repository)
        return f"{REGISTRY}/{repository}"

    @port_call
    def digest_of(self, repository: str, tag: str) -> str | None:
        """Digest that the tag names now."""
        self._known(repository)
        return self.tags[repository].get(tag)

    @port_call
    def has_digest(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the digest."""
        self._known(repository)
        return digest in self.digests[repository]

    @port_call
    def describe(self, repository: str, digest: str) -> RegistryImage | None:
        """What the registry says of a digest."""
        self._known(repository)
        if digest not in self.digests[repository]:
            return None
        return RegistryImage(
            digest=digest, is_archived=digest in self.archived, pushed_at=self.pushed_at.get(digest)
        )

    @port_call
    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """The manifest of a digest: of a plain image, unless a test says otherwise."""
        self._known(repository)
        if digest not in self.digests[repository] and digest not in self.manifests:
            return None
        return self.manifests.get(digest, PLAIN_IMAGE)

    @port_call
    def scan(self, repository: str, digest: str) -> ScanReport:
        """What the scan of a digest has found: nothing was scanned, unless a test says otherwise."""
        self._known(repository)
        if digest not in self.digests[repository] and digest not in self.manifests:
            return NOT_IN_REPOSITORY
        return self.scans.get(digest, NO_SCAN)

    def _known(self, repository: str) -> None:
        if repository not in self.tags:
            raise RepositoryNotFoundError(f"repository {repository} does not exist")
