"""The SSM Parameter Store configuration guide, step by step, with the fine-tune-slm example.

Where the guide uses the AWS CLI, the same operation is made with boto3, and the docstring or comment
names the command. Everything runs against the emulated account over HTTP.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.config.parameter_account import ParameterAccount

from parameter_config import Config, load_config
from parameter_config.errors import MissingValueError

REPOSITORY = Path(__file__).parents[3]
SCRIPT = REPOSITORY / "scripts/setup/init_ssm_parameters.py"
PREFIX = "/fine-tune-slm"
TOKEN = "hf_planted-2b7d"
MANUAL = {
    "ec2/instance-id": "i-1234567890abcdef0",
    "ebs/volume-id": "vol-1234567890abcdef0",
    "s3/bucket": "my-training-bucket",
    "ecr/registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "output/hf-repo": "my-org/my-model",
}
DEFAULTS = {
    "aws/region": "us-east-1",
    "ec2/instance-type": "g4dn.xlarge",
    "ebs/mount-path": "/mnt/training",
    "ebs/volume-type": "gp3",
    "ebs/size-gb": "100",
    "s3/prefix": "fine-tune-slm",
    "ecr/repository": "fine-tune-slm",
    "secrets/hf-token-name": "huggingface/api-token",
    "secrets/aws-credentials-name": "fine-tune-slm/aws-credentials",
    "secrets/docker-token-name": "docker/access-token",
    "cloudwatch/log-group": "/fine-tune-slm/training",
    "cloudwatch/log-stream-prefix": "run",
}


class Guide:
    """A checkout of the fine-tune-slm project, and the account that it is set up in."""

    def __init__(self, directory: Path, account: ParameterAccount) -> None:
        self.directory = directory
        self.account = account
        self.ssm = account.client("ssm")

    def init(self, *options: str) -> str:
        """`python scripts/setup/init_ssm_parameters.py` in the project's directory."""
        command = [sys.executable, str(SCRIPT), *options]
        # A test runner may set a width, at which long names are folded.
        environ = {**self.account.environ, "COLUMNS": "200"}
        done = subprocess.run(  # noqa: S603  # our own script
            command, cwd=self.directory, env=environ, capture_output=True, text=True, check=True
        )
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout

    def load(self) -> Config:
        """The guide's `load_config(config_dir="config", ssm_client=ssm_client)`."""
        return load_config(
            config_dir=self.directory / "config",
            ssm_client=self.ssm,
            secrets_client=self.account.client("secretsmanager"),
        )

    def stored(self) -> dict[str, str]:
        """`aws ssm get-parameters-by-path --path /fine-tune-slm/ --recursive`."""
        pages = self.ssm.get_paginator("get_parameters_by_path").paginate(Path=f"{PREFIX}/", Recursive=True)
        return {
            found["Name"].removeprefix(f"{PREFIX}/"): found["Value"]
            for page in pages
            for found in page["Parameters"]
        }

    def put(self, key: str, value: str, **options: Any) -> int:
        """`aws ssm put-parameter --name /fine-tune-slm/... --value ... [--type String] [--overwrite]`."""
        return int(self.ssm.put_parameter(Name=f"{PREFIX}/{key}", Value=value, **options)["Version"])


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    """The steps below build on each other, as in the guide."""
    directory = tmp_path_factory.mktemp("fine-tune-slm")
    shutil.copytree(REPOSITORY / "config/examples/fine-tune-slm", directory / "config")
    account = ParameterAccount(scale=0.1)
    yield Guide(directory, account)
    account.close()


def test_the_guide_works_from_the_preview_to_the_secret(guide: Guide) -> None:
    _preview_writes_nothing(guide)
    _init_creates_the_defaults_and_lists_the_rest(guide)
    _before_manual_configuration_values_are_missing(guide)
    _manual_configuration_gives_the_missing_values(guide)
    _runtime_resolution_returns_what_is_stored(guide)
    _a_second_init_changes_nothing(guide)
    _all_parameters_can_be_viewed(guide)
    _a_parameter_can_be_updated_and_has_a_history(guide)
    _a_parameter_can_be_deleted(guide)
    _the_secret_is_read_by_its_name(guide)


def _preview_writes_nothing(guide: Guide) -> None:
    preview = guide.init("--dry-run")
    assert guide.stored() == {}
    assert guide.account.count("PutParameter") == 0
    for key, value in DEFAULTS.items():
        assert f"{PREFIX}/{key}" in preview
        assert value in preview
    for key in MANUAL:
        assert f"{PREFIX}/{key}" in preview
    assert "12 to create, 5 to set by hand" in preview


