"""`ami-lifecycle show`: one image, where it comes from, and what uses it; or one build."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle.domain.links import execution_link
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle_cli.console.output import print_json
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.builds import Build, command_log_link, find_build
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import (
    age,
    duration,
    parse_date,
    print_fields,
    short_name,
    shown,
    utc_date,
)
from ami_lifecycle_cli.stack.images import LATEST, KnownImage, find_image
from ami_lifecycle_cli.stack.package_lists import (
    print_packages,
    read_packages,
    summary_of,
    summary_text,
)
from ami_lifecycle_cli.stack.records import scan_text
from ami_lifecycle_cli.stack.runs import totals_by_phase

app = typer.Typer(add_completion=False)

WhatArgument = Annotated[
    str,
    typer.Argument(
        metavar="AMI|ENV|latest|BUILD",
        help="Id of an image, an environment for its live image, latest for what was published last, or id of a build.",
        show_default=False,
    ),
]


@command(app, "show")
def show(
    target: OperatorTarget,
    what: WhatArgument,
    *,
    packages: Annotated[
        bool, typer.Option("--packages", help="What is in the image, as the stack has kept it.")
    ] = False,
) -> None:
    """Show one image: state, Docker image, commit, base, facts of its build, and everything that uses it.

    Or one build: how it went, where the time went, why it failed. `builds ENV` lists them.
    """
    stack = Stack(target)
    if not what.startswith("ami-") and what not in {LATEST, *stack.environment_names()}:
        build = find_build(stack, what)
        if packages:
            raise InvalidRequestError(
                f"{what} is a build, and --packages is for images",
                hint="name the image that it has made, an environment or latest",
            )
        _show_build(stack, build, as_json=target.as_json)
        return
    known = find_image(stack, what, with_uses=not packages)
    listed = read_packages(stack, known) if packages else None
    if target.as_json:
        summary = summary_of(known)
        print_json(
            {
                **known.as_json(),
                "packages": summary.model_dump() if summary else None,
                "package_list": listed.model_dump(mode="json") if listed else None,
            }
        )
        return
    if listed is not None:
        print_packages(listed)
        return
    _print(stack, known)


def _show_build(stack: Stack, build: Build, *, as_json: bool) -> None:
    run, now = build.run, stack.clock.now()
    if as_json:
        print_json({"kind": "build", **build.as_json(now)})
        return
    phases = totals_by_phase(list(build.states), run.stopped or now)
    print_fields(
        [
            ("Build", run.name),
            ("Environment", run.environment),
            ("Outcome", run.outcome),
            ("State", build.state),
            ("Why", run.explanation),
            ("Asked by", run.trigger.value if run.trigger else None),
            ("Digest", build.digest),
            ("Commit", build.commit),
            ("Image", build.record.ami_id if build.record else None),
            ("Started", f"{utc_date(run.started)} UTC, {age(run.started, now)} ago"),
            ("Took", duration(run.seconds(now))),
            *((f"  {phase}", duration(seconds)) for phase, seconds in phases.items()),
            ("Console", execution_link(run.arn)),
            ("Log group", command_log_link(stack)),
        ]
    )


def _print(stack: Stack, known: KnownImage) -> None:
    image, record = known.image, known.record
    made = image.creation_date if image else parse_date(record.creation_date if record else None)
    fields = [
        ("Image", known.image_id),
        ("Environment", known.environment),
        (
            "State",
            f"{image.state.value}, named {image.name}" if image else "deregistered, its record remains",
        ),
        ("Made", f"{utc_date(made)} UTC, {age(made, stack.clock.now())} ago" if made else None),
        ("Snapshots", ", ".join(image.snapshot_ids) if image else None),
        ("Release", release_name(known.release, known.digest)),
        ("Role", known.role),
        ("Made by", short_name(known.execution) if known.execution else None),
    ]
    if record is not None:
        fields += [
            ("Status", f"{record.status.value} since {record.status_since}: {record.status_reason}"),
            ("Docker image", record.docker_image),
            ("Digest", record.image_digest),
            ("Commit", f"{record.commit_sha or '-'} on {record.branch or '-'}"),
            ("Build", f"number {record.workflow_run_number}, {record.workflow_run_id}"),
            (
                "Base",
                f"{record.base_ami_id or '-'}, generation {record.generation}, from {record.base_created or '-'}",
            ),
            ("Hooks", record.recipe),
            ("Promoted from", record.promoted_from),
            ("Verified", record.verified_at or "no"),
            ("Scan", scan_text(record)),
            ("Replaces", record.replaces),
            ("Reason", record.reason),
            ("Packages", summary_text(summary_of(known))),
            *(
                (name, shown(name, value))
                for name, value in known.comparable().items()
                if name.split(".")[0] in record.facts
            ),
        ]
    fields.append(("Console", known.console))
    if known.execution:
        fields.append(("Its build", execution_link(known.execution)))
    fields.append(
        ("Used by", "\n".join(f"{use.kind.value} {use.resource}" for use in known.uses) or "nothing")
    )
    print_fields(fields)
