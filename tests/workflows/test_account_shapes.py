"""Accounts that are not like the plain one: what another account shares, what an organization demands."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from tests.workflows.conftest import Running
from tests.workflows.granted import client_of
from tests.workflows.keys import make_key
from tests.workflows.operators import Operator
from tests.workflows.service import Environment, Service

TAGS = {"CostCenter": "4711", "org:owner": "Team Süd"}
SETTINGS = {
    "environments": {f"env-{number:02}": {} for number in range(12)},
    "defaults": {"tags": TAGS},
}
# What the organization wants tags on, in the form of AWS's own example (AWS Organizations user guide, Example SCPs:
# Require a tag on specified created resources).
CREATED = {
    "ec2:RunInstances": ("*:instance", "*:network-interface", "*:volume"),
    "ec2:CreateImage": (":image", ":snapshot"),
    "ec2:RegisterImage": (":image",),
}


def demanding(*keys: str) -> str:
    """A policy of the organization that refuses to create anything without these tags."""
    statements = [
        {
            "Effect": "Deny",
            "Action": action,
            "Resource": [f"arn:aws:ec2:*:{kind}/*" for kind in kinds],
            "Condition": {"Null": {f"aws:RequestTag/{key}": "true"}},
        }
        for action, kinds in CREATED.items()
        for key in keys
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


NETWORK_ACCOUNT = "210987654321"
READERS = (
    "AdoptImageNameFunction",
    "CleanUpBuildFunction",
    "PlanBuildFunction",
    "PublishImageFunction",
    "RetireImagesFunction",
    "SweepEnvironmentsFunction",
)


@pytest.fixture
def shared_subnets(running: Running) -> Iterator[list[str]]:
    """The subnets of the stack, as another account's."""
    subnets = list(running.emulator.stack.parameters["SubnetIds"])
    network = running.emulator.ec2.moto
    for subnet_id in subnets:
        network.share_subnet(subnet_id, NETWORK_ACCOUNT)
    yield subnets
    for subnet_id in subnets:
        network.share_subnet(subnet_id, running.emulator.account_id)


def test_an_image_is_built_in_subnets_that_another_account_shares(
    running: Running, environment: Environment, shared_subnets: list[str]
) -> None:
    environment.must_build("shared 1")
    asked = {
        answer.check.resource
        for answer in running.emulator.enforcement.answers()
        if answer.check.action == "ec2:RunInstances" and ":subnet/" in answer.check.resource
    }
    assert f"arn:aws:ec2:us-east-1:{NETWORK_ACCOUNT}:subnet/{shared_subnets[0]}" in asked


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("name", ["/database/password", "/comfyui/ami/hidden/secret"])
def test_a_function_reads_no_secret_of_the_account(
    running: Running, service: Service, function: str, name: str
) -> None:
    service.client("ssm").put_parameter(Name=name, Type="SecureString", Value="hush", Overwrite=True)
    for operation, given in (
        ("get_parameter", {"Name": name}),
        ("get_parameters", {"Names": [name]}),
        ("get_parameters_by_path", {"Path": name.rpartition("/")[0]}),
        ("get_parameter_history", {"Name": name}),
    ):
        with pytest.raises(ClientError, match=r"is not authorized to perform: (ssm|kms):"):
            getattr(client_of(running, function, "ssm"), operation)(**given, WithDecryption=True)
    running.grants.take()


@pytest.fixture
def organization(running: Running) -> Iterator[None]:
    """An organization that demands tags."""
    running.emulator.enforcement.service_control_policies = (demanding(*TAGS),)
    yield
    running.emulator.enforcement.service_control_policies = ()


