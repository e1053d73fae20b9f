"""Instances: launches, client tokens, states, ends."""

from __future__ import annotations

import base64

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused


def test_an_instance_takes_time_to_run(account: Account) -> None:
    """EC2 user guide, Instance lifecycle: pending, then running; each state is an event."""
    instance_id = account.launch()
    assert account.instance(instance_id)["State"]["Name"] == "pending"
    account.advance(account.durations.instance_running)
    assert account.instance(instance_id)["State"] == {"Code": 16, "Name": "running"}
    details = account.events_of("EC2 Instance State-change Notification")
    assert details == [{"instance-id": instance_id, "state": state} for state in ("pending", "running")]


def test_a_client_token_launches_once(account: Account) -> None:
    """EC2 developer guide, Ensuring idempotency: the same token and parameters give the same instances."""
    first = account.launch(ClientToken="build-1")
    assert account.launch(ClientToken="build-1") == first
    account.ec2.terminate_instances(InstanceIds=[first])
    account.advance(account.durations.terminate)
    assert account.launch(ClientToken="build-1") == first
    found = account.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["build-1"]}])[
        "Reservations"
    ]
    assert [each["Instances"][0]["InstanceId"] for each in found] == [first]


def test_a_client_token_with_other_parameters_is_refused(account: Account) -> None:
    """EC2 developer guide, Ensuring idempotency: IdempotentParameterMismatch."""
    account.launch(ClientToken="build-1")
    with refused("IdempotentParameterMismatch"):
        account.launch(ClientToken="build-1", InstanceType="m5.large")


def test_a_client_token_counts_in_its_zone(account: Account) -> None:
    """EC2 API reference, RunInstances: zonal when a subnet is named; elsewhere it is another instance."""
    first = account.launch(ClientToken="build-1", SubnetId=account.subnet(0))
    assert account.launch(ClientToken="build-1", SubnetId=account.subnet(1)) != first
    assert account.launch(ClientToken="build-1", SubnetId=account.subnet(0)) == first


def test_a_long_client_token_is_refused(account: Account) -> None:
    """EC2 API reference, RunInstances: at most 64 ASCII characters."""
    with refused("InvalidParameterValue"):
        account.launch(ClientToken="x" * 65)


def test_launching_an_image_that_is_not_available_is_refused(account: Account) -> None:
    """EC2 error codes: InvalidAMIID.NotFound, .Malformed and .Unavailable."""
    instance_id = account.stopped()
    gone = account.image("gone", InstanceId=instance_id)
    account.ec2.deregister_image(ImageId=gone)
    pending = account.pending_image("pending", InstanceId=instance_id)
    for image_id, code in (
        ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("image", "InvalidAMIID.Malformed"),
        (gone, "InvalidAMIID.Unavailable"),
        (pending, "InvalidAMIID.Unavailable"),
    ):
        with refused(code):
            account.launch(ImageId=image_id)


def test_a_failed_image_is_not_launched(account: Account) -> None:
    """Only an available image can be launched."""
    account.faults.add({"kind": "image_fails"})
    with refused("InvalidAMIID.Unavailable"):
        account.launch(ImageId=account.image())


def test_a_parameter_can_name_the_image(account: Account) -> None:
    """EC2 user guide, Use a Systems Manager parameter instead of an AMI ID: String and aws:ec2:image only."""
    image_id = account.image()
    account.ssm.put_parameter(Name="/ami/latest", Value=image_id, Type="String", DataType="aws:ec2:image")
    account.ssm.put_parameter(Name="/ami/text", Value=image_id, Type="String")
    account.advance(account.durations.parameter_validation)
    for reference in ("resolve:ssm:/ami/latest", "resolve:ssm:/ami/latest:1"):
        assert account.instance(account.launch(ImageId=reference))["ImageId"] == image_id
    for reference in ("resolve:ssm:/ami/text", "resolve:ssm:/ami/none", "resolve:ssm:/ami/latest:7"):
        with refused("InvalidParameterValue"):
            account.launch(ImageId=reference)


def test_a_forgotten_ena_flag_keeps_a_nitro_instance_from_starting(account: Account) -> None:
    """RunInstances refuses it (hashicorp/terraform-provider-aws issues 19712 and 38897, among many)."""
    image_id = account.register(account.snapshot_of(account.image()), EnaSupport=None)
    with refused("InvalidParameterCombination") as refusal:
        account.launch(ImageId=image_id)
    assert "Elastic Network Adapter (ENA) is required for the 't3.large' instance type" in refusal.message


