"""A fresh emulated account for each test, behind one server for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from emulator.tests.contract.account import Account, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The HTTP server and its clients."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def account(server: Server) -> Account:
    """An account with Ubuntu's public image in it."""
    return Account(server)


@pytest.fixture
def cloudwatch(account: Account) -> Iterator[Any]:
    """A client, in an account without alarms."""
    client = account.client("cloudwatch")
    yield client
    client.delete_alarms(AlarmNames=[each["AlarmName"] for each in client.describe_alarms()["MetricAlarms"]])
