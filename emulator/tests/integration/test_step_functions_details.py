"""What Step Functions does at the edges of the language, as recorded on AWS (2023 to 2025)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import pytest
from emulator.tests.integration.workflow_bench import (
    FUNCTION,
    ROLE,
    Bench,
    FunctionError,
    callback_task,
    machine,
    single,
    task,
)

from aws_emulator.api.operations import ApiError

INVOKE = "arn:aws:states:::lambda:invoke"
FOREVER = single({"Type": "Wait", "Seconds": 1_000_000})


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def details(bench: Bench, arn: str, kind: str) -> dict[str, Any]:
    event = next(event for event in bench.history(arn) if event["type"] == kind)
    return event[kind[0].lower() + kind[1:] + "EventDetails"]


@pytest.mark.parametrize(
    ("path", "data", "value"),
    [
        ("$[*]", {}, []),
        ("$.items[*]", {}, []),
        ("$.item.items[*]", {}, []),
        ("$.items[*].x", {"items": [{"x": 1}, {"y": 2}, {"x": 3}]}, [1, 3]),
        ("$.items[0:1]", {}, []),
        ("$.items[1:]", {"items": [1, 2, 3]}, [2, 3]),
        ("$.items[*].list[*]", {"items": [{"list": [1, 2]}, {"list": [3]}]}, [1, 2, 3]),
        ("$.items[*]", {"items": {"a": 1, "b": 2}}, [1, 2]),
        ("$.items[-1]", {"items": [1, 2]}, 2),
    ],
)
def test_wildcards_and_slices_select_lists(bench: Bench, path: str, data: Any, value: Any) -> None:
    assert bench.output(single({"Type": "Pass", "Parameters": {"item.$": path}}), data) == {"item": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-1, "references a negative value: $.value == -1"),
        (1.5, "cannot be parsed as a long value: $.value == 1.5"),
        (-1.5, "cannot be parsed as a long value: $.value == -1.5"),
        ("2", "cannot be parsed as a long value: $.value == 2"),
    ],
)
def test_seconds_that_are_none_fail_the_execution(bench: Bench, value: Any, text: str) -> None:
    description = bench.run(single({"Type": "Wait", "SecondsPath": "$.value"}), {"value": value})
    assert description["error"] == "States.Runtime"
    assert description["cause"] == (
        "An error occurred while executing the state 'Only' (entered at the event id #2). "
        f"The SecondsPath parameter {text}"
    )


BAD_TIMESTAMPS = [
    "2016-12-05 21:29:29Z",
    "2016-12-05T21:29:29",
    "2016-13-05T21:29:29Z",
    "2016-12-05T25:29:29Z",
    "05-12-2016T21:29:29Z",
    "99999-01-01T00:00:00Z",
    "",
    5,
]


@pytest.mark.parametrize("value", BAD_TIMESTAMPS)
def test_a_timestamp_that_is_none_is_refused_in_a_definition_and_fails_in_the_data(
    bench: Bench, value: Any
) -> None:
    wait = single({"Type": "Wait", "Timestamp": value})
    text = "'SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at {}/States/Only/Timestamp'"
    for definition, place in (
        (wait, ""),
        (single({"Type": "Parallel", "Branches": [wait]}), "/States/Only/Branches[0]"),
    ):
        with pytest.raises(ApiError) as caught:
            bench.create(definition)
        assert caught.value.message == "Invalid State Machine Definition: " + text.format(place)
    description = bench.run(single({"Type": "Wait", "TimestampPath": "$.value"}), {"value": value})
    assert description["error"] == "States.Runtime"
    assert (
        "does not reference a valid ISO-8601 extended offset date-time format string" in description["cause"]
    )


def test_a_choice_by_timestamps_without_a_zone_does_not_match(bench: Bench) -> None:
    rule = {"Variable": "$.at", "TimestampLessThan": "2030-01-01T00:00:00Z", "Next": "Early"}
    definition = machine(
        ("Choose", {"Type": "Choice", "Choices": [rule], "Default": "Other"}),
        ("Early", {"Type": "Pass", "Result": "early", "End": True}),
        ("Other", {"Type": "Pass", "Result": "other", "End": True}),
    )
    assert bench.output(definition, {"at": "2020-01-01T00:00:00"}) == "other"
    assert bench.output(definition, {"at": "2020-01-01T00:00:00Z"}) == "early"


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
def test_the_context_object_is_read_as_it_was(bench: Bench, field: str) -> None:
    definition = machine(
        ("First", {"Type": "Pass", field: "$$", "Next": "Second"}), ("Second", {"Type": "Pass", "End": True})
    )
    state = bench.output(definition)["State"]
    assert state["Name"] == "First"
    assert "RetryCount" not in state, "only states that can be retried have it"


def test_nothing_catches_or_retries_a_runtime_error(bench: Bench) -> None:
    """Developer Guide, Error names: States.Runtime always fails the execution."""
    handler = {"ErrorEquals": ["States.Runtime", "States.TaskFailed"]}
    state = task(
        OutputPath="$.none.such",
        Retry=[{**handler, "IntervalSeconds": 1}],
        Catch=[{**handler, "Next": "Caught"}],
        End=True,
    )
    description = bench.run(machine(("Work", state), ("Caught", {"Type": "Succeed"})))
    assert (description["status"], description["error"]) == ("FAILED", "States.Runtime")
    assert description["cause"].endswith("Invalid path '$.none.such' : Missing property in path $['none']")
    assert len(bench.payloads) == 1


@pytest.mark.parametrize("resource", [FUNCTION, INVOKE])
def test_a_result_that_is_too_long_in_utf_8_fails_the_task_and_can_be_caught(
    bench: Bench, resource: str
) -> None:
    bench.function = lambda _payload: "é" * 140_000
    fields = {"Parameters": {"FunctionName": FUNCTION}} if resource == INVOKE else {}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    state = {"Type": "Task", "Resource": resource, **fields, "Catch": catch, "End": True}
    output = bench.output(machine(("Work", state), ("Caught", {"Type": "Pass", "End": True})))
    assert output["Error"] == "States.DataLimitExceeded"
    assert output["Cause"].startswith(f"The state/task '{'lambda' if resource == INVOKE else FUNCTION}' ")


def test_a_failure_without_error_and_cause_gives_nulls_to_a_catch(bench: Bench) -> None:
    state = callback_task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}], End=True)
    arn = bench.start(machine(("Await", state), ("Caught", {"Type": "Pass", "End": True})))
    bench.until(lambda: bench.payloads)
    bench.call("send_task_failure", taskToken=bench.payloads[0]["token"])
    assert json.loads(bench.wait(arn)["output"]) == {"Error": None, "Cause": None}
    assert set(details(bench, arn, "TaskFailed")) == {"resource", "resourceType"}


def test_a_fail_state_without_error_and_cause_leaves_them_out(bench: Bench) -> None:
    arn = bench.start(single({"Type": "Fail"}))
    assert not {"error", "cause"} & set(bench.wait(arn))
    assert details(bench, arn, "ExecutionFailed") == {}


def test_events_name_the_event_that_led_to_them(bench: Bench) -> None:
    """The first state's event follows none; each branch follows the start of its Parallel state."""
    branch = single({"Type": "Pass"})
    arn = bench.start(single({"Type": "Parallel", "Branches": [branch, branch]}))
    bench.wait(arn)
    events = bench.history(arn)
    links = [(event["type"], event["previousEventId"]) for event in events]
    assert links[:3] == [("ExecutionStarted", 0), ("ParallelStateEntered", 0), ("ParallelStateStarted", 2)]
    assert [previous for kind, previous in links if kind == "PassStateEntered"] == [3, 3]
    last = len(events)
    assert links[-3:] == [
        ("ParallelStateSucceeded", last - 3),
        ("ParallelStateExited", last - 3),
        ("ExecutionSucceeded", last - 1),
    ]


