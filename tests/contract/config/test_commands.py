"""The `config` commands, run as a person runs them, against the emulated Parameter Store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from tests.contract.config.parameter_account import CREDENTIALS, ParameterAccount
from tests.contract.config.project import PLANTED, PROGRAM, Project
from typer.testing import CliRunner

from ami_lifecycle_cli.commands.config import app

PROJECT = Path(__file__).parents[3]


def test_the_dry_run_prints_the_plan_and_makes_no_write_call(project: Project) -> None:
    writes = project.account.count("PutParameter")
    output = project.run("init", "--dry-run").stdout
    for part in ("g4dn.xlarge", "100", f"/{project.name}/prod/stage", "The instance", "3 to create"):
        assert part in output
    assert "ami-lifecycle config set aws.ec2.instance_id VALUE" in output
    plan = project.json("init", "--dry-run")["plan"]
    assert [planned["action"] for planned in plan] == [
        "set by hand",
        "create",
        "create",
        "set by hand",
        "create",
    ]
    assert project.account.count("PutParameter") == writes


def test_init_does_what_the_dry_run_says(project: Project) -> None:
    plan = project.json("init", "--dry-run")["plan"]
    outcome = project.json("init")
    assert outcome["created"] == [planned["name"] for planned in plan if planned["action"] == "create"]
    assert project.text("size") == "100"
    again = project.run("init").stdout
    assert "0 created, 0 adopted, 3 left alone, 2 to be set by hand, 0 failed." in again


def test_init_that_was_killed_is_finished_by_the_next(project: Project) -> None:
    project.write(
        "\n".join(f"v{index}: {{{{ssm_param: /{{name}}/v{index}, default: {index}}}}}" for index in range(8))
    )
    before = project.account.count("PutParameter")
    command = [*PROGRAM, "init", "--config-dir", str(project.directory), "-e", "prod"]
    with subprocess.Popen(command, env=project.account.environ, stdout=subprocess.DEVNULL) as process:  # noqa: S603  # our own command
        until(lambda: project.account.count("PutParameter") >= before + 3)
        process.kill()
    written = project.account.count("PutParameter") - before
    assert 3 <= written < 8
    outcome = project.json("init")
    assert len(outcome["kept"]) == written
    assert len(outcome["created"]) == 8 - written
    assert [project.text(f"v{index}") for index in range(8)] == [str(index) for index in range(8)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_show_has_every_value_with_its_source_and_masks_secrets(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/key", Value=PLANTED, Type="SecureString")
    project.ssm.put_parameter(Name=f"/{project.name}/size", Value="7", Type="String")
    rows = {row["path"]: row for row in project.json("show")["values"]}
    assert (rows["aws.size"]["value"], rows["aws.size"]["source"], rows["aws.size"]["version"]) == (
        7,
        "ssm",
        1,
    )
    assert rows["aws.key"]["value"] == "********"
    assert rows["aws.ec2.instance_type"]["source"] == "default"
    assert rows["aws.ec2.instance_id"]["source"] == "missing"
    assert rows["training.lora.r"] == {"path": "training.lora.r", "value": 16, "source": "yaml"}
    table = project.run("show", "aws").stdout
    assert "ssm v1" in table
    assert "********" in table
    assert "lora" not in table


def test_show_names_what_is_wrong_and_ends_with_1(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/size", Value="big", Type="String")
    result = project.run("show", code=1)
    assert "whole number" in result.stdout
    assert "config validate" in result.stderr


def test_set_history_and_rollback(project: Project) -> None:
    project.run("set", "aws.size", "200")
    assert project.json("set", "aws.size", "300")["version"] == 2
    assert "dry run" in project.run("set", "aws.size", "400", "--dry-run").stdout
    assert project.text("size") == "300"
    assert [row["value"] for row in project.json("history", "aws.size")["versions"]] == ["200", "300"]
    assert "- 200" in project.run("history", "aws.size", "--diff").stdout
    project.run("rollback", "aws.size", "--to", "1")
    assert project.text("size") == "200"
    assert "has this value already" in project.run("set", "aws.size", "200").stdout


def test_history_has_the_time_in_utc(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run("set", "aws.size", "200")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        output = project.run("history", "aws.size").stdout
        (row,) = project.json("history", "aws.size")["versions"]
    finally:
        monkeypatch.undo()
        time.tzset()
    stored = project.ssm.get_parameter(Name=f"/{project.name}/size")["Parameter"]["LastModifiedDate"]
    assert "changed (UTC)" in output
    assert f"{stored.astimezone(UTC):%Y-%m-%d %H:%M:%S}" in output
    assert row["changed_at"] == f"{stored.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("command", [("init",), ("init", "--dry-run"), ("set", "aws.stage", "x")])
def test_an_environment_that_build_config_does_not_have_gets_no_parameter(
    project: Project, command: tuple[str, ...]
) -> None:
    (project.directory / "build_config.yml").write_text("environments: {dev: {}, production: {}}\n")
    writes = project.account.count("PutParameter")
    result = project.run(*command, code=1)
    for part in ("prod ", "dev, production", "build_config.yml"):
        assert part in result.stderr
    assert project.account.count("PutParameter") == writes
    project.run("set", "aws.size", "7")


def test_a_parameter_that_exists_can_be_changed_though_its_environment_is_gone(project: Project) -> None:
    project.run("init")
    (project.directory / "build_config.yml").write_text("environments: {dev: {}}\n")
    project.run("set", "aws.stage", "two")
    assert project.text("prod/stage") == "two"


def test_a_build_config_without_environments_says_nothing_about_them(project: Project) -> None:
    (project.directory / "build_config.yml").write_text("environments: [dev]\n")
    assert project.json("set", "aws.stage", "x")["version"] == 1


def test_a_sensitive_value_comes_from_standard_input(project: Project) -> None:
    refused = project.run("set", "aws.key", "secret-on-the-command-line", code=1)
    assert "--stdin" in refused.stderr
    project.run("set", "aws.key", "--stdin", stdin=f"{PLANTED}\n")
    assert project.text("key") == PLANTED
    kind = project.ssm.get_parameter(Name=f"/{project.name}/key")["Parameter"]["Type"]
    assert kind == "SecureString"
    project.run("set", "aws.key", "--stdin", stdin=f"{PLANTED}-2")
    assert "********" in project.run("history", "aws.key", "--diff").stdout
    project.run("rollback", "aws.key", "--to", "1")
    project.run("diff")


def test_a_foreign_parameter_is_refused_without_adopt(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/size", Value="5", Type="String")
    assert "--adopt" in project.run("set", "aws.size", "6", code=1).stderr
    assert project.text("size") == "5"
    project.run("set", "aws.size", "6", "--adopt")
    assert project.text("size") == "6"


@pytest.fixture
def shipped(account: ParameterAccount) -> Callable[..., Any]:
    """Runs a command for the shipped configuration, with no environment named; returns its document."""
    options = ["--config-dir", str(PROJECT / "config"), "--endpoint-url", account.endpoint_url, "--json"]

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words, *options], env=CREDENTIALS)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_without_an_environment_the_shipped_configuration_is_taken_for_all_of_them(
    shipped: Callable[..., Any], account: ParameterAccount
) -> None:
    optional = {
        f"/comfyui/config/{environment}/builder/{name}"
        for environment in ("dev", "staging", "prod")
        for name in ("subnet-ids", "instance-types")
    }
    plan = {planned["name"]: planned["action"] for planned in shipped("init", "--dry-run")["plan"]}
    assert plan == {"/comfyui/config/ecr/repository": "create", **dict.fromkeys(optional, "leave unset")}
    outcome = shipped("init")
    assert outcome["created"] == ["/comfyui/config/ecr/repository"]
    assert (set(outcome["left_unset"]), outcome["set_by_hand"]) == (optional, [])
    account.client("ecr").create_repository(repositoryName="comfyui")
    assert shipped("validate")["findings"] == []
    assert shipped("diff")["differences"] == []
    values = [row for row in shipped("show")["values"] if row["path"].startswith("aws.builder")]
    assert {(row["path"], row["source"]) for row in values} == {
        ("aws.builder.subnet_ids", "unset"),
        ("aws.builder.instance_types", "unset"),
    }
    assert len(values) == len(optional)


def test_an_environment_that_is_typed_wins_over_that_of_the_shell(
    shipped: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMI_LIFECYCLE_ENVIRONMENT", "dev")
    stages = {row["name"].split("/")[3] for row in shipped("show", "prod")["values"] if row.get("name")}
    assert "prod" in stages
    assert "dev" not in stages
    assert shipped("validate", "prod")["findings"] == []


def test_an_error_has_its_place_and_a_hint_on_standard_error(project: Project) -> None:
    result = project.run("set", "aws.ec2.instance_id", "vol-1", code=1)
    assert result.stdout == ""
    assert "Error: " in result.stderr
    assert "aws_config.yml:4" in result.stderr
    assert "Hint: " in result.stderr


def test_validate_offline_lists_every_problem(project: Project) -> None:
    project.write("a: {{ssm_param: /aws/x}}\nb: {{ssm_param: /p/b, typ: int}}")
    findings = project.json("validate", "--offline", code=1)["findings"]
    assert [finding["location"].rsplit(":", 1)[1] for finding in findings] == ["1", "2"]
    assert "type" in findings[1]["remedy"]


def test_validate_looks_at_values_and_reality(project: Project) -> None:
    project.write(
        """
        instance: {{ssm_param: /{name}/instance, default: i-0123456789abcdef0}}
        subnets: {{ssm_param: /{name}/subnets, default: [subnet-0123456789abcdef0]}}
        token: {{ssm_param: /{name}/token, default: '{name}/token', secret: true}}
        repository: {{ssm_param: /{name}/repository, default: '{name}'}}
        size: {{ssm_param: /{name}/size, type: int}}
        """
    )
    project.ssm.put_parameter(Name=f"/{project.name}/size", Value="big", Type="String")
    messages = " ".join(finding["message"] for finding in project.json("validate", code=1)["findings"])
    for part in ("whole number", "the instance", "the subnet", "the secret", "the ECR repository"):
        assert part in messages
    subnet = project.account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    project.ssm.put_parameter(Name=f"/{project.name}/subnets", Value=subnet, Type="StringList")
    project.account.client("secretsmanager").create_secret(Name=f"{project.name}/token", SecretString="x")
    project.account.client("ecr").create_repository(repositoryName=project.name)
    messages = " ".join(finding["message"] for finding in project.json("validate", code=1)["findings"])
    assert "the instance" in messages
    for part in ("the subnet", "the secret", "the ECR repository", "Not checked"):
        assert part not in messages


def test_the_script_of_the_guide_is_init(project: Project) -> None:
    script = str(PROJECT / "scripts/setup/init_ssm_parameters.py")
    found = project.run_process("--dry-run", program=[sys.executable, script])
    assert "Dry run, nothing written: 2 to set by hand, 3 to create." in found.stdout


def test_the_published_schema_is_the_models(project: Project) -> None:
    published = json.loads((PROJECT / "config/config.schema.json").read_text())
    assert json.loads(project.run("schema").stdout) == published


def test_a_denied_permission_is_named(project: Project) -> None:
    fault = {"kind": "error", "service": "ssm", "operation": "GetParameters", "times": 1}
    project.account.faults.add({**fault, "code": "AccessDeniedException", "message": "no"})
    result = project.run("show", code=1)
    assert "Access denied: ssm:GetParameters" in result.stderr
    assert "Hint: " in result.stderr


def test_values_are_copied_to_another_environment(project: Project) -> None:
    project.run("set", "aws.stage", "first")
    copy = ("copy", "--from", "prod", "--to", "dev")
    planned = project.json(*copy, "--dry-run")
    assert [(each["name"], each["before"], each["after"]) for each in planned["changes"]] == [
        (f"/{project.name}/dev/stage", None, "first")
    ]
    refused = project.run(*copy, code=1)
    assert "Store 1 value for dev?" in refused.output
    stored = project.run(*copy, "aws.stage", "--yes")
    assert "1 value stored; 0 the same already, 0 not copied." in stored.output
    found = project.ssm.get_parameter(Name=f"/{project.name}/dev/stage")["Parameter"]
    assert found["Value"] == "first"
    assert project.json(*copy, "--yes") == {"changes": [], "same": ["aws.stage"], "left_out": []}
    project.run("copy", "--from", "prod", "--to", "prod", code=1)
