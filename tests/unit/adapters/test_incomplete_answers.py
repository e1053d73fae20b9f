"""Answers that lack a member, are cut off, or are errors without a code: each ends as an error that is retried.

Every method of every adapter is tried with an answer that is complete, and then with each member of it taken
away, one by one, at every depth.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore.validate import ParamValidator
from tests.unit.adapters.test_ports_are_met import AWS
from tests.unit.adapters.test_rare_answers import AMI, image
from tests.unit.domain.builders import a_launch

from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.items import to_attribute
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.adapters.package_lists import S3PackageLists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.adapters.waits import DynamoWaits
from ami_lifecycle.domain.environment import Claim, LaunchProgress, Pin
from ami_lifecycle.domain.model import Role, UsageKind
from ami_lifecycle.domain.outcomes import BuildFailed
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AmiLifecycleError, ServiceUnavailableError
from ami_lifecycle.ports import StoredWait

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
INSTANCE = "i-0123456789abcdef0"
TAGS = {"ami-lifecycle:application": "comfyui"}
TAG_LIST = [{"Key": key, "Value": value} for key, value in TAGS.items()]
DIGEST = "sha256:" + "ab" * 32
ARN = "arn:aws:states:us-east-1:123456789012:execution:machine:e1"
CLAIM = Claim(execution_arn=ARN, number=2, action=Action.BUILD, claimed_at=NOW, lease_until=NOW)
REQUEST = BuildRequest(environment="prod")
WAIT = StoredWait(INSTANCE, "token", {"kind": "agent"}, ARN, NOW)
ITEM = {
    "pk": to_attribute("environment#prod"),
    "fencing": to_attribute(2),
    "claim": to_attribute(CLAIM),
    "revision": to_attribute(1),
    "published_count": to_attribute(7),
}
WAIT_ITEM = {
    "pk": to_attribute(f"wait#{INSTANCE}"),
    "token": to_attribute("token"),
    "wait": to_attribute('{"kind": "agent"}'),
    "execution_arn": to_attribute(ARN),
    "since": to_attribute(NOW.isoformat()),
    "expires_at": to_attribute(4_000_000_000),
}
IMAGE = {
    "ImageId": AMI,
    "Name": "comfyui-multitenant-prod",
    "State": "available",
    "OwnerId": "123456789012",
    "CreationDate": "2026-01-15T12:00:00.000Z",
    "RootDeviceName": "/dev/sda1",
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-1", "VolumeType": "gp3", "VolumeSize": 40}}
    ],
    "Tags": TAG_LIST,
}
RUNNING = {
    "InstanceId": INSTANCE,
    "ImageId": AMI,
    "State": {"Code": 16, "Name": "running"},
    "InstanceType": "m7i.large",
    "SubnetId": "subnet-1",
    "LaunchTime": NOW,
    "Tags": TAG_LIST,
}
RESERVATIONS = {"Reservations": [{"OwnerId": "123456789012", "Instances": [RUNNING]}]}
SNAPSHOT = {"SnapshotId": "snap-1", "State": "completed", "StartTime": NOW, "Tags": TAG_LIST}
PARAMETER = {"Name": "/a/latest", "Value": AMI, "Version": 3, "Type": "String", "DataType": "aws:ec2:image"}
INVOCATION = {
    "Status": "Success",
    "StatusDetails": "Success",
    "ResponseCode": 0,
    "StandardOutputContent": "out",
    "StandardErrorContent": "err",
}
DOCUMENT = {"DocumentVersion": "3", "DocumentType": "Command", "Status": "Active", "Content": "{}"}
COMMAND = {"CommandId": "c-" + "1" * 34, "Comment": "provision", "RequestedDateTime": NOW}
OUTCOME = BuildFailed(
    application="comfyui",
    environment="prod",
    region="us-east-1",
    execution_arn=ARN,
    error="e",
    cause="c",
)
NOTHING_USES_IT = {
    "DescribeInstances": {"Reservations": []},
    "DescribeLaunchTemplateVersions": {"LaunchTemplateVersions": []},
    "DescribeAutoScalingGroups": {"AutoScalingGroups": [{"AutoScalingGroupName": "web"}]},
    "DescribeInstanceRefreshes": {"InstanceRefreshes": []},
    "DescribeLaunchConfigurations": {"LaunchConfigurations": []},
    "DescribeFleets": {"Fleets": []},
    "DescribeSpotFleetRequests": {"SpotFleetRequestConfigs": []},
    "DescribeSpotInstanceRequests": {"SpotInstanceRequests": []},
    "DescribeParameters": {"Parameters": [{"Name": "/fleet/name"}]},
    "GetParameters": {"Parameters": [{"ARN": "arn:aws:ssm:::parameter/fleet/name", "Value": "x"}]},
    "DescribeImageReferences": {"ImageReferences": []},
    "DescribeImageAttribute": {"ImageId": AMI, "LaunchPermissions": []},
}


NOT_READ = frozenset({"ImageId"})  # DescribeImageAttribute repeats what it was asked for.


class Case(NamedTuple):
    """One method with its answers.

    Attributes:
        answers: by operation.
        optional: members whose absence says something (they are absent where there is nothing to say), with
            what it says. All others are read and always there, or not read.
    """

    adapter: Callable[[Callable[[str], Any]], Any]
    method: str
    arguments: Mapping[str, Any]
    answers: Mapping[str, dict[str, Any]]
    optional: frozenset[str] = frozenset()


def _images(client: Callable[[str], Any]) -> Ec2Images:
    return Ec2Images(client("ec2"))


def _instances(client: Callable[[str], Any]) -> Ec2Instances:
    return Ec2Instances(client("ec2"))


def _commands(client: Callable[[str], Any]) -> SsmCommands:
    return SsmCommands(client("ssm"))


def _parameters(client: Callable[[str], Any]) -> SsmParameters:
    return SsmParameters(client("ssm"))


def _repository(client: Callable[[str], Any]) -> EcrRepository:
    return EcrRepository(client("ecr"))


def _network(client: Callable[[str], Any]) -> Ec2Network:
    return Ec2Network(client("ec2"))


def _documents(client: Callable[[str], Any]) -> SsmDocuments:
    return SsmDocuments(client("ssm"))


def _environments(client: Callable[[str], Any]) -> DynamoEnvironments:
    return DynamoEnvironments("table", client("dynamodb"))


def _waits(client: Callable[[str], Any]) -> DynamoWaits:
    return DynamoWaits("table", client("dynamodb"))


def _executions(client: Callable[[str], Any]) -> StepFunctionsExecutions:
    return StepFunctionsExecutions(client("stepfunctions"))


def _notifier(client: Callable[[str], Any]) -> AwsNotifier:
    return AwsNotifier(client("sns"), client("events"), "arn:aws:sns:us-east-1:123456789012:outcomes")


def _package_lists(client: Callable[[str], Any]) -> S3PackageLists:
    return S3PackageLists(client("s3"), "lists")


def _usage(client: Callable[[str], Any]) -> AwsImageUsage:
    return AwsImageUsage(client("ec2"), client("autoscaling"), client("ssm"))


# What EC2 leaves out where a resource does not have it, and what a resource is without it.
_OF_IMAGES = frozenset(
    {
        "Name",
        "OwnerId",
        "CreationDate",
        "RootDeviceName",
        "BlockDeviceMappings",
        "Ebs",
        "SnapshotId",
        "VolumeType",
        "VolumeSize",
        "Tags",
    }
)
_OF_INSTANCES = frozenset({"ImageId", "InstanceType", "SubnetId", "LaunchTime", "Tags"})
_OF_SNAPSHOTS = frozenset({"StartTime", "Tags"})
# DynamoDB has no item of this key, or nobody has written the attribute.
_OF_ITEMS = frozenset({"Item", "fencing", "claim", "revision", "published_count", "digest", "busy_until"})
_UPDATED = {"UpdateItem": {"Attributes": ITEM}}

CASES = [
    Case(_images, "get", {"image_id": AMI}, {"DescribeImages": {"Images": [IMAGE]}}, _OF_IMAGES),
    Case(_images, "find", {"tags": TAGS}, {"DescribeImages": {"Images": [IMAGE]}}, _OF_IMAGES),
    Case(
        _images, "find_by_name", {"pattern": "comfyui*"}, {"DescribeImages": {"Images": [IMAGE]}}, _OF_IMAGES
    ),
    Case(
        _images,
        "newest",
        {"owner": "self", "name": "golden-*", "architecture": "x86_64"},
        {"DescribeImages": {"Images": [IMAGE]}},
        _OF_IMAGES,
    ),
    Case(
        _images,
        "images_of_snapshots",
        {"snapshot_ids": ["snap-1"]},
        {"DescribeImages": {"Images": [IMAGE]}},
        _OF_IMAGES,
    ),
    Case(_images, "find_each", {"image_ids": [AMI]}, {"DescribeImages": {"Images": [IMAGE]}}, _OF_IMAGES),
    Case(
        _images,
        "create",
        {"instance_id": INSTANCE, "name": "candidate", "description": "d", "tags": TAGS},
        {"CreateImage": {"ImageId": AMI}},
    ),
    Case(
        _images,
        "register_copy",
        {"image": image(), "name": "canonical", "tags": TAGS},
        {
            "DescribeImageAttribute": {"ImageId": AMI, "UefiData": {"Value": "x"}},
            "RegisterImage": {"ImageId": AMI},
        },
        frozenset({"UefiData", "Value"}),
    ),
    Case(
        _images,
        "allowed_images",
        {},
        {"GetAllowedImagesSettings": {"State": "enabled", "ManagedBy": "declarative-policy"}},
        frozenset({"ManagedBy"}),
    ),
    # The image is gone by then, and whatever is not named as deleted is looked for.
    Case(
        _images,
        "deregister",
        {"image_id": AMI, "with_snapshots": True},
        {"DeregisterImage": {"DeleteSnapshotResults": [{"SnapshotId": "snap-1", "ReturnCode": "success"}]}},
        frozenset({"DeleteSnapshotResults", "ReturnCode", "SnapshotId"}),
    ),
    Case(
        _images,
        "launch_permissions",
        {"image_id": AMI},
        {"DescribeImageAttribute": {"ImageId": AMI, "LaunchPermissions": [{"UserId": "210987654321"}]}},
    ),
    Case(
        _images,
        "find_snapshots",
        {"tags": TAGS},
        {"DescribeSnapshots": {"Snapshots": [SNAPSHOT]}},
        _OF_SNAPSHOTS,
    ),
    Case(
        _images,
        "find_each_snapshot",
        {"snapshot_ids": ["snap-1"]},
        {"DescribeSnapshots": {"Snapshots": [SNAPSHOT]}},
        _OF_SNAPSHOTS,
    ),
    Case(_images, "delete_snapshot", {"snapshot_id": "snap-1"}, {"DeleteSnapshot": {}}),
    Case(_images, "is_deregistered", {"image_id": AMI}, {"DescribeImages": {"Images": [IMAGE]}}, _OF_IMAGES),
    Case(_images, "deprecate", {"image_id": AMI, "at": NOW}, {"EnableImageDeprecation": {}}),
    Case(_images, "undeprecate", {"image_id": AMI}, {"DisableImageDeprecation": {}}),
    Case(_images, "protect", {"image_id": AMI}, {"EnableImageDeregistrationProtection": {}}),
    Case(_images, "unprotect", {"image_id": AMI}, {"DisableImageDeregistrationProtection": {}}),
    Case(
        _images,
        "snapshots_in_bin",
        {"snapshot_ids": ["snap-1"]},
        {"ListSnapshotsInRecycleBin": {"Snapshots": [{"SnapshotId": "snap-1", "RecycleBinExitTime": NOW}]}},
    ),
    Case(_images, "restore_snapshot", {"snapshot_id": "snap-1"}, {"RestoreSnapshotFromRecycleBin": {}}),
    Case(_documents, "get", {"name": "Agent", "version": 3}, {"GetDocument": DOCUMENT}),
    Case(_instances, "get", {"instance_id": INSTANCE}, {"DescribeInstances": RESERVATIONS}, _OF_INSTANCES),
    Case(_instances, "find", {"tags": TAGS}, {"DescribeInstances": RESERVATIONS}, _OF_INSTANCES),
    Case(
        _instances,
        "launch",
        {"request": a_launch()},
        {"RunInstances": {"Instances": [RUNNING]}},
        _OF_INSTANCES,
    ),
    Case(_instances, "stop", {"instance_id": INSTANCE}, {"StopInstances": {"StoppingInstances": []}}),
    Case(
        _instances,
        "terminate",
        {"instance_id": INSTANCE},
        {"TerminateInstances": {"TerminatingInstances": []}},
    ),
    Case(_usage, "usage_of", {"image_ids": [AMI]}, NOTHING_USES_IT),
    Case(
        _usage,
        "permissions_of",
        {"image_id": AMI},
        {"DescribeImageAttribute": NOTHING_USES_IT["DescribeImageAttribute"]},
    ),
    Case(
        _commands,
        "agent_version",
        {"instance_id": INSTANCE},
        {
            "DescribeInstanceInformation": {
                "InstanceInformationList": [{"PingStatus": "Online", "AgentVersion": "3.3.4000.0"}]
            }
        },
        frozenset({"PingStatus", "AgentVersion"}),
    ),
    Case(
        _commands,
        "find",
        {"instance_id": INSTANCE, "comment": "provision"},
        {"ListCommands": {"Commands": [COMMAND]}},
        frozenset({"Comment"}),
    ),
    Case(
        _commands,
        "send",
        {"instance_id": INSTANCE, "document": "d", "parameters": {}, "comment": "c"},
        {"SendCommand": {"Command": COMMAND}},
    ),
    Case(
        _commands,
        "result",
        {"command_id": COMMAND["CommandId"], "instance_id": INSTANCE},
        {"GetCommandInvocation": INVOCATION},
        frozenset({"StatusDetails", "ResponseCode", "StandardErrorContent"}),
    ),
    Case(
        _parameters,
        "get",
        {"name": "/a/latest"},
        {"GetParameter": {"Parameter": PARAMETER}},
        frozenset({"DataType"}),
    ),
    Case(
        _parameters,
        "put",
        {"name": "/a/latest", "value": AMI, "data_type": "text", "description": "d", "tags": TAGS},
        {"GetParameter": {"Parameter": PARAMETER}, "PutParameter": {"Version": 4, "Tier": "Standard"}},
    ),
    Case(
        _parameters,
        "list_below",
        {"path": "/a"},
        {"GetParametersByPath": {"Parameters": [PARAMETER]}},
        frozenset({"DataType"}),
    ),
    Case(_parameters, "delete", {"name": "/a/latest"}, {"DeleteParameter": {}}),
    Case(
        _parameters,
        "get_each",
        {"names": ["/a/latest", "/gone"]},
        {"GetParameters": {"Parameters": [PARAMETER], "InvalidParameters": ["/gone"]}},
        frozenset({"DataType", "Type"}),
    ),
    Case(
        _parameters,
        "overwrite",
        {"name": "/a/latest", "value": "v", "data_type": "text", "description": "d"},
        {"PutParameter": {"Version": 4}},
    ),
    Case(
        _repository,
        "uri",
        {"repository": "comfyui"},
        {"DescribeRepositories": {"repositories": [{"repositoryUri": "registry/comfyui"}]}},
    ),
    Case(
        _repository,
        "digest_of",
        {"repository": "comfyui", "tag": "prod-latest"},
        {"DescribeImages": {"imageDetails": [{"imageDigest": DIGEST}]}},
    ),
    Case(
        _repository,
        "has_digest",
        {"repository": "comfyui", "digest": DIGEST},
        {"DescribeImages": {"imageDetails": [{"imageDigest": DIGEST}]}},
    ),
    Case(
        _repository,
        "describe",
        {"repository": "comfyui", "digest": DIGEST},
        {"DescribeImages": {"imageDetails": [{"imageDigest": DIGEST}]}},
    ),
    Case(
        _repository,
        "manifest",
        {"repository": "comfyui", "digest": DIGEST},
        {"BatchGetImage": {"images": [{"imageManifest": "{}"}]}},
    ),
    Case(
        _repository,
        "scan",
        {"repository": "comfyui", "digest": DIGEST},
        {
            "DescribeImageScanFindings": {
                "imageScanStatus": {"status": "COMPLETE"},
                "imageScanFindings": {
                    "imageScanCompletedAt": NOW,
                    "findingSeverityCounts": {"LOW": 1},
                    "enhancedFindings": [
                        {
                            "severity": "LOW",
                            "packageVulnerabilityDetails": {
                                "vulnerabilityId": "CVE-2026-1",
                                "vulnerablePackages": [
                                    {"name": "bash", "version": "5.1", "fixedInVersion": "5.2"}
                                ],
                            },
                        }
                    ],
                },
            }
        },
        # Without a date nothing was scanned yet; what is counted and not named counts; a finding without its name or
        # its packages is one all the same.
        frozenset(
            {
                "imageScanCompletedAt",
                "findingSeverityCounts",
                "LOW",
                "enhancedFindings",
                "packageVulnerabilityDetails",
                "vulnerabilityId",
                "vulnerablePackages",
                "name",
                "version",
                "fixedInVersion",
            }
        ),
    ),
    Case(
        _network,
        "vpcs_of_subnets",
        {"subnet_ids": ["subnet-0123456789abcdef0"]},
        {"DescribeSubnets": {"Subnets": [{"SubnetId": "subnet-0123456789abcdef0", "VpcId": "vpc-1"}]}},
    ),
    Case(
        _network,
        "vpc_of_group",
        {"group_id": "sg-0123456789abcdef0"},
        {"DescribeSecurityGroups": {"SecurityGroups": [{"VpcId": "vpc-1"}]}},
    ),
    Case(_environments, "get", {"environment": "prod"}, {"GetItem": {"Item": ITEM}}, _OF_ITEMS),
    Case(_environments, "claim", {"environment": "prod", "claim": CLAIM}, _UPDATED),
    Case(
        _environments,
        "queue",
        {"environment": "prod", "request": REQUEST, "behind": CLAIM, "revision": 0},
        _UPDATED,
    ),
    Case(
        _environments,
        "enter",
        {"environment": "prod", "execution_arn": ARN, "number": 2, "busy_until": NOW},
        _UPDATED,
    ),
    Case(_environments, "leave", {"environment": "prod", "execution_arn": ARN, "number": 2}, _UPDATED),
    Case(
        _environments,
        "remember_launch",
        {
            "environment": "prod",
            "execution_arn": ARN,
            "number": 2,
            "progress": LaunchProgress(role=Role.BUILDER, position=1),
        },
        _UPDATED,
    ),
    Case(_environments, "release", {"environment": "prod", "claim": CLAIM, "revision": 1}, _UPDATED),
    Case(_environments, "clear_queued_request", {"environment": "prod", "revision": 1}, _UPDATED),
    Case(_environments, "count_publication", {"environment": "prod", "execution_arn": ARN}, _UPDATED),
    Case(_environments, "hold_back", {"environment": "prod", "held": ()}, _UPDATED),
    Case(_environments, "note_rebuild", {"environment": "prod", "since": NOW}, _UPDATED),
    Case(_environments, "record_failures", {"environment": "prod", "failures": ()}, _UPDATED),
    Case(_environments, "record_unusable_base", {"environment": "prod", "base": None}, _UPDATED),
    Case(_environments, "set_pin", {"environment": "prod", "pin": Pin(image_id=AMI, at=NOW)}, _UPDATED),
    Case(_environments, "held_by", {"execution_arn": ARN}, {"Scan": {"Items": [ITEM]}}, _OF_ITEMS),
    Case(_waits, "put", {"wait": WAIT, "expires": NOW}, {"PutItem": {}}),
    Case(_waits, "get", {"resource_id": INSTANCE}, {"GetItem": {"Item": WAIT_ITEM}}, frozenset({"Item"})),
    Case(_waits, "delete", {"resource_id": INSTANCE, "token": "token"}, {"DeleteItem": {}}),
    Case(_executions, "status", {"execution_arn": ARN}, {"DescribeExecution": {"status": "RUNNING"}}),
    Case(_executions, "failure", {"execution_arn": ARN}, {"DescribeExecution": {"status": "FAILED"}}),
    Case(
        _executions,
        "start",
        {"state_machine_arn": "arn", "name": "n", "request": REQUEST},
        {"StartExecution": {"executionArn": ARN, "startDate": NOW}},
    ),
    Case(_executions, "send_success", {"token": "t", "output": {}}, {"SendTaskSuccess": {}}),
    Case(_executions, "send_failure", {"token": "t", "error": "e", "cause": "c"}, {"SendTaskFailure": {}}),
    Case(_notifier, "notify", {"subject": "s", "message": {}}, {"Publish": {"MessageId": "m"}}),
    Case(
        _notifier,
        "announce",
        {"outcomes": [OUTCOME]},
        {"PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}},
    ),
    Case(_package_lists, "read", {"key": "a"}, {"GetObject": {"Body": BytesIO(b"{}")}}),
    Case(_package_lists, "write", {"key": "a", "text": "{}"}, {"PutObject": {"ETag": "e"}}),
    Case(_package_lists, "delete", {"key": "a"}, {"DeleteObject": {}}),
]
BY_NAME = {f"{case.adapter.__name__.strip('_')}.{case.method}": case for case in CASES}


@cache
def client_of(service: str) -> Any:
    """A client that is made once: what it is to answer is registered for each call."""
    return botocore.session.get_session().create_client(
        service, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="test"
    )


def ask(case: Case, answers: Mapping[str, dict[str, Any]]) -> Any:
    """Call the method of a case, with these answers on the way to it."""
    asked = []

    def answer(model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        return SimpleNamespace(status_code=200, headers={}), copy.deepcopy(answers[model.name])

    def client(service: str) -> Any:
        made = client_of(service)
        made.meta.events.register("before-call", answer)
        asked.append(made)
        return made

    try:
        return getattr(case.adapter(client), case.method)(**case.arguments)
    finally:
        for made in asked:
            made.meta.events.unregister("before-call", answer)


def outcome(case: Case, answers: Mapping[str, dict[str, Any]]) -> Any:
    """What the method returns, or the error of ours that it raises."""
    try:
        return ask(case, answers)
    except AmiLifecycleError as error:
        return error


def output_of(case: Case, operation: str) -> Any:
    """The shape of an operation's answer, in the service that the adapter asks."""
    services: list[str] = []

    def client(service: str) -> Any:
        services.append(service)
        return client_of(service)

    case.adapter(client)
    models = [client_of(service).meta.service_model for service in services]
    (model,) = [each for each in models if operation in each.operation_names]
    return model.operation_model(operation).output_shape


