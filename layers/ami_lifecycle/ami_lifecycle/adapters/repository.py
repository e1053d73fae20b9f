"""ECR behind the port `Repository`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.scan_shapes import report_of
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.docker_image import (
    INDEXES,
    MANIFESTS,
    Manifest,
    RegistryImage,
    read_manifest,
)
from ami_lifecycle.domain.scans import NO_SCAN, NOT_IN_REPOSITORY, ScanReport, ScanState

# ECR API reference, DescribeImageScanFindings.
_FINDINGS_OF_A_PAGE: Final = 1_000
# Its errors that are answers.
_MISSING_SCANS: Final[Mapping[str, ScanReport]] = {
    "ImageNotFoundException": NOT_IN_REPOSITORY,
    "ScanNotFoundException": NO_SCAN,
    "UnsupportedImageTypeException": ScanReport(
        ScanState.IMPOSSIBLE, "is of a media type that ECR does not scan"
    ),
}
# As Docker and containerd accept them; without an index among them ECR may answer with one of its manifests.
_MEDIA_TYPES: Final = sorted(INDEXES | MANIFESTS)


class EcrRepository:
    """Repositories of this account's registry through a low-level ECR client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ecr:DescribeRepositories")
    def uri(self, repository: str) -> str:
        """`registry/repository`. Raises `RepositoryNotFoundError`."""
        with aws_errors("ecr:DescribeRepositories", repository):
            answer = self._client.describe_repositories(repositoryNames=[repository])
            return str(answer["repositories"][0]["repositoryUri"])

    @calls("ecr:DescribeImages")
    def digest_of(self, repository: str, tag: str) -> str | None:
        """Digest that the tag names now; None when the tag is not there. Raises `RepositoryNotFoundError`."""
        return self._digest(repository, {"imageTag": tag}, tag)

    @calls("ecr:DescribeImages")
    def has_digest(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the digest. Raises `RepositoryNotFoundError`."""
        return self._digest(repository, {"imageDigest": digest}, digest) is not None

    @calls("ecr:DescribeImages")
    def describe(self, repository: str, digest: str) -> RegistryImage | None:
        """The registry's description of a digest; None if it does not exist. Raises `RepositoryNotFoundError`."""
        found = self._details(repository, {"imageDigest": digest}, digest)
        if found is None:
            return None
        # Responses from before ECR's archive class have no status.
        return RegistryImage(
            digest=digest,
            is_archived=found.get("imageStatus", "ACTIVE") in {"ARCHIVED", "ACTIVATING"},
            pushed_at=found.get("imagePushedAt"),
        )

    @calls("ecr:BatchGetImage")
    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """The manifest of a digest; None when it is not there or cannot be read."""
        with aws_errors("ecr:BatchGetImage", f"{repository}, {digest}"):
            answer = self._client.batch_get_image(
                repositoryName=repository,
                imageIds=[{"imageDigest": digest}],
                acceptedMediaTypes=_MEDIA_TYPES,
            )
            texts = [
                (found["imageManifest"], found.get("imageManifestMediaType", ""))
                for found in answer["images"]
            ]
        # A digest that does not exist, or is of another media type, is listed among the failures.
        return read_manifest(*texts[0]) if texts else None

    @calls("ecr:DescribeImageScanFindings", "inspector2:ListCoverage", "inspector2:ListFindings")
    def scan(self, repository: str, digest: str) -> ScanReport:
        """What the scan of a manifest has found. Raises `RepositoryNotFoundError`.

        Where the registry has enhanced scanning, ECR asks Inspector in the caller's name, who then needs
        `inspector2:ListFindings` and `inspector2:ListCoverage` (ECR user guide, IAM permissions required for enhanced
        scanning).
        """
        pages: list[Mapping[str, Any]] = []
        request: dict[str, Any] = {
            "repositoryName": repository,
            "imageId": {"imageDigest": digest},
            "maxResults": _FINDINGS_OF_A_PAGE,
        }
        with aws_errors("ecr:DescribeImageScanFindings", f"{repository}, {digest}"):
            while True:
                try:
                    answer = self._client.describe_image_scan_findings(**request)
                except ClientError as error:
                    if (missing := _MISSING_SCANS.get(code_of(error))) is not None:
                        return missing
                    raise
                pages.append(answer)
                if not answer.get("nextToken"):
                    return report_of(pages)
                request["nextToken"] = answer["nextToken"]

    def _digest(self, repository: str, image_id: dict[str, str], what: str) -> str | None:
        found = self._details(repository, image_id, what)
        return found["imageDigest"] if found else None

    def _details(self, repository: str, image_id: dict[str, str], what: str) -> dict[str, Any] | None:
        with aws_errors("ecr:DescribeImages", f"{repository}, {what}"):
            try:
                answer = self._client.describe_images(repositoryName=repository, imageIds=[image_id])
            except ClientError as error:
                if code_of(error) == "ImageNotFoundException":
                    return None
                raise
            # Where the repository has no such image, ECR answers ImageNotFoundException.
            found = answer["imageDetails"][0]
            return {**found, "imageDigest": str(found["imageDigest"])}
