"""Each contract test runs twice: over the fake, and over the emulated Parameter Store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from layers.parameter_config.tests.fake_aws import FakeSsm
from tests.contract.config.parameter_account import ParameterAccount
from tests.contract.config.project import Project

from parameter_config.parameter_store import ParameterStore

_SCALE = 0.01
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def account() -> Iterator[ParameterAccount]:
    """An emulated account whose seconds are a hundredth of a second."""
    account = ParameterAccount(_SCALE)
    yield account
    account.close()


@pytest.fixture(params=["fake", "emulated"])
def client(request: pytest.FixtureRequest) -> Any:
    """An SSM client."""
    return FakeSsm() if request.param == "fake" else request.getfixturevalue("account").client("ssm")


class FastClock:
    """Does not wait: the emulated account's time runs faster than the machine's."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def store(client: Any) -> ParameterStore:
    return ParameterStore(lambda: client, FastClock())


@pytest.fixture
def prefix() -> str:
    """A path of this test's own."""
    return f"/test-{next(_numbers)}"


@pytest.fixture(scope="module")
def slower_account() -> Iterator[ParameterAccount]:
    """An emulated account for command lines, whose processes need their time."""
    account = ParameterAccount(scale=0.05)
    yield account
    account.close()


@pytest.fixture
def project(tmp_path: Path, slower_account: ParameterAccount, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with names of its own."""
    monkeypatch.delenv("AMI_LIFECYCLE_ENVIRONMENT", raising=False)
    return Project(tmp_path, slower_account, f"project-{next(_numbers)}")
