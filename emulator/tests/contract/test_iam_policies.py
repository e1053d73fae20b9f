"""Evaluation of policies (IAM user guide, Policy evaluation logic; Condition operators)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_emulator.iam.conditions import PolicyError
from aws_emulator.iam.policies import Check, Decision, admits, check, decide, parse_statements, statements_of

INSTANCE = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"
OUR_EVENTS = {
    "ForAllValues:StringEquals": {"events:source": ["ami-lifecycle"]},
    "Null": {"events:source": "false"},
}
OURS = {"StringEquals": {"aws:ResourceTag/ami-lifecycle:application": "comfyui"}}


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*", **changes}


def answer(asked: Check, *statements: dict[str, Any]) -> Decision:
    return decide(parse_statements({"Statement": list(statements)}), asked)


def allows(asked: Check, *statements: dict[str, Any]) -> bool:
    return answer(asked, *statements) is Decision.ALLOWED


def test_what_nothing_allows_is_denied() -> None:
    assert answer(check("ec2:StopInstances", INSTANCE)) is Decision.DENIED_IMPLICITLY


def test_a_deny_outweighs_every_allow() -> None:
    deny = statement(Effect="Deny", Resource=INSTANCE)
    assert answer(check("ec2:StopInstances", INSTANCE), statement(), deny) is Decision.DENIED_EXPLICITLY
    assert allows(check("ec2:StopInstances", INSTANCE.replace("i-1", "i-2")), statement(), deny)


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        ("ec2:StopInstances", "ec2:StopInstances", True),
        ("ec2:stopinstances", "ec2:StopInstances", True),
        ("ec2:Stop*", "ec2:StopInstances", True),
        ("ec2:StopInstance?", "ec2:StopInstances", True),
        ("*", "ec2:StopInstances", True),
        ("ec2:Stop", "ec2:StopInstances", False),
        ("ec2:StartInstances", "ec2:StopInstances", False),
        ("ssm:*", "ec2:StopInstances", False),
    ],
)
def test_actions_match_by_wildcard_and_without_regard_to_case(
    granted: str, asked: str, allowed: bool
) -> None:
    assert allows(check(asked, INSTANCE), statement(Action=granted)) is allowed


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        ("*", True),
        (INSTANCE, True),
        ("arn:aws:ec2:us-east-1:123456789012:instance/*", True),
        ("arn:aws:ec2:*:*:instance/i-?", True),
        ("arn:aws:ec2:us-east-1:123456789012:instance/", False),
        ("arn:aws:ec2:us-east-1:123456789012:volume/*", False),
        ("arn:aws:ec2:us-east-1:123456789012:INSTANCE/*", False),
        ("arn:aws:ec2:eu-west-1:123456789012:instance/*", False),
        (["arn:aws:ec2:us-east-1:123456789012:volume/*", INSTANCE], True),
    ],
)
def test_resources_match_by_wildcard_and_case(granted: Any, allowed: bool) -> None:
    assert allows(check("ec2:StopInstances", INSTANCE), statement(Resource=granted)) is allowed


def test_a_pattern_may_hold_what_means_something_in_other_pattern_languages() -> None:
    asked = check("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/a[b].c")
    granted = "arn:aws:ssm:us-east-1:123456789012:parameter/a[b].c"
    assert allows(asked, statement(Action="ssm:GetParameter", Resource=granted))
    other = check("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/abxc")
    assert not allows(other, statement(Action="ssm:GetParameter", Resource=granted))


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        (OURS, {"aws:ResourceTag/ami-lifecycle:application": "comfyui"}, True),
        (OURS, {"aws:resourcetag/AMI-Lifecycle:Application": "comfyui"}, True),
        (OURS, {"aws:ResourceTag/ami-lifecycle:application": "Comfyui"}, False),
        (OURS, {"aws:RequestTag/ami-lifecycle:application": "comfyui"}, False),
        (OURS, {}, False),
        ({"StringEquals": {"iam:PassedToService": ["a", "b"]}}, {"iam:PassedToService": "b"}, True),
        ({"StringNotEquals": {"iam:PassedToService": "a"}}, {"iam:PassedToService": "b"}, True),
        ({"StringNotEquals": {"iam:PassedToService": "a"}}, {"iam:PassedToService": "a"}, False),
        ({"StringNotEquals": {"iam:PassedToService": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"iam:PassedToService": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"iam:PassedToService": "a"}}, {"iam:PassedToService": "b"}, False),
        ({"StringEqualsIgnoreCase": {"iam:PassedToService": "A"}}, {"iam:PassedToService": "a"}, True),
        ({"StringLike": {"events:source": "ami-*"}}, {"events:source": "ami-lifecycle"}, True),
        ({"StringLike": {"events:source": "ami-*"}}, {"events:source": "an-ami-"}, False),
        (
            {"ArnLike": {"aws:SourceArn": "arn:*:events:*:*:rule/x"}},
            {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/x"},
            True,
        ),
        (
            {"ArnEquals": {"aws:SourceArn": "arn:*:events:*:*:rule/x"}},
            {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/x"},
            True,
        ),
        (
            {"ArnNotLike": {"aws:SourceArn": "arn:*:events:*:*:rule/x"}},
            {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/x"},
            False,
        ),
        ({"Null": {"aws:TagKeys": "true"}}, {}, True),
        ({"Null": {"aws:TagKeys": "false"}}, {}, False),
        ({"Null": {"aws:TagKeys": "false"}}, {"aws:TagKeys": ["Name"]}, True),
        (
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "e#*"}},
            {"dynamodb:LeadingKeys": ["e#1"]},
            True,
        ),
        (
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "e#*"}},
            {"dynamodb:LeadingKeys": ["e#1", "w#1"]},
            False,
        ),
        ({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "e#*"}}, {}, True),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": "a"}}, {"aws:CalledVia": ["b", "a"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": "a"}}, {}, False),
        ({"ForAnyValue:StringNotEquals": {"aws:CalledVia": "a"}}, {"aws:CalledVia": ["a", "b"]}, True),
        ({"ForAllValues:StringNotEquals": {"aws:CalledVia": "a"}}, {"aws:CalledVia": ["a", "b"]}, False),
        # One call puts several events, so the key has several values; for all of none is true.
        (OUR_EVENTS, {"events:source": ["ami-lifecycle", "ami-lifecycle"]}, True),
        (OUR_EVENTS, {"events:source": ["ami-lifecycle", "aws.ec2"]}, False),
        (OUR_EVENTS, {}, False),
        (
            {"StringEquals": {"ec2:CreateAction": "RunInstances", "aws:RequestTag/x": "y"}},
            {"ec2:CreateAction": "RunInstances"},
            False,
        ),
    ],
)
def test_conditions_hold_as_iam_documents_them(
    condition: dict[str, Any], context: dict[str, Any], allowed: bool
) -> None:
    asked = check("ec2:StopInstances", INSTANCE, context)
    assert allows(asked, statement(Condition=condition)) is allowed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"NotAction": "ec2:*"}, "NotAction"),
        ({"Effect": "allow"}, "Effect must be"),
        ({"Action": "StopInstances"}, "service:Action"),
        ({"Condition": {"StringEquals": {"aws:MultiFactorAuthAge": "1"}}}, "condition key"),
        ({"Condition": {"NumericLessThan": {"aws:TagKeys": "1"}}}, "condition operator"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        parse_statements({"Statement": [statement(**changes)]})


def test_a_resource_policy_admits_the_service_for_the_resource_it_names() -> None:
    policy = json.dumps(
        {
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
                "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:1:rule/a"}},
            }
        }
    )
    own = check("sqs:SendMessage", "queue", {"aws:SourceArn": "arn:aws:events:us-east-1:1:rule/a"})
    other = check("sqs:SendMessage", "queue", {"aws:SourceArn": "arn:aws:events:us-east-1:1:rule/b"})
    assert admits(policy, "events.amazonaws.com", own)
    assert not admits(policy, "events.amazonaws.com", other)
    assert not admits(policy, "sns.amazonaws.com", own)


@pytest.mark.parametrize("document", ["1", "[]", '{"Statement": 1}', '{"Statement": ["Allow"]}', "{}"])
def test_what_is_no_policy_is_refused(document: str) -> None:
    """IAM API reference, PutRolePolicy: MalformedPolicyDocument."""
    with pytest.raises(PolicyError):
        statements_of(document)
