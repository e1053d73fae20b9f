"""Instance refreshes: their preferences, and the alarms that end them."""

from __future__ import annotations

from typing import Any

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused
from emulator.tests.contract.test_alarms import put, set_state

from aws_emulator.auto_scaling import REFRESH_SECONDS

LATEST = "/comfyui/ami/prod/latest"


@pytest.fixture
def fleet(account: Account) -> str:
    """A group whose launch template names an image by its id; the template's id."""
    return make_fleet(account, account.ubuntu)


def make_fleet(account: Account, image: str) -> str:
    data = {"ImageId": image, "InstanceType": "m5.large"}
    made = account.ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)
    template_id = str(made["LaunchTemplate"]["LaunchTemplateId"])
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        MinSize=0,
        MaxSize=4,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateId": template_id, "Version": "1"},
    )
    return template_id


def start(account: Account, **preferences: Any) -> None:
    account.autoscaling.start_instance_refresh(AutoScalingGroupName="web", Preferences=preferences)


def newest(account: Account) -> dict[str, Any]:
    found = account.autoscaling.describe_instance_refreshes(AutoScalingGroupName="web")
    return dict(found["InstanceRefreshes"][0])


@pytest.mark.usefixtures("fleet")
def test_preferences_are_kept(account: Account) -> None:
    """RefreshPreferences: the last checkpoint is 100 where all instances are to be replaced."""
    asked = {"MinHealthyPercentage": 0, "CheckpointPercentages": [1, 50, 100], "CheckpointDelay": 172_800}
    start(account, **asked)
    assert newest(account)["Preferences"] == asked
    account.advance(REFRESH_SECONDS)
    assert newest(account)["Status"] == "Successful"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    "preferences",
    [
        {"MinHealthyPercentage": 101},
        {"CheckpointPercentages": []},
        {"CheckpointPercentages": [50, 20]},
        {"CheckpointPercentages": [50, 50]},
        {"CheckpointPercentages": [0, 100]},
        {"CheckpointPercentages": [50, 101]},
        {"CheckpointDelay": 60},
        {"CheckpointPercentages": [100], "CheckpointDelay": 172_801},
        {"AlarmSpecification": {"Alarms": [f"alarm-{number}" for number in range(11)]}},
    ],
)
def test_what_auto_scaling_does_not_take_is_refused(account: Account, preferences: dict[str, Any]) -> None:
    """EC2 Auto Scaling API reference, RefreshPreferences, AlarmSpecification."""
    with refused("ValidationError"):
        start(account, **preferences)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("name", ["SkipMatching", "BakeTime", "InstanceWarmup", "MaxHealthyPercentage"])
def test_what_is_not_emulated_is_refused(account: Account, name: str) -> None:
    with refused("EmulatorUnsupportedParameter"):
        start(account, **{name: 100 if name != "SkipMatching" else True})


@pytest.mark.usefixtures("fleet")
def test_an_alarm_ends_the_refresh_that_watches_it(account: Account, cloudwatch: Any) -> None:
    """EC2 Auto Scaling user guide, Undo changes with a rollback: if any CloudWatch alarms go into the ALARM state."""
    put(cloudwatch)
    put(cloudwatch, "others")
    start(account, AlarmSpecification={"Alarms": ["errors"]})
    set_state(cloudwatch, "ALARM", "others")
    set_state(cloudwatch, "OK")
    assert newest(account)["Status"] == "InProgress"
    set_state(cloudwatch, "ALARM")
    assert (newest(account)["Status"], "errors" in newest(account)["StatusReason"]) == ("Failed", True)
    account.advance(REFRESH_SECONDS)
    assert newest(account)["Status"] == "Failed"
    with refused("ActiveInstanceRefreshNotFound"):
        account.autoscaling.cancel_instance_refresh(AutoScalingGroupName="web")
    start(account)
    assert newest(account)["Status"] == "InProgress"


