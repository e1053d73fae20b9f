"""A pin holds a rollback against pushes, follows its image, and ends when a person says so."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import Account, an_image
from tests.unit.steps.execution import converge, run

from ami_lifecycle.contracts import Action
from ami_lifecycle.domain.environment import Pin


@pytest.fixture
def account() -> Account:
    """Two published images, of which the older one is kept."""
    account = Account(defaults={"retirement": {"keep_previous": 1}})
    account.push("one")
    run(account, "first")
    account.push("two")
    run(account, "second")
    return account


def pin_of(account: Account) -> Pin | None:
    return account.world.environments.get("prod").pin


def roll_back(account: Account, execution: str = "back") -> str:
    live = account.latest
    old = next(image.image_id for image in account.own_images() if image.image_id != live)
    ended = run(account, execution, action=Action.PUBLISH, publish_image_id=old, pin=True, reason="too slow")
    assert ended.outcome == "published", ended
    return old


def test_a_rollback_pins_the_image_that_latest_names(account: Account) -> None:
    roll_back(account)
    pin = pin_of(account)
    assert pin is not None
    assert (pin.image_id, pin.reason) == (account.latest, "too slow")


def test_a_forced_build_lifts_the_pin_so_that_later_pushes_are_built(account: Account) -> None:
    roll_back(account)
    account.push("three")
    assert run(account, "pushed").outcome == "nothing"
    assert run(account, "forced", force=True).outcome == "published"
    assert pin_of(account) is None
    account.push("four")
    assert run(account, "next").outcome == "published"


def test_a_rollback_that_was_stopped_after_it_had_pinned_is_finished_by_the_sweep(account: Account) -> None:
    old = next(image.image_id for image in account.own_images() if image.image_id != account.latest)
    now = account.world.clock.now()
    account.world.environments.set_pin("prod", Pin(image_id=old, digest=None, at=now, reason="too slow"))
    converge(account)
    pin = pin_of(account)
    assert pin is not None
    assert account.latest == pin.image_id
    assert pin.reason == "too slow"


def test_a_pinned_image_that_is_gone_is_built_again_from_its_digest(account: Account) -> None:
    digest = account.live.tags["ami-lifecycle:image-digest"]
    account.push("three")
    run(account, "third")
    now = account.world.clock.now()
    account.world.environments.set_pin("prod", Pin(image_id="ami-0123456789abcdef0", digest=digest, at=now))
    converge(account)
    pin = pin_of(account)
    assert pin is not None
    assert account.latest == pin.image_id
    assert account.live.tags["ami-lifecycle:image-digest"] == digest


def test_a_pin_follows_its_image_to_the_canonical_name() -> None:
    account = Account()
    digest = account.push("one")
    candidate = an_image(1, name="comfyui-multitenant-prod.candidate.1", role="candidate", digest=digest)
    account.publish(candidate)
    now = account.world.clock.now()
    account.world.environments.set_pin("prod", Pin(image_id=candidate.image_id, digest=digest, at=now))
    assert run(account, action=Action.RETIRE).outcome == "published"
    pin = pin_of(account)
    assert pin is not None
    assert account.live.name == "comfyui-multitenant-prod"
    assert pin.image_id == account.latest
