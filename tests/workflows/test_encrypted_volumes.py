"""A stack with a key of its own: volumes, snapshots and images are encrypted with it, by the roles that may."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.workflows.conftest import Running
from tests.workflows.granted import Policies
from tests.workflows.keys import key_arn, make_key
from tests.workflows.operators import Operator
from tests.workflows.service import Ended, Environment, Service, failures

from aws_emulator.iam.policies import Decision, check, decide

KEY = key_arn(1)
SETTINGS = {
    "environments": {
        **{f"env-{number:02}": {} for number in range(8)},
        "live": {"publishes": "promotions"},
    },
    "parameters": {"VolumeKeyArn": KEY},
}
USES = (
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
THROUGH_EC2 = {"kms:ViaService": "ec2.us-east-1.amazonaws.com", "kms:GrantIsForAWSResource": "true"}


@pytest.fixture(autouse=True)
def key(running: Running) -> str:
    return make_key(running, 1)


def test_everything_that_holds_data_is_encrypted_with_the_key(
    running: Running, service: Service, environment: Environment
) -> None:
    environment.must_build("secret 1")
    environment.must_build("secret 2")
    launches = [call for call in service.calls() if call["operation"] == "RunInstances"]
    assert len(launches) >= 4
    for call in launches:
        for mapping in call["parameters"]["BlockDeviceMappings"]:
            assert (mapping["Ebs"]["Encrypted"], mapping["Ebs"]["KmsKeyId"]) == (True, KEY)
    snapshots = service.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {(each["Encrypted"], each["KmsKeyId"]) for each in snapshots} == {(True, KEY)}
    (image,) = environment.images()
    assert {mapping["Ebs"]["Encrypted"] for mapping in image["BlockDeviceMappings"]} == {True}
    used = {
        answer.caller
        for answer in running.emulator.enforcement.answers()
        if answer.check.action == "kms:CreateGrant"
    }
    assert used == {"LaunchBuilderFunction", "LaunchCanaryFunction"}


def test_only_the_launching_roles_use_the_key_and_only_through_ec2(running: Running) -> None:
    policies = Policies(running.service)
    for action in USES:
        allowed = {
            name
            for name, arn in policies.roles.items()
            if decide(policies.statements(arn), check(action, KEY, THROUGH_EC2)) is Decision.ALLOWED
        }
        assert allowed == {"LaunchBuilderRole", "LaunchCanaryRole"}
        for context in ({}, {**THROUGH_EC2, "kms:ViaService": "s3.us-east-1.amazonaws.com"}):
            for arn in policies.roles.values():
                question = check(action, KEY, context)
                assert decide(policies.statements(arn), question) is not Decision.ALLOWED
        for arn in policies.roles.values():
            question = check(action, key_arn(2), THROUGH_EC2)
            assert decide(policies.statements(arn), question) is not Decision.ALLOWED


def test_the_doctor_looks_at_the_stacks_key(service: Service) -> None:
    findings = json.loads(Operator(service).run("doctor", "--json").output)["findings"]
    (finding,) = [each for each in findings if each["area"] == "encryption"]
    assert (finding["level"], KEY in finding["message"]) == ("ok", True)


@pytest.fixture
def disabled(service: Service) -> Iterator[None]:
    service.client("kms").disable_key(KeyId=KEY.rpartition("/")[2])
    yield
    service.client("kms").enable_key(KeyId=KEY.rpartition("/")[2])


def test_a_key_that_is_disabled_is_named_as_what_ended_the_builder(
    environment: Environment, disabled: None
) -> None:
    ended = environment.build("locked")
    assert (ended.status, ended.error) == ("FAILED", "BuilderLostError")
    assert "Client.InvalidKMSKey.InvalidState" in str(ended.cause)
    assert "see that the key is enabled" in str(ended.cause)


def promote(source: Environment, target: Environment) -> Ended:
    ended = source.service.run({"environment": target.name, "action": "promote", "promote_from": source.name})
    target.wait_until_idle()
    return ended


def test_what_is_promoted_stays_encrypted_as_it_is(service: Service, environment: Environment) -> None:
    environment.must_build("secret")
    live = service.environment("live")
    assert not failures([promote(environment, live)])
    (image,) = live.images()
    assert {mapping["Ebs"]["Encrypted"] for mapping in image["BlockDeviceMappings"]} == {True}
    (source,) = environment.images()
    assert image["BlockDeviceMappings"] == source["BlockDeviceMappings"]


def test_disks_under_a_key_that_may_not_be_used_end_the_promotion_at_its_canary(
    running: Running, service: Service, environment: Environment
) -> None:
    environment.must_build("under another key")
    (image,) = environment.images()
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    other = make_key(running, 2)
    # As it is where the stack was deployed with another key since.
    running.emulator.ec2.snapshots[snapshot_id].key_arn = other
    live = service.environment("live")
    before = live.latest()
    service.client("kms").disable_key(KeyId=other.rpartition("/")[2])
    ended = promote(environment, live)
    assert ended.status == "FAILED"
    assert ended.error in {"CanaryLostError", "RefusedError", "AccessDeniedError"}
    assert "key" in str(ended.cause)
    assert live.latest() == before
    assert len(live.images()) <= 1
    assert environment.latest() == image["ImageId"]
