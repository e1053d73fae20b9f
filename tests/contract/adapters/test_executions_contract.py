from __future__ import annotations

import json

from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.request import BuildRequest


def test_a_started_execution_runs(rig: Rig) -> None:
    arn = rig.executions.start(rig.state_machine_arn, rig.name, BuildRequest(environment="prod"))
    assert arn.endswith(f":{rig.name}")
    assert rig.executions.status(arn) is ExecutionStatus.RUNNING
    assert not rig.executions.status(arn).is_over


def test_the_same_name_is_the_same_execution(rig: Rig) -> None:
    request = BuildRequest(environment="prod")
    first = rig.executions.start(rig.state_machine_arn, rig.name, request)
    assert rig.executions.start(rig.state_machine_arn, rig.name, request) == first
    other = request.model_copy(update={"force": True})
    assert rig.executions.start(rig.state_machine_arn, rig.name, other) == first


def test_the_name_of_an_execution_that_is_over_starts_nothing(rig: Rig) -> None:
    request = BuildRequest(environment="prod")
    arn = rig.executions.start(rig.state_machine_arn, rig.name, request)
    rig.abort(arn)
    assert rig.executions.status(arn) is ExecutionStatus.ABORTED
    assert rig.executions.start(rig.state_machine_arn, rig.name, request) == arn
    assert rig.executions.status(arn) is ExecutionStatus.ABORTED


def test_a_forgotten_execution_is_unknown_and_over(rig: Rig) -> None:
    arn = f"{rig.state_machine_arn.replace(':stateMachine:', ':execution:')}:{rig.name}"
    assert rig.executions.status(arn) is ExecutionStatus.UNKNOWN
    assert ExecutionStatus.UNKNOWN.is_over


def test_a_waiting_task_is_completed_once(rig: Rig) -> None:
    token = rig.waiting_task()
    assert rig.executions.send_success(token, {"state": "available"})
    assert not rig.executions.send_success(token, {"state": "available"})
    assert not rig.executions.send_failure(token, "Error", "cause")


def test_a_waiting_task_is_failed_once(rig: Rig) -> None:
    token = rig.waiting_task()
    assert rig.executions.send_failure(token, "ImageCreationFailedError", "c" * 40_000)
    assert not rig.executions.send_failure(token, "ImageCreationFailedError", "cause")


def test_a_token_that_never_was_completes_nothing(rig: Rig) -> None:
    assert not rig.executions.send_success("no-such-token", {})
    assert not rig.executions.send_failure("no-such-token", "Error", "cause")


def test_an_execution_gets_the_request_as_its_input(emulated: EmulatedRig) -> None:
    request = BuildRequest(environment="prod", force=True, reason="by hand")
    arn = emulated.executions.start(emulated.state_machine_arn, emulated.name, request)
    client = emulated.account.client("stepfunctions")
    given = json.loads(client.describe_execution(executionArn=arn)["input"])
    assert BuildRequest.model_validate(given) == request
