"""`ami-lifecycle builds`: the builds of an environment by their ids."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ami_lifecycle.domain.links import execution_link
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import EnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.builds import Build, builds_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import duration, output_console, short_digest, utc_date

app = typer.Typer(add_completion=False)


@command(app, "builds")
def builds(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that found nothing to do.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000, help="How many at most.")] = 20,
) -> None:
    """List the builds of an environment, the newest first: id, digest, commit, trigger, how each ended and why."""
    stack = Stack(target)
    stack.require_environment(environment)
    found, now = builds_of(stack, environment, count, idle=every), stack.clock.now()
    if target.as_json:
        print_json({"environment": environment, "builds": [build.as_json(now) for build in found]})
        return
    if not found:
        print_line(f"Nothing was built for {environment} in the last 90 days.")
        return
    console = output_console()
    for build in found:
        run = build.run
        # On a separate, unwrapped line, so that it can be copied: names given by EventBridge have 73 characters.
        console.print(Text(run.name, style=f"bold link {execution_link(run.arn)}"), soft_wrap=True)
        details = (
            f"  {utc_date(run.started)} UTC  {run.trigger.value if run.trigger else '-':<9}  "
            f"{short_digest(build.digest):<12}  {(build.commit or '-')[:7]:<7}  {duration(run.seconds(now))}  "
        )
        console.print(Text.assemble(details, _outcome(build)), soft_wrap=True)
    print_note("One of them, with its phases and its error: ami-lifecycle show BUILD")


def _outcome(build: Build) -> Text:
    run = build.run
    if run.outcome == "running":
        return Text(f"in {build.state}" if build.state else "running", style="blue")
    failed = run.status != "SUCCEEDED"
    text = (run.error or run.outcome) if failed else run.outcome
    return Text(text, style="red" if failed else "green" if run.outcome == "published" else "")
