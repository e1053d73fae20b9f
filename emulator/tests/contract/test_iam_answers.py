"""AWS IAM and STS: answers as AWS gives them (localstack/localstack, validated on AWS: services/iam, services/sts)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from emulator.tests.contract.account import ACCOUNT, Account
from emulator.tests.contract.asserting import refused

SOURCE = "arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fa"
DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}


def trust(**more: Any) -> str:
    principal = {"Service": "ec2.amazonaws.com"}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}],
        }
    )


def a_role(account: Account, **more: Any) -> dict[str, Any]:
    name = f"role-{uuid.uuid4().hex[:12]}"
    answer = account.client("iam").create_role(
        RoleName=name, **{"AssumeRolePolicyDocument": trust(), "Path": "/answers/", **more}
    )
    return dict(answer["Role"])


def test_a_new_role_shows_no_use_and_no_default_and_one_that_is_read_shows_both(account: Account) -> None:
    made = a_role(account)
    assert not {"MaxSessionDuration", "RoleLastUsed"} & set(made)
    read = account.client("iam").get_role(RoleName=made["RoleName"])["Role"]
    assert (read["MaxSessionDuration"], read["RoleLastUsed"]) == (3600, {})


def test_the_longest_session_is_shown_where_it_was_given(account: Account) -> None:
    assert a_role(account, MaxSessionDuration=7200)["MaxSessionDuration"] == 7200


def test_a_list_of_roles_shows_a_policy_as_it_was_written(account: Account) -> None:
    condition = {"StringEquals": {"aws:SourceArn": SOURCE, "aws:SourceAccount": "a & <b>"}}
    made = a_role(account, AssumeRolePolicyDocument=trust(Condition=condition))
    (listed,) = [
        each
        for each in account.client("iam").list_roles(PathPrefix="/answers/")["Roles"]
        if each["RoleName"] == made["RoleName"]
    ]
    assert listed["AssumeRolePolicyDocument"]["Statement"][0]["Condition"] == condition


def test_a_new_policy_is_nobodys_boundary(account: Account) -> None:
    made = account.client("iam").create_policy(
        PolicyName=f"policy-{uuid.uuid4().hex[:12]}", PolicyDocument=json.dumps(DOCUMENT)
    )["Policy"]
    assert (made["AttachmentCount"], made["PermissionsBoundaryUsageCount"]) == (0, 0)


def test_what_is_no_arn_is_not_looked_for(account: Account) -> None:
    iam, role = account.client("iam"), a_role(account)["RoleName"]
    with refused("ValidationError") as refusal:
        iam.attach_role_policy(RoleName=role, PolicyArn="longpolicynamebutnoarn")
    assert refusal.message == "Invalid ARN:  Could not be parsed!"
    with refused("NoSuchEntity"):
        iam.attach_role_policy(RoleName=role, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/absent")


def test_an_error_has_one_message(account: Account) -> None:
    iam = account.client("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException) as raised:
        iam.delete_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/absent")
    assert set(raised.value.response["Error"]) == {"Type", "Code", "Message"}


def test_a_session_without_policy_and_tags_has_nothing_packed(account: Account) -> None:
    role, sts = a_role(account), account.client("sts")
    assert "PackedPolicySize" not in sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")
    tags = [{"Key": "team", "Value": "a"}]
    assert sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", Tags=tags)["PackedPolicySize"] > 0
    assert sts.get_federation_token(Name="somebody")["PackedPolicySize"] == 0


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("create_service_linked_role", {"AWSServiceName": "autoscaling.amazonaws.com"}),
        ("create_user", {"UserName": "somebody"}),
        ("create_access_key", {}),
    ],
)
def test_what_is_no_role_policy_or_profile_is_refused(
    account: Account, operation: str, asked: dict[str, Any]
) -> None:
    with refused("EmulatorUnsupportedOperation"):
        getattr(account.client("iam"), operation)(**asked)