@pytest.mark.parametrize(
    ("forgotten", "code"),
    [("Architecture", "InvalidParameterValue"), ("VirtualizationType", "InvalidParameterCombination")],
)
def test_a_forgotten_attribute_does_not_fit_the_instance_type(
    account: Account, forgotten: str, code: str
) -> None:
    """EC2 user guide, Instance type compatibility: architecture and virtualization type must match."""
    image_id = account.register(account.snapshot_of(account.image()), **{forgotten: None})
    with refused(code):
        account.launch(ImageId=image_id)


def test_a_disk_made_for_uefi_does_not_boot_without_that_boot_mode(account: Account) -> None:
    """EC2 user guide, Boot modes: the image's boot mode must be one that its disk boots with."""
    uefi = account.state.seed_image("uefi", owner_id="099720109477", boot_mode="uefi")
    snapshot_id = account.snapshot_of(account.image(InstanceId=account.stopped(ImageId=uefi)))
    good = account.running(ImageId=account.register(snapshot_id, "good", BootMode="uefi"))
    bad = account.running(ImageId=account.register(snapshot_id, "bad"))
    assert account.state.instances[good].agent_online
    assert not account.state.instances[bad].agent_online
    statuses = account.ec2.describe_instance_status(InstanceIds=[good, bad])["InstanceStatuses"]
    assert {each["InstanceId"]: each["InstanceStatus"]["Status"] for each in statuses} == {
        good: "ok",
        bad: "impaired",
    }


def test_what_was_on_the_disk_is_on_instances_of_its_image(account: Account) -> None:
    """An image is a copy of its instance's volumes, also when it is registered again from the snapshot."""
    instance_id = account.stopped()
    account.state.content_of(account.state.instances[instance_id])["word"] = "written"
    image_id = account.image(InstanceId=instance_id)
    account.state.content_of(account.state.instances[instance_id])["word"] = "changed later"
    for each in (image_id, account.register(account.snapshot_of(image_id))):
        launched = account.state.instances[account.launch(ImageId=each)]
        assert account.state.content_of(launched) == {"word": "written"}


def test_no_instance_profile_means_no_agent(account: Account) -> None:
    """Systems Manager user guide, Configure instance permissions: the agent needs an instance profile."""
    instance_id = account.launch(IamInstanceProfile={})
    account.advance(3600)
    assert not account.state.instances[instance_id].agent_online


def test_an_unknown_instance_profile_is_refused(account: Account) -> None:
    """EC2 error codes: InvalidParameterValue, Invalid IAM Instance Profile name."""
    with refused("InvalidParameterValue"):
        account.launch(IamInstanceProfile={"Name": "nobody"})


def test_an_unknown_subnet_or_group_is_refused(account: Account) -> None:
    """EC2 error codes: InvalidSubnetID.NotFound, InvalidGroup.NotFound."""
    with refused("InvalidSubnetID.NotFound"):
        account.launch(SubnetId="subnet-0123456789abcdef0")
    with refused("InvalidGroup.NotFound"):
        account.launch(SecurityGroupIds=["sg-0123456789abcdef0"])


def test_capacity_can_be_missing_in_one_subnet(account: Account) -> None:
    """EC2 user guide, Troubleshoot launch issues: InsufficientInstanceCapacity is for one zone and type."""
    full = account.subnet(0)
    account.faults.add(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "RunInstances",
            "code": "InsufficientInstanceCapacity",
            "match": {"SubnetId": full},
            "times": None,
        }
    )
    with refused("InsufficientInstanceCapacity"):
        account.launch(SubnetId=full)
    assert account.launch(SubnetId=account.subnet(1))


def test_a_launch_can_end_before_it_runs(account: Account) -> None:
    """EC2 user guide, Instance terminates immediately: the reason is in StateReason alone."""
    account.faults.add(
        {"kind": "instance_dies", "reason": "Client.VolumeLimitExceeded: Volume limit exceeded"}
    )
    instance_id = account.launch()
    account.advance(account.durations.instance_running)
    instance = account.instance(instance_id)
    assert instance["State"]["Name"] == "terminated"
    assert instance["StateReason"]["Code"] == "Client.VolumeLimitExceeded"


