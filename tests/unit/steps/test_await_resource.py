"""A task that waits: its token is stored before the look, with all that its event needs later."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.steps.account import arn_of
from tests.unit.steps.test_instances_and_waits import INSTANCE, TOKEN, Build

from ami_lifecycle.domain.execution import WaitKind
from ami_lifecycle.domain.model import InstanceState
from ami_lifecycle.errors import AgentNotOnlineError
from ami_lifecycle.ports import StoredWait


def test_what_is_stored_is_all_that_the_event_needs_and_is_kept_for_three_days() -> None:
    build = Build()
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.PROVISIONING, "command", instance_id=INSTANCE)
    now = build.account.world.clock.now()
    stored, expires = build.account.world.waits.all["command"]
    assert stored == StoredWait(
        resource_id="command",
        token=TOKEN,
        wait={"kind": "provisioning", "resource_id": "command", "instance_id": INSTANCE},
        execution_arn=arn_of("e1"),
        since=now,
    )
    # An item of DynamoDB has no place for an enumeration.
    assert type(stored.wait["kind"]) is str
    assert expires == now + timedelta(days=3)


def test_what_is_done_is_answered_and_its_own_token_forgotten() -> None:
    build = Build()
    build.an_instance(InstanceState.STOPPED)
    found = build.await_(WaitKind.STOPPED)
    assert (found.is_done, found.output) == (True, {})
    assert build.account.world.executions.successes == {TOKEN: {}}
    assert build.account.world.waits.all == {}
    assert build.account.world.waits.called("delete")[0].args == (INSTANCE, TOKEN)


def test_an_agent_that_is_looked_at_without_a_token_is_told_with_what_may_keep_it_away() -> None:
    build = Build()
    build.an_instance()
    with pytest.raises(AgentNotOnlineError) as raised:
        build.await_(WaitKind.AGENT, token=None)
    assert str(raised.value) == (
        f"the SSM agent of {INSTANCE} is not online yet. If it never is: check the subnet's route to ssm, ssmmessages "
        "and ec2messages, and the instance profile"
    )
    assert build.account.world.waits.calls == []
