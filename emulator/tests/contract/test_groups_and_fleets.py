"""Auto Scaling groups, EC2 Fleets and Spot requests: what they would launch."""

from __future__ import annotations

from typing import Any

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused
from emulator.tests.contract.test_templates_and_references import template

from aws_emulator.auto_scaling import REFRESH_SECONDS

ZONES = ["us-east-1a"]
CAPACITY = {"TotalTargetCapacity": 1}


def group(account: Account, name: str = "web", /, **source: Any) -> str:
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=2, AvailabilityZones=ZONES, **source
    )
    return name


def described(account: Account, name: str = "web") -> dict[str, Any]:
    (found,) = account.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    return dict(found)


def test_a_group_shows_its_template_by_id_and_name_and_the_version_as_given(account: Account) -> None:
    """Auto Scaling API reference, LaunchTemplateSpecification: a version is optional."""
    template_id = template(account, ImageId=account.ubuntu)
    group(account, LaunchTemplate={"LaunchTemplateName": "fleet"})
    assert described(account)["LaunchTemplate"] == {
        "LaunchTemplateId": template_id,
        "LaunchTemplateName": "fleet",
    }
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="web", LaunchTemplate={"LaunchTemplateId": template_id, "Version": "$Latest"}
    )
    assert described(account)["LaunchTemplate"]["Version"] == "$Latest"


def test_a_group_needs_exactly_one_source_that_exists(account: Account) -> None:
    """Auto Scaling API reference, CreateAutoScalingGroup."""
    template_id = template(account, ImageId=account.ubuntu)
    without_image = template(account, "no-image")
    wrong: list[dict[str, Any]] = [
        {},
        {"LaunchTemplate": {"LaunchTemplateId": template_id}, "LaunchConfigurationName": "x"},
        {"LaunchConfigurationName": "nobody"},
        {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}},
        {"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "7"}},
        {"LaunchTemplate": {"LaunchTemplateId": without_image}},
        {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"ImageId": account.ubuntu}]}}},
    ]
    for source in wrong:
        with refused("ValidationError"):
            group(account, **source)
    group(account, LaunchTemplate={"LaunchTemplateId": template_id})
    with refused("AlreadyExists"):
        group(account, LaunchTemplate={"LaunchTemplateId": template_id})


