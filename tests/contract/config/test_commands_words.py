"""What people pass to the `config` commands: values that look like options, text of any encoding, files to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.contract.config.project import PROGRAM, Project

WORDS = """
    offset: {{ssm_param: /{name}/offset, default: -1}}
    rate: {{ssm_param: /{name}/rate, default: 0.5}}
    flags: {{ssm_param: /{name}/flags, default: x}}
    greeting: {{ssm_param: /{name}/greeting, default: 'Grüße €'}}
    """


@pytest.fixture
def words(project: Project) -> Project:
    project.write(WORDS)
    return project


@pytest.mark.parametrize(("path", "value"), [("offset", "-5"), ("rate", "-.5"), ("rate", "-2.5e-4")])
def test_a_negative_number_is_a_value(words: Project, path: str, value: str) -> None:
    words.run("set", f"aws.{path}", value)
    assert words.text(path) == value


@pytest.mark.parametrize("value", ["--lowvram", "-x", "--lowvram=1"])
def test_what_looks_like_an_option_is_refused_with_the_way_to_pass_it(words: Project, value: str) -> None:
    refused = " ".join(words.run("set", "aws.flags", value, code=2).stderr.replace("│", " ").split())
    assert f"No such option: {value}" in refused
    assert "put -- before it" in refused
    words.run("set", "aws.flags", "--", value)
    assert words.text("flags") == value


def test_a_misspelt_option_is_no_value(words: Project) -> None:
    refused = words.run("set", "aws.flags", "--dry-rnu", code=2).stderr
    assert "Did you mean --dry-run?" in " ".join(refused.replace("│", " ").split())


@pytest.mark.parametrize("command", ["show", "history", "import", "exec"])
def test_every_command_with_arguments_says_so(words: Project, command: str) -> None:
    refused = words.run(command, "--lowvram", code=2).stderr
    assert "put -- before it" in " ".join(refused.replace("│", " ").split())


ENCODINGS: list[dict[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "utf-8"},
]


def run(
    project: Project, *words: str, stdin: bytes = b"", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    place = ["--config-dir", str(project.directory), "-e", "prod"]
    inherited = {name: value for name, value in project.account.environ.items() if name != "COLUMNS"}
    return subprocess.run(  # noqa: S603  # our own command
        [*PROGRAM, *words[:1], *place, *words[1:]],
        env=inherited | environ,
        capture_output=True,
        input=stdin,
        check=False,
    )


@pytest.mark.parametrize("environ", ENCODINGS, ids=lambda environ: "-".join(environ.values()))
def test_no_encoding_of_the_terminal_ends_a_command(words: Project, environ: dict[str, str]) -> None:
    for command in (["show"], ["diff"], ["init", "--dry-run"], ["validate"], ["show", "aws.größe"]):
        found = run(words, *command, **environ)
        assert b"Traceback" not in found.stderr, found.stderr
        assert b"Unicode" not in found.stderr, found.stderr
    rows = json.loads(
        run(words, "show", "aws.greeting", "--json", **environ).stdout.decode(_encoding(environ))
    )
    assert rows["values"][0]["value"] == "Grüße €"


def _encoding(environ: dict[str, str]) -> str:
    return environ.get("PYTHONIOENCODING", "ascii")


def test_an_export_is_exact_or_refused(words: Project, tmp_path: Path) -> None:
    refused = run(words, "export", PYTHONIOENCODING="latin-1")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"--output" in refused.stderr
    exported = tmp_path / "values.env"
    assert run(words, "export", "--output", str(exported), PYTHONIOENCODING="latin-1").returncode == 0
    assert "Grüße €" in exported.read_text(encoding="utf-8")


@pytest.mark.parametrize("environ", ENCODINGS[:4], ids=lambda environ: "-".join(environ.values()))
def test_standard_input_and_variables_are_utf_8(words: Project, environ: dict[str, str]) -> None:
    assert (
        run(words, "set", "aws.greeting", "--stdin", stdin="Ça va €\r\n".encode(), **environ).returncode == 0
    )
    assert words.text("greeting") == "Ça va €"
    script = "import os; os.write(1, os.environb[b'AWS_GREETING'])"
    found = run(words, "exec", "--", sys.executable, "-c", script, **environ)
    assert found.stdout.decode() == "Ça va €"


def test_standard_input_that_is_no_text_is_refused(words: Project) -> None:
    found = run(words, "set", "aws.greeting", "--stdin", stdin=b"\xff\xfe")
    assert found.returncode == 1
    assert b"not UTF-8" in found.stderr


def test_an_import_says_what_it_did(words: Project, tmp_path: Path) -> None:
    words.run("set", "aws.flags", "one")
    file = tmp_path / "values.env"
    file.write_text("AWS_FLAGS=two\nAWS_FLGAS=three\nPATH=/bin\n")
    planned = words.run("import", str(file), "--dry-run")
    assert "would change (dry run): one -> two" in planned.stdout
    assert "1 value would be stored (dry run)." in planned.stdout
    assert words.text("flags") == "one"
    done = words.run("import", str(file), "--yes")
    assert "dry run" not in done.stdout
    assert f"/{words.name}/flags is now version 2: one -> two" in done.stdout
    assert "1 value stored." in done.stdout
    assert "no such value: AWS_FLGAS (did you mean AWS_FLAGS?)" in done.stderr
    assert "no such value: PATH" in done.stderr


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"aws": {"flgas": "three"}}'),
        ("yaml", "aws: {flgas: three}"),
        ("tfvars", 'aws = { flgas = "3" }'),
    ],
)
def test_an_unknown_path_of_an_import_is_named(words: Project, tmp_path: Path, form: str, text: str) -> None:
    file = tmp_path / "values"
    file.write_text(text)
    noted = words.run("import", str(file), "--format", form, "--yes").stderr
    assert "no such value: aws.flgas (did you mean aws.flags?)" in noted


def test_the_help_of_import_says_what_its_format_is(words: Project) -> None:
    shown: Any = words.run("import", "--help").stdout
    assert "Format of the file" in shown
