"""What is denied on the emulator: by tag, by function, and by rights that are missed somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.workflows.conftest import Running
from tests.workflows.granted import FEW_ENVIRONMENTS, Policies, Taken, client_of
from tests.workflows.service import until

from aws_emulator.iam.policies import Decision, check, decide

SETTINGS = FEW_ENVIRONMENTS
CODES = {
    "autoscaling": "AccessDenied",
    "ec2": "UnauthorizedOperation",
    "sns": "AuthorizationError",
    "sqs": "AccessDenied",
    "ssm": "AccessDeniedException",
}
INSTANCES = {"InstanceIds": ["i-0123456789abcdef0"]}
LATEST = {"Name": "/comfyui/ami/calm/latest"}
MESSAGE = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:elsewhere", "Message": "hello"}
# What each function tries that is none of its business.
MEDDLING: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "AdoptImageNameFunction": ("ec2", "deregister_image", {"ImageId": "ami-0123456789abcdef0"}),
    "AwaitResourceFunction": ("ec2", "terminate_instances", INSTANCES),
    "ClaimEnvironmentFunction": ("ec2", "describe_instances", {}),
    "CleanUpBuildFunction": ("ssm", "put_parameter", {**LATEST, "Value": "ami-1", "Overwrite": True}),
    "CreateImageFunction": ("ec2", "stop_instances", INSTANCES),
    "DecideApprovalFunction": ("ssm", "put_parameter", {**LATEST, "Value": "ami-1", "Overwrite": True}),
    "LaunchBuilderFunction": ("ec2", "describe_images", {}),
    "LaunchCanaryFunction": ("ec2", "create_image", {"InstanceId": "i-0123456789abcdef0", "Name": "abc"}),
    "PlanBuildFunction": ("ssm", "get_parameter", {"Name": "/another/secret"}),
    "ProvisionBuilderFunction": ("ssm", "get_parameter", LATEST),
    "PublishImageFunction": ("ssm", "delete_parameter", LATEST),
    "ReleaseEnvironmentFunction": ("ec2", "delete_snapshot", {"SnapshotId": "snap-0123456789abcdef0"}),
    "RequestApprovalFunction": ("ssm", "get_parameter", LATEST),
    "ResumeBuildFunction": ("sns", "publish", MESSAGE),
    "RetireImagesFunction": ("ec2", "terminate_instances", INSTANCES),
    "StopBuilderFunction": ("sqs", "list_queues", {}),
    "SweepEnvironmentsFunction": ("ssm", "delete_parameter", LATEST),
    "VerifyImageFunction": ("autoscaling", "describe_launch_configurations", {}),
}


@pytest.fixture(scope="module")
def policies(running: Running) -> Policies:
    return Policies(running.service)


# What no role may do, with resources that are not ours.


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("ec2:TerminateInstances", "instance"),
        ("ec2:StopInstances", "instance"),
        ("ec2:CreateImage", "instance"),
        ("ssm:SendCommand", "instance"),
        ("ec2:DeregisterImage", "image"),
        ("ec2:RegisterImage", "snapshot"),
        ("ec2:DeleteSnapshot", "snapshot"),
    ],
)
@pytest.mark.parametrize("tags", [{}, {"ami-lifecycle:application": "another"}, {"Name": "comfyui"}])
def test_no_role_may_change_what_does_not_carry_our_tag(
    policies: Policies, running: Running, action: str, kind: str, tags: dict[str, str]
) -> None:
    account = "" if kind in {"image", "snapshot"} else running.emulator.account_id
    arn = f"arn:aws:ec2:us-east-1:{account}:{kind}/{kind[0]}-0123456789abcdef0"
    own = {"ami-lifecycle:application": "comfyui"}
    allowed = set()
    for role in policies.attached:
        statements = policies.statements(role)
        assert decide(statements, check(action, arn, _tagged(tags))) is not Decision.ALLOWED
        if decide(statements, check(action, arn, _tagged(own))) is Decision.ALLOWED:
            allowed.add(role)
    # It is the tag that decides: with ours, some role may.
    assert allowed


def _tagged(tags: Mapping[str, str]) -> dict[str, str]:
    prefixes = ("aws:ResourceTag", "ec2:ResourceTag", "ssm:resourceTag")
    return {f"{prefix}/{key}": value for prefix in prefixes for key, value in tags.items()}


def test_no_role_may_put_our_tag_on_what_exists(policies: Policies, running: Running) -> None:
    asked = {
        "aws:RequestTag/ami-lifecycle:application": "comfyui",
        "aws:TagKeys": ["ami-lifecycle:application"],
    }
    for kind in ("instance", "image", "snapshot", "volume"):
        account = "" if kind in {"image", "snapshot"} else running.emulator.account_id
        question = check("ec2:CreateTags", f"arn:aws:ec2:us-east-1:{account}:{kind}/x-1", asked)
        for role in policies.attached:
            assert decide(policies.statements(role), question) is not Decision.ALLOWED


# What functions are denied, seen through the API with their own access keys.


@pytest.mark.parametrize("function", sorted(MEDDLING))
def test_a_function_is_denied_a_call_that_is_none_of_its_business(running: Running, function: str) -> None:
    service_name, operation, parameters = MEDDLING[function]
    client = client_of(running, function, service_name)
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**parameters)
    assert caught.value.response["Error"]["Code"] == CODES[service_name]
    message = caught.value.response["Error"]["Message"]
    role = running.emulator.identities.role_of(function) or ""
    assert f"assumed-role/{role.rpartition('/')[2]}/{function} is not authorized to perform: " in message
    assert "because no identity-based policy allows the " in message


def test_every_function_is_tried(running: Running) -> None:
    assert {function.logical_id for function in running.emulator.functions.functions()} == set(MEDDLING)


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("ReleaseEnvironmentFunction", "terminate_instances"),
        ("StopBuilderFunction", "stop_instances"),
        ("RetireImagesFunction", "deregister_image"),
        ("RetireImagesFunction", "delete_snapshot"),
    ],
)
def test_an_untagged_resource_is_out_of_reach_and_a_tagged_one_is_not(
    running: Running, function: str, call: str
) -> None:
    parameters, resource_id = _foreign(running, call)
    client = client_of(running, function, "ec2")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        getattr(client, call)(**parameters)
    tags = [{"Key": "ami-lifecycle:application", "Value": "comfyui"}]
    running.service.client("ec2").create_tags(Resources=[resource_id], Tags=tags)
    getattr(client, call)(**parameters)


def _foreign(running: Running, call: str) -> tuple[dict[str, Any], str]:
    """A resource of somebody else in the account, and the parameters that would change it."""
    ec2 = running.service.client("ec2")
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=base, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][
        0
    ]
    instance_id = instance["InstanceId"]
    if call in {"terminate_instances", "stop_instances"}:
        _wait_for(lambda: _state(ec2, instance_id) == "running")
        return {"InstanceIds": [instance_id]}, instance_id
    _wait_for(lambda: _state(ec2, instance_id) == "running")
    image_id = ec2.create_image(InstanceId=instance_id, Name=f"theirs-{call}")["ImageId"]
    _wait_for(lambda: ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"] == "available")
    if call == "deregister_image":
        return {"ImageId": image_id}, image_id
    image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ec2.deregister_image(ImageId=image_id)
    return {"SnapshotId": snapshot_id}, snapshot_id


def _state(ec2: Any, instance_id: str) -> str:
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def _wait_for(condition: Callable[[], bool]) -> None:
    until("the account has come so far", condition)


# Rights that are missed somewhere else than at the call.


def test_a_writer_without_the_right_to_see_images_is_answered_and_not_obeyed(running: Running) -> None:
    """Systems Manager user guide, Native parameter support for AMI IDs: PutParameter answers 200 and is dropped."""
    environment = running.service.environment("calm")
    environment.must_build("calm before the rights are taken")
    before = environment.latest()
    with Taken(running, "ec2:DescribeImages", role="PublishImageRole"):
        ssm = client_of(running, "PublishImageFunction", "ssm")
        answer = ssm.put_parameter(
            Name=f"{environment.prefix}/latest", Value=before, Overwrite=True, DataType="aws:ec2:image"
        )
        history = running.service.client("ssm").get_parameter_history
        _let_time_pass(running, 30)
        versions = history(Name=f"{environment.prefix}/latest")["Parameters"]
    assert answer["Version"] not in {version["Version"] for version in versions}


def test_an_instance_without_the_agents_rights_never_comes_online(running: Running) -> None:
    ec2, ssm = running.service.client("ec2"), running.service.client("ssm")
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    profile = {"Name": running.service.physical_ids["BuilderInstanceProfile"]}

    def launch() -> str:
        launched = ec2.run_instances(
            ImageId=base, InstanceType="t3.micro", MinCount=1, MaxCount=1, IamInstanceProfile=profile
        )
        return str(launched["Instances"][0]["InstanceId"])

    with Taken(running, "ssmmessages:OpenControlChannel", role="BuilderRole"):
        deaf = launch()
        _wait_for(lambda: _state(ec2, deaf) == "running")
        hearing_again_is_too_late = 30
        _let_time_pass(running, hearing_again_is_too_late)
    hearing = launch()

    def online() -> set[str]:
        return {each["InstanceId"] for each in ssm.describe_instance_information()["InstanceInformationList"]}

    _wait_for(lambda: hearing in online())
    assert deaf not in online()
    ec2.terminate_instances(InstanceIds=[deaf, hearing])


def test_a_builder_that_may_not_pull_fails_the_build_with_the_registrys_words(running: Running) -> None:
    environment = running.service.environment("calm")
    before = environment.latest()
    with Taken(running, "ecr:BatchGetImage", role="BuilderRole"):
        ended = environment.build("calm without pull")
    assert ended.error == "DocumentInterruptedError"
    assert "is not authorized to perform: ecr:BatchGetImage" in (ended.cause or "")
    assert environment.latest() == before


def _let_time_pass(running: Running, emulated_seconds: float) -> None:
    clock = running.emulator.clock
    end = clock.elapsed() + emulated_seconds
    until("time passes", lambda: clock.elapsed() >= end)
