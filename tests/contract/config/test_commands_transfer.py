"""The `config` commands that compare, clear, export, import and pass on, against the emulated Parameter Store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.contract.config.project import PLANTED, Project


def test_diff_and_prune_know_orphans(project: Project) -> None:
    project.run("init")
    project.write("size: {{ssm_param: /{name}/size, default: 200}}\nnew: {{ssm_param: /{name}/new}}")
    project.ssm.put_parameter(Name=f"/{project.name}/by-hand", Value="x", Type="String")
    kinds = {
        drift["name"].removeprefix(f"/{project.name}/"): drift["kind"]
        for drift in project.json("diff")["differences"]
    }
    assert kinds == {
        "size": "differs",
        "new": "missing",
        "by-hand": "orphaned",
        "ec2/instance-type": "orphaned",
        "prod/stage": "orphaned",
    }
    project.run("diff", "--exit-code", code=1)
    orphans = [f"/{project.name}/ec2/instance-type", f"/{project.name}/prod/stage"]
    assert project.json("prune", "--dry-run") == {
        "dry_run": True,
        "orphans": orphans,
        "deleted": [],
        "failed": [],
    }
    assert "--yes" in project.run("prune", code=1).stderr
    assert project.text("prod/stage") == "none"
    assert sorted(project.json("prune", "--yes")["deleted"]) == orphans
    assert project.text("by-hand") == "x"


@pytest.mark.parametrize("export_format", ["env", "json", "yaml", "tfvars"])
def test_an_export_can_be_imported(project: Project, tmp_path: Path, export_format: str) -> None:
    project.run("set", "aws.size", "250")
    project.run("set", "aws.ec2.instance_id", "i-0123456789abcdef0")
    exported = tmp_path / "exported"
    project.run("export", "--format", export_format, "--output", str(exported))
    project.run("rollback", "aws.size", "--to", "1")
    project.run("set", "aws.size", "1")
    changes = project.json("import", str(exported), "--format", export_format, "--dry-run")["changes"]
    assert [(change["path"], change["after"]) for change in changes] == [("aws.size", "250")]
    assert project.text("size") == "1"
    project.run("import", str(exported), "--format", export_format, "--yes")
    assert project.text("size") == "250"
    assert project.text("ec2/instance-id") == "i-0123456789abcdef0"


def test_an_export_to_a_place_that_cannot_be_written_is_an_error(project: Project, tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "directory"
    result = project.run("export", "--output", str(nowhere), code=1)
    assert f"{nowhere} cannot be written: No such file or directory" in result.stderr
    assert "Hint: " in result.stderr


def test_exec_gives_a_command_the_values(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/key", Value=PLANTED, Type="SecureString")
    script = "from os import environ as e; print(e['X_AWS_EC2_INSTANCE_TYPE'], e['X_AWS_KEY'], e['X_TRAINING_LORA_R'])"
    found = project.run_process("exec", "--prefix", "X_", "--", sys.executable, "-c", script)
    assert found.stdout.split() == ["g4dn.xlarge", PLANTED, "16"]


def test_exec_of_an_unknown_command_is_an_error(project: Project) -> None:
    assert "no-such-command cannot be run" in project.run("exec", "--", "no-such-command", code=127).stderr


def test_a_pipe_gets_whole_lines_without_colour(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/ec2/instance-type", Value="x" * 300, Type="String")
    found = project.run_process("show")
    assert "x" * 300 in found.stdout
    assert "\x1b" not in found.stdout + found.stderr


def test_eighty_columns_are_enough(project: Project) -> None:
    project.ssm.put_parameter(Name=f"/{project.name}/ec2/instance-type", Value="x" * 300, Type="String")
    narrow = project.run_process("show", COLUMNS="80", NO_COLOR="1").stdout
    assert max(len(line) for line in narrow.splitlines()) <= 80
    assert narrow.count("x") == 300
    assert "\x1b" not in narrow
