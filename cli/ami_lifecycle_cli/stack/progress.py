"""Display of a running build: live on a terminal, line by line in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ami_lifecycle_cli.stack.formatting import duration, short_name
from ami_lifecycle_cli.stack.logs import Line
from ami_lifecycle_cli.stack.runs import StateRun, totals_by_state
from ami_lifecycle_cli.stack.states import OF_COMMANDS, SILENT, WAITS

Show = Callable[[list[StateRun], Sequence[Line], datetime], None]
_LINES: Final = 4
# The name of the execution, the total, and where the cursor stands.
_OTHER_ROWS: Final = 3
_FEWEST_STATES: Final = 3
_WIDE: Final = 72


class Progress:
    """Shows the states of an execution and the last lines of the current command."""

    def __init__(self, console: Console, arn: str, usual: Mapping[str, float]) -> None:
        self._console = console
        self._arn = arn
        self._usual = usual
        self._printed = 0
        self._written: set[str] = set()

    @contextmanager
    def open(self) -> Iterator[Show]:
        """Context manager; yields the function that updates the display."""
        self._console.print(Text(f"Execution {short_name(self._arn)}", style="dim"), soft_wrap=True)
        if not self._console.is_terminal:
            yield self._print_new
            return
        with Live(console=self._console, refresh_per_second=8, transient=False) as live:
            spinner = Spinner("dots")
            yield lambda states, lines, now: live.update(self.render(states, lines, now, spinner))

    def _print_new(self, states: list[StateRun], lines: Sequence[Line], now: datetime) -> None:
        shown = [state for state in states if state.name not in SILENT]
        for state in shown[self._printed :]:
            if state.exited is None:
                break
            # The command is sent in one state, and writes during the next.
            if state.name in OF_COMMANDS and state.name in WAITS:
                self._print_lines(lines)
            self._console.print(Text(f"  {state.name:<26} {self._time(state, now)}"), soft_wrap=True)
            self._printed += 1
        self._print_lines(lines)

    def _print_lines(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if line.event_id not in self._written:
                self._written.add(line.event_id)
                self._console.print(Text(f"    | {line.text}"), soft_wrap=True)

    def render(
        self, states: list[StateRun], lines: Sequence[Line], now: datetime, spinner: RenderableType = "*"
    ) -> Group:
        """The states, the total and the last lines, in as many rows as the terminal has."""
        shown = [state for state in states if state.name not in SILENT]
        last = lines[-_LINES:]
        room = max(_FEWEST_STATES, self._console.height - _OTHER_ROWS - len(last))
        hidden = shown[:-room] if len(shown) > room else []
        if hidden:
            hidden = shown[: len(shown) - room + 1]
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(3):
            table.add_column(no_wrap=True)
        if hidden:
            seconds = sum(state.seconds(now) for state in hidden)
            table.add_row("+", Text(f"{len(hidden)} states before", style="dim"), f"{duration(seconds):>12}")
        for state in shown[len(hidden) :]:
            failed = bool(state.errors) and state.exited is not None and state.output is None
            mark = (
                spinner
                if state.exited is None
                else Text("x" if failed else "+", style="red" if failed else "green")
            )
            table.add_row(mark, Text(state.name), Text(self._time(state, now)))
        total = sum(totals_by_state(states, now).values())
        usual = sum(self._usual.values())
        table.add_row(
            "", Text("Total", style="bold"), Text(self._with_usual(total, usual or None), style="bold")
        )
        return Group(
            table,
            *(Text(f"  | {line.text}", style="dim", no_wrap=True, overflow="ellipsis") for line in last),
        )

    def _time(self, state: StateRun, now: datetime) -> str:
        return self._with_usual(state.seconds(now), self._usual.get(state.name))

    def _with_usual(self, seconds: float, usual: float | None) -> str:
        text = f"{duration(seconds):>12}"
        shows_median = usual is not None and usual >= 1 and self._console.width >= _WIDE
        return f"{text}   usually {duration(usual)}" if shows_median and usual is not None else text
