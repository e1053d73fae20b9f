"""The schedule's sweep: the last net under lost events, dead executions and hands that slipped."""

from __future__ import annotations

from typing import Any

import pytest
from tests.workflows.configuration import FEW_ENVIRONMENTS
from tests.workflows.conftest import Running
from tests.workflows.service import Environment, Service, failures, until

SETTINGS = FEW_ENVIRONMENTS
APPLICATION = "ami-lifecycle:application"
ENVIRONMENT = "ami-lifecycle:environment"
EXECUTION = "ami-lifecycle:execution"


def lose(service: Service, source: str, **match: str) -> None:
    """Lose events of a source whose detail has these values."""
    service.inject({"kind": "event", "effect": "lose", "source": source, "match": match, "times": None})


def find(service: Service) -> None:
    """Once an event is lost, drop the faults, so that others arrive."""
    until("an event is lost", lambda: any(fault["applied"] for fault in service.ask("GET", "faults")))
    service.ask("DELETE", "faults")


def repaired(findings: list[dict[str, Any]], environment: Environment) -> list[str]:
    return concerning([found for found in findings if found["repaired"]], environment)


def concerning(findings: list[dict[str, Any]], environment: Environment) -> list[str]:
    return [found["finding"] for found in findings if found["environment"] == environment.name]


