"""What an image is made with beside the Docker image, as a hash: an image of another recipe is built again.

An image that no hooks made has none, and so has every image of an earlier release: neither is built again until hooks
are configured.
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


def recipe_of(hooks: HookSettings, scripts: Mapping[str, str]) -> str | None:
    """The recipe, `provision:0123456789ab verify:0123456789ab`, with the parts that there are; None without hooks.

    A script's name and its time limit do not change what it does, and so are no part of it.
    """
    parts = (("provision", _hash(hooks, scripts, _BAKED)), ("verify", _hash(hooks, scripts, _CHECKED)))
    return " ".join(f"{name}:{digits}" for name, digits in parts if digits is not None) or None


def baked_part(recipe: str | None) -> str | None:
    """The part of a recipe that changes the disk; the rest only looks at it."""
    return next((part for part in (recipe or "").split() if part.startswith("provision:")), None)


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
    text = json.dumps(steps, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
