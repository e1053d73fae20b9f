"""What an image is made with beside the Docker image, as a hash: an image of another recipe is built again.

An image of the default base that no hooks made has none, and so has every image of an earlier release: neither is built
again until hooks or another base are configured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from ami_lifecycle.domain.hook_documents import HookProgram
from ami_lifecycle.domain.hooks import Hook, HookSettings, Programs, program_read
from ami_lifecycle.domain.model import TAG_RECIPE

_DIGITS: Final = 12
_BAKED: Final = ("provision", "provision_after")
_CHECKED: Final = ("verify",)


def recipe_of(
    hooks: HookSettings, scripts: Mapping[str, str], base: str | None = None, programs: Programs | None = None
) -> str | None:
    """The recipe, `base:0123456789ab provision:0123456789ab verify:0123456789ab`, with the parts that there are; None
    without any.

    A name, a document's version and time limits do not change what is done, and so are no part of it.

    Args:
        programs: what documents do, which have been read.
        base: the setting in one line; None for the default.
    """
    parts = (
        ("base", _digits_of(base) if base is not None else None),
        ("provision", _hash(hooks, scripts, programs, _BAKED)),
        ("verify", _hash(hooks, scripts, programs, _CHECKED)),
    )
    return " ".join(f"{name}:{digits}" for name, digits in parts if digits is not None) or None


def baked_part(recipe: str | None) -> str | None:
    """The part of a recipe that changes the disk; the rest only looks at it."""
    return next((part for part in (recipe or "").split() if part.startswith("provision:")), None)


def hooks_part(recipe: str | None) -> str | None:
    """The parts of a recipe that are of hooks."""
    return " ".join(part for part in (recipe or "").split() if not part.startswith("base:")) or None


def named_hooks(
    hooks: HookSettings, scripts: Mapping[str, str], programs: Programs | None = None
) -> dict[str, str]:
    """What runs in each place, as `agent.sh 0123456789ab` or `Agent:3 0123456789ab`: scripts and documents, each with
    the hash of what it does and is given.
    """
    found: dict[str, list[str]] = {}
    for stage, position, hook in hooks.all:
        program = (programs or {}).get(f"{stage}.{position}")
        text = json.dumps(_done_by(hook, scripts, program), sort_keys=True)
        name = program.name if program is not None else hook.name
        found.setdefault(stage, []).append(f"{name.rpartition('/')[2]} {_digits_of(text)}")
    return {stage: ", ".join(names) for stage, names in found.items()}


def recipe_tags(recipe: str | None) -> dict[str, str]:
    """The tag that says it, on what a build makes."""
    return {} if recipe is None else {TAG_RECIPE: recipe}


def _hash(
    hooks: HookSettings, scripts: Mapping[str, str], programs: Programs | None, stages: tuple[str, ...]
) -> str | None:
    steps = []
    for stage, position, hook in hooks.all:
        if stage in stages:
            text, given = _done_by(hook, scripts, (programs or {}).get(f"{stage}.{position}"))
            steps.append([stage, hashlib.sha256(text.encode()).hexdigest(), given])
    if not steps:
        return None
    return _digits_of(json.dumps(steps, sort_keys=True, separators=(",", ":")))


def _done_by(
    hook: Hook, scripts: Mapping[str, str], program: HookProgram | None
) -> tuple[str, dict[str, str]]:
    """What a hook does, and what it is given."""
    if hook.script is not None:
        return scripts.get(hook.script, ""), dict(hook.parameters)
    read = program_read(hook, program)
    return json.dumps([[step.script, step.directory] for step in read.steps]), dict(read.variables)


def _digits_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
