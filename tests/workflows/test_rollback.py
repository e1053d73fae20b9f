"""Going back to an image that history knows, by request."""

from __future__ import annotations

import json

import pytest
from tests.workflows.configuration import PROJECT
from tests.workflows.service import Ended, Environment, Service, failures


def roll_back(environment: Environment, image_id: str, *, pin: bool) -> Ended:
    """Run the rollback request of events/ for this environment and image."""
    request = json.loads((PROJECT / "events" / "request_rollback.json").read_text())
    request |= {"environment": environment.name, "publish_image_id": image_id, "pin": pin}
    ended = environment.service.run(request)
    environment.wait_until_idle()
    return ended


def published(environment: Environment) -> str:
    latest = environment.latest()
    assert latest is not None
    assert environment.metadata()["ami_id"] == latest
    assert environment.history()[latest]["status"] == "live"
    return latest


@pytest.fixture
def keeping(service: Service) -> Environment:
    """An environment that keeps one previous image."""
    return service.environment("keeping-one")


def test_a_previous_image_is_published_again_and_a_pin_outlives_pushes(keeping: Environment) -> None:
    first = keeping.push("one")
    keeping.wait_for_execution()
    old = published(keeping)
    keeping.must_build("two")
    new = published(keeping)
    assert keeping.left().images.keys() == {old, new}

    ended = roll_back(keeping, old, pin=True)
    assert (ended.status, ended.output["image_id"], ended.output["action"]) == ("SUCCEEDED", old, "publish")
    assert published(keeping) == old
    assert keeping.metadata()["image_digest"] == first
    assert keeping.history()[new]["superseded_by"] == old
    assert keeping.left().instances == frozenset()

    ignored = keeping.build("three")
    assert (ignored.status, ignored.output["action"]) == ("SUCCEEDED", "none")
    assert "pinned" in ignored.output["reasons"][0]
    assert published(keeping) == old

    forced = keeping.service.run({"environment": keeping.name, "force": True})
    keeping.wait_until_idle()
    assert not failures([forced])
    assert published(keeping) not in {old, new}


def test_a_rollback_without_a_pin_lasts_until_the_next_push(service: Service) -> None:
    environment = service.environment("keeping-two")
    environment.must_build("one")
    old = published(environment)
    environment.must_build("two")
    assert not failures([roll_back(environment, old, pin=False)])
    assert published(environment) == old
    environment.must_build("three")
    assert published(environment) != old


def test_an_image_that_is_gone_cannot_be_published(environment: Environment) -> None:
    environment.must_build("one")
    latest = published(environment)
    ended = roll_back(environment, "ami-0123456789abcdef0", pin=False)
    assert (ended.status, ended.error) == ("FAILED", "RecordNotFoundError")
    assert "build its digest" in str(ended.cause)
    assert published(environment) == latest


def test_an_image_of_somebody_else_cannot_be_published(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    latest = published(environment)
    other = service.client("ec2").copy_image(
        SourceImageId=latest, SourceRegion="us-east-1", Name=f"copied from {environment.name}"
    )["ImageId"]
    service.client("ec2").get_waiter("image_available").wait(
        ImageIds=[other], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    ended = roll_back(environment, other, pin=False)
    assert (ended.status, ended.error) == ("FAILED", "ForeignResourceError")
    assert published(environment) == latest
    service.client("ec2").deregister_image(ImageId=other)


def test_an_older_digest_is_built_by_request(service: Service, environment: Environment) -> None:
    first = environment.push("one")
    environment.wait_for_execution()
    environment.must_build("two")
    ended = service.run(
        {
            "environment": environment.name,
            "image_digest": first,
            "branch": "hotfix",
            "commit_sha": "abc123",
            "workflow_run_id": "4711",
        }
    )
    environment.wait_until_idle()
    assert not failures([ended])
    metadata = environment.metadata()
    assert metadata["image_digest"] == first
    assert (metadata["branch"], metadata["commit_sha"], metadata["workflow_run_id"]) == (
        "hotfix",
        "abc123",
        "4711",
    )
