"""What calls need, held against AWS's own data (service authorization reference, as policy_sentry carries it)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data
from tests.template.stack import all_grants

from aws_emulator.iam.calls import CALLS, needs_of
from aws_emulator.iam.policies import EVERYTHING, Check

ACCOUNT = "123456789012"
REGION = "us-east-1"
TAG = "ami-lifecycle:application"
TAGS = [{"Key": TAG, "Value": "comfyui"}]
PREFIXES = {"stepfunctions": "states"}
ACTIONS = {
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    ("lambda", "GetLayerVersionByArn"): "lambda:GetLayerVersion",
}
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("dynamodb", "DeleteItem"): {"TableName": "state", "Key": {"pk": {"S": "wait#1"}}},
    ("dynamodb", "GetItem"): {"TableName": "state", "Key": {"pk": {"S": "wait#1"}}},
    ("dynamodb", "PutItem"): {"TableName": "state", "Item": {"pk": {"S": "wait#1"}}},
    ("dynamodb", "Query"): {"TableName": "state"},
    ("dynamodb", "Scan"): {"TableName": "state"},
    ("dynamodb", "TransactGetItems"): {"TransactItems": [{"Get": {"TableName": "state", "Key": {}}}]},
    ("dynamodb", "TransactWriteItems"): {"TransactItems": [{"Put": {"TableName": "state", "Item": {}}}]},
    ("dynamodb", "UpdateItem"): {"TableName": "state", "Key": {"pk": {"S": "wait#1"}}},
    ("ec2", "CopyImage"): {
        "SourceImageId": "ami-1",
        "TagSpecifications": [{"ResourceType": "image", "Tags": TAGS}],
    },
    ("ec2", "CreateImage"): {
        "InstanceId": "i-1",
        "TagSpecifications": [{"ResourceType": kind, "Tags": TAGS} for kind in ("image", "snapshot")],
    },
    ("ec2", "CreateTags"): {"Resources": ["i-1", "ami-1", "snap-1"], "Tags": TAGS},
    ("ec2", "DeleteSnapshot"): {"SnapshotId": "snap-1"},
    ("ec2", "DeleteTags"): {"Resources": ["i-1"], "Tags": TAGS},
    ("ec2", "DeregisterImage"): {"ImageId": "ami-1", "DeleteAssociatedSnapshots": True},
    ("ec2", "DescribeImageAttribute"): {"ImageId": "ami-1"},
    ("ec2", "DescribeImageReferences"): {"IncludeAllResourceTypes": True},
    ("ec2", "DescribeLaunchTemplateVersions"): {"Versions": ["$Latest"]},
    ("ec2", "DisableImage"): {"ImageId": "ami-1"},
    ("ec2", "DisableImageDeprecation"): {"ImageId": "ami-1"},
    ("ec2", "DisableImageDeregistrationProtection"): {"ImageId": "ami-1"},
    ("ec2", "EnableImage"): {"ImageId": "ami-1"},
    ("ec2", "EnableImageDeprecation"): {"ImageId": "ami-1"},
    ("ec2", "EnableImageDeregistrationProtection"): {"ImageId": "ami-1"},
    ("ec2", "ModifyImageAttribute"): {"ImageId": "ami-1"},
    ("ec2", "RebootInstances"): {"InstanceIds": ["i-1"]},
    ("ec2", "RegisterImage"): {
        "BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-1"}}],
        "TagSpecifications": [{"ResourceType": "image", "Tags": TAGS}],
    },
    ("ec2", "RestoreSnapshotFromRecycleBin"): {"SnapshotId": "snap-1"},
    ("ec2", "RunInstances"): {
        "ImageId": "ami-1",
        "KeyName": "key",
        "SubnetId": "subnet-1",
        "SecurityGroupIds": ["sg-1"],
        "IamInstanceProfile": {"Name": "builder"},
        "BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-1"}}],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": TAGS} for kind in ("instance", "volume", "network-interface")
        ],
    },
    ("ec2", "StartInstances"): {"InstanceIds": ["i-1"]},
    ("ec2", "StopInstances"): {"InstanceIds": ["i-1", "i-2"]},
    ("ec2", "TerminateInstances"): {"InstanceIds": ["i-1"]},
    ("ecr", "BatchGetImage"): {"repositoryName": "comfyui"},
    ("ecr", "DescribeImageScanFindings"): {"repositoryName": "comfyui"},
    ("ecr", "DescribeImages"): {"repositoryName": "comfyui"},
    ("ecr", "DescribeRepositories"): {"repositoryNames": ["comfyui"]},
    ("ecr", "ListImages"): {"repositoryName": "comfyui"},
    ("events", "PutEvents"): {"Entries": [{"Source": "ami-lifecycle", "DetailType": "Image Published"}]},
    ("lambda", "GetLayerVersionByArn"): {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:ami-lifecycle:1"},
    ("lambda", "Invoke"): {"FunctionName": "plan"},
    ("s3", "DeleteObject"): {"Bucket": "lists", "Key": "packages/prod/a.json"},
    ("s3", "GetObject"): {"Bucket": "lists", "Key": "packages/prod/a.json"},
    ("s3", "PutObject"): {"Bucket": "lists", "Key": "packages/prod/a.json"},
    ("secretsmanager", "GetSecretValue"): {
        "SecretId": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:token-a1b2c3"
    },
    ("sns", "Publish"): {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:outcomes"},
    ("sqs", "SendMessage"): {"QueueUrl": f"https://sqs/{ACCOUNT}/letters"},
    ("ssm", "AddTagsToResource"): {"ResourceType": "Parameter", "ResourceId": "/a/b", "Tags": TAGS},
    ("ssm", "DeleteParameter"): {"Name": "/a/b"},
    ("ssm", "DeleteParameters"): {"Names": ["/a/b"]},
    ("ssm", "GetDocument"): {"Name": "Agent"},
    ("ssm", "GetParameter"): {"Name": "/a/b:3"},
    ("ssm", "GetParameterHistory"): {"Name": "/a/b"},
    ("ssm", "GetParameters"): {"Names": ["/a/b", "/c"]},
    ("ssm", "GetParametersByPath"): {"Path": "/a"},
    ("ssm", "LabelParameterVersion"): {"Name": "/a/b"},
    ("ssm", "ListTagsForResource"): {"ResourceType": "Parameter", "ResourceId": "/a/b"},
    ("ssm", "PutParameter"): {"Name": "/a/b", "Tags": TAGS},
    ("ssm", "RemoveTagsFromResource"): {"ResourceType": "Parameter", "ResourceId": "/a/b"},
    ("ssm", "SendCommand"): {"DocumentName": "Provision", "InstanceIds": ["i-1"]},
    ("ssm", "UnlabelParameterVersion"): {"Name": "/a/b"},
    ("stepfunctions", "DescribeExecution"): {
        "executionArn": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:e"
    },
    ("stepfunctions", "GetExecutionHistory"): {
        "executionArn": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:e"
    },
    ("stepfunctions", "ListExecutions"): {
        "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"
    },
    ("stepfunctions", "StartExecution"): {
        "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"
    },
    ("stepfunctions", "StopExecution"): {"executionArn": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:e"},
}


SECRETS = {
    "/app/token": "alias/aws/ssm",
    "/app/key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
}


class Account:
    """An account that knows one instance, its tags and one role."""

    def __init__(self) -> None:
        self.account_id = ACCOUNT
        self.region = REGION
        self.ec2 = self
        self.lock = self
        self.images: dict[str, Any] = {}

    def __enter__(self) -> None:
        """The lock is the account itself: nothing else runs."""

    def __exit__(self, *_: object) -> None:
        """See `__enter__`."""

    def arn(self, service: str, resource: str, *, owned: bool = True) -> str:
        return f"arn:aws:{service}:{REGION}:{ACCOUNT if owned else ''}:{resource}"

    def ec2_tags(self, _kind: str, resource_id: str) -> dict[str, str]:
        return {TAG: "comfyui"} if resource_id.endswith("-1") else {}

    def secrets(self, names: Iterable[str]) -> list[tuple[str, str]]:
        return [(name, SECRETS[name]) for name in names if name in SECRETS]

    def names_below(self, path: str) -> list[str]:
        return [name for name in SECRETS if name.startswith(path)]

    def subnet_arn(self, subnet_id: str) -> str:
        return f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{subnet_id}"

    def subnet_of(self, subnet_id: str | None, _zone: str | None) -> str:
        return subnet_id or "subnet-default"

    def role_of_profile(self, _profile: dict[str, str]) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/builder"

    def parameter_tags(self, _name: str) -> dict[str, str]:
        return {}

    def has_object(self, _bucket: str, key: str) -> bool:
        return key != "missing"

    def has_enhanced_scanning(self) -> bool:
        return True

    def hash_key(self, _table: str) -> str:
        return "pk"


def needs(service: str, operation: str, **parameters: Any) -> list[Check]:
    account: Any = Account()
    return needs_of(service, operation, parameters, account)


def rows(action: str) -> list[dict[str, Any]]:
    """The reference's rows of an action: one for each type of resource."""
    service, name = action.split(":")
    found = get_action_data(service, name)
    assert found, f"AWS knows no action {action}"
    return list(found[service])


