"""Everything that could launch an image, each as the one thing that would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.world import World

Consumer = Callable[[World, str], None]
GROUP: dict[str, Any] = {
    "AutoScalingGroupName": "consumer",
    "MinSize": 0,
    "MaxSize": 1,
    "AvailabilityZones": ["us-east-1a"],
}


def _other(world: World) -> str:
    """An image that is not the product's."""
    return next(each for each in world.foreign if each.startswith("ami-"))


def _template(world: World, image: str, *, name: str = "consumer") -> dict[str, str]:
    """The old version of a template whose default and newest version has another image."""
    ec2 = world.client("ec2")
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": image})
    ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData={"ImageId": _other(world)})
    ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion="2")
    return {"LaunchTemplateName": name, "Version": "1"}


def _group(world: World, **source: Any) -> None:
    world.client("autoscaling").create_auto_scaling_group(**GROUP, **source)


def _by_number(world: World, image_id: str) -> None:
    _group(world, LaunchTemplate=_template(world, image_id))


def _by_override(world: World, image_id: str) -> None:
    base = _template(world, _other(world))
    override = {"InstanceType": "m5.large", "ImageId": image_id}
    template = {"LaunchTemplateSpecification": base, "Overrides": [override]}
    _group(world, MixedInstancesPolicy={"LaunchTemplate": template})


def _by_refresh(world: World, image_id: str) -> None:
    _group(world, LaunchTemplate=_template(world, _other(world), name="now"))
    desired = {"LaunchTemplate": _template(world, image_id)}
    world.client("autoscaling").start_instance_refresh(
        AutoScalingGroupName="consumer", DesiredConfiguration=desired
    )


def _by_launch_configuration(world: World, image_id: str) -> None:
    world.client("autoscaling").create_launch_configuration(
        LaunchConfigurationName="consumer", ImageId=image_id, InstanceType="m5.large"
    )


def _by_fleet(world: World, image_id: str) -> None:
    config = {"LaunchTemplateSpecification": _template(world, image_id)}
    world.client("ec2").create_fleet(
        LaunchTemplateConfigs=[config], TargetCapacitySpecification={"TotalTargetCapacity": 1}
    )


def _by_spot_fleet(world: World, image_id: str) -> None:
    specification = {"ImageId": image_id, "InstanceType": "m5.large"}
    config = {"IamFleetRole": "arn:aws:iam::123456789012:role/fleet", "TargetCapacity": 1}
    world.client("ec2").request_spot_fleet(
        SpotFleetRequestConfig={**config, "LaunchSpecifications": [specification]}
    )


def _by_spot_request(world: World, image_id: str) -> None:
    world.client("ec2").request_spot_instances(
        LaunchSpecification={"ImageId": image_id, "InstanceType": "m5.large"}, Type="persistent"
    )


def _by_text(world: World, image_id: str) -> None:
    world.client("ssm").put_parameter(Name="/consumer/ami", Value=image_id, Type="String")


def _by_alias(world: World, _image_id: str) -> None:
    version = world.client("ssm").get_parameter(Name=world.name("latest"))["Parameter"]["Version"]
    _template(world, f"resolve:ssm:{world.name('latest')}:{version}")


def _by_permission(world: World, image_id: str) -> None:
    world.client("ec2").modify_image_attribute(
        ImageId=image_id, LaunchPermission={"Add": [{"UserId": "210987654321"}]}
    )


CONSUMERS: Mapping[str, Consumer] = {
    "a version that a group names": _by_number,
    "an override of a group": _by_override,
    "an instance refresh": _by_refresh,
    "a launch configuration": _by_launch_configuration,
    "a fleet": _by_fleet,
    "a Spot Fleet request": _by_spot_fleet,
    "a Spot Instance request": _by_spot_request,
    "a parameter of data type text": _by_text,
    "an alias with a version": _by_alias,
    "a launch permission": _by_permission,
}
