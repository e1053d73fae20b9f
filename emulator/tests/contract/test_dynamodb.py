"""DynamoDB, as far as moto's is not what AWS's is.

Recorded calls are those of localstack/localstack, validated on AWS: services/dynamodb.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.contract.account import Account

from aws_emulator.gateway import moto_backend

_RETURNED = ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")


@pytest.fixture
def table(account: Account) -> Any:
    """A client with a table `items` whose items expire."""
    client = account.client("dynamodb")
    if "items" not in client.list_tables()["TableNames"]:
        client.create_table(
            TableName="items",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.update_time_to_live(
            TableName="items", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
    return client


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns as often as they can, so that what is not one step is seen in two."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_an_expired_item_is_still_read(table: Any) -> None:
    """DynamoDB deletes within a few days and shows the item until then (Developer guide, Time to Live)."""
    table.put_item(TableName="items", Item={"pk": {"S": "old"}, "expires_at": {"N": "1"}})
    found = table.get_item(TableName="items", Key={"pk": {"S": "old"}}, ConsistentRead=True)["Item"]
    assert found == {"pk": {"S": "old"}, "expires_at": {"N": "1"}}


def test_a_condition_that_fails_shows_the_item_when_asked(table: Any) -> None:
    """DynamoDB API reference, ReturnValuesOnConditionCheckFailure."""
    table.put_item(TableName="items", Item={"pk": {"S": "held"}, "by": {"S": "one"}})
    with pytest.raises(table.exceptions.ConditionalCheckFailedException) as caught:
        table.put_item(
            TableName="items",
            Item={"pk": {"S": "held"}, "by": {"S": "two"}},
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"]["by"] == {"S": "one"}
    assert set(caught.value.response) == {"Error", "Item", "ResponseMetadata"}, "recorded"


def test_transactions_are_refused_loudly(table: Any) -> None:
    """moto does not honour ClientRequestToken, which makes a repeated transaction happen once."""
    put = {"Put": {"TableName": "items", "Item": {"pk": {"S": "new"}}}}
    with pytest.raises(ClientError, match="EmulatorUnsupportedOperation"):
        table.transact_write_items(TransactItems=[put], ClientRequestToken="token")
    assert "Item" not in table.get_item(TableName="items", Key={"pk": {"S": "new"}})


@pytest.mark.usefixtures("restless_threads")
def test_of_writers_with_the_same_condition_one_succeeds(table: Any) -> None:
    """A conditional write checks and writes in one step (Developer guide, Condition expressions)."""

    def claim(name: str, writer: int) -> bool:
        try:
            table.update_item(
                TableName="items",
                Key={"pk": {"S": name}},
                UpdateExpression="SET #by = :writer",
                ConditionExpression="attribute_not_exists(#by)",
                ExpressionAttributeNames={"#by": "by"},
                ExpressionAttributeValues={":writer": {"N": str(writer)}},
            )
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    writers = range(4)
    with ThreadPoolExecutor(len(writers)) as pool:
        for number in range(40):
            name = f"claimed-{number}"
            succeeded = list(pool.map(claim, [name] * len(writers), writers))
            assert succeeded.count(True) == 1
            item = table.get_item(TableName="items", Key={"pk": {"S": name}}, ConsistentRead=True)["Item"]
            assert item["by"] == {"N": str(succeeded.index(True))}


def test_what_reads_and_writes_one_item_is_answered_the_same_on_the_short_and_on_the_long_way(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way leaves out moto's web framework, and nothing else."""

    def answers(name: str) -> list[Any]:
        key = {"pk": {"S": name}}
        again = {
            "UpdateExpression": "SET #n = if_not_exists(#n, :zero) + :one, #m = :map REMOVE gone",
            "ExpressionAttributeNames": {"#n": "n", "#m": "m"},
            "ExpressionAttributeValues": {
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
                ":map": {
                    "M": {"list": {"L": [{"S": "a"}, {"NULL": True}, {"BOOL": False}, {"SS": ["x", "y"]}]}}
                },
            },
        }
        never = {
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        calls: list[tuple[str, dict[str, Any]]] = [
            ("get_item", {"Key": key}),
            (
                "put_item",
                {"Item": {**key, "gone": {"S": "soon"}, "\u00e9": {"N": "1.50"}}, "ReturnValues": "ALL_OLD"},
            ),
            ("put_item", {"Item": key, **never}),
            *(("update_item", {"Key": key, "ReturnValues": kind, **again}) for kind in _RETURNED),
            ("get_item", {"Key": key, "ConsistentRead": True}),
            ("get_item", {"Key": key, "ProjectionExpression": "n", "ReturnConsumedCapacity": "TOTAL"}),
            ("put_item", {"Item": {**key, "raw": {"B": b"\x00\xff"}}, "ReturnValues": "ALL_OLD"}),
            ("get_item", {"Key": key}),
            ("update_item", {"Key": key, "UpdateExpression": "SET"}),
            ("get_item", {"Key": {"other": {"S": "x"}}}),
            ("delete_item", {"Key": key, "ConditionExpression": "attribute_exists(nothing)"}),
            ("delete_item", {"Key": key, "ReturnValues": "ALL_OLD"}),
            ("delete_item", {"Key": key, "ReturnValues": "ALL_OLD"}),
            ("get_item", {"Key": key, "TableName": "none"}),
        ]
        return [_answer(table, operation, {"TableName": "items"} | given) for operation, given in calls]

    short = answers("same")
    monkeypatch.setattr(moto_backend, "answer_item_call", lambda *_: None)
    assert short == answers("same")
    assert {type(each) for each in short} == {dict}


def _answer(table: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = getattr(table, operation)(**parameters)
    except ClientError as error:
        answer = error.response
    status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
    return {"operation": operation, "status": status, **answer}


def a_table(account: Account, name: str, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    }
    return dict(account.client("dynamodb").create_table(TableName=name, **(given | more))["TableDescription"])


def test_a_table_is_created_described_and_deleted_as_recorded(account: Account) -> None:
    """Recorded calls: what a provisioned table shows at each of the three."""
    made = a_table(account, "provisioned")
    always = {
        "DeletionProtectionEnabled",
        "ItemCount",
        "ProvisionedThroughput",
        "TableArn",
        "TableId",
        "TableName",
        "TableSizeBytes",
        "TableStatus",
    }
    described = {"AttributeDefinitions", "CreationDateTime", "KeySchema", *always}
    assert (set(made), made["TableStatus"]) == (described, "CREATING")
    client = account.client("dynamodb")
    shown = client.describe_table(TableName="provisioned")["Table"]
    assert (set(shown), shown["TableStatus"]) == ({"WarmThroughput", *described}, "ACTIVE")
    gone = client.delete_table(TableName="provisioned")["TableDescription"]
    assert (set(gone), gone["TableStatus"]) == (always, "DELETING")
    assert made["TableId"] == shown["TableId"] == gone["TableId"]


def test_a_table_that_is_paid_by_request_says_since_when(account: Account) -> None:
    """Recorded calls: since when is shown by DescribeTable, and not yet by CreateTable; indexes have ARNs."""
    index = {
        "IndexName": "by-other",
        "KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    made = a_table(
        account,
        "on-demand",
        ProvisionedThroughput={},
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "other", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[index],
    )
    assert made["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    (shown,) = made["GlobalSecondaryIndexes"]
    assert (shown["IndexArn"], shown["ItemCount"]) == (f"{made['TableArn']}/index/by-other", 0)
    assert shown["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
    assert "WarmThroughput" not in shown
    later = account.client("dynamodb").describe_table(TableName="on-demand")["Table"]
    assert later["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] == later["CreationDateTime"]


def test_warm_throughput_that_was_asked_for_is_on_its_way(account: Account) -> None:
    """Recorded calls: CreateTable shows it only then."""
    warm = {"ReadUnitsPerSecond": 1000, "WriteUnitsPerSecond": 1200}
    assert a_table(account, "warm", WarmThroughput=warm)["WarmThroughput"] == warm | {"Status": "UPDATING"}


def test_what_a_batch_took_is_told_if_asked(table: Any) -> None:
    """Recorded calls: neither capacity nor metrics without ReturnConsumedCapacity and its like."""
    requests = {"items": [{"PutRequest": {"Item": {"pk": {"S": "batch"}}}}]}
    assert set(table.batch_write_item(RequestItems=requests)) == {"UnprocessedItems", "ResponseMetadata"}
    asked = table.batch_write_item(RequestItems=requests, ReturnConsumedCapacity="TOTAL")
    assert [each["TableName"] for each in asked["ConsumedCapacity"]] == ["items"]
    keys = {"items": {"Keys": [{"pk": {"S": "batch"}}]}}
    assert "ConsumedCapacity" not in table.batch_get_item(RequestItems=keys)


def test_streams_are_refused_by_their_own_name(account: Account) -> None:
    """They are signed for DynamoDB, and are another service."""
    with pytest.raises(ClientError, match=r"EmulatorUnsupportedOperation.*dynamodbstreams:DescribeStream"):
        account.client("dynamodbstreams").describe_stream(
            StreamArn="arn:aws:dynamodb:us-east-1:1:table/x/stream/y"
        )
