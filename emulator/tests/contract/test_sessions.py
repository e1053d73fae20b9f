"""AWS STS: which sessions can be had (STS API reference; localstack/localstack, validated on AWS: services/sts)."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from emulator.tests.contract.account import ACCOUNT, REGION, Account
from emulator.tests.contract.asserting import refused

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Principal": {"AWS": ACCOUNT}}
    ],
}


@pytest.fixture
def role(account: Account) -> str:
    iam = account.client("iam")
    names = [each["RoleName"] for each in iam.list_roles()["Roles"]]
    if "session-role" not in names:
        iam.create_role(
            RoleName="session-role", AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200
        )
    return f"arn:aws:iam::{ACCOUNT}:role/session-role"


def assume(account: Account, arn: str, session: str = "session", /, *, sts: Any = None, **more: Any) -> Any:
    client = sts or account.client("sts")
    return client.assume_role(RoleArn=arn, RoleSessionName=session, **more)


def chained(account: Account, arn: str, **more: Any) -> Any:
    keys = assume(account, arn, **more)["Credentials"]
    return boto3.client(
        "sts",
        region_name=REGION,
        endpoint_url=account.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_role_of_the_account_is_assumed(account: Account, role: str) -> None:
    answer = assume(account, role, DurationSeconds=7200)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/session-role/session"


@pytest.mark.parametrize(
    "arn",
    [
        "nothing-valid-in-here",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ],
)
def test_what_is_no_arn_is_refused(account: Account, arn: str) -> None:
    with refused("ValidationError") as refusal:
        assume(account, arn)
    assert refusal.message == f"{arn} is invalid"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"RoleSessionName": "Session1:2"}, "ValidationError", "at 'roleSessionName' failed to satisfy"),
        ({"RoleSessionName": "x"}, "ValidationError", "length greater than or equal to 2"),
        ({"DurationSeconds": 899}, "ValidationError", "greater than or equal to 900"),
        ({"DurationSeconds": 7201}, "ValidationError", "exceeds the MaxSessionDuration set for this role"),
        ({"Policy": "no json"}, "MalformedPolicyDocument", "Syntax errors in policy"),
        (
            {"Tags": [{"Key": "Tag", "Value": "1"}], "TransitiveTagKeys": ["Other"]},
            "InvalidParameterValue",
            "The specified transitive tag key must be included in the requested tags.",
        ),
        (
            {"Tags": [{"Key": "Tag", "Value": "1"}, {"Key": "tag", "Value": "2"}]},
            "InvalidParameterValue",
            "Duplicate tag keys found.",
        ),
    ],
)
def test_sessions_that_are_refused(
    account: Account, role: str, changes: dict[str, Any], code: str, message: str
) -> None:
    parameters = {"RoleArn": role, "RoleSessionName": "session"} | changes
    with refused(code) as refusal:
        account.client("sts").assume_role(**parameters)
    assert message in refusal.message


def test_a_role_that_does_not_exist_cannot_be_assumed(account: Account) -> None:
    with refused("AccessDenied") as refusal:
        assume(account, f"arn:aws:iam::{ACCOUNT}:role/none")
    assert "is not authorized to perform: sts:AssumeRole on resource" in refusal.message


def test_transitive_keys_ignore_their_case(account: Account, role: str) -> None:
    assume(account, role, Tags=[{"Key": "Tag", "Value": "1"}], TransitiveTagKeys=["tag"])


@pytest.mark.parametrize("key", ["Tag", "tag"])
def test_a_chained_session_keeps_its_transitive_tags(account: Account, role: str, key: str) -> None:
    sts = chained(account, role, Tags=[{"Key": "Tag", "Value": "1"}], TransitiveTagKeys=["Tag"])
    with refused("InvalidParameterValue") as refusal:
        assume(account, role, sts=sts, Tags=[{"Key": key, "Value": "2"}])
    assert "conflicts with a transitive tag key from the calling session" in refusal.message
    assume(account, role, sts=sts, Tags=[{"Key": "Another", "Value": "2"}])


def test_a_chained_session_lasts_an_hour_at_most(account: Account, role: str) -> None:
    """IAM user guide, Role chaining."""
    sts = chained(account, role)
    with refused("ValidationError") as refusal:
        assume(account, role, sts=sts, DurationSeconds=3601)
    assert "1 hour session limit for roles assumed by role chaining" in refusal.message
    with refused("AccessDenied"):
        sts.get_session_token()
