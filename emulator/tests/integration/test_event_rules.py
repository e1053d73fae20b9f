"""Events reach the targets of the template's rules, changed as the targets say, or the dead-letter queue."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

PUSH = {
    "Source": "aws.ecr",
    "DetailType": "ECR Image Action",
    "Detail": json.dumps({"action-type": "PUSH", "result": "SUCCESS", "image-tag": "prod-latest"}),
}


def executions(platform: Any) -> list[dict[str, Any]]:
    return platform.client("stepfunctions").list_executions(stateMachineArn=platform.outputs["MachineArn"])[
        "executions"
    ]


def test_a_matching_event_starts_the_state_machine_with_the_transformed_input(
    platform: Any, eventually: Any
) -> None:
    before = len(executions(platform))
    response = platform.client("events").put_events(Entries=[PUSH])
    assert response["FailedEntryCount"] == 0
    event_id = response["Entries"][0]["EventId"]
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
    other = {**PUSH, "Detail": json.dumps({"action-type": "PUSH", "image-tag": "other"})}
    platform.client("events").put_events(Entries=[other, PUSH])
    eventually(lambda: len(executions(platform)) == before + 1)


def test_a_disabled_rule_matches_nothing_until_it_is_enabled(platform: Any, eventually: Any) -> None:
    events, rule = platform.client("events"), platform.physical_id("PushedRule")
    before = len(executions(platform))
    events.disable_rule(Name=rule)
    seen: list[Any] = []
    platform.emulator.bus.subscribe(seen.append)
    try:
        assert events.describe_rule(Name=rule)["State"] == "DISABLED"
        events.put_events(Entries=[PUSH])
        eventually(lambda: seen)
    finally:
        events.enable_rule(Name=rule)
    events.put_events(Entries=[PUSH])
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
    assert attributes["RETRY_ATTEMPTS"] == "0"
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
    platform.client("events").put_events(Entries=[PUSH])
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


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({}, None),
        ({"Input": '{"fixed": 1}'}, {"fixed": 1}),
        ({"InputPath": "$.detail.list[1]"}, 2),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"name": "$.detail.name", "all": "$.detail"},
                    "InputTemplate": '{"text": "<name> said <name>", "detail": <all>, "name": <name>}',
                }
            },
            {
                "text": 'a "b" said a "b"',
                "detail": {"name": 'a "b"', "list": [1, 2]},
                "name": 'a "b"',
            },
        ),
        ({"InputTransformer": {"InputTemplate": "rule <aws.events.rule-name>"}}, 'rule "mine"'),
    ],
)
def test_inputs_of_targets(platform: Any, rule: str, shape: dict[str, Any], expected: Any) -> None:
    events = platform.client("events")
    events.put_targets(Rule=rule, Targets=[{"Id": "inbox", "Arn": queue_arn(platform), **shape}])
    events.put_events(
        Entries=[
            {"Source": "test.mine", "DetailType": "x", "Detail": '{"name": "a \\"b\\"", "list": [1, 2]}'}
        ]
    )
    body = json.loads(platform.messages("InboxUrl")[0]["Body"])
    if expected is None:
        assert body["source"] == "test.mine"
        assert body["account"] == "123456789012"
        assert body["region"] == "us-east-1"
    else:
        assert body == expected


def test_targets_are_checked(platform: Any, rule: str) -> None:
    events, arn = platform.client("events"), queue_arn(platform)
    machine = {"Id": "m", "Arn": platform.outputs["MachineArn"]}
    with pytest.raises(events.exceptions.ClientError, match="RoleArn is required"):
        events.put_targets(Rule=rule, Targets=[machine])
    doubtful = {"Id": "q", "Arn": arn, "Input": "{}", "InputPath": "$"}
    with pytest.raises(events.exceptions.ClientError, match="Only one of"):
        events.put_targets(Rule=rule, Targets=[doubtful])
    many = [{"Id": str(number), "Arn": arn} for number in range(6)]
    with pytest.raises(events.exceptions.LimitExceededException):
        events.put_targets(Rule=rule, Targets=many)


def test_entries_are_checked_one_by_one(platform: Any) -> None:
    response = platform.client("events").put_events(
        Entries=[
            {"Source": "test.x", "DetailType": "x", "Detail": "not json"},
            {"Source": "test.x", "DetailType": "x", "Detail": "{}"},
            {"DetailType": "x", "Detail": "{}"},
        ]
    )
    assert response["FailedEntryCount"] == 2
    assert [entry.get("ErrorCode") for entry in response["Entries"]] == [
        "MalformedDetail",
        None,
        "InvalidArgument",
    ]


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
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.test_event_pattern(EventPattern=pattern, Event="{}")
