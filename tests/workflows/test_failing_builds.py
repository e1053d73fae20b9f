"""A build that cannot succeed says so by name, leaves `latest` alone, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.service import REPOSITORY, Ended, Environment, Service

from aws_emulator.api.operations import Request, Response

CAPACITY = "InsufficientInstanceCapacity"


@pytest.fixture(scope="module")
def published(running: Running) -> Environment:
    """An environment with an image, which all builds of this module leave as it is."""
    environment = running.service.environment(next(running.unused_names))
    environment.must_build("good")
    return environment


def must_fail(environment: Environment, revision: str, error: str) -> Ended:
    """Build what fails; nothing else may have changed."""
    before, latest = environment.left(), environment.latest()
    metadata, history = environment.metadata(), environment.history()
    ended = environment.build(revision)
    assert (ended.status, ended.error) == ("FAILED", error)
    assert environment.left() == before
    assert environment.latest() == latest
    assert (environment.metadata(), environment.history()) == (metadata, history)
    return ended


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "provisioning": (
        {"kind": "command_fails", "document": "ProvisionImage", "exit_code": 14, "stderr": "no space left"},
        "ProvisioningFailedError",
        "no space left",
    ),
    "registry": (
        {"kind": "command_fails", "document": "ProvisionImage", "exit_code": 16, "stderr": "not reached"},
        "DocumentInterruptedError",
        "not reached",
    ),
    "verification": (
        {"kind": "command_fails", "document": "VerifyImage", "exit_code": 21, "stderr": "answered 500"},
        "VerificationFailedError",
        "answered 500",
    ),
    "image": (
        {"kind": "image_fails", "reason": "Server.InternalError: snapshot lost"},
        "ImageCreationFailedError",
        "snapshot lost",
    ),
    "builder": (
        {"kind": "instance_dies", "role": "builder", "reason": "Client.VolumeLimitExceeded: Volume limit"},
        "BuilderLostError",
        "Client.VolumeLimitExceeded",
    ),
    "canary": (
        {"kind": "instance_dies", "role": "canary", "reason": "Client.InvalidKMSKey.InvalidState: The key"},
        "CanaryLostError",
        "Client.InvalidKMSKey",
    ),
}


@pytest.mark.parametrize("part", BROKEN)
def test_what_fails_is_named_with_its_cause_and_nothing_is_left(
    service: Service, published: Environment, part: str
) -> None:
    fault, error, words = BROKEN[part]
    service.inject(fault)
    ended = must_fail(published, f"bad {part}", error)
    assert ended.cause is not None
    assert words in ended.cause
    assert any(hint in ended.cause for hint in ("push again", "build again")), "what to do next"
    published.has_one_image()


# Before the agent is online, before the command is sent, and before it has ended: whatever a machine's
# speed makes of these emulated seconds, the document has not ended by then.
@pytest.mark.parametrize("seconds", [0.5, 4.2, 7.5])
@pytest.mark.parametrize(("role", "error"), [("builder", "BuilderLostError"), ("canary", "CanaryLostError")])
def test_an_instance_that_ends_at_any_moment_is_named_at_once(
    service: Service, published: Environment, role: str, error: str, seconds: float
) -> None:
    reason = "Server.SpotInstanceTermination: Spot instance termination"
    service.inject({"kind": "instance_dies", "role": role, "after": seconds, "reason": reason})
    ended = must_fail(published, f"{role} lost after {seconds}", error)
    assert reason in str(ended.cause)
    failures = [event for event in service.history(ended.arn) if event["type"] == "LambdaFunctionFailed"]
    assert len(failures) < 20, "nobody waits for the agent of a dead instance"


def test_a_failed_first_build_leaves_nothing_at_all(service: Service, environment: Environment) -> None:
    service.inject({"kind": "command_fails", "document": "VerifyImage", "stderr": "it crashed"})
    ended = environment.build("bad")
    assert ended.error == "VerificationFailedError"
    assert environment.latest() is None
    assert environment.history() == {}
    left = environment.left()
    assert (left.images, left.snapshots, left.instances, left.claimed) == (
        {},
        frozenset(),
        frozenset(),
        False,
    )


def test_a_failed_build_does_not_keep_the_next_one_from_succeeding(
    service: Service, environment: Environment
) -> None:
    service.inject({"kind": "command_fails", "document": "ProvisionImage"})
    assert environment.build("bad").status == "FAILED"
    environment.must_build("good")
    environment.has_one_image()


def test_what_was_pushed_while_a_build_failed_is_built(service: Service, environment: Environment) -> None:
    service.inject({"kind": "command_fails", "document": "VerifyImage"})
    bad = environment.push("bad")
    failing = environment.wait_for_state("Await Provisioning")
    good = environment.push("good")
    environment.wait_for_executions(3)
    assert service.wait(failing).error == "VerificationFailedError"
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == good != bad


def test_the_next_subnet_is_tried_when_one_has_no_capacity(
    service: Service, environment: Environment
) -> None:
    subnets = [
        subnet["SubnetId"]
        for subnet in sorted(
            service.client("ec2").describe_subnets()["Subnets"], key=lambda each: each["AvailabilityZone"]
        )
    ]
    for path in ("SubnetId", "NetworkInterfaces.0.SubnetId"):
        service.inject(
            {
                "kind": "error",
                "service": "ec2",
                "operation": "RunInstances",
                "code": CAPACITY,
                "match": {path: subnets[0]},
                "times": None,
            }
        )
    ended = environment.must_build("one")
    refused = [fault for fault in service.ask("GET", "faults") if fault["applied"]]
    assert refused, "the first subnet has been tried"
    assert "CapacityUnavailableError" not in str(service.history(ended.arn))
    environment.has_one_image()


def test_a_tag_that_is_gone_is_an_error_with_a_remedy(service: Service, published: Environment) -> None:
    before, latest = published.left(), published.latest()
    digest = published.metadata()["image_digest"]
    service.client("ecr").batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageTag": published.tag}]
    )
    known = published.executions()
    published.announce(digest)
    ended = published.wait_for_execution(known)
    assert (ended.status, ended.error) == ("FAILED", "ImageTagNotFoundError")
    assert published.tag in str(ended.cause)
    assert "push it again" in str(ended.cause)
    assert (published.left(), published.latest()) == (before, latest)


NOT_A_REQUEST: dict[str, tuple[Any, str]] = {
    "a number": (17, "not a JSON object"),
    "a list": ([{"environment": "prod"}], "not a JSON object"),
    "a string": ("prod", "not a JSON object"),
    "nothing": (None, "not a JSON object"),
    "an empty object": ({}, "environment"),
    "a field that is not known": ({"environment": "prod", "colour": "blue"}, "colour"),
    "a value that is impossible": ({"environment": "prod", "image_digest": "latest"}, "image_digest"),
    "an unknown action": ({"environment": "prod", "action": "explode"}, "action"),
    "an event of another service": (
        {"source": "aws.s3", "detail-type": "Object Created", "detail": {}},
        "ECR Image Action",
    ),
    "an event without its detail": (
        {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": {}},
        "action-type",
    ),
    "an event whose detail is a list": (
        {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": []},
        "detail",
    ),
}


@pytest.mark.parametrize("shape", NOT_A_REQUEST)
def test_an_input_of_no_known_shape_is_refused_in_words(service: Service, shape: str) -> None:
    content, words = NOT_A_REQUEST[shape]
    ended = service.run(content)
    assert (ended.status, ended.error) == ("FAILED", "InvalidRequestError")
    assert words in str(ended.cause)
    assert "Launch Builder" not in service.states(ended.arn)


def test_an_environment_that_is_not_configured_is_refused_in_words(service: Service) -> None:
    ended = service.run({"environment": "nowhere"})
    assert (ended.status, ended.error) == ("FAILED", "UnknownEnvironmentError")
    assert "build_config.yml" in str(ended.cause)


def test_a_digest_that_is_not_in_the_repository_is_refused_in_words(
    service: Service, published: Environment
) -> None:
    ended = service.run({"environment": published.name, "image_digest": f"sha256:{'0' * 64}"})
    assert (ended.status, ended.error) == ("FAILED", "ImageDigestNotFoundError")


def test_a_digest_that_vanishes_during_the_build_fails_the_provisioning(
    running: Running, service: Service, environment: Environment
) -> None:
    def delete_before_the_pull(request: Request, proceed: Callable[[], Response]) -> Response:
        if (
            request.operation == "SendCommand"
            and environment.name in request.parameters["Parameters"]["Environment"]
        ):
            digests = request.parameters["Parameters"]["ImageDigest"]
            service.client("ecr").batch_delete_image(
                repositoryName=REPOSITORY, imageIds=[{"imageDigest": each} for each in digests]
            )
        return proceed()

    middlewares = running.emulator.gateway.middlewares
    middlewares.append(delete_before_the_pull)
    ended = environment.build("one")
    middlewares.remove(delete_before_the_pull)
    assert ended.error == "DocumentInterruptedError"
    assert "could not be pulled" in str(ended.cause)
