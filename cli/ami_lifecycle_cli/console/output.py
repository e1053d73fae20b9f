"""Output of commands: tables and JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ami_lifecycle.errors import AmiLifecycleError
from parameter_config import ConfigError
from parameter_config.errors import ConfigFileError

_PIPE_WIDTH: Final = 10_000
# The exit code of an error (docs/json.md).
FAILED: Final = 1
# Schema version of every JSON document. A new version only adds fields; a field that changes its meaning gets a new
# name.
SCHEMA_VERSION: Final = 1


def print_error(error: AmiLifecycleError | ConfigError, *, as_json: bool = False) -> None:
    """Print an error to standard error; one of the configuration with its place and its remedy."""
    if as_json:
        print_error_json(type(error).__name__, *_message_and_hint(error), FAILED)
        return
    console = Console(stderr=True, highlight=False)
    if not isinstance(error, ConfigError):
        console.print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        return
    console.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.location:
        console.print(Text(f"  at {error.location}"), soft_wrap=True)
    if error.remedy:
        console.print(Text.assemble(("Hint: ", "bold"), error.remedy), soft_wrap=True)


@contextmanager
def errors_told(*, as_json: bool) -> Iterator[None]:
    """Print an error of this service with its hint, and end the command with exit code 1."""
    try:
        yield
    except (AmiLifecycleError, ConfigError) as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(FAILED) from error


def _message_and_hint(error: AmiLifecycleError | ConfigError) -> tuple[str, str | None]:
    if isinstance(error, ConfigError):
        place = f" (at {error.location})" if error.location else ""
        return f"{error.message}{place}", error.remedy or None
    return str(error), error.hint


def print_error_json(code: str, message: str, hint: str | None, exit_code: int) -> None:
    """Print an error as one line of JSON, the last one on standard error; standard output is for results alone."""
    error = {"code": code, "message": message, "hint": hint, "exit_code": exit_code}
    text = json.dumps({"schema_version": SCHEMA_VERSION, "error": error})
    sys.stderr.write(text + "\n")


def print_note(text: str) -> None:
    """Print a line for people to standard error."""
    Console(stderr=True, highlight=False).print(Text(text), soft_wrap=True)


def ask(question: str) -> None:
    """Ask on standard error. Raises `typer.Abort` unless the answer is yes."""
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        # At the end of the input, end the line of the question.
        print_note("")
        agreed = False
    if not agreed:
        print_note("Nothing was changed.")
        raise typer.Abort


def print_warning(text: str) -> None:
    """Print `! text` to standard output: a warning."""
    Console(highlight=False).print(Text.assemble(("! ", "bold yellow"), (text, "yellow")), soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line to standard output."""
    Console(highlight=False).print(Text(text), soft_wrap=True)


def print_json(document: Mapping[str, Any], *, in_one_line: bool = False) -> None:
    """Print a document of `json_documents` to standard output, with its version and with dates in one form."""
    _write_json({"schema_version": SCHEMA_VERSION, **_plain(document)}, None if in_one_line else 2)
    sys.stdout.flush()


def print_json_schema(schema: Mapping[str, Any]) -> None:
    """Print a JSON Schema to standard output."""
    _write_json(schema, 2)


def _write_json(value: Any, indent: int | None) -> None:
    """Write JSON; in ASCII, which JSON has escapes for, where the encoding lacks a character."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    if not _can_hold(text):
        text = json.dumps(value, indent=indent, default=str)
    sys.stdout.write(text + "\n")


def _plain(value: Any) -> Any:
    """Dates as RFC 3339 in UTC with seconds, at any depth. Strings are left alone, even if they look like dates."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return rfc3339(value) if isinstance(value, datetime) else value


def rfc3339(moment: datetime) -> str:
    """A date in UTC with seconds; one without a zone is in UTC already."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def print_data(text: str) -> None:
    """Print text for a program to standard output, exactly.

    Raises:
        ConfigFileError: the encoding of standard output lacks a character.
    """
    if not _can_hold(text):
        raise ConfigFileError(
            f"Standard output is {sys.stdout.encoding}, which lacks characters of the values.",
            remedy="Write a file with --output, which is UTF-8, or set PYTHONIOENCODING=utf-8.",
        )
    sys.stdout.write(text)


def _can_hold(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table that folds long values instead of cutting them."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _output_console().print(table)


def _output_console() -> Console:
    """A pipe gets lines as long as they are, so that a program finds whole values in them."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPE_WIDTH if piped else None)


def show_value(value: Any) -> str:
    """A value as a table shows it; a sensitive string shows its mask."""
    if value is None:
        return "-"
    if type(value) is str:
        return value
    if isinstance(value, str):
        return repr(value).strip("'")
    return json.dumps(value, ensure_ascii=False)
