"""Events reach the targets of the template's rules, changed as the targets say, or the dead-letter queue."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest


def executions(platform: Any) -> list[dict[str, Any]]:
    return platform.client("stepfunctions").list_executions(stateMachineArn=platform.outputs["MachineArn"])[
        "executions"
    ]


def test_a_matching_event_starts_the_state_machine_with_the_transformed_input(
    platform: Any, eventually: Any
) -> None:
    before = len(executions(platform))
    event_id = platform.push()
    started = eventually(lambda: len(executions(platform)) > before and executions(platform)[0])
    assert started["name"].startswith(f"{event_id}_")
    description = platform.client("stepfunctions").describe_execution(executionArn=started["executionArn"])
    assert json.loads(description["input"]) == {"mode": "echo", "said": "pushed prod-latest"}
    calls = [call for call in platform.emulator.calls.since(0) if call.operation == "StartExecution"]
    assert calls[-1].caller == "PushedRule"


def test_a_real_push_to_the_registry_starts_it_too(platform: Any, eventually: Any) -> None:
    before = len(executions(platform))
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64}, "layers": []})
    platform.client("ecr").put_image(
        repositoryName="application", imageManifest=manifest, imageTag="dev-latest"
    )
    eventually(lambda: len(executions(platform)) > before)


def test_an_event_that_does_not_match_starts_nothing(platform: Any, eventually: Any) -> None:
    before = len(executions(platform))
    platform.push("other")
    platform.push()
    eventually(lambda: len(executions(platform)) == before + 1)


def test_a_disabled_rule_matches_nothing_until_it_is_enabled(platform: Any, eventually: Any) -> None:
    events, rule = platform.client("events"), platform.physical_id("PushedRule")
    before = len(executions(platform))
    events.disable_rule(Name=rule)
    seen: list[Any] = []
    platform.emulator.bus.subscribe(seen.append)
    try:
        assert events.describe_rule(Name=rule)["State"] == "DISABLED"
        platform.push()
        eventually(lambda: seen)
    finally:
        events.enable_rule(Name=rule)
    platform.push()
    eventually(lambda: len(executions(platform)) == before + 1)


def test_a_failed_execution_invokes_the_function_that_watches(platform: Any, eventually: Any) -> None:
    marker = uuid.uuid4().hex
    arn = platform.client("stepfunctions").start_execution(
        stateMachineArn=platform.outputs["MachineArn"], input=json.dumps({"mode": "fail", "message": marker})
    )["executionArn"]

    def invoked() -> bool:
        return any(
            call.operation == "Invoke" and call.caller == "EndedRule" and call.outcome == "ok"
            for call in platform.emulator.calls.since(0)
        )

    eventually(invoked)
    description = platform.client("stepfunctions").describe_execution(executionArn=arn)
    assert (description["status"], description["error"]) == ("FAILED", "ValueError")
    assert marker in description["cause"]


def test_a_target_without_permission_goes_to_the_dead_letter_queue_at_once(platform: Any) -> None:
    """EventBridge User Guide, dead-letter queues: events without permission are not retried."""
    platform.client("events").put_events(
        Entries=[{"Source": "test.forbidden", "DetailType": "x", "Detail": '{"n": 1}'}]
    )
    letter = platform.messages("FailuresUrl")[0]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"])["detail"] == {"n": 1}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert "RETRY_ATTEMPTS" not in attributes
    assert attributes["RULE_ARN"].endswith(platform.physical_id("ForbiddenRule"))
    assert ":function:" in attributes["TARGET_ARN"]


def test_a_queue_whose_policy_does_not_name_the_rule_gets_nothing(platform: Any) -> None:
    """Amazon EventBridge User Guide, Resource-based policies: Amazon SQS."""
    events, sqs = platform.client("events"), platform.client("sqs")
    failures = sqs.get_queue_attributes(QueueUrl=platform.outputs["FailuresUrl"], AttributeNames=["QueueArn"])
    letters = {"Arn": failures["Attributes"]["QueueArn"]}
    events.put_rule(Name="other", EventPattern=json.dumps({"source": ["test.other"]}))
    target = {"Id": "inbox", "Arn": queue_arn(platform), "DeadLetterConfig": letters}
    events.put_targets(Rule="other", Targets=[target])
    try:
        events.put_events(Entries=[{"Source": "test.other", "DetailType": "x", "Detail": "{}"}])
        letter = platform.messages("FailuresUrl")[0]
        assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
        assert platform.drain("InboxUrl") == []
    finally:
        events.remove_targets(Rule="other", Ids=["inbox"])
        events.delete_rule(Name="other")


def test_a_throttled_delivery_is_repeated(platform: Any, eventually: Any) -> None:
    before = len(executions(platform))
    platform.emulator.faults.add(
        {
            "kind": "error",
            "service": "stepfunctions",
            "operation": "StartExecution",
            "code": "ThrottlingException",
            "times": 2,
        }
    )
    platform.push()
    eventually(lambda: len(executions(platform)) == before + 1)


@pytest.fixture
def rule(platform: Any) -> Iterator[str]:
    events = platform.client("events")
    events.put_rule(Name="mine", EventPattern=json.dumps({"source": ["test.mine"]}))
    yield "mine"
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule="mine")["Targets"]]
    if targets:
        events.remove_targets(Rule="mine", Ids=targets)
    events.delete_rule(Name="mine")


def queue_arn(platform: Any) -> str:
    attributes = platform.client("sqs").get_queue_attributes(
        QueueUrl=platform.outputs["InboxUrl"], AttributeNames=["QueueArn"]
    )
    return attributes["Attributes"]["QueueArn"]


MINE = {
    "text": "hello",
    "number": 42,
    "nothing": None,
    "object": {"first": "one"},
    "list": ["one", {"x": 3}],
    "rows": [{"name": "first"}, {"name": "second"}],
    "quoted": 'say "hello"',
    "slash/key": "slash",
}


def templated(template: str, **paths: str) -> dict[str, Any]:
    mapped = {name: f"$.detail.{path}" for name, path in paths.items()}
    return {"InputTransformer": {"InputTemplate": template} | ({"InputPathsMap": mapped} if mapped else {})}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"Input": '{ "fixed": 1 }'}, '{ "fixed": 1 }'),
        ({"InputPath": "$.detail.list[1]"}, '{"x":3}'),
        ({"InputPath": "$.detail.rows[*].name"}, '["first","second"]'),
        ({"InputPath": "$.detail.slash/key"}, '"slash"'),
        ({"InputPath": "$.detail.nothing"}, "{}"),
        ({"InputPath": "$.detail.missing"}, "{}"),
        ({"InputPath": ""}, "{}"),
        (
            templated('{"a":<a>,"b":"<b> and <c>","d":<d>}', a="object", b="quoted", c="number", d="nothing"),
            '{"a":{"first":"one"},"b":"say \\"hello\\" and 42","d":null}',
        ),
        (templated('{"a":<a>,"b":"<a>","c":[<a>]}', a="missing"), '{"a":"","b":"","c":[""]}'),
        (
            templated('"a <a>, b <b>, c<c>"', a="object", b="list", c="missing"),
            '"a {first:one}, b [one,{x:3}], c"',
        ),
        (templated('"first <a>"\n"second <a>"', a="text"), '"first hello"\n"second hello"'),
        (templated('"before <undefined> after"'), '"before <undefined> after"'),
        (templated("[<a>]", a="nothing"), "[null]"),
        (templated('"<aws.events.rule-name> has it"'), '"mine has it"'),
    ],
)
def test_inputs_of_targets(platform: Any, rule: str, shape: dict[str, Any], expected: str) -> None:
    """As recorded in radkawar/stackd, testdata/aws/eventbridge/inputs.json."""
    events = platform.client("events")
    events.put_targets(Rule=rule, Targets=[{"Id": "inbox", "Arn": queue_arn(platform), **shape}])
    events.put_events(Entries=[{"Source": "test.mine", "DetailType": "x", "Detail": json.dumps(MINE)}])
    assert platform.messages("InboxUrl")[0]["Body"] == expected


def test_the_event_itself_in_a_template(platform: Any, rule: str) -> None:
    """EventBridge user guide, Input transformation: predefined variables; <aws.events.event> is recorded."""
    events = platform.client("events")
    template = (
        '{"event":<aws.events.event>,"whole":<aws.events.event.json>,"at":<aws.events.event.ingestion-time>}'
    )
    events.put_targets(
        Rule=rule, Targets=[{"Id": "inbox", "Arn": queue_arn(platform), **templated(template)}]
    )
    events.put_events(
        Entries=[
            {
                "Source": "test.mine",
                "DetailType": "x",
                "Detail": "{}",
                "Time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            }
        ]
    )
    body = json.loads(platform.messages("InboxUrl")[0]["Body"])
    assert body["event"] == {
        "id": body["whole"]["id"],
        "account": "123456789012",
        "detailType": "x",
        "time": 1767323045000,
        "source": "test.mine",
        "region": "us-east-1",
        "resources": [],
        "version": "0",
    }
    assert body["whole"]["time"] == "2026-01-02T03:04:05Z"
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.\d{3}Z", body["at"])


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (templated('{"value":"<a>"}', a="object"), '{"value":"{"first":"one"}"}'),
        (templated('"prefix <a>"', a="quoted"), '"prefix say "hello""'),
        (templated("<a>", a="text"), "hello"),
        (templated("[1,<a>]", a="missing"), "[1,]"),
        (templated('{"value":<undefined>}'), '{"value":<undefined>}'),
    ],
)
def test_an_input_that_is_no_json_goes_to_the_dead_letter_queue(
    platform: Any, rule: str, shape: dict[str, Any], body: str
) -> None:
    """As recorded in radkawar/stackd, testdata/aws/eventbridge/inputs.json."""
    events, sqs = platform.client("events"), platform.client("sqs")
    failures = sqs.get_queue_attributes(QueueUrl=platform.outputs["FailuresUrl"], AttributeNames=["QueueArn"])
    letters = {"Arn": failures["Attributes"]["QueueArn"]}
    arn = f"arn:aws:events:us-east-1:123456789012:rule/{rule}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": letters["Arn"],
        "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
    }
    before = sqs.get_queue_attributes(QueueUrl=platform.outputs["FailuresUrl"], AttributeNames=["Policy"])
    policy = json.loads(before["Attributes"]["Policy"])
    policy["Statement"].append(statement)
    sqs.set_queue_attributes(
        QueueUrl=platform.outputs["FailuresUrl"], Attributes={"Policy": json.dumps(policy)}
    )
    target = {"Id": "inbox", "Arn": queue_arn(platform), "DeadLetterConfig": letters, **shape}
    try:
        events.put_targets(Rule=rule, Targets=[target])
        events.put_events(Entries=[{"Source": "test.mine", "DetailType": "x", "Detail": json.dumps(MINE)}])
        letter = platform.messages("FailuresUrl")[0]
    finally:
        sqs.set_queue_attributes(QueueUrl=platform.outputs["FailuresUrl"], Attributes=before["Attributes"])
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert letter["Body"] == body
    assert attributes == {
        "RULE_ARN": arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": "INVALID_JSON",
        "ERROR_MESSAGE": "Invalid input for target.",
    }


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"Input": "not-json"}, "JSON syntax error in input for target t"),
        (
            {"Input": "{}", "InputPath": "$"},
            "Only one of Input, InputPath, or InputTransformer must be provided",
        ),
        ({"InputPath": "$['detail']"}, "InputPath for target t is invalid"),
        ({"InputPath": "$..text"}, "InputPath for target t is invalid"),
        ({"InputPath": "$.detail.array[-1]"}, "InputPath for target t is invalid"),
        ({"InputPath": "detail"}, "InputPath for target t is invalid"),
        ({"InputPath": "$.detail.object.*"}, "InputPath for target t is invalid"),
        (templated('{"a":<b>}', a="x"), "InputTemplate for target t contains invalid placeholder b"),
        (templated("hello <a>", a="x"), "Invalid InputTemplate for target t"),
        (
            templated('{"<a>":1}', a="x"),
            "InputTemplate placeholder present as a JSON object key for target t",
        ),
        (
            templated('"<aws.events.event.json>"'),
            "contains placeholder aws.events.event.json valid only for JSON template",
        ),
    ],
)
def test_inputs_that_put_targets_refuses(
    platform: Any, rule: str, shape: dict[str, Any], message: str
) -> None:
    """As recorded in radkawar/stackd, testdata/aws/eventbridge/inputs.json."""
    events = platform.client("events")
    with pytest.raises(events.exceptions.ClientError, match="ValidationException") as failure:
        events.put_targets(Rule=rule, Targets=[{"Id": "t", "Arn": queue_arn(platform), **shape}])
    assert message in failure.value.response["Error"]["Message"]


def test_targets_are_checked(platform: Any, rule: str) -> None:
    events, arn = platform.client("events"), queue_arn(platform)
    machine = {"Id": "m", "Arn": platform.outputs["MachineArn"]}
    with pytest.raises(events.exceptions.ClientError, match="RoleArn is required"):
        events.put_targets(Rule=rule, Targets=[machine])
    for identifier in ("!@#$@!#$", "x" * 65):
        with pytest.raises(events.exceptions.ClientError, match="ValidationException"):
            events.put_targets(Rule=rule, Targets=[{"Id": identifier, "Arn": arn}])
    unchecked = platform.client("events", parameter_validation=False)
    with pytest.raises(events.exceptions.ClientError, match=r"ValidationException.*Arn"):
        unchecked.put_targets(Rule=rule, Targets=[{"Id": "t"}])
    many = [{"Id": str(number), "Arn": arn} for number in range(6)]
    with pytest.raises(events.exceptions.LimitExceededException):
        events.put_targets(Rule=rule, Targets=many)


def test_targets_are_listed_in_pages(platform: Any, rule: str) -> None:
    """EventBridge API reference, ListTargetsByRule: Limit, NextToken."""
    events, arn = platform.client("events"), queue_arn(platform)
    events.put_targets(Rule=rule, Targets=[{"Id": str(number), "Arn": arn} for number in range(3)])
    first = events.list_targets_by_rule(Rule=rule, Limit=2)
    rest = events.list_targets_by_rule(Rule=rule, Limit=2, NextToken=first["NextToken"])
    assert [len(first["Targets"]), len(rest["Targets"])] == [2, 1]
    assert "NextToken" not in rest


def test_entries_are_checked_one_by_one(platform: Any) -> None:
    """As recorded in radkawar/stackd, testdata/aws/eventbridge/control_plane.json, partial-events."""
    response = platform.client("events").put_events(
        Entries=[
            {"Source": "test.x", "DetailType": "x", "Detail": "not json"},
            {"Source": "test.x", "DetailType": "x", "Detail": "{}"},
            {"DetailType": "x", "Detail": "{}"},
            {"Source": "aws.iam", "DetailType": "x", "Detail": "{}"},
            {"Source": "test.x", "DetailType": "x", "Detail": "{}", "EventBusName": "missing"},
            {"Source": "test.x", "DetailType": "x", "Detail": '{"n": NaN}'},
            {"Source": "test.x", "DetailType": "x", "Detail": '{"n": ' + "[" * 100_000},
        ]
    )
    assert response["FailedEntryCount"] == 5
    assert [entry.get("ErrorCode") for entry in response["Entries"]] == [
        "MalformedDetail",
        None,
        "InvalidArgument",
        "NotAuthorizedForSourceException",
        None,
        "MalformedDetail",
        "MalformedDetail",
    ]


def test_an_event_for_another_bus_is_lost(platform: Any, rule: str) -> None:
    events = platform.client("events")
    events.put_targets(Rule=rule, Targets=[{"Id": "inbox", "Arn": queue_arn(platform)}])
    entry = {"Source": "test.mine", "DetailType": "x", "Detail": '{"n": 1}'}
    events.put_events(Entries=[entry | {"EventBusName": "missing"}, entry | {"Detail": '{"n": 2}'}])
    bodies = [json.loads(message["Body"])["detail"] for message in platform.messages("InboxUrl")]
    assert bodies == [{"n": 2}]


def test_too_much_for_one_request_is_refused_as_a_whole(platform: Any) -> None:
    """EventBridge user guide, PutEvents: the entries of a request together."""
    events = platform.client("events")
    half = {"Source": "test.x", "DetailType": "x", "Detail": json.dumps({"x": "x" * 530_000})}
    with pytest.raises(events.exceptions.ClientError, match="over the limit"):
        events.put_events(Entries=[half, half])


def test_a_rule_keeps_its_tags_and_its_pattern_as_they_were_given(platform: Any, rule: str) -> None:
    """EventBridge API reference, PutRule: tags of an update are ignored; DescribeRule as recorded."""
    events, pattern = platform.client("events"), '{ "source":["test.mine"] }'
    arn = events.put_rule(Name=rule, EventPattern=pattern, Tags=[{"Key": "a", "Value": "1"}])["RuleArn"]
    assert events.describe_rule(Name=rule)["EventPattern"] == pattern
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["a", "absent"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


@pytest.mark.parametrize("operation", ["put_rule", "delete_rule", "list_rules"])
def test_an_unknown_bus_is_refused(platform: Any, operation: str) -> None:
    events = platform.client("events")
    parameters: dict[str, str] = {"EventBusName": "missing"}
    if operation != "list_rules":
        parameters["Name"] = "mine"
    if operation == "put_rule":
        parameters["EventPattern"] = '{"source": ["x"]}'
    with pytest.raises(
        events.exceptions.ResourceNotFoundException, match=r"Event bus missing does not exist\."
    ):
        getattr(events, operation)(**parameters)


def test_topics_deliver_to_their_queues(platform: Any) -> None:
    platform.client("sns").publish(TopicArn=platform.outputs["OutcomesArn"], Message="published")
    assert json.loads(platform.messages("InboxUrl")[0]["Body"])["Message"] == "published"


def test_patterns_can_be_tested(platform: Any) -> None:
    events = platform.client("events")
    event = {
        "id": "1",
        "account": "123456789012",
        "source": "test.mine",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "x",
        "detail": {"n": 5},
    }
    pattern = json.dumps({"detail": {"n": [{"numeric": [">", 3]}]}})
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"] is True
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.test_event_pattern(EventPattern='{"a": "b"}', Event=json.dumps(event))
    without = {name: value for name, value in event.items() if name != "resources"}
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(without))["Result"] is True
    for bad in ("{}", '["plain string"]', "plain string"):
        with pytest.raises(
            events.exceptions.ClientError, match=r"ValidationException.*Parameter Event is not valid\."
        ):
            events.test_event_pattern(EventPattern=pattern, Event=bad)


def test_the_default_bus_is_described(platform: Any) -> None:
    """EventBridge API reference, DescribeEventBus: without a name, the default bus."""
    found = platform.client("events").describe_event_bus()
    assert (found["Name"], found["Arn"].split(":")[5]) == ("default", "event-bus/default")
