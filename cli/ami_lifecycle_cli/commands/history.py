"""`ami-lifecycle history`: the images of an environment, or its builds over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.text import Text

from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.release import release_name
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import EnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.builds import builds_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import (
    duration,
    output_console,
    parse_date,
    print_rows,
    short_digest,
    utc_date,
)
from ami_lifecycle_cli.stack.records import is_passing_name, read_history, record_as_json
from ami_lifecycle_cli.stack.runs import totals_by_phase
from ami_lifecycle_cli.stack.states import FUNCTIONS

app = typer.Typer(add_completion=False)

# Letter and colour of each phase of a build.
PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "boot builder": ("b", "blue"),
    "provision": ("p", "magenta"),
    "stop builder": ("s", "cyan"),
    "create image": ("i", "yellow"),
    "boot canary": ("c", "blue"),
    "verify": ("v", "green"),
    "grace periods": ("g", "white"),
    "adopt name": ("a", "cyan"),
    FUNCTIONS: ("f", "bright_black"),
}
_BAR: Final = 32
_STYLES: Final = {"published": "green", "retired": "green", "running": "blue"}
_STATUS_STYLES: Final = {
    RecordStatus.LIVE: "bold green",
    RecordStatus.KEPT: "yellow",
    RecordStatus.RETIRED: "dim",
}


@command(app, "history")
def history(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Builds over time, with their phases.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also passing names and builds that did nothing.")
    ] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000, help="How many at most.")] = 20,
) -> None:
    """Show the images that an environment has published, the newest first."""
    stack = Stack(target)
    stack.require_environment(environment)
    if timeline:
        _show_timeline(stack, environment, every=every, count=count, as_json=target.as_json)
    else:
        _show_images(stack, environment, every=every, count=count, as_json=target.as_json)


def _show_images(stack: Stack, environment: str, *, every: bool, count: int, as_json: bool) -> None:
    found = read_history(stack, environment)
    records = [each for each in found.records if every or not is_passing_name(each, found.records)][:count]
    if as_json:
        images = [record_as_json(record) for record in records]
        print_json({"environment": environment, "images": images, "unreadable": list(found.unreadable)})
    elif records:
        headers = ["#", "AMI", "MADE (UTC)", "RELEASE", "COMMIT", "STATUS"]
        print_rows(
            headers, [_image_row(record) for record in records], fixed=["AMI", "MADE (UTC)", "RELEASE"]
        )
    else:
        print_line(f"Nothing was published in {environment} yet.")
    for name in found.unreadable:
        print_note(f"The record {name} cannot be read; correct or delete it.")


def _image_row(record: HistoryRecord) -> Sequence[str | Text]:
    return (
        record.workflow_run_number,
        record.ami_id,
        utc_date(parse_date(record.creation_date)),
        release_name(record.release, record.image_digest) or short_digest(record.image_digest),
        (record.commit_sha or "-")[:7],
        Text(
            f"{record.status.value}{', rolled back from' if record.rolled_back else ''}",
            style=_STATUS_STYLES.get(record.status, ""),
        ),
    )


def _show_timeline(stack: Stack, environment: str, *, every: bool, count: int, as_json: bool) -> None:
    now = stack.clock.now()
    builds = builds_of(stack, environment, count, idle=every)
    if as_json:
        print_json({"environment": environment, "builds": [build.as_json(now) for build in builds]})
        return
    found = [(build.run, totals_by_phase(list(build.states), build.run.stopped or now)) for build in builds]
    if not found:
        print_line(f"Nothing was built for {environment} in the last 90 days.")
        return
    longest = max(run.seconds(now) for run, _ in found)
    rows = [
        (
            utc_date(run.started),
            run.trigger.value if run.trigger else "-",
            Text((run.error or run.outcome).removesuffix("Error"), style=_STYLES.get(run.outcome, "red")),
            duration(run.seconds(now)),
            _bar(phases, longest),
        )
        for run, phases in found
    ]
    print_rows(["STARTED (UTC)", "BY", "OUTCOME", "TOOK", "PHASES"], rows, fixed=["STARTED (UTC)", "TOOK"])
    legend = Text("\n")
    for phase, (letter, colour) in PHASES.items():
        legend.append(letter, style=colour).append(f" {phase}  ")
    output_console().print(legend)


def _bar(phases: Mapping[str, float], longest: float) -> Text:
    """Letters in proportion to the time; what takes less than half a letter is left out."""
    bar = Text()
    for phase, seconds in phases.items():
        letter, colour = PHASES[phase]
        bar.append(letter * round(_BAR * seconds / max(longest, 0.1)), style=colour)
    return bar
