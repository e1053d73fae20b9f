"""Tags that an organization demands, on everything that a build makes; never any of our own."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

# EC2 user guide, Tag restrictions: 50 for each resource, of which the rest are left for the service's own.
MAXIMUM_TAGS: Final = 35
MAXIMUM_KEY: Final = 128
MAXIMUM_VALUE: Final = 256
# Letters, numbers and spaces of any script, and these (Systems Manager API reference, Tag, which is stricter than EC2).
_OTHERS: Final = frozenset("_.:/=+-@")
_OWN_PREFIX: Final = "ami-lifecycle:"


def problem_of_tags(tags: Mapping[str, str]) -> str | None:
    """What is wrong with tags that people give, and what to do about it; None when nothing is."""
    if len(tags) > MAXIMUM_TAGS:
        return (
            f"{len(tags)} tags are too many: AWS takes 50 for each resource, some of which are the service's own, so "
            f"give at most {MAXIMUM_TAGS}"
        )
    problems = (_problem(key, value) for key, value in tags.items())
    return next((problem for problem in problems if problem is not None), None)


def _problem(key: str, value: str) -> str | None:
    return _reservation(key) or _excess(key, value) or _misspelling(key, value)


def _reservation(key: str) -> str | None:
    # IAM compares the keys in conditions without regard to case (IAM user guide, Condition keys), so the service's
    # own permissions would take another spelling of its tags for them.
    lowered = key.strip().lower()
    if lowered.startswith("aws:"):
        return f"the key {key!r} begins with aws:, which AWS keeps to itself; choose another"
    if lowered.startswith(_OWN_PREFIX):
        return f"the key {key!r} begins with {_OWN_PREFIX}, which tells this service what is its own; choose another"
    if lowered == "name":
        return f"the key {key!r} is what the service names its resources by; leave it out, and set image_name"
    return None


def _excess(key: str, value: str) -> str | None:
    if not 1 <= len(key) <= MAXIMUM_KEY:
        return f"the key {key!r:.60} has {len(key)} characters; AWS takes 1 to {MAXIMUM_KEY}"
    if len(value) > MAXIMUM_VALUE:
        return f"the value of {key} has {len(value)} characters; AWS takes at most {MAXIMUM_VALUE}"
    return None


def _misspelling(key: str, value: str) -> str | None:
    for what, text in ((f"the key {key!r}", key), (f"the value {value!r} of {key}", value)):
        if text != text.strip():
            return f"{what} begins or ends with a space, which some services drop; remove it"
        if refused := sorted({character for character in text if not _is_taken(character)}):
            return (
                f"{what} has {', '.join(map(repr, refused))}; AWS takes letters, numbers, spaces and "
                f"{' '.join(sorted(_OTHERS))}"
            )
    return None


def _is_taken(character: str) -> bool:
    return character in _OTHERS or unicodedata.category(character)[0] in {"L", "N", "Z"}
