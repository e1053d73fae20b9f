"""`ami-lifecycle logs`: what a build has written, or writes now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from ami_lifecycle.domain.links import execution_link
from ami_lifecycle.errors import InvalidRequestError, TransientError
from ami_lifecycle_cli.console.output import print_json, print_note
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.builds import Build, builds_of, command_log_link, find_build
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.follower import Follower
from ami_lifecycle_cli.stack.formatting import output_console
from ami_lifecycle_cli.stack.log_reader import LogReader
from ami_lifecycle_cli.stack.logs import Line
from ami_lifecycle_cli.stack.runs import RUNNING
from ami_lifecycle_cli.stack.states import COMMAND_OF

app = typer.Typer(add_completion=False)

_PAUSE_SECONDS: Final = 2.0
# Functions write little and have a log group each, so they are read less often.
_PAUSE_FOR_FUNCTIONS_SECONDS: Final = 10.0
# Events can become visible after the end of the build.
_SETTLE_SECONDS: Final = 4.0
# For AWS to answer once the build has ended.
_PATIENCE_SECONDS: Final = 300.0
_LISTED: Final = 30


@command(app, "logs")
def logs(
    target: OperatorTarget,
    what: Annotated[
        str,
        typer.Argument(
            metavar="ENV|BUILD",
            help="An environment for its running or newest build, or id of a build.",
            show_default=False,
        ),
    ],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the build has ended.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="The newest failed build, and only what tells of the failure.")
    ] = False,
) -> None:
    """Show what a build's commands on builder and canary, and its functions, have written to CloudWatch Logs.

    Where an instance could not write there, or you may not read there, shown is what Run Command keeps.
    With --json and --follow, one JSON object in each line.
    """
    if follow and failed:
        raise InvalidRequestError("--follow and --failed exclude each other", hint="name one of them")
    stack = Stack(target)
    build = _chosen(stack, what, failed=failed)
    if build is None:
        if target.as_json and not follow:
            print_json({"build": None, "lines": [], "notes": []})
        print_note(f"{what} has no {'failed ' if failed else ''}build in the last 90 days.")
        return
    if not target.as_json:
        why = f": {build.run.explanation}" if build.run.error else ""
        print_note(f"Log of {build.run.name}, {build.run.outcome}{why}")
        print_note(f"Console: {execution_link(build.run.arn)}")
    if follow:
        _follow(stack, build, _json_line if target.as_json else _printer())
    else:
        notes: list[str] = []
        lines = _read(stack, build, notes.append)
        chosen = _of_the_failure(build, lines) if failed else lines
        _show(stack, build.run.name, chosen, notes, as_json=target.as_json)


def _show(stack: Stack, name: str, lines: Sequence[Line], notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"build": name, "lines": [line.as_json() for line in lines], "notes": list(notes)})
        return
    for note in notes:
        print_note(note)
    _show_all(lines, _printer())
    if not lines and not notes:
        print_note("Nothing is in CloudWatch Logs: it wrote nothing, or its days of retention are over.")
    if link := command_log_link(stack):
        print_note(f"All commands: {link}")


def _chosen(stack: Stack, what: str, *, failed: bool) -> Build | None:
    if what not in stack.environment_names():
        return find_build(stack, what)
    if failed:
        found = builds_of(stack, what, _LISTED, idle=False)
        return next((each for each in found if each.run.status not in {"SUCCEEDED", RUNNING}), None)
    claim = stack.environments.get(what).claim
    if claim is not None:
        return find_build(stack, claim.execution_arn)
    return next(iter(builds_of(stack, what, 1, idle=False)), None)


def _read(stack: Stack, build: Build, note: Callable[[str], None]) -> list[Line]:
    reader = LogReader(stack, note)
    lines = [*reader.read(build.run, build.states), *reader.read_kept(build.run, build.states)]
    return sorted(lines, key=lambda line: line.time)


def _of_the_failure(build: Build, lines: Sequence[Line]) -> list[Line]:
    """All lines of the command in whose state the build failed; of the others only errors and warnings."""
    command_of_state = COMMAND_OF.get(build.state or "")
    return [line for line in lines if line.is_problem or line.source == command_of_state]


def _follow(stack: Stack, build: Build, show: Callable[[Line], None]) -> None:
    reader = LogReader(stack, print_note)
    due = time.monotonic()

    # The state is read before the lines, so that the lines are complete when the build has ended, except for late
    # events.
    for run, states in Follower(stack).watch(build.run.arn):
        # Lines that cannot be read now are read in the next round.
        with suppress(TransientError):
            _show_all(reader.read(run, states, functions=time.monotonic() >= due), show)
            if time.monotonic() >= due:
                due = time.monotonic() + _PAUSE_FOR_FUNCTIONS_SECONDS
    settled = time.monotonic() + _SETTLE_SECONDS
    limit = time.monotonic() + _PATIENCE_SECONDS
    while True:
        time.sleep(_PAUSE_SECONDS)
        try:
            _show_all(reader.read(run, states), show)
        except TransientError:
            if time.monotonic() > limit:
                raise
            continue
        if time.monotonic() >= settled:
            break
    _show_all(reader.read_kept(run, states), show)
    print_note(f"{run.name}: {run.outcome}{f', {run.explanation}' if run.explanation else ''}")


def _show_all(lines: Sequence[Line], show: Callable[[Line], None]) -> None:
    for line in lines:
        show(line)


def _json_line(line: Line) -> None:
    print_json(line.as_json(), in_one_line=True)


def _printer() -> Callable[[Line], None]:
    console = output_console()

    def show(line: Line) -> None:
        print_line_of_log(console, line)

    return show


def print_line_of_log(console: Console, line: Line) -> None:
    """`12:04:31 provision  pulling ...`, with errors in red."""
    style = "red" if line.level in {"ERROR", "CRITICAL", "stderr"} else "yellow" if line.is_problem else ""
    console.print(
        Text.assemble((f"{line.time:%H:%M:%S} ", "dim"), (f"{line.source:<19} ", "cyan"), (line.text, style)),
        soft_wrap=True,
    )