def _init_creates_the_defaults_and_lists_the_rest(guide: Guide) -> None:
    printed = guide.init()
    assert guide.stored() == DEFAULTS
    for key in MANUAL:
        assert f"{PREFIX}/{key}" in printed
    for key in ("aws.ec2.instance_id", "aws.s3.bucket"):
        assert f"ami-lifecycle config set {key} VALUE" in printed
    tags = guide.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"{PREFIX}/aws/region")
    assert {"Key": "Project", "Value": "fine-tune-slm"} in tags["TagList"]


def _before_manual_configuration_values_are_missing(guide: Guide) -> None:
    config = guide.load()
    assert config.get("aws.ec2.instance_id") is None
    assert config.get("aws.ec2.instance_id", default="fallback-value") == "fallback-value"
    with pytest.raises(MissingValueError, match="/fine-tune-slm/ec2/instance-id"):
        config.require("aws.ec2.instance_id")


def _manual_configuration_gives_the_missing_values(guide: Guide) -> None:
    for key, value in MANUAL.items():
        assert guide.put(key, value, Type="String", Description="set by hand") == 1


def _runtime_resolution_returns_what_is_stored(guide: Guide) -> None:
    before = guide.account.count("GetParameters")
    config = guide.load()
    assert config.get("aws.ec2.instance_id") == "i-1234567890abcdef0"
    assert config.get("aws.s3.bucket") == "my-training-bucket"
    assert config.get("aws.ebs.size_gb") == 100
    assert config.get("training.lora.r") == 16
    assert config.get("training.training.learning_rate") == 2.0e-4
    assert config.resolve()["aws"]["output"] == {"hf_repo": "my-org/my-model"}
    assert guide.account.count("GetParameters") - before == 2  # 17 names, ten to a call


def _a_second_init_changes_nothing(guide: Guide) -> None:
    before = guide.account.count("PutParameter")
    assert "0 created, 0 adopted, 17 left alone, 0 to be set by hand, 0 failed." in guide.init()
    assert guide.stored() == DEFAULTS | MANUAL
    assert guide.account.count("PutParameter") == before


def _all_parameters_can_be_viewed(guide: Guide) -> None:
    assert len(guide.stored()) == 17


def _a_parameter_can_be_updated_and_has_a_history(guide: Guide) -> None:
    assert guide.put("ec2/instance-id", "i-0fedcba0987654321", Overwrite=True) == 2
    history = guide.ssm.get_parameter_history(Name=f"{PREFIX}/ec2/instance-id")["Parameters"]
    assert [version["Value"] for version in history] == ["i-1234567890abcdef0", "i-0fedcba0987654321"]
    config = guide.load()
    assert config.get("aws.ec2.instance_id") == "i-0fedcba0987654321"
    assert config.source("aws.ec2.instance_id").version == 2


def _a_parameter_can_be_deleted(guide: Guide) -> None:
    guide.ssm.delete_parameter(Name=f"{PREFIX}/ebs/size-gb")  # aws ssm delete-parameter --name ...
    assert "ebs/size-gb" not in guide.stored()
    config = guide.load()
    assert config.get("aws.ebs.size_gb") == 100
    assert config.source("aws.ebs.size_gb").kind == "default"
    guide.ssm.delete_parameter(Name=f"{PREFIX}/s3/bucket")
    assert guide.load().get("aws.s3.bucket") is None


def _the_secret_is_read_by_its_name(guide: Guide) -> None:
    # aws secretsmanager create-secret --name huggingface/api-token --secret-string "hf_xxxxx"
    guide.account.client("secretsmanager").create_secret(Name="huggingface/api-token", SecretString=TOKEN)
    # aws ssm put-parameter --name /fine-tune-slm/secrets/hf-token-name --value huggingface/api-token
    guide.put("secrets/hf-token-name", "huggingface/api-token", Overwrite=True)
    config = guide.load()
    assert config.get("aws.secrets.hf_token_name") == "huggingface/api-token"
    assert config.secret("aws.secrets.hf_token_name") == TOKEN
    assert TOKEN not in repr(config) + repr(config.secret("aws.secrets.hf_token_name"))
    assert TOKEN not in json.dumps(config.resolve())