def fits(arn: str, template: str) -> bool:
    pattern = re.sub(r"\\\$\\\{[^}]+\}", ".*", re.escape(template))
    return re.fullmatch(pattern, arn) is not None


def is_known(key: str, names: list[str]) -> bool:
    wanted = [re.sub(r"\$\{[^}]+\}|tag-key$", "", name).lower() for name in names]
    return any(key == name or (name.endswith("/") and key.startswith(name)) for name in wanted)


def test_every_call_has_an_example() -> None:
    assert EXAMPLES.keys() == CALLS.keys()


@pytest.mark.parametrize(("service", "operation"), sorted(EXAMPLES))
def test_a_call_needs_what_aws_documents(service: str, operation: str) -> None:
    asked = needs(service, operation, **EXAMPLES[service, operation])
    own = ACTIONS.get((service, operation), f"{PREFIXES.get(service, service)}:{operation}")
    if not operation.startswith("Transact"):
        assert own in {each.action for each in asked}
    for each in asked:
        documented = rows(each.action)
        formats = [row["resource_arn_format"] for row in documented]
        assert each.resource == EVERYTHING or any(fits(each.resource, one) for one in formats)
        # Keys of calls that a service makes for the caller are global and not in the tables.
        known = [key for row in documented for key in row["condition_keys"]] + ["aws:CalledVia"]
        assert [key for key, _ in each.context if not is_known(key, known)] == []


