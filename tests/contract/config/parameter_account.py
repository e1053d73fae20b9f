"""An emulated account with Parameter Store and Secrets Manager, served over HTTP."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config

from aws_emulator.api.operations import handlers_of
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2 import Ec2Store, ec2_operations
from aws_emulator.ecr import Registry
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.http_server import HttpServer
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.ssm import ParameterStore, ResourceTags, RunCommand, ShellProvisioner

ACCOUNT = "123456789012"
REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
}


class ParameterAccount:
    """The gateway with the strict services; `calls` is its log.

    Args:
        scale: seconds of this machine for a second of the account: its request rates and waits.
    """

    def __init__(self, scale: float) -> None:
        self.clock = Clock(scale)
        self.moto = MotoAccount(ACCOUNT, REGION)
        bus = EventBus(self.clock, ACCOUNT, REGION)
        place: dict[str, Any] = {"account_id": ACCOUNT, "region": REGION}
        self.faults = Faults(self.clock)
        ec2 = Ec2Store(self.clock, bus, Durations(), moto=self.moto, faults=self.faults, **place)
        registry = Registry(self.clock, bus, **place)
        self.parameter_store = ParameterStore(self.clock, bus, Durations(), ec2, **place)
        provisioner = ShellProvisioner()
        run_command = RunCommand(self.clock, bus, Durations(), ec2, provisioner, **place)
        tags = ResourceTags(self.parameter_store, run_command)
        self.calls = CallLog()
        gateway = Gateway(
            handlers_of(
                *ec2_operations(ec2, self.parameter_store), registry, self.parameter_store, run_command, tags
            ),
            self.moto,
            self.clock,
            self.calls,
            ACCOUNT,
            REGION,
            lambda _key: "tests",
            middlewares=[self.faults.around_call],
            routes=self.faults.routes(),
        )
        self._server = HttpServer(0)
        self._server.serve(gateway)
        self.endpoint_url = self._server.url
        self._clients: dict[str, Any] = {}

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that uses this account."""
        return {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint_url}

    def client(self, service: str) -> Any:
        """A boto3 client with one attempt per call."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint_url,
                region_name=REGION,
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def count(self, operation: str) -> int:
        """How many calls of an operation have arrived."""
        return sum(call.operation == operation for call in self.calls.since(0))

    def close(self) -> None:
        """Stop serving."""
        for client in self._clients.values():
            client.close()
        self._server.close()
        self.moto.close()
        self.clock.close()
