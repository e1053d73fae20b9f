"""`ami-lifecycle approvals`: what waits for approval, and what a person needs to decide."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle.domain.release import release_name
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import MaybeEnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.approvals import ShownApproval, requests_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import print_fields, print_rows, short_digest, utc_date

app = typer.Typer(add_completion=False)


@command(app, "approvals")
def approvals(
    target: OperatorTarget,
    environment: MaybeEnvironmentArgument = "",
    *,
    closed: Annotated[
        bool, typer.Option("--all", help="Also what became of the last ones of each environment.")
    ] = False,
) -> None:
    """Show what waits for approval in an environment or in all: what it is, how it differs from what is live."""
    stack = Stack(target)
    names = [stack.require_environment(environment)] if environment else stack.environment_names()
    found = [each for name in names for each in requests_of(stack, name, closed=closed)]
    if target.as_json:
        print_json({"approvals": [each.as_json() for each in found]})
        return
    opened = [each for each in found if each.asked is not None]
    for each in opened:
        _print_open(each)
        print_line("")
    if not opened:
        print_line("Nothing waits for approval.")
    if others := [each for each in found if each.asked is None]:
        rows = [
            (each.request.id, each.state.value, f"{utc_date(each.request.asked_at)} UTC", str(each))
            for each in others
        ]
        print_rows(["ID", "STATE", "ASKED", "WHY"], rows, fixed=["ID", "STATE"])


def _print_open(shown: ShownApproval) -> None:
    asked = shown.asked
    if asked is None:
        return
    facts = asked.facts
    release = release_name(facts.release, facts.digest)
    print_fields(
        [
            ("Approval", asked.id),
            ("State", str(shown)),
            ("Environment", shown.environment),
            ("Docker image", facts.docker_image),
            ("Digest", short_digest(facts.digest)),
            ("Release", f"{release}, from {facts.promoted_from}" if facts.promoted_from else None),
            ("Commit", f"{facts.commit} on {facts.branch or '-'}" if facts.commit else None),
            ("Tested there", facts.verified_at),
            (
                "First boot there",
                f"healthy after {facts.boot_to_healthy_seconds:.0f} s"
                if facts.boot_to_healthy_seconds
                else None,
            ),
            ("Scan", facts.scan),
            ("Differs", "\n".join(facts.differences())),
            ("Because", "\n".join(facts.reasons)),
            ("Asked", f"{utc_date(asked.asked_at)} UTC by {asked.asked_by or 'nobody knows whom'}"),
        ]
    )
    print_note(f"Decide: ami-lifecycle approve {asked.id}, or ami-lifecycle reject {asked.id} --reason '...'")
