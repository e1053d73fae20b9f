"""The gateway: errors in each protocol, the call log, refusals, faults."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from emulator.tests.contract.account import ROLE_TAG, Account
from emulator.tests.contract.asserting import refused

from aws_emulator.durations import Durations, DurationsError
from aws_emulator.faults import FaultError


def http(account: Account, method: str, path: str, content: Any = None) -> tuple[int, Any]:
    """Call one of the emulator's own paths."""
    response = urllib3.request(
        method, f"{account.url}{path}", body=None if content is None else json.dumps(content)
    )
    return response.status, response.json()


def raw(account: Account, body: str | bytes, headers: dict[str, str]) -> tuple[int, str]:
    """Send a request without an SDK."""
    response = urllib3.request("POST", f"{account.url}/", body=body, headers=headers)
    return response.status, response.data.decode()


def test_every_call_is_in_the_log_with_its_outcome(account: Account) -> None:
    """GET /_emulator/calls: also calls that moto answers, and refused ones."""
    account.subnet()
    with refused("ParameterNotFound"):
        account.ssm.get_parameter(Name="/none")
    status, calls = http(account, "GET", "/_emulator/calls")
    assert status == 200
    assert [(each["service"], each["operation"], each["outcome"]) for each in calls] == [
        ("ec2", "DescribeSubnets", "ok"),
        ("ssm", "GetParameter", "ParameterNotFound"),
    ]
    assert {each["caller"] for each in calls} == {"tester"}
    assert all(each["duration_ms"] >= 0 and each["request_id"] and each["time"] for each in calls)
    _, later = http(account, "GET", f"/_emulator/calls?since={calls[0]['number']}")
    assert [each["operation"] for each in later] == ["GetParameter"]
    assert http(account, "GET", "/_emulator/calls?since=x")[0] == 400


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("autoscaling", "describe_auto_scaling_groups"),
        ("dynamodb", "list_tables"),
        ("ec2", "describe_images"),
        ("ecr", "describe_repositories"),
        ("sqs", "list_queues"),
        ("ssm", "describe_parameters"),
    ],
)
def test_another_region_sees_nothing_of_this_one(account: Account, service: str, operation: str) -> None:
    """AWS general reference, Regional endpoints: resources are not replicated across Regions."""
    elsewhere = account.client(service, "eu-west-1")
    with pytest.raises(
        elsewhere.exceptions.ClientError, match=r"EmulatorUnsupportedRegion.*us-east-1.*eu-west-1"
    ):
        getattr(elsewhere, operation)()
    _, calls = http(account, "GET", "/_emulator/calls")
    assert calls[-1]["outcome"] == "EmulatorUnsupportedRegion"


def test_a_parameter_is_not_found_in_another_region(account: Account) -> None:
    """As on AWS, where a parameter belongs to its Region; the text says what is wrong."""
    account.ssm.put_parameter(Name="/app/latest", Value="here", Type="String")
    elsewhere = account.client("ssm", "ap-southeast-2")
    with pytest.raises(elsewhere.exceptions.ParameterNotFound, match=r"us-east-1.*ap-southeast-2"):
        elsewhere.get_parameter(Name="/app/latest")


def test_iam_and_sts_answer_in_every_region(account: Account) -> None:
    """IAM user guide: IAM is global; AWS STS answers for the account in every Region."""
    for service, operation in (("iam", "list_roles"), ("sts", "get_caller_identity")):
        elsewhere = account.client(service, "eu-west-1")
        getattr(elsewhere, operation)()


def test_errors_of_moto_are_in_the_log_by_their_code(account: Account) -> None:
    """An outcome is the code that the caller saw, in XML and in JSON services."""
    table = account.client("dynamodb")
    with pytest.raises(table.exceptions.ResourceNotFoundException):
        table.describe_table(TableName="none")
    with refused("NoSuchEntity"):
        account.client("iam").get_role(RoleName="none")
    _, calls = http(account, "GET", "/_emulator/calls")
    assert [each["outcome"] for each in calls] == ["ResourceNotFoundException", "NoSuchEntity"]
    assert calls[0]["parameters"] == {"TableName": "none"}


