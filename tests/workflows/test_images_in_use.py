"""An image that somebody uses stays, with its reason, until nobody does."""

from __future__ import annotations

from tests.workflows.service import Environment, Service


def test_an_image_that_a_launch_template_names_is_kept_with_its_reason(environment: Environment) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    template = environment.pin_by_launch_template()
    ended = environment.must_build("two")
    (decision,) = ended.output["decisions"]
    assert (decision["image_id"], decision["action"]) == (old, "keep")
    assert template in decision["reason"]
    record = environment.history()[old]
    assert record["status"] == "kept"
    assert template in record["status_reason"]
    left = environment.left()
    assert left.images[old] == environment.image_name
    assert left.images.keys() == {old, environment.latest()}
    assert (left.instances, left.claimed) == (frozenset(), False)


def test_a_build_meanwhile_leaves_the_used_image_alone(environment: Environment) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    environment.pin_by_launch_template()
    environment.must_build("two")
    second = environment.latest()
    environment.must_build("three")
    left = environment.left()
    assert left.images.keys() == {old, environment.latest()}
    assert environment.history()[str(second)]["status"] == "retired"


def test_usage_that_cannot_be_read_keeps_the_image(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    service.inject(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "DescribeImageReferences",
            "code": "UnsupportedOperation",
            "times": None,
        }
    )
    ended = environment.must_build("two")
    (decision,) = ended.output["decisions"]
    assert (decision["image_id"], decision["action"]) == (old, "keep")
    assert "could not be read" in decision["reason"]
    assert environment.left().images.keys() == {old, environment.latest()}


def test_an_image_shared_with_another_account_is_kept(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    service.client("ec2").modify_image_attribute(
        ImageId=old, LaunchPermission={"Add": [{"UserId": "210987654321"}]}
    )
    ended = environment.must_build("two")
    (decision,) = ended.output["decisions"]
    assert (decision["action"], "210987654321" in decision["reason"]) == ("keep", True)


def test_running_instances_keep_running_without_their_image(
    service: Service, environment: Environment
) -> None:
    environment.must_build("one")
    old = environment.has_one_image()
    ec2 = service.client("ec2")
    (fleet,) = ec2.run_instances(ImageId=old, InstanceType="m7i.large", MinCount=1, MaxCount=1)["Instances"]
    environment.must_build("two")
    environment.has_one_image()
    (reservation,) = ec2.describe_instances(InstanceIds=[fleet["InstanceId"]])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "running"
    ec2.terminate_instances(InstanceIds=[fleet["InstanceId"]])