def test_overrides_have_images_and_templates_of_their_own(account: Account) -> None:
    """Auto Scaling API reference, LaunchTemplateOverrides: ImageId, LaunchTemplateSpecification."""
    base = template(account, "base")
    other = template(account, "other", ImageId=account.ubuntu)
    overrides: list[dict[str, Any]] = [
        {"InstanceType": "m5.large", "ImageId": account.ubuntu},
        {
            "InstanceType": "m6i.large",
            "ImageId": account.ubuntu,
            "LaunchTemplateSpecification": {"LaunchTemplateId": other, "Version": "1"},
        },
    ]
    policy = {
        "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": base}, "Overrides": overrides}
    }
    group(account, MixedInstancesPolicy=policy)
    shown = described(account)["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [each["ImageId"] for each in shown] == [account.ubuntu] * 2
    assert shown[1]["LaunchTemplateSpecification"]["LaunchTemplateName"] == "other"
    overrides[0]["ImageId"] = "ami-0123456789abcdef0"
    with refused("ValidationError"):
        group(account, "mixed", MixedInstancesPolicy=policy)


def test_a_refresh_is_under_way_for_a_while_and_then_the_group_has_its_configuration(
    account: Account,
) -> None:
    """Auto Scaling API reference, StartInstanceRefresh: DesiredConfiguration."""
    template_id = template(account, ImageId=account.ubuntu)
    group(account, LaunchTemplate={"LaunchTemplateId": template_id, "Version": "1"})
    account.ec2.create_launch_template_version(
        LaunchTemplateId=template_id, SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.large"}
    )
    desired = {"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "2"}}
    start = {"AutoScalingGroupName": "web", "DesiredConfiguration": desired}
    account.autoscaling.start_instance_refresh(**start)
    with refused("InstanceRefreshInProgress"):
        account.autoscaling.start_instance_refresh(**start)
    assert described(account)["LaunchTemplate"]["Version"] == "1"
    account.advance(REFRESH_SECONDS)
    assert described(account)["LaunchTemplate"]["Version"] == "2"
    account.autoscaling.start_instance_refresh(AutoScalingGroupName="web")
    account.autoscaling.cancel_instance_refresh(AutoScalingGroupName="web")
    found = account.autoscaling.describe_instance_refreshes(AutoScalingGroupName="web")["InstanceRefreshes"]
    assert [each["Status"] for each in found] == ["Cancelled", "Successful"]
    assert [
        each.get("DesiredConfiguration", {}).get("LaunchTemplate", {}).get("Version") for each in found
    ] == [
        None,
        "2",
    ]
    with refused("ActiveInstanceRefreshNotFound"):
        account.autoscaling.cancel_instance_refresh(AutoScalingGroupName="web")
    account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="web")
    with refused("ValidationError"):
        account.autoscaling.describe_instance_refreshes(AutoScalingGroupName="web")


def test_a_group_for_which_nothing_is_launched_has_no_activities(account: Account) -> None:
    """Auto Scaling API reference, DescribeScalingActivities."""
    account.autoscaling.create_launch_configuration(
        LaunchConfigurationName="old", ImageId=account.ubuntu, InstanceType="m5.large"
    )
    group(account, LaunchConfigurationName="old")
    describe = account.autoscaling.describe_scaling_activities
    assert describe(AutoScalingGroupName="web")["Activities"] == describe()["Activities"] == []
    with refused("ValidationError"):
        describe(AutoScalingGroupName="nobody")
    assert describe(AutoScalingGroupName="nobody", IncludeDeletedGroups=True)["Activities"] == []


def test_groups_come_in_pages(account: Account) -> None:
    template_id = template(account, ImageId=account.ubuntu)
    for number in range(3):
        group(account, f"web-{number}", LaunchTemplate={"LaunchTemplateId": template_id})
    first = account.autoscaling.describe_auto_scaling_groups(MaxRecords=2)
    rest = account.autoscaling.describe_auto_scaling_groups(NextToken=first["NextToken"])
    names = [each["AutoScalingGroupName"] for page in (first, rest) for each in page["AutoScalingGroups"]]
    assert names == ["web-0", "web-1", "web-2"]
    with refused("InvalidNextToken"):
        account.autoscaling.describe_auto_scaling_groups(NextToken="mine")


def test_a_launch_configuration_in_use_is_not_deleted(account: Account) -> None:
    """Auto Scaling API reference, DeleteLaunchConfiguration: ResourceInUse."""
    create = {"LaunchConfigurationName": "old", "ImageId": account.ubuntu, "InstanceType": "m5.large"}
    account.autoscaling.create_launch_configuration(**create)
    with refused("AlreadyExists"):
        account.autoscaling.create_launch_configuration(**create)
    with refused("ValidationError"):
        account.autoscaling.create_launch_configuration(
            LaunchConfigurationName="other", ImageId="ami-0123456789abcdef0", InstanceType="m5.large"
        )
    group(account, LaunchConfigurationName="old")
    with refused("ResourceInUse"):
        account.autoscaling.delete_launch_configuration(LaunchConfigurationName="old")
    account.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="web")
    account.autoscaling.delete_launch_configuration(LaunchConfigurationName="old")
    assert account.autoscaling.describe_launch_configurations()["LaunchConfigurations"] == []


def fleet(account: Account, **config: Any) -> str:
    return str(
        account.ec2.create_fleet(LaunchTemplateConfigs=[config], TargetCapacitySpecification=CAPACITY)[
            "FleetId"
        ]
    )


def test_a_fleet_is_active_until_it_is_deleted_and_still_shown_then(account: Account) -> None:
    """EC2 API reference, CreateFleet: a version is needed; DescribeFleets."""
    specification = {"LaunchTemplateId": template(account, ImageId=account.ubuntu)}
    with refused("MissingParameter"):
        fleet(account, LaunchTemplateSpecification=specification)
    specification["Version"] = "$Latest"
    overrides = [{"InstanceType": "m5.large", "ImageId": account.ubuntu}]
    fleet_id = fleet(account, LaunchTemplateSpecification=specification, Overrides=overrides)
    for state in ("active", "deleted"):
        (found,) = account.ec2.describe_fleets()["Fleets"]
        assert (found["FleetId"], found["FleetState"], found["Type"]) == (fleet_id, state, "maintain")
        assert found["LaunchTemplateConfigs"][0]["Overrides"][0]["ImageId"] == account.ubuntu
        account.ec2.delete_fleets(FleetIds=[fleet_id], TerminateInstances=True)
    with refused("InvalidFleetId.NotFound"):
        account.ec2.describe_fleets(FleetIds=["fleet-0123456789abcdef0"])


