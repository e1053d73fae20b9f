"""ECR: digests, tags, events, pages."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from emulator.tests.contract.account import Account, manifest
from emulator.tests.contract.asserting import refused


def test_the_digest_is_that_of_the_manifest(account: Account) -> None:
    """OCI distribution specification: a manifest's digest is over its bytes, config and all."""
    account.repository()
    assert account.push("one") == f"sha256:{hashlib.sha256(manifest('one').encode()).hexdigest()}"
    assert account.push("two") != account.push("one", tag="other")


def test_a_moved_tag_leaves_the_old_image_untagged(account: Account) -> None:
    """ECR user guide, Image tag mutability: pushing a tag again moves it."""
    account.repository()
    old, new = account.push("one"), account.push("two")
    images = account.ecr.describe_images(repositoryName="comfyui")["imageDetails"]
    assert {each["imageDigest"]: each.get("imageTags") for each in images} == {old: None, new: ["latest"]}
    untagged = account.ecr.describe_images(repositoryName="comfyui", filter={"tagStatus": "UNTAGGED"})
    assert [each["imageDigest"] for each in untagged["imageDetails"]] == [old]


def test_an_immutable_tag_is_not_moved(account: Account) -> None:
    """ECR API reference, PutImage: ImageTagAlreadyExistsException."""
    account.repository(imageTagMutability="IMMUTABLE")
    account.push("one")
    with refused("ImageTagAlreadyExistsException"):
        account.push("two")
    account.ecr.put_image_tag_mutability(repositoryName="comfyui", imageTagMutability="MUTABLE")
    account.push("two")


def test_the_same_image_and_tag_exist_once(account: Account) -> None:
    """ECR API reference, PutImage: ImageAlreadyExistsException."""
    account.repository()
    account.push("one")
    with refused("ImageAlreadyExistsException"):
        account.push("one")


def test_each_pushed_tag_is_an_event(account: Account) -> None:
    """ECR user guide, Events: ECR Image Action; an untagged push has no image-tag."""
    account.repository()
    digest = account.push("one", tag=None)
    account.push("one", tag="a")
    account.push("one", tag="b")
    details = account.events_of("ECR Image Action")
    assert [each.get("image-tag") for each in details] == [None, "a", "b"]
    assert details[1] == details[1] | {
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": digest,
        "action-type": "PUSH",
    }
    assert account.events[0]["source"] == "aws.ecr"
    assert account.events[0]["account"] == "123456789012"


def test_deleting_the_last_tag_deletes_the_image_with_an_event(account: Account) -> None:
    """ECR API reference, BatchDeleteImage; user guide, Events: action-type DELETE."""
    account.repository()
    digest = account.push("one", tag="a")
    account.push("one", tag="b")
    ids = [{"imageTag": "a"}, {"imageTag": "none"}]
    answer = account.ecr.batch_delete_image(repositoryName="comfyui", imageIds=ids)
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "a"}]
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    account.ecr.batch_delete_image(repositoryName="comfyui", imageIds=[{"imageDigest": digest}])
    assert account.ecr.list_images(repositoryName="comfyui")["imageIds"] == []
    actions = [(each["action-type"], each["image-tag"]) for each in account.events_of("ECR Image Action")]
    assert actions == [("PUSH", "a"), ("PUSH", "b"), ("DELETE", "a"), ("DELETE", "b")]


def test_what_is_not_there_is_not_found(account: Account) -> None:
    """ECR API reference: RepositoryNotFoundException, ImageNotFoundException, failures in BatchGetImage."""
    with refused("RepositoryNotFoundException"):
        account.ecr.describe_images(repositoryName="nowhere")
    account.repository()
    with refused("ImageNotFoundException"):
        account.ecr.describe_images(repositoryName="comfyui", imageIds=[{"imageTag": "none"}])
    answer = account.ecr.batch_get_image(repositoryName="comfyui", imageIds=[{"imageTag": "none"}])
    assert answer["images"] == []
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    with pytest.raises(account.ecr.exceptions.RepositoryNotFoundException):
        account.ecr.list_images(repositoryName="nowhere")


def test_a_manifest_is_read_back_as_it_was_pushed(account: Account) -> None:
    """ECR API reference, BatchGetImage."""
    account.repository()
    digest = account.push("one")
    (image,) = account.ecr.batch_get_image(repositoryName="comfyui", imageIds=[{"imageTag": "latest"}])[
        "images"
    ]
    assert image["imageManifest"] == manifest("one")
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "latest"}


def test_a_manifest_must_be_json_and_match_its_digest(account: Account) -> None:
    """ECR API reference, PutImage: InvalidParameterException, ImageDigestDoesNotMatchException."""
    account.repository()
    with refused("InvalidParameterException"):
        account.ecr.put_image(repositoryName="comfyui", imageManifest="no json", imageTag="latest")
    with refused("InvalidParameterException"):
        account.ecr.put_image(repositoryName="comfyui", imageManifest="{}", imageTag="latest")
    with refused("ImageDigestDoesNotMatchException"):
        account.ecr.put_image(
            repositoryName="comfyui",
            imageManifest=manifest(),
            imageTag="latest",
            imageDigest="sha256:" + "0" * 64,
        )


