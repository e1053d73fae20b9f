"""A document is sent once, to an agent that can run it; what keeps it from being sent says what to do."""

from __future__ import annotations

import pytest
from tests.unit.steps.test_instances_and_waits import INSTANCE, Build, at_instance

from ami_lifecycle.domain.execution import CommandRef
from ami_lifecycle.domain.model import InstanceState
from ami_lifecycle.domain.plan import BuildMode
from ami_lifecycle.errors import (
    AgentNotOnlineError,
    AgentTooOldError,
    BuilderLostError,
    CommandUndeliveredError,
)
from ami_lifecycle.steps.document_runner import CommandInput


@pytest.fixture
def build() -> Build:
    return Build()


def after(step: CommandInput, number: int) -> CommandInput:
    dead = CommandRef(command_id="dead", instance_id=INSTANCE, number=number)
    return step.model_copy(update={"undelivered": dead})


@pytest.mark.parametrize("number", [1, 4])
def test_a_command_after_one_that_never_began_is_one_of_its_own(build: Build, number: int) -> None:
    step = at_instance(build)
    first = build.execution.provision_builder(step)
    again = build.execution.provision_builder(after(step, number))
    assert (again.number, again.command_id != first.command_id) == (number + 1, True)
    assert build.account.world.commands.sent[-1].comment == (
        f"ami-lifecycle provision {build.plan.run_id} ({number + 1})"
    )
    assert build.execution.provision_builder(after(step, number)) == again


def test_after_five_commands_there_is_no_sixth(build: Build) -> None:
    step = at_instance(build)
    with pytest.raises(CommandUndeliveredError) as raised:
        build.execution.provision_builder(after(step, 5))
    assert str(raised.value) == (
        f"none of 5 commands has reached {INSTANCE} in its time, though its SSM agent was online: look at the "
        "instance's console output, and at the subnet's way to ssmmessages and ec2messages"
    )
    assert build.account.world.commands.sent == []


def test_a_command_of_another_instance_is_not_taken_for_ours(build: Build) -> None:
    step = at_instance(build)
    build.account.world.commands.bring_online("i-00000000000000001")
    build.execution.provision_builder(step.model_copy(update={"instance_id": "i-00000000000000001"}))
    build.execution.provision_builder(step)
    assert [sent.instance_id for sent in build.account.world.commands.sent] == [
        "i-00000000000000001",
        INSTANCE,
    ]


def test_an_agent_that_is_not_online_is_waited_for_with_a_hint(build: Build) -> None:
    step = at_instance(build)
    build.account.world.commands.agents.clear()
    build.an_instance()
    with pytest.raises(AgentNotOnlineError) as raised:
        build.execution.provision_builder(step)
    assert str(raised.value) == (
        f"the SSM agent of {INSTANCE} is not online at this moment. If it never is again: look at the instance's "
        "console output, and build again"
    )


def test_the_agent_of_an_instance_that_has_ended_is_not_waited_for(build: Build) -> None:
    step = at_instance(build)
    build.account.world.commands.agents.clear()
    build.an_instance(InstanceState.TERMINATED)
    with pytest.raises(BuilderLostError, match=INSTANCE):
        build.execution.provision_builder(step)


@pytest.mark.parametrize(
    ("mode", "remedy"),
    [
        (
            BuildMode.UPDATE,
            (
                "The next build starts from the base: the sweep starts it where a tag still names this digest; else "
                "build again"
            ),
        ),
        (
            BuildMode.FRESH,
            "The base's own image is too old: build when its publisher has made another, or name another base",
        ),
    ],
)
def test_an_agent_that_is_too_old_is_told_with_what_helps(build: Build, mode: BuildMode, remedy: str) -> None:
    step = at_instance(build)
    step = step.model_copy(update={"plan": build.plan.model_copy(update={"mode": mode})})
    build.account.world.commands.bring_online(INSTANCE, "3.3.2745.9")
    with pytest.raises(AgentTooOldError) as raised:
        build.execution.provision_builder(step)
    assert str(raised.value) == (
        f"the SSM agent of {INSTANCE} is 3.3.2745.9; documents that pass parameters as environment variables need "
        f"3.3.2746.0. {remedy}"
    )


@pytest.mark.parametrize("version", ["3.3.2746.0", "3.3.2746.0.1", "3.10.0.0"])
def test_versions_are_compared_as_numbers(build: Build, version: str) -> None:
    step = at_instance(build)
    build.account.world.commands.bring_online(INSTANCE, version)
    assert build.execution.provision_builder(step).number == 1
