"""`ami-lifecycle rollback`: publish an earlier image again, and keep pushes from undoing it."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle.domain.release import release_name
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    EnvironmentArgument,
    OperatorTarget,
    ReasonOption,
    WatchOption,
    YesOption,
    command,
)
from ami_lifecycle_cli.stack.approvals import asked_by_caller
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm, follow, report, start
from ami_lifecycle_cli.stack.formatting import duration, print_fields, short_digest, short_name
from ami_lifecycle_cli.stack.rollback_plan import Rollback, plan_rollback
from ami_lifecycle_cli.stack.runs import Runs

app = typer.Typer(add_completion=False)


@command(app, "rollback")
def rollback(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="AMI", help="Image of the history to go to.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="So many builds back.  [default: 1]")
    ] = None,
    reason: ReasonOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Build it, from the base and not from the live image.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = True,
) -> None:
    """Go back to an earlier image: at once where it still exists, else by building its Docker image again.

    The environment is pinned: pushes do not undo the rollback until `ami-lifecycle unpin ENV`.
    """
    if to is not None and steps is not None:
        raise InvalidRequestError("--to and --steps exclude each other", hint="name one of them")
    stack = Stack(target)
    stack.require_environment(environment)
    planned = plan_rollback(stack, environment, to=to, steps=steps or 1, reason=reason, fresh=fresh)
    if not target.as_json:
        _print(stack, planned)
    if dry_run:
        if target.as_json:
            print_json({"dry_run": True, **planned.as_json()})
        else:
            print_line("Dry run: nothing was started.")
        return
    confirm(f"Roll {environment} back?", yes=yes)
    _carry_out(stack, planned, watch=watch, as_json=target.as_json)


def _print(stack: Stack, planned: Rollback) -> None:
    record, existing = planned.record, planned.request.publish_image_id
    running = stack.environments.get(planned.environment).claim
    print_fields(
        [
            ("Environment", planned.environment),
            ("Live", planned.live_id or "nothing"),
            ("Back to", f"{existing or 'a new image'} with {short_digest(record.image_digest)}"),
            ("Release", release_name(record.release, record.image_digest)),
            ("Commit", f"{record.commit_sha or '-'} on {record.branch or '-'}"),
            ("Was", f"{record.ami_id}, made {record.creation_date}" if planned.needs_build else None),
            ("How", _how(stack, planned)),
            ("Waits for", f"{short_name(running.execution_arn)}, which builds now" if running else None),
        ]
    )


def _how(stack: Stack, planned: Rollback) -> str:
    if not planned.needs_build:
        return f"at once: {planned.why}"
    usual = sum(Runs(stack).usual_seconds(planned.environment).values())
    return f"by a build{f' of about {duration(usual)}' if usual else ''}: {planned.why}"


def _carry_out(stack: Stack, planned: Rollback, *, watch: bool, as_json: bool) -> None:
    request = planned.request
    if planned.needs_build and stack.catalogue.get(planned.environment).approval.is_on:
        request = asked_by_caller(stack, request)
    arn = start(stack, request)
    if not watch:
        if as_json:
            print_json({**planned.as_json(), "execution_arn": arn, "status": "RUNNING"})
        else:
            print_line(f"Started {short_name(arn)}.")
        return
    followed = follow(stack, arn, planned.environment, as_json=as_json)
    pin = stack.environments.get(planned.environment).pin
    more = {"rollback": planned.as_json(), "pin": pin.model_dump() if pin else None}
    report(stack, followed, as_json=as_json, more=more)
    print_note(
        f"{planned.environment} is not pinned (yet). See what happens: ami-lifecycle status {planned.environment}"
        if pin is None
        else f"{planned.environment} is pinned to {pin.image_id}: pushes do not undo this until: "
        f"ami-lifecycle unpin {planned.environment}"
    )
