"""Answers of AWS that the emulated account does not give, or not on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from tests.fakes import FakeClock
from tests.unit.domain.builders import a_launch

from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.launch_refusals import REFUSALS
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.adapters.usage.fleets import read_fleets, read_spot_requests
from ami_lifecycle.adapters.usage.groups import read_refreshes
from ami_lifecycle.adapters.usage.parameters import resolve_aliases
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.command import CommandStatus
from ami_lifecycle.domain.launch import LaunchRefusal
from ami_lifecycle.domain.launchers import Launcher, Resolution, TemplateReference
from ami_lifecycle.domain.model import BlockDevice, Image, ImageState, UsageKind, VolatileDevice
from ami_lifecycle.errors import (
    AccessDeniedError,
    ImageCreationFailedError,
    QuotaExceededError,
    RefusedError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
)

Stub = Callable[[str], tuple[Any, Stubber]]
AMI = "ami-0123456789abcdef0"
ROOT = BlockDevice(
    device_name="/dev/sda1",
    snapshot_id="snap-1",
    volume_type="gp3",
    volume_size=40,
    iops=3000,
    throughput=250,
    delete_on_termination=True,
    encrypted=True,
)


def image(**changes: Any) -> Image:
    values: dict[str, Any] = {
        "image_id": AMI,
        "name": "candidate",
        "state": ImageState.AVAILABLE,
        "ena_support": True,
        "block_devices": (ROOT,),
    }
    return Image(**(values | changes))


def registered(stub: Stub, source: Image, uefi: dict[str, Any] | None = None) -> dict[str, Any]:
    """The parameters of RegisterImage for a copy of an image."""
    client, stubber = stub("ec2")
    seen: dict[str, Any] = {}
    client.meta.events.register(
        "provide-client-params.ec2.RegisterImage", lambda params, **_: seen.update(params)
    )
    if uefi is None:
        stubber.add_client_error("describe_image_attribute", "InvalidRequest", "no such attribute")
    else:
        stubber.add_response("describe_image_attribute", {"ImageId": AMI, **uefi})
    stubber.add_response("register_image", {"ImageId": "ami-0fedcba9876543210"})
    assert Ec2Images(client).register_copy(source, "canonical", {"Name": "x"}) == "ami-0fedcba9876543210"
    return seen


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_each_code_about_a_type_in_a_subnet_is_a_refusal_and_no_error(stub: Stub, code: str) -> None:
    client, stubber = stub("ec2")
    # EC2 answers InsufficientInstanceCapacity with a status of 500.
    stubber.add_client_error("run_instances", code, "try another zone", 500)
    result = Ec2Instances(client).launch(a_launch())
    assert result.instance is None
    assert result.refusal is REFUSALS[code]
    assert f"{code}: try another zone" in result.message


# EC2's own words, as reported from accounts.
NOT_FREE = (
    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
    "'describe-instance-types' with the filter 'free-tier-eligible=true'."
)
NO_ENA = (
    "Enhanced networking with the Elastic Network Adapter (ENA) is required for the 'm5.large' instance type. "
    "Ensure that you are using an AMI that is enabled for ENA."
)
OTHER_ARCHITECTURE = (
    "The architecture 'arm64' of the specified instance type does not match the architecture 'x86_64' of the "
    "specified AMI."
)
HVM = "Non-Windows instances with a virtualization type of 'hvm' are currently not supported for this instance type."
NO_ROOM = (
    "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket "
    "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to "
    "request an adjustment to this limit."
)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterCombination", NOT_FREE),
        ("InvalidParameterCombination", NO_ENA),
        ("InvalidParameterCombination", HVM),
        ("InvalidParameterValue", OTHER_ARCHITECTURE),
        ("InvalidParameterValue", "Invalid value 'm99.large' for InstanceType."),
    ],
)
def test_a_type_that_the_account_or_the_image_does_not_allow_is_passed_over(
    stub: Stub, code: str, message: str
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", code, message)
    result = Ec2Instances(client).launch(a_launch())
    assert result.refusal is LaunchRefusal.INELIGIBLE
    assert message in result.message


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("ReservationCapacityExceeded", LaunchRefusal.CAPACITY),
        ("InsufficientAddressCapacity", LaunchRefusal.CAPACITY),
        ("InsufficientReservedInstancesCapacity", LaunchRefusal.CAPACITY),
        ("PrivateIpAddressLimitExceeded", LaunchRefusal.INELIGIBLE),
        ("InvalidInterface.IpAddressLimitExceeded", LaunchRefusal.INELIGIBLE),
        ("AttachmentLimitExceeded", LaunchRefusal.INELIGIBLE),
        ("EncryptedVolumesNotSupported", LaunchRefusal.INELIGIBLE),
    ],
)
def test_what_another_type_or_subnet_may_have_goes_to_the_next_pair(
    stub: Stub, code: str, refusal: LaunchRefusal
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", code, "refused")
    assert Ec2Instances(client).launch(a_launch()).refusal is refusal


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("VolumeIOPSLimit", "The maximum IOPS limit for the volume has been reached."),
        ("UnknownVolumeType", "The specified volume type is unsupported."),
        ("InvalidParameterValue", "Value (arn) for parameter iamInstanceProfile.arn is invalid."),
        (
            "InvalidParameterCombination",
            "The specified image is not eligible for Free Tier.",
        ),
        ("InvalidParameter", "Security group sg-1 and subnet subnet-1 belong to different networks."),
        ("InvalidBlockDeviceMapping", "Volume of size 8GB is smaller than snapshot, expect size >= 40GB"),
    ],
)
def test_other_wrong_parameters_are_told_at_once_in_ec2s_words(stub: Stub, code: str, message: str) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", code, message)
    with pytest.raises(SettingsError) as raised:
        Ec2Instances(client).launch(a_launch())
    assert message.rstrip(".") in str(raised.value)
    assert "settings" in str(raised.value)


@pytest.mark.parametrize(
    ("limit", "vcpus", "expected"),
    [
        (0, None, LaunchRefusal.QUOTA_TOO_SMALL),
        (1, 2, LaunchRefusal.QUOTA_TOO_SMALL),
        (2, 2, LaunchRefusal.QUOTA_IN_USE),
        (32, 8, LaunchRefusal.QUOTA_IN_USE),
    ],
)
def test_a_quota_that_has_no_room_for_one_instance_is_told_from_one_that_is_in_use(
    stub: Stub, limit: int, vcpus: int | None, expected: LaunchRefusal
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", "VcpuLimitExceeded", NO_ROOM.format(limit=limit))
    if vcpus is not None:
        found = {"InstanceTypes": [{"InstanceType": "m5.large", "VCpuInfo": {"DefaultVCpus": vcpus}}]}
        stubber.add_response("describe_instance_types", found, {"InstanceTypes": ["m5.large"]})
    assert Ec2Instances(client).launch(a_launch()).refusal is expected
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    "message", ["", "vCPU limit", "a vCPU limit of 0 m5.large", NO_ROOM.format(limit="")]
)
def test_a_quota_that_is_not_named_counts_as_in_use(stub: Stub, message: str) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", "VcpuLimitExceeded", message)
    assert Ec2Instances(client).launch(a_launch()).refusal is LaunchRefusal.QUOTA_IN_USE


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("PendingVerification", RefusedError, "24 hours"),
        ("Blocked", RefusedError, "AWS Support"),
        ("OptInRequired", RefusedError, "enable the Region"),
        ("VolumeLimitExceeded", QuotaExceededError, "Service Quotas"),
        ("MaxIOPSLimitExceeded", QuotaExceededError, "Service Quotas"),
        ("RequestLimitExceeded", ThrottledError, "again"),
        ("InvalidKmsKey.InvalidState", RefusedError, "enable the key"),
        ("DeclarativePolicyViolation", RefusedError, "organization"),
        ("TagPolicyViolation", RefusedError, "tag policy"),
        ("AccountDisabled", RefusedError, "ask its owner"),
        ("ResourceLimitExceeded", QuotaExceededError, "Service Quotas"),
    ],
)
def test_what_concerns_the_account_is_no_refusal_of_a_type(
    stub: Stub, code: str, error: type[Exception], words: str
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", code, "refused")
    with pytest.raises(error, match=words):
        Ec2Instances(client).launch(a_launch())


def test_data_volumes_keep_the_type_that_they_have_in_the_image(stub: Stub) -> None:
    client, stubber = stub("ec2")
    volatile = (
        VolatileDevice(device_name="/dev/sda1", volume_type="gp2"),
        VolatileDevice(device_name="/dev/sdb", volume_type="gp3", iops=4000, throughput=300),
        VolatileDevice(device_name="/dev/sdc", volume_type="io2", iops=9000, throughput=0),
        VolatileDevice(device_name="/dev/sdd", volume_type="st1", iops=None),
        VolatileDevice(device_name="/dev/sde"),
    )
    kept: dict[str, Any] = {"DeleteOnTermination": True}
    root = {**kept, "VolumeSize": 40, "VolumeType": "gp3", "Iops": 3000, "Throughput": 250}
    expected = [
        {"DeviceName": "/dev/sda1", "Ebs": root},
        {"DeviceName": "/dev/sdb", "Ebs": {**kept, "VolumeType": "gp3", "Iops": 4000, "Throughput": 300}},
        {"DeviceName": "/dev/sdc", "Ebs": {**kept, "VolumeType": "io2", "Iops": 9000}},
        {"DeviceName": "/dev/sdd", "Ebs": {**kept, "VolumeType": "st1"}},
        {"DeviceName": "/dev/sde", "Ebs": kept},
    ]
    parameters = dict.fromkeys(
        (
            "ClientToken",
            "ImageId",
            "InstanceType",
            "MinCount",
            "MaxCount",
            "SubnetId",
            "SecurityGroupIds",
            "IamInstanceProfile",
            "UserData",
            "MetadataOptions",
            "InstanceInitiatedShutdownBehavior",
            "TagSpecifications",
        ),
        ANY,
    )
    answer = {"Instances": [{"InstanceId": "i-0123456789abcdef0", "State": {"Name": "pending"}}]}
    stubber.add_response("run_instances", answer, {**parameters, "BlockDeviceMappings": expected})
    request = a_launch(volatile_devices=volatile)
    assert Ec2Instances(client).launch(request).instance is not None


def test_a_launch_from_an_image_that_is_gone_is_refused(stub: Stub) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", "InvalidAMIID.Unavailable", "no longer available")
    with pytest.raises(RefusedError, match=AMI):
        Ec2Instances(client).launch(a_launch(image_id=AMI))


def test_a_launch_from_an_image_that_is_not_shown_yet_is_tried_again(stub: Stub) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("run_instances", "InvalidAMIID.NotFound", "does not exist")
    with pytest.raises(ResourceNotVisibleError, match=AMI):
        Ec2Instances(client).launch(a_launch(image_id=AMI))


@pytest.mark.parametrize(
    "code", ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"]
)
def test_an_image_that_does_not_exist_is_none_whatever_ec2_calls_it(stub: Stub, code: str) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("describe_images", code, "gone")
    assert Ec2Images(client).get(AMI) is None


def test_a_snapshot_that_is_kept_for_fast_restores_is_refused_and_not_waited_for(stub: Stub) -> None:
    """EC2 has the same code for it as for an image that uses it."""
    ec2, answers = stub("ec2")
    answers.add_client_error(
        "delete_snapshot",
        "InvalidSnapshot.InUse",
        "The snapshot snap-1 is currently enabled for fast restores in eu-west-1b. Fast snapshot restores must be "
        "disabled within all Availability Zones before the snapshot may be deleted.",
    )
    answers.add_client_error(
        "delete_snapshot", "InvalidSnapshot.InUse", f"The snapshot snap-1 is currently in use by {AMI}"
    )
    with pytest.raises(RefusedError, match="disable-fast-snapshot-restores"):
        Ec2Images(ec2).delete_snapshot("snap-1")
    assert Ec2Images(ec2).delete_snapshot("snap-1") is False


def test_an_image_shown_as_deregistered_is_none(stub: Stub) -> None:
    client, stubber = stub("ec2")
    shown = {"ImageId": AMI, "Name": "old", "State": "deregistered"}
    stubber.add_response("describe_images", {"Images": [shown]})
    assert Ec2Images(client).get(AMI) is None


@pytest.mark.parametrize(
    ("shown", "is_gone"),
    [([], True), ([{"State": "deregistered"}], True), ([{"State": "pending"}], False), (None, False)],
)
def test_an_id_that_ec2_knows_without_an_image_is_of_one_that_is_gone(
    stub: Stub, shown: list[dict[str, str]] | None, is_gone: bool
) -> None:
    client, stubber = stub("ec2")
    if shown is None:
        stubber.add_client_error("describe_images", "InvalidAMIID.NotFound", "does not exist")
    else:
        images = [{"ImageId": AMI, "Name": "new", **each} for each in shown]
        stubber.add_response("describe_images", {"Images": images})
    assert Ec2Images(client).is_deregistered(AMI) is is_gone


def test_a_copy_never_names_encryption_next_to_a_snapshot(stub: Stub) -> None:
    (mapping,) = registered(stub, image())["BlockDeviceMappings"]
    assert mapping["Ebs"] == {
        "SnapshotId": "snap-1",
        "VolumeType": "gp3",
        "VolumeSize": 40,
        "DeleteOnTermination": True,
        "Iops": 3000,
        "Throughput": 250,
    }


def test_a_copy_repeats_every_attribute_that_ec2_would_not_inherit(stub: Stub) -> None:
    source = image(
        architecture="arm64",
        root_device_name="/dev/xvda",
        sriov_net_support="simple",
        boot_mode="uefi",
        tpm_support="v2.0",
        imds_support="v2.0",
        description="what it is",
    )
    parameters = registered(stub, source, {"UefiData": {"Value": "c2VjdXJlIGJvb3Q="}})
    for name, value in {
        "Name": "canonical",
        "Architecture": "arm64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "BootMode": "uefi",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "Description": "what it is",
        "UefiData": "c2VjdXJlIGJvb3Q=",
    }.items():
        assert parameters[name] == value
    assert parameters["TagSpecifications"] == [
        {"ResourceType": "image", "Tags": [{"Key": "Name", "Value": "x"}]}
    ]


@pytest.mark.parametrize(
    ("code", "status"), [("InvalidRequest", 400), ("NeverHeardOf", 400), ("OperationNotPermitted", 400)]
)
def test_an_image_that_ec2_shows_no_uefi_data_of_is_copied_without(
    stub: Stub, code: str, status: int
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("describe_image_attribute", code, "refused", status)
    stubber.add_response("register_image", {"ImageId": "ami-0fedcba9876543210"})
    assert Ec2Images(client).register_copy(image(), "canonical", {}) == "ami-0fedcba9876543210"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("RequestLimitExceeded", 503, ThrottledError),
        ("Unheard", 503, ServiceUnavailableError),
        ("UnauthorizedOperation", 403, AccessDeniedError),
        ("InvalidAMIID.NotFound", 400, ResourceNotVisibleError),
    ],
)
def test_a_copy_waits_for_uefi_data_that_may_be_there(
    stub: Stub, code: str, status: int, error: type[Exception]
) -> None:
    client, stubber = stub("ec2")
    stubber.add_client_error("describe_image_attribute", code, "not now", status)
    with pytest.raises(error):
        Ec2Images(client).register_copy(image(), "canonical", {})


def test_what_the_original_does_not_have_is_not_given_to_the_copy(stub: Stub) -> None:
    parameters = registered(stub, image(), {"UefiData": {}})
    absent = {"UefiData", "BootMode", "TpmSupport", "ImdsSupport", "SriovNetSupport", "Description"}
    assert absent.isdisjoint(parameters)


def test_mappings_without_a_volume_are_copied_too(stub: Stub) -> None:
    devices = (
        ROOT,
        BlockDevice(device_name="/dev/sdb", virtual_name="ephemeral0"),
        BlockDevice(device_name="/dev/sdc"),
        BlockDevice(device_name="/dev/sdd", snapshot_id="snap-2", volume_type="gp2", iops=120),
    )
    mappings = registered(stub, image(block_devices=devices))["BlockDeviceMappings"]
    assert mappings[1] == {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}
    assert mappings[2] == {"DeviceName": "/dev/sdc", "NoDevice": ""}
    assert mappings[3] == {"DeviceName": "/dev/sdd", "Ebs": {"SnapshotId": "snap-2", "VolumeType": "gp2"}}


def test_a_copy_whose_snapshots_are_gone_cannot_be_made(stub: Stub) -> None:
    client, stubber = stub("ec2")
    stubber.add_response("describe_image_attribute", {"ImageId": AMI})
    stubber.add_client_error("register_image", "InvalidSnapshotID.NotFound", "does not exist")
    with pytest.raises(ImageCreationFailedError, match=AMI):
        Ec2Images(client).register_copy(image(), "canonical", {"Name": "x"})


@pytest.mark.parametrize(
    ("status", "details", "code", "expected", "exit_code"),
    [
        ("Pending", "Pending", -1, CommandStatus.RUNNING, None),
        ("InProgress", "InProgress", -1, CommandStatus.RUNNING, None),
        ("Delayed", "Delayed", -1, CommandStatus.RUNNING, None),
        ("Cancelling", "Cancelling", -1, CommandStatus.RUNNING, None),
        ("Success", "Success", 0, CommandStatus.SUCCESS, 0),
        ("Failed", "Failed", 21, CommandStatus.FAILED, 21),
        ("TimedOut", "ExecutionTimedOut", 137, CommandStatus.TIMED_OUT, 137),
        ("TimedOut", "DeliveryTimedOut", -1, CommandStatus.UNDELIVERED, None),
        ("TimedOut", "Delivery Timed Out", -1, CommandStatus.UNDELIVERED, None),
        ("Failed", "Undeliverable", -1, CommandStatus.UNDELIVERED, None),
        ("Failed", "AccessDenied", -1, CommandStatus.FAILED, None),
        ("Failed", "InvalidPlatform", -1, CommandStatus.FAILED, None),
        ("Cancelled", "Cancelled", 137, CommandStatus.CANCELLED, 137),
    ],
)
def test_each_status_of_a_command_has_its_meaning(
    stub: Stub, status: str, details: str, code: int, expected: CommandStatus, exit_code: int | None
) -> None:
    client, stubber = stub("ssm")
    answer = {
        "Status": status,
        "StatusDetails": details,
        "ResponseCode": code,
        "StandardOutputContent": "",
        "StandardErrorContent": "",
    }
    stubber.add_response("get_command_invocation", answer)
    result = SsmCommands(client).result("00000000-0000-4000-8000-000000000001", "i-0123456789abcdef0")
    assert result is not None
    assert (result.status, result.status_details, result.exit_code) == (expected, details, exit_code)


def test_a_command_that_has_begun_counts_as_delivered_whatever_else_is_said(stub: Stub) -> None:
    client, stubber = stub("ssm")
    answer = {
        "Status": "TimedOut",
        "StatusDetails": "DeliveryTimedOut",
        "ResponseCode": -1,
        "ExecutionStartDateTime": "2026-01-01T00:00:00.000Z",
    }
    stubber.add_response("get_command_invocation", answer)
    result = SsmCommands(client).result("00000000-0000-4000-8000-000000000001", "i-0123456789abcdef0")
    assert result is not None
    assert result.status is CommandStatus.TIMED_OUT


def test_an_agent_that_lost_its_connection_is_not_online(stub: Stub) -> None:
    client, stubber = stub("ssm")
    agent = {"InstanceId": "i-0123456789abcdef0", "PingStatus": "ConnectionLost", "AgentVersion": "3.3.1.0"}
    stubber.add_response("describe_instance_information", {"InstanceInformationList": [agent]})
    assert SsmCommands(client).agent_version("i-0123456789abcdef0") is None


def test_an_agent_on_a_later_page_is_found(stub: Stub) -> None:
    client, stubber = stub("ssm")
    agent = {"InstanceId": "i-0123456789abcdef0", "PingStatus": "Online", "AgentVersion": "3.3.1.0"}
    stubber.add_response("describe_instance_information", {"InstanceInformationList": [], "NextToken": "n"})
    stubber.add_response("describe_instance_information", {"InstanceInformationList": [agent]})
    assert SsmCommands(client).agent_version("i-0123456789abcdef0") == "3.3.1.0"


def test_the_newest_command_with_a_comment_is_found(stub: Stub) -> None:
    client, stubber = stub("ssm")
    commands = [
        {
            "CommandId": f"00000000-0000-4000-8000-00000000000{day}",
            "Comment": comment,
            "RequestedDateTime": datetime(2026, 1, day, tzinfo=UTC),
        }
        for day, comment in ((1, "ours"), (3, "ours"), (4, "theirs"), (2, "ours"))
    ]
    stubber.add_response("list_commands", {"Commands": commands})
    found = SsmCommands(client).find("i-0123456789abcdef0", "ours")
    assert found == "00000000-0000-4000-8000-000000000003"


def test_output_goes_to_the_log_group_and_a_long_comment_is_cut_as_it_is_looked_for(stub: Stub) -> None:
    client, stubber = stub("ssm")
    comment = "c" * 120
    command_id = "00000000-0000-4000-8000-000000000001"
    stubber.add_response(
        "send_command",
        {"Command": {"CommandId": command_id}},
        {
            "InstanceIds": ["i-0123456789abcdef0"],
            "DocumentName": "ProvisionImage",
            "DocumentVersion": "$LATEST",
            "Parameters": {"Mode": ["fresh"]},
            "Comment": "c" * 100,
            "TimeoutSeconds": 60,
            "CloudWatchOutputConfig": {
                "CloudWatchLogGroupName": "/ami-lifecycle/commands",
                "CloudWatchOutputEnabled": True,
            },
        },
    )
    sent = {
        "CommandId": command_id,
        "Comment": "c" * 100,
        "RequestedDateTime": datetime(2026, 1, 1, tzinfo=UTC),
    }
    stubber.add_response("list_commands", {"Commands": [sent]})
    commands = SsmCommands(client, "/ami-lifecycle/commands")
    assert commands.send("i-0123456789abcdef0", "ProvisionImage", {"Mode": "fresh"}, comment) == command_id
    assert commands.find("i-0123456789abcdef0", comment) == command_id


def parameter(value: str, version: int, data_type: str = "text") -> dict[str, Any]:
    return {"Parameter": {"Name": "/a", "Value": value, "Version": version, "DataType": data_type}}


def test_a_parameter_that_another_writer_created_meanwhile_is_overwritten(stub: Stub) -> None:
    client, stubber = stub("ssm")
    stubber.add_client_error("get_parameter", "ParameterNotFound")
    stubber.add_client_error("put_parameter", "ParameterAlreadyExists")
    stubber.add_response("get_parameter", parameter("theirs", 1))
    stubber.add_response(
        "put_parameter",
        {"Version": 2},
        {
            "Name": "/a",
            "Value": "ours",
            "Type": "String",
            "DataType": "text",
            "Description": "d",
            "Overwrite": True,
        },
    )
    put = SsmParameters(client).put("/a", "ours", data_type="text", description="d", tags={"k": "v"})
    assert put == 2


def test_a_parameter_whose_oldest_version_is_labelled_needs_a_person(stub: Stub) -> None:
    client, stubber = stub("ssm")
    stubber.add_response("get_parameter", parameter("old", 100))
    stubber.add_client_error("put_parameter", "ParameterMaxVersionLimitExceeded", "has a label")
    with pytest.raises(RefusedError, match="UnlabelParameterVersion"):
        SsmParameters(client).put("/a", "new", data_type="text", description="d", tags={})


def usage_of(
    stub: Stub, references: list[dict[str, str]], templates: Sequence[dict[str, Any]] = ()
) -> list[Any]:
    """The uses of an image in an account that has nothing but these references and templates."""
    ec2, stubber = stub("ec2")
    autoscaling, groups = stub("autoscaling")
    ssm, store = stub("ssm")
    stubber.add_response("describe_image_references", {"ImageReferences": references})
    stubber.add_response("describe_instances", {"Reservations": []})
    groups.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []})
    groups.add_response("describe_launch_configurations", {"LaunchConfigurations": []})
    stubber.add_response("describe_fleets", {"Fleets": []})
    stubber.add_response("describe_spot_fleet_requests", {"SpotFleetRequestConfigs": []})
    stubber.add_response("describe_spot_instance_requests", {"SpotInstanceRequests": []})
    stubber.add_response("describe_launch_template_versions", {"LaunchTemplateVersions": list(templates)})
    store.add_response("describe_parameters", {"Parameters": []})
    stubber.add_response(
        "describe_image_attribute",
        {"ImageId": AMI, "LaunchPermissions": [{"Group": "all"}, {"OrganizationArn": "arn:org"}]},
        {"ImageId": AMI, "Attribute": ANY},
    )
    (usage,) = AwsImageUsage(ec2, autoscaling, ssm).usage_of([AMI])
    others = [use for use in usage.uses if use.kind is not UsageKind.LAUNCH_PERMISSION]
    assert [use.resource for use in usage.uses if use not in others] == ["all", "arn:org"]
    return others


@pytest.mark.parametrize(
    ("resource_type", "arn", "kind"),
    [
        ("ssm:Parameter", "arn:aws:ssm:us-east-1:1:parameter/comfyui/ami/prod/latest", UsageKind.LATEST),
        ("ssm:Parameter", "arn:aws:ssm:us-east-1:1:parameter/team/golden-image", UsageKind.PARAMETER),
        ("ssm:Parameter", "arn:aws:ssm:us-east-1:1:parameter/x/comfyui/ami/a/latest", UsageKind.PARAMETER),
        ("imagebuilder:ImageRecipe", "arn:aws:imagebuilder:us-east-1:1:image-recipe/r", UsageKind.RECIPE),
        # A template whose versions do not show the image that EC2 says it refers to.
        ("ec2:LaunchTemplate", "arn:aws:ec2:us-east-1:1:launch-template/lt-1", UsageKind.LAUNCH_TEMPLATE),
        ("batch:ComputeEnvironment", "arn:aws:batch:us-east-1:1:ce", UsageKind.UNKNOWN),
    ],
)
def test_a_reference_is_a_use_of_its_kind(stub: Stub, resource_type: str, arn: str, kind: UsageKind) -> None:
    reference = {"ImageId": AMI, "ResourceType": resource_type, "Arn": arn}
    assert [(use.kind, use.resource) for use in usage_of(stub, [reference])] == [(kind, arn)]


@pytest.mark.parametrize("leaf", ["metadata", f"history/{AMI}"])
def test_our_own_records_of_an_image_are_no_uses(stub: Stub, leaf: str) -> None:
    arn = f"arn:aws:ssm:us-east-1:1:parameter/comfyui/ami/prod/{leaf}"
    assert usage_of(stub, [{"ImageId": AMI, "ResourceType": "ssm:Parameter", "Arn": arn}]) == []


def test_a_template_that_ec2_refers_to_is_named_once_and_by_its_version(stub: Stub) -> None:
    arn = "arn:aws:ec2:us-east-1:1:launch-template/lt-1"
    version = {
        "LaunchTemplateId": "lt-1",
        "LaunchTemplateName": "fleet",
        "VersionNumber": 1,
        "DefaultVersion": True,
        "LaunchTemplateData": {"ImageId": AMI},
    }
    reference = {"ImageId": AMI, "ResourceType": "ec2:LaunchTemplate", "Arn": arn}
    (use,) = usage_of(stub, [reference], [version])
    assert use.kind is UsageKind.LAUNCH_TEMPLATE
    assert use.resource.startswith("lt-1 (fleet) version 1, which is $Latest and $Default")


LIMIT = TimeLimit("ssm:GetParameters", FakeClock(), FakeClock().now() + timedelta(hours=1))


def resolved(stub: Stub, *answers: dict[str, Any] | str, of: Sequence[str]) -> dict[str, Resolution]:
    """What aliases stand for, from answers of GetParameters or error codes, in turn."""
    ssm, stubber = stub("ssm")
    for answer in answers:
        if isinstance(answer, str):
            stubber.add_client_error("get_parameters", answer)
        else:
            stubber.add_response("get_parameters", answer)
    return dict(resolve_aliases(ssm, of, LIMIT))


def stored(name: str, value: str, selector: str = "") -> dict[str, str]:
    arn = f"arn:aws:ssm:us-east-1:111122223333:parameter{name}"
    return {"Name": name, "ARN": arn, "Value": value, **({"Selector": selector} if selector else {})}


def test_aliases_are_resolved_by_name_or_arn_and_what_is_gone_is_known_to_be(stub: Stub) -> None:
    aliases = [
        "resolve:ssm:/a:3",
        "resolve:ssm:arn:aws:ssm:us-east-1:111122223333:parameter/b:stable",
        "resolve:ssm:/gone:1",
        "resolve:ssm:/aws/service/canonical/ubuntu",
    ]
    answer = {
        "Parameters": [stored("/a", AMI, ":3"), stored("/b", "ami-1", ":stable")],
        "InvalidParameters": ["/gone:1"],
    }
    found = resolved(stub, answer, of=aliases)
    assert [found[alias] for alias in aliases] == [
        Resolution(value=AMI),
        Resolution(value="ami-1"),
        Resolution(),
        Resolution(),
    ]


def test_two_versions_of_a_parameter_are_not_asked_for_in_one_call(stub: Stub) -> None:
    answers = [{"Parameters": [stored("/a", AMI, f":{number}")]} for number in (1, 2)]
    aliases = ["resolve:ssm:/a:1", "resolve:ssm:/a:2"]
    assert list(resolved(stub, *answers, of=aliases).values()) == [Resolution(value=AMI)] * 2


def test_an_alias_that_may_not_be_read_does_not_hide_the_others(stub: Stub) -> None:
    denied = "AccessDeniedException"
    aliases = ["resolve:ssm:arn:aws:ssm:us-east-1:1:parameter/theirs", "resolve:ssm:/a"]
    found = resolved(stub, denied, denied, {"Parameters": [stored("/a", AMI)]}, of=aliases)
    assert [found[alias] for alias in aliases] == [Resolution(is_known=False), Resolution(value=AMI)]


def test_a_refresh_whose_group_has_gone_since_is_none(stub: Stub) -> None:
    autoscaling, stubber = stub("autoscaling")
    stubber.add_client_error(
        "describe_instance_refreshes", "ValidationError", "AutoScalingGroup 'a' not found"
    )
    group = Launcher(kind=UsageKind.AUTO_SCALING_GROUP, name="a")
    assert list(read_refreshes(autoscaling, [group], LIMIT)) == []


@pytest.mark.parametrize(
    ("state", "launches"),
    [("Baking", True), ("RollbackInProgress", True), ("Successful", False), ("New", True)],
)
def test_a_refresh_counts_until_it_is_over_on_every_page(stub: Stub, state: str, launches: bool) -> None:
    autoscaling, stubber = stub("autoscaling")
    refresh = {
        "Status": state,
        "DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateName": "fleet", "Version": "2"}},
    }
    stubber.add_response("describe_instance_refreshes", {"InstanceRefreshes": [], "NextToken": "more"})
    stubber.add_response("describe_instance_refreshes", {"InstanceRefreshes": [refresh]})
    group = Launcher(kind=UsageKind.AUTO_SCALING_GROUP, name="a")
    found = list(read_refreshes(autoscaling, [group], LIMIT))
    expected = (TemplateReference(template="fleet", version="2"),)
    assert [each.templates for each in found] == ([expected] if launches else [])


@pytest.mark.parametrize(
    ("state", "launches"),
    [
        ("active", True),
        ("modifying", True),
        ("submitted", True),
        ("deleted_running", False),
        ("failed", False),
    ],
)
def test_a_fleet_counts_while_it_may_launch(stub: Stub, state: str, launches: bool) -> None:
    ec2, stubber = stub("ec2")
    fleet = {
        "FleetId": "fleet-1",
        "FleetState": state,
        "LaunchTemplateConfigs": [{"Overrides": [{"ImageId": AMI}]}],
    }
    stubber.add_response("describe_fleets", {"Fleets": [fleet]})
    assert [each.images for each in read_fleets(ec2, LIMIT)] == ([(AMI,)] if launches else [])


@pytest.mark.parametrize(
    ("kind", "state", "launches"),
    [("one-time", "open", True), ("one-time", "active", False), ("persistent", "active", True)],
)
def test_a_spot_request_counts_while_it_may_launch_again(
    stub: Stub, kind: str, state: str, launches: bool
) -> None:
    ec2, stubber = stub("ec2")
    request = {
        "SpotInstanceRequestId": "sir-1",
        "State": state,
        "Type": kind,
        "LaunchSpecification": {"ImageId": AMI},
    }
    stubber.add_response("describe_spot_instance_requests", {"SpotInstanceRequests": [request]})
    assert [each.images for each in read_spot_requests(ec2, LIMIT)] == ([(AMI,)] if launches else [])
