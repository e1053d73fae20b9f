"""An image of the environment from which no build can start: the next build is fresh by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.clock import START
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Execution, converge, run

from ami_lifecycle.domain.environment import Claim, UnusableBase, unusable_base_after
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import AmiLifecycleError, names_of

OLD = "3.1.1927.0"
BASE = "ami-0123456789abcdef1"


class Migrated(Account):
    """An environment whose `latest` names an image that was made long ago, by other means."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(settings)
        self.old: Image = self.publish(an_image(1, environment=None))

    def give_agents(self, version: str | None) -> None:
        """What agent the instances of the old image have; None for one that never comes online."""
        commands, instances = self.world.commands, self.world.instances
        honest = type(commands).bring_online

        def bring_online(instance_id: str, newest: str = "3.3.4793.0") -> None:
            is_old = instances.all[instance_id].image_id == self.old.image_id
            if not is_old or version is not None:
                honest(commands, instance_id, version or newest if is_old else newest)

        commands.bring_online = bring_online  # type: ignore[method-assign]  # what the disk holds


def mode_of(execution: Execution) -> str:
    assert execution.state is not None
    return str(execution.state.plan.mode)


def built(account: Account, name: str) -> tuple[Execution, str]:
    execution = Execution(account, name)
    return execution, execution.run({"environment": "prod"}).outcome


@pytest.mark.parametrize(("version", "error"), [(OLD, "AgentTooOldError"), (None, "AgentNotOnlineError")])
def test_the_build_after_one_that_could_not_start_is_fresh(version: str | None, error: str) -> None:
    account = Migrated()
    account.give_agents(version)
    account.push("one")
    first = run(account)
    assert first.error == error
    execution, outcome = built(account, "e2")
    assert (outcome, mode_of(execution)) == ("published", "fresh")
    assert execution.state is not None
    assert account.old.image_id in execution.state.plan.reasons[0]
    assert "agent" in execution.state.plan.reasons[0]


def test_the_sweep_starts_the_fresh_build_without_a_person() -> None:
    account = Migrated()
    account.give_agents(OLD)
    digest = account.push("one")
    assert run(account).error == "AgentTooOldError"
    converge(account, 2)
    assert account.metadata.image_digest == digest
    assert account.metadata.build_mode == "fresh"
    assert "too old" in account.metadata.reason


def test_the_builds_after_the_fresh_one_are_updates_again() -> None:
    account = Migrated()
    account.give_agents(OLD)
    account.push("one")
    run(account)
    built(account, "e2")
    account.push("two")
    execution, outcome = built(account, "e3")
    assert (outcome, mode_of(execution)) == ("published", "update")


def test_an_agent_that_was_not_online_makes_one_build_fresh_and_no_second_where_that_fails_too() -> None:
    """Fresh builds need Ubuntu's archive, which may be out of reach where updates work."""
    account = Migrated()
    account.give_agents(None)
    account.push("one")
    assert run(account).error == "AgentNotOnlineError"
    account.verification_fails = True
    execution, outcome = built(account, "e2")
    assert (outcome, mode_of(execution)) == ("failed", "fresh")
    account.verification_fails = False
    account.give_agents("3.3.4793.0")
    execution, outcome = built(account, "e3")
    assert (outcome, mode_of(execution)) == ("published", "update")


def test_an_agent_that_is_too_old_stays_so_however_often_the_fresh_build_fails() -> None:
    account = Migrated()
    account.give_agents(OLD)
    account.push("one")
    run(account)
    account.verification_fails = True
    for name in ("e2", "e3"):
        execution, outcome = built(account, name)
        assert (outcome, mode_of(execution)) == ("failed", "fresh")


def a_claim(base: str | None) -> Claim:
    return Claim(
        execution_arn=arn_of("e1"),
        number=1,
        action=Action.BUILD,
        claimed_at=START,
        lease_until=START,
        base_image_id=base,
    )


@given(
    st.sampled_from([*sorted(names_of(AmiLifecycleError)), "ExecutionAborted", "States.Timeout"]),
    st.sampled_from([None, BASE]),
    st.sampled_from(
        [
            None,
            UnusableBase(image_id=BASE, reason="old", is_certain=True),
            UnusableBase(image_id=BASE, reason="silent", is_certain=False),
        ]
    ),
)
def test_only_an_agent_says_something_about_a_base_and_only_about_one_that_was_updated(
    error: str, base: str | None, known: UnusableBase | None
) -> None:
    learned = unusable_base_after(known, a_claim(base), error)
    if base is None:
        assert learned == (known if known and known.is_certain else None)
    elif error in {"AgentTooOldError", "AgentNotOnlineError"}:
        assert learned is not None
        assert (learned.image_id, learned.is_certain) == (base, error == "AgentTooOldError")
    else:
        assert learned == known
