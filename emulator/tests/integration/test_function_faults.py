"""Faults that end the process of a function, or leave it without an answer, in the served emulator."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

WORKER = "WorkerFunction"
HASTY = "HastyFunction"


@pytest.fixture
def post(platform: Any) -> Iterator[Any]:
    """Posts a fault; all are gone after the test."""

    def send(method: str, rule: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{platform.emulator.endpoint_url}/_emulator/faults",
            data=json.dumps(rule).encode() if rule else None,
            method=method,
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    yield lambda **rule: send("POST", rule)
    send("DELETE")


def calls_of(platform: Any, key: str) -> int:
    answer = platform.client("dynamodb").get_item(
        TableName=platform.outputs["TableName"], Key={"pk": {"S": key}}, ConsistentRead=True
    )
    return int(answer.get("Item", {}).get("calls", {}).get("N", 0))


def test_a_function_is_killed_right_after_its_call_took_effect(platform: Any, post: Any) -> None:
    post(kind="killed", operation="UpdateItem", caller=WORKER)
    response, error = platform.invoke(WORKER, {"mode": "count", "key": "killed", "until": 1})
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ExitError"
    assert "SIGKILL" in error["errorMessage"]
    assert calls_of(platform, "killed") == 1
    assert platform.invoke(WORKER, {"mode": "echo"})[1] == {"mode": "echo"}


@pytest.fixture
def hasty_with_table(platform: Any) -> Iterator[None]:
    """The function with a timeout of a second knows the table."""
    client, name = platform.client("lambda"), platform.physical_id(HASTY)
    before = client.get_function_configuration(FunctionName=name)["Environment"]
    variables = {**before["Variables"], "TABLE_NAME": platform.outputs["TableName"]}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    yield
    client.update_function_configuration(FunctionName=name, Environment=before)


@pytest.mark.usefixtures("hasty_with_table")
def test_a_function_that_hangs_is_ended_at_its_timeout(platform: Any, post: Any) -> None:
    post(kind="hangs", operation="UpdateItem", caller=HASTY, when="before")
    begin = time.monotonic()
    response, error = platform.invoke(HASTY, {"mode": "count", "key": "hangs", "until": 1})
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert time.monotonic() - begin >= 1
    assert calls_of(platform, "hangs") == 0
    assert platform.invoke(HASTY, {"mode": "echo"})[1] == {"mode": "echo"}


def test_a_lost_answer_is_what_the_sdk_repeats(platform: Any, post: Any) -> None:
    post(kind="lost", operation="UpdateItem", caller=WORKER)
    response, result = platform.invoke(WORKER, {"mode": "count", "key": "lost", "until": 1})
    assert "FunctionError" not in response
    assert result["calls"] == calls_of(platform, "lost") == 2


def test_a_task_can_be_delivered_twice(platform: Any, post: Any) -> None:
    post(kind="repeated", service="lambda", operation="Invoke")
    _, result = platform.invoke(WORKER, {"mode": "count", "key": "twice", "until": 1})
    assert result["calls"] == calls_of(platform, "twice") == 2
