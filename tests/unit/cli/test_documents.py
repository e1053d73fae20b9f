"""What README and docs/ say about commands and errors is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from ami_lifecycle.domain.outcomes import OUTCOMES
from ami_lifecycle.errors import AmiLifecycleError, names_of
from ami_lifecycle_cli.main import app

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
COMMAND = re.compile(r"(?:^ {4}(?:\.venv/bin/)?|`)(ami-lifecycle [a-z][^`\n]*)", re.MULTILINE)
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "documents/README.md", "examples/README.md")),
    *(ROOT / f"{part}/README.md" for part in ("client", "emulator", "testbed", "layers/parameter_config")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([\w./:-]+)(?:#[^)]*)?\)")
GROUPS = {"InputError", "TransientError", "BuildError"}


def commands() -> list[Any]:
    found = []
    for document in DOCUMENTS:
        for text in COMMAND.findall(document.read_text()):
            line = text.partition(" #")[0].strip().rstrip(".,:")
            found.append(pytest.param(line, id=f"{document.name}: {line}"))
    return found


@pytest.mark.parametrize("line", commands())
def test_a_documented_command_can_be_typed(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = click.Context(command, info_name="ami-lifecycle")
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
        context = click.Context(command, info_name=name, parent=context)
    for option in (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)):
        known = {
            text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)
        }
        assert option in known | {"--help"}, f"{line}: there is no option {option}"


def test_documents_have_commands() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_what_is_there(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_typed_names_files_that_are_there_and_leaves_nothing_to_fill_in(page: Path) -> None:
    lines = [line for line in page.read_text().splitlines() if line.startswith("    ")]
    assert [line for line in lines if re.search(r"<[A-Za-z]+>", line)] == []
    directories = {path.name for path in ROOT.iterdir() if path.is_dir()}
    words = {word for line in lines for word in re.findall(r"(?<![\w/.$}-])[\w.-]+/[\w./-]+", line)}
    ours = {
        word
        for word in words
        if word.partition("/")[0] in directories - {"build"} and not word.startswith(".")
    }
    # Whoever has hooks adds this directory.
    there = {word for word in ours if not word.startswith("config/hooks/")}
    assert [word for word in sorted(there) if not (ROOT / word.rstrip(".")).exists()] == []


def test_the_index_of_the_documentation_has_every_page() -> None:
    linked = set(LINK.findall((ROOT / "docs" / "README.md").read_text()))
    found = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/dev").glob("*.md")]
    pages = {str(path.relative_to(ROOT / "docs")) for path in found} - {"README.md"}
    assert pages <= linked


def test_the_map_of_the_repository_has_every_directory() -> None:
    text = (ROOT / "README.md").read_text()
    ignored = set(re.findall(r"^([\w.]+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE))
    directories = {
        path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")
    } - ignored
    assert [directory for directory in sorted(directories) if f"`{directory}/" not in text] == []


def test_the_runbook_has_every_error_once() -> None:
    rows = re.findall(
        r"^\| `(\w+Error)` \| (.+?) \| (.+?) \|$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE
    )
    names = [name for name, *_ in rows]
    service = {name for name in names_of(AmiLifecycleError) if is_named_in_the_tree(name)}
    assert sorted(names) == sorted(service - GROUPS)


def is_named_in_the_tree(name: str) -> bool:
    """Errors of `errors.py`, and not those of configuration or of a command, which no execution ends with."""
    return f"class {name}(" in (ROOT / "layers/ami_lifecycle/ami_lifecycle/errors.py").read_text()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.detail_type)
def test_the_document_of_events_has_every_field(outcome: Any) -> None:
    text = (ROOT / "docs" / "events.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{outcome.detail_type}` |")]
    common = {"schema_version", "application", "environment", "region", "execution_arn"}
    assert {f"`{name}`" for name in set(outcome.model_fields) - common} <= set(re.findall(r"`\w+`", row))
    assert all(f"`{name}`" in text for name in common)