def test_conditional_writes_fail_with_their_own_exception(account: Account) -> None:
    """What moto answers keeps its shape on the way through."""
    table = account.client("dynamodb")
    table.create_table(
        TableName="conditional",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {
        "TableName": "conditional",
        "Item": {"id": {"S": "x"}},
        "ConditionExpression": "attribute_not_exists(id)",
    }
    try:
        table.put_item(**item)
        with pytest.raises(table.exceptions.ConditionalCheckFailedException):
            table.put_item(**item)
    finally:
        table.delete_table(TableName="conditional")


def test_typed_exceptions_work_for_strict_services(account: Account) -> None:
    """boto3 finds the modelled exception by the error's code."""
    with pytest.raises(account.ssm.exceptions.ParameterNotFound):
        account.ssm.get_parameter(Name="/none")


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("ec2", "describe_spot_price_history"),
        ("s3", "list_buckets"),
        ("stepfunctions", "list_state_machines"),
        ("resourcegroupstaggingapi", "get_resources"),
    ],
)
def test_what_is_not_emulated_is_refused_loudly(account: Account, service: str, call: str) -> None:
    """A wrong answer would be worse than none."""
    client = account.client(service)
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, call)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_unknown_parameters_are_refused(account: Account) -> None:
    """EC2 error codes: UnknownParameter; JSON services: SerializationException."""
    scope = "AWS4-HMAC-SHA256 Credential=tester/20260301/us-east-1/{}/aws4_request"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope.format("ec2")}
    status, body = raw(account, "Action=DescribeImages&Version=2016-11-15&Colour=red", form)
    assert status == 400
    assert "<Code>UnknownParameter</Code>" in body
    assert "Colour" in body
    target = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonSSM.GetParameter",
        "Authorization": scope.format("ssm"),
    }
    assert raw(account, '{"Name": "/a", "Colour": "red"}', target) == (
        400,
        _Containing("SerializationException"),
    )
    assert raw(account, '{"Name": 7}', target) == (400, _Containing("SerializationException"))
    assert raw(account, '{"Name": ' + "[" * 100_000, target) == (400, _Containing("SerializationException"))
    assert raw(account, "{}", target) == (400, _Containing("ValidationException"))
    status, body = raw(account, "Action=DeleteSnapshot&Version=2016-11-15", form)
    assert (status, "<Code>MissingParameter</Code>" in body) == (400, True)


@pytest.mark.parametrize("service", ["ec2", "iam"])
def test_a_form_that_is_no_text_is_malformed(account: Account, service: str) -> None:
    """EC2 API reference, Error codes: MalformedQueryString."""
    scope = f"AWS4-HMAC-SHA256 Credential=tester/20260301/us-east-1/{service}/aws4_request"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope}
    for body in (b"\xff\xfe", b"Action=DescribeImages&Version=\xff"):
        assert raw(account, body, form) == (400, _Containing("MalformedQueryString"))


class _Containing(str):
    """Equals any text that contains it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str(self) in str(other)

    __hash__ = str.__hash__


def test_a_service_that_speaks_several_protocols_is_understood(account: Account) -> None:
    """CloudWatch's model declares CBOR, JSON and query; boto3 chooses JSON."""
    account.client("cloudwatch").put_metric_data(
        Namespace="tests", MetricData=[{"MetricName": "m", "Value": 1.0}]
    )
    assert account.gateway.calls.since()[-1].parameters["Namespace"] == "tests"
    scope = "AWS4-HMAC-SHA256 Credential=tester/20260301/us-east-1/monitoring/aws4_request"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope}
    status, body = raw(account, "Action=DescribeAlarms&Version=2010-08-01", form)
    assert (status, "DescribeAlarmsResponse" in body) == (200, True)


def test_messages_go_from_topics_to_queues(account: Account) -> None:
    """moto's SNS and SQS work through the gateway, in the query and the JSON protocol."""
    sns, sqs = account.client("sns"), account.client("sqs")
    topic = sns.create_topic(Name="outcomes")["TopicArn"]
    queue = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, Message="published")
    try:
        (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        assert message["Body"] == "published"
        with pytest.raises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="none")
    finally:
        sns.delete_topic(TopicArn=topic)
        sqs.delete_queue(QueueUrl=queue)


