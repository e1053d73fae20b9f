"""What is left of an environment after a push: one image, its records, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from tests.json_contract import METADATA_KEYS
from tests.workflows.conftest import Running
from tests.workflows.service import Ended, Environment


@dataclass(frozen=True)
class Built:
    """An environment after one build."""

    environment: Environment
    ended: Ended


@pytest.fixture(scope="module")
def built(running: Running) -> Built:
    environment = running.service.environment(next(running.unused_names))
    return Built(environment, environment.must_build("one"))


def values_of_latest(environment: Environment) -> list[str]:
    """Every image that `latest` has named, oldest first."""
    pages = (
        environment.service.client("ssm")
        .get_paginator("get_parameter_history")
        .paginate(Name=f"{environment.prefix}/latest")
    )
    return [version["Value"] for page in pages for version in page["Parameters"]]


def test_a_first_push_is_built_from_ubuntu_and_published(environment: Environment) -> None:
    digest = environment.push("0a" * 20, branch="release")
    environment.wait_for_execution()
    published = environment.has_one_image()
    metadata = environment.metadata()
    assert metadata.keys() >= METADATA_KEYS
    assert metadata["docker_image"].endswith(f".dkr.ecr.us-east-1.amazonaws.com/comfyui:{environment.tag}")
    assert (metadata["branch"], metadata["commit_sha"]) == ("release", "0a" * 20)
    assert (metadata["image_digest"], metadata["build_mode"]) == (digest, "fresh")
    assert (metadata["workflow_run_number"], metadata["region"]) == ("1", "us-east-1")
    assert metadata["verified_at"] is not None
    assert environment.history()[published]["status"] == "live"


def test_an_update_starts_from_the_image_before_and_replaces_it(environment: Environment) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    environment.must_build("two")
    new = environment.has_one_image()
    assert new != old
    metadata = environment.metadata()
    assert (metadata["build_mode"], metadata["base_ami_id"]) == ("update", old)
    assert (metadata["generation"], metadata["workflow_run_number"]) == (2, "2")


def test_the_execution_that_made_the_disks_is_their_release_whatever_image_shows_them(built: Built) -> None:
    environment = built.environment
    live = environment.has_one_image()
    (image,) = environment.images()
    snapshots = environment.service.client("ec2").describe_snapshots(
        SnapshotIds=list(environment.snapshots())
    )
    tagged = [image, *snapshots["Snapshots"]]
    releases = [
        tag["Value"] for each in tagged for tag in each["Tags"] if tag["Key"] == "ami-lifecycle:release"
    ]
    assert releases == [built.ended.arn] * len(tagged)
    records = environment.history()
    assert len(records) == 2, "of the candidate and of its copy under the constant name"
    assert {record["release"] for record in records.values()} == {built.ended.arn}
    assert (environment.metadata()["release"], built.ended.output["release"]) == (built.ended.arn,) * 2
    assert live in records


def test_history_knows_every_image_that_latest_has_named(environment: Environment) -> None:
    environment.must_build("one")
    environment.must_build("two")
    named = values_of_latest(environment)
    history = environment.history()
    assert len(named) == 4, "each build publishes its candidate and then the canonical image"
    assert set(history) == set(named)
    assert {history[image_id]["status"] for image_id in named[:-1]} == {"retired"}
    assert history[named[-1]]["status"] == "live"
    assert all(history[image_id].keys() >= METADATA_KEYS for image_id in named)


def test_the_published_parameters_have_the_types_that_consumers_expect(built: Built) -> None:
    environment = built.environment
    ssm = environment.service.client("ssm")
    latest = ssm.get_parameter(Name=f"{environment.prefix}/latest")["Parameter"]
    metadata = ssm.get_parameter(Name=f"{environment.prefix}/metadata")["Parameter"]
    assert (latest["Type"], latest["DataType"]) == ("String", "aws:ec2:image")
    assert metadata["Type"] == "String"
    assert len(metadata["Value"]) < 4096
    assert isinstance(json.loads(metadata["Value"]), dict)


def test_an_instance_can_be_launched_by_the_parameter(built: Built) -> None:
    environment = built.environment
    ec2 = environment.service.client("ec2")
    (launched,) = ec2.run_instances(
        ImageId=f"resolve:ssm:{environment.prefix}/latest",
        InstanceType="m7i.large",
        MinCount=1,
        MaxCount=1,
    )["Instances"]
    ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])
    assert launched["ImageId"] == environment.latest()


def test_the_output_of_the_execution_tells_what_was_published(built: Built) -> None:
    environment, ended = built.environment, built.ended
    assert ended.output["environment"] == environment.name
    assert ended.output["image_id"] == environment.latest()
    assert ended.output["image_digest"] == environment.metadata()["image_digest"]


def test_the_outcome_is_told_to_the_topic(environment: Environment) -> None:
    service = environment.service
    sqs = service.client("sqs")
    queue = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = service.client("sns").subscribe(
        TopicArn=service.outputs["OutcomeTopicArn"], Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
    )
    environment.must_build("one")
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    service.client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["outcome"], told["image_id"]) == ("Image Published", environment.latest())
