"""What commands print: tables and JSON to standard output, the rest to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ami_lifecycle.errors import AmiLifecycleError
from parameter_config import ConfigError
from parameter_config.errors import ConfigFileError

_PIPE_WIDTH: Final = 10_000


def print_error(error: AmiLifecycleError | ConfigError) -> None:
    """Print an error to standard error; one of the configuration with its place and its remedy."""
    console = Console(stderr=True, highlight=False)
    if not isinstance(error, ConfigError):
        console.print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        return
    console.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.location:
        console.print(Text(f"  at {error.location}"), soft_wrap=True)
    if error.remedy:
        console.print(Text.assemble(("Hint: ", "bold"), error.remedy), soft_wrap=True)


def print_note(text: str) -> None:
    """Print a line for people to standard error."""
    Console(stderr=True, highlight=False).print(Text(text), soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line to standard output."""
    Console(highlight=False).print(Text(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON to standard output; in ASCII, which JSON has escapes for, where the encoding lacks a character."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if not _can_hold(text):
        text = json.dumps(value, indent=2, default=str)
    sys.stdout.write(text + "\n")


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
