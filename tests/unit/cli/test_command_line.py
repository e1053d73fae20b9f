"""What an operator sees when something is missing: the words, the exit code, and nothing on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ami_lifecycle_cli.main import COMMANDS, app

OPERATORS = {
    "status": ("status",),
    "build": ("build", "prod"),
    "history": ("history", "prod"),
    "show": ("show", "ami-0123456789abcdef0"),
    "diff": ("diff", "ami-0123456789abcdef0", "ami-0123456789abcdef1"),
    "rollback": ("rollback", "prod", "--yes"),
    "unpin": ("unpin", "prod", "--yes"),
    "retire": ("retire", "prod", "--yes"),
    "migrate": ("migrate", "prod", "--yes"),
    "doctor": ("doctor",),
    "report": ("report", "--html", "report.html"),
}
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, profiles or metadata service, and a directory without a configuration."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", *KEYS):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def run(name: str, *options: str, env: Mapping[str, str | None]) -> tuple[int, str, str]:
    result = CliRunner(env=env).invoke(app, [*OPERATORS[name], *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_every_command_of_operators_is_tried_here() -> None:
    assert set(OPERATORS) == set(COMMANDS) - {"demo", "emulator", "config"}


@pytest.mark.parametrize("name", OPERATORS)
def test_missing_credentials_are_named_with_the_way_to_get_some(name: str) -> None:
    code, output, notes = run(name, env={"AWS_REGION": "us-east-1"})
    assert (code, output) == (1, "")
    assert "Unable to locate credentials" in notes
    assert "aws configure" in notes


@pytest.mark.parametrize("name", OPERATORS)
def test_a_missing_region_is_named(name: str) -> None:
    code, output, notes = run(name, env={key: value for key, value in KEYS.items() if key != "AWS_REGION"})
    assert (code, output) == (1, "")
    assert "--region" in notes


@pytest.mark.parametrize("name", ["status", "rollback", "doctor", "report"])
def test_an_endpoint_that_does_not_answer_is_named(name: str) -> None:
    code, output, notes = run(name, "--endpoint-url", "http://127.0.0.1:9", env=KEYS)
    assert (code, output) == (1, "")
    assert "http://127.0.0.1:9" in notes
    assert "Check the network" in notes


@pytest.mark.parametrize("name", OPERATORS)
def test_help_fits_eighty_columns(name: str) -> None:
    result = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, [OPERATORS[name][0], "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_profile_that_does_not_exist_is_named() -> None:
    code, _, notes = run("status", "--profile", "nobody", env=KEYS)
    assert code == 1
    assert "nobody" in notes


def test_two_ways_to_name_the_target_of_a_rollback_exclude_each_other() -> None:
    code, output, notes = run("rollback", "--to", "ami-0123456789abcdef0", "--steps", "2", env=KEYS)
    assert (code, output) == (1, "")
    assert "exclude each other" in notes
