"""`ami-lifecycle show`: one image, where it comes from, and what uses it."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle_cli.console.output import print_json
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.images import KnownImage, find_image
from ami_lifecycle_cli.stack.showing import age, parse_date, print_fields, short_name, utc_date

app = typer.Typer(add_completion=False)

ImageArgument = Annotated[str, typer.Argument(metavar="AMI", help="Id of an image.", show_default=False)]


@command(app, "show")
def show(target: OperatorTarget, image: ImageArgument) -> None:
    """Show one image: state, Docker image, commit, base, facts of its build, and everything that uses it."""
    stack = Stack(target)
    known = find_image(stack, image, with_uses=True)
    if target.as_json:
        print_json(known.as_json())
        return
    _print(stack, known)


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
            ("Verified", record.verified_at or "no"),
            ("Replaces", record.replaces),
            ("Reason", record.reason),
            *(
                (name, value)
                for name, value in known.comparable().items()
                if name.split(".")[0] in record.facts
            ),
        ]
    fields.append(
        ("Used by", "\n".join(f"{use.kind.value} {use.resource}" for use in known.uses) or "nothing")
    )
    print_fields(fields)
