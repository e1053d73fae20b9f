"""ECR behind the port `Repository`."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of


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

    def _digest(self, repository: str, image_id: dict[str, str], what: str) -> str | None:
        with aws_errors("ecr:DescribeImages", f"{repository}, {what}"):
            try:
                answer = self._client.describe_images(repositoryName=repository, imageIds=[image_id])
            except ClientError as error:
                if code_of(error) == "ImageNotFoundException":
                    return None
                raise
            # Where the repository has no such image, ECR answers ImageNotFoundException.
            return str(answer["imageDetails"][0]["imageDigest"])