def test_an_unsigned_request_is_known_by_its_target(account: Account) -> None:
    """Tools that do not sign reach the same service."""
    status, body = raw(account, '{"Name": "/none"}', {"X-Amz-Target": "AmazonSSM.GetParameter"})
    assert (status, "ParameterNotFound" in body) == (400, True)


def test_json_services_check_their_models_constraints(account: Account) -> None:
    """Systems Manager and ECR check lengths, ranges, patterns and enumerations on arrival."""
    with refused("ValidationException") as refusal:
        account.ssm.put_parameter(Name="/a", Value="v", Type="Number")
    assert "1 validation error detected: Value 'Number' at 'type'" in refusal.message
    with refused("InvalidParameterException"):
        account.ecr.create_repository(repositoryName="UPPER")


def test_a_fault_strikes_before_the_effect(account: Account) -> None:
    """kind error, when before: nothing happens."""
    http(
        account,
        "POST",
        "/_emulator/faults",
        {
            "kind": "error",
            "service": "ec2",
            "operation": "RunInstances",
            "code": "RequestLimitExceeded",
            "status": 503,
        },
    )
    with refused("RequestLimitExceeded") as refusal:
        account.launch()
    assert refusal.status == 503
    assert account.state.instances == {}
    assert account.launch()


def test_a_fault_can_lose_the_response(account: Account) -> None:
    """kind error, when after: the effect is there, the caller does not know."""
    account.faults.add(
        {"kind": "error", "operation": "RunInstances", "code": "InternalError", "when": "after"}
    )
    with refused("InternalError"):
        account.launch(ClientToken="once")
    (instance_id,) = account.state.instances
    assert account.launch(ClientToken="once") == instance_id


def test_a_fault_waits_for_its_turn_and_its_caller(account: Account) -> None:
    """skip lets matching calls pass first; caller is a wildcard pattern."""
    account.faults.add(
        {"kind": "error", "operation": "DescribeImages", "code": "Oops", "skip": 1, "caller": "test*"}
    )
    account.faults.add({"kind": "error", "operation": "DescribeImages", "code": "Never", "caller": "other"})
    account.described(account.ubuntu)
    with refused("Oops"):
        account.described(account.ubuntu)
    account.described(account.ubuntu)
    _, rules = http(account, "GET", "/_emulator/faults")
    assert [(each["seen"], each["applied"]) for each in rules] == [(3, 1), (0, 0)]
    assert http(account, "DELETE", "/_emulator/faults") == (200, {"deleted": 2})
    assert http(account, "GET", "/_emulator/faults") == (200, [])


def test_a_fault_matches_parameters_by_path(account: Account) -> None:
    """match takes dotted paths into the parameters."""
    account.faults.add(
        {
            "kind": "error",
            "operation": "CreateTags",
            "code": "Oops",
            "match": {"Tags.0.Key": "bad"},
            "times": None,
        }
    )
    instance_id = account.launch()
    account.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "good", "Value": "x"}])
    with refused("Oops"):
        account.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "bad", "Value": "x"}])


def test_faults_work_on_what_moto_answers(account: Account) -> None:
    """The middlewares are around every operation."""
    account.faults.add(
        {"kind": "error", "service": "dynamodb", "code": "ProvisionedThroughputExceededException"}
    )
    with refused("ProvisionedThroughputExceededException"):
        account.client("dynamodb").list_tables()


def test_a_slow_call_takes_emulated_seconds(account: Account) -> None:
    """kind slow."""
    account.faults.add({"kind": "slow", "operation": "DescribeImages", "seconds": 7})
    account.described(account.ubuntu)
    assert account.clock.slept == [7]


def test_an_agent_can_stay_away(account: Account) -> None:
    """kind agent_never_online."""
    account.faults.add({"kind": "agent_never_online", "role": "builder"})
    tags = [{"ResourceType": "instance", "Tags": [{"Key": ROLE_TAG, "Value": "builder"}]}]
    instance_id = account.running(TagSpecifications=tags)
    account.advance(3600)
    assert account.ssm.describe_instance_information()["InstanceInformationList"] == []
    assert account.instance(instance_id)["State"]["Name"] == "running"


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"kind": "error"}, "code"),
        ({"kind": "error", "code": "x", "when": "never"}, "when"),
        ({"kind": "error", "code": "x", "times": 0}, "times"),
        ({"kind": "error", "code": "x", "colour": "red"}, "colour"),
        ({"kind": "earthquake"}, "kind"),
        ({"kind": "slow"}, "seconds"),
    ],
)
def test_a_bad_fault_is_refused_with_the_fields_name(
    account: Account, rule: dict[str, Any], named: str
) -> None:
    """POST /_emulator/faults answers 400."""
    status, answer = http(account, "POST", "/_emulator/faults", rule)
    assert status == 400
    assert named in answer["error"]
    with pytest.raises(FaultError, match=named):
        account.faults.add(rule)
    assert account.faults.listing() == []


