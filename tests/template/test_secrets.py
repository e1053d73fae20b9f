"""No role of the stack reads a SecureString, apart from settings of the service itself.

The key alias/aws/ssm decrypts for every principal of the account (Systems Manager user guide, Restricting access to
Parameter Store parameters), so that whoever may read a parameter could read a secret.
"""

from __future__ import annotations

from functools import cache

import pytest
from tests.template.resolved import ACCOUNT, PARTITIONS, read_template, regions, resolved
from tests.template.stack import grants_of, resources

from aws_emulator.iam.policies import Decision, Statement, check, decide, parse_statements

READS = ("ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetParametersByPath")
ROLES = sorted(resources("AWS::IAM::Role"))
SUPPORTED = ("aws", "aws-cn", "aws-us-gov")
SECRETS = ("database/password", "comfyui/token", "comfyui/ami/prod/secret", "comfyui/configuration")
SETTING = "comfyui/config/prod/builder/subnet-ids"
READ_SETTINGS = {"PlanBuildRole", "SweepEnvironmentsRole"}
# What the calls that EC2 makes for a caller say of themselves.
VIA = ({}, {"aws:CalledVia": ["ec2-images.amazonaws.com"]})


@cache
def statements(partition: str) -> dict[str, tuple[Statement, ...]]:
    """All statements of each role."""
    properties = dict(resolved(partition))
    translated = read_template().resources
    found = {}
    for role in ROLES:
        documents = [policy["PolicyDocument"] for policy in properties[role].get("Policies", [])]
        for attached in translated[role]["Properties"].get("ManagedPolicyArns", []):
            name = attached["Ref"] if "Ref" in attached else attached["Fn::If"][1]["Ref"]
            if name in properties:
                documents.append(properties[name]["PolicyDocument"])
        found[role] = tuple(each for document in documents for each in parse_statements(document))
    return found


def may_read(role: str, partition: str, name: str) -> bool:
    """Whether a role gets the value of a SecureString that is encrypted with the key of AWS."""
    region = regions(partition)[0]
    suffix = PARTITIONS[partition]["outputs"]["dnsSuffix"]
    arn = f"arn:{partition}:ssm:{region}:{ACCOUNT}:parameter/{name}"
    context = {
        "kms:ViaService": f"ssm.{region}.{suffix}",
        "kms:EncryptionContext:PARAMETER_ARN": arn,
    }
    key = f"arn:{partition}:kms:{region}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    own = statements(partition)[role]
    reads = any(decide(own, check(action, arn, via)) is Decision.ALLOWED for action in READS for via in VIA)
    decrypts = decide(own, check("kms:Decrypt", key, context, admitted=True)) is Decision.ALLOWED
    return reads and decrypts


@pytest.mark.parametrize("partition", SUPPORTED)
@pytest.mark.parametrize("name", SECRETS)
def test_no_role_reads_a_secret(name: str, partition: str) -> None:
    assert [role for role in ROLES if may_read(role, partition, name)] == []


@pytest.mark.parametrize("partition", SUPPORTED)
def test_only_who_plans_and_who_sweeps_reads_a_secret_setting(partition: str) -> None:
    assert {role for role in ROLES if may_read(role, partition, SETTING)} == READ_SETTINGS


def test_no_role_is_granted_a_key_to_read_with() -> None:
    # A customer's key needs a grant, so without one nobody reads what it encrypts.
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    context = {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}
    for role, own in statements("aws").items():
        assert decide(own, check("kms:Decrypt", key, context)) is not Decision.ALLOWED, role


def test_whoever_reads_parameters_has_the_denial() -> None:
    reading = {role for role in ROLES if any(set(READS) & set(grant.actions) for grant in grants_of(role))}
    # A canary's container gets the secrets that the stack lists for it, encrypted ones too.
    reading -= {"BuilderRole"}
    attached = {
        role
        for role, properties in resources("AWS::IAM::Role").items()
        if {"Ref": "NoSecretsPolicy"} in properties.get("ManagedPolicyArns", [])
    }
    assert attached == reading
