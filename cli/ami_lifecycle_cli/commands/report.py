"""`ami-lifecycle report`: one HTML page about environments, images and builds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ami_lifecycle.errors import InputError
from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import MaybeEnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import note_console
from ami_lifecycle_cli.stack.reporting.page import headline, render
from ami_lifecycle_cli.stack.reporting.report_data import gather

app = typer.Typer(add_completion=False)


class ReportFileError(InputError):
    """The report cannot be written where it was asked for."""


@command(app, "report")
def report(
    target: OperatorTarget,
    environment: MaybeEnvironmentArgument = "",
    *,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="File to write.  [default: APPLICATION-report.html]"),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=200, help="Builds for each environment.")
    ] = 20,
) -> None:
    """Write one self-contained page: a light for each environment, what happened when, images and builds."""
    stack = Stack(target)
    names = [stack.require_environment(environment)] if environment else stack.environment_names()
    with note_console().status("Reading ..."):
        reports = gather(stack, names, count)
    place = f"Account {stack.account_id}, {stack.region}"
    text = render(reports, stack.application, place, stack.clock.now())
    html = html or Path(f"{stack.application}-report.html")
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportFileError(
            f"{html} cannot be written: {error.strerror}", hint="name another file with --html"
        ) from error
    if target.as_json:
        print_json({"html": str(html.resolve()), "environments": names})
        return
    for each in reports:
        print_line(headline(each))
    print_line(f"Written to {html.resolve()}")
