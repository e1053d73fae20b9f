"""A stack whose environments start from bases of their own: by parameter, by id, by name, and none that can be used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.granted import Policies
from tests.workflows.operators import Operator
from tests.workflows.service import Service

from aws_emulator.iam.policies import Decision, check, decide

READABLE = "arn:aws:ssm:us-east-1:123456789012:parameter/golden/*"
OTHER = "210987654321"
AMAZON = {"newest": {"owner": "amazon", "name": "Deep Learning*Ubuntu 24.04*"}}
SETTINGS: dict[str, Any] = {
    "environments": {
        "named": {"base": {"parameter": "/golden/{architecture}", "owners": ["self"]}},
        "newest": {"base": AMAZON, "builder": {"root_volume_gib": 60}},
        "small": {"base": AMAZON},
        "stolen": {"base": {"parameter": "/golden/stolen", "owners": ["self"]}},
        "absent": {"base": {"parameter": "/golden/absent", "owners": ["self"]}},
        "unread": {"base": {"parameter": "/silver", "owners": ["self"]}},
        "plain": {},
    },
    "parameters": {"BaseParameterArns": READABLE},
}


@pytest.fixture(autouse=True)
def golden(running: Running) -> str:
    """An image of the account's own, and one of somebody else's, in parameters."""
    ec2 = running.emulator.ec2
    own = ec2.seed_image("golden-1", owner_id="123456789012", public=False)
    stolen = ec2.seed_image("golden-1", owner_id=OTHER)
    ssm = running.service.client("ssm")
    for name, value in (("/golden/x86_64", own), ("/golden/stolen", stolen), ("/silver", own)):
        ssm.put_parameter(Name=name, Value=value, Type="String", DataType="aws:ec2:image", Overwrite=True)
    return own


def test_a_build_starts_from_what_the_accounts_own_parameter_names(service: Service, golden: str) -> None:
    environment = service.environment("named")
    environment.must_build("named 1")
    (image,) = environment.images()
    tags = {each["Key"]: each["Value"] for each in image["Tags"]}
    assert tags["ami-lifecycle:base-image"] == golden
    assert environment.metadata()["original_ami_id"] == golden


def test_a_build_starts_from_the_newest_of_an_alias_and_a_name(service: Service) -> None:
    environment = service.environment("newest")
    environment.must_build("newest 1")
    metadata = environment.metadata()
    image_id = metadata["original_ami_id"]
    (image,) = service.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    assert (image["ImageOwnerAlias"], image["Architecture"]) == ("amazon", "x86_64")
    assert metadata["base_setting"].startswith("newest Deep Learning_Ubuntu 24.04_ of amazon ")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("small", "SettingsError", "has a root volume of 45 GiB"),
        ("stolen", "SettingsError", f"which {OTHER} owns, and not self"),
        ("absent", "SettingsError", "the parameter /golden/absent does not exist in this Region"),
        ("unread", "AccessDeniedError", "/silver"),
    ],
)
def test_what_is_no_base_is_refused_before_anything_is_launched(
    service: Service, name: str, error: str, words: str
) -> None:
    before = service.last_call()
    ended = service.environment(name).build(f"{name} 1")
    assert (ended.status, ended.error) == ("FAILED", error)
    assert words in str(ended.cause)
    assert not [call for call in service.calls(before) if call["operation"] == "RunInstances"]


def test_only_plan_and_sweep_read_the_parameters_and_no_other(running: Running) -> None:
    policies = Policies(running.service)
    arn = READABLE.replace("*", "x86_64")
    allowed = {
        name
        for name, role in policies.roles.items()
        if decide(policies.statements(role), check("ssm:GetParameter", arn, {})) is Decision.ALLOWED
    }
    assert allowed == {"PlanBuildRole", "SweepEnvironmentsRole"}


def test_the_doctor_examines_the_base_of_every_environment(service: Service) -> None:
    findings = json.loads(Operator(service).run("doctor", "--json").output)["findings"]
    levels = {each["message"].split(" for ")[0]: each["level"] for each in findings if each["area"] == "base"}
    assert levels == {
        "/golden/{architecture} of self": "ok",
        "newest Deep Learning*Ubuntu 24.04* of amazon": "ok",
        "/golden/stolen of self": "error",
        "/golden/absent of self": "error",
        "/silver of self": "ok",
        "ubuntu-22.04": "ok",
    }
