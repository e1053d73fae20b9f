"""What an operator sees when something is missing: the words, the exit code, and nothing on standard output."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ami_lifecycle_cli.commands import emulator
from ami_lifecycle_cli.main import COMMANDS, app

OPERATORS = {
    "status": ("status",),
    "build": ("build", "prod"),
    "wait": ("wait", "prod"),
    "stop": ("stop", "prod", "--yes"),
    "builds": ("builds", "prod"),
    "logs": ("logs", "prod"),
    "outputs": ("outputs",),
    "history": ("history", "prod"),
    "show": ("show", "ami-0123456789abcdef0"),
    "diff": ("diff", "ami-0123456789abcdef0", "ami-0123456789abcdef1"),
    "promote": ("promote", "staging", "prod", "--yes"),
    "approvals": ("approvals",),
    "approve": ("approve", "prod-1a2b3c4d5e6f"),
    "reject": ("reject", "prod-1a2b3c4d5e6f", "--reason", "bad"),
    "rollback": ("rollback", "prod", "--yes"),
    "undelete": ("undelete", "prod", "--yes"),
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


LOGIN = """
[profile mine]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = reader
"""


@pytest.mark.parametrize("words", [("show",), ("export",), ("diff",), ("set", "aws.size", "1"), ("init",)])
@pytest.mark.parametrize(("profiles", "remedy"), [("", "aws configure"), (LOGIN, "aws sso login --profile")])
def test_the_config_commands_ask_for_credentials_once_and_print_nothing_else(
    tmp_path: Path, words: tuple[str, ...], profiles: str, remedy: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/aws_config.yml").write_text(
        "size: {ssm_param: /p/size, default: 1}\nkey: {ssm_param: /p/key}\nplain: 1\n"
    )
    (tmp_path / "none").write_text(profiles)
    env = {"AWS_REGION": "us-east-1", "HOME": str(tmp_path), "AWS_PROFILE": "mine" if profiles else None}
    result = CliRunner(env=env).invoke(app, ["config", *words])
    assert (result.exit_code, result.stdout) == (1, "")
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("Error: ") == 1
    assert remedy in result.stderr
    assert "declarations say" not in result.stderr


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
def test_an_endpoint_without_a_scheme_is_refused_before_anything_is_called(name: str) -> None:
    code, output, notes = run(name, "--endpoint-url", "localhost:4566", env={**KEYS, "COLUMNS": "200"})
    assert (code, output) == (2, "")
    assert "--endpoint-url" in notes
    assert "localhost:4566" in notes
    assert "http://localhost:4566" in notes


@pytest.mark.parametrize(
    "url",
    ["localhost:4566", "//localhost", "http://", "ftp://localhost", "http://localhost:port", "http://[::1"],
)
@pytest.mark.parametrize("words", [("show",), ("validate", "--offline"), ("set", "aws.size", "1")])
def test_the_config_commands_refuse_an_endpoint_that_is_no_address(words: tuple[str, ...], url: str) -> None:
    result = CliRunner(env={**KEYS, "COLUMNS": "200"}).invoke(app, ["config", *words, "--endpoint-url", url])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--endpoint-url" in result.stderr
    assert f"{url} is no address" in result.stderr
    assert "http://localhost:4566" in result.stderr


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


def test_the_version_is_that_of_the_installed_distribution() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (
        0,
        f"ami-lifecycle {importlib.metadata.version('ami-lifecycle')}\n",
    )


@pytest.mark.parametrize("words", [(), ("status",), ("config",), ("config", "show"), ("emulator", "start")])
def test_help_has_a_short_option_everywhere(words: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.stdout == long.stdout
    assert "Usage: " in short.stdout


@pytest.mark.parametrize("words", [("demo",), ("demo", "--json"), ("emulator", "start", "--json")])
@pytest.mark.parametrize("package", ["moto", "werkzeug"])
def test_a_package_that_only_the_emulator_needs_is_named_with_its_extra(
    words: tuple[str, ...], package: str
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom ami_lifecycle_cli.main import main; main()"
    done = subprocess.run(  # noqa: S603 - this interpreter and the product's own command
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"the emulator needs the package {package}" in done.stderr
    assert "[emulator]" in done.stderr
    if "--json" in words:
        assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == "PackageMissingError"


def test_why_the_emulator_does_not_start_is_told_as_json(tmp_path: Path) -> None:
    durations = tmp_path / "durations.json"
    durations.write_text('{"image": "long"}')
    result = CliRunner().invoke(app, ["emulator", "start", "--json", "--durations", str(durations)])
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert json.loads(line)["error"]["code"] == "EmulatorNotStartedError"


@pytest.mark.parametrize("endpoint", [(), ("--endpoint-url", "http://127.0.0.1:9")])
def test_a_made_up_image_is_pushed_to_no_real_registry(endpoint: tuple[str, ...]) -> None:
    env = {**KEYS, "AWS_ENDPOINT_URL": "" if endpoint else "http://127.0.0.1:9"}
    result = CliRunner(env=env).invoke(app, ["emulator", "push", "prod", *endpoint])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "http://127.0.0.1:9 is no emulator" in result.stderr


def test_stack_and_registry_of_the_emulator_have_the_names_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "build_config.yml").write_text("application: llm-api\n")
    both = {"ApplicationName": "llm-api", "RepositoryName": "llm-api"}
    assert emulator.names_of(tmp_path, None, None) == {"repository": "llm-api", "parameters": both}
    (tmp_path / "aws_config.yml").write_text("ecr: {repository: {ssm_param: /x, default: models}}\n")
    assert emulator.names_of(tmp_path, None, None)["repository"] == "models"
    named = emulator.names_of(tmp_path, "other", "models")
    assert named["parameters"] == {"ApplicationName": "other", "RepositoryName": "models"}
    assert emulator.names_of(tmp_path / "none", None, None) == {"repository": "comfyui", "parameters": {}}


def test_lines_for_another_shell_are_valid_there() -> None:
    lines = emulator.exports({"endpoint_url": "http://127.0.0.1:4566", "region": "us-east-1"}).splitlines()
    exported = [line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")]
    assert dict(exported)["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} < set(dict(exported))
