"""Executions, as Step Functions shows them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from tests.unit.cli.samples import NOW, a_run

from ami_lifecycle_cli.stack.runs import Runs

ARN = "arn:aws:states:us-east-1:123456789012:execution:build-image:one"


@pytest.fixture
def step_functions() -> Iterator[Stubber]:
    client = boto3.client(
        "stepfunctions", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


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
