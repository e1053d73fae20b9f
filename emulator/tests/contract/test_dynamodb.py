"""DynamoDB, as far as moto's is not what AWS's is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.contract.account import Account


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
