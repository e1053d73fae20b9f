from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ami_lifecycle.adapters.clients import client, prepare_clients
from ami_lifecycle.adapters.process import Process, running_in


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A process that has made nothing yet."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    process = Process()
    with running_in(process):
        yield process


def test_a_client_is_made_once_per_service() -> None:
    assert client("sns") is client("sns")
    assert client("sns") is not client("ssm")


def test_calls_end_soon_and_are_tried_four_times() -> None:
    config = client("sns").meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    assert "app/ami-lifecycle" in config.user_agent_extra


def test_calls_without_a_client_token_can_be_tried_once() -> None:
    assert client("ssm", attempts=1).meta.config.retries["total_max_attempts"] == 1


def test_a_call_that_takes_longer_may_have_more_time_to_answer() -> None:
    config = client("ec2", attempts=2, read_timeout=40).meta.config
    assert (config.read_timeout, config.retries["total_max_attempts"]) == (40, 2)


def test_importing_the_adapters_makes_no_client_and_needs_no_account() -> None:
    code = (
        "import sys\n"
        "import ami_lifecycle.adapters.process as process, ami_lifecycle.adapters.images, "
        "ami_lifecycle.adapters.environments, ami_lifecycle.adapters.usage\n"
        "assert not process.current_process().clients\n"
        "assert 'boto3' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr


def test_a_process_without_a_region_prepares_nothing(
    monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    prepare_clients("sns")
    assert process.clients == {}


def test_prepared_clients_are_those_that_are_used_later(process: Process) -> None:
    prepare_clients("sns")
    prepare_clients("ssm", attempts=1)
    assert list(process.clients.values()) == [client("sns"), client("ssm", attempts=1)]