def test_terminating_takes_time_and_can_be_repeated(account: Account) -> None:
    """EC2 API reference, TerminateInstances: idempotent; terminated instances stay visible for about an hour."""
    instance_id = account.running()
    for _ in range(2):
        (change,) = account.ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"]
        assert change["CurrentState"]["Name"] == "shutting-down"
    account.advance(account.durations.terminate)
    instance = account.instance(instance_id)
    assert instance["State"]["Name"] == "terminated"
    assert instance["BlockDeviceMappings"] == []
    assert instance["NetworkInterfaces"] == []
    assert account.ec2.describe_volumes()["Volumes"] == []
    (change,) = account.ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "terminated"
    account.advance(3600)
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_terminating_a_stopped_instance_answers_terminated_while_describes_lag(account: Account) -> None:
    """Recorded calls: the answer says terminated, describes say stopped, then shutting-down."""
    instance_id = account.stopped()
    (change,) = account.ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "terminated"
    assert account.instance(instance_id)["State"]["Name"] == "stopped"
    account.advance(1)
    assert account.instance(instance_id)["State"]["Name"] == "shutting-down"
    account.advance(account.durations.terminate)
    assert account.instance(instance_id)["State"]["Name"] == "terminated"


def test_one_unknown_id_keeps_all_from_being_terminated(account: Account) -> None:
    """EC2 API reference, TerminateInstances: if one id is not valid, none is terminated."""
    instance_id = account.running()
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.terminate_instances(InstanceIds=[instance_id, "i-0123456789abcdef0"])
    assert account.instance(instance_id)["State"]["Name"] == "running"


def test_a_protected_instance_is_not_terminated(account: Account) -> None:
    """EC2 user guide, Termination protection: OperationNotPermitted."""
    instance_id = account.running(DisableApiTermination=True)
    with refused("OperationNotPermitted"):
        account.ec2.terminate_instances(InstanceIds=[instance_id])
    account.ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})
    account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_dry_run_does_nothing(account: Account) -> None:
    """EC2 API reference, Common query parameters: DryRunOperation with status 412."""
    instance_id = account.running()
    with refused("DryRunOperation") as refusal:
        account.ec2.terminate_instances(InstanceIds=[instance_id], DryRun=True)
    assert refusal.status == 412
    assert account.instance(instance_id)["State"]["Name"] == "running"


def test_stopping_takes_time_and_starting_brings_the_agent_back(account: Account) -> None:
    """EC2 user guide, Instance lifecycle: stopping, stopped, pending, running."""
    instance_id = account.running()
    account.ec2.stop_instances(InstanceIds=[instance_id])
    assert account.instance(instance_id)["State"]["Name"] == "stopping"
    with refused("IncorrectInstanceState"):
        account.ec2.start_instances(InstanceIds=[instance_id])
    account.advance(account.durations.stop)
    assert account.instance(instance_id)["State"]["Name"] == "stopped"
    assert not account.state.instances[instance_id].agent_online
    account.ec2.start_instances(InstanceIds=[instance_id])
    account.advance(account.durations.agent_online)
    assert account.state.instances[instance_id].agent_online


def test_the_root_volume_follows_image_and_request(account: Account) -> None:
    """EC2 API reference, RunInstances: mappings override the image's; gp3 has IOPS and throughput limits."""
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 60, "VolumeType": "gp3", "Throughput": 500}}
    instance_id = account.launch(
        BlockDeviceMappings=[mapping],
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "owner", "Value": "test"}]}],
    )
    filters = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    (volume,) = account.ec2.describe_volumes(Filters=filters)["Volumes"]
    assert (volume["Size"], volume["Iops"], volume["Throughput"]) == (60, 3000, 500)
    assert volume["Tags"] == [{"Key": "owner", "Value": "test"}]
    with refused("VolumeInUse"):
        account.ec2.delete_volume(VolumeId=volume["VolumeId"])


@pytest.mark.parametrize(
    ("ebs", "code"),
    [
        ({"VolumeSize": 4}, "InvalidBlockDeviceMapping"),
        ({"VolumeSize": 20, "VolumeType": "gp3", "Iops": 100}, "InvalidParameterValue"),
        ({"VolumeSize": 20, "VolumeType": "gp3", "Throughput": 5000}, "InvalidParameterValue"),
        ({"VolumeSize": 20, "VolumeType": "gp2", "Throughput": 500}, "InvalidParameterCombination"),
        ({"VolumeSize": 20, "VolumeType": "floppy"}, "InvalidParameterValue"),
    ],
)
def test_volumes_are_validated(account: Account, ebs: dict[str, object], code: str) -> None:
    """EC2 API reference, EbsBlockDevice: not smaller than the snapshot; ranges by volume type."""
    with refused(code):
        account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])