@pytest.mark.parametrize(("service", "operation"), sorted(EXAMPLES))
def test_a_call_names_a_resource_where_aws_has_one(service: str, operation: str) -> None:
    for each in needs(service, operation, **EXAMPLES[service, operation]):
        has_resource = any(row["resource_arn_format"] != EVERYTHING for row in rows(each.action))
        called_for_us = "aws:calledvia" in dict(each.context)
        assert (each.resource != EVERYTHING) == has_resource or called_for_us


def test_a_launch_is_authorised_for_everything_that_it_uses_and_creates() -> None:
    asked = needs("ec2", "RunInstances", **EXAMPLES["ec2", "RunInstances"])
    used = sorted(each.resource.split(":", 5)[5] for each in asked if each.action == "ec2:RunInstances")
    assert used == [
        "image/ami-1",
        "instance/*",
        "key-pair/key",
        "network-interface/*",
        "security-group/sg-1",
        "snapshot/snap-1",
        "subnet/subnet-1",
        "volume/*",
    ]
    tagged = {
        each.resource.split(":", 5)[5]: dict(each.context)
        for each in asked
        if each.action == "ec2:CreateTags"
    }
    assert set(tagged) == {"instance/*", "volume/*", "network-interface/*"}
    assert {context["ec2:createaction"] for context in tagged.values()} == {("RunInstances",)}
    (passing,) = [each for each in asked if each.action == "iam:PassRole"]
    assert (passing.resource, dict(passing.context)) == (
        f"arn:aws:iam::{ACCOUNT}:role/builder",
        {"iam:passedtoservice": ("ec2.amazonaws.com",)},
    )


def test_only_the_kind_of_resource_that_is_tagged_has_request_tags() -> None:
    tags = [{"ResourceType": "instance", "Tags": TAGS}]
    asked = needs("ec2", "RunInstances", ImageId="ami-1", TagSpecifications=tags)
    with_tags = {
        each.resource.split(":", 5)[5] for each in asked if f"aws:requesttag/{TAG}" in dict(each.context)
    }
    assert with_tags == {"instance/*"}


def test_an_untagged_creation_needs_no_right_to_tag() -> None:
    assert {each.action for each in needs("ec2", "CreateImage", InstanceId="i-1")} == {"ec2:CreateImage"}


