"""What users imported before the parts had names of their own."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "ami_lifecycle.client": ("ami_lifecycle_client", "get_latest_ami"),
    "ami_lifecycle.config": ("parameter_config", "load_config"),
    "ami_lifecycle.config.errors": ("parameter_config.errors", "ConfigError"),
    "ami_lifecycle_emulator.server": ("ami_lifecycle_testbed.emulator", "Emulator"),
}


@pytest.mark.parametrize("old", NAMES)
def test_an_earlier_name_leads_to_the_same_thing(old: str) -> None:
    new, name = NAMES[old]
    assert getattr(importlib.import_module(old), name) is getattr(importlib.import_module(new), name)
