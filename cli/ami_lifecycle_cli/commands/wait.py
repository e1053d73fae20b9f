"""`ami-lifecycle wait`: until a Docker image is published for good, with an exit code for each outcome."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from ami_lifecycle.domain import requests
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import EnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.publication_wait import EXIT_CODES, Outcome, WaitTarget
from ami_lifecycle_cli.stack.publication_wait import wait as wait_for

app = typer.Typer(add_completion=False)

# Git's own shortest abbreviation; anything shorter means several commits.
_SHORTEST_COMMIT: Final = 7


@command(app, "wait")
def wait(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest", help="Digest that was pushed.  [default: what the tag names, or the newest promotion]"
        ),
    ] = None,
    commit: Annotated[
        str | None, typer.Option("--commit", help="Commit that its label ami-lifecycle.commit has.")
    ] = None,
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 5400,
) -> None:
    """Wait until a Docker image is published and the AMI is the final one; prints the AMI's id.

    Exit codes: 0 published, 1 it cannot be looked at, 2 wrong use, 3 the build failed, 4 it was stopped,
    5 another image was pushed meanwhile, 6 the environment is pinned, 7 it was not approved, 124 it took too long.
    """
    if digest is not None and commit is not None:
        raise InvalidRequestError("--digest and --commit exclude each other", hint="name one of them")
    if commit is not None and len(commit) < _SHORTEST_COMMIT:
        raise InvalidRequestError(
            f"--commit {commit!r} is too short to mean one commit",
            hint=f"give {_SHORTEST_COMMIT} characters or more",
        )
    if digest is not None:
        requests.make_request({"environment": environment, "image_digest": digest}, "see --help")
    stack = Stack(target)
    stack.require_environment(environment)
    awaited = WaitTarget(environment, digest, commit)
    began = time.monotonic()
    verdict = wait_for(stack, awaited, timeout, print_note)
    if target.as_json:
        print_json(verdict.as_json(awaited, time.monotonic() - began))
    elif verdict.outcome is Outcome.PUBLISHED:
        print_line(verdict.explanation)
    else:
        print_note(f"{verdict.outcome.value.capitalize()}: {verdict.explanation}")
    if code := EXIT_CODES[verdict.outcome]:
        raise typer.Exit(code)