def test_a_parallel_state_fails_after_its_last_attempt_only_and_aborts_its_tasks(bench: Bench) -> None:
    bench.function = lambda payload: payload
    retrier = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}
    arn = bench.start(
        single(
            {
                "Type": "Parallel",
                "Branches": [
                    single(callback_task()),
                    machine(
                        ("Pause", {"Type": "Wait", "Seconds": 5, "Next": "End"}), ("End", {"Type": "Fail"})
                    ),
                ],
                "Retry": [retrier],
            }
        )
    )
    bench.wait(arn)
    bench.until(lambda: [e for e in bench.history(arn) if e["type"] == "TaskStateAborted"])
    kinds = [event["type"] for event in bench.history(arn)]
    assert kinds.count("ParallelStateStarted") == 2
    assert kinds.count("ParallelStateFailed") == 1


def test_events_of_lambda_tell_all_that_aws_tells(bench: Bench) -> None:
    arn = bench.start(single(task(TimeoutSeconds=9)), {"n": 1})
    bench.wait(arn)
    assert details(bench, arn, "LambdaFunctionScheduled") == {
        "resource": FUNCTION,
        "input": '{"n":1}',
        "inputDetails": {"truncated": False},
        "timeoutInSeconds": 9,
    }
    assert details(bench, arn, "LambdaFunctionSucceeded")["outputDetails"] == {"truncated": False}
    arn = bench.start(single(callback_task(TimeoutSeconds=900, HeartbeatSeconds=90)))
    token = bench.until(lambda: bench.payloads[1:])[0]["token"]
    bench.call("send_task_success", taskToken=token, output="{}")
    bench.wait(arn)
    scheduled = details(bench, arn, "TaskScheduled")
    assert (scheduled["timeoutInSeconds"], scheduled["heartbeatInSeconds"]) == (900, 90)
    submitted = json.loads(details(bench, arn, "TaskSubmitted")["output"])
    assert submitted["SdkHttpMetadata"]["HttpHeaders"]["X-Amz-Executed-Version"] == "$LATEST"


