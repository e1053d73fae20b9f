"""`ami-lifecycle status`: what is live, what runs, what waits, what is not as it should be."""

from __future__ import annotations

import typer
from rich.text import Text

from ami_lifecycle.domain.approval import ApprovalState
from ami_lifecycle.domain.release import release_name
from ami_lifecycle_cli.console.output import print_json, print_line, print_note, print_warning
from ami_lifecycle_cli.console.stack_target import MaybeEnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import (
    age,
    print_fields,
    print_rows,
    short_digest,
    short_name,
    utc_date,
)
from ami_lifecycle_cli.stack.observation import Observation, describe_request, observe_all
from ami_lifecycle_cli.stack.records import first_boot_text, published_since, scan_text

app = typer.Typer(add_completion=False)

_PUBLISHES = {"promotions": "promotions; pushes and tags build nothing here"}


@command(app, "status")
def status(target: OperatorTarget, environment: MaybeEnvironmentArgument = "") -> None:
    """Show what is live in an environment or in all, since when, what is being built, and what is not right."""
    stack = Stack(target)
    names = [stack.require_environment(environment)] if environment else stack.environment_names()
    observed = observe_all(stack, names)
    if target.as_json:
        print_json({"environments": [observation.as_json() for observation in observed]})
        return
    if environment:
        _print_one(stack, observed[0])
    else:
        _print_all(stack, observed)
    if stack.configuration_problem is not None:
        print_note(
            f"! The deployed configuration cannot be read, so less is shown: {stack.configuration_problem}"
        )


def _print_all(stack: Stack, observed: list[Observation]) -> None:
    now = stack.clock.now()
    rows = [
        (
            each.environment,
            Text(each.live.value or "-", style="green" if each.live.image else "bold red"),
            age(each.created, now),
            short_digest(each.digest),
            (each.described.commit_sha or "-")[:7] if each.described else "-",
            f"{each.activity}{', pinned' if each.record.pin else ''}{_approval(each)}",
        )
        for each in observed
    ]
    print_rows(["ENV", "LATEST", "AGE", "DIGEST", "COMMIT", "ACTIVITY"], rows, fixed=["LATEST", "DIGEST"])
    for each in observed:
        for finding in each.drift:
            print_warning(f"{each.environment}: {finding}")


def _approval(observation: Observation) -> str:
    shown = observation.approval
    return ", waits for approval" if shown and shown.state is ApprovalState.WAITING else ""


def _print_one(stack: Stack, observation: Observation) -> None:
    now = stack.clock.now()
    known, record = observation.described, observation.record
    since = published_since(observation.history)
    print_fields(
        [
            ("Environment", f"{observation.environment} ({stack.account_id}, {stack.region})"),
            (
                "Latest",
                Text(
                    observation.live.value or "none",
                    style="bold green" if observation.live.image else "bold red",
                ),
            ),
            ("Name", _name(observation)),
            ("Live since", f"{utc_date(since)} UTC, {age(since, now)} ago" if since else None),
            (
                "Image made",
                f"{utc_date(observation.created)} UTC, {age(observation.created, now)} ago"
                if observation.created
                else None,
            ),
            ("Docker image", known.docker_image if known else None),
            ("Digest", observation.digest),
            ("Release", _release(observation)),
            ("Publishes", _PUBLISHES.get(observation.publishes or "")),
            ("Commit", _commit(observation)),
            ("Build", _build(observation)),
            ("Verified", _verified(observation)),
            ("Scan", scan_text(known)),
            ("First boot", first_boot_text(known)),
            ("Reason", known.reason if known else None),
            ("Running", _running(stack, observation)),
            ("Queued", describe_request(record.queued_request) if record.queued_request else None),
            ("Approval", str(observation.approval) if observation.approval else None),
            ("Pinned", _pinned(observation)),
            ("Soaks", str(observation.soak) if observation.soak else None),
            ("Next rebuild", str(observation.next_rebuild) if observation.next_rebuild else None),
            ("Image", observation.image_console),
            ("Execution", observation.execution_console),
            ("Log", f"ami-lifecycle logs {observation.environment} --follow" if record.claim else None),
        ]
    )
    if observation.decisions:
        print_line("")
        rows = [(each.image_id, each.action.value, each.reason) for each in observation.decisions]
        print_rows(["OTHER IMAGE", "NEXT", "WHY"], rows, fixed=["OTHER IMAGE"])
    print_line("")
    for finding in observation.drift:
        print_warning(finding)
    if not observation.drift:
        print_line("Everything is as it should be.")


def _release(observation: Observation) -> str | None:
    name = release_name(observation.release, observation.digest)
    return (
        f"{name}, promoted from {observation.promoted_from}" if name and observation.promoted_from else name
    )


def _name(observation: Observation) -> str | None:
    if observation.live.image is None:
        return None
    return "\n".join(filter(None, (observation.live.image.name, observation.name_explanation)))


def _commit(observation: Observation) -> str | None:
    known = observation.described
    if known is None or not (known.commit_sha or known.branch):
        return None
    return f"{known.commit_sha or 'unknown'}{f' on {known.branch}' if known.branch else ''}"


def _build(observation: Observation) -> str | None:
    known = observation.described
    if known is None:
        return None
    mode = f", {known.build_mode.value} generation {known.generation}" if known.build_mode else ""
    return f"publication {known.workflow_run_number}{mode}, built by {known.workflow_run_id}"


def _verified(observation: Observation) -> str | None:
    if observation.described is None:
        return None
    return observation.described.verified_at or "no: it was published without verification"


def _running(stack: Stack, observation: Observation) -> str:
    claim = observation.record.claim
    if claim is None:
        return "nothing"
    elapsed = age(claim.claimed_at, stack.clock.now())
    where = f"in {observation.state}" if observation.state else "in a state that Step Functions does not show"
    return f"{observation.activity}, for {elapsed}, {where}: {short_name(claim.execution_arn)}"


def _pinned(observation: Observation) -> str | None:
    pin = observation.record.pin
    if pin is None:
        return None
    why = f" ({pin.reason})" if pin.reason else ""
    until = f"pushes wait until: ami-lifecycle unpin {observation.environment}"
    return f"to {pin.image_id} since {utc_date(pin.at)} UTC{why}; {until}"
