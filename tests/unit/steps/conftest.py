"""An account in which there is nothing to do."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import Account, an_image


@pytest.fixture
def account() -> Account:
    """An environment whose image holds the digest of its tag: nothing to do."""
    account = Account()
    account.publish(an_image(1, digest=account.push("one")))
    return account