@pytest.mark.parametrize(
    ("payload", "arrives"), [("0.0", 0.0), ('{"a": 1}', {"a": 1}), (None, {}), ([1], [1]), (5, 5)]
)
def test_a_text_is_sent_as_it_stands_and_null_as_an_empty_object(
    bench: Bench, payload: Any, arrives: Any
) -> None:
    parameters = {"FunctionName": FUNCTION, "Payload": payload}
    state = {"Type": "Task", "Resource": INVOKE, "Parameters": parameters}
    assert bench.output(single(state))["Payload"] == arrives


@pytest.mark.parametrize("name", ["LogType", "Qualifier", "ClientContext"])
def test_what_is_not_handed_on_to_lambda_is_refused(bench: Bench, name: str) -> None:
    parameters = {"FunctionName": FUNCTION, name: "Tail"}
    with pytest.raises(ApiError, match=f"the emulator does not hand {name} on"):
        bench.create(single({"Type": "Task", "Resource": INVOKE, "Parameters": parameters}))


@pytest.mark.parametrize(
    ("expression", "data", "value"),
    [
        ("States.MathAdd($.a, $.b)", {"a": 1.49, "b": 1.5}, 3),
        ("States.MathAdd($.a, $.b)", {"a": -1.49, "b": -1.5}, -2),
        ("States.MathAdd($.a, $.b)", {"a": 2.5, "b": 0}, 3),
        ("States.Format('{}', $)", {"a": 1, "b": []}, "{a=1, b=[]}"),
        ("States.StringToJson($.a)", {"a": " "}, None),
    ],
)
def test_intrinsic_functions_round_and_write_as_aws_does(
    bench: Bench, expression: str, data: Any, value: Any
) -> None:
    assert bench.output(single({"Type": "Pass", "Parameters": {"v.$": expression}}), data) == {"v": value}


