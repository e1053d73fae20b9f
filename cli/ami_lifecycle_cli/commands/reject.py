"""`ami-lifecycle reject`: keep something from being published."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle_cli.commands.approve import ByOption, IdArgument, report_decision
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.approvals import decide
from ami_lifecycle_cli.stack.deployment import Stack

app = typer.Typer(add_completion=False)


@command(app, "reject")
def reject(
    target: OperatorTarget,
    approval_id: IdArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; people are told.", show_default=False)],
    by: ByOption = None,
) -> None:
    """Reject what waits. It is asked again only when somebody starts it by hand."""
    stack = Stack(target)
    decided = decide(stack, approval_id, "reject", by, reason)
    report_decision(decided, as_json=target.as_json)
