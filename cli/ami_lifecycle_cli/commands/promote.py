"""`ami-lifecycle promote`: publish in one environment what another one has published, without a build."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.requests import make_request
from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    OperatorTarget,
    ReasonOption,
    WatchOption,
    YesOption,
    command,
)
from ami_lifecycle_cli.stack.approvals import asked_by_caller
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import confirm, start_and_report
from ami_lifecycle_cli.stack.formatting import print_fields, short_digest, short_name
from ami_lifecycle_cli.stack.observation import release_of_live
from ami_lifecycle_cli.stack.records import read_environment_live

app = typer.Typer(add_completion=False)


@command(app, "promote")
def promote(
    target: OperatorTarget,
    source: Annotated[
        str,
        typer.Argument(metavar="FROM", help="Environment that publishes the release.", show_default=False),
    ],
    environment: Annotated[
        str, typer.Argument(metavar="TO", help="Environment to publish it in.", show_default=False)
    ],
    *,
    release: Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="RELEASE",
            help="Which one, as history names it, or an image of it.  [default: what is live in FROM]",
        ),
    ] = None,
    pin: Annotated[
        bool, typer.Option("--pin", help="Keep it live until unpin; needed where TO is built from pushes.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also into a pinned TO, or what FROM was rolled back from.")
    ] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = True,
) -> None:
    """Publish in TO the very disks that FROM has tested: no build, no copy; a canary of TO checks them first.

    Refused before anything is made where the settings on those disks are not those of TO.
    """
    stack = Stack(target)
    for name in (source, environment):
        stack.require_environment(name)
    fields: dict[str, Any] = {
        "environment": environment,
        "action": Action.PROMOTE,
        "promote_from": source,
        "release": release,
        "pin": pin,
        "force": force,
        "reason": reason,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    request = make_request(given, "see --help")
    started = stack.clock.now()
    plan = stack.planner().plan_request(request, stack.execution_arn("dry-run"), started).plan
    if dry_run or plan.action is Action.NONE:
        _print_plan(stack, plan, as_json=target.as_json)
        if not target.as_json and plan.action is not Action.NONE:
            print_line("Dry run: nothing was started.")
        return
    if not target.as_json:
        _print_plan(stack, plan, as_json=False)
    confirm(f"Promote this to {environment}?", yes=yes)
    # What was shown is what is promoted, whatever FROM publishes by then.
    asked = plan.request or request
    if plan.action is Action.ASK:
        asked = asked_by_caller(stack, asked)
    start_and_report(stack, asked, watch=watch, as_json=target.as_json)


def _print_plan(stack: Stack, plan: BuildPlan, *, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, **plan.model_dump(exclude={"run_id", "fencing"}), "warning": None})
        return
    if plan.action is Action.NONE:
        print_line(f"Nothing to do: {'; '.join(plan.reasons)}.")
        return
    if plan.promotion is None:
        print_line(f"Would pin {plan.environment} to its live image, which is of this release already.")
        return
    promotion, record = plan.promotion, stack.published(plan.promotion.environment).read_record
    known, live = record(promotion.image_id), read_environment_live(stack, plan.environment)
    running = stack.environments.get(plan.environment).claim
    verified = plan.configured.verification.enabled
    print_fields(
        [
            ("Promotes", release_name(promotion.release, plan.image.digest)),
            ("From", f"{promotion.environment}, {promotion.image_id}"),
            ("To", plan.environment),
            ("In place of", f"{live.value or 'nothing'}, {release_of_live(live) or 'of no release'}"),
            ("Docker image", plan.image.reference),
            ("Digest", short_digest(plan.image.digest)),
            ("Commit", f"{known.commit_sha or '-'} on {known.branch or '-'}" if known else None),
            ("Tested there", known.verified_at or "no" if known else None),
            ("Because", "\n".join(plan.reasons)),
            ("Scan", plan.scan.text if plan.scan else None),
            ("Canary", "yes, in this environment" if verified else "no, the settings switch it off"),
            ("Approval", f"it asks for {plan.asked.subject.id} first" if plan.ask else None),
            ("Pinned", "yes" if plan.request and plan.request.pin else None),
            (
                "Waits for",
                f"{short_name(running.execution_arn)}, which holds the environment" if running else None,
            ),
        ]
    )
