"""`ami-lifecycle stop`: stop what runs for an environment, and wait until it is cleaned up."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    EnvironmentArgument,
    OperatorTarget,
    WatchOption,
    YesOption,
    command,
)
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm
from ami_lifecycle_cli.stack.execution_stop import Stoppable, Stopped, find_stoppable, wait_until_clean
from ami_lifecycle_cli.stack.execution_stop import stop as stop_execution
from ami_lifecycle_cli.stack.runs import RUNNING, Run

app = typer.Typer(add_completion=False)

# As timeout(1) ends.
_TIMED_OUT: Final = 124


@command(app, "stop")
def stop(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    execution: Annotated[
        str | None, typer.Option("--execution", metavar="NAME", help="Only if it is this one that runs.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; the notification says it.")] = None,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, help="Seconds to wait for the clean-up.")
    ] = 1200,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = True,
) -> None:
    """Stop the execution that holds an environment, and wait until what it made is removed.

    What it has published stays live. The digest is not built again by itself. What is queued starts.
    Exit codes: 0 stopped and cleaned up, or nothing runs; 124 not cleaned up in time.
    """
    stack = Stack(target)
    stack.require_environment(environment)
    found = find_stoppable(stack, environment, execution)
    if found is None:
        _say(
            target,
            {"environment": environment, "execution_arn": None, "status": "NOTHING_RUNS"},
            f"Nothing runs for {environment}.",
        )
        return
    if not target.as_json:
        ended = "" if found.is_running else f"; it has ended ({found.run.outcome}), its clean-up has not"
        print_line(f"{found.run.name}: {found.what}{ended}.")
    if dry_run:
        _say(
            target,
            {"dry_run": True, **found.as_json(), "status": found.run.status},
            "Dry run: nothing was stopped.",
        )
        return
    if found.is_running:
        confirm(f"Stop {found.run.name}?", yes=yes)
        stop_execution(stack, found, reason=reason)
    if not watch:
        _say(target, {**found.as_json(), "status": "STOPPING"}, f"Told {found.run.name} to stop.")
        return
    print_note("Waiting for its clean-up ...")
    report(target, found, wait_until_clean(stack, found, timeout))


def report(target: OperatorTarget, found: Stoppable, stopped: Stopped) -> None:
    """Print what came of it. Raises `typer.Exit` where it was not cleaned up in time."""
    run = stopped.run
    if target.as_json:
        fields = {
            "status": run.status,
            "left": list(stopped.left),
            "next_execution_arn": stopped.next and stopped.next.arn,
        }
        print_json({**found.as_json(), **fields})
    elif run.status == "SUCCEEDED":
        print_line(f"{run.name} had succeeded before it could be stopped: {run.outcome} {run.explanation}")
    elif not stopped.left:
        print_line(f"Stopped: {run.name} ({run.outcome}). Nothing of it is left.")
    if stopped.next and not target.as_json:
        print_line(f"Behind it waited {_what_became_of(stopped.next)}")
    if stopped.left:
        print_note(
            f"Not cleaned up yet: {', '.join(stopped.left)}. The sweep goes on with it every 15 minutes; see: "
            f"ami-lifecycle status {found.environment}"
        )
        raise typer.Exit(_TIMED_OUT)


def _what_became_of(run: Run) -> str:
    if run.status == RUNNING:
        return f"{run.name}, which runs now."
    return f"{run.name}, which has ended: {', '.join(filter(None, (run.outcome, run.explanation)))}"


def _say(target: OperatorTarget, fields: dict[str, object], text: str) -> None:
    if target.as_json:
        print_json(fields)
    else:
        print_line(text)
