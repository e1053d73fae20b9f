"""The Step Functions API: names, limits, listings, histories, tokens, events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.integration.workflow_bench import ROLE, Bench, callback_task, machine, single, task

from aws_emulator.api.operations import ApiError

PASS = single({"Type": "Pass"})
FOREVER = single({"Type": "Wait", "Seconds": 1_000_000})


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_unnamed_executions_get_names_of_their_own(bench: Bench) -> None:
    arn = bench.create(PASS)
    first, second = (bench.call("start_execution", stateMachineArn=arn)["executionArn"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("name", ["a b", "a:b", "a/b", "x" * 81, "sha256:0", "a\n"])
def test_names_that_aws_forbids_are_refused(bench: Bench, name: str) -> None:
    with pytest.raises(ApiError, match="InvalidName"):
        bench.start(PASS, name=name)


def test_the_same_name_and_input_return_the_running_execution(bench: Bench) -> None:
    """StartExecution is idempotent while the execution runs (API reference)."""
    arn = bench.create(FOREVER)
    first = bench.call("start_execution", stateMachineArn=arn, name="a", input='{"n": 1}')
    assert bench.call("start_execution", stateMachineArn=arn, name="a", input='{"n": 1}') == first
    with pytest.raises(ApiError, match="ExecutionAlreadyExists"):
        bench.call("start_execution", stateMachineArn=arn, name="a", input='{"n": 2}')
    bench.call("stop_execution", executionArn=first["executionArn"])
    with pytest.raises(ApiError, match="ExecutionAlreadyExists"):
        bench.call("start_execution", stateMachineArn=arn, name="a", input='{"n": 1}')


def test_input_must_be_json_of_at_most_256_kib(bench: Bench) -> None:
    arn = bench.create(PASS)
    with pytest.raises(ApiError, match="InvalidExecutionInput"):
        bench.call("start_execution", stateMachineArn=arn, input="{")
    with pytest.raises(ApiError, match="ValidationException"):
        bench.call("start_execution", stateMachineArn=arn, input=json.dumps("x" * 262_143))


def test_stopping_an_ended_execution_succeeds_with_the_old_date(bench: Bench) -> None:
    arn = bench.start(PASS)
    ended = bench.wait(arn)
    assert bench.call("stop_execution", executionArn=arn) == {"stopDate": ended["stopDate"]}
    assert bench.describe(arn)["status"] == "SUCCEEDED"


def test_executions_are_listed_newest_first_by_status_in_pages(bench: Bench) -> None:
    arn = bench.create(PASS)
    started = []
    for _ in range(5):
        started.append(bench.call("start_execution", stateMachineArn=arn)["executionArn"])
        bench.wait(started[-1])
    first = bench.call("list_executions", stateMachineArn=arn, maxResults=3, statusFilter="SUCCEEDED")
    rest = bench.call("list_executions", stateMachineArn=arn, maxResults=3, nextToken=first["nextToken"])
    assert [row["executionArn"] for row in first["executions"] + rest["executions"]] == started[::-1]
    assert "nextToken" not in rest
    assert bench.call("list_executions", stateMachineArn=arn, statusFilter="FAILED") == {"executions": []}


def test_histories_are_paged_and_reversible(bench: Bench) -> None:
    arn = bench.start(machine(("A", {"Type": "Pass", "Next": "B"}), ("B", {"Type": "Succeed"})))
    bench.wait(arn)
    types = [event["type"] for event in bench.history(arn)]
    assert types == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "SucceedStateEntered",
        "SucceedStateExited",
        "ExecutionSucceeded",
    ]
    page = bench.call("get_execution_history", executionArn=arn, maxResults=4, reverseOrder=True)
    assert [event["type"] for event in page["events"]] == types[:1:-1]
    assert [event["id"] for event in page["events"]] == [6, 5, 4, 3]


@pytest.mark.parametrize("text", ["NaN", '{"n": -Infinity}', "[" * 100_000])
def test_what_python_alone_reads_as_json_is_refused(bench: Bench, text: str) -> None:
    arn = bench.create(single(callback_task()))
    with pytest.raises(ApiError, match="InvalidExecutionInput"):
        bench.call("start_execution", stateMachineArn=arn, input=text)
    bench.call("start_execution", stateMachineArn=arn)
    token = bench.until(lambda: bench.payloads)[0]["token"]
    with pytest.raises(ApiError, match="InvalidOutput"):
        bench.call("send_task_success", taskToken=token, output=text)


def test_a_nonsense_token_is_invalid_and_a_closed_one_timed_out(bench: Bench) -> None:
    arn = bench.start(single(callback_task()))
    token = bench.until(lambda: bench.payloads)[0]["token"]
    with pytest.raises(ApiError, match="InvalidToken"):
        bench.call("send_task_success", taskToken="nonsense", output="{}")
    with pytest.raises(ApiError, match="InvalidOutput"):
        bench.call("send_task_success", taskToken=token, output="{")
    bench.call("send_task_success", taskToken=token, output="{}")
    bench.wait(arn)
    with pytest.raises(ApiError, match="TaskTimedOut"):
        bench.call("send_task_success", taskToken=token, output="{}")
    with pytest.raises(ApiError, match="TaskTimedOut"):
        bench.call("send_task_heartbeat", taskToken=token)


def test_the_output_is_checked_before_a_closed_token(bench: Bench) -> None:
    arn = bench.start(single(callback_task()))
    token = bench.until(lambda: bench.payloads)[0]["token"]
    bench.call("stop_execution", executionArn=arn)
    with pytest.raises(ApiError, match="InvalidOutput"):
        bench.call("send_task_success", taskToken=token, output="{")
    with pytest.raises(ApiError, match="TaskTimedOut"):
        bench.call("send_task_success", taskToken=token, output="{}")


def test_unknown_executions_and_machines_are_named_in_the_error(bench: Bench) -> None:
    prefix = "arn:aws:states:us-east-1:123456789012"
    with pytest.raises(ApiError, match="ExecutionDoesNotExist"):
        bench.describe(f"{prefix}:execution:machine:none")
    with pytest.raises(ApiError, match="StateMachineDoesNotExist"):
        bench.call("start_execution", stateMachineArn=f"{prefix}:stateMachine:none")
    with pytest.raises(ApiError, match="InvalidArn"):
        bench.describe("nonsense")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (machine(("A", {"Type": "Pass", "Next": "B"})), "no state 'B'"),
        ({"StartAt": "X", "States": {"A": {"Type": "Succeed"}}}, "StartAt"),
        (machine(("A", {"Type": "Pass"})), "either Next or End"),
        (machine(("A", {"Type": "Succeed", "Color": "red"})), "Color"),
        (machine(("A", {"Type": "Map", "End": True})), "Map"),
        (machine(("A", {"Type": "Succeed"}), ("B", {"Type": "Succeed"})), "leads to"),
        (single(task(Resource="arn:aws:states:::sns:publish")), "integration"),
        (single(task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}])), "alone and last"),
        (single(task(Retry=[{"ErrorEquals": ["A"], "JitterStrategy": "SOME"}])), "JitterStrategy"),
        (single(task(TimeoutSeconds=0)), "TimeoutSeconds"),
        (single({"Type": "Pass", "Parameters": {"a.$": "States.Nothing()"}}), "intrinsic"),
        (single({"Type": "Pass", "Parameters": {"a.$": "$..b"}}), "path"),
        (single(callback_task(Parameters={"FunctionName": "f", "Payload": {}})), "Task.Token"),
        ({**PASS, "QueryLanguage": "JSONata"}, "JSONPath"),
    ],
)
def test_definitions_with_faults_are_refused(bench: Bench, definition: dict, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        bench.create(definition)
    assert caught.value.code == "InvalidDefinition"


def test_running_executions_keep_the_definition_that_they_began_with(bench: Bench) -> None:
    arn = bench.create(
        machine(("Wait", {"Type": "Wait", "Seconds": 20, "Next": "Old"}), ("Old", {"Type": "Succeed"}))
    )
    execution = bench.call("start_execution", stateMachineArn=arn)["executionArn"]
    bench.call("update_state_machine", stateMachineArn=arn, definition=json.dumps(PASS))
    bench.wait(execution)
    assert bench.states(execution) == ["Wait", "Old"]


def test_creating_the_same_machine_again_is_idempotent_and_another_is_refused(bench: Bench) -> None:
    wanted = {"name": "same", "definition": json.dumps(PASS), "roleArn": ROLE}
    assert bench.call("create_state_machine", **wanted) == bench.call("create_state_machine", **wanted)
    with pytest.raises(ApiError, match="StateMachineAlreadyExists"):
        bench.call("create_state_machine", **{**wanted, "definition": json.dumps(FOREVER)})


def test_every_change_of_status_is_an_event(bench: Bench) -> None:
    """Step Functions Developer Guide, Step Functions Execution Status Change."""
    aborted = bench.start(FOREVER, {"n": 1})
    bench.call("stop_execution", executionArn=aborted, error="E", cause="C")
    bench.run(single({"Type": "Wait", "Seconds": 1_000}, TimeoutSeconds=5))
    bench.run(single({"Type": "Fail", "Error": "F"}))
    bench.run(PASS)
    bench.until(lambda: len(bench.events) == 8)
    details = [event["detail"] for event in bench.events]
    assert sorted(detail["status"] for detail in details) == [
        "ABORTED",
        "FAILED",
        "RUNNING",
        "RUNNING",
        "RUNNING",
        "RUNNING",
        "SUCCEEDED",
        "TIMED_OUT",
    ]
    event = next(event for event in bench.events if event["detail"]["status"] == "ABORTED")
    assert event["source"] == "aws.states"
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["resources"] == [aborted]
    assert event["detail"]["executionArn"] == aborted
    assert json.loads(event["detail"]["input"]) == {"n": 1}
    assert (event["detail"]["error"], event["detail"]["cause"]) == ("E", "C")
    assert isinstance(event["detail"]["startDate"], int)


def test_fifty_executions_run_at_once(bench: Bench) -> None:
    arn = bench.create(
        machine(("Work", task(Next="Wait")), ("Wait", {"Type": "Wait", "Seconds": 50, "End": True}))
    )
    begin = time.monotonic()
    executions = [bench.call("start_execution", stateMachineArn=arn)["executionArn"] for _ in range(50)]
    assert {bench.wait(execution)["status"] for execution in executions} == {"SUCCEEDED"}
    assert time.monotonic() - begin < 15


def test_a_deleted_machine_ends_its_executions(bench: Bench) -> None:
    """API reference, DeleteStateMachine: running executions end at their next transition."""
    arn = bench.create(FOREVER)
    execution = bench.call("start_execution", stateMachineArn=arn)["executionArn"]
    shown = bench.call("describe_state_machine_for_execution", executionArn=execution)
    assert json.loads(shown["definition"]) == FOREVER
    bench.call("delete_state_machine", stateMachineArn=arn)
    with pytest.raises(ApiError, match="StateMachineDoesNotExist"):
        bench.call("start_execution", stateMachineArn=arn)
    # Of one that does not exist any more, too.
    assert bench.call("delete_state_machine", stateMachineArn=arn) == {}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("list_executions", {"maxResults": 1001}),
        ("list_executions", {"statusFilter": "succeeded"}),
        ("list_executions", {"nextToken": "x" * 3097}),
        ("start_execution", {"name": "x" * 81}),
    ],
)
def test_what_the_service_s_model_does_not_allow_is_refused(
    platform: Any, operation: str, parameters: dict[str, Any]
) -> None:
    """Recorded on AWS; SDKs check only part of it before they send."""
    machine_arn = platform.emulator.state_machine_arn
    with pytest.raises(ClientError) as caught:
        getattr(platform.client("stepfunctions"), operation)(stateMachineArn=machine_arn, **parameters)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "failed to satisfy constraint" in caught.value.response["Error"]["Message"]
