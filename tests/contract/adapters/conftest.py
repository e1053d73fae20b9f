"""Each contract test runs twice: over the fakes, and over the adapters against the emulated account."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.contract.adapters.emulated_account import EmulatedAccount
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.fake_rig import FakeRig
from tests.contract.adapters.rig import Rig

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def account() -> Iterator[EmulatedAccount]:
    """One emulated account for all contract tests of a process."""
    account = EmulatedAccount()
    yield account
    account.close()


@pytest.fixture
def emulated(account: EmulatedAccount) -> Iterator[EmulatedRig]:
    """The adapters alone, for what has no counterpart in a fake."""
    # Quotas that the test before has used up are full again.
    account.clock.advance(60)
    yield EmulatedRig(account, f"test-{next(_numbers)}")
    account.faults.clear()


@pytest.fixture(params=["fake", "emulated"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """The ports, faked or real."""
    if request.param == "fake":
        return FakeRig(f"test-{next(_numbers)}")
    found: Rig = request.getfixturevalue("emulated")
    return found
