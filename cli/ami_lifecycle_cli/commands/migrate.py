"""`ami-lifecycle migrate`: adopt images of an older way of building."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    EnvironmentArgument,
    OperatorTarget,
    YesOption,
    command,
)
from ami_lifecycle_cli.stack.adoption import Proposal, adopt, propose
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm
from ami_lifecycle_cli.stack.formatting import iso_date, print_rows, utc_date
from ami_lifecycle_cli.stack.records import data_type_of_latest

app = typer.Typer(add_completion=False)


@command(app, "migrate")
def migrate(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="AMI", help="Leave this image alone; can be repeated."),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Adopt the images that an environment had before: the newest as base, the others to be retired.

    They are only tagged here. Where `latest` names an image, the next sweep retires the others that nobody
    uses, within 15 minutes; elsewhere the next publication does.
    """
    stack = Stack(target)
    stack.require_environment(environment)
    proposals = propose(stack, environment, keep or ())
    to_tag = [each for each in proposals if each.is_tagged]
    if not target.as_json:
        _print(environment, proposals)
    if data_type := data_type_of_latest(stack, environment):
        (print_note if target.as_json else print_line)(data_type)
    if dry_run or not to_tag:
        if target.as_json:
            print_json(_as_json(proposals, [], dry_run=dry_run))
        elif dry_run:
            print_line("Dry run: nothing was tagged.")
        return
    soon = sum(each.goes_soon for each in to_tag)
    confirm(_question(environment, len(to_tag), soon), yes=yes)
    tagged, left = adopt(stack, environment, proposals)
    if target.as_json:
        print_json(_as_json(proposals, tagged, left=left, dry_run=False))
    else:
        images = sum(each.image.image_id in tagged for each in to_tag)
        print_line(f"Tagged {images} images and {len(tagged) - images} snapshots.")
    for blocked in left:
        print_note(f"Not tagged: {blocked.resource}: {blocked.reason}")
    if left:
        print_note("Put right what is named, and run the command again: what is tagged stays.")
        raise typer.Exit(1)
    print_note(_what_comes(environment, soon))


def _question(environment: str, count: int, soon: int) -> str:
    """What is asked before tagging: the tags let the service retire images."""
    if soon:
        return (
            f"Tag {count} images and their snapshots as {environment}'s, {soon} of which the next sweep retires "
            "within 15 minutes, without any push?"
        )
    return f"Tag {count} images and their snapshots as {environment}'s, to be replaced and retired?"


def _what_comes(environment: str, soon: int) -> str:
    if soon:
        return (
            f"The next sweep retires {soon} of these images within 15 minutes, without any push. See what is left: "
            f"ami-lifecycle status {environment}"
        )
    return f"Push the Docker image now, or: ami-lifecycle build {environment} --watch"


def _print(environment: str, proposals: Sequence[Proposal]) -> None:
    if not proposals:
        print_line(f"{environment} has no images of an older way of building.")
        return
    rows = [
        (
            each.image.image_id,
            utc_date(each.image.creation_date),
            each.image.name,
            each.adoption.value,
            each.reason,
        )
        for each in proposals
    ]
    print_rows(["IMAGE", "MADE (UTC)", "NAME", "NEXT", "WHY"], rows, fixed=["IMAGE"])


def _as_json(
    proposals: Sequence[Proposal], tagged: Sequence[str], *, left: Sequence[Blocked] = (), dry_run: bool
) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "images": [
            {
                "image_id": each.image.image_id,
                "name": each.image.name,
                "created": iso_date(each.image.creation_date),
                "next": each.adoption.value,
                "reason": each.reason,
            }
            for each in proposals
        ],
        "tagged": list(tagged),
        "blocked": [blocked.model_dump() for blocked in left],
    }