def test_registering_is_authorised_on_the_image_and_on_its_snapshots_with_their_tags() -> None:
    asked = needs("ec2", "RegisterImage", **EXAMPLES["ec2", "RegisterImage"])
    by_resource = {each.resource: dict(each.context) for each in asked if each.action == "ec2:RegisterImage"}
    image, snapshot = "arn:aws:ec2:us-east-1::image/*", "arn:aws:ec2:us-east-1::snapshot/snap-1"
    assert set(by_resource) == {image, snapshot}
    assert by_resource[image][f"aws:requesttag/{TAG}"] == ("comfyui",)
    assert by_resource[snapshot][f"aws:resourcetag/{TAG}"] == ("comfyui",)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("GetParameter", {"Name": "/app/token:3"}),
        ("GetParameterHistory", {"Name": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/app/token"}),
        ("GetParameters", {"Names": ["/a/b", "/app/token"]}),
        ("GetParametersByPath", {"Path": "/app/t"}),
    ],
)
def test_reading_a_secret_needs_its_key(operation: str, parameters: dict[str, Any]) -> None:
    plain = needs("ssm", operation, **parameters)
    assert {each.action for each in plain} == {f"ssm:{operation}"}
    asked = needs("ssm", operation, **parameters, WithDecryption=True)
    (decrypting,) = [each for each in asked if each.action == "kms:Decrypt"]
    assert dict(decrypting.context) == {
        "kms:viaservice": ("ssm.us-east-1.amazonaws.com",),
        "kms:encryptioncontext:parameter_arn": (f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/app/token",),
    }


def test_the_key_of_aws_admits_everybody_and_a_customers_key_leaves_it_to_policies() -> None:
    asked = needs("ssm", "GetParameters", Names=list(SECRETS), WithDecryption=True)
    by_key = {each.resource: each.admitted for each in asked if each.action == "kms:Decrypt"}
    assert by_key == {
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/aws-ssm": True,
        SECRETS["/app/key"]: False,
    }


def test_a_command_is_authorised_on_its_document_and_on_each_instance() -> None:
    asked = needs("ssm", "SendCommand", DocumentName="Provision", InstanceIds=["i-1", "i-2"])
    assert [each.resource.split(":", 5)[5] for each in asked] == [
        "document/Provision",
        "instance/i-1",
        "instance/i-2",
    ]
    assert [f"ssm:resourcetag/{TAG}" in dict(each.context) for each in asked] == [False, True, False]


def test_public_parameters_and_documents_of_aws_have_no_account() -> None:
    (parameter,) = needs("ssm", "GetParameter", Name="/aws/service/canonical/ubuntu/id")
    assert parameter.resource == "arn:aws:ssm:us-east-1::parameter/aws/service/canonical/ubuntu/id"
    document = needs("ssm", "SendCommand", DocumentName="AWS-RunShellScript", InstanceIds=["i-1"])[0]
    assert document.resource == "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"


def test_an_item_is_authorised_with_its_partition_key() -> None:
    (asked,) = needs("dynamodb", "UpdateItem", TableName="state", Key={"pk": {"S": "environment#prod"}})
    assert dict(asked.context) == {"dynamodb:leadingkeys": ("environment#prod",)}


def test_finding_references_is_also_authorised_for_what_ec2_reads_meanwhile() -> None:
    asked = needs("ec2", "DescribeImageReferences", ResourceTypes=[{"ResourceType": "ssm:Parameter"}])
    assert {each.action: dict(each.context) for each in asked} == {
        "ec2:DescribeImageReferences": {},
        "ssm:DescribeParameters": {"aws:calledvia": ("ec2-images.amazonaws.com",)},
        "ssm:GetParameters": {"aws:calledvia": ("ec2-images.amazonaws.com",)},
    }


@pytest.mark.parametrize("resolved", [False, True])
def test_resolving_aliases_of_launch_templates_reads_parameters(resolved: bool) -> None:
    asked = needs("ec2", "DescribeLaunchTemplateVersions", Versions=["$Latest"], ResolveAlias=resolved)
    reads = [Check("ssm:GetParameters", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/*")]
    assert asked == [Check("ec2:DescribeLaunchTemplateVersions"), *(reads if resolved else [])]


def test_a_call_that_no_table_knows_needs_a_grant_on_everything() -> None:
    assert needs("ec2", "DescribeVpcs") == [Check("ec2:DescribeVpcs")]
    assert needs("stepfunctions", "SendTaskSuccess", taskToken="t") == [Check("states:SendTaskSuccess")]


def test_the_template_grants_only_actions_that_aws_knows() -> None:
    for action in {action for grant in all_grants() for action in grant.actions}:
        assert rows(action)


def test_the_template_grants_every_action_on_a_kind_of_resource_that_it_works_on() -> None:
    for grant in all_grants():
        for resource in grant.resources:
            if resource == EVERYTHING or not resource.startswith("arn:"):
                continue
            kind = re.sub(r"\$\{AWS::(\w+)\}", r"${\1}", resource)
            for action in grant.actions:
                formats = [row["resource_arn_format"] for row in rows(action)]
                assert any(_same_kind(kind, each) for each in formats), f"{grant}: {action} on {resource}"


def _same_kind(resource: str, template: str) -> bool:
    """Whether both are ARNs of the same service and type of resource."""
    if template == EVERYTHING:
        return False
    mine, theirs = (each.split(":", 5) for each in (resource, template))
    return mine[2] == theirs[2] and re.split(r"[/:]", mine[5])[0] == re.split(r"[/:]", theirs[5])[0]


def test_an_object_that_is_missing_is_shown_as_such_to_those_who_may_list() -> None:
    """S3 API reference, GetObject: without s3:ListBucket the answer is 403 and not 404."""
    (reading,) = needs("s3", "GetObject", Bucket="lists", Key="there")
    assert (reading.action, reading.resource) == ("s3:GetObject", "arn:aws:s3:::lists/there")
    checks = needs("s3", "GetObject", Bucket="lists", Key="missing")
    assert [(each.action, each.resource) for each in checks] == [
        ("s3:GetObject", "arn:aws:s3:::lists/missing"),
        ("s3:ListBucket", "arn:aws:s3:::lists"),
    ]
