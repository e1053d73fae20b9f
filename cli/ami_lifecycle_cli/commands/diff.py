"""`ami-lifecycle diff`: what changed between two images."""

from __future__ import annotations

from typing import Annotated

import typer

from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import print_rows, shown
from ami_lifecycle_cli.stack.images import find_image
from ami_lifecycle_cli.stack.package_lists import (
    difference_as_json,
    package_difference,
    print_difference,
)

app = typer.Typer(add_completion=False)

ImageArgument = Annotated[
    str,
    typer.Argument(
        metavar="AMI|ENV",
        help="Id of an image, or an environment for its live image.",
        show_default=False,
    ),
]


@command(app, "diff")
def diff(
    target: OperatorTarget,
    old: ImageArgument,
    new: ImageArgument,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also what is the same.")] = False,
) -> None:
    """Compare two images: digest, commit, base, operating system, whatever the build recorded, and their packages."""
    stack = Stack(target)
    found = [find_image(stack, each) for each in (old, new)]
    packages = package_difference(stack, *found)
    old, new = (each.image_id for each in found)
    before, after = (each.comparable() for each in found)
    names = [*before, *(name for name in after if name not in before)]
    rows = [(name, before.get(name), after.get(name)) for name in names]
    changed = [row for row in rows if every or row[1] != row[2]]
    if target.as_json:
        print_json(
            {
                "old": old,
                "new": new,
                "changes": [{"name": name, "old": first, "new": second} for name, first, second in changed],
                "packages": difference_as_json(packages),
            }
        )
        return
    if changed:
        print_rows(
            ["", old, new],
            [(name, shown(name, first), shown(name, second)) for name, first, second in changed],
        )
    else:
        print_line("Nothing that is recorded differs.")
    print_difference(packages)