def test_user_data_is_base64_and_bounded(account: Account) -> None:
    """EC2 user guide, User data: 16 KB; invalid base64 is InvalidUserData.Malformed."""
    instance_id = account.launch(UserData="#!/bin/bash")
    shown = account.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    assert base64.b64decode(shown["UserData"]["Value"]) == b"#!/bin/bash"
    with refused("InvalidParameterValue"):
        account.launch(UserData="x" * 16_385)


def test_metadata_options_follow_the_image(account: Account) -> None:
    """EC2 user guide, Configure IMDS: an image with ImdsSupport v2.0 needs tokens and has hop limit 2."""
    image_id = account.image()
    account.ec2.modify_image_attribute(ImageId=image_id, ImdsSupport={"Value": "v2.0"})
    options = account.instance(account.launch(ImageId=image_id))["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
    options = account.instance(account.launch(MetadataOptions={"HttpTokens": "required"}))["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_instances_are_filtered_by_what_ec2_knows_and_nothing_is_ignored(account: Account) -> None:
    """EC2 API reference, DescribeInstances: filters; an unknown one is InvalidParameterValue."""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "ami-lifecycle:role", "Value": "builder"}]}]
    instance_id = account.running(TagSpecifications=tags, SubnetId=account.subnet(1))
    account.launch(SubnetId=account.subnet(0))
    for name, value in (
        ("tag:ami-lifecycle:role", "builder"),
        ("instance-state-name", "running"),
        ("subnet-id", account.subnet(1)),
        ("instance-id", instance_id),
    ):
        found = account.ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])["Reservations"]
        assert [each["Instances"][0]["InstanceId"] for each in found] == [instance_id], name
    with refused("InvalidParameterValue"):
        account.ec2.describe_instances(Filters=[{"Name": "mood", "Values": ["good"]}])


def test_pages_of_instances_are_complete(account: Account) -> None:
    """EC2 API reference, DescribeInstances: MaxResults of at least 5, not together with ids."""
    ids = {account.launch() for _ in range(7)}
    pages = list(account.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert len(pages) == 2
    assert {i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]} == ids
    with refused("InvalidParameterCombination"):
        account.ec2.describe_instances(InstanceIds=list(ids), MaxResults=5)


def test_a_parameter_that_is_not_emulated_is_refused_loudly(account: Account) -> None:
    """The emulator never ignores what a caller asked for."""
    with refused("EmulatorUnsupportedParameter") as refusal:
        account.launch(InstanceMarketOptions={"MarketType": "spot"})
    assert "InstanceMarketOptions" in refusal.message


def test_the_agent_is_the_one_on_the_disk(account: Account) -> None:
    """An AMI keeps the agent that it was made with, and so does every AMI made of its instances."""
    image_id = account.state.seed_image(
        "old", owner_id="099720109477", content={"agent_version": "3.1.1927.0"}
    )
    instance_id = account.launch(ImageId=image_id)
    assert account.state.instances[instance_id].agent_version == "3.1.1927.0"


def test_an_instance_shows_what_tools_read_that_manage_it(account: Account) -> None:
    """EC2 API reference, InstanceNetworkInterface; EC2 user guide, Launch instances from a launch template."""
    made = account.ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": account.ubuntu, "InstanceType": "m5.large"}
    )
    template_id = made["LaunchTemplate"]["LaunchTemplateId"]
    answer = account.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        LaunchTemplate={"LaunchTemplateId": template_id, "Version": "$Latest"},
        HibernationOptions={"Configured": False},
    )
    instance_id = answer["Instances"][0]["InstanceId"]
    shown = account.instance(instance_id)
    assert shown["SourceDestCheck"]
    (interface,) = shown["NetworkInterfaces"]
    assert interface["Attachment"]["DeviceIndex"] == 0
    assert interface["SourceDestCheck"]
    assert [each["Primary"] for each in interface["PrivateIpAddresses"]] == [True]
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == {
        "aws:ec2launchtemplate:id": template_id,
        "aws:ec2launchtemplate:version": "1",
    }
    attribute = account.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop")
    assert attribute["DisableApiStop"] == {"Value": False}


def test_an_instance_that_hibernates_is_not_emulated(account: Account) -> None:
    """Hibernation would change what a stop does."""
    with refused("EmulatorUnsupportedParameter"):
        account.launch(HibernationOptions={"Configured": True})


def test_a_dry_run_looks_at_the_counts(account: Account) -> None:
    """EC2 API reference, RunInstances: MinCount is between 1 and MaxCount; a dry run checks all but the launch."""
    with refused("InvalidParameterValue"):
        account.launch(MinCount=2, MaxCount=1, DryRun=True)
    with refused("DryRunOperation"):
        account.launch(MinCount=1, MaxCount=2, DryRun=True)
