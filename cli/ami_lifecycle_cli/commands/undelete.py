"""`ami-lifecycle undelete`: publish a retired image again, from its snapshots in the Recycle Bin."""

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
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm, start_and_report
from ami_lifecycle_cli.stack.formatting import print_fields, short_digest, short_name, utc_date
from ami_lifecycle_cli.stack.undeletion import Undeletion, plan_undeletion

app = typer.Typer(add_completion=False)


@command(app, "undelete")
def undelete(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="AMI", help="Which image.  [default: the one that was retired last]"),
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="Which release, as history names it.")
    ] = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = True,
) -> None:
    """Publish a retired image again: its snapshots are taken out of the Recycle Bin, and a canary checks them first.

    It gets a new id, and keeps its release. The environment is pinned: pushes do not undo this until
    `ami-lifecycle unpin ENV`.
    """
    if to is not None and release is not None:
        raise InvalidRequestError("--to and --release exclude each other", hint="name one of them")
    stack = Stack(target)
    stack.require_environment(environment)
    planned = plan_undeletion(stack, environment, to=to, release=release, reason=reason)
    # What the plan would refuse is refused here.
    stack.planner().plan_request(planned.request, stack.execution_arn("dry-run"))
    if target.as_json and dry_run:
        print_json({"dry_run": True, **planned.as_json()})
    elif not target.as_json:
        _print(stack, planned)
    if dry_run:
        if not target.as_json:
            print_line("Dry run: nothing was started.")
        return
    confirm(f"Publish this in {environment} again?", yes=yes)
    start_and_report(stack, planned.request, watch=watch, as_json=target.as_json)
    if watch:
        print_note(
            f"{environment} is pinned: pushes do not undo this until: ami-lifecycle unpin {environment}"
        )


def _print(stack: Stack, planned: Undeletion) -> None:
    record = planned.record
    running = stack.environments.get(planned.environment).claim
    in_bin = [
        f"{snapshot_id}, in the Recycle Bin until {utc_date(until)} UTC"
        if until
        else f"{snapshot_id}, still there"
        for snapshot_id, until in planned.snapshots.items()
    ]
    print_fields(
        [
            ("Environment", planned.environment),
            ("Live", planned.live_id or "nothing"),
            ("Back to", f"a new image of the disks of {record.ami_id}, {short_digest(record.image_digest)}"),
            ("Release", release_name(record.release, record.image_digest)),
            ("Commit", f"{record.commit_sha or '-'} on {record.branch or '-'}"),
            ("Was", f"{record.status.value} {record.status_since}: {record.status_reason}"),
            ("Snapshots", "\n".join(in_bin)),
            (
                "Waits for",
                f"{short_name(running.execution_arn)}, which holds the environment" if running else None,
            ),
        ]
    )
