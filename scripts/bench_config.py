#!/usr/bin/env python3
"""Measure how long it takes to read a configuration's values, beside Powertools in the same run.

The emulated Parameter Store allows 40 reads a second, as an account does by default, after a burst that
is smaller than AWS's, so that the rate counts; each call takes a round trip of 20 ms. The floor is a tenth
of the number of parameters in calls, and calls / 40 in seconds.

    python scripts/bench_config.py [NUMBER_OF_PARAMETERS ...]
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools.utilities.parameters import SSMProvider
from botocore.config import Config as BotoConfig
from rich.console import Console
from rich.table import Table

from aws_emulator.api.operations import Request, Response, handlers_of
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.http_server import HttpServer
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.ssm import ParameterStore
from aws_emulator.ssm.throttle import TokenBucket
from parameter_config import load_config

READS_PER_SECOND = 40
BURST = 10
ROUND_TRIP_SECONDS = 0.02
Prepare = Callable[[Any, int], Callable[[], int | str]]
COUNTS = (1, 10, 100, 1000, 3000)


class Account:
    """A Parameter Store behind HTTP."""

    def __init__(self) -> None:
        self._clock = Clock()
        bus = EventBus(self._clock, "123456789012", "us-east-1")
        place: dict[str, Any] = {"account_id": "123456789012", "region": "us-east-1"}
        moto = MotoAccount(place["account_id"], place["region"])
        ec2 = Ec2Store(self._clock, bus, Durations(), moto=moto, **place)
        self._store = ParameterStore(self._clock, bus, Durations(), ec2, **place)
        self._store.writes = TokenBucket(self._clock, rate=1e9, burst=1e9)
        self.calls = CallLog()
        gateway = Gateway(
            handlers_of(self._store),
            moto,
            self._clock,
            self.calls,
            caller_of=lambda _key: "benchmark",
            middlewares=[_round_trip],
            **place,
        )
        self._server = HttpServer(0)
        self._server.serve(gateway)

    def client(self, attempts: int) -> Any:
        """A boto3 SSM client."""
        return boto3.client(
            "ssm",
            endpoint_url=self._server.url,
            region_name="us-east-1",
            aws_access_key_id="benchmark",
            aws_secret_access_key="benchmark",  # noqa: S106  # the emulator accepts any
            config=BotoConfig(retries={"total_max_attempts": attempts}),
        )

    def allow_reads(self) -> None:
        """Start with a full bucket."""
        self._store.reads = TokenBucket(self._clock, rate=READS_PER_SECOND, burst=BURST)

    def close(self) -> None:
        """Stop serving."""
        self._server.close()
        self._clock.close()


def _round_trip(request: Request, proceed: Callable[[], Response]) -> Response:
    if request.operation != "PutParameter":
        time.sleep(ROUND_TRIP_SECONDS)
    return proceed()


def main(counts: tuple[int, ...]) -> None:
    """Print a table of calls and seconds."""
    logging.getLogger("botocore").setLevel(logging.ERROR)
    account = Account()
    table = Table("parameters", "by", "calls", "throttled", "seconds", "floor", "over the floor", box=None)
    writer = account.client(1)
    written = 0
    for count in counts:
        for index in range(written, count):
            writer.put_parameter(Name=_name(index), Value=str(index), Type="String")
        written = max(written, count)
        for reader, prepare in (("ami_lifecycle", _prepare_ours), ("powertools", _prepare_powertools)):
            table.add_row(str(count), reader, *_measured(account, prepare, count))
    Console(width=110).print(table)
    account.close()


def _measured(account: Account, prepare: Prepare, count: int) -> tuple[str, ...]:
    client = account.client(5)
    client.get_parameters(Names=[_name(0)])  # the connection is open, as in a warm Lambda
    read = prepare(client, count)
    account.allow_reads()
    before = account.calls.since(0)[-1].number
    start = time.perf_counter()
    found = read()
    seconds = time.perf_counter() - start
    calls = account.calls.since(before)
    throttled = sum(call.outcome == "ThrottlingException" for call in calls)
    floor = ceil(count / 10) / READS_PER_SECOND
    if found != count:
        return str(len(calls)), str(throttled), f"failed: {found}", f"{floor:.3f}", "-"
    return str(len(calls)), str(throttled), f"{seconds:.3f}", f"{floor:.3f}", f"{seconds / floor - 1:+.0%}"


def _prepare_ours(client: Any, count: int) -> Callable[[], int | str]:
    """Reading the files is not measured: Powertools is given the names, too."""
    with tempfile.TemporaryDirectory() as directory:
        text = "\n".join(f"v{index}: {{ssm_param: {_name(index)}, type: int}}" for index in range(count))
        Path(directory, "aws_config.yml").write_text(text, encoding="utf-8")
        config = load_config(directory, client)
    return lambda: sum(value is not None for value in config.get("aws").values())


def _prepare_powertools(client: Any, count: int) -> Callable[[], int | str]:
    names: dict[str, dict[str, Any]] = {_name(index): {} for index in range(count)}

    def read() -> int | str:
        try:
            return len(SSMProvider(boto3_client=client).get_parameters_by_name(names))
        except Exception as error:  # noqa: BLE001  # whatever it is, the table says so
            return type(error).__name__

    return read


def _name(index: int) -> str:
    return f"/benchmark/group-{index // 100}/value-{index}"


if __name__ == "__main__":
    main(tuple(int(word) for word in sys.argv[1:]) or COUNTS)
