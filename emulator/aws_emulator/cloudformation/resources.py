"""Creators of the resources that hold no code: one function for each resource type.

A creator takes the resolved properties of a resource and makes the calls that CloudFormation makes.
It takes each property out of the properties; what is left over is refused, so that nothing in a
template is ignored.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aws_emulator.cloudformation.template import MANAGED_POLICIES
from aws_emulator.gateway.api import Api

CALLER: Final = "cloudformation"


@dataclass(frozen=True)
class Created:
    """The values of `Ref` and `Fn::GetAtt` for a resource."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Role:
    """An IAM role of the stack.

    Attributes:
        policies: inline policy documents by name.
        managed_policy_arns: attached policies.
    """

    name: str
    arn: str
    trust: dict[str, Any]
    policies: dict[str, dict[str, Any]]
    managed_policy_arns: list[str]


@dataclass
class Account:
    """The account in which resources are created, and the stack's IAM resources."""

    api: Api
    account_id: str
    region: str
    stack_name: str
    roles: dict[str, Role] = field(default_factory=dict)
    managed_policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call the emulated account as CloudFormation; None values are left out."""
        given = {key: value for key, value in parameters.items() if value is not None}
        return self.api.call(CALLER, service, operation, given)

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and Region."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def name(self, logical_id: str) -> str:
        """A physical name as CloudFormation makes one."""
        return f"{self.stack_name}-{logical_id}-{secrets.token_hex(6).upper()}"

    def tags(self) -> list[dict[str, str]]:
        """The tags that CloudFormation puts on resources."""
        return [{"Key": "aws:cloudformation:stack-name", "Value": self.stack_name}]


Creator = Callable[[Account, str, dict[str, Any]], Created]


def create_table(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::DynamoDB::Table."""
    ttl = properties.pop("TimeToLiveSpecification", None)
    recovery = properties.pop("PointInTimeRecoverySpecification", None)
    sse = properties.pop("SSESpecification", None)
    name = properties.pop("TableName", None) or account.name(logical_id)
    account.call(
        "dynamodb",
        "CreateTable",
        TableName=name,
        AttributeDefinitions=properties.pop("AttributeDefinitions"),
        KeySchema=properties.pop("KeySchema"),
        BillingMode=properties.pop("BillingMode", None),
        ProvisionedThroughput=properties.pop("ProvisionedThroughput", None),
        SSESpecification={"Enabled": sse["SSEEnabled"]} if sse else None,
        DeletionProtectionEnabled=properties.pop("DeletionProtectionEnabled", None),
    )
    if ttl:
        account.call("dynamodb", "UpdateTimeToLive", TableName=name, TimeToLiveSpecification=ttl)
    if recovery:
        account.call(
            "dynamodb",
            "UpdateContinuousBackups",
            TableName=name,
            PointInTimeRecoverySpecification=recovery,
        )
    return Created(name, {"Arn": account.arn("dynamodb", f"table/{name}")})


# What S3 does with these is not emulated.
_BUCKET_SETTINGS: Final = (
    "BucketEncryption",
    "LifecycleConfiguration",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
)


def create_bucket(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::S3::Bucket."""
    # Names of buckets have no capitals, and CloudFormation cuts what is in front of its own part.
    made = f"{account.stack_name}-{logical_id}".lower()[:49] + f"-{secrets.token_hex(6)}"
    name = properties.pop("BucketName", None) or made
    for setting in _BUCKET_SETTINGS:
        properties.pop(setting, None)
    account.call("s3", "CreateBucket", Bucket=name)
    return Created(name, {"Arn": f"arn:aws:s3:::{name}"})


def create_bucket_policy(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::S3::BucketPolicy; calls come without TLS here, which such policies refuse."""
    properties.pop("Bucket")
    properties.pop("PolicyDocument")
    return Created(account.name(logical_id))


def create_log_group(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::Logs::LogGroup."""
    name = properties.pop("LogGroupName", None) or account.name(logical_id)
    account.call("logs", "CreateLogGroup", logGroupName=name, kmsKeyId=properties.pop("KmsKeyId", None))
    if days := properties.pop("RetentionInDays", None):
        account.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=int(days))
    return Created(name, {"Arn": account.arn("logs", f"log-group:{name}:*")})


def create_security_group(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::EC2::SecurityGroup."""
    name = properties.pop("GroupName", None) or account.name(logical_id)
    vpc = properties.pop("VpcId", None)
    group = account.call(
        "ec2",
        "CreateSecurityGroup",
        GroupName=name,
        Description=properties.pop("GroupDescription"),
        VpcId=vpc,
    )["GroupId"]
    egress = properties.pop("SecurityGroupEgress", None)
    if egress is not None:
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        account.call("ec2", "RevokeSecurityGroupEgress", GroupId=group, IpPermissions=[everything])
        account.call(
            "ec2", "AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=list(map(_permission, egress))
        )
    if ingress := properties.pop("SecurityGroupIngress", None):
        account.call(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            GroupId=group,
            IpPermissions=list(map(_permission, ingress)),
        )
    return Created(group, {"GroupId": group, "VpcId": vpc})


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    permission: dict[str, Any] = {
        key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule
    }
    note = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], **note}]
    if "CidrIpv6" in rule:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **note}]
    return permission


