"""One emulator with the small project in `fixtures`, for the tests of the platform."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from aws_emulator.project import Project, Services
from aws_emulator.server import Emulator

PROJECT = Path(__file__).parent / "fixtures" / "project"


class Platform:
    """The running emulator and clients of it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.outputs = {
            row["OutputKey"]: row["OutputValue"]
            for row in self.client("cloudformation").describe_stacks()["Stacks"][0]["Outputs"]
        }

    def client(self, service: str, **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.emulator.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def physical_id(self, logical_id: str) -> str:
        return self.emulator.stack.resources[logical_id].created.physical_id

    def invoke(self, logical_id: str, payload: Any, **parameters: Any) -> tuple[dict[str, Any], Any]:
        response = self.client("lambda").invoke(
            FunctionName=self.physical_id(logical_id), Payload=json.dumps(payload), **parameters
        )
        text = response["Payload"].read()
        return response, json.loads(text) if text else None

    def lines(self, logical_id: str) -> list[str]:
        return self.emulator.runtime.logs(logical_id)

    def messages(self, queue: str, number: int = 1) -> list[dict[str, Any]]:
        """Receive and delete messages until there are so many."""
        found: list[dict[str, Any]] = []

        def receive() -> bool:
            found.extend(self.drain(queue))
            return len(found) >= number

        until(receive)
        return found

    def push(self, tag: str = "prod-latest") -> str:
        """Have ECR tell of a push, which PutEvents cannot; the event's id."""
        bus = self.emulator.bus
        detail = {"action-type": "PUSH", "result": "SUCCESS", "image-tag": tag}
        event = bus.event("aws.ecr", "ECR Image Action", detail)
        bus.deliver(event)
        return str(event["id"])

    def drain(self, queue: str) -> list[dict[str, Any]]:
        """Receive and delete what is in a queue now."""
        sqs, url = self.client("sqs"), self.outputs[queue]
        messages = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for a condition; its first true value."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("it has not happened")


class WithRepository(Project):
    """A project whose account has a repository before its stack."""

    def prepare(self, emulator: Services) -> None:
        emulator.api.call("operator", "ecr", "CreateRepository", {"repositoryName": "application"})


@pytest.fixture(scope="session")
def running_platform() -> Iterator[Platform]:
    with Emulator(WithRepository(PROJECT), time_scale=0.01) as emulator:
        yield Platform(emulator)


@pytest.fixture
def platform(running_platform: Platform) -> Iterator[Platform]:
    yield running_platform
    running_platform.drain("InboxUrl")
    running_platform.drain("FailuresUrl")


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return until
