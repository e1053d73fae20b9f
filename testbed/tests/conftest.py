"""A fresh emulated account for each test, behind one server for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from emulator.tests.contract.account import Server
from emulator.tests.integration.conftest import until
from testbed.tests.account import LifecycleAccount


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The HTTP server and its clients."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def account(server: Server) -> LifecycleAccount:
    """An account with Ubuntu's public image in it."""
    return LifecycleAccount(server)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until something is so."""
    return until