def test_an_image_of_an_index_stays_as_long_as_the_index(account: Account) -> None:
    """ECR API reference, ImageFailure: ImageReferencedByManifestList."""
    account.repository()
    child = account.push("child", tag=None)
    index = json.dumps({"schemaVersion": 2, "manifests": [{"digest": child, "size": 1}]})
    account.ecr.put_image(repositoryName="comfyui", imageManifest=index, imageTag="latest")
    answer = account.ecr.batch_delete_image(repositoryName="comfyui", imageIds=[{"imageDigest": child}])
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageReferencedByManifestList"]
    account.ecr.batch_delete_image(repositoryName="comfyui", imageIds=[{"imageTag": "latest"}])
    answer = account.ecr.batch_delete_image(repositoryName="comfyui", imageIds=[{"imageDigest": child}])
    assert answer["failures"] == []


def test_pages_of_images_are_complete(account: Account) -> None:
    """ECR API reference, DescribeImages: maxResults and nextToken, not together with imageIds."""
    account.repository()
    digests = {account.push(str(index), tag=f"tag-{index}") for index in range(7)}
    pages = list(
        account.ecr.get_paginator("describe_images").paginate(
            repositoryName="comfyui", PaginationConfig={"PageSize": 3}
        )
    )
    assert [len(page["imageDetails"]) for page in pages] == [3, 3, 1]
    assert {each["imageDigest"] for page in pages for each in page["imageDetails"]} == digests
    with refused("InvalidParameterException"):
        account.ecr.describe_images(repositoryName="comfyui", imageIds=[{"imageTag": "tag-1"}], maxResults=3)


def test_layers_are_checked_by_digest_and_can_be_downloaded(account: Account) -> None:
    """ECR API reference: InvalidLayerException, LayerAlreadyExistsException, LayersNotFoundException."""
    account.repository()
    content = b"layer"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def upload(digest: str) -> None:
        upload_id = account.ecr.initiate_layer_upload(repositoryName="comfyui")["uploadId"]
        account.ecr.upload_layer_part(
            repositoryName="comfyui",
            uploadId=upload_id,
            partFirstByte=0,
            partLastByte=4,
            layerPartBlob=content,
        )
        account.ecr.complete_layer_upload(repositoryName="comfyui", uploadId=upload_id, layerDigests=[digest])

    with refused("InvalidLayerException"):
        upload("sha256:" + "0" * 64)
    upload(digest)
    with refused("LayerAlreadyExistsException"):
        upload(digest)
    layers = account.ecr.batch_check_layer_availability(
        repositoryName="comfyui", layerDigests=[digest, "sha256:" + "0" * 64]
    )["layers"]
    assert [each["layerAvailability"] for each in layers] == ["AVAILABLE", "UNAVAILABLE"]
    url = account.ecr.get_download_url_for_layer(repositoryName="comfyui", layerDigest=digest)["downloadUrl"]
    assert base64.b64decode(url.partition(",")[2]) == content


def test_a_repository_with_images_is_deleted_by_force_only(account: Account) -> None:
    """ECR API reference, DeleteRepository: RepositoryNotEmptyException."""
    account.repository()
    with refused("RepositoryAlreadyExistsException"):
        account.repository()
    account.push()
    with refused("RepositoryNotEmptyException"):
        account.ecr.delete_repository(repositoryName="comfyui")
    account.ecr.delete_repository(repositoryName="comfyui", force=True)
    assert account.ecr.describe_repositories()["repositories"] == []


def test_policies_and_tags_are_kept(account: Account) -> None:
    """ECR API reference: a missing policy is an error of its own."""
    account.repository(tags=[{"Key": "a", "Value": "b"}])
    with refused("RepositoryPolicyNotFoundException"):
        account.ecr.get_repository_policy(repositoryName="comfyui")
    with refused("LifecyclePolicyNotFoundException"):
        account.ecr.get_lifecycle_policy(repositoryName="comfyui")
    account.ecr.set_repository_policy(repositoryName="comfyui", policyText="{}")
    assert account.ecr.get_repository_policy(repositoryName="comfyui")["policyText"] == "{}"
    (repository,) = account.ecr.describe_repositories(repositoryNames=["comfyui"])["repositories"]
    assert account.ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"] == [
        {"Key": "a", "Value": "b"}
    ]
    assert account.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]


def test_policies_are_deleted_and_answered_once_more(account: Account) -> None:
    """ECR API reference: DeleteRepositoryPolicy and DeleteLifecyclePolicy answer the text that they delete."""
    account.repository()
    name = {"repositoryName": "comfyui"}
    account.ecr.set_repository_policy(**name, policyText="{}")
    assert account.ecr.delete_repository_policy(**name)["policyText"] == "{}"
    with refused("RepositoryPolicyNotFoundException"):
        account.ecr.delete_repository_policy(**name)
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 9},
        "action": {"type": "expire"},
    }
    rules = json.dumps({"rules": [rule]})
    account.ecr.put_lifecycle_policy(**name, lifecyclePolicyText=rules)
    assert account.ecr.get_lifecycle_policy(**name)["lifecyclePolicyText"] == rules
    assert account.ecr.delete_lifecycle_policy(**name)["lifecyclePolicyText"] == rules
    with refused("LifecyclePolicyNotFoundException"):
        account.ecr.delete_lifecycle_policy(**name)
