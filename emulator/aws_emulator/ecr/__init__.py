"""The emulated ECR: digests of manifests, tags that move, events of pushes and deletions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.ecr.model import (
    IMAGE_CONFIGS,
    ImageId,
    Repository,
    StoredImage,
    read_manifest,
)
from aws_emulator.ecr.scans import Scans

_DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_LABEL_LIMIT: Final = 200
# documents/provision_image.sh reports these.
_OUR_LABELS: Final = ("ami-lifecycle.commit", "ami-lifecycle.branch")
_OCI_LABELS: Final = "org.opencontainers.image."


class Registry(Scans):
    """The account's registry."""

    def has_image(self, repository_name: str, digest: str) -> bool:
        """Whether a digest is in a repository."""
        with self.lock:
            repository = self.repositories.get(repository_name)
            return repository is not None and digest in repository.images

    def image_size(self, repository_name: str, digest: str) -> int:
        """Bytes that an image's manifest declares."""
        with self.lock:
            return self.repositories[repository_name].images[digest].size

    def variant_for(self, repository_name: str, digest: str, architecture: str) -> str:
        """The digest that Docker takes for linux on an architecture: of an index, its entry's, if that is here."""
        with self.lock:
            repository = self.repositories[repository_name]
            for entry in repository.images[digest].content.get("manifests", ()):
                if (
                    _platform_of(entry) == f"linux/{architecture}"
                    and entry.get("digest") in repository.images
                ):
                    return str(entry["digest"])
            return digest

    def refusal_of_pull(self, repository_name: str, digest: str, architecture: str) -> str | None:
        """Docker's words for what it cannot pull, or not run on linux of an architecture; None for anything else.

        A manifest whose config was not uploaded says nothing of its platform, and passes.
        """
        with self.lock:
            repository = self.repositories[repository_name]
            content = repository.images[digest].content
            if "manifests" in content:
                platforms = [_platform_of(entry) for entry in content["manifests"]]
                if f"linux/{architecture}" in platforms or None in platforms:
                    return None
                return f"no matching manifest for linux/{architecture} in the manifest list entries"
            kind = content.get("config", {}).get("mediaType")
            if kind is not None and kind not in IMAGE_CONFIGS:
                return f"unsupported media type {kind}"
            blob = repository.layers.get(content.get("config", {}).get("digest", ""))
            config = json.loads(blob) if blob is not None else {}
            made_for = config.get("architecture", architecture)
            if made_for != architecture:
                return f"the image is for {made_for}, this instance needs {architecture}"
            return None

    def labels(self, repository_name: str, digest: str) -> dict[str, str]:
        """The labels in an image's config that the document reports, empty if the config was not uploaded."""
        with self.lock:
            repository = self.repositories[repository_name]
            content = repository.images[digest].content
            if "manifests" in content:
                children = [each.get("digest", "") for each in content["manifests"]]
                present = [each for each in children if each in repository.images]
                return self.labels(repository_name, present[0]) if present else {}
            blob = repository.layers.get(content.get("config", {}).get("digest", ""))
            if blob is None:
                return {}
            labels = json.loads(blob).get("config", {}).get("Labels") or {}
            return {
                str(key): str(value)[:_LABEL_LIMIT]
                for key, value in labels.items()
                if key in _OUR_LABELS or key.startswith(_OCI_LABELS)
            }

    @operation("ecr", "PutImage")
    def put_image(self, request: Request) -> Response:
        """Store a manifest, and move a tag to it; emits a PUSH event.

        The digest is that of the manifest's bytes. An older image that loses its tag stays, untagged.
        """
        with self.lock:
            parameters = self.supported(
                request,
                "imageDigest",
                "imageManifest",
                "imageManifestMediaType",
                "imageTag",
                "repositoryName",
            )
            repository = self.require_repository(parameters["repositoryName"])
            manifest, tag = parameters["imageManifest"], parameters.get("imageTag")
            content = read_manifest(manifest)
            digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
            if parameters.get("imageDigest", digest) != digest:
                raise ApiError(
                    "ImageDigestDoesNotMatchException",
                    f"The image digest '{parameters['imageDigest']}' is not that of the manifest, '{digest}'",
                )
            self._refuse_repeated_push(repository, digest, tag)
            image = repository.images.get(digest)
            if image is None:
                media_type = (
                    content.get("mediaType") or parameters.get("imageManifestMediaType") or _DOCKER_MANIFEST
                )
                config = content.get("config", {})
                image = StoredImage(digest, manifest, media_type, config.get("mediaType"), self.clock.now())
                repository.images[digest] = image
                self.scan_on_push(repository, image)
            if tag is not None:
                previous = repository.tagged(tag)
                if previous is not None:
                    previous.tags.remove(tag)
                image.tags.append(tag)
                image.pushed = self.clock.now()
            self._notify("PUSH", repository, image, tag)
            return {"image": self._shown(repository, image, tag)}

    def _refuse_repeated_push(self, repository: Repository, digest: str, tag: str | None) -> None:
        image = repository.images.get(digest)
        if image is not None and (tag is None or tag in image.tags):
            what = f"'{digest}' and tag '{tag}'" if tag else f"'{digest}'"
            raise ApiError(
                "ImageAlreadyExistsException",
                f"Image with digest {what} already exists in the repository with name '{repository.name}' in registry "
                f"with id '{self.account_id}'",
            )
        if tag is not None and repository.mutability == "IMMUTABLE" and repository.tagged(tag) is not None:
            raise ApiError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
                "because the tag is immutable.",
            )

    def _notify(self, action: str, repository: Repository, image: StoredImage, tag: str | None) -> None:
        """Emit `ECR Image Action` (ECR user guide, Amazon ECR events and EventBridge)."""
        detail: dict[str, Any] = {
            "result": "SUCCESS",
            "repository-name": repository.name,
            "image-digest": image.digest,
            "action-type": action,
            "manifest-media-type": image.media_type,
        }
        if image.artifact_media_type:
            detail["artifact-media-type"] = image.artifact_media_type
        if tag is not None:
            detail["image-tag"] = tag
        self.bus.emit("aws.ecr", "ECR Image Action", detail)

    @operation("ecr", "BatchGetImage")
    def batch_get_image(self, request: Request) -> Response:
        """Get manifests; what is not there is listed as a failure."""
        with self.lock:
            parameters = self.supported(request, "acceptedMediaTypes", "imageIds", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            images, failures = [], []
            for image_id in parameters["imageIds"]:
                image = repository.find(image_id)
                if image is None:
                    failures.append(_failure(image_id))
                else:
                    images.append(self._shown(repository, image, image_id.get("imageTag")))
            return {"images": images, "failures": failures}

    @operation("ecr", "DescribeImages")
    def describe_images(self, request: Request) -> Response:
        """Describe images by id, or by whether they have a tag, in pages."""
        with self.lock:
            parameters = self.supported(
                request, "filter", "imageIds", "maxResults", "nextToken", "repositoryName"
            )
            repository = self.require_repository(parameters["repositoryName"])
            ids = parameters.get("imageIds")
            if ids:
                if "maxResults" in parameters or "nextToken" in parameters:
                    raise ApiError(
                        "InvalidParameterException",
                        "maxResults and nextToken cannot be used together with imageIds",
                    )
                images = [self.require_image(repository, each) for each in ids]
                unique = {image.digest: image for image in images}
                return {"imageDetails": [self._details(repository, each) for each in unique.values()]}
            shown, token = page(
                _with_status(repository.images.values(), parameters),
                parameters.get("nextToken"),
                parameters.get("maxResults"),
                default=100,
                error="InvalidParameterException",
            )
            return {"imageDetails": [self._details(repository, each) for each in shown], "nextToken": token}

    @operation("ecr", "ListImages")
    def list_images(self, request: Request) -> Response:
        """List image ids, one for each tag, in pages."""
        with self.lock:
            parameters = self.supported(request, "filter", "maxResults", "nextToken", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            ids: list[ImageId] = []
            for image in _with_status(repository.images.values(), parameters):
                ids += [{"imageDigest": image.digest, "imageTag": tag} for tag in image.tags]
                if not image.tags:
                    ids.append({"imageDigest": image.digest})
            shown, token = page(
                ids,
                parameters.get("nextToken"),
                parameters.get("maxResults"),
                default=100,
                error="InvalidParameterException",
            )
            return {"imageIds": shown, "nextToken": token}

    @operation("ecr", "BatchDeleteImage")
    def batch_delete_image(self, request: Request) -> Response:
        """Delete tags, or images with all of their tags; an image goes with its last tag."""
        with self.lock:
            parameters = self.supported(request, "imageIds", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            deleted: list[ImageId] = []
            failures = []
            for image_id in parameters["imageIds"]:
                image = repository.find(image_id)
                if image is None:
                    failures.append(_failure(image_id))
                elif "imageDigest" in image_id and (parents := repository.lists_with(image.digest)):
                    failures.append(_kept(image_id, parents))
                else:
                    deleted += self._delete(repository, image, image_id.get("imageTag"))
            return {"imageIds": deleted, "failures": failures}

    def _delete(self, repository: Repository, image: StoredImage, tag: str | None) -> list[ImageId]:
        removed_tags = [tag] if tag is not None else list(image.tags)
        for each in removed_tags:
            image.tags.remove(each)
            self._notify("DELETE", repository, image, each)
        if not image.tags:
            if not removed_tags:
                self._notify("DELETE", repository, image, None)
            del repository.images[image.digest]
        named = [{"imageDigest": image.digest, "imageTag": each} for each in removed_tags]
        return named or [{"imageDigest": image.digest}]

    def _shown(self, repository: Repository, image: StoredImage, tag: str | None) -> dict[str, Any]:
        return {
            "registryId": self.account_id,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.digest, "imageTag": tag},
            "imageManifest": image.manifest,
            "imageManifestMediaType": image.media_type,
        }

    def _details(self, repository: Repository, image: StoredImage) -> dict[str, Any]:
        return {
            "registryId": self.account_id,
            "repositoryName": repository.name,
            "imageDigest": image.digest,
            "imageTags": list(image.tags) or None,
            "imageSizeInBytes": image.size,
            "imagePushedAt": image.pushed,
            "imageManifestMediaType": image.media_type,
            "artifactMediaType": image.artifact_media_type,
        }


def _platform_of(entry: Any) -> str | None:
    """Operating system and architecture of an index's entry; None where it does not name them."""
    platform = entry.get("platform") if isinstance(entry, dict) else None
    return f"{platform.get('os')}/{platform.get('architecture')}" if platform else None


def _with_status(images: Iterable[StoredImage], parameters: Any) -> list[StoredImage]:
    status = parameters.get("filter", {}).get("tagStatus", "ANY")
    return [image for image in images if status == "ANY" or bool(image.tags) == (status == "TAGGED")]


def _failure(image_id: ImageId) -> dict[str, Any]:
    return {"imageId": image_id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


__all__ = ["Registry"]


def _kept(image_id: ImageId, parents: list[str]) -> dict[str, Any]:
    """The failure of a deletion (ECR API reference, ImageFailure: ImageReferencedByManifestList)."""
    return {
        "imageId": image_id,
        "failureCode": "ImageReferencedByManifestList",
        "failureReason": f"Requested image referenced by manifest list: [{', '.join(parents)}]",
    }
