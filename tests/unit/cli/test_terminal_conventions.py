"""How every command behaves: names of environments, --watch and --detach, errors as JSON, pipes, small terminals."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from rich.text import Text
from tests.unit.cli.samples import a_run
from tests.unit.cli.test_command_line import KEYS, OPERATORS, nothing_of_this_machine
from typer.testing import CliRunner

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.errors import AmiLifecycleError, InvalidRequestError
from ami_lifecycle_cli.commands import stop as stopping
from ami_lifecycle_cli.console.output import print_error
from ami_lifecycle_cli.main import COMMANDS, app
from ami_lifecycle_cli.stack import execution_start, formatting
from ami_lifecycle_cli.stack.execution_stop import Stoppable

__all__ = ["nothing_of_this_machine"]
NAMES_ENVIRONMENT = [name for name in OPERATORS if OPERATORS[name][1:2] == ("prod",)]
STOPPABLE = Stoppable(a_run(status="RUNNING"), "prod", None, None)
NO_ENDPOINT = ("--endpoint-url", "http://127.0.0.1:9")


def run(*words: str, **env: str) -> Any:
    result = CliRunner(env={**KEYS, **env}).invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("name", ["status", "report", "show", "approvals", *NAMES_ENVIRONMENT])
def test_an_environment_is_named_as_an_argument_or_as_an_option(name: str) -> None:
    rest = [word for word in OPERATORS[name][1:] if word != "prod" and not word.startswith("ami-")]
    for option in ("-e", "--environment"):
        result = run(name, option, "prod", *rest, *NO_ENDPOINT)
        assert (result.exit_code, "http://127.0.0.1:9" in result.stderr) == (1, True), "it comes to the call"
    both = run(name, "prod", "-e", "dev", *rest, *NO_ENDPOINT)
    assert (both.exit_code, "two environments" in both.stderr) == (2, True)
    assert run(name, "prod", "-e", "prod", *rest, *NO_ENDPOINT).exit_code == 1


@pytest.mark.parametrize("name", NAMES_ENVIRONMENT)
def test_a_missing_environment_is_wrong_use(name: str) -> None:
    result = run(name, *NO_ENDPOINT)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Missing argument 'ENV'" in result.stderr


@pytest.mark.parametrize("name", ["validate", "init", "diff", "export", "prune"])
def test_config_commands_take_an_environment_as_an_argument_too(name: str, tmp_path: Any) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/aws_config.yml").write_text("key: {ssm_param: '/p/{environment}/key', default: 1}\n")
    shown = run("config", name, "Not-Good", *NO_ENDPOINT)
    assert shown.exit_code in {1, 2}
    assert "Not-Good" in shown.stderr + shown.stdout


@pytest.mark.parametrize("name", ["validate", "init", "diff", "export", "prune"])
def test_an_environment_that_is_typed_wins_over_that_of_the_shell(name: str, tmp_path: Any) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/aws_config.yml").write_text("key: {ssm_param: '/p/{environment}/key', default: 1}\n")
    shell = {"AMI_LIFECYCLE_ENVIRONMENT": "dev"}
    for typed in (("Not-Good",), ("-e", "Not-Good")):
        shown = run("config", name, *typed, *NO_ENDPOINT, **shell)
        assert "Not-Good" in shown.stderr + shown.stdout
        assert "two environments" not in shown.stderr
    both = run("config", name, "prod", "-e", "dev", *NO_ENDPOINT, **shell)
    assert (both.exit_code, "two environments" in both.stderr) == (2, True)


def test_nothing_is_imported_that_another_package_keeps_for_itself() -> None:
    # A release may move or drop such a module, and says nothing of it.
    root = Path(__file__).resolve().parents[3]
    private = re.compile(r"^\s*(?:from|import) (?!aws_emulator)\w+(?:\.\w+)*\._[a-z]", re.MULTILINE)
    files = [each for room in ("cli", "client", "layers", "emulator") for each in (root / room).rglob("*.py")]
    assert [str(each) for each in files if private.search(each.read_text(encoding="utf-8"))] == []


def hint_of(error: Exception, capsys: pytest.CaptureFixture[str]) -> Any:
    """What JSON gives as what to do next."""
    assert isinstance(error, AmiLifecycleError)
    print_error(error, as_json=True)
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["hint"] is None or told["message"].endswith(told["hint"])
    return told["hint"]


def test_a_hint_is_what_the_error_gives_and_never_a_part_of_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(AmiLifecycleError) as denied, aws_errors("ec2:RunInstances", "prod"):
        raise ClientError(
            {"Error": {"Code": "UnauthorizedOperation", "Message": "denied; by none"}}, "RunInstances"
        )
    assert hint_of(denied.value, capsys) == (
        "Grant ec2:RunInstances to the role that made the call; if it is granted, the resource lacks the tags that "
        "the grant demands."
    )
    with pytest.raises(AmiLifecycleError) as slower, aws_errors("ec2:RunInstances", "prod"):
        raise ClientError({"Error": {"Code": "Throttling", "Message": "no"}}, "RunInstances")
    assert hint_of(slower.value, capsys) == "It is tried again after a pause."
    listed = InvalidRequestError("the request is not valid: a is empty; b is too long")
    assert hint_of(listed, capsys) is None
    assert hint_of(InvalidRequestError("a and b", hint="name one of them"), capsys) == "name one of them"


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_question_that_is_not_answered_with_yes_ends_in_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(stopping, "find_stoppable", lambda *_: STOPPABLE)
    monkeypatch.setattr(stopping, "Stack", lambda _target: SimpleNamespace(require_environment=str))
    monkeypatch.setattr(execution_start, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    for words in ((), ("--json",)):
        result = CliRunner(env=KEYS).invoke(app, ["stop", "prod", *words], input=answer)
        assert result.exit_code == 1
        last = result.stderr.splitlines()[-1]
        assert json.loads(last)["error"]["code"] == "Aborted" if words else last == "Aborted."


@pytest.mark.parametrize("name", ["build", "rollback", "unpin", "retire", "stop"])
def test_watching_and_detaching_are_options_of_every_command_that_starts_something(name: str) -> None:
    for option in ("--watch", "-w", "--detach", "-d"):
        result = run(*OPERATORS[name], option, *NO_ENDPOINT)
        assert (result.exit_code, "http://127.0.0.1:9" in result.stderr) == (1, True)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_error_is_one_line_of_json_where_json_is_asked_for(name: str) -> None:
    result = run(*OPERATORS[name], "--json", *NO_ENDPOINT)
    assert (result.exit_code, result.stdout) == (1, "")
    document = json.loads(result.stderr.splitlines()[-1])
    assert document["schema_version"] == 1
    assert document["error"].keys() == {"code", "message", "hint", "exit_code"}
    assert document["error"]["code"].endswith("Error")
    assert document["error"]["exit_code"] == 1


@pytest.mark.parametrize("words", [("status", "--no-such"), ("build",), ("no-such",), ("config", "set")])
def test_wrong_use_is_json_where_json_is_asked_for_and_plain_lines_in_a_pipe(words: tuple[str, ...]) -> None:
    result = run(*words, "--json")
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert (result.exit_code, result.stdout, error["code"], error["exit_code"]) == (2, "", "UsageError", 2)
    assert "--help" in error["hint"]
    plain = run(*words).stderr
    assert "Error: " in plain
    assert "│" not in plain


def test_what_a_command_that_is_run_says_of_json_is_its_own(tmp_path: Any) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/aws_config.yml").write_text("size: 1\n")
    missing = run("config", "exec", "--", "/no/such/program", "--json")
    assert (missing.exit_code, "cannot be run" in missing.stderr) == (127, True)
    assert not missing.stderr.lstrip().startswith("{")
    (tmp_path / "no-program").write_text("text\n")
    assert run("config", "exec", "--", str(tmp_path / "no-program")).exit_code == 126


def test_shells_complete_commands_and_options() -> None:
    def completed(words: str) -> list[str]:
        env = {
            "_AMI_LIFECYCLE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        code = "from ami_lifecycle_cli.main import main; main()"
        done = subprocess.run(  # noqa: S603 - this interpreter and the product's own command
            [sys.executable, "-c", f"import sys; sys.argv[0] = 'ami-lifecycle'; {code}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=env,
        )
        return done.stdout.split()

    assert set(completed("ami-lifecycle st")) == {"status", "stop"}
    assert {"--watch", "--detach"} <= set(completed("ami-lifecycle build --"))
    assert "validate" in completed("ami-lifecycle config v")
    assert "--install-completion" in run("--help").stdout


ROWS = [
    (
        "2",
        "ami-0123456789abcdef0",
        "2026-01-02 03:04",
        "0123456789ab",
        "1234567",
        Text("live", style="green"),
    ),
    (
        "1",
        "ami-0123456789abcdef1",
        "2026-01-01 03:04",
        "0123456789ac",
        "1234568",
        Text("kept, rolled back from"),
    ),
]
HEADERS = ["#", "AMI", "MADE (UTC)", "DIGEST", "COMMIT", "STATUS"]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_table_is_read_at_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None)
    monkeypatch.setattr(formatting, "output_console", lambda: console)
    formatting.print_rows(HEADERS, ROWS, fixed=["AMI", "MADE (UTC)", "DIGEST"])
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert max(map(len, shown.splitlines())) <= columns
    for row in ROWS:
        for cell in row:
            words = str(cell).split()
            assert all(word in shown for word in words), f"no word of {cell} is torn apart"
    assert re.search(r"status +live", shown) if columns < 80 else "STATUS" in shown


def test_notes_are_not_wrapped_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert formatting.note_console().width > 1_000


def test_help_shows_no_value_for_a_switch() -> None:
    assert "<bool>" not in run("build", "--help", COLUMNS="100").stdout.replace("--help", "").split("-h")[0]


def test_every_command_is_listed_with_a_line_of_help() -> None:
    shown = run("--help", COLUMNS="100").stdout
    assert all(name in shown for name in COMMANDS)
