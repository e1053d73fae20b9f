"""Whole executions: what an environment looks like after each, with the promises held at every call."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import UBUNTU, Account
from tests.unit.steps.execution import run
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.model import TAG_DIGEST

CANONICAL = "comfyui-multitenant-prod"


@pytest.fixture
def account() -> Account:
    return Account()


def test_the_first_build_starts_from_ubuntu_and_ends_under_the_canonical_name(account: Account) -> None:
    promises = Promises(account.world)
    digest = account.push("one")
    ended = run(account)
    assert ended.outcome == "published"
    assert account.live.name == CANONICAL
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.metadata.base_ami_id == UBUNTU
    assert account.metadata.build_mode == "fresh"
    assert account.metadata.workflow_run_number == "1"
    assert (account.metadata.branch, account.metadata.commit_sha) == ("main", "abc123")
    assert [image.image_id for image in account.own_images()] == [account.latest]
    assert promises.leaks_of() == []
    assert promises.broken == []