def test_a_fleet_that_maintains_its_capacity_takes_no_parameters_name(account: Account) -> None:
    """EC2 user guide, Use a Systems Manager parameter instead of an AMI ID: only fleets of type instant."""
    account.ssm.put_parameter(
        Name="/ami/latest", Value=account.ubuntu, Type="String", DataType="aws:ec2:image"
    )
    account.advance(1)
    template_id = template(account, ImageId="resolve:ssm:/ami/latest")
    with refused("InvalidParameterValue"):
        fleet(account, LaunchTemplateSpecification={"LaunchTemplateId": template_id, "Version": "1"})


def test_a_spot_fleet_request_has_specifications_or_templates(account: Account) -> None:
    """EC2 API reference, SpotFleetRequestConfigData."""
    role = {"IamFleetRole": "arn:aws:iam::123456789012:role/fleet", "TargetCapacity": 1}
    with refused("InvalidSpotFleetRequestConfig"):
        account.ec2.request_spot_fleet(SpotFleetRequestConfig=role)
    specification = {"ImageId": account.ubuntu, "InstanceType": "m5.large"}
    request_id = account.ec2.request_spot_fleet(
        SpotFleetRequestConfig={**role, "LaunchSpecifications": [specification]}
    )["SpotFleetRequestId"]
    for state in ("active", "cancelled"):
        (found,) = account.ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
        assert found["SpotFleetRequestState"] == state
        assert found["SpotFleetRequestConfig"]["LaunchSpecifications"][0]["ImageId"] == account.ubuntu
        account.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[request_id], TerminateInstances=True)


def test_spot_requests_are_found_by_image_and_state(account: Account) -> None:
    """EC2 API reference, DescribeSpotInstanceRequests: the filters launch.image-id and state."""
    specification = {"ImageId": account.ubuntu, "InstanceType": "m5.large"}
    made = account.ec2.request_spot_instances(LaunchSpecification=specification, Type="persistent")
    request_id = made["SpotInstanceRequests"][0]["SpotInstanceRequestId"]

    def found(image_id: str, state: str) -> list[str]:
        filters = [{"Name": "launch.image-id", "Values": [image_id]}, {"Name": "state", "Values": [state]}]
        answer = account.ec2.describe_spot_instance_requests(Filters=filters)
        return [each["SpotInstanceRequestId"] for each in answer["SpotInstanceRequests"]]

    assert found(account.ubuntu, "open") == [request_id]
    assert found("ami-0123456789abcdef0", "open") == []
    account.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    assert found(account.ubuntu, "open") == []


def test_deleted_versions_are_gone_and_their_numbers_are_not_given_again(account: Account) -> None:
    """EC2 API reference, DeleteLaunchTemplateVersions; recorded calls: one bad number refuses the whole call."""
    template_id = template(account, ImageId=account.ubuntu)
    for _ in range(2):
        account.ec2.create_launch_template_version(
            LaunchTemplateId=template_id, LaunchTemplateData={"ImageId": account.ubuntu}
        )
    with refused("InvalidLaunchTemplateId.VersionNotFound"):
        account.ec2.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=["3", "9"])
    answer = account.ec2.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=["1", "3"])
    gone = [each["VersionNumber"] for each in answer["SuccessfullyDeletedLaunchTemplateVersions"]]
    kept = [each["VersionNumber"] for each in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]]
    assert (gone, kept) == ([3], [1])
    made = account.ec2.create_launch_template_version(
        LaunchTemplateId=template_id, LaunchTemplateData={"ImageId": account.ubuntu}
    )
    assert made["LaunchTemplateVersion"]["VersionNumber"] == 4


@pytest.mark.parametrize("operation", ["describe_policies", "describe_scheduled_actions"])
def test_what_is_not_emulated_is_refused(account: Account, operation: str) -> None:
    with refused("EmulatorUnsupportedOperation"):
        getattr(account.autoscaling, operation)()
