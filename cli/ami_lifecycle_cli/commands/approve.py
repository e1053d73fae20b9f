"""`ami-lifecycle approve`: let something be published that waits for it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.approvals import decide
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import short_name

app = typer.Typer(add_completion=False)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the request, as approvals lists it.", show_default=False)
]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who decides.  [default: the caller's ARN, from AWS]"),
]


@command(app, "approve")
def approve(
    target: OperatorTarget,
    approval_id: IdArgument,
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; history and events show it.")] = None,
    by: ByOption = None,
) -> None:
    """Approve what waits, and start it. The same again changes nothing; a decision is final."""
    stack = Stack(target)
    decided = decide(stack, approval_id, "approve", by, reason)
    report_decision(decided, as_json=target.as_json)


def report_decision(decided: dict[str, Any], *, as_json: bool) -> None:
    """Print what was decided, and how to see what comes of it."""
    if as_json:
        print_json(decided)
        return
    print_line(f"{decided['id']} is {decided['decision']}, by {decided['by']}.")
    if started := decided["started_execution"]:
        print_line(f"Started {short_name(started)}.")
        print_note(f"See how it goes: ami-lifecycle status {decided['environment']}")
