"""`load_config` and `Config`, as the configuration guide describes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parameter_config import Config, MissingValueError, Section, load_config
from parameter_config.errors import (
    CredentialsError,
    InvalidDeclarationError,
    PlaceholderError,
    SecretNotFoundError,
    ValueNotAllowedError,
    ValueTypeError,
)

from .conftest import WriteConfig
from .fake_aws import FakeClock, FakeSecretsManager, FakeSsm

AWS = """
    ec2:
      instance_id:
        ssm_param: /project/ec2/instance-id
        description: EC2 instance ID
      instance_type:
        ssm_param: /project/ec2/instance-type
        default: g4dn.xlarge
    secrets:
      token_name:
        ssm_param: /project/secrets/token-name
        default: project/token
        secret: true
    """


def load(directory: Path, ssm: FakeSsm, **options: Any) -> Config:
    return load_config(directory, ssm, clock=ssm.clock, **options)


def test_the_value_of_parameter_store_comes_first(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/project/ec2/instance-type", "p4d.24xlarge")
    assert load(write_config(aws=AWS), ssm).get("aws.ec2.instance_type") == "p4d.24xlarge"


def test_without_a_stored_value_the_default_applies(write_config: WriteConfig, ssm: FakeSsm) -> None:
    assert load(write_config(aws=AWS), ssm).get("aws.ec2.instance_type") == "g4dn.xlarge"


def test_without_value_and_default_get_returns_none(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS), ssm)
    assert config.get("aws.ec2.instance_id") is None
    assert config.get("aws.ec2.instance_id", default="fallback-value") == "fallback-value"
    assert config.get("aws.no.such.path") is None
    assert config.get("aws.no.such.path", default=3) == 3


def test_the_declared_default_wins_over_the_argument(write_config: WriteConfig, ssm: FakeSsm) -> None:
    assert load(write_config(aws=AWS), ssm).get("aws.ec2.instance_type", default="other") == "g4dn.xlarge"


def test_plain_values_need_no_call(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS, training="lora: {r: 16, targets: [q, v]}"), ssm)
    assert config.get("training.lora") == {"r": 16, "targets": ["q", "v"]}
    assert config.get("training.lora.targets.1") == "v"
    assert ssm.calls == []


def test_a_value_has_one_type_wherever_it_comes_from(write_config: WriteConfig, ssm: FakeSsm) -> None:
    directory = write_config(
        aws="""
        size: {ssm_param: /p/size, default: 100}
        rate: {ssm_param: /p/rate, type: float, default: 1}
        on: {ssm_param: /p/on, type: bool, default: false}
        zones: {ssm_param: /p/zones, default: [a, b]}
        limits: {ssm_param: /p/limits, type: json, default: {cpu: 4}}
        count: {ssm_param: /p/count, type: int}
        """
    )
    defaults = load(directory, ssm).get("aws")
    assert defaults == {
        "size": 100,
        "rate": 1.0,
        "on": False,
        "zones": ["a", "b"],
        "limits": {"cpu": 4},
        "count": None,
    }
    stored = {
        "size": "200",
        "rate": "2.5e-4",
        "on": "True",
        "zones": "c, d",
        "limits": '{"cpu":8}',
        "count": "7",
    }
    for name, text in stored.items():
        ssm.put(f"/p/{name}", text)
    assert load(directory, ssm).get("aws") == {
        "size": 200,
        "rate": 2.5e-4,
        "on": True,
        "zones": ["c", "d"],
        "limits": {"cpu": 8},
        "count": 7,
    }


@pytest.mark.parametrize(
    ("value_type", "text"),
    [
        ("int", "12.5"),
        ("int", "1_000"),
        ("float", "nan"),
        ("float", "x"),
        ("bool", "yes"),
        ("json", "{"),
        ("list", "a,,b"),
    ],
)
def test_a_stored_value_of_the_wrong_type_is_an_error(
    write_config: WriteConfig, ssm: FakeSsm, value_type: str, text: str
) -> None:
    ssm.put("/p/x", text)
    config = load(write_config(aws=f"x: {{ssm_param: /p/x, type: {value_type}}}"), ssm)
    with pytest.raises(ValueTypeError) as caught:
        config.get("aws.x")
    assert "/p/x (version 1)" in caught.value.message
    assert repr(text) in caught.value.message
    assert str(caught.value.location).endswith("aws_config.yml:1")
    assert "config set aws.x" in caught.value.remedy


def test_a_stored_value_must_match_pattern_and_choice(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/p/id", "vol-1")
    ssm.put("/p/kind", "floppy")
    config = load(
        write_config(
            aws="""
            id: {ssm_param: /p/id, allowed_pattern: "i-[0-9a-f]+"}
            kind: {ssm_param: /p/kind, allowed_values: [gp2, gp3]}
            """
        ),
        ssm,
    )
    with pytest.raises(ValueNotAllowedError, match=r"allowed_pattern"):
        config.get("aws.id")
    with pytest.raises(ValueNotAllowedError, match=r'"gp2", "gp3"'):
        config.get("aws.kind")


def test_sections_are_mappings_with_attributes(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS, training="a: {b: 1, 'c.d': {e: 2}}"), ssm)
    assert config.aws.ec2.instance_type == "g4dn.xlarge"
    assert config["aws"]["ec2"]["instance_type"] == "g4dn.xlarge"
    assert config["aws.ec2.instance_type"] == "g4dn.xlarge"
    assert config["training"]["a"]["c.d"]["e"] == 2
    assert config.aws.get("ec2.instance_type") == "g4dn.xlarge"
    assert isinstance(config.aws.ec2, Section)
    assert dict(config.aws.ec2) == {"instance_id": None, "instance_type": "g4dn.xlarge"}
    assert list(config) == ["aws", "training"]
    assert len(config) == 2
    assert "aws.ec2" in config
    assert "aws.nothing" not in config
    assert config.aws.ec2.resolve() == config.get("aws.ec2")
    with pytest.raises(AttributeError, match="nothing"):
        _ = config.aws.nothing
    with pytest.raises(KeyError):
        _ = config["nothing"]


def test_what_get_returns_may_be_changed(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws="j: {ssm_param: /p/j, default: {a: [1]}}\nplain: [1]"), ssm)
    config.get("aws.j")["a"].append(2)
    config.get("aws.plain").append(2)
    assert config.get("aws") == {"j": {"a": [1]}, "plain": [1]}


def test_require_names_the_parameter_and_the_command(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS), ssm)
    assert config.require("aws.ec2.instance_type") == "g4dn.xlarge"
    with pytest.raises(MissingValueError) as caught:
        config.require("aws.ec2.instance_id")
    assert "/project/ec2/instance-id" in caught.value.message
    assert "ami-lifecycle config set aws.ec2.instance_id VALUE" in caught.value.remedy
    assert str(caught.value.location).endswith("aws_config.yml:4")


def test_require_of_a_misspelt_path_suggests_the_right_one(write_config: WriteConfig, ssm: FakeSsm) -> None:
    with pytest.raises(MissingValueError, match=r"Did you mean aws\.ec2\.instance_id\?"):
        load(write_config(aws=AWS), ssm).require("aws.ec2.instanceid")


def test_source_tells_where_a_value_comes_from(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/project/ec2/instance-id", "i-1")
    config = load(write_config(aws=AWS, training="r: 16\nempty:"), ssm)
    stored = config.source("aws.ec2.instance_id")
    assert (stored.kind, stored.name, stored.version) == ("ssm", "/project/ec2/instance-id", 1)
    assert config.source("aws.ec2.instance_type").kind == "default"
    assert config.source("training.r").kind == "yaml"
    assert config.source("training.empty").kind == "missing"
    assert config.source("aws.nowhere").kind == "missing"


def test_placeholders_take_environment_and_application(write_config: WriteConfig, ssm: FakeSsm) -> None:
    directory = write_config(
        aws="subnet: {ssm_param: '/{application}/{environment}/subnet'}", build="application: comfyui"
    )
    ssm.put("/comfyui/prod/subnet", "subnet-1")
    ssm.put("/other/dev/subnet", "subnet-2")
    assert load(directory, ssm, environment="prod").get("aws.subnet") == "subnet-1"
    assert load(directory, ssm, environment="dev", application="other").get("aws.subnet") == "subnet-2"
    assert load(directory, ssm, environment="dev").for_environment("prod").get("aws.subnet") == "subnet-1"


def test_a_placeholder_without_a_value_is_an_error_where_it_is_needed(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load(
        write_config(aws="a: {ssm_param: /p/a, default: 1}\nb: {ssm_param: '/p/{environment}/b'}"), ssm
    )
    assert config.get("aws.a") == 1
    with pytest.raises(PlaceholderError, match=r"no environment is given.*--environment"):
        config.get("aws.b")


@pytest.mark.parametrize("environment", ["", "pr od", "a/b", "{x}"])
def test_an_impossible_environment_is_refused(
    write_config: WriteConfig, ssm: FakeSsm, environment: str
) -> None:
    with pytest.raises(PlaceholderError, match="environment"):
        load(write_config(aws=AWS), ssm, environment=environment)


def test_secret_reads_the_named_secret_once(write_config: WriteConfig, ssm: FakeSsm) -> None:
    secrets = FakeSecretsManager(project__token="hf_x")
    config = load(write_config(aws=AWS), ssm, secrets_client=secrets)
    assert config.get("aws.secrets.token_name") == "project/token"
    assert config.secret("aws.secrets.token_name") == "hf_x"
    assert config.secret("aws.secrets.token_name") == "hf_x"
    assert secrets.calls == 1
    config.refresh()
    assert config.secret("aws.secrets.token_name") == "hf_x"
    assert secrets.calls == 2


def test_a_secret_that_does_not_exist_is_named(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS), ssm, secrets_client=FakeSecretsManager())
    with pytest.raises(SecretNotFoundError) as caught:
        config.secret("aws.secrets.token_name")
    assert "project/token" in caught.value.message
    assert "create-secret --name project/token" in caught.value.remedy
    assert caught.value.location is not None


def test_only_declared_secrets_are_read_as_secrets(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config(aws=AWS), ssm, secrets_client=FakeSecretsManager())
    with pytest.raises(InvalidDeclarationError, match="secret: true"):
        config.secret("aws.ec2.instance_type")
    with pytest.raises(MissingValueError):
        config.secret("aws.secrets.nothing")


def test_offline_there_are_only_defaults(write_config: WriteConfig) -> None:
    config = load_config(write_config(aws=AWS), offline=True, clock=FakeClock())
    assert config.get("aws.ec2") == {"instance_id": None, "instance_type": "g4dn.xlarge"}
    with pytest.raises(CredentialsError, match="offline"):
        _ = config.parameter_store


def test_an_alias_is_one_parameter_under_two_keys(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/p/bucket", "data")
    config = load(write_config(aws="in: &bucket {ssm_param: /p/bucket}\nout: *bucket"), ssm)
    assert config.resolve() == {"aws": {"in": "data", "out": "data"}}
    assert ssm.calls == [("GetParameters", {"Names": ["/p/bucket"], "WithDecryption": True})]


def test_numbers_with_an_exponent_are_numbers_and_dates_are_strings(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load(write_config(training="rate: 1e-4\nsince: 2026-11-22\nversion: 1.10.0"), ssm)
    assert config.get("training") == {"rate": 1e-4, "since": "2026-11-22", "version": "1.10.0"}


def test_importing_the_package_is_light() -> None:
    """A Lambda pays for every import at each cold start."""
    heavy = {"boto3", "botocore", "rich", "typer"}
    script = f"import sys, parameter_config; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603  # our own script
    assert found.stdout.strip() == "[]"
