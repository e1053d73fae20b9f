"""What an image is made with beside the Docker image, as a hash: an image of another recipe is built again.

An image of the default base that no hooks made has none, and so has every image of an earlier release: neither is built
again until hooks or another base are configured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.model import TAG_RECIPE

_DIGITS: Final = 12
_BAKED: Final = ("provision", "provision_after")
_CHECKED: Final = ("verify",)


def recipe_of(hooks: HookSettings, scripts: Mapping[str, str], base: str | None = None) -> str | None:
    """The recipe, `base:0123456789ab provision:0123456789ab verify:0123456789ab`, with the parts that there are; None
    without any.

    A script's name and its time limit do not change what it does, and so are no part of it.

    Args:
        base: the setting in one line; None for the default.
    """
    parts = (
        ("base", _digits_of(base) if base is not None else None),
        ("provision", _hash(hooks, scripts, _BAKED)),
        ("verify", _hash(hooks, scripts, _CHECKED)),
    )
    return " ".join(f"{name}:{digits}" for name, digits in parts if digits is not None) or None


def baked_part(recipe: str | None) -> str | None:
    """The part of a recipe that changes the disk; the rest only looks at it."""
    return next((part for part in (recipe or "").split() if part.startswith("provision:")), None)


def hooks_part(recipe: str | None) -> str | None:
    """The parts of a recipe that are of hooks."""
    return " ".join(part for part in (recipe or "").split() if not part.startswith("base:")) or None


def named_hooks(hooks: HookSettings, scripts: Mapping[str, str]) -> dict[str, str]:
    """What runs in each place, as `agent.sh 0123456789ab`: scripts, each with the hash of its text and parameters."""
    found: dict[str, list[str]] = {}
    for stage, _, hook in hooks.all:
        text = json.dumps([scripts.get(hook.script, ""), dict(hook.parameters)], sort_keys=True)
        found.setdefault(stage, []).append(f"{hook.script.rpartition('/')[2]} {_digits_of(text)}")
    return {stage: ", ".join(names) for stage, names in found.items()}


def recipe_tags(recipe: str | None) -> dict[str, str]:
    """The tag that says it, on what a build makes."""
    return {} if recipe is None else {TAG_RECIPE: recipe}


def _hash(hooks: HookSettings, scripts: Mapping[str, str], stages: tuple[str, ...]) -> str | None:
    steps = [
        [stage, hashlib.sha256(scripts.get(hook.script, "").encode()).hexdigest(), dict(hook.parameters)]
        for stage, _, hook in hooks.all
        if stage in stages
    ]
    if not steps:
        return None
    return _digits_of(json.dumps(steps, sort_keys=True, separators=(",", ":")))


def _digits_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