def create_role(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::IAM::Role."""
    name = properties.pop("RoleName", None) or account.name(logical_id)[:64]
    trust = properties.pop("AssumeRolePolicyDocument")
    policies = {each["PolicyName"]: each["PolicyDocument"] for each in properties.pop("Policies", [])}
    managed = list(properties.pop("ManagedPolicyArns", []))
    role = account.call(
        "iam",
        "CreateRole",
        RoleName=name,
        Path=properties.pop("Path", None),
        AssumeRolePolicyDocument=json.dumps(trust),
        Description=properties.pop("Description", None),
        PermissionsBoundary=properties.pop("PermissionsBoundary", None),
    )["Role"]
    for policy, document in policies.items():
        account.call(
            "iam", "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document)
        )
    for arn in managed:
        if arn not in MANAGED_POLICIES.values():
            account.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    account.roles[role["Arn"]] = Role(name, role["Arn"], trust, policies, managed)
    return Created(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


def create_managed_policy(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::IAM::ManagedPolicy."""
    document = properties.pop("PolicyDocument")
    arn = account.call(
        "iam",
        "CreatePolicy",
        PolicyName=properties.pop("ManagedPolicyName", None) or account.name(logical_id),
        Path=properties.pop("Path", None),
        Description=properties.pop("Description", None),
        PolicyDocument=json.dumps(document),
    )["Policy"]["Arn"]
    account.managed_policies[arn] = document
    for role in properties.pop("Roles", []):
        account.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn)
        for known in account.roles.values():
            if known.name == role:
                known.managed_policy_arns.append(arn)
    return Created(arn, {"PolicyArn": arn})


