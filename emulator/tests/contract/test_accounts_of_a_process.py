"""Several accounts in one process: each sees its own resources, and none keeps another one waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.contract.account import Account, Server

TABLE = {
    "TableName": "environments",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TRUST = '{"Version": "2012-10-17", "Statement": []}'
VISIBLE = {"VisibilityTimeout": "0"}


@pytest.fixture
def other() -> Iterator[Account]:
    server = Server()
    yield Account(server)
    server.close()


@pytest.fixture
def one() -> Iterator[Account]:
    server = Server()
    yield Account(server)
    server.close()


def test_the_same_names_are_other_resources(one: Account, other: Account) -> None:
    for account, value in ((one, "one"), (other, "other")):
        account.client("dynamodb").create_table(**TABLE)
        account.client("dynamodb").put_item(
            TableName="environments", Item={"pk": {"S": "prod"}, "of": {"S": value}}
        )
        account.client("iam").create_role(
            RoleName="builder", AssumeRolePolicyDocument=TRUST, Description=value
        )
        url = account.client("sqs").create_queue(QueueName="outcomes", Attributes=VISIBLE)["QueueUrl"]
        account.client("sqs").send_message(QueueUrl=url, MessageBody=value)
    for account, value in ((one, "one"), (other, "other")):
        item = account.client("dynamodb").get_item(TableName="environments", Key={"pk": {"S": "prod"}})
        assert item["Item"]["of"] == {"S": value}
        assert account.client("iam").get_role(RoleName="builder")["Role"]["Description"] == value
        url = account.client("sqs").get_queue_url(QueueName="outcomes")["QueueUrl"]
        (message,) = account.client("sqs").receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == value


def test_what_one_account_has_another_one_does_not_know(one: Account, other: Account) -> None:
    topic = one.client("sns").create_topic(Name="outcomes")["TopicArn"]
    with pytest.raises(ClientError, match="NotFound"):
        other.client("sns").publish(TopicArn=topic, Message="lost")
    subnet = one.subnet()
    assert subnet not in {each["SubnetId"] for each in other.ec2.describe_subnets()["Subnets"]}
    with pytest.raises(ClientError, match=r"InvalidSubnetID\.NotFound"):
        other.launch(SubnetId=subnet)
    assert one.launch(SubnetId=subnet)


def test_an_account_that_ends_takes_nothing_with_it(one: Account) -> None:
    one.client("dynamodb").create_table(**TABLE)
    server = Server()
    last = Account(server)
    assert last.client("dynamodb").list_tables()["TableNames"] == []
    last.client("dynamodb").create_table(**TABLE)
    server.close()
    assert one.client("dynamodb").list_tables()["TableNames"] == ["environments"]


def test_a_new_account_is_empty(one: Account) -> None:
    one.client("sqs").create_queue(QueueName="outcomes")
    server = Server()
    try:
        assert "QueueUrls" not in Account(server).client("sqs").list_queues()
    finally:
        server.close()


def test_a_long_poll_keeps_no_other_account_waiting(one: Account, other: Account) -> None:
    """A long poll waits up to 20 seconds (SQS developer guide, Amazon SQS short and long polling)."""
    sqs, received = one.client("sqs"), []
    url = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    polling = threading.Thread(
        target=lambda: received.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
    )
    polling.start()
    began = time.monotonic()
    for _ in range(20):
        other.client("dynamodb").list_tables()
    assert time.monotonic() - began < 10
    assert polling.is_alive()
    one.client("sqs").send_message(QueueUrl=url, MessageBody="arrived")
    polling.join(timeout=10)
    assert [message["Body"] for message in received[0]["Messages"]] == ["arrived"]


@pytest.mark.parametrize("in_request", [True, False])
def test_a_long_poll_waits_as_long_as_it_says(one: Account, in_request: bool) -> None:
    sqs: Any = one.client("sqs")
    attributes = {} if in_request else {"ReceiveMessageWaitTimeSeconds": "1"}
    url = sqs.create_queue(QueueName="outcomes", Attributes=attributes)["QueueUrl"]
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(
        QueueUrl=url, **({"WaitTimeSeconds": 1} if in_request else {})
    )
    assert 1 <= time.monotonic() - began < 10


@pytest.mark.parametrize("seconds", [-1, 21])
def test_a_wait_beyond_the_limits_is_refused(one: Account, seconds: int) -> None:
    url = one.client("sqs").create_queue(QueueName="outcomes")["QueueUrl"]
    with pytest.raises(ClientError, match="WaitTimeSeconds"):
        one.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=seconds)


def test_calls_of_several_accounts_at_once_reach_their_own(one: Account, other: Account) -> None:
    for account in (one, other):
        account.client("dynamodb").create_table(**TABLE)

    def write(account: Account, number: int) -> None:
        account.client("dynamodb").put_item(TableName="environments", Item={"pk": {"S": str(number)}})

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(write, (one, other)[number % 2], number) for number in range(80)]
    assert all(job.exception() is None for job in jobs)
    for remainder, account in enumerate((one, other)):
        items = account.client("dynamodb").scan(TableName="environments")["Items"]
        assert {int(item["pk"]["S"]) for item in items} == set(range(remainder, 80, 2))