def test_a_random_number_lies_between_rounded_bounds(bench: Bench) -> None:
    state = {"Type": "Pass", "Parameters": {"v.$": "States.MathRandom(12.5, 14.4)"}}
    assert bench.output(single(state))["v"] == 13


@pytest.mark.parametrize(
    "definition",
    [
        {"StartAt": [], "States": {"A": {"Type": "Succeed"}}},
        {"StartAt": "A", "States": {"A": {"Type": []}}},
        single({"Type": "Pass", "InputPath": 5}),
        single({"Type": "Wait", "Seconds": 1.5}),
        single(task(Retry=[{"ErrorEquals": ["A"], "BackoffRate": "x"}])),
        machine(("A", {"Type": "Choice", "Choices": [{"Variable": "$", "StringEquals": 5, "Next": "A"}]})),
        machine(("A", {"Type": "Choice", "Choices": [{"Variable": "$", "StringMatches": 5, "Next": "A"}]})),
        single({"Type": "Fail", "Error": 5}),
        single({"Type": "Pass", "Assign": {"a": 1}}),
        single({"Type": "Pass", "Output": "{% 1 %}"}),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_created(bench: Bench, definition: dict) -> None:
    with pytest.raises(ApiError) as caught:
        bench.create(definition)
    assert caught.value.code == "InvalidDefinition"


@pytest.mark.parametrize(
    "expression",
    [
        "States.ArrayPartition($.list, 0)",
        "States.ArrayGetItem($.list, 9)",
        "States.ArrayGetItem($.list, -1)",
        "States.ArrayLength('abc')",
        "States.ArrayRange(1, 9, 0)",
        "States.MathAdd('a', 1)",
        "States.Base64Decode('ä')",
        "States.Hash('a', 'MD6')",
        "States.JsonMerge($.list, $, false)",
        "States.StringToJson('{')",
        "States.MathRandom(5, 5)",
    ],
)
def test_a_function_that_cannot_be_evaluated_is_an_error_of_the_language(
    bench: Bench, expression: str
) -> None:
    state = {"Type": "Pass", "Parameters": {"v.$": expression}}
    description = bench.run(single(state), {"list": [1, 2]})
    assert description["error"] == "States.IntrinsicFailure"


# The API.


@pytest.mark.parametrize("method", ["describe_execution", "get_execution_history", "stop_execution"])
def test_what_is_no_arn_of_an_execution_is_invalid(bench: Bench, method: str) -> None:
    with pytest.raises(ApiError, match="Invalid ARN prefix: nonsense") as caught:
        bench.call(method, executionArn="nonsense")
    assert caught.value.code == "InvalidArn"


@pytest.mark.parametrize("method", ["describe_state_machine", "list_executions", "start_execution"])
def test_what_is_no_arn_of_a_state_machine_is_invalid(bench: Bench, method: str) -> None:
    with pytest.raises(ApiError) as caught:
        bench.call(method, stateMachineArn="nonsense")
    assert caught.value.code == "InvalidArn"


def test_an_update_must_change_something_and_gives_a_revision(bench: Bench) -> None:
    arn = bench.create(FOREVER)
    with pytest.raises(ApiError) as caught:
        bench.call("update_state_machine", stateMachineArn=arn)
    assert caught.value.code == "MissingRequiredParameter"
    assert "revisionId" not in bench.call("describe_state_machine", stateMachineArn=arn)
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    changed = bench.call("update_state_machine", stateMachineArn=arn, definition=definition)
    again = bench.call("update_state_machine", stateMachineArn=arn, definition=definition)
    shown = bench.call("describe_state_machine", stateMachineArn=arn)
    assert changed["revisionId"] == again["revisionId"] == shown["revisionId"]
    bench.call("update_state_machine", stateMachineArn=arn, tracingConfiguration={"enabled": True})
    assert bench.call("describe_state_machine", stateMachineArn=arn)["tracingConfiguration"] == {
        "enabled": True
    }


def test_the_same_definition_in_another_format_is_another_one(bench: Bench) -> None:
    wanted = {"name": "same", "roleArn": ROLE}
    bench.call("create_state_machine", **wanted, definition=json.dumps(FOREVER))
    with pytest.raises(ApiError, match="StateMachineAlreadyExists"):
        bench.call("create_state_machine", **wanted, definition=json.dumps(FOREVER, indent=1))


def test_versions_are_refused_at_publish(bench: Bench) -> None:
    wanted = {"name": "versioned", "roleArn": ROLE, "definition": json.dumps(FOREVER)}
    with pytest.raises(ApiError, match="EmulatorUnsupportedParameter"):
        bench.call("create_state_machine", **wanted, publish=True)
    with pytest.raises(ApiError, match="can only be set when publish is true"):
        bench.call("create_state_machine", **wanted, versionDescription="x")
    arn = bench.create(FOREVER)
    with pytest.raises(ApiError, match="EmulatorUnsupportedParameter"):
        bench.call("update_state_machine", stateMachineArn=arn, roleArn=ROLE, publish=True)


@pytest.mark.parametrize(
    "configuration", [{"level": "ALL"}, {"level": "ERROR", "destinations": [{}]}, {"destinations": [{}, {}]}]
)
def test_logs_need_one_log_group(bench: Bench, configuration: dict) -> None:
    wanted = {"name": "logging", "roleArn": ROLE, "definition": json.dumps(FOREVER)}
    with pytest.raises(ApiError) as caught:
        bench.call("create_state_machine", **wanted, loggingConfiguration=configuration)
    assert caught.value.code == "InvalidLoggingConfiguration"


def test_executions_outlive_their_state_machine(bench: Bench) -> None:
    arn = bench.create(FOREVER)
    execution = bench.call("start_execution", stateMachineArn=arn, input='{"n": 1}')["executionArn"]
    bench.call("delete_state_machine", stateMachineArn=arn)
    assert bench.describe(execution)["status"] == "ABORTED"
    assert bench.history(execution)


def test_an_empty_input_is_not_json(bench: Bench) -> None:
    arn = bench.create(FOREVER)
    with pytest.raises(ApiError, match="InvalidExecutionInput"):
        bench.call("start_execution", stateMachineArn=arn, input="")


def test_a_status_event_tells_of_versions_and_redrives(bench: Bench) -> None:
    bench.run({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    events = bench.until(lambda: bench.events if len(bench.events) == 2 else None)
    # Events are delivered in any order.
    told = {event["detail"]["status"]: event["detail"] for event in events}
    assert set(told) == {"RUNNING", "SUCCEEDED"}
    for status, detail in told.items():
        assert detail["redriveStatusReason"] == f"Execution is {status} and cannot be redriven"
        assert detail["redriveStatus"] == "NOT_REDRIVABLE"
        assert (detail["stateMachineVersionArn"], detail["stateMachineAliasArn"]) == (None, None)
        assert (detail["redriveCount"], detail["redriveDate"]) == (0, None)


# Redrive (Developer Guide, Restarting state machine executions with redrive).


def test_a_redrive_goes_on_where_the_execution_failed(bench: Bench) -> None:
    state = callback_task(ResultPath="$.result", End=True)
    arn = bench.start(
        machine(("First", {"Type": "Pass", "Result": {"kept": 1}, "Next": "Await"}), ("Await", state)),
        name="again",
    )
    token = bench.until(lambda: bench.payloads)[0]["token"]
    bench.call("send_task_failure", taskToken=token, error="Bad", cause="first")
    first = bench.wait(arn)
    assert first["redriveStatus"] == "REDRIVABLE"
    before = len(bench.history(arn))
    date = bench.call("redrive_execution", executionArn=arn, clientToken="one")["redriveDate"]
    assert bench.call("redrive_execution", executionArn=arn, clientToken="one") == {"redriveDate": date}
    shown = bench.describe(arn)
    assert (shown["status"], shown["redriveCount"], shown["redriveDate"]) == ("RUNNING", 1, date)
    assert shown["startDate"] == first["startDate"]
    token = bench.until(lambda: bench.payloads[1:])[0]["token"]
    bench.call("send_task_success", taskToken=token, output='"late"')
    done = bench.wait(arn)
    assert json.loads(done["output"]) == {"kept": 1, "result": "late"}
    events = bench.history(arn)
    assert events[before]["type"] == "ExecutionRedriven"
    assert events[before]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert bench.states(arn) == ["First", "Await"]
    with pytest.raises(ApiError) as caught:
        bench.call("redrive_execution", executionArn=arn)
    assert caught.value.code == "ExecutionNotRedrivable"


@pytest.mark.parametrize("end", ["abort", "timeout"])
def test_an_execution_that_was_ended_from_outside_can_be_redriven(bench: Bench, end: str) -> None:
    """The machine's own timeout begins anew, and nothing of the first attempt goes on."""
    limit = {"TimeoutSeconds": 10} if end == "timeout" else {}
    arn = bench.start(single(callback_task(), **limit))
    first = bench.until(lambda: bench.payloads)[0]["token"]
    if end == "abort":
        bench.call("stop_execution", executionArn=arn)
    bench.wait(arn)
    bench.call("redrive_execution", executionArn=arn)
    token = bench.until(lambda: bench.payloads[1:])[0]["token"]
    with pytest.raises(ApiError, match="TaskTimedOut"):
        bench.call("send_task_success", taskToken=first, output="{}")
    if end == "abort":
        bench.call("send_task_success", taskToken=token, output="{}")
        assert bench.wait(arn)["status"] == "SUCCEEDED"
    else:
        assert bench.wait(arn)["status"] == "TIMED_OUT"


def test_a_redrive_runs_only_the_branches_again_that_did_not_succeed(bench: Bench) -> None:
    calls: list[str] = []

    def function(payload: Any) -> Any:
        calls.append(payload["branch"])
        if payload["branch"] == "bad" and calls.count("bad") == 1:
            raise FunctionError("BadError")
        return payload["branch"]

    bench.function = function
    good = single(task(Parameters={"branch": "good"}))
    late = {"Type": "Wait", "Seconds": 20, "Next": "Work"}
    bad = machine(("Late", late), ("Work", task(Parameters={"branch": "bad"}, End=True)))
    arn = bench.start(single({"Type": "Parallel", "Branches": [good, bad]}))
    assert bench.wait(arn)["error"] == "BadError"
    bench.call("redrive_execution", executionArn=arn)
    assert json.loads(bench.wait(arn)["output"]) == ["good", "bad"]
    assert calls == ["good", "bad", "bad"]


def test_nothing_of_a_run_that_was_ended_acts_in_the_redriven_one(bench: Bench) -> None:
    """Its thread is in a call when the execution is ended, and comes back with a failure."""
    begun, released = Event(), Event()
    threads: list[threading.Thread] = []

    def function(payload: Any) -> Any:
        if len(bench.payloads) == 1:
            threads.append(threading.current_thread())
            begun.set()
            released.wait(60)
            raise ValueError("an error that is none of the function's")
        return {"done": payload}

    bench.function = function
    arn = bench.start(machine(("Work", task(Next="Await")), ("Await", callback_task(End=True))))
    begun.wait(60)
    bench.call("stop_execution", executionArn=arn)
    bench.call("redrive_execution", executionArn=arn)
    token = bench.until(lambda: bench.payloads[2:])[0]["token"]
    released.set()
    threads[0].join(60)
    assert bench.describe(arn)["status"] == "RUNNING"
    bench.call("send_task_success", taskToken=token, output='"late"')
    done = bench.wait(arn)
    assert (done["status"], done["output"]) == ("SUCCEEDED", '"late"')


def test_a_run_that_begins_after_it_was_ended_and_redriven_does_nothing(bench: Bench) -> None:
    threads: list[Callable[[], None]] = []
    spawn = bench.clock.spawn
    bench.clock.spawn = lambda _name, target, *args: threads.append(partial(target, *args))  # type: ignore[method-assign]
    arn = bench.start(
        machine(("First", {"Type": "Pass", "Next": "Await"}), ("Await", callback_task(End=True)))
    )
    bench.call("stop_execution", executionArn=arn)
    bench.call("redrive_execution", executionArn=arn)
    bench.clock.spawn = spawn  # type: ignore[method-assign]
    first, second = threads
    bench.clock.spawn("emulator-execution", second)
    token = bench.until(lambda: bench.payloads)[0]["token"]
    late = threading.Thread(target=first, daemon=True)
    late.start()
    late.join(5)
    assert not late.is_alive()
    assert bench.states(arn) == ["First", "Await"]
    bench.call("send_task_failure", taskToken=token, error="Bad")
    bench.wait(arn)
    bench.call("redrive_execution", executionArn=arn)
    bench.until(lambda: bench.payloads[1:])
    assert bench.states(arn) == ["First", "Await"], "the second redrive goes on where the first one failed"


@pytest.mark.parametrize("end", ["succeed", "fail", "time_out"])
def test_a_run_that_was_ended_cannot_end_the_redriven_one(bench: Bench, end: str) -> None:
    arn = bench.start(FOREVER)
    execution = bench.service.executions()[0]
    bench.until(lambda: bench.states(arn))
    bench.call("stop_execution", executionArn=arn)
    bench.call("redrive_execution", executionArn=arn)
    ends = {
        "succeed": lambda attempt: execution.succeed({}, 0, attempt),
        "fail": lambda attempt: execution.fail("Bad", None, 0, attempt),
        "time_out": execution.time_out,
    }
    ends[end](0)
    assert bench.describe(arn)["status"] == "RUNNING"
    ends[end](1)
    assert bench.describe(arn)["status"] != "RUNNING"


def test_executions_are_listed_by_whether_they_were_redriven(bench: Bench) -> None:
    arn = bench.create(single({"Type": "Fail"}))
    first, second = (bench.call("start_execution", stateMachineArn=arn)["executionArn"] for _ in range(2))
    for execution in (first, second):
        bench.wait(execution)
    bench.call("redrive_execution", executionArn=first)
    bench.wait(first)

    def listed(redriven: str) -> list[str]:
        found = bench.call("list_executions", stateMachineArn=arn, redriveFilter=redriven)["executions"]
        return [row["executionArn"] for row in found]

    assert listed("REDRIVEN") == [first]
    assert listed("NOT_REDRIVEN") == [second]


def test_an_execution_cannot_be_redriven_after_14_days(bench: Bench) -> None:
    arn = bench.start(single({"Type": "Fail"}))
    bench.wait(arn)
    execution = bench.service.executions()[0]
    assert execution.stop_date is not None
    execution.stop_date -= timedelta(days=14)
    assert "14 days" in bench.describe(arn)["redriveStatusReason"]
    with pytest.raises(ApiError, match="ExecutionNotRedrivable"):
        bench.call("redrive_execution", executionArn=arn)


def test_a_redrive_is_an_event(bench: Bench) -> None:
    arn = bench.start(single({"Type": "Fail"}))
    bench.wait(arn)
    bench.call("redrive_execution", executionArn=arn)
    bench.wait(arn)
    events = bench.until(lambda: bench.events if len(bench.events) == 4 else None)
    seen = [(event["detail"]["status"], event["detail"]["redriveCount"]) for event in events]
    # Events are delivered at least once, and in any order.
    assert sorted(seen) == [("FAILED", 0), ("FAILED", 1), ("RUNNING", 0), ("RUNNING", 1)]
    for event in events:
        has_date = isinstance(event["detail"]["redriveDate"], int)
        assert has_date == (event["detail"]["redriveCount"] == 1)


def test_a_standard_workflow_cannot_be_run_synchronously(bench: Bench) -> None:
    arn = bench.create(FOREVER)
    with pytest.raises(ApiError) as caught:
        bench.call("start_sync_execution", stateMachineArn=arn)
    assert caught.value.code == "StateMachineTypeNotSupported"
