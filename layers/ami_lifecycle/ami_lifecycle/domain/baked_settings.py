"""Settings that are on the disks of an image, and so the same in every environment that publishes it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from ami_lifecycle.domain.settings import ContainerSettings

_DIGITS: Final = 12
# Values may be secret enough not to be in messages that go to topics; their names are not.
_ONLY_NAMES: Final = frozenset({"environment"})


def fingerprint(container: ContainerSettings) -> str:
    """A hash of the settings that are in the unit of an image; what is not set is no part of it, so that a setting that
    a later version knows changes nothing.
    """
    text = json.dumps(
        container.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def differences(source: ContainerSettings, target: ContainerSettings, names: tuple[str, str]) -> list[str]:
    """Each setting that two environments have different, in words; `names` are theirs."""
    ours, theirs = source.model_dump(mode="json"), target.model_dump(mode="json")
    return [
        f"container.{name} {_difference(name, ours[name], theirs[name], names)}"
        for name in ours
        if ours[name] != theirs[name]
    ]


def _difference(name: str, ours: Any, theirs: Any, names: tuple[str, str]) -> str:
    if name in _ONLY_NAMES:
        changed = sorted(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
        return f"differs in {', '.join(changed)}"
    return f"is {json.dumps(ours)[:120]} in {names[0]} and {json.dumps(theirs)[:120]} in {names[1]}"