def as_mapping(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_everything_that_builds_make_carries_the_tags_that_an_organization_demands(
    service: Service, environment: Environment, organization: None
) -> None:
    environment.must_build("tagged 1")
    environment.must_build("tagged 2")
    ours = [{"Name": "tag:ami-lifecycle:environment", "Values": [environment.name]}]
    ec2, ssm = service.client("ec2"), service.client("ssm")
    reservations = ec2.describe_instances(Filters=ours)["Reservations"]
    made = [instance["Tags"] for each in reservations for instance in each["Instances"]]
    images = ec2.describe_images(Owners=["self"], Filters=ours)["Images"]
    # The canonical image is a second registration of the candidate's disks.
    assert [image["Name"] for image in images] == [f"comfyui-multitenant-{environment.name}"]
    made += [image["Tags"] for image in images]
    made += [each["Tags"] for each in ec2.describe_snapshots(OwnerIds=["self"], Filters=ours)["Snapshots"]]
    names = [
        each["Name"]
        for page in ssm.get_paginator("get_parameters_by_path").paginate(
            Path=environment.prefix, Recursive=True
        )
        for each in page["Parameters"]
    ]
    assert len(names) >= 4
    made += [
        ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"] for name in names
    ]
    assert len(made) >= 10
    for tags in made:
        assert TAGS.items() <= as_mapping(tags).items()
        assert as_mapping(tags)["ami-lifecycle:application"] == "comfyui"
    for call in service.calls():
        if call["operation"] == "RunInstances":
            kinds = {each["ResourceType"] for each in call["parameters"]["TagSpecifications"]}
            assert kinds == {"instance", "volume", "network-interface"}


def test_an_organization_that_demands_more_is_named_with_the_remedy(
    running: Running, environment: Environment
) -> None:
    running.emulator.enforcement.service_control_policies = (demanding("DataClass"),)
    try:
        ended = environment.build("refused")
    finally:
        running.emulator.enforcement.service_control_policies = ()
    assert (ended.status, ended.error) == ("FAILED", "AccessDeniedError")
    assert "explicit deny in a service control policy" in str(ended.cause)
    assert "set them as `tags` in config/build_config.yml" in str(ended.cause)
    running.grants.take()


def test_an_organization_binds_administrators_too(service: Service, organization: None) -> None:
    with pytest.raises(ClientError, match="explicit deny in a service control policy"):
        service.client("ec2").run_instances(ImageId="ami-1", InstanceType="m5.large", MinCount=1, MaxCount=1)


@pytest.fixture
def default_key(running: Running, service: Service) -> Iterator[str]:
    """An account whose volumes are encrypted with a customer's key, unless somebody says otherwise."""
    ec2, arn = service.client("ec2"), make_key(running, 7)
    ec2.enable_ebs_encryption_by_default()
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=arn)
    yield arn
    ec2.reset_ebs_default_kms_key_id()
    ec2.disable_ebs_encryption_by_default()


def test_a_default_key_that_the_stack_does_not_know_is_named_with_the_remedy(
    running: Running, environment: Environment, default_key: str
) -> None:
    ended = environment.build("locked out")
    assert (ended.status, ended.error) == ("FAILED", "BuilderLostError")
    assert "Client.InternalError" in str(ended.cause)
    assert "deploy the stack with the key's ARN as VolumeKeyArn" in str(ended.cause)
    running.grants.take()


def test_the_doctor_names_the_default_key_to_deploy_with(service: Service, default_key: str) -> None:
    findings = json.loads(Operator(service).run("doctor", "--json").output)["findings"]
    (finding,) = [each for each in findings if each["area"] == "encryption"]
    assert finding["level"] == "error"
    assert f"deploy the stack with VolumeKeyArn={default_key}" in finding["remedy"]


def test_the_default_key_of_aws_needs_nothing(service: Service, environment: Environment) -> None:
    ec2 = service.client("ec2")
    ec2.enable_ebs_encryption_by_default()
    try:
        environment.must_build("encrypted")
    finally:
        ec2.disable_ebs_encryption_by_default()
    (image,) = environment.images()
    assert {mapping["Ebs"]["Encrypted"] for mapping in image["BlockDeviceMappings"]} == {True}
