"""The observers find each broken promise, name the call, and leave people's own doings alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from emulator.tests.contract.account import Account
from greenlet import greenlet

from ami_lifecycle_testbed.observers import Observers
from ami_lifecycle_testbed.observers.account_view import AccountView, Settings, Source, Workings
from aws_emulator.api.operations import ApiError

FUNCTION = "function"
LATEST = "/comfyui/ami/prod/latest"
DIGEST = "sha256:" + "1" * 64
EXECUTION = "ami-lifecycle:execution"
Gates = Mapping[str, Callable[[str, Mapping[str, str]], bool]]
LOOK_UPS: dict[str, dict[str, Any]] = {
    "DescribeImageReferences": {"IncludeAllResourceTypes": True},
    "DescribeInstances": {},
    "DescribeLaunchTemplateVersions": {"Versions": ["$Latest"]},
    "DescribeFleets": {},
    "DescribeSpotFleetRequests": {},
    "DescribeSpotInstanceRequests": {},
}


class Watched:
    """An account with observers; `act` is what the stack does, `account` is in the hands of a person."""

    def __init__(
        self, account: Account, gates: Gates | None = None, soaks: Mapping[str, timedelta] | None = None
    ) -> None:
        self.account = account
        self.items: dict[str, dict[str, Any]] = {}
        self.running: set[str] = set()
        self.package_lists: list[str] = []
        view = AccountView(
            account.state,
            account.auto_scaling,
            account.store,
            account.run_command,
            account.registry,
            account.clock.elapsed,
            Settings("comfyui", sources={"prod": Source("comfyui", "prod-latest")}, soaks=soaks or {}),
            Workings(
                lambda: self.items,
                self.running.__contains__,
                "arn:forced".__eq__,
                gates or {},
                lambda: self.package_lists,
            ),
        )
        self.observers = Observers(view, FUNCTION.__eq__)
        self.observers.attach(account.gateway)
        account.state.bus.taps.append(self.observers.notice_event)

    def act(self, operation: str, service: str = "ec2", **parameters: Any) -> dict[str, Any]:
        return self.account.gateway.call(service, operation, parameters, FUNCTION)

    def write_latest(self, image_id: str) -> None:
        self.act(
            "PutParameter",
            "ssm",
            Name=LATEST,
            Value=image_id,
            Type="String",
            DataType="aws:ec2:image",
            Overwrite=True,
        )
        self.account.advance(1)

    def verify(self, image_id: str) -> None:
        """Have Run Command report that the document VerifyImage succeeded on an instance of the image."""
        instance_id = self.account.running(ImageId=image_id)
        detail = {"document-name": "stack-VerifyImage", "instance-id": instance_id, "status": "Success"}
        self.account.state.bus.emit("aws.ssm", "EC2 Command Invocation Status-change Notification", detail)

    def look_up_uses(self, image_id: str) -> None:
        for operation, more in LOOK_UPS.items():
            ids = {"ImageIds": [image_id]} if operation == "DescribeImageReferences" else {}
            self.act(operation, **ids, **more)
        self.act("DescribeImageAttribute", ImageId=image_id, Attribute="launchPermission")
        for operation in ("DescribeAutoScalingGroups", "DescribeLaunchConfigurations"):
            self.act(operation, "autoscaling")
        for name in self.account.auto_scaling.groups:
            self.act("DescribeInstanceRefreshes", "autoscaling", AutoScalingGroupName=name)
        self.act("DescribeParameters", "ssm")

    def found(self) -> list[tuple[str, str]]:
        return [(each.promise, each.what) for each in self.observers.violations.all()]


@pytest.fixture
def watched(account: Account) -> Watched:
    return Watched(account)


def tags(**changes: str) -> list[dict[str, Any]]:
    values = {"application": "comfyui", "environment": "prod", "execution": "arn:run", **changes}
    return [{"Key": f"ami-lifecycle:{key}", "Value": value} for key, value in values.items()]


def specifications(*kinds: str, **changes: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(**changes)} for kind in kinds]


def own_image(watched: Watched, name: str = "comfyui-multitenant-prod", **changes: str) -> str:
    """An available image that the stack has made."""
    instance_id = watched.account.stopped(TagSpecifications=specifications("instance", "volume"))
    image_id = watched.act(
        "CreateImage",
        InstanceId=instance_id,
        Name=name,
        TagSpecifications=specifications("image", "snapshot", **changes),
    )["ImageId"]
    watched.account.advance(watched.account.durations.image)
    return str(image_id)


def verified_image(watched: Watched, name: str = "comfyui-multitenant-prod") -> str:
    image_id = own_image(watched, name)
    watched.verify(image_id)
    return image_id


def put_record(watched: Watched, image_id: str, status: str) -> None:
    watched.act(
        "PutParameter",
        "ssm",
        Name=f"/comfyui/ami/prod/history/{image_id}",
        Value=json.dumps({"ami_id": image_id, "status": status}),
        Type="String",
        Overwrite=True,
    )
    watched.account.advance(1)


def at_rest(watched: Watched) -> list[tuple[str, str]]:
    return [(each.promise, each.what) for each in watched.observers.check_at_rest()]


def test_a_verified_available_image_in_latest_breaks_nothing(watched: Watched) -> None:
    watched.write_latest(verified_image(watched))
    assert watched.found() == []


def test_p1_latest_names_an_image_that_the_stack_deregistered(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    watched.act("DeregisterImage", ImageId=image_id)
    assert ("P1", f"{LATEST} names {image_id}, which does not exist") in watched.found()
    (violation,) = [each for each in watched.observers.violations.all() if each.promise == "P1"]
    assert violation.cause == f"function ec2:DeregisterImage(ImageId={image_id})"


def test_p1_latest_is_gone(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    watched.act("DeleteParameter", "ssm", Name=LATEST)
    assert ("P1", f"{LATEST} is gone; it named {image_id}") in watched.found()


def test_p1_an_image_that_was_there_before_anybody_watched_stays_in_latest(account: Account) -> None:
    earlier = Watched(account)
    image_id = verified_image(earlier)
    earlier.write_latest(image_id)
    watched = Watched(account)
    watched.act("DeregisterImage", ImageId=image_id)
    assert ("P1", f"{LATEST} names {image_id}, which does not exist") in watched.found()


def test_p1_an_image_that_a_person_has_published_stays_in_latest(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.account.ssm.put_parameter(Name=LATEST, Value=image_id, Type="String", DataType="aws:ec2:image")
    watched.account.advance(1)
    watched.act("DescribeImages", Owners=["self"])
    watched.act("DeregisterImage", ImageId=image_id)
    assert ("P1", f"{LATEST} names {image_id}, which does not exist") in watched.found()


def test_p1_latest_names_an_image_of_another_environment(watched: Watched) -> None:
    image_id = own_image(watched, environment="dev")
    watched.verify(image_id)
    watched.write_latest(image_id)
    assert watched.found() == [("P1", f"{LATEST} names {image_id}, which is of dev")]


def test_p1_is_not_broken_by_a_person_who_removes_the_image(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    watched.account.ec2.deregister_image(ImageId=image_id)
    watched.account.clock.advance(60)
    assert watched.found() == []


def test_p1_is_not_broken_by_a_persons_write_that_shows_late(watched: Watched) -> None:
    watched.write_latest(verified_image(watched))
    other = own_image(watched, "comfyui-multitenant-dev", environment="dev")
    watched.account.ssm.put_parameter(Name=LATEST, Value=other, DataType="aws:ec2:image", Overwrite=True)
    watched.act("DescribeImages", Owners=["self"])
    watched.account.advance(1)
    watched.act("DescribeImages", Owners=["self"])
    assert watched.account.ssm.get_parameter(Name=LATEST)["Parameter"]["Value"] == other
    assert watched.found() == []


def test_p2_an_image_that_was_not_verified_is_published(watched: Watched) -> None:
    image_id = own_image(watched)
    watched.write_latest(image_id)
    assert watched.found() == [("P2", f"{LATEST} names {image_id}, which was not verified")]


def test_p2_disks_that_were_verified_for_another_environment_count_as_unverified(watched: Watched) -> None:
    source = own_image(watched, "comfyui-multitenant-dev", environment="dev")
    watched.verify(source)
    promoted = watched.act(
        "RegisterImage",
        Name="comfyui-multitenant-prod",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": watched.account.snapshot_of(source)}}
        ],
        TagSpecifications=specifications("image"),
    )["ImageId"]
    watched.account.advance(60)
    watched.write_latest(promoted)
    assert watched.found() == [("P2", f"{LATEST} names {promoted}, which was not verified")]


def test_p3_an_image_has_lost_what_it_is_made_of(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    put_record(watched, image_id, "live")
    snapshot_id = watched.account.snapshot_of(image_id)
    # AWS refuses this to everybody, and so does the emulator.
    del watched.account.state.snapshots[snapshot_id]
    watched.observers.check_at_rest()
    assert ("P3", f"{image_id} has lost {snapshot_id}, which it is made of") in watched.found()


def test_p2_a_copy_of_verified_disks_counts_as_verified(watched: Watched) -> None:
    image_id = verified_image(watched)
    copy_id = watched.account.register(watched.account.snapshot_of(image_id), "copy")
    watched.write_latest(copy_id)
    assert watched.found() == []


def test_p3_an_image_that_a_launch_template_names_is_deregistered(watched: Watched) -> None:
    image_id = verified_image(watched)
    template = watched.account.ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": image_id}
    )["LaunchTemplate"]["LaunchTemplateId"]
    watched.look_up_uses(image_id)
    watched.act("DeregisterImage", ImageId=image_id)
    what = f"{image_id} was deregistered while it is used: launch template {template} version 1"
    assert watched.found() == [("P3", what)]


@pytest.mark.parametrize(
    ("seconds", "replaces", "found"),
    [(3_599, True, ["P3"]), (3_700, True, []), (60, False, [])],
)
def test_what_a_publication_has_replaced_is_used_while_that_soaks(
    account: Account, *, seconds: int, replaces: bool, found: list[str]
) -> None:
    watched = Watched(account, soaks={"prod": timedelta(hours=1)})
    old, new = verified_image(watched, "old"), verified_image(watched, "new")
    since = f"{account.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    record = {"ami_id": new, "replaces": old if replaces else None, "soaking_since": since, "status": "live"}
    name = f"/comfyui/ami/prod/history/{new}"
    watched.act("PutParameter", "ssm", Name=name, Value=json.dumps(record), Type="String", Overwrite=True)
    watched.write_latest(new)
    account.advance(seconds - 10)
    watched.look_up_uses(old)
    watched.act("DeregisterImage", ImageId=old)
    assert [promise for promise, _ in watched.found()] == found


def _by_override_of_group(watched: Watched, image_id: str, template_id: str) -> None:
    override = {"InstanceType": "m5.large", "ImageId": image_id}
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": template_id, "Version": "2"},
            "Overrides": [override],
        }
    }
    group = {"AutoScalingGroupName": "web", "MinSize": 0, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}
    watched.account.autoscaling.create_auto_scaling_group(**group, MixedInstancesPolicy=policy)


def _by_number(watched: Watched, template_id: str, version: str) -> None:
    group = {"AutoScalingGroupName": "web", "MinSize": 0, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}
    template = {"LaunchTemplateId": template_id, "Version": version}
    watched.account.autoscaling.create_auto_scaling_group(**group, LaunchTemplate=template)


def _by_refresh(watched: Watched, _image_id: str, template_id: str) -> None:
    _by_number(watched, template_id, "2")
    desired = {"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "1"}}
    watched.account.autoscaling.start_instance_refresh(
        AutoScalingGroupName="web", DesiredConfiguration=desired
    )


def _by_launch_configuration(watched: Watched, image_id: str, _template_id: str) -> None:
    watched.account.autoscaling.create_launch_configuration(
        LaunchConfigurationName="old", ImageId=image_id, InstanceType="m5.large"
    )


def _by_fleet(watched: Watched, _image_id: str, template_id: str) -> None:
    config = {"LaunchTemplateSpecification": {"LaunchTemplateId": template_id, "Version": "1"}}
    watched.account.ec2.create_fleet(
        LaunchTemplateConfigs=[config], TargetCapacitySpecification={"TotalTargetCapacity": 1}
    )


def _by_spot_fleet(watched: Watched, image_id: str, _template_id: str) -> None:
    specification = {"ImageId": image_id, "InstanceType": "m5.large"}
    role = "arn:aws:iam::123456789012:role/fleet"
    watched.account.ec2.request_spot_fleet(
        SpotFleetRequestConfig={
            "IamFleetRole": role,
            "TargetCapacity": 1,
            "LaunchSpecifications": [specification],
        }
    )


def _by_spot_request(watched: Watched, image_id: str, _template_id: str) -> None:
    specification = {"ImageId": image_id, "InstanceType": "m5.large"}
    watched.account.ec2.request_spot_instances(LaunchSpecification=specification, Type="persistent")


def _by_text(watched: Watched, image_id: str, _template_id: str) -> None:
    watched.account.ssm.put_parameter(Name="/fleet/ami", Value=image_id, Type="String")


def _by_permission(watched: Watched, image_id: str, _template_id: str) -> None:
    watched.account.ec2.modify_image_attribute(
        ImageId=image_id, LaunchPermission={"Add": [{"UserId": "210987654321"}]}
    )


USERS: dict[str, Callable[[Watched, str, str], None]] = {
    "launch configuration old": _by_launch_configuration,
    "Auto Scaling group web version 1": lambda watched, _, template: _by_number(watched, template, "1"),
    "Auto Scaling group web": _by_override_of_group,
    "a refresh of web version 1": _by_refresh,
    "fleet-": _by_fleet,
    "sfr-": _by_spot_fleet,
    "sir-": _by_spot_request,
    "parameter /fleet/ami": _by_text,
    "launch permission of 210987654321": _by_permission,
}


@pytest.mark.parametrize("user", USERS)
def test_p3_an_image_that_anything_would_launch_is_deregistered(watched: Watched, user: str) -> None:
    image_id = verified_image(watched)
    template_id = old_version(watched, image_id)
    USERS[user](watched, image_id, template_id)
    watched.look_up_uses(image_id)
    watched.act("DeregisterImage", ImageId=image_id)
    ((promise, what),) = watched.found()
    assert promise == "P3"
    assert f"was deregistered while it is used: {user}" in what


def old_version(watched: Watched, image_id: str) -> str:
    """A template whose version 1 has the image, and whose newest and default version has another."""
    ec2 = watched.account.ec2
    template_id = ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": image_id}
    )["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_launch_template_version(
        LaunchTemplateId=template_id, LaunchTemplateData={"ImageId": watched.account.ubuntu}
    )
    ec2.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion="2")
    return str(template_id)


def test_p3_an_old_version_that_nothing_launches_is_no_use(watched: Watched) -> None:
    image_id = verified_image(watched)
    old_version(watched, image_id)
    watched.look_up_uses(image_id)
    watched.act("DeregisterImage", ImageId=image_id)
    assert watched.found() == []


def test_p3_a_look_up_that_failed_counts_as_use(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.look_up_uses(image_id)
    watched.account.faults.add({"kind": "error", "operation": "DescribeInstances", "code": "Unavailable"})
    # The observers sit behind the faults, as the services do: they see no call that never arrived.
    watched.account.gateway.middlewares.reverse()
    with pytest.raises(ApiError, match="Unavailable"):
        watched.act("DescribeInstances")
    watched.act("DeregisterImage", ImageId=image_id)
    what = f"{image_id} was deregistered although its use is unknown: DescribeInstances Unavailable"
    assert watched.found() == [("P3", what)]


def test_p3_each_image_is_asked_about_by_itself(watched: Watched) -> None:
    image_id, other = verified_image(watched), verified_image(watched, "comfyui-multitenant-prod.other")
    watched.look_up_uses(other)
    watched.act("DescribeImageAttribute", ImageId=image_id, Attribute="launchPermission")
    watched.act("DeregisterImage", ImageId=image_id)
    what = f"{image_id} was deregistered although its use is unknown: DescribeImageReferences not asked"
    assert watched.found() == [("P3", what)]


@pytest.mark.parametrize("actor", ["thread", "greenlet"])
def test_p3_what_another_invocation_asked_is_no_look_up(watched: Watched, actor: str) -> None:
    image_id = verified_image(watched)
    look_up = partial(watched.look_up_uses, image_id)
    if actor == "thread":
        other = threading.Thread(target=look_up)
        other.start()
        other.join()
    else:
        greenlet(look_up).switch()
    watched.act("DeregisterImage", ImageId=image_id)
    assert any("DescribeImageReferences not asked" in what for _, what in watched.found())


@pytest.mark.parametrize(
    ("names", "is_use"),
    [
        (["/x/y"], True),
        (["/comfyui/ami/prod/history/ami-0123", "/x/y"], True),
        (["/comfyui/ami/prod/history/ami-0123"], False),
    ],
)
def test_p3_a_parameter_that_could_not_be_read_counts_as_use_and_a_record_does_not(
    watched: Watched, names: list[str], *, is_use: bool
) -> None:
    image_id = verified_image(watched)
    watched.look_up_uses(image_id)
    watched.account.faults.add({"kind": "error", "operation": "GetParameters", "code": "Unavailable"})
    watched.account.gateway.middlewares.reverse()
    with pytest.raises(ApiError, match="Unavailable"):
        watched.act("GetParameters", "ssm", Names=names)
    # Another chunk of names, which can be read.
    watched.act("GetParameters", "ssm", Names=[LATEST])
    watched.act("DeregisterImage", ImageId=image_id)
    what = f"{image_id} was deregistered although its use is unknown: GetParameters Unavailable"
    assert watched.found() == ([("P3", what)] if is_use else [])


def test_p3_a_parameter_that_was_read_after_all_is_no_use(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.look_up_uses(image_id)
    watched.account.faults.add({"kind": "error", "operation": "GetParameters", "code": "Unavailable"})
    watched.account.gateway.middlewares.reverse()
    with pytest.raises(ApiError, match="Unavailable"):
        watched.act("GetParameters", "ssm", Names=["/x/y", "/x/z"])
    for name in ("/x/y", "/x/z"):
        watched.act("GetParameters", "ssm", Names=[name])
    watched.act("DeregisterImage", ImageId=image_id)
    assert watched.found() == []


def test_p3_nobody_asked_about_uses(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.act("DeregisterImage", ImageId=image_id)
    assert {promise for promise, _ in watched.found()} == {"P3"}
    assert any("DescribeImageReferences not asked" in what for _, what in watched.found())


def test_p4_what_an_ended_execution_has_left(watched: Watched) -> None:
    watched.running.add("arn:run")
    instance_id = watched.act(
        "RunInstances",
        ImageId=watched.account.ubuntu,
        InstanceType="t3.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specifications("instance", "volume", role="builder"),
    )["Instances"][0]["InstanceId"]
    image_id = own_image(watched)
    assert watched.observers.check_at_rest() == []
    watched.running.clear()
    watched.observers.check_at_rest()
    assert watched.found() == [
        ("P4", f"{instance_id} (builder) is still running"),
        ("P4", f"{image_id} (comfyui-multitenant-prod) was not published and is still there"),
    ]


def test_p4_what_was_there_before_anybody_watched_is_known_by_its_tags(account: Account) -> None:
    image_id = own_image(Watched(account))
    snapshot_id = account.snapshot_of(image_id)
    watched = Watched(account)
    assert (
        "P4",
        f"{image_id} (comfyui-multitenant-prod) was not published and is still there",
    ) in at_rest(watched)
    watched.observers.violations.clear()
    account.ec2.deregister_image(ImageId=image_id)
    assert ("P4", f"{snapshot_id} is still there") in at_rest(watched)


def test_p4_what_the_stack_created_is_known_though_its_tags_are_gone(watched: Watched) -> None:
    image_id = own_image(watched)
    watched.account.ec2.delete_tags(Resources=[image_id])
    watched.observers.check_at_rest()
    assert [promise for promise, what in watched.found() if image_id in what] == ["P4"]


def test_p4_what_a_person_makes_with_our_tags_is_theirs(watched: Watched) -> None:
    instance_id = watched.account.stopped(TagSpecifications=specifications("instance", "volume"))
    watched.account.ec2.create_image(
        InstanceId=instance_id, Name="copy", TagSpecifications=specifications("image", "snapshot")
    )
    watched.account.advance(watched.account.durations.image)
    snapshots = watched.account.state.snapshots
    assert [what for _, what in at_rest(watched) if not any(each in what for each in snapshots)] == []


def test_p4_snapshots_outlive_their_image(watched: Watched) -> None:
    image_id = own_image(watched)
    snapshot_id = watched.account.snapshot_of(image_id)
    watched.account.ec2.deregister_image(ImageId=image_id)
    watched.observers.check_at_rest()
    assert watched.found() == [("P4", f"{snapshot_id} of {image_id} is still there")]


@pytest.mark.parametrize("by_person", [False, True])
def test_p4_a_record_tells_that_its_image_is_gone(watched: Watched, *, by_person: bool) -> None:
    image_id = own_image(watched)
    record = {
        "Name": f"/comfyui/ami/prod/history/{image_id}",
        "Value": json.dumps({"status": "superseded"}),
        "Type": "String",
    }
    if by_person:
        watched.account.ssm.put_parameter(**record)
    else:
        watched.act("PutParameter", "ssm", **record)
    watched.look_up_uses(image_id)
    snapshot_id = watched.account.snapshot_of(image_id)
    watched.act("DeregisterImage", ImageId=image_id)
    watched.act("DeleteSnapshot", SnapshotId=snapshot_id)
    watched.observers.check_at_rest()
    told = ("P4", f"the record of {image_id} says superseded, and it is gone")
    assert watched.found() == ([] if by_person else [told])


def test_p4_something_is_created_without_its_owners_tags(watched: Watched) -> None:
    instance_id = watched.account.stopped()
    image_id = watched.act("CreateImage", InstanceId=instance_id, Name="comfyui")["ImageId"]
    assert ("P6", f"{instance_id}, which is not ours, was changed") in watched.found()
    assert any(promise == "P4" and image_id in what for promise, what in watched.found())


def test_p5_an_environment_does_not_publish_what_its_tag_names(watched: Watched) -> None:
    watched.account.repository()
    digest = watched.account.push("one", "prod-latest")
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    metadata = json.dumps({"ami_id": image_id})
    watched.act("PutParameter", "ssm", Name="/comfyui/ami/prod/metadata", Value=metadata, Type="String")
    put_record(watched, image_id, "live")
    watched.items["prod"] = {"claim": {"M": {}}, "wanted": {"M": {}}}
    watched.observers.check_at_rest()
    assert watched.found() == [
        ("P5", "prod is at rest with a claim"),
        ("P5", "prod is at rest with a queued request"),
        ("P5", f"prod publishes None, and its tag names {digest}"),
    ]


def test_p5_a_pin_holds_against_pushes(watched: Watched) -> None:
    watched.account.repository()
    watched.account.push("one", "prod-latest")
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    metadata = json.dumps({"ami_id": image_id})
    watched.act("PutParameter", "ssm", Name="/comfyui/ami/prod/metadata", Value=metadata, Type="String")
    put_record(watched, image_id, "live")
    watched.items["prod"] = {"pin": {"M": {}}}
    assert watched.observers.check_at_rest() == []


def build_again(watched: Watched, **changes: str) -> None:
    """Launch a builder for the digest that is published."""
    image_id = own_image(watched, **{"image-digest": DIGEST})
    watched.verify(image_id)
    watched.write_latest(image_id)
    watched.act(
        "RunInstances",
        ImageId=watched.account.ubuntu,
        InstanceType="t3.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specifications(
            "instance", "volume", role="builder", **{"image-digest": DIGEST, **changes}
        ),
    )


def test_p5_what_is_published_is_built_again(watched: Watched) -> None:
    build_again(watched)
    assert watched.found() == [("P5", f"prod: a build of {DIGEST}, which is published already")]


def test_p5_whoever_forces_a_build_gets_it(watched: Watched) -> None:
    build_again(watched, execution="arn:forced")
    assert watched.found() == []


def test_p6_what_is_not_ours_is_changed(watched: Watched) -> None:
    instance_id = watched.account.running()
    watched.observers.begin()
    watched.act("TerminateInstances", InstanceIds=[instance_id])
    watched.act("PutParameter", "ssm", Name="/others/parameter", Value="1", Type="String")
    watched.observers.check_at_rest()
    assert watched.found() == [
        ("P6", f"{instance_id}, which is not ours, was changed"),
        ("P6", "the parameter /others/parameter, which is not ours, was changed"),
        ("P6", f"{instance_id}, which is not ours, is no longer what it was"),
    ]


@pytest.mark.parametrize(
    "changed", [{"Description": {"Value": "other"}}, {"LaunchPermission": {"Add": [{"Group": "all"}]}}]
)
def test_p6_what_is_changed_of_an_image_that_is_not_ours_is_seen_by_what_it_is(
    watched: Watched, changed: dict[str, Any]
) -> None:
    image_id = watched.account.ec2.create_image(InstanceId=watched.account.stopped(), Name="of-others")[
        "ImageId"
    ]
    watched.account.advance(watched.account.durations.image)
    watched.observers.begin()
    watched.act("ModifyImageAttribute", ImageId=image_id, **changed)
    assert ("P6", f"{image_id}, which is not ours, is no longer what it was") in at_rest(watched)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (LATEST, "has to stay, was deleted"),
        ("/comfyui/ami/prod/metadata", "has to stay, was deleted"),
        ("/comfyui/ami/prod/more", "is not ours, was changed"),
    ],
)
def test_p6_of_what_is_published_only_records_are_deleted(watched: Watched, name: str, what: str) -> None:
    put_record(watched, "ami-0123456789abcdef0", "retired")
    watched.act("DeleteParameter", "ssm", Name="/comfyui/ami/prod/history/ami-0123456789abcdef0")
    assert watched.found() == []
    watched.account.ssm.put_parameter(Name=name, Value="text", Type="String")
    watched.act("DeleteParameter", "ssm", Name=name)
    assert ("P6", f"the parameter {name}, which {what}") in watched.found()


def test_p6_a_person_may_change_what_is_theirs(watched: Watched) -> None:
    instance_id = watched.account.running()
    watched.observers.begin()
    watched.account.ec2.terminate_instances(InstanceIds=[instance_id])
    assert watched.observers.check_at_rest() == []


def test_p1_latest_is_written_as_an_image_that_is_gone_and_only_ssm_drops_it(watched: Watched) -> None:
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    gone = verified_image(watched, "comfyui-multitenant-prod.candidate.1")
    watched.act("DeregisterImage", ImageId=gone)
    watched.observers.violations.clear()
    watched.write_latest(gone)
    (violation,) = [what for promise, what in watched.found() if promise == "P1"]
    assert "only SSM's check has saved it" in violation


@pytest.mark.parametrize(
    ("statuses", "holds"),
    [
        (("live", "superseded"), True),
        (("live", "retired"), True),
        (("live", "live"), False),
        (("superseded", "live"), False),
        (("superseded", "superseded"), False),
    ],
)
def test_p5_history_says_live_of_the_image_in_latest_alone(
    watched: Watched, statuses: tuple[str, str], holds: bool
) -> None:
    latest = verified_image(watched)
    other = verified_image(watched, "comfyui-multitenant-prod.candidate.1")
    watched.write_latest(latest)
    for image_id, status in zip((latest, other), statuses, strict=True):
        put_record(watched, image_id, status)
    watched.observers.check_at_rest()
    found = [what for promise, what in watched.found() if promise == "P5" and "history" in what]
    assert (found == []) is holds


def test_p7_what_a_gate_has_not_let_pass(account: Account) -> None:
    passed: set[str] = set()
    gates = {"approval": lambda environment, tags: f"{environment} {tags[EXECUTION]}" in passed}
    watched = Watched(account, gates)
    image_id = verified_image(watched)
    watched.write_latest(image_id)
    watched.write_latest(image_id)
    assert watched.found() == [
        ("P7", f"{LATEST} was written as {image_id}, which the gate approval has not let pass")
    ]
    watched.observers.violations.clear()
    passed.add("prod arn:run")
    watched.write_latest(image_id)
    passed.clear()
    watched.write_latest(image_id)
    assert watched.found() == [], "what has passed once has passed"


def test_p7_what_people_publish_is_theirs(account: Account) -> None:
    watched = Watched(account, {"approval": lambda *_: False})
    image_id = verified_image(watched)
    account.ssm.put_parameter(Name=LATEST, Value=image_id, Type="String", DataType="aws:ec2:image")
    account.advance(1)
    watched.write_latest(image_id)
    assert watched.found() == []
