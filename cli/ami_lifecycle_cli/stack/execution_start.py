"""Starting an execution, following it, and reporting its end."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import typer
from rich.text import Text

from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import InputError
from ami_lifecycle_cli.console.output import ask, print_json, print_line, print_note
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.follower import Followed, Follower
from ami_lifecycle_cli.stack.formatting import duration, output_console, short_name

_INTERRUPTED = 130


class ConfirmationMissingError(InputError):
    """Confirmation is needed, standard input is no terminal, and --yes was not given."""


def start(stack: Stack, request: BuildRequest) -> str:
    """Start an execution; returns its ARN."""
    name = execution_name(request.environment, request.action.value, uuid.uuid4().hex)
    return stack.executions.start(stack.state_machine_arn, name, request)


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless --yes was given.

    Raises:
        ConfirmationMissingError: nobody can be asked.
        typer.Abort: the answer is no; nothing was changed.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfirmationMissingError(
            f"{question} Nobody can be asked here", hint="confirm with --yes, or use --dry-run"
        )
    ask(question)


def start_and_report(stack: Stack, request: BuildRequest, *, watch: bool, as_json: bool) -> None:
    """Start an execution, follow it if requested, and report its result.

    Raises:
        typer.Exit: with 1 when the execution failed, with 130 when following was interrupted.
    """
    arn = start(stack, request)
    if not watch:
        if as_json:
            print_json({"execution_arn": arn, "environment": request.environment, "status": "RUNNING"})
        else:
            print_line(f"Started {short_name(arn)}.")
            print_note(f"See how it goes: ami-lifecycle status {request.environment}")
        return
    followed = follow(stack, arn, request.environment, as_json=as_json)
    report(stack, followed, as_json=as_json)


def follow(stack: Stack, arn: str, environment: str, *, as_json: bool) -> Followed:
    """Follow an execution; Ctrl-C or an error ends the following, never the execution."""
    follower = Follower(stack)
    try:
        return follower.follow(arn, environment)
    except KeyboardInterrupt:
        _report_unfollowed(arn, follower.followed_arn or arn, environment, as_json=as_json)
        raise typer.Exit(_INTERRUPTED) from None
    except Exception:
        # Print what was started before the command reports the error.
        _report_unfollowed(arn, follower.followed_arn or arn, environment, as_json=as_json)
        raise


def _report_unfollowed(started: str, followed: str, environment: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "execution_arn": followed,
                "started_execution_arn": started,
                "environment": environment,
                "status": "NOT_FOLLOWED",
            }
        )
    name = short_name(followed)
    print_note(
        f"\nNot followed any more; {name} goes on. See how it goes: ami-lifecycle status {environment}\n"
        f"Stop it: ami-lifecycle stop {environment} --execution {name}"
    )


def report(stack: Stack, followed: Followed, *, as_json: bool, more: dict[str, Any] | None = None) -> None:
    """Report the end of an execution; raises `typer.Exit` with 1 when it failed."""
    run, now = followed.run, stack.clock.now()
    failed = run.status != "SUCCEEDED"
    if as_json:
        print_json({**followed.as_json(now), **(more or {})})
    else:
        outcome = run.outcome if failed else run.outcome.capitalize()
        line = f"{'Failed' if failed and outcome == 'failed' else outcome.capitalize()}: {run.explanation}"
        elapsed = duration(run.seconds(now))
        output_console().print(
            Text(f"{line} ({elapsed})", style="bold red" if failed else "bold green"), soft_wrap=True
        )
        _print_log(followed)
    if failed:
        raise typer.Exit(1)


def _print_log(followed: Followed) -> None:
    if not followed.log:
        return
    # The cause is the first of them.
    rest = [line for line in followed.log if line not in followed.run.explanation]
    if rest:
        print_line("The command's last lines:")
    for line in rest:
        print_line(f"  {line}")
    print_note(f"All of it: ami-lifecycle logs {followed.run.name}")
