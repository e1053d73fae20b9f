"""The Amazon States Language as the emulator runs it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from emulator.tests.integration.workflow_bench import (
    FUNCTION,
    Bench,
    FunctionError,
    callback_task,
    machine,
    single,
    task,
)

from aws_emulator.api.operations import ApiError


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_a_task_receives_the_data_and_gives_the_output(bench: Bench) -> None:
    bench.function = lambda payload: {"doubled": payload["n"] * 2}
    assert bench.output(single(task()), {"n": 4}) == {"doubled": 8}


def test_data_flows_through_input_path_parameters_selector_result_path_and_output_path(bench: Bench) -> None:
    bench.function = lambda payload: {"size": payload["wanted"] + 1, "noise": 0}
    state = task(
        InputPath="$.order",
        Parameters={"wanted.$": "$.count", "fixed": True},
        ResultSelector={"size.$": "$.size"},
        ResultPath="$.made.here",
        OutputPath="$.made",
    )
    assert bench.output(single(state), {"order": {"count": 2}}) == {"here": {"size": 3}}
    assert bench.payloads == [{"wanted": 2, "fixed": True}]


def test_a_null_result_path_keeps_the_data(bench: Bench) -> None:
    assert bench.output(single(task(ResultPath=None)), {"kept": 1}) == {"kept": 1}


def test_lambda_invoke_wraps_the_payload_as_the_service_does(bench: Bench) -> None:
    bench.function = lambda payload: {"got": payload}
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": FUNCTION, "Payload.$": "$"},
    }
    output = bench.output(single(state), {"n": 1})
    assert output["Payload"] == {"got": {"n": 1}}
    assert output["StatusCode"] == 200
    assert output["ExecutedVersion"] == "$LATEST"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("States.Format('{}-{} of {}', $.name, 2, $.list)", "ada-2 of [1, 2]"),
        ("States.Format('it\\'s {}', $.name)", "it's ada"),
        ("States.StringToJson($.json)", {"a": [1]}),
        ("States.JsonToString($.list)", "[1,2]"),
        ("States.Array($.name, 1, true, null)", ["ada", 1, True, None]),
        ("States.ArrayLength($.list)", 2),
        ("States.ArrayContains($.list, 2)", True),
        ("States.ArrayGetItem($.list, 1)", 2),
        ("States.ArrayPartition(States.ArrayRange(1, 5, 1), 2)", [[1, 2], [3, 4], [5]]),
        ("States.ArrayUnique(States.Array(1, 2, 1))", [1, 2]),
        ("States.JsonMerge(States.StringToJson('{\"x\":1}'), $.object, false)", {"x": 1, "y": 2}),
        ("States.MathAdd(3, -1)", 2),
        ("States.StringSplit('a,b,,c', ',')", ["a", "b", "c"]),
        ("States.Base64Decode(States.Base64Encode($.name))", "ada"),
        ("States.Hash('x', 'SHA-256')", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        ("$.list[1]", 2),
        ("$.rows[*].id", ["p", "q"]),
        ("$['odd name']", 3),
    ],
)
def test_paths_and_intrinsic_functions(bench: Bench, expression: str, expected: Any) -> None:
    data = {
        "name": "ada",
        "list": [1, 2],
        "json": '{"a":[1]}',
        "object": {"y": 2},
        "rows": [{"id": "p"}, {"id": "q"}],
        "odd name": 3,
    }
    state = {"Type": "Pass", "Parameters": {"value.$": expression}}
    assert bench.output(single(state), data) == {"value": expected}


def test_an_intrinsic_function_that_fails_is_an_intrinsic_failure(bench: Bench) -> None:
    state = {"Type": "Pass", "Parameters": {"value.$": "States.StringToJson('{')"}}
    assert bench.run(single(state))["error"] == "States.IntrinsicFailure"


def test_the_context_object_names_execution_state_and_machine(bench: Bench) -> None:
    state = {
        "Type": "Pass",
        "Parameters": {
            "id.$": "$$.Execution.Id",
            "name.$": "$$.Execution.Name",
            "input.$": "$$.Execution.Input",
            "started.$": "$$.Execution.StartTime",
            "state.$": "$$.State.Name",
            "machine.$": "$$.StateMachine.Name",
        },
    }
    arn = bench.start(single(state), {"n": 1}, name="run-1")
    output = json.loads(bench.wait(arn)["output"])
    assert output["id"] == arn
    assert output["name"] == "run-1"
    assert output["input"] == {"n": 1}
    assert output["state"] == "Only"
    assert output["machine"] == "machine-1"
    assert output["started"].endswith("Z")


@pytest.mark.parametrize(
    ("rule", "data", "matches"),
    [
        ({"Variable": "$.a", "StringEquals": "x"}, {"a": "x"}, True),
        ({"Variable": "$.a", "StringEquals": "x"}, {"a": 1}, False),
        ({"Variable": "$.a", "StringEqualsPath": "$.b"}, {"a": "x", "b": "x"}, True),
        ({"Variable": "$.a", "StringMatches": "v*.?"}, {"a": "v12.?"}, True),
        ({"Variable": "$.a", "StringMatches": "v\\*"}, {"a": "v1"}, False),
        ({"Variable": "$.a", "NumericGreaterThanEquals": 3}, {"a": 3.0}, True),
        ({"Variable": "$.a", "NumericEquals": 1}, {"a": True}, False),
        ({"Variable": "$.a", "BooleanEquals": False}, {"a": False}, True),
        ({"Variable": "$.a", "IsPresent": False}, {}, True),
        ({"Variable": "$.a", "IsPresent": True}, {"a": None}, True),
        ({"Variable": "$.a", "IsNull": True}, {"a": None}, True),
        ({"Variable": "$.a", "IsString": False}, {"a": 1}, True),
        (
            {"Variable": "$.a", "TimestampLessThan": "2026-01-02T00:00:00Z"},
            {"a": "2026-01-01T00:00:00Z"},
            True,
        ),
        ({"Not": {"Variable": "$.a", "IsPresent": True}}, {}, True),
        (
            {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "NumericLessThan": 5}]},
            {},
            False,
        ),
        (
            {"Or": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.b", "IsPresent": True}]},
            {"b": 1},
            True,
        ),
    ],
)
def test_choice_rules(bench: Bench, rule: dict[str, Any], data: Any, matches: bool) -> None:
    definition = machine(
        ("Which?", {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}),
        ("Yes", {"Type": "Pass", "Result": True, "End": True}),
        ("No", {"Type": "Pass", "Result": False, "End": True}),
    )
    assert bench.output(definition, data) is matches


def test_a_choice_without_match_and_default_fails(bench: Bench) -> None:
    definition = machine(
        ("Which?", {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Yes"}]}),
        ("Yes", {"Type": "Succeed"}),
    )
    assert bench.run(definition, {"a": 1})["error"] == "States.NoChoiceMatched"


def test_a_choice_on_a_missing_variable_is_a_runtime_error(bench: Bench) -> None:
    definition = machine(
        ("Which?", {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Yes"}]}),
        ("Yes", {"Type": "Succeed"}),
    )
    assert bench.run(definition, {})["error"] == "States.Runtime"


def test_a_wait_takes_scaled_seconds(bench: Bench) -> None:
    begin = time.monotonic()
    bench.output(single({"Type": "Wait", "SecondsPath": "$.seconds"}), {"seconds": 20})
    assert 0.2 <= time.monotonic() - begin < 15


def test_fail_takes_error_and_cause_from_paths(bench: Bench) -> None:
    state = {
        "Type": "Fail",
        "ErrorPath": "$.failure.Error",
        "CausePath": "States.Format('{}!', $.failure.Cause)",
    }
    description = bench.run(single(state), {"failure": {"Error": "BuildError", "Cause": "why"}})
    assert (description["status"], description["error"], description["cause"]) == (
        "FAILED",
        "BuildError",
        "why!",
    )


def test_parallel_branches_give_their_outputs_in_order(bench: Bench) -> None:
    slow = single({"Type": "Wait", "Seconds": 5})
    quick = single({"Type": "Pass", "Result": "quick"})
    assert bench.output(single({"Type": "Parallel", "Branches": [slow, quick]}), {"in": 1}) == [
        {"in": 1},
        "quick",
    ]


def test_a_failing_branch_ends_its_siblings_and_is_caught(bench: Bench) -> None:
    waiting = single({"Type": "Wait", "Seconds": 100_000})
    failing = single({"Type": "Fail", "Error": "BranchError", "Cause": "c"})
    definition = machine(
        (
            "Both",
            {
                "Type": "Parallel",
                "Branches": [waiting, failing],
                "Catch": [{"ErrorEquals": ["BranchError"], "Next": "Caught"}],
                "End": True,
            },
        ),
        ("Caught", {"Type": "Pass", "End": True}),
    )
    assert bench.output(definition) == {"Error": "BranchError", "Cause": "c"}


def test_a_function_error_has_its_type_as_error_and_its_payload_as_cause(bench: Bench) -> None:
    def fail(_payload: Any) -> Any:
        raise FunctionError("BaseImageError", "no base")

    bench.function = fail
    description = bench.run(single(task()))
    assert description["error"] == "BaseImageError"
    assert json.loads(description["cause"])["errorMessage"] == "no base"


def test_a_lambda_service_error_is_named_after_the_service(bench: Bench) -> None:
    def refuse(_payload: Any) -> Any:
        raise ApiError("TooManyRequestsException", "Rate Exceeded.", 429)

    bench.function = refuse
    assert bench.run(single(task()))["error"] == "Lambda.TooManyRequestsException"


def failing_times(number: int, error: str = "BusyError") -> Any:
    calls = iter(range(1_000_000))

    def function(_payload: Any) -> Any:
        if next(calls) < number:
            raise FunctionError(error)
        return {"done": True}

    return function


def test_retry_repeats_the_named_errors(bench: Bench) -> None:
    bench.function = failing_times(2)
    state = task(Retry=[{"ErrorEquals": ["BusyError"], "IntervalSeconds": 1, "MaxAttempts": 2}])
    assert bench.output(single(state)) == {"done": True}
    assert len(bench.payloads) == 3


def test_retry_gives_up_after_its_attempts(bench: Bench) -> None:
    bench.function = failing_times(9)
    state = task(Retry=[{"ErrorEquals": ["BusyError"], "IntervalSeconds": 1, "MaxAttempts": 2}])
    assert bench.run(single(state))["error"] == "BusyError"
    assert len(bench.payloads) == 3


def test_zero_attempts_mean_no_retry(bench: Bench) -> None:
    bench.function = failing_times(9)
    retriers = [{"ErrorEquals": ["BusyError"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    assert bench.run(single(task(Retry=retriers)))["error"] == "BusyError"
    assert len(bench.payloads) == 1


def test_max_delay_bounds_the_back_off(bench: Bench) -> None:
    bench.function = failing_times(5)
    retrier = {
        "ErrorEquals": ["States.TaskFailed"],
        "IntervalSeconds": 10,
        "BackoffRate": 10,
        "MaxDelaySeconds": 12,
        "MaxAttempts": 5,
    }
    begin = time.monotonic()
    bench.output(single(task(Retry=[retrier])))
    assert 0.58 <= time.monotonic() - begin < 15


def test_full_jitter_stays_below_the_interval(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.function = failing_times(3)
    pauses: list[float] = []
    wait_for = bench.clock.wait_for

    def watched(changed: threading.Condition, ready: Callable[[], bool], seconds: float | None) -> bool:
        if seconds is not None and seconds < 1000:  # else it waits for the function
            pauses.append(seconds)
        return wait_for(changed, ready, seconds)

    monkeypatch.setattr(bench.clock, "wait_for", watched)
    retrier = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 50,
        "BackoffRate": 1,
        "JitterStrategy": "FULL",
    }
    bench.output(single(task(Retry=[retrier])))
    assert len(pauses) == len(set(pauses)) == 3
    assert all(0 <= pause <= 50 * bench.clock.scale for pause in pauses)


def test_catch_places_the_error_where_it_says(bench: Bench) -> None:
    bench.function = failing_times(9, "DigestError")
    definition = machine(
        (
            "Work",
            task(
                Catch=[
                    {"ErrorEquals": ["OtherError"], "Next": "Wrong"},
                    {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Right"},
                ],
                End=True,
            ),
        ),
        ("Wrong", {"Type": "Fail"}),
        ("Right", {"Type": "Pass", "End": True}),
    )
    output = bench.output(definition, {"kept": 1})
    assert output["kept"] == 1
    assert output["failure"]["Error"] == "DigestError"


def test_states_all_does_not_catch_a_runtime_error(bench: Bench) -> None:
    state = task(
        Parameters={"x.$": "$.missing"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}], End=True
    )
    description = bench.run(machine(("Work", state), ("Caught", {"Type": "Succeed"})))
    assert (description["status"], description["error"]) == ("FAILED", "States.Runtime")


def test_an_output_over_256_kib_exceeds_the_data_limit(bench: Bench) -> None:
    bench.function = lambda _payload: "x" * 262_145
    assert bench.run(single(task()))["error"] == "States.DataLimitExceeded"


def test_a_task_that_runs_too_long_times_out_in_real_seconds(bench: Bench) -> None:
    bench.function = lambda _payload: Future()
    begin = time.monotonic()
    description = bench.run(single(task(TimeoutSeconds=1)))
    assert description["error"] == "States.Timeout"
    assert time.monotonic() - begin >= 1


def test_states_task_failed_does_not_match_a_timeout(bench: Bench) -> None:
    state = callback_task(
        TimeoutSeconds=1,
        Retry=[{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 5}],
    )
    assert bench.run(single(state))["error"] == "States.Timeout"
    assert len(bench.payloads) == 1


def test_a_callback_timeout_is_scaled_and_each_attempt_has_its_own_token(bench: Bench) -> None:
    state = callback_task(
        TimeoutSeconds=5,
        Retry=[{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 1}],
    )
    arn = bench.start(single(state))
    bench.until(lambda: len(bench.payloads) == 3)
    first, last = bench.payloads[0]["token"], bench.payloads[-1]["token"]
    assert first != last
    with pytest.raises(ApiError, match="TaskTimedOut"):
        bench.call("send_task_success", taskToken=first, output="{}")
    bench.call("send_task_success", taskToken=last, output='{"late": false}')
    assert json.loads(bench.wait(arn)["output"]) == {"late": False}


def test_send_task_failure_fails_the_task(bench: Bench) -> None:
    arn = bench.start(single(callback_task()))
    bench.until(lambda: bench.payloads)
    bench.call("send_task_failure", taskToken=bench.payloads[0]["token"], error="CanaryError", cause="dead")
    description = bench.wait(arn)
    assert (description["error"], description["cause"]) == ("CanaryError", "dead")


def test_heartbeats_keep_a_callback_alive_and_their_absence_is_a_timeout(bench: Bench) -> None:
    arn = bench.start(single(callback_task(HeartbeatSeconds=150, TimeoutSeconds=20_000)))
    token = bench.until(lambda: bench.payloads)[0]["token"]
    for _ in range(8):
        time.sleep(0.25)
        bench.call("send_task_heartbeat", taskToken=token)
    assert bench.describe(arn)["status"] == "RUNNING"
    description = bench.wait(arn)
    assert description["error"] == "States.Timeout"
    assert "cause" not in description  # a missed heartbeat or deadline gives none (seen on AWS)


def test_the_machine_times_out_without_running_any_catch(bench: Bench) -> None:
    state = callback_task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}], End=True)
    definition = machine(("Await", state), ("Caught", {"Type": "Succeed"}), TimeoutSeconds=10)
    arn = bench.start(definition)
    description = bench.wait(arn)
    assert description["status"] == "TIMED_OUT"
    assert "error" not in description, "the end by the machine's own timeout tells nothing (seen on AWS)"
    assert "cause" not in description
    assert description["stopDate"] >= description["startDate"]
    assert bench.states(arn) == ["Await"]


def test_the_machine_times_out_in_a_branch(bench: Bench) -> None:
    branch = single({"Type": "Wait", "Seconds": 100_000})
    definition = single({"Type": "Parallel", "Branches": [branch, branch]}, TimeoutSeconds=10)
    assert bench.run(definition)["status"] == "TIMED_OUT"


def test_stopping_ends_the_thread_at_once_in_a_retry(bench: Bench) -> None:
    bench.function = failing_times(100)
    state = task(Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 90_000, "MaxAttempts": 9}])
    arn = bench.start(single(state))
    bench.until(lambda: bench.payloads)
    bench.call("stop_execution", executionArn=arn, error="Stopped", cause="by a person")
    description = bench.describe(arn)
    assert (description["status"], description["error"], description["cause"]) == (
        "ABORTED",
        "Stopped",
        "by a person",
    )
    bench.until(lambda: "emulator-execution" not in {thread.name for thread in threading.enumerate()})


def test_no_state_is_entered_after_a_stop(bench: Bench) -> None:
    working: Future[Any] = Future()
    bench.function = lambda _payload: working
    arn = bench.start(machine(("First", task(Next="Second")), ("Second", {"Type": "Succeed"})))
    bench.until(lambda: bench.payloads)
    bench.call("stop_execution", executionArn=arn)
    bench.until(lambda: "emulator-execution" not in {thread.name for thread in threading.enumerate()})
    assert bench.states(arn) == ["First"]
    assert bench.history(arn)[-1]["type"] == "ExecutionAborted"
