"""Which images are deprecated and protected."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import LONG_AGO, an_image, image_id_of

from ami_lifecycle.domain.image_switches import DueSwitch, Switch, due_switches
from ami_lifecycle.domain.model import Image, ImageState
from ami_lifecycle.domain.retirement import previous_images
from ami_lifecycle.domain.settings import RetirementSettings

BOTH = {"deprecate_kept": True, "deregistration_protection": True}


def due(live: Image, *previous: Image, is_final: bool = True, **policy: Any) -> list[DueSwitch]:
    return due_switches(RetirementSettings(**policy), live, previous, is_final=is_final)


def test_without_settings_nothing_is_due() -> None:
    assert due(an_image(1, deprecated_at=LONG_AGO), an_image(2)) == []


def test_kept_images_are_deprecated_once_and_the_live_one_no_longer() -> None:
    live = an_image(1, deprecated_at=LONG_AGO)
    done = an_image(3, deprecated_at=LONG_AGO)
    assert due(live, an_image(2), done, deprecate_kept=True) == [
        DueSwitch(image_id_of(1), Switch.UNDEPRECATE),
        DueSwitch(image_id_of(2), Switch.DEPRECATE),
    ]
    assert due(an_image(1), done, deprecate_kept=True) == []


@pytest.mark.parametrize("state", sorted(set(ImageState) - {ImageState.AVAILABLE}))
def test_what_cannot_be_launched_needs_no_date(state: ImageState) -> None:
    assert due(an_image(1), an_image(2, state=state), deprecate_kept=True) == []


def test_the_live_image_is_protected_when_it_has_the_name_that_it_keeps() -> None:
    assert due(an_image(1), an_image(2), deregistration_protection=True) == [
        DueSwitch(image_id_of(1), Switch.PROTECT)
    ]
    assert due(an_image(1), deregistration_protection=True, is_final=False) == []


@pytest.mark.parametrize(
    "protection", ["enabled-without-cooldown", "enabled-with-cooldown", "disabled-after 2026-01-01T00:00:00Z"]
)
def test_a_protected_image_is_not_protected_again(protection: str) -> None:
    live = an_image(1, deregistration_protection=protection)
    assert due(live, deregistration_protection=True) == []


@pytest.mark.parametrize(
    ("protection", "unprotects", "goes"),
    [
        ("enabled-without-cooldown", True, True),
        ("enabled-without-cooldown", False, False),
        ("enabled-with-cooldown", True, False),
        ("disabled-after 2026-01-01T00:00:00Z", True, False),
        ("disabled", False, True),
    ],
)
def test_only_our_own_kind_of_protection_lets_an_image_go(
    protection: str, unprotects: bool, goes: bool
) -> None:
    old = an_image(2, deregistration_protection=protection)
    kept, open_ = previous_images(an_image(1), [old], 0, **({"unprotects": True} if unprotects else {}))
    assert [image.image_id for image in open_] == ([old.image_id] if goes else [])
    assert [decision.reason for decision in kept] == (
        [] if goes else [f"deregistration protection is {protection}; switch it off to let it go"]
    )