def test_the_gateway_says_that_it_lives(account: Account) -> None:
    """GET /_emulator/health, and 404 for what is not there."""
    assert http(account, "GET", "/_emulator/health") == (200, {"status": "ok"})
    assert http(account, "GET", "/_emulator/nothing")[0] == 404


@pytest.mark.parametrize(
    ("values", "named"), [({"coffee": 1}, "coffee"), ({"image": -1}, "image"), ({"stop": "x"}, "stop")]
)
def test_bad_durations_are_named(values: dict[str, Any], named: str) -> None:
    """An unknown key or an unusable value is an error that names it."""
    with pytest.raises(DurationsError, match=named):
        Durations.from_mapping(values)


def test_durations_are_read_from_a_file(tmp_path: Any) -> None:
    """--durations: a JSON object of some of the names."""
    path = tmp_path / "durations.json"
    path.write_text('{"image": 10}', encoding="utf-8")
    assert Durations.load(path) == Durations(image=10)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(DurationsError, match="JSON object"):
        Durations.load(path)
    with pytest.raises(DurationsError, match="cannot read"):
        Durations.load(tmp_path / "none.json")


@pytest.mark.parametrize(("effect", "deliveries"), [("lose", 0), ("delay", 1), ("repeat", 2)])
def test_events_can_be_lost_late_or_repeated(account: Account, effect: str, deliveries: int) -> None:
    """Services emit at best effort; EventBridge can deliver an event more than once."""
    account.faults.add(
        {
            "kind": "event",
            "detail_type": "EC2 AMI State Change",
            "match": {"State": "available"},
            "effect": effect,
            "seconds": 300,
        }
    )
    account.image()
    early = len(account.events_of("EC2 AMI State Change"))
    assert early == (1 if effect == "repeat" else 0)
    account.advance(300)
    assert len(account.events_of("EC2 AMI State Change")) == deliveries


def test_a_command_can_get_lost(account: Account) -> None:
    """An agent that updates itself can lose a command: it ends as DeliveryTimedOut (recorded calls)."""
    account.faults.add({"kind": "command_lost", "document": "Test"})
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    account.advance(3600)
    assert account.invocation(command_id, instance_id)["StatusDetails"] == "DeliveryTimedOut"


def test_an_instance_can_end_while_it_works(account: Account) -> None:
    """kind instance_dies with after: seconds from its launch."""
    account.faults.add({"kind": "instance_dies", "after": 60, "reason": "Server.InternalError: hardware"})
    instance_id = account.running()
    assert account.instance(instance_id)["State"]["Name"] == "running"
    account.advance(60)
    instance = account.instance(instance_id)
    assert (instance["State"]["Name"], instance["StateReason"]["Code"]) == (
        "terminated",
        "Server.InternalError",
    )


def test_the_account_is_safe_for_many_callers_at_once(account: Account) -> None:
    """One client token gives one instance however many ask at the same time."""
    account.profile()
    account.subnet()
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _index: account.launch(ClientToken="once"), range(16)))
    assert len(ids) == 1
    assert list(account.state.instances) == list(ids)


def test_zones_name_their_group(account: Account) -> None:
    """Recorded calls (localstack/localstack, validated on AWS: services/ec2)."""
    (zone,) = account.ec2.describe_availability_zones(ZoneNames=["us-east-1a"])["AvailabilityZones"]
    shown = {name: zone[name] for name in ("GroupName", "GroupLongName", "NetworkBorderGroup", "OptInStatus")}
    assert shown == {
        "GroupName": "us-east-1-zg-1",
        "GroupLongName": "US East (N. Virginia) 1",
        "NetworkBorderGroup": "us-east-1",
        "OptInStatus": "opt-in-not-required",
    }
