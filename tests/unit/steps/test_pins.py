"""A pin holds a rollback against pushes, follows its image, and ends when a person says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.fakes import Call, Faulty
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Crash, Execution, converge, run, run_started
from tests.unit.steps.leftovers import started

from ami_lifecycle.domain.environment import FailedAttempts, Pin
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import TAG_DIGEST
from ami_lifecycle.domain.request import Action


@pytest.fixture
def account() -> Account:
    """Two published images, of which the older one is kept."""
    account = Account(defaults={"retirement": {"keep_previous": 1}})
    account.push("one")
    run(account, "first")
    account.push("two")
    run(account, "second")
    return account


@dataclass
class BeforeCalls:
    """Does something before calls of a method, but not before those that it makes itself."""

    method: str
    do: Callable[[Call], None]
    is_busy: bool = False

    def before(self, port: Faulty, call: Call) -> None:
        if call.method != self.method or self.is_busy:
            return
        self.is_busy = True
        try:
            self.do(call)
        finally:
            self.is_busy = False

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing."""


def previous(account: Account) -> str:
    return next(image.image_id for image in account.own_images() if image.image_id != account.latest)


def pin_of(account: Account) -> Pin | None:
    return account.world.environments.get("prod").pin


def roll_back(account: Account, execution: str = "back") -> str:
    old = previous(account)
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
    old = previous(account)
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


def test_a_pinned_digest_that_fails_is_built_so_often_and_no_more(account: Account) -> None:
    digest = account.live.tags[TAG_DIGEST]
    account.push("three")
    run(account, "third")
    pin = Pin(image_id="ami-0123456789abcdef0", digest=digest, at=account.world.clock.now())
    account.world.environments.set_pin("prod", pin)
    account.world.environments.record_failures("prod", [FailedAttempts(digest=digest, count=3)])
    (finding,) = account.sweeper.sweep().findings
    assert not finding.repaired
    assert "unpin the environment" in finding.finding
    assert started(account) == []


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


# While a rollback goes on.


def test_a_sweep_in_the_midst_of_a_rollback_keeps_the_image_of_a_build_that_failed_late(
    account: Account,
) -> None:
    account.world.executions.end(arn_of("first"), ExecutionStatus.FAILED)
    account.world.watch(BeforeCalls("put", lambda _call: account.sweeper.sweep() and None))
    old = roll_back(account)
    assert account.latest == old
    assert account.live.state.value == "available"


def test_a_rollback_that_was_killed_before_latest_changed_is_finished_without_a_build(
    account: Account,
) -> None:
    old = previous(account)
    account.world.executions.end(arn_of("first"), ExecutionStatus.FAILED)

    def die(call: Call) -> None:
        if call.args[0].endswith("/latest"):
            raise Crash

    hook = BeforeCalls("put", die)
    account.world.watch(hook)
    with pytest.raises(Crash):
        roll_back(account)
    hook.method = "none"
    account.world.executions.end(arn_of("back"), ExecutionStatus.ABORTED)
    account.world.clock.advance(600)
    converge(account)
    assert account.latest == old
    assert {request.action for request in started(account)} == {Action.PUBLISH}


def test_a_rollback_that_waits_behind_a_build_finds_its_image_when_its_turn_comes(account: Account) -> None:
    old, outcomes = previous(account), []

    def ask(_call: Call) -> None:
        if not outcomes:
            request = {"environment": "prod", "action": "publish", "publish_image_id": old, "pin": True}
            outcomes.append(Execution(account, "back").run(request).outcome)

    account.world.watch(BeforeCalls("count_publication", ask))
    account.push("three")
    assert run(account, "third").outcome == "published"
    assert outcomes == ["queued"]
    run_started(account)
    assert account.latest == old
    assert pin_of(account) is not None


def test_a_rollback_whose_image_is_gone_builds_its_docker_image(account: Account) -> None:
    old = previous(account)
    digest = account.world.images.all[old].tags[TAG_DIGEST]
    account.world.images.deregister(old)
    request = {"publish_image_id": old, "image_digest": digest, "pin": True, "reason": "too slow"}
    assert run(account, "back", action=Action.PUBLISH, **request).outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    pin = pin_of(account)
    assert pin is not None
    assert pin.image_id == account.latest
    assert pin.reason.startswith(f"{old} is gone")


def test_an_unpin_during_a_rollback_holds() -> None:
    account, lifted = Account(), list[Pin | None]()
    digest = account.push("zero")
    account.push("one")
    run(account, "first")

    def lift(_call: Call) -> None:
        if not lifted:
            lifted.append(pin_of(account))
            account.world.environments.set_pin("prod", None)

    account.world.watch(BeforeCalls("register_copy", lift))
    ended = run(account, "back", image_digest=digest, force=True, pin=True)
    assert ended.outcome == "published"
    assert [pin.digest for pin in lifted if pin] == [digest]
    assert pin_of(account) is None
