"""Shared by all commands that work on a stack: options, and errors when AWS refuses a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Concatenate, ParamSpec

import typer

from ami_lifecycle_cli.console.connection import Connection, register
from parameter_config.aws_errors import translated

P = ParamSpec("P")

StackOption = Annotated[
    str, typer.Option("--stack", envvar="AMI_LIFECYCLE_STACK", help="Name of the CloudFormation stack.")
]
EnvironmentArgument = Annotated[
    str, typer.Argument(metavar="ENV", help="Environment, for example prod.", show_default=False)
]
MaybeEnvironmentArgument = Annotated[
    str,
    typer.Argument(metavar="ENV", help="Environment; all of them where none is named.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; status and history show it.")]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch/--detach", "-w/-d", help="Follow it to its end, or start it and come back at once."
    ),
]


@dataclass
class OperatorTarget(Connection):
    """The stack and the account that a command works on; the configuration is the stack's own."""

    stack: StackOption = "ami-lifecycle"


def command(
    app: typer.Typer, name: str
) -> Callable[
    [Callable[Concatenate[OperatorTarget, P], None]], Callable[Concatenate[OperatorTarget, P], None]
]:
    """Make a function that takes an `OperatorTarget` first a command of `app`."""

    def decorate(
        function: Callable[Concatenate[OperatorTarget, P], None],
    ) -> Callable[Concatenate[OperatorTarget, P], None]:
        @wraps(function)
        def run(target: OperatorTarget, *arguments: P.args, **options: P.kwargs) -> None:
            with _named_errors():
                function(target, *arguments, **options)

        register(app, name, OperatorTarget)(run)
        return function

    return decorate


@contextmanager
def _named_errors() -> Iterator[None]:
    """Translate errors that the adapters do not know into errors with a hint."""
    import botocore.exceptions as boto  # noqa: PLC0415 - slow to import, and --help needs none

    try:
        yield
    except boto.ClientError as error:
        with translated(error.operation_name, "this account"):
            raise
    except boto.BotoCoreError as error:
        with translated("AWS", error.kwargs.get("endpoint_url", "this account")):
            raise
