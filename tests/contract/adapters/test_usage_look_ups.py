"""Each thing that could launch an image keeps it, and frees it again: on the emulated account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.test_images_contract import available_image
from tests.fakes import FakeClock

from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.domain.model import ImageUse, UsageKind

ZONES = ["us-east-1a"]
ROLE = "arn:aws:iam::123456789012:role/fleet"
Launch = Callable[[EmulatedRig, str], Callable[[], Any]]


def uses_of(rig: EmulatedRig, image_id: str, *paths: str) -> list[ImageUse]:
    (usage,) = rig.usage.usage_of([image_id], paths) if paths else rig.usage.usage_of([image_id])
    return list(usage.uses)


def protecting(uses: list[ImageUse]) -> list[UsageKind]:
    return [use.kind for use in uses if use.kind is not UsageKind.OLD_TEMPLATE_VERSION]


def template(rig: EmulatedRig, *images: str, name: str = "") -> str:
    """A template with one version for each image; the first stays the default."""
    ec2, name = rig.account.client("ec2"), name or rig.name
    data = [{"ImageId": image, "InstanceType": "m5.large"} for image in images]
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data[0])
    for each in data[1:]:
        ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=each)
    return name


def old_version(rig: EmulatedRig, image_id: str) -> str:
    """A template whose first version has the image, and whose default and latest has another."""
    name = template(rig, image_id, rig.base_image_id)
    rig.account.client("ec2").modify_launch_template(LaunchTemplateName=name, DefaultVersion="2")
    return name


def a_group(rig: EmulatedRig, **source: Any) -> Callable[[], Any]:
    autoscaling = rig.account.client("autoscaling")
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=rig.name, MinSize=0, MaxSize=1, AvailabilityZones=ZONES, **source
    )
    return lambda: autoscaling.delete_auto_scaling_group(AutoScalingGroupName=rig.name)


def mixed(rig: EmulatedRig, *overrides: dict[str, Any]) -> dict[str, Any]:
    base = {"LaunchTemplateName": template(rig, rig.base_image_id, name=f"{rig.name}-base")}
    return {"LaunchTemplate": {"LaunchTemplateSpecification": base, "Overrides": list(overrides)}}


def by_number(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    name = old_version(rig, image_id)
    return a_group(rig, LaunchTemplate={"LaunchTemplateName": name, "Version": "1"})


def by_override(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return a_group(rig, MixedInstancesPolicy=mixed(rig, {"InstanceType": "m5.large", "ImageId": image_id}))


def by_template_of_override(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    specification = {"LaunchTemplateName": old_version(rig, image_id), "Version": "1"}
    override = {"InstanceType": "m5.large", "LaunchTemplateSpecification": specification}
    return a_group(rig, MixedInstancesPolicy=mixed(rig, override))


def refreshing(rig: EmulatedRig, desired: dict[str, Any]) -> Callable[[], Any]:
    autoscaling = rig.account.client("autoscaling")
    base = template(rig, rig.base_image_id, name=f"{rig.name}-now")
    end = a_group(rig, LaunchTemplate={"LaunchTemplateName": base})
    autoscaling.start_instance_refresh(AutoScalingGroupName=rig.name, DesiredConfiguration=desired)
    rig.account.faults.clear()

    def cancel() -> None:
        autoscaling.cancel_instance_refresh(AutoScalingGroupName=rig.name)
        assert protecting(uses_of(rig, rig.base_image_id)), "the group has what it had"
        end()

    return cancel


def by_refresh(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    specification = {"LaunchTemplateName": old_version(rig, image_id), "Version": "1"}
    return refreshing(rig, {"LaunchTemplate": specification})


def by_override_of_refresh(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    policy = mixed(rig, {"InstanceType": "m5.large", "ImageId": image_id})
    return refreshing(rig, {"MixedInstancesPolicy": policy})


def by_launch_configuration(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    autoscaling = rig.account.client("autoscaling")
    rig.use(image_id, UsageKind.LAUNCH_CONFIGURATION)
    return lambda: autoscaling.delete_launch_configuration(LaunchConfigurationName=rig.name)


def a_fleet(rig: EmulatedRig, config: dict[str, Any]) -> Callable[[], Any]:
    ec2 = rig.account.client("ec2")
    made = ec2.create_fleet(
        LaunchTemplateConfigs=[config], TargetCapacitySpecification={"TotalTargetCapacity": 1}
    )
    return lambda: ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)


def by_fleet(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    specification = {"LaunchTemplateName": old_version(rig, image_id), "Version": "1"}
    return a_fleet(rig, {"LaunchTemplateSpecification": specification})


def by_override_of_fleet(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    specification = {"LaunchTemplateName": template(rig, rig.base_image_id), "Version": "$Latest"}
    overrides = [{"InstanceType": "m5.large", "ImageId": image_id}]
    return a_fleet(rig, {"LaunchTemplateSpecification": specification, "Overrides": overrides})


def a_spot_fleet(rig: EmulatedRig, **config: Any) -> Callable[[], Any]:
    ec2 = rig.account.client("ec2")
    made = ec2.request_spot_fleet(
        SpotFleetRequestConfig={"IamFleetRole": ROLE, "TargetCapacity": 1, **config}
    )
    ids = [made["SpotFleetRequestId"]]
    return lambda: ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=ids, TerminateInstances=True)


def by_spot_fleet(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return a_spot_fleet(rig, LaunchSpecifications=[{"ImageId": image_id, "InstanceType": "m5.large"}])


def by_template_of_spot_fleet(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    specification = {"LaunchTemplateName": old_version(rig, image_id), "Version": "1"}
    return a_spot_fleet(rig, LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification}])


def by_spot_request(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    ec2 = rig.account.client("ec2")
    made = ec2.request_spot_instances(
        LaunchSpecification={"ImageId": image_id, "InstanceType": "m5.large"}, Type="persistent"
    )
    ids = [made["SpotInstanceRequests"][0]["SpotInstanceRequestId"]]
    return lambda: ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)


def put(rig: EmulatedRig, name: str, value: str, **more: Any) -> Callable[[], Any]:
    ssm = rig.account.client("ssm")
    ssm.put_parameter(Name=name, Value=value, **{"Type": "String", **more})
    rig.account.clock.advance(30)
    return lambda: ssm.delete_parameter(Name=name)


def by_text(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return put(rig, f"/{rig.name}/ami_id", image_id)


def by_text_without_a_path(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return put(rig, f"{rig.name}-ami", image_id)


def by_list(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return put(rig, f"/{rig.name}/images", f"{rig.base_image_id},{image_id}", Type="StringList")


def by_json(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return put(rig, f"/{rig.name}/config", f'{{"worker": {{"ami": "{image_id}"}}}}')


def by_typed_parameter(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    return put(rig, f"/{rig.name}/typed", image_id, DataType="aws:ec2:image")


def by_pinned_alias(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    """Version 1 of the parameter is launched by number; its newest version names another image."""
    ssm, ec2 = rig.account.client("ssm"), rig.account.client("ec2")
    typed = {"Type": "String", "DataType": "aws:ec2:image"}
    name = f"/{rig.name}/moving"
    put(rig, name, image_id, **typed)
    put(rig, name, rig.base_image_id, Overwrite=True, **typed)
    template_name = template(rig, f"resolve:ssm:{name}:1", rig.base_image_id)
    ec2.modify_launch_template(LaunchTemplateName=template_name, DefaultVersion="2")

    def end() -> None:
        ec2.delete_launch_template_versions(LaunchTemplateName=template_name, Versions=["1"])
        ssm.delete_parameter(Name=name)

    return end


def by_labelled_alias(rig: EmulatedRig, image_id: str) -> Callable[[], Any]:
    ssm, ec2 = rig.account.client("ssm"), rig.account.client("ec2")
    typed = {"Type": "String", "DataType": "aws:ec2:image"}
    name = f"/{rig.name}/labelled"
    put(rig, name, image_id, **typed)
    ssm.label_parameter_version(Name=name, ParameterVersion=1, Labels=["stable"])
    put(rig, name, rig.base_image_id, Overwrite=True, **typed)
    template_name = template(rig, f"resolve:ssm:{name}:stable", rig.base_image_id)
    ec2.modify_launch_template(LaunchTemplateName=template_name, DefaultVersion="2")
    return lambda: ec2.delete_launch_template_versions(LaunchTemplateName=template_name, Versions=["1"])


EVERYTHING: dict[Launch, UsageKind] = {
    by_number: UsageKind.LAUNCH_TEMPLATE,
    by_override: UsageKind.AUTO_SCALING_GROUP,
    by_template_of_override: UsageKind.LAUNCH_TEMPLATE,
    by_refresh: UsageKind.LAUNCH_TEMPLATE,
    by_override_of_refresh: UsageKind.INSTANCE_REFRESH,
    by_launch_configuration: UsageKind.LAUNCH_CONFIGURATION,
    by_fleet: UsageKind.LAUNCH_TEMPLATE,
    by_override_of_fleet: UsageKind.FLEET,
    by_spot_fleet: UsageKind.SPOT_FLEET,
    by_template_of_spot_fleet: UsageKind.LAUNCH_TEMPLATE,
    by_spot_request: UsageKind.SPOT_REQUEST,
    by_text: UsageKind.PARAMETER,
    by_text_without_a_path: UsageKind.PARAMETER,
    by_list: UsageKind.PARAMETER,
    by_json: UsageKind.PARAMETER,
    by_typed_parameter: UsageKind.PARAMETER,
    by_pinned_alias: UsageKind.LAUNCH_TEMPLATE,
    by_labelled_alias: UsageKind.LAUNCH_TEMPLATE,
}


@pytest.mark.parametrize("launch", EVERYTHING, ids=lambda launch: str(launch.__name__))
def test_what_could_launch_an_image_keeps_it_until_it_is_gone(emulated: EmulatedRig, launch: Launch) -> None:
    image_id = available_image(emulated)
    end = launch(emulated, image_id)
    assert protecting(uses_of(emulated, image_id)) == [EVERYTHING[launch]]
    end()
    emulated.account.clock.advance(30)
    assert protecting(uses_of(emulated, image_id)) == []


def test_old_versions_are_reported_however_many_there_are(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    name = template(emulated, *[image_id] * 12, *[emulated.base_image_id] * 3)
    ec2 = emulated.account.client("ec2")
    ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion="15")
    (use,) = uses_of(emulated, image_id)
    assert use.kind is UsageKind.OLD_TEMPLATE_VERSION
    assert f"({name}), versions 1, 2, 3, 4, 5 and 7 more" in use.resource
    ec2.delete_launch_template_versions(
        LaunchTemplateName=name, Versions=[str(number) for number in range(1, 13)]
    )
    assert uses_of(emulated, image_id) == []


def test_a_new_default_version_frees_the_image(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    name = template(emulated, image_id)
    (use,) = uses_of(emulated, image_id)
    assert (
        "which is $Latest and $Default: add a version with another image and make it the default"
        in use.resource
    )
    ec2 = emulated.account.client("ec2")
    ec2.create_launch_template_version(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": emulated.base_image_id}
    )
    (use,) = uses_of(emulated, image_id)
    assert "which is $Default: make another version the default" in use.resource
    ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion="2")
    assert protecting(uses_of(emulated, image_id)) == []


def test_parameters_are_read_below_the_paths_that_are_asked_for(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    by_text(emulated, image_id)
    by_text_without_a_path(emulated, image_id)
    own = f"/{emulated.name}"
    assert len(uses_of(emulated, image_id)) == 2
    assert [use.resource.rpartition("parameter")[2] for use in uses_of(emulated, image_id, own)] == [
        f"{own}/ami_id"
    ]
    assert uses_of(emulated, image_id, f"{own}/elsewhere") == []
    (usage,) = emulated.usage.usage_of([image_id], ())
    assert usage.uses == ()


def test_a_secret_is_not_read_and_a_longer_id_is_another(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    put(emulated, f"/{emulated.name}/secret", image_id, Type="SecureString")
    put(emulated, f"/{emulated.name}/longer", f"{image_id}0 x{image_id}")
    put(emulated, f"/{emulated.name}/ami/prod/metadata", image_id)
    assert [use.resource.rpartition("/")[2] for use in uses_of(emulated, image_id)] == []


def test_what_has_gone_since_it_was_named_launches_nothing(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    by_number(emulated, image_id)
    emulated.account.client("ec2").delete_launch_template(LaunchTemplateName=emulated.name)
    assert uses_of(emulated, image_id) == []


ACTIONS = {
    "autoscaling": (
        "DescribeAutoScalingGroups",
        "DescribeInstanceRefreshes",
        "DescribeLaunchConfigurations",
    ),
    "ec2": (
        "DescribeFleets",
        "DescribeImageAttribute",
        "DescribeImageReferences",
        "DescribeInstances",
        "DescribeLaunchTemplateVersions",
        "DescribeSpotFleetRequests",
        "DescribeSpotInstanceRequests",
    ),
    "ssm": ("DescribeParameters", "GetParameters"),
}


@pytest.mark.parametrize(
    ("service", "operation"), [(service, name) for service, names in ACTIONS.items() for name in names]
)
def test_each_look_up_that_fails_makes_the_use_unknown(
    emulated: EmulatedRig, service: str, operation: str
) -> None:
    image_id = available_image(emulated)
    by_number(emulated, image_id)
    put(emulated, f"/{emulated.name}/something", "else")
    emulated.account.faults.add(
        {"kind": "error", "service": service, "operation": operation, "code": "SomethingNew", "times": None}
    )
    unknown = [use for use in uses_of(emulated, image_id) if use.kind is UsageKind.UNKNOWN]
    assert [operation in use.resource for use in unknown] == [True]


def test_an_alias_that_may_not_be_read_makes_the_use_unknown(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    name = f"/{emulated.name}/moving"
    put(emulated, name, emulated.base_image_id, DataType="aws:ec2:image")
    template(emulated, f"resolve:ssm:{name}")
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "ssm",
            "operation": "GetParameters",
            "match": {"Names.0": name},
            "code": "AccessDeniedException",
            "times": 2,
        }
    )
    (use,) = uses_of(emulated, image_id, "/nothing")
    assert use.kind is UsageKind.UNKNOWN
    assert f"could not read what resolve:ssm:{name} names, for launch template" in use.resource


def test_a_look_up_whose_time_is_over_makes_the_use_unknown(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    clock, account = FakeClock(), emulated.account
    usage = AwsImageUsage(
        account.client("ec2"),
        account.client("autoscaling"),
        account.client("ssm"),
        clock=clock,
        deadline=clock.now() + timedelta(seconds=30),
    )
    (found,) = usage.usage_of([image_id])
    assert {use.kind for use in found.uses} == {UsageKind.UNKNOWN}
    assert all("was not read to its end within its time" in use.resource for use in found.uses)


def calls_since(rig: EmulatedRig, before: int) -> list[str]:
    names = {name for names in ACTIONS.values() for name in names}
    return [call.operation for call in rig.account.calls.since(before) if call.operation in names]


def test_the_number_of_calls_does_not_grow_with_the_images(emulated: EmulatedRig) -> None:
    images = [f"ami-{number:017x}" for number in range(1, 51)]
    counts = []
    for asked in (images[:1], images):
        before = emulated.account.calls.since()[-1].number
        emulated.usage.usage_of(asked)
        made = calls_since(emulated, before)
        counts.append({name: made.count(name) for name in set(made)})
    one, fifty = counts
    assert fifty.pop("DescribeImageReferences") == 5
    assert fifty.pop("DescribeImageAttribute") == 50
    assert (one.pop("DescribeImageReferences"), one.pop("DescribeImageAttribute")) == (1, 1)
    assert fifty == one