def create_instance_profile(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::IAM::InstanceProfile."""
    name = properties.pop("InstanceProfileName", None) or account.name(logical_id)
    profile = account.call(
        "iam", "CreateInstanceProfile", InstanceProfileName=name, Path=properties.pop("Path", None)
    )["InstanceProfile"]
    for role in properties.pop("Roles"):
        account.call("iam", "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=role)
    return Created(name, {"Arn": profile["Arn"]})


def create_queue(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SQS::Queue."""
    name = properties.pop("QueueName", None) or account.name(logical_id)
    names = (
        "DelaySeconds",
        "FifoQueue",
        "KmsMasterKeyId",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    )
    attributes = {key: _text(properties.pop(key)) for key in names if key in properties}
    if redrive := properties.pop("RedrivePolicy", None):
        attributes["RedrivePolicy"] = json.dumps(redrive)
    url = account.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
    return Created(url, {"Arn": account.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def create_queue_policy(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SQS::QueuePolicy."""
    policy = json.dumps(properties.pop("PolicyDocument"))
    for url in properties.pop("Queues"):
        account.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})
    return Created(account.name(logical_id))


def create_topic(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SNS::Topic."""
    name = properties.pop("TopicName", None) or account.name(logical_id)
    attributes = {
        key: _text(properties.pop(key)) for key in ("DisplayName", "KmsMasterKeyId") if key in properties
    }
    arn = account.call("sns", "CreateTopic", Name=name, Attributes=attributes)["TopicArn"]
    for subscription in properties.pop("Subscription", []):
        account.call(
            "sns",
            "Subscribe",
            TopicArn=arn,
            Protocol=subscription["Protocol"],
            Endpoint=subscription["Endpoint"],
        )
    return Created(arn, {"TopicArn": arn, "TopicName": name})


def create_topic_policy(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SNS::TopicPolicy."""
    policy = json.dumps(properties.pop("PolicyDocument"))
    for arn in properties.pop("Topics"):
        account.call("sns", "SetTopicAttributes", TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    return Created(account.name(logical_id))


def create_subscription(account: Account, _logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SNS::Subscription."""
    attributes: dict[str, str] = {}
    if "RawMessageDelivery" in properties:
        attributes["RawMessageDelivery"] = _text(properties.pop("RawMessageDelivery"))
    if policy := properties.pop("FilterPolicy", None):
        attributes["FilterPolicy"] = json.dumps(policy)
    arn = account.call(
        "sns",
        "Subscribe",
        TopicArn=properties.pop("TopicArn"),
        Protocol=properties.pop("Protocol"),
        Endpoint=properties.pop("Endpoint", None),
        Attributes=attributes,
    )["SubscriptionArn"]
    return Created(arn)


def create_document(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SSM::Document."""
    name = properties.pop("Name", None) or account.name(logical_id)
    content = properties.pop("Content")
    properties.pop("UpdateMethod", None)  # says how a later deployment replaces it
    account.call(
        "ssm",
        "CreateDocument",
        Name=name,
        Content=content if isinstance(content, str) else json.dumps(content),
        DocumentType=properties.pop("DocumentType", None),
        DocumentFormat=properties.pop("DocumentFormat", None) or "JSON",
        TargetType=properties.pop("TargetType", None),
    )
    return Created(name, {"Name": name})


def create_parameter(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::SSM::Parameter."""
    name = properties.pop("Name", None) or account.name(logical_id)
    kind, value = properties.pop("Type"), properties.pop("Value")
    account.call(
        "ssm",
        "PutParameter",
        Name=name,
        Type=kind,
        Value=value,
        DataType=properties.pop("DataType", None),
        Description=properties.pop("Description", None),
        AllowedPattern=properties.pop("AllowedPattern", None),
        Tier=properties.pop("Tier", None),
    )
    return Created(name, {"Type": kind, "Value": value})


def create_alarm(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::CloudWatch::Alarm."""
    name = properties.pop("AlarmName", None) or account.name(logical_id)
    parameters = {key: properties.pop(key) for key in list(properties)}
    account.call("cloudwatch", "PutMetricAlarm", AlarmName=name, **parameters)
    return Created(name, {"Arn": account.arn("cloudwatch", f"alarm:{name}")})


def create_dashboard(account: Account, logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::CloudWatch::Dashboard."""
    name = properties.pop("DashboardName", None) or account.name(logical_id)
    account.call(
        "cloudwatch", "PutDashboard", DashboardName=name, DashboardBody=properties.pop("DashboardBody")
    )
    return Created(name)


def create_key(account: Account, _logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::KMS::Key."""
    key = account.call(
        "kms",
        "CreateKey",
        Description=properties.pop("Description", None),
        Policy=json.dumps(properties.pop("KeyPolicy")) if "KeyPolicy" in properties else None,
    )["KeyMetadata"]
    if properties.pop("EnableKeyRotation", False):
        account.call("kms", "EnableKeyRotation", KeyId=key["KeyId"])
    return Created(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


def create_key_alias(account: Account, _logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::KMS::Alias."""
    name = properties.pop("AliasName")
    account.call("kms", "CreateAlias", AliasName=name, TargetKeyId=properties.pop("TargetKeyId"))
    return Created(name)


def create_retention_rule(account: Account, _logical_id: str, properties: dict[str, Any]) -> Created:
    """AWS::Rbin::Rule."""
    period = properties.pop("RetentionPeriod")
    rule = account.call(
        "rbin",
        "CreateRule",
        ResourceType=properties.pop("ResourceType"),
        Description=properties.pop("Description", None),
        ResourceTags=properties.pop("ResourceTags", None),
        RetentionPeriod=period | {"RetentionPeriodValue": int(period["RetentionPeriodValue"])},
    )
    return Created(rule["Identifier"], {"Identifier": rule["Identifier"], "Arn": rule["RuleArn"]})


def _text(value: Any) -> str:
    """An attribute's value as SQS and SNS take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


CREATORS: Final[dict[str, Creator]] = {
    "AWS::CloudWatch::Alarm": create_alarm,
    "AWS::CloudWatch::Dashboard": create_dashboard,
    "AWS::DynamoDB::Table": create_table,
    "AWS::EC2::SecurityGroup": create_security_group,
    "AWS::IAM::InstanceProfile": create_instance_profile,
    "AWS::IAM::ManagedPolicy": create_managed_policy,
    "AWS::IAM::Role": create_role,
    "AWS::KMS::Alias": create_key_alias,
    "AWS::KMS::Key": create_key,
    "AWS::Logs::LogGroup": create_log_group,
    "AWS::Rbin::Rule": create_retention_rule,
    "AWS::SNS::Subscription": create_subscription,
    "AWS::SNS::Topic": create_topic,
    "AWS::SNS::TopicPolicy": create_topic_policy,
    "AWS::S3::Bucket": create_bucket,
    "AWS::S3::BucketPolicy": create_bucket_policy,
    "AWS::SQS::Queue": create_queue,
    "AWS::SQS::QueuePolicy": create_queue_policy,
    "AWS::SSM::Document": create_document,
    "AWS::SSM::Parameter": create_parameter,
}
