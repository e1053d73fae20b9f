"""`ami-lifecycle outputs`: the stack's outputs."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import print_fields

app = typer.Typer(add_completion=False)


@command(app, "outputs")
def outputs(
    target: OperatorTarget,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="One output, alone.", show_default=False)
    ] = "",
) -> None:
    """Show the stack's outputs: state machine, topics, queue, log groups, policy; or the value of one."""
    stack = Stack(target)
    if name:
        value = stack.output(name)
        if target.as_json:
            print_json({"outputs": {name: value}})
        else:
            print_line(value)
    elif target.as_json:
        print_json({"outputs": dict(stack.outputs)})
    else:
        print_fields(sorted(stack.outputs.items()))
