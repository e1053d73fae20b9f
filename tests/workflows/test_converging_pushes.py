"""The last image pushed wins: duplicate, late, untagged and simultaneous pushes converge on it."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.workflows.configuration import PROJECT
from tests.workflows.service import REPOSITORY, Ended, Environment, Service, failures

FEW_SECONDS = 1.0


def ended_executions(environment: Environment) -> list[Ended]:
    return [environment.service.wait(arn) for arn in environment.executions()]


def builds(environment: Environment) -> list[str]:
    return [arn for arn in environment.executions() if environment.service.is_build(arn)]


def put_manifest(service: Service, tag: str | None, **content: Any) -> str:
    """Push a manifest of no layers, or of the `manifests` named; its digest."""
    ecr = service.client("ecr")
    held = (
        {} if "manifests" in content else {"config": {"digest": f"sha256:{0:064}", "size": 2}, "layers": []}
    )
    manifest = json.dumps({"schemaVersion": 2, **held, **content})
    tagged = {} if tag is None else {"imageTag": tag}
    answer = ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, **tagged)
    return str(answer["image"]["imageId"]["imageDigest"])


def test_of_two_pushes_in_a_moment_the_newest_is_published_by_at_most_two_builds(
    environment: Environment,
) -> None:
    environment.push("one")
    time.sleep(0.1)
    newest = environment.push("two")
    for _ in range(3):
        environment.announce(newest)
    environment.wait_for_executions(5)
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == newest
    assert not failures(ended_executions(environment))
    assert 1 <= len(builds(environment)) <= 2


def test_an_event_of_an_older_push_that_comes_late_builds_nothing(environment: Environment) -> None:
    older = environment.push("one")
    environment.wait_for_execution()
    newest = environment.push("two")
    environment.wait_for_executions(2)
    published = environment.has_one_image()
    environment.announce(older)
    environment.wait_for_executions(3)
    assert environment.metadata()["image_digest"] == newest
    assert environment.has_one_image() == published
    assert len(builds(environment)) == 2


def test_pushes_during_a_build_are_built_once_and_only_the_newest(environment: Environment) -> None:
    environment.push("one")
    environment.wait_for_state("Await Provisioning")
    for revision in ("two", "three", "four"):
        newest = environment.push(revision)
    environment.wait_for_executions(4)
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == newest
    assert len(builds(environment)) == 2
    assert not failures(ended_executions(environment))


def test_a_tag_moved_back_publishes_the_older_digest_again(environment: Environment) -> None:
    older = environment.push("one")
    environment.wait_for_execution()
    environment.must_build("two")
    ecr = environment.service.client("ecr")
    (image,) = ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": older}])["images"]
    ecr.put_image(repositoryName=REPOSITORY, imageManifest=image["imageManifest"], imageTag=environment.tag)
    environment.wait_for_executions(3)
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == older


def test_an_untagged_push_builds_nothing(environment: Environment) -> None:
    service = environment.service
    digest = put_manifest(service, None, annotations={"made for": environment.name})
    (arn,) = service.executions_of({digest}, 1)
    ended = service.wait(arn)
    assert (ended.status, ended.output["action"]) == ("SUCCEEDED", "none")
    assert "without a tag" in ended.output["reasons"][0]


def test_a_push_under_a_tag_that_is_no_environments_builds_nothing(environment: Environment) -> None:
    service = environment.service
    digest = environment.push(f"a feature of {environment.name}", tag="feature-branch")
    (arn,) = service.executions_of({digest}, 1)
    ended = service.wait(arn)
    assert (ended.status, ended.output["action"]) == ("SUCCEEDED", "none")
    assert "feature-branch" in ended.output["reasons"][0]


def test_an_image_that_is_deleted_starts_nothing(environment: Environment) -> None:
    service = environment.service
    digest = environment.push("one")
    environment.wait_for_execution()
    known = environment.executions()
    service.client("ecr").batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageTag": environment.tag}]
    )
    environment.announce(digest, **{"action-type": "DELETE"})
    time.sleep(FEW_SECONDS)
    assert environment.executions() == known


def test_a_multi_architecture_push_is_one_build_of_the_index(environment: Environment) -> None:
    service = environment.service
    children = [
        put_manifest(service, None, annotations={"architecture": name, "for": environment.name})
        for name in ("amd64", "arm64")
    ]
    index = put_manifest(
        service,
        environment.tag,
        mediaType="application/vnd.oci.image.index.v1+json",
        manifests=[{"digest": digest, "size": 100, "mediaType": ""} for digest in children],
    )
    arns = service.executions_of({*children, index}, 3)
    ended = [service.wait(arn) for arn in arns]
    environment.wait_until_idle()
    assert not failures(ended)
    assert len([arn for arn in arns if service.is_build(arn)]) == 1
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == index


def test_the_events_of_a_multi_architecture_push_start_one_build(environment: Environment) -> None:
    service = environment.service
    index = environment.push(f"the index of {environment.name}")
    events = json.loads((PROJECT / "events" / "ecr_push_multi_architecture.json").read_text())
    for event in events:
        detail = event["detail"]
        if "image-tag" in detail:
            detail |= {"image-tag": environment.tag, "image-digest": index}
        service.put_event(event["source"], event["detail-type"], detail)
    digests = {index, *(event["detail"]["image-digest"] for event in events)}
    arns = service.executions_of(digests, 1 + len(events))
    assert not failures(service.wait(arn) for arn in arns)
    environment.wait_until_idle()
    environment.has_one_image()
    assert len([arn for arn in arns if service.is_build(arn)]) == 1
