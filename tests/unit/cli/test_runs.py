"""Executions, as Step Functions shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from tests.unit.aws_clients import stubbed_clients
from tests.unit.cli.samples import NOW, a_run

from ami_lifecycle_cli.stack.runs import Runs

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:build-image"
ARN = "arn:aws:states:us-east-1:123456789012:execution:build-image:one"


@pytest.fixture
def step_functions() -> Iterator[Stubber]:
    with stubbed_clients() as make:
        yield make("stepfunctions")[1]


def runs_of(stubber: Stubber) -> Runs:
    stack: Any = SimpleNamespace(client=lambda _service: stubber.client)
    return Runs(stack)


def events(number: int, **details: Any) -> list[dict[str, Any]]:
    """Events of a Task that is tried again, the newest first; or one with these details."""
    kind = "TaskStateEntered" if details else "TaskScheduled"
    return [{"timestamp": NOW, "type": kind, "id": number - index, **details} for index in range(number)]


def test_the_state_of_an_execution_that_tries_again_for_long_is_found(step_functions: Stubber) -> None:
    first = {"executionArn": ARN, "reverseOrder": True, "maxResults": ANY}
    step_functions.add_response("get_execution_history", {"events": events(100), "nextToken": "older"}, first)
    entered = events(1, stateEnteredEventDetails={"name": "Await Builder"})
    step_functions.add_response("get_execution_history", {"events": entered}, {**first, "nextToken": "older"})
    assert runs_of(step_functions).current_state(ARN) == "Await Builder"


@pytest.mark.parametrize(("action", "has_built"), [("build", True), ("publish", False), ("retire", False)])
def test_a_rollback_to_an_image_that_exists_is_no_build(action: str, has_built: bool) -> None:
    assert a_run(output={"action": action, "image_id": "ami-1"}).has_built is has_built


def test_an_execution_that_is_not_known_any_more_is_in_no_state(step_functions: Stubber) -> None:
    step_functions.add_client_error("get_execution_history", "ExecutionDoesNotExist")
    assert runs_of(step_functions).current_state(ARN) is None


def test_what_came_of_requests_that_waited_is_listed_the_oldest_first(step_functions: Stubber) -> None:
    def listed(name: str, hours: int) -> dict[str, Any]:
        arn, started = ARN.replace(":one", f":{name}"), NOW + timedelta(hours=hours)
        return {
            "executionArn": arn,
            "stateMachineArn": MACHINE,
            "name": name,
            "status": "SUCCEEDED",
            "startDate": started,
        }

    names = ["prod-queued-2", "prod-build-1", "dev-queued-1", "prod-queued-1", "prod-queued-0"]
    executions = [listed(name, 5 - index) for index, name in enumerate(names)]
    step_functions.add_response("list_executions", {"executions": executions})
    for each in (executions[0], executions[2], executions[3]):
        environment = each["name"].partition("-")[0]
        asked = json.dumps({"environment": environment, "trigger": "queued"})
        described = {"input": asked, "output": "{}", "executionArn": each["executionArn"]}
        step_functions.add_response("describe_execution", {**each, **described})
    stack: Any = SimpleNamespace(client=lambda _: step_functions.client, state_machine_arn=MACHINE)
    found = Runs(stack).queued_since("prod", executions[-1]["startDate"])
    assert [run.name for run in found] == ["prod-queued-1", "prod-queued-2"]
