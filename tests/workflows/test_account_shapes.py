"""Accounts that are not like the plain one: what another account shares, what an organization demands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from tests.workflows.conftest import Running
from tests.workflows.granted import client_of
from tests.workflows.service import Environment, Service

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
    surroundings = running.emulator.ec2.surroundings
    for subnet_id in subnets:
        surroundings.share_subnet(subnet_id, NETWORK_ACCOUNT)
    yield subnets
    for subnet_id in subnets:
        surroundings.share_subnet(subnet_id, running.emulator.account_id)


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
    running.guard.take()
