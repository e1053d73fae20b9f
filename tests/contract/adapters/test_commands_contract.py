from __future__ import annotations

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig, launch_request, running_instance

from ami_lifecycle.domain.command import CommandStatus
from ami_lifecycle.errors import AgentNotOnlineError, ServiceUnavailableError, SettingsError

MESSAGE = {"Message": "hello"}


def online_instance(rig: Rig) -> str:
    instance = running_instance(rig)
    rig.bring_online(instance)
    return instance.instance_id


def test_a_new_instance_has_no_agent_and_takes_no_command(rig: Rig) -> None:
    instance = rig.instances.launch(launch_request(rig)).instance
    assert instance is not None
    assert rig.commands.agent_version(instance.instance_id) is None
    with pytest.raises(AgentNotOnlineError, match=instance.instance_id):
        rig.commands.send(instance.instance_id, rig.document, MESSAGE, "a comment")
    assert rig.commands.find(instance.instance_id, "a comment") is None


def test_an_instance_that_never_was_has_no_agent(rig: Rig) -> None:
    assert rig.commands.agent_version("i-0ffffffffffffffff") is None


def test_an_agent_that_is_online_has_a_version(rig: Rig) -> None:
    version = rig.commands.agent_version(online_instance(rig))
    assert version is not None
    assert [part.isdigit() for part in version.split(".")] == [True] * 4


def test_a_command_runs_and_ends_with_its_exit_code(rig: Rig) -> None:
    instance_id = online_instance(rig)
    command_id = rig.commands.send(instance_id, rig.document, MESSAGE, "a comment")
    early = rig.commands.result(command_id, instance_id)
    assert early is None or (early.status is CommandStatus.RUNNING and early.exit_code is None)
    rig.finish(command_id, instance_id)
    result = rig.commands.result(command_id, instance_id)
    assert result is not None
    assert result.status is CommandStatus.SUCCESS
    assert result.exit_code == 0


def test_a_command_is_found_by_its_comment_on_its_instance(rig: Rig) -> None:
    instance_id = online_instance(rig)
    command_id = rig.commands.send(instance_id, rig.document, MESSAGE, f"provision {rig.name}")
    rig.commands.send(instance_id, rig.document, MESSAGE, f"verify {rig.name}")
    assert rig.commands.find(instance_id, f"provision {rig.name}") == command_id
    assert rig.commands.find(instance_id, f"provision {rig.name}-2") is None
    assert rig.commands.find("i-0ffffffffffffffff", f"provision {rig.name}") is None


def test_a_command_has_no_result_on_another_instance(rig: Rig) -> None:
    instance_id = online_instance(rig)
    command_id = rig.commands.send(instance_id, rig.document, MESSAGE, "a comment")
    rig.finish(command_id, instance_id)
    assert rig.commands.result(command_id, "i-0ffffffffffffffff") is None


@pytest.mark.parametrize("parameters", [{"Message": "NOT LIKE THIS"}, {}, {"Message": "a", "Other": "b"}])
def test_parameters_that_the_document_refuses_say_that_the_deployment_is_wrong(
    emulated: EmulatedRig, parameters: dict[str, str]
) -> None:
    instance_id = online_instance(emulated)
    with pytest.raises(SettingsError, match=emulated.document):
        emulated.commands.send(instance_id, emulated.document, parameters, "a comment")


def test_a_document_that_is_missing_says_that_the_deployment_is_wrong(emulated: EmulatedRig) -> None:
    with pytest.raises(SettingsError, match="no-such-document"):
        emulated.commands.send(online_instance(emulated), "no-such-document", {}, "a comment")


def test_a_command_whose_response_was_lost_is_found_by_its_comment(emulated: EmulatedRig) -> None:
    instance_id = online_instance(emulated)
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "ssm",
            "operation": "SendCommand",
            "code": "InternalServerError",
            "status": 500,
            "when": "after",
        }
    )
    with pytest.raises(ServiceUnavailableError):
        emulated.commands.send(instance_id, emulated.document, MESSAGE, emulated.name)
    assert emulated.commands.find(instance_id, emulated.name) is not None
