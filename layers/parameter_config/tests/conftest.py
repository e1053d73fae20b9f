from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from .fake_aws import FakeClock, FakeSsm

WriteConfig = Callable[..., Path]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ssm(clock: FakeClock) -> FakeSsm:
    return FakeSsm(clock)


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    """Writes `<name>_config.yml` files, each from a keyword argument, and returns their directory."""

    def write(**files: str) -> Path:
        directory = tmp_path / "config"
        directory.mkdir(exist_ok=True)
        for name, text in files.items():
            (directory / f"{name}_config.yml").write_text(dedent(text), encoding="utf-8")
        return directory

    return write
