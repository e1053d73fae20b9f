"""Every partition: ARNs, service principals and Regions are right, or nothing is made (CloudFormation refuses)."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from tests.template.resolved import PARTITIONS, regions, resolved
from tests.template.stack import ROOT, scalars, state_machine

from aws_emulator.cloudformation.template import TemplateError

SUPPORTED = ("aws", "aws-cn", "aws-us-gov")
# AWS CDK, region-info, Default.servicePrincipal: of these services only EC2 follows the partition. In the European
# Sovereign Cloud it does not even there (pulumi-eks issue 2341), so the suffix alone does not tell.
EC2 = {"aws": "ec2.amazonaws.com", "aws-cn": "ec2.amazonaws.com.cn", "aws-us-gov": "ec2.amazonaws.com"}
UNIVERSAL = {f"{name}.amazonaws.com" for name in ("cloudwatch", "events", "lambda", "scheduler", "states")}
HEADS = sorted((ROOT / "documents").glob("*.head.yaml"))


def test_the_supported_partitions_are_some_that_exist() -> None:
    assert set(SUPPORTED) < set(PARTITIONS)


@pytest.mark.parametrize("partition", SUPPORTED)
def test_every_arn_is_of_the_partition(partition: str) -> None:
    found = [
        (name, arn)
        for name, properties in resolved(partition)
        for scalar in scalars(properties)
        for arn in re.findall(r"arn:[\w-]+", scalar)
    ]
    assert len(found) > 100
    assert {arn for _, arn in found} == {f"arn:{partition}"}


@pytest.mark.parametrize("partition", SUPPORTED)
def test_every_service_is_called_as_the_partition_calls_it(partition: str) -> None:
    principals = {
        statement["Principal"]["Service"]
        for _, properties in resolved(partition)
        for statement in (properties.get("AssumeRolePolicyDocument") or {}).get("Statement", [])
    }
    assert principals - UNIVERSAL == {EC2[partition]}


@pytest.mark.parametrize("partition", SUPPORTED)
def test_the_builder_role_may_be_passed_to_ec2_as_the_partition_calls_it(partition: str) -> None:
    (condition,) = [
        statement["Condition"]["StringEquals"]["iam:PassedToService"]
        for _, properties in resolved(partition)
        for statement in (properties.get("PolicyDocument") or {}).get("Statement", [])
        if statement["Action"] == "iam:PassRole"
    ]
    assert EC2[partition] in condition


@pytest.mark.parametrize("partition", sorted(set(PARTITIONS) - set(SUPPORTED)))
def test_another_partition_is_refused_before_anything_is_made(partition: str) -> None:
    with pytest.raises(TemplateError, match=f"SupportedPartitions.{partition}"):
        list(resolved(partition))


def test_the_state_machine_names_no_partition() -> None:
    assert [scalar for scalar in scalars(state_machine()) if scalar.startswith("arn:")] == []


@pytest.mark.parametrize("head", HEADS, ids=[head.name for head in HEADS])
@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_the_documents_take_every_region_and_registry(head: Any, partition: str) -> None:
    parameters = yaml.safe_load(head.read_text())["parameters"]
    suffix = PARTITIONS[partition]["outputs"]["dnsSuffix"]
    for region in regions(partition):
        assert re.search(parameters["Region"]["allowedPattern"], region)
        for host in ("dkr.ecr", "dkr.ecr-fips"):
            uri = f"123456789012.{host}.{region}.{suffix}/team/comfyui"
            assert re.search(parameters["ImageUri"]["allowedPattern"], uri)


def test_scripts_check_the_region_as_their_documents_do() -> None:
    for head in HEADS:
        pattern = yaml.safe_load(head.read_text())["parameters"]["Region"]["allowedPattern"]
        script = head.with_name(head.name.replace(".head.yaml", ".sh")).read_text()
        assert f"parameter region Region '{pattern}'" in script
