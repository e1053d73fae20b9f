"""`ami-lifecycle unpin`: end a rollback, and let the newest push through."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from ami_lifecycle.domain.request import Action, BuildRequest
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
from ami_lifecycle_cli.stack.formatting import short_digest, utc_date

app = typer.Typer(add_completion=False)


@command(app, "unpin")
def unpin(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    watch: WatchOption = False,
) -> None:
    """Lift the pin of a rollback, and build what the environment's tag names now; where it is promoted to, nothing."""
    stack = Stack(target)
    stack.require_environment(environment)
    pin = stack.environments.get(environment).pin
    if pin is None:
        fields = {
            "environment": environment,
            "was_pinned": False,
            "dry_run": dry_run,
            "pin": None,
            "next": None,
        }
        _say(target, fields, f"{environment} is not pinned.")
        return
    settings = stack.catalogue.get(environment)
    builds = not settings.takes_promotions
    digest = stack.repository.digest_of(settings.repository, settings.image_tag) if builds else None
    is_live = digest is not None and digest == pin.digest
    after = "which is live already" if is_live else "which is built now"
    what = f"{settings.image_tag} names {short_digest(digest)}, {after if digest else 'so nothing is built'}"
    if settings.takes_promotions:
        what = "It publishes what is promoted to it, so nothing is built"
    if not target.as_json:
        print_line(f"{environment} is pinned to {pin.image_id} since {utc_date(pin.at)} UTC. {what}.")
    fields = {
        "environment": environment,
        "was_pinned": True,
        "dry_run": False,
        "pin": pin.model_dump(),
        "next": None,
    }
    if dry_run:
        _say(target, {**fields, "dry_run": True, "next": digest}, "Dry run: nothing was changed.")
        return
    confirm(f"Unpin {environment}?", yes=yes)
    stack.environments.set_pin(environment, None)
    request = BuildRequest(environment=environment, action=Action.BUILD, reason="unpinned")
    if digest is None or is_live:
        _say(target, fields, f"{environment} is unpinned.")
        return
    start_and_report(stack, request, watch=watch, as_json=target.as_json)


def _say(target: OperatorTarget, fields: Mapping[str, object], text: str) -> None:
    if target.as_json:
        print_json(fields)
    else:
        print_line(text)
