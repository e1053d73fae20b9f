"""CloudWatch Logs as its API reference says, and what Run Command and functions deliver to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.integration.conftest import until

from aws_emulator.api.operations import Request
from aws_emulator.clock import Clock
from aws_emulator.logs import Logs
from aws_emulator.logs.store import Line


@pytest.fixture
def logs(platform: Any) -> Any:
    return platform.client("logs")


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.close()


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/tests/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name)
    return name


def now_ms() -> int:
    return int(time.time() * 1000)


def write(logs: Any, group: str, stream: str, *messages: str, at: int | None = None) -> Any:
    """Write events, a millisecond apart."""
    if not logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    begin = at or now_ms()
    events = [{"timestamp": begin + number, "message": text} for number, text in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def filtered(logs: Any, group: str, **wanted: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **wanted)
    return [event["message"] for page in pages for event in page["events"]]


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_events_of_several_streams_come_in_the_order_of_their_time(logs: Any, group: str) -> None:
    begin = now_ms()
    write(logs, group, "b/stdout", "first", "third", at=begin)
    write(logs, group, "a/stdout", "second", at=begin + 1)
    # Equal times keep the order of arrival.
    assert filtered(logs, group) == ["first", "third", "second"]
    assert filtered(logs, group, logStreamNamePrefix="a/") == ["second"]
    assert filtered(logs, group, logStreamNames=["b/stdout"]) == ["first", "third"]
    assert filtered(logs, group, startTime=begin + 1) == ["third", "second"]
    # FilterLogEvents: events with a timestamp later than endTime are not returned. GetLogEvents: nor those equal to it.
    assert filtered(logs, group, endTime=begin) == ["first"]
    got = logs.get_log_events(logGroupName=group, logStreamName="b/stdout", endTime=begin + 1)
    assert [event["message"] for event in got["events"]] == ["first"]


def test_a_page_can_be_empty_although_another_follows(logs: Any, group: str) -> None:
    write(logs, group, "s", *map(str, range(5)))
    first = logs.filter_log_events(logGroupName=group, limit=2)
    assert (first["events"], "nextToken" in first) == ([], True)
    assert filtered(logs, group, PaginationConfig={"PageSize": 2}) == list("01234")
    event = logs.filter_log_events(logGroupName=group, nextToken=first["nextToken"])["events"][0]
    assert {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"} == set(event)


def test_the_tokens_of_one_stream_are_never_null_and_repeat_at_its_end(logs: Any, group: str) -> None:
    write(logs, group, "s", *map(str, range(5)))
    read = {"logGroupName": group, "logStreamName": "s", "limit": 2}
    latest = logs.get_log_events(**read)
    assert [event["message"] for event in latest["events"]] == ["3", "4"]
    before = logs.get_log_events(**read, nextToken=latest["nextBackwardToken"])
    assert [event["message"] for event in before["events"]] == ["1", "2"]
    end = logs.get_log_events(**read, nextToken=latest["nextForwardToken"], startFromHead=True)
    assert (end["events"], end["nextForwardToken"]) == ([], latest["nextForwardToken"])
    head = logs.get_log_events(**read, startFromHead=True)
    assert [event["message"] for event in head["events"]] == ["0", "1"]


def test_pages_that_are_cut_at_1_mb_leave_no_event_out(logs: Any, group: str) -> None:
    """GetLogEvents: as many events as fit in 1 MB, the latest first without startFromHead."""
    begin = now_ms()
    for number in range(3):
        write(logs, group, "s", f"{number}{'.' * 600_000}", at=begin + number)
    read = {"logGroupName": group, "logStreamName": "s"}

    def numbers(page: Any) -> list[int]:
        return [int(event["message"][0]) for event in page["events"]]

    latest = logs.get_log_events(**read)
    middle = logs.get_log_events(**read, nextToken=latest["nextBackwardToken"])
    oldest = logs.get_log_events(**read, nextToken=middle["nextBackwardToken"])
    assert (numbers(latest), numbers(middle), numbers(oldest)) == ([2], [1], [0])
    assert numbers(logs.get_log_events(**read, nextToken=oldest["nextBackwardToken"])) == []
    assert numbers(logs.get_log_events(**read, nextToken=oldest["nextForwardToken"])) == [1]
    head = logs.get_log_events(**read, startFromHead=True)
    following = logs.get_log_events(**read, nextToken=head["nextForwardToken"])
    assert (numbers(head), numbers(following)) == ([0], [1])


@pytest.mark.parametrize("token", ["f/²", f"f/{'9' * 5000}", "b/1", "x/" + "0" * 56])
def test_a_token_of_somebody_else_is_refused(logs: Any, group: str, token: str) -> None:
    write(logs, group, "s", "x")
    asked = {"logGroupName": group, "logStreamName": "s", "nextToken": token}
    assert refusal(logs.get_log_events, **asked) == "InvalidParameterException"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("ERROR", ["ERROR one", 'ERROR "two words"']),
        ("ERROR -one", ['ERROR "two words"']),
        ("?one ?plain", ["ERROR one", "plain"]),
        ('"two words"', ['ERROR "two words"']),
        ('{ $.arn = "a:1" }', ['{"arn": "a:1", "level": "INFO"}']),
        ('{ $.arn = "a:*" && $.level != "INFO" }', ['{"arn": "a:2", "level": "WARN"}']),
        ('{ $.level = "WARN" || $.arn = "a:1" }', None),
    ],
)
def test_patterns_select_by_terms_and_by_properties(
    logs: Any, group: str, pattern: str, found: list[str] | None
) -> None:
    lines = ["ERROR one", 'ERROR "two words"', "plain"]
    objects = ['{"arn": "a:1", "level": "INFO"}', '{"arn": "a:2", "level": "WARN"}']
    write(logs, group, "s", *lines, *objects)
    assert filtered(logs, group, filterPattern=pattern) == (objects if found is None else found)


def test_what_the_service_refuses_is_refused(logs: Any, group: str) -> None:
    write(logs, group, "s", "x")
    read = logs.filter_log_events
    assert refusal(read, logGroupName="/none") == "ResourceNotFoundException"
    assert (
        refusal(read, logGroupName=group, logStreamNames=["s"], logStreamNamePrefix="s")
        == "InvalidParameterException"
    )
    assert refusal(read, logGroupName=group, logStreamNames=["none"]) == "ResourceNotFoundException"
    assert refusal(read, logGroupName=group, limit=10_001) == "InvalidParameterException"
    assert refusal(read, logGroupName=group, nextToken="none") == "InvalidParameterException"
    assert refusal(read, logGroupName=group, filterPattern="{ none }") == "InvalidParameterException"
    assert refusal(read) == "InvalidParameterException"
    assert (
        refusal(logs.get_log_events, logGroupName=group, logStreamName="none") == "ResourceNotFoundException"
    )
    late = [{"timestamp": now_ms(), "message": "b"}, {"timestamp": now_ms() - 5, "message": "a"}]
    put = {"logGroupName": group, "logStreamName": "s"}
    assert refusal(logs.put_log_events, **put, logEvents=late) == "InvalidParameterException"
    assert refusal(logs.create_log_group, logGroupName=group) == "ResourceAlreadyExistsException"
    assert refusal(logs.put_retention_policy, logGroupName=group, retentionInDays=2) == (
        "InvalidParameterException"
    )
    old = write(logs, group, "s", "old", at=now_ms() - 15 * 24 * 3600 * 1000)
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert filtered(logs, group) == ["x"]


@pytest.mark.parametrize("token", ["\u00b2", "9" * 5000, "1"])
@pytest.mark.parametrize("operation", ["describe_log_groups", "describe_log_streams", "filter_log_events"])
def test_no_token_is_an_error_of_the_emulator(logs: Any, group: str, operation: str, token: str) -> None:
    asked = {} if operation == "describe_log_groups" else {"logGroupName": group}
    if operation == "filter_log_events" and token == "1":
        assert logs.filter_log_events(**asked, nextToken=token)["events"] == []
    else:
        code = refusal(getattr(logs, operation), **asked, nextToken=token)
        assert code == "InvalidParameterException"


def test_groups_and_streams_are_listed_in_pages(logs: Any, group: str) -> None:
    for name in "abc":
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    first = logs.describe_log_streams(logGroupName=group, limit=2)
    rest = logs.describe_log_streams(logGroupName=group, limit=2, nextToken=first["nextToken"])
    names = [each["logStreamName"] for page in (first, rest) for each in page["logStreams"]]
    assert (names, "nextToken" in rest) == (["a", "b", "c"], False)


def test_what_is_older_than_the_retention_of_its_group_is_rejected(logs: Any, group: str) -> None:
    """CloudWatch Logs API reference, PutLogEvents: none of the events can be older than the retention period."""
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    day = 24 * 3600 * 1000
    ages = (20 * day, 4 * day, 2 * day, day + 60_000 + day // 2, -3 * 3600 * 1000)
    events = [{"timestamp": now_ms() - age, "message": str(number)} for number, age in enumerate(ages)]
    answer = logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 1,
        "expiredLogEventEndIndex": 2,
        "tooNewLogEventStartIndex": 4,
    }
    assert filtered(logs, group) == ["2", "3"]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_log_group", {"logGroupName": "/other", "logGroupClass": "INFREQUENT_ACCESS"}),
        ("describe_log_groups", {"logGroupNamePattern": "tests"}),
        ("get_log_events", {"logGroupName": "/other", "logStreamName": "s", "unmask": True}),
        ("filter_log_events", {"logGroupName": "/other", "unmask": True}),
    ],
)
def test_what_is_not_emulated_is_refused_and_not_ignored(
    logs: Any, operation: str, parameters: dict[str, Any]
) -> None:
    assert refusal(getattr(logs, operation), **parameters) == "EmulatorUnsupportedParameter"


def test_what_functions_print_is_in_their_log_group(platform: Any, logs: Any) -> None:
    configuration = platform.client("lambda").get_function_configuration(
        FunctionName=platform.physical_id("WorkerFunction")
    )
    group = configuration["LoggingConfig"]["LogGroup"]
    # The role may not create it, so it has to be there.
    logs.create_log_group(logGroupName=group)
    word = uuid.uuid4().hex
    platform.invoke("WorkerFunction", {"mode": word})
    # The process's output comes through a pipe, a moment later.
    until(lambda: any(word in message for message in filtered(logs, group)))


def test_a_new_group_has_nothing_of_what_was_written_before(clock: Clock) -> None:
    """What Lambda writes to a group that does not exist is lost."""
    written = [("/late", "s", Line("source", clock.now(), "early"))]

    def pending() -> list[tuple[str, str, Line]]:
        taken = list(written)
        written.clear()
        return taken

    service = Logs(clock, account_id="123456789012", region="us-east-1", pending=pending)

    def request(operation: str) -> Request:
        return Request(
            "logs", operation, {"logGroupName": "/late"}, "us-east-1", "123456789012", "client", "id"
        )

    service.create_log_group(request("CreateLogGroup"))
    assert service.describe_log_streams(request("DescribeLogStreams"))["logStreams"] == []


def test_a_group_is_deleted_with_its_streams(logs: Any, group: str) -> None:
    """CloudWatch Logs API reference, DeleteLogGroup."""
    write(logs, group, "stream", "line")
    logs.delete_log_group(logGroupName=group)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.describe_log_streams(logGroupName=group)
