"""Which images are an environment's by their names alone."""

from __future__ import annotations

import pytest
from tests.unit.domain.builders import an_image, settings

from ami_lifecycle.domain.planning import is_named_for, newest_usable


@pytest.mark.parametrize(
    "rest", ["", "-2023-01-01", "-20230101-101500", "20230101", "_17", " (old)", "/7", ".candidate.1"]
)
def test_a_name_with_a_date_or_a_number_is_the_environments(rest: str) -> None:
    assert is_named_for(an_image(name=f"comfyui-multitenant-prod{rest}"), "comfyui-multitenant-prod")


@pytest.mark.parametrize("name", ["comfyui-multitenant-production", "comfyui-multitenant-pro", "other", ""])
def test_another_word_is_not(name: str) -> None:
    assert not is_named_for(an_image(name=name), "comfyui-multitenant-prod")


def test_no_build_starts_from_an_untagged_image_of_a_longer_word() -> None:
    own = settings()
    assert newest_usable([an_image(name=f"{own.image_name}uction-2023", tags={})], own) is None
    older = an_image(name=f"{own.image_name}-2023", tags={})
    assert newest_usable([older], own) == older
