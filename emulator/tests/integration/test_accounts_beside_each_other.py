"""Served accounts and a simulation in one process."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.endpoint
import pytest
from emulator.tests.integration.conftest import PROJECT, Platform, WithRepository

from aws_emulator.server import Emulator, EmulatorError
from aws_emulator.simulation.account import Simulation


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    with Simulation(WithRepository(PROJECT), seed=1) as simulation:
        yield simulation


def table_of(emulator: Emulator) -> str:
    return str(emulator.stack.resources["Table"].created.physical_id)


def state_of_process() -> list[Any]:
    return [boto3.DEFAULT_SESSION, botocore.endpoint.time, dict(os.environ), random.getstate()]


def test_two_served_accounts_know_nothing_of_each_other(platform: Platform) -> None:
    with Emulator(WithRepository(PROJECT), time_scale=0.01) as emulator:
        other = Platform(emulator)
        for each, value in ((platform, "first"), (other, "second")):
            each.client("dynamodb").put_item(
                TableName=table_of(each.emulator), Item={"pk": {"S": "shared"}, "of": {"S": value}}
            )
        for each, value in ((platform, "first"), (other, "second")):
            found = each.client("dynamodb").get_item(
                TableName=table_of(each.emulator), Key={"pk": {"S": "shared"}}
            )
            assert found["Item"]["of"] == {"S": value}
            _, answer = each.invoke("WorkerFunction", {"action": "echo"})
            assert answer is not None
    platform.client("dynamodb").describe_table(TableName=table_of(platform.emulator))


def test_a_simulation_and_a_served_account_know_nothing_of_each_other(
    platform: Platform, simulation: Simulation
) -> None:
    item = {"pk": {"S": "simulated"}}
    boto3.client("dynamodb").put_item(TableName=table_of(simulation), Item=item)
    served = platform.client("dynamodb").scan(TableName=table_of(platform.emulator))["Items"]
    assert item not in served
    assert boto3.client("dynamodb").scan(TableName=table_of(simulation))["Items"] == [item]
    response, _ = platform.invoke("WorkerFunction", {"action": "echo"})
    assert "FunctionError" not in response


def test_a_simulation_leaves_the_process_as_it_was() -> None:
    before = state_of_process()
    with Simulation(WithRepository(PROJECT), seed=1):
        assert state_of_process() != before
    assert state_of_process() == before


def test_a_second_simulation_in_the_process_is_refused(simulation: Simulation) -> None:
    with pytest.raises(EmulatorError, match="already"):
        Simulation(WithRepository(PROJECT)).start()
    # The first one goes on.
    assert boto3.client("dynamodb").list_tables()["TableNames"]