def test_a_rollback_needs_a_desired_configuration_of_a_numbered_version(account: Account, fleet: str) -> None:
    """RefreshPreferences, AutoRollback: the situations in which a rollback is not supported."""
    with refused("ValidationError") as refusal:
        start(account, AutoRollback=True)
    assert "DesiredConfiguration parameter is empty" in refusal.message
    for version in ("$Latest", "$Default"):
        desired = {"LaunchTemplate": {"LaunchTemplateId": fleet, "Version": version}}
        with refused("ValidationError"):
            account.autoscaling.start_instance_refresh(
                AutoScalingGroupName="web", DesiredConfiguration=desired, Preferences={"AutoRollback": True}
            )
    roll_out(account, {"LaunchTemplate": {"LaunchTemplateId": fleet, "Version": "1"}}, AutoRollback=True)


def roll_out(account: Account, desired: dict[str, Any], **preferences: Any) -> None:
    account.autoscaling.start_instance_refresh(
        AutoScalingGroupName="web", DesiredConfiguration=desired, Preferences=preferences
    )


def mixed(template_id: str, version: str, *overrides: dict[str, Any]) -> dict[str, Any]:
    base = {"LaunchTemplateId": template_id, "Version": version}
    template = {"LaunchTemplateSpecification": base, "Overrides": list(overrides)}
    return {"MixedInstancesPolicy": {"LaunchTemplate": template}}


def test_a_rollback_needs_a_numbered_version_in_a_mixed_instances_policy_too(
    account: Account, fleet: str
) -> None:
    """EC2 Auto Scaling user guide, Undo changes with a rollback, Considerations: a specific numbered version."""
    latest = {"LaunchTemplateSpecification": {"LaunchTemplateId": fleet, "Version": "$Latest"}}
    for desired in (mixed(fleet, "$Latest"), mixed(fleet, "1", {"InstanceType": "m5.large", **latest})):
        with refused("ValidationError"):
            roll_out(account, desired, AutoRollback=True)
    roll_out(account, mixed(fleet, "1", {"InstanceType": "m5.large"}), AutoRollback=True)


def test_a_template_that_is_not_there_is_refused_as_such(account: Account, fleet: str) -> None:
    """As without AutoRollback."""
    desired = {"LaunchTemplate": {"LaunchTemplateId": fleet, "Version": "7"}}
    with refused("ValidationError") as refusal:
        roll_out(account, desired, AutoRollback=True)
    assert "valid fully-formed launch template" in refusal.message


def test_an_alarm_rolls_back_a_refresh_that_asks_for_it(
    account: Account, fleet: str, cloudwatch: Any
) -> None:
    """EC2 Auto Scaling API reference, InstanceRefresh, Status; CancelInstanceRefresh: a refresh or rollback."""
    put(cloudwatch)
    desired = {"LaunchTemplate": {"LaunchTemplateId": fleet, "Version": "1"}}
    watching = {"AutoRollback": True, "AlarmSpecification": {"Alarms": ["errors"]}}
    roll_out(account, desired, **watching)
    account.advance(REFRESH_SECONDS - 10)
    set_state(cloudwatch, "ALARM")
    account.advance(20)
    assert (newest(account)["Status"], "errors" in newest(account)["StatusReason"]) == (
        "RollbackInProgress",
        True,
    )
    with refused("InstanceRefreshInProgress"):
        start(account)
    account.advance(REFRESH_SECONDS)
    assert newest(account)["Status"] == "RollbackSuccessful"
    set_state(cloudwatch, "OK")
    roll_out(account, desired, **watching)
    set_state(cloudwatch, "ALARM")
    account.autoscaling.cancel_instance_refresh(AutoScalingGroupName="web")
    account.advance(REFRESH_SECONDS)
    assert newest(account)["Status"] == "Cancelled"


def test_a_template_that_names_a_parameter_is_not_rolled_back(account: Account) -> None:
    """RefreshPreferences, AutoRollback: a launch template that uses a parameter instead of an AMI ID."""
    account.ssm.put_parameter(Name=LATEST, Value=account.ubuntu, Type="String", DataType="aws:ec2:image")
    account.advance(5)
    template_id = make_fleet(account, f"resolve:ssm:{LATEST}")
    desired = {"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "1"}}
    with refused("ValidationError") as refusal:
        account.autoscaling.start_instance_refresh(
            AutoScalingGroupName="web", DesiredConfiguration=desired, Preferences={"AutoRollback": True}
        )
    assert "names a parameter" in refusal.message
