"""Formatting of ages, durations, digests, fields and tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ami_lifecycle_cli.console.output import rfc3339

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_KIB: Final = 1024
_PIPE_WIDTH: Final = 10_000
# Longer words are folded: an ARN in a column of reasons.
_LONGEST_WORD: Final = 24


def output_console() -> Console:
    """Standard output. A pipe gets lines as long as they are, so that a program finds whole values."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPE_WIDTH if piped else None)


def note_console() -> Console:
    """Standard error, for notes; nothing is wrapped in a pipe."""
    piped = not sys.stderr.isatty() and "COLUMNS" not in os.environ
    return Console(stderr=True, highlight=False, width=_PIPE_WIDTH if piped else None)


def duration(seconds: float) -> str:
    """`45 s`, `6 min 12 s`, `3 h 4 min`, `12 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, below, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name} {rest} {small}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago something was."""
    return "-" if moment is None else duration(max(0.0, (now - moment).total_seconds()))


def parse_date(text: str | None) -> datetime | None:
    """A date of the metadata schema; None when it is missing or invalid."""
    try:
        parsed = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed is not None and parsed.tzinfo is None else parsed


def iso_date(moment: datetime | None) -> str | None:
    """A date for JSON."""
    return None if moment is None else rfc3339(moment)


def utc_date(moment: datetime | None) -> str:
    """A date in UTC, to the minute."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def shown(name: str, value: Any) -> str:
    """A fact as text: sizes in a fitting unit."""
    if value is None:
        return "-"
    if name.endswith("_bytes") and isinstance(value, int) and value >= _KIB:
        unit = next(each for each in range(4, 0, -1) if value >= _KIB**each)
        return f"{value / _KIB**unit:.1f} {' KMGT'[unit]}iB"
    return str(value)


def short_digest(digest: str | None) -> str:
    """The first twelve digits of a digest."""
    return (digest or "-").removeprefix("sha256:")[:12]


def short_name(arn: str) -> str:
    """Name of an execution."""
    return arn.rsplit(":", 1)[-1]


def print_fields(fields: Sequence[tuple[str, Any]], *, console: Console | None = None) -> None:
    """Labels and values, one per line; None and empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in fields:
        if value not in (None, "", (), []):
            table.add_row(label, value if isinstance(value, Text) else Text(str(value)))
    _print_table(table, console or output_console())


def print_rows(
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    fixed: Sequence[str] = (),
    title: str = "",
) -> None:
    """A table; the columns in `fixed` are never folded. On a narrow terminal, one block per row."""
    console = output_console()
    if _width_of(headers, rows, fixed) > console.width:
        _print_records(headers, rows, console)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left")
    for header in headers:
        table.add_column(header, overflow="fold", no_wrap=header in fixed)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    _print_table(table, console)


def _width_of(headers: Sequence[str], rows: Sequence[Sequence[str | Text]], fixed: Sequence[str]) -> int:
    """The width that a table needs so that no word of a column that folds is torn apart."""

    def needed(column: int, header: str) -> int:
        cells = [str(row[column]) for row in rows]
        parts = (
            cells if header in fixed else [word[:_LONGEST_WORD] for cell in cells for word in cell.split()]
        )
        return max(map(len, [header, *parts]))

    return sum(needed(column, header) + 2 for column, header in enumerate(headers)) - 2


def _print_records(headers: Sequence[str], rows: Sequence[Sequence[str | Text]], console: Console) -> None:
    """Each row as a heading and one line for each other column."""
    label = max(map(len, headers))
    for row in rows:
        for number, (header, cell) in enumerate(zip(headers, row, strict=True)):
            text = cell if isinstance(cell, Text) else Text(cell)
            if number == 0:
                named = f"{header} " if header == "#" else ""
                console.print(Text.assemble((f"{named}{text.plain}", "bold")), soft_wrap=True)
            elif text.plain:
                console.print(Text.assemble(f"  {header.lower():<{label}}  ", text), soft_wrap=True)


def _print_table(table: Table, console: Console) -> None:
    """Print a table; a pipe gets its lines without the blanks that fill up the last column."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.out(line.rstrip(), highlight=False)
