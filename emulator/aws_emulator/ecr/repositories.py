"""Repositories, their policies and tags (ECR API reference)."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.api.strict_json import strict_json
from aws_emulator.clock import Clock
from aws_emulator.ecr.model import ImageId, Repository, StoredImage, shown_id
from aws_emulator.eventbridge.bus import EventBus

_MUTABILITIES: Final = ("MUTABLE", "IMMUTABLE")


class Repositories:
    """The registry's repositories; all operations hold `lock`."""

    def __init__(self, clock: Clock, bus: EventBus, *, account_id: str, region: str) -> None:
        self.clock = clock
        self.bus = bus
        self.account_id = account_id
        self.region = region
        self.lock = threading.RLock()
        self.repositories: dict[str, Repository] = {}
        # Set where images can really be pulled from the registry.
        self.new_token: Callable[[], str] = lambda: secrets.token_hex(32)

    def supported(self, request: Request, *names: str) -> Mapping[str, Any]:
        """The request's parameters, of which only `names` are emulated, in this account's registry.

        Raises:
            ApiError: `EmulatorUnsupportedParameter`, or `RepositoryNotFoundException` for another registry.
        """
        refuse_unsupported_parameters(
            request.service, request.operation, request.parameters, (*names, "registryId")
        )
        registry = request.parameters.get("registryId", self.account_id)
        if registry != self.account_id:
            raise self._not_found(request.parameters.get("repositoryName", ""), registry)
        return request.parameters

    def require_repository(self, name: str) -> Repository:
        """The repository with a name.

        Raises:
            ApiError: `RepositoryNotFoundException`.
        """
        if name not in self.repositories:
            raise self._not_found(name, self.account_id)
        return self.repositories[name]

    def require_image(self, repository: Repository, image_id: ImageId) -> StoredImage:
        """The image with an id.

        Raises:
            ApiError: `ImageNotFoundException`.
        """
        image = repository.find(image_id)
        if image is None:
            raise ApiError(
                "ImageNotFoundException",
                f"The image with imageId {shown_id(image_id)} does not exist within the repository with name "
                f"'{repository.name}' in the registry with id '{self.account_id}'",
            )
        return image

    def _not_found(self, name: str, registry: str) -> ApiError:
        return ApiError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{registry}'",
        )

    def _arn(self, name: str) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account_id}:repository/{name}"

    def _by_arn(self, arn: str) -> Repository:
        prefix = self._arn("")
        if not arn.startswith(prefix):
            raise ApiError(
                "InvalidParameterException",
                "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'",
            )
        return self.require_repository(arn.removeprefix(prefix))

    @operation("ecr", "CreateRepository")
    def create_repository(self, request: Request) -> Response:
        """Create a repository."""
        with self.lock:
            parameters = self.supported(
                request,
                "encryptionConfiguration",
                "imageScanningConfiguration",
                "imageTagMutability",
                "repositoryName",
                "tags",
            )
            name = parameters["repositoryName"]
            if name in self.repositories:
                raise ApiError(
                    "RepositoryAlreadyExistsException",
                    f"The repository with name '{name}' already exists in the registry with id '{self.account_id}'",
                )
            repository = Repository(
                name=name,
                created=self.clock.now(),
                mutability=_mutability(parameters.get("imageTagMutability", "MUTABLE")),
                scan_on_push=parameters.get("imageScanningConfiguration", {}).get("scanOnPush", False),
                tags={tag["Key"]: tag["Value"] for tag in parameters.get("tags", ())},
            )
            self.repositories[name] = repository
            return {"repository": self._shown_repository(repository)}

    @operation("ecr", "DescribeRepositories")
    def describe_repositories(self, request: Request) -> Response:
        """Describe repositories by name, or all in pages."""
        with self.lock:
            parameters = self.supported(request, "maxResults", "nextToken", "repositoryNames")
            names = parameters.get("repositoryNames")
            if names:
                return {
                    "repositories": [self._shown_repository(self.require_repository(each)) for each in names]
                }
            everything = sorted(self.repositories.values(), key=lambda each: each.name)
            shown, token = page(
                everything,
                parameters.get("nextToken"),
                parameters.get("maxResults"),
                default=100,
                error="InvalidParameterException",
            )
            return {"repositories": [self._shown_repository(each) for each in shown], "nextToken": token}

    @operation("ecr", "DeleteRepository")
    def delete_repository(self, request: Request) -> Response:
        """Delete a repository; one with images only by force."""
        with self.lock:
            parameters = self.supported(request, "force", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            if repository.images and not parameters.get("force"):
                raise ApiError(
                    "RepositoryNotEmptyException",
                    f"The repository with name '{repository.name}' in registry with id '{self.account_id}' cannot be "
                    "deleted because it still contains images",
                )
            del self.repositories[repository.name]
            return {"repository": self._shown_repository(repository)}

    @operation("ecr", "PutImageTagMutability")
    def put_image_tag_mutability(self, request: Request) -> Response:
        """Make tags mutable or immutable."""
        with self.lock:
            parameters = self.supported(request, "imageTagMutability", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            repository.mutability = _mutability(parameters["imageTagMutability"])
            return self._named(repository, imageTagMutability=repository.mutability)

    @operation("ecr", "GetAuthorizationToken")
    def get_authorization_token(self, request: Request) -> Response:
        """Give a token for a Docker client, valid for 12 hours."""
        refuse_unsupported_parameters(
            request.service, request.operation, request.parameters, ("registryIds",)
        )
        token = base64.b64encode(f"AWS:{self.new_token()}".encode()).decode()
        data = {
            "authorizationToken": token,
            "expiresAt": self.clock.now() + timedelta(hours=12),
            "proxyEndpoint": f"https://{self.account_id}.dkr.ecr.{self.region}.amazonaws.com",
        }
        return {"authorizationData": [data]}

    @operation("ecr", "SetRepositoryPolicy")
    def set_repository_policy(self, request: Request) -> Response:
        """Set the policy of a repository."""
        with self.lock:
            parameters = self.supported(request, "force", "policyText", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            repository.policy = _json_text(parameters["policyText"], "PolicyText")
            return self._named(repository, policyText=repository.policy)

    @operation("ecr", "GetRepositoryPolicy")
    def get_repository_policy(self, request: Request) -> Response:
        """Get the policy of a repository."""
        with self.lock:
            repository = self.require_repository(self.supported(request, "repositoryName")["repositoryName"])
            return self._named(repository, policyText=self._require_policy(repository))

    @operation("ecr", "DeleteRepositoryPolicy")
    def delete_repository_policy(self, request: Request) -> Response:
        """Delete the policy of a repository."""
        with self.lock:
            repository = self.require_repository(self.supported(request, "repositoryName")["repositoryName"])
            text = self._require_policy(repository)
            repository.policy = None
            return self._named(repository, policyText=text)

    def _require_policy(self, repository: Repository) -> str:
        if repository.policy is None:
            raise ApiError(
                "RepositoryPolicyNotFoundException",
                f"Repository policy does not exist for the repository with name '{repository.name}' in the registry "
                f"with id '{self.account_id}'",
            )
        return repository.policy

    @operation("ecr", "PutLifecyclePolicy")
    def put_lifecycle_policy(self, request: Request) -> Response:
        """Set the lifecycle policy; the emulator keeps it and expires nothing."""
        with self.lock:
            parameters = self.supported(request, "lifecyclePolicyText", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            repository.lifecycle_policy = _json_text(parameters["lifecyclePolicyText"], "LifecyclePolicyText")
            return self._named(repository, lifecyclePolicyText=repository.lifecycle_policy)

    @operation("ecr", "GetLifecyclePolicy")
    def get_lifecycle_policy(self, request: Request) -> Response:
        """Get the lifecycle policy."""
        with self.lock:
            repository = self.require_repository(self.supported(request, "repositoryName")["repositoryName"])
            return self._named(repository, lifecyclePolicyText=self._require_lifecycle_policy(repository))

    @operation("ecr", "DeleteLifecyclePolicy")
    def delete_lifecycle_policy(self, request: Request) -> Response:
        """Delete the lifecycle policy."""
        with self.lock:
            repository = self.require_repository(self.supported(request, "repositoryName")["repositoryName"])
            text = self._require_lifecycle_policy(repository)
            repository.lifecycle_policy = None
            return self._named(repository, lifecyclePolicyText=text)

    def _require_lifecycle_policy(self, repository: Repository) -> str:
        if repository.lifecycle_policy is None:
            raise ApiError(
                "LifecyclePolicyNotFoundException",
                f"Lifecycle policy does not exist for the repository with name '{repository.name}' in the registry "
                f"with id '{self.account_id}'",
            )
        return repository.lifecycle_policy

    @operation("ecr", "TagResource")
    def tag_resource(self, request: Request) -> Response:
        """Tag a repository."""
        with self.lock:
            repository = self._by_arn(request.parameters["resourceArn"])
            repository.tags |= {tag["Key"]: tag["Value"] for tag in request.parameters["tags"]}
            return {}

    @operation("ecr", "UntagResource")
    def untag_resource(self, request: Request) -> Response:
        """Remove tags from a repository."""
        with self.lock:
            repository = self._by_arn(request.parameters["resourceArn"])
            for key in request.parameters["tagKeys"]:
                repository.tags.pop(key, None)
            return {}

    @operation("ecr", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """List the tags of a repository."""
        with self.lock:
            repository = self._by_arn(request.parameters["resourceArn"])
            return {"tags": [{"Key": key, "Value": value} for key, value in repository.tags.items()]}

    def _named(self, repository: Repository, **fields: str) -> Response:
        return {"registryId": self.account_id, "repositoryName": repository.name, **fields}

    def _shown_repository(self, repository: Repository) -> dict[str, Any]:
        return {
            "repositoryArn": self._arn(repository.name),
            "registryId": self.account_id,
            "repositoryName": repository.name,
            "repositoryUri": f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com/{repository.name}",
            "createdAt": repository.created,
            "imageTagMutability": repository.mutability,
            "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }


def _mutability(value: str) -> str:
    if value not in _MUTABILITIES:
        raise ApiError("EmulatorUnsupportedParameter", f"the emulator does not emulate {value}", 501)
    return value


def _json_text(text: str, name: str) -> str:
    try:
        strict_json(text)
    except ValueError as error:
        raise ApiError(
            "InvalidParameterException",
            f"Invalid parameter at '{name}' failed to satisfy constraint: 'Invalid JSON syntax'",
        ) from error
    return text
