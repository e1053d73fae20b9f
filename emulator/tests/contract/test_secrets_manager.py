"""AWS Secrets Manager (its API reference; localstack/localstack, validated on AWS: services/secretsmanager)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused


@pytest.fixture
def secret(account: Account) -> str:
    name = f"secret-{uuid.uuid4().hex[:12]}"
    account.client("secretsmanager").create_secret(Name=name, SecretString="one")
    return name


@pytest.mark.parametrize("name", ["Inv Name", " Inv Name", " Inv*Name? ", " Inv *?!]Name\\-"])
def test_a_name_has_few_signs_whoever_names_it(account: Account, name: str) -> None:
    client = account.client("secretsmanager")
    calls: list[tuple[Any, dict[str, Any]]] = [
        (client.create_secret, {"Name": name, "SecretString": "x"}),
        (client.describe_secret, {"SecretId": name}),
        (client.get_secret_value, {"SecretId": name}),
        (client.put_secret_value, {"SecretId": name, "SecretString": "x"}),
        (client.delete_secret, {"SecretId": name}),
    ]
    for call, asked in calls:
        with refused("ValidationException") as refusal:
            call(**asked)
        assert refusal.message == (
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
            "-/_+=.@!"
        )


def test_a_name_may_have_each_of_those_signs(account: Account) -> None:
    name = f"Valid/_+=.@!-{uuid.uuid4().hex[:8]}"
    arn = account.client("secretsmanager").create_secret(Name=name, SecretString="x")["ARN"]
    assert account.client("secretsmanager").describe_secret(SecretId=arn)["Name"] == name


def test_a_secret_says_on_which_day_it_was_read(account: Account, secret: str) -> None:
    """Secrets Manager API reference, DescribeSecret: LastAccessedDate is a day."""
    client = account.client("secretsmanager")
    assert "LastAccessedDate" not in client.describe_secret(SecretId=secret)
    client.get_secret_value(SecretId=secret)
    read = client.describe_secret(SecretId=secret)["LastAccessedDate"].astimezone(UTC)
    assert (read.hour, read.minute, read.second) == (0, 0, 0)
    assert (datetime.now(UTC) - read).days <= 1


def test_versions_without_a_stage_are_left_out(account: Account, secret: str) -> None:
    client = account.client("secretsmanager")
    for value in ("two", "three", "four"):
        client.put_secret_value(SecretId=secret, SecretString=value)
    stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    assert sorted(stages.values()) == [["AWSCURRENT"], ["AWSPREVIOUS"]]


def test_rotation_is_refused(account: Account, secret: str) -> None:
    with refused("EmulatorUnsupportedOperation"):
        account.client("secretsmanager").rotate_secret(SecretId=secret)