def plant(service: Service, image_id: str, name: str, **tags: str) -> dict[str, str]:
    """What a build that was cut off leaves: an instance, an image of it, and the snapshot of an image that
    is deregistered, all with these tags; their ids by kind.
    """
    ec2 = service.client("ec2")
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]

    def specify(*kinds: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": listed} for kind in kinds]

    def create_image(suffix: str) -> dict[str, Any]:
        created = ec2.create_image(
            InstanceId=instance_id,
            Name=f"{name}.candidate.{suffix}",
            TagSpecifications=specify("image", "snapshot"),
        )["ImageId"]
        ec2.get_waiter("image_available").wait(
            ImageIds=[created], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        found: dict[str, Any] = ec2.describe_images(ImageIds=[created])["Images"][0]
        return found

    (instance,) = ec2.run_instances(
        ImageId=image_id,
        InstanceType="m7i.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specify("instance", "volume"),
    )["Instances"]
    instance_id = instance["InstanceId"]
    ec2.get_waiter("instance_running").wait(
        InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    image, cut_off = create_image("planted"), create_image("gone")
    ec2.deregister_image(ImageId=cut_off["ImageId"])
    snapshot = cut_off["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    return {"instance": instance_id, "image": image["ImageId"], "snapshot": snapshot}


def remaining(service: Service, planted: dict[str, str]) -> set[str]:
    """Which of the planted things are still there."""
    ec2 = service.client("ec2")
    (reservation,) = ec2.describe_instances(InstanceIds=[planted["instance"]])["Reservations"]
    found = {
        "image": ec2.describe_images(Filters=[{"Name": "image-id", "Values": [planted["image"]]}])["Images"],
        "snapshot": ec2.describe_snapshots(
            Filters=[{"Name": "snapshot-id", "Values": [planted["snapshot"]]}]
        )["Snapshots"],
        "instance": reservation["Instances"][0]["State"]["Name"] not in {"shutting-down", "terminated"},
    }
    return {kind for kind, there in found.items() if there}


def test_a_push_whose_event_was_lost_is_built(service: Service, environment: Environment) -> None:
    lose(service, "aws.ecr")
    digest = environment.push("one")
    find(service)
    assert environment.executions() == []
    service.fire_schedule()
    assert not failures([environment.wait_for_execution()])
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == digest


def test_a_sweep_of_a_quiet_environment_changes_nothing(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    before, item, known = environment.left(), environment.item(), environment.executions()
    assert concerning(service.sweep(), environment) == []
    assert concerning(service.sweep(), environment) == []
    assert (environment.left(), environment.item(), environment.executions()) == (before, item, known)


def test_two_sweeps_at_once_start_one_build(service: Service, environment: Environment) -> None:
    lose(service, "aws.ecr")
    environment.push("one")
    find(service)
    service.fire_schedule()
    service.fire_schedule()
    environment.wait_for_executions(1)
    environment.has_one_image()
    assert len([arn for arn in environment.executions() if service.is_build(arn)]) == 1


def test_a_digest_that_fails_is_not_built_for_ever(service: Service, environment: Environment) -> None:
    environment.must_build("good")
    latest = environment.latest()
    service.inject({"kind": "command_fails", "document": "VerifyImage", "times": None})
    assert environment.build("bad").status == "FAILED"
    known = environment.executions()
    assert len(concerning(service.sweep(), environment)) == 1
    assert environment.wait_for_execution(known).error == "VerificationFailedError"
    known = environment.executions()
    for _ in range(3):
        findings = service.sweep()
        assert repaired(findings, environment) == []
        assert "its build has failed" in concerning(findings, environment)[0]
    assert environment.executions() == known
    assert environment.has_one_image() == latest
    service.ask("DELETE", "faults")
    environment.must_build("better")


def test_a_build_that_a_person_stopped_is_not_started_again(
    service: Service, environment: Environment
) -> None:
    environment.push("one")
    arn = environment.wait_for_state("Launch Builder")
    service.client("stepfunctions").stop_execution(executionArn=arn, cause="not today")
    environment.wait_until_idle()
    findings = service.sweep()
    assert repaired(findings, environment) == []
    assert "its build was stopped by a person" in concerning(findings, environment)[0]
    assert environment.executions() == [arn]


def test_a_stopped_build_whose_status_event_was_lost_is_cleaned_up(
    service: Service, environment: Environment
) -> None:
    lose(service, "aws.states", status="ABORTED")
    environment.push("one")
    arn = environment.wait_for_state("Await Provisioning")
    service.client("stepfunctions").stop_execution(executionArn=arn)
    find(service)
    assert environment.left().claimed
    findings = service.sweep()
    environment.wait_until_idle()
    assert any(arn in finding for finding in concerning(findings, environment))
    assert environment.left().images == {}
    assert environment.snapshots() == frozenset()


def test_what_was_queued_behind_a_dead_build_is_started(service: Service, environment: Environment) -> None:
    lose(service, "aws.states", status="ABORTED")
    environment.push("one")
    arn = environment.wait_for_state("Await Provisioning")
    newest = environment.push("two")
    until(
        "the second push is queued", lambda: "wanted" in environment.item() or not environment.left().claimed
    )
    service.client("stepfunctions").stop_execution(executionArn=arn)
    find(service)
    service.sweep()
    environment.wait_until_idle()
    environment.has_one_image()
    assert environment.metadata()["image_digest"] == newest


def test_the_sweep_retires_the_image_and_adopts_the_name_once_nobody_uses_it(
    service: Service, environment: Environment
) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    template = environment.pin_by_launch_template()
    environment.must_build("two")
    digest = environment.metadata()["image_digest"]
    assert [each for each in service.sweep() if each["environment"] == environment.name] == []
    service.client("ec2").delete_launch_template(LaunchTemplateId=template)
    known = environment.executions()
    service.fire_schedule()
    assert not failures([environment.wait_for_execution(known)])
    assert environment.has_one_image() != old
    assert environment.metadata()["image_digest"] == digest
    assert environment.history()[old]["status"] == "retired"


def test_orphans_of_an_ended_execution_are_removed(service: Service, environment: Environment) -> None:
    ended = environment.must_build("one")
    published = environment.has_one_image()
    orphans = plant(
        service,
        published,
        environment.image_name,
        Name=environment.image_name,
        **{APPLICATION: "comfyui", ENVIRONMENT: environment.name, EXECUTION: ended.arn},
    )
    findings = service.sweep()
    removed = [each["finding"] for each in findings if ended.arn in each["finding"]]
    assert len(removed) == 1
    assert [each for each in orphans.values() if each not in removed[0]] == [], removed
    assert remaining(service, orphans) == set()
    environment.wait_until_idle()
    assert environment.has_one_image() == published


def test_what_is_not_ours_is_left_alone(service: Service, environment: Environment) -> None:
    ended = environment.must_build("one")
    published = environment.has_one_image()
    ours = {APPLICATION: "comfyui", ENVIRONMENT: environment.name, EXECUTION: ended.arn}
    strangers = {
        "no tags of ours": plant(service, published, "bare", Name="bare"),
        "another application": plant(
            service, published, "other", Name="other", **{**ours, APPLICATION: "another"}
        ),
        "an owner that nobody knows, made just now": plant(
            service,
            published,
            "new",
            Name="new",
            **{**ours, ENVIRONMENT: "elsewhere", EXECUTION: f"{ended.arn}-unknown"},
        ),
    }
    service.sweep()
    for planted in strangers.values():
        assert remaining(service, planted) == {"instance", "image", "snapshot"}
    ids = [planted["instance"] for planted in strangers.values()]
    service.client("ec2").terminate_instances(InstanceIds=ids)


def test_a_copy_that_somebody_made_with_our_tags_is_left_alone(
    service: Service, environment: Environment
) -> None:
    environment.must_build("one")
    ec2 = service.client("ec2")
    copy = ec2.copy_image(
        SourceImageId=environment.latest(),
        SourceRegion="us-east-1",
        Name=f"a backup of {environment.name}",
        CopyImageTags=True,
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[copy], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    service.sweep()
    environment.must_build("two")
    service.sweep()
    (kept,) = ec2.describe_images(ImageIds=[copy])["Images"]
    snapshots = [kept["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]]
    assert ec2.describe_snapshots(SnapshotIds=snapshots)["Snapshots"][0]["State"] == "completed"


@pytest.mark.parametrize("value", ["not JSON", "{}", '{"ami_id": "ami-0123456789abcdef0"}'])
def test_metadata_corrupted_by_hand_is_repaired(
    service: Service, environment: Environment, value: str
) -> None:
    environment.must_build("one")
    latest, metadata = environment.latest(), environment.metadata()
    service.client("ssm").put_parameter(Name=f"{environment.prefix}/metadata", Value=value, Overwrite=True)
    known = environment.executions()
    assert len(concerning(service.sweep(), environment)) == 1
    assert not failures([environment.wait_for_execution(known)])
    assert environment.has_one_image() == latest
    repaired = environment.metadata()
    assert {key for key in metadata if repaired[key] != metadata[key]} <= {"reason"}


def test_latest_deleted_by_hand_is_published_again(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    service.client("ssm").delete_parameter(Name=f"{environment.prefix}/latest")
    known = environment.executions()
    assert len(concerning(service.sweep(), environment)) == 1
    assert not failures([environment.wait_for_execution(known)])
    assert environment.latest() is not None
    (image,) = service.client("ec2").describe_images(ImageIds=[environment.latest()])["Images"]
    assert image["State"] == "available"


def test_an_image_deregistered_by_hand_is_reported_and_built_again(
    service: Service, environment: Environment
) -> None:
    environment.must_build("one")
    gone = environment.has_one_image()
    service.client("ec2").deregister_image(ImageId=gone)
    known = environment.executions()
    findings = [each for each in service.sweep() if each["environment"] == environment.name]
    assert [(gone in each["finding"], each["repaired"]) for each in findings][:1] == [(True, False)]
    assert not failures([environment.wait_for_execution(known)])
    assert environment.has_one_image() != gone


def test_history_is_pruned_to_what_the_settings_keep(running: Running, service: Service) -> None:
    environment = running.service.environment("pruned")
    for revision in ("one", "two", "three"):
        environment.must_build(revision)
    latest = environment.has_one_image()
    assert len(environment.history()) == 6
    service.sweep()
    history = environment.history()
    assert len(history) == 2
    assert history[latest]["status"] == "live"
