"""AWS clients whose answers a test sets; nothing leaves the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.stub import Stubber

Stub = Callable[[str], tuple[Any, Stubber]]


@contextmanager
def stubbed_clients() -> Iterator[Stub]:
    """Makes low-level clients whose answers the test dictates, and has to use up."""
    stubbers: list[Stubber] = []
    clients: list[Any] = []

    def make(service: str) -> tuple[Any, Stubber]:
        client = boto3.client(
            service, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="test"
        )
        stubber = Stubber(client)
        stubber.activate()
        stubbers.append(stubber)
        clients.append(client)
        return client, stubber

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()
    for client in clients:
        client.close()
