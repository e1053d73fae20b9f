"""`ami-lifecycle retire`: which images would go and which stay, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import RefusedError, RetirementLimitError
from ami_lifecycle.steps.retire_images import within_limit
from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    EnvironmentArgument,
    OperatorTarget,
    WatchOption,
    YesOption,
    command,
)
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm, start_and_report
from ami_lifecycle_cli.stack.formatting import print_rows
from ami_lifecycle_cli.stack.records import read_environment_live

app = typer.Typer(add_completion=False)


@command(app, "retire")
def retire(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    at_most: Annotated[
        int | None,
        typer.Option(
            "--at-most",
            metavar="N",
            min=1,
            help="So many images may go at once.  [default: what the settings allow]",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = True,
) -> None:
    """Decide for every image of an environment whether it stays, and retire what nothing uses.

    The service does the same by itself, after each publication and every 15 minutes. Where more images would go at
    once than retirement.max_images and retirement.max_percent allow, none goes until --at-most allows it.
    """
    stack = Stack(target)
    stack.require_environment(environment)
    settings = stack.catalogue.get(environment)
    live = read_environment_live(stack, environment)
    if live.image is None:
        raise RefusedError(f"nothing is retired while {live.problem}; publish an image first")
    kept = Decision(image_id=live.image.image_id, action=RetireAction.KEEP, reason="`latest` names it")
    review = stack.retirement_review(settings)
    decisions = [kept, *review.decide(live.image)]
    limit = review.limit(at_most)
    refused = limit.refused([each.image_id for each in decisions if each.action is RetireAction.RETIRE])
    decisions = within_limit(decisions, refused)
    going = [each for each in decisions if each.action is RetireAction.RETIRE]
    if target.as_json and (dry_run or not (going or refused)):
        print_json(
            {
                "dry_run": dry_run,
                "decisions": [each.model_dump() for each in decisions],
                "at_most": limit.at_most,
                "refused": refused,
            }
        )
    elif not target.as_json:
        print_decisions(decisions)
    if refused and not dry_run and not going:
        raise RetirementLimitError(limit.refusal(refused))
    if refused and not target.as_json:
        print_line(f"Refused: {limit.refusal(refused)}.")
    if dry_run or not going:
        if not target.as_json:
            print_line("Dry run: nothing was retired." if dry_run else "Nothing is to be retired.")
        return
    confirm(f"Retire {len(going)} images, with their snapshots?", yes=yes)
    request = BuildRequest(
        environment=environment,
        action=Action.RETIRE,
        retire_at_most=at_most,
        reason="asked for by a person",
    )
    start_and_report(stack, request, watch=watch, as_json=target.as_json)


def print_decisions(decisions: Sequence[Decision]) -> None:
    """Each image, what becomes of it, and why."""
    rows = [(each.image_id, each.action.value, each.reason) for each in decisions]
    print_rows(["IMAGE", "DECISION", "WHY"], rows, fixed=["IMAGE", "DECISION"])