def members(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every member of an answer, at every depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from members(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from members(inner, (*path, index))


def without(answers: Mapping[str, dict[str, Any]], path: tuple[str | int, ...]) -> dict[str, Any]:
    """The answers less one member."""
    changed: Any = copy.deepcopy(dict(answers))
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return dict(changed)


LACKING = [
    pytest.param(case, (operation, *path), id=f"{name}-{operation}.{'.'.join(map(str, path))}")
    for name, case in BY_NAME.items()
    for operation, answer in case.answers.items()
    for path in members(answer)
]


def test_every_method_of_every_adapter_is_tried() -> None:
    tried = {(type(case.adapter(lambda _: None)), case.method) for case in CASES}
    assert tried == {
        (adapter, name)
        for port, adapter, _ in AWS
        for name, _ in inspect.getmembers(port, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", BY_NAME)
def test_the_answers_are_of_the_shape_that_aws_describes_and_are_understood(name: str) -> None:
    case = BY_NAME[name]
    ask(case, case.answers)
    for operation, answer in case.answers.items():
        shape = output_of(case, operation)
        if shape is None:
            assert answer == {}
        else:
            assert set(answer) <= set(shape.members)
            report = ParamValidator().validate(answer, shape)
            assert "Invalid" not in report.generate_report()
            assert "Unknown" not in report.generate_report()


@pytest.mark.parametrize(("case", "path"), LACKING)
def test_an_answer_that_lacks_a_member_is_tried_again_or_means_what_aws_says(
    case: Case, path: tuple[str | int, ...]
) -> None:
    complete = ask(case, case.answers)
    found = outcome(case, without(case.answers, path))
    if isinstance(found, AmiLifecycleError):
        assert type(found) is ServiceUnavailableError
        assert "It is tried again" in str(found)
    elif case.method in {"usage_of", "permissions_of"}:
        usages = found if isinstance(found, list) else [found]
        uses = {use.kind for usage in usages for use in usage.uses}
        assert uses == {UsageKind.UNKNOWN} or path[-1] in NOT_READ, "an image would be retired for it"
    elif path[-1] not in case.optional:
        assert found == complete, "the member is read, and its absence was taken for an answer"


@pytest.mark.parametrize("name", BY_NAME)
def test_an_answer_without_anything_is_no_unnamed_error(name: str) -> None:
    case = BY_NAME[name]
    found = outcome(case, {operation: {} for operation in case.answers})
    assert not isinstance(found, Exception) or type(found) is ServiceUnavailableError
