"""The emulator in virtual time, for runs by the thousand.

Everything but three things is the served emulator's: the clock is virtual, the functions' handlers are
called in this process rather than in processes of their own, and requests reach the gateway without a
connection. The handlers, their boto3 clients with their retries, the state machine, the rules, the
permissions and the strict services are the same.
"""

from __future__ import annotations

import logging
import os
import random
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from unittest import mock

import boto3
import botocore.endpoint
import botocore.session

from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.gateway.api import Api
from aws_emulator.server import Emulator
from aws_emulator.simulation.functions import SimulatedFunctions
from aws_emulator.simulation.transport import ENDPOINT_URL, Transport
from aws_emulator.simulation.virtual_clock import VirtualClock

_LATENCY_SECONDS: Final = (0.02, 0.12)
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": ENDPOINT_URL,
    "POWERTOOLS_METRICS_DISABLED": "true",
}


class _NoServer:
    """Takes the place of the HTTP server."""

    url = ENDPOINT_URL

    def serve(self, application: Any) -> None:
        """Serve nobody."""

    def close(self) -> None:
        """Nothing to close."""


class Simulation(Emulator):
    """An emulated account in virtual time, driven by the thread that makes it.

    Args:
        project_dir: directory of `template.yaml`.
        seed: makes what is random repeatable: latencies, jitter of retries.
        settings: further arguments of `Emulator`.

    Attributes:
        clock: the virtual clock; `clock.run_until` lets the account act.
        random: the source of what is random.
        latency: the least and the most virtual seconds that an API call of a function takes.
    """

    clock: VirtualClock

    def __init__(self, project_dir: Path | str, *, seed: int = 0, **settings: Any) -> None:
        super().__init__(project_dir, seed=seed, **settings)
        self.latency = _LATENCY_SECONDS
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def reseed(self, seed: int) -> None:
        """Have what is random from now on follow another seed."""
        self.random.seed(seed)
        random.seed(seed)  # botocore's jitter

    def _start_platform(self) -> None:
        self._http = _NoServer()  # type: ignore[assignment]  # nothing connects to a simulation
        self.endpoint_url = ENDPOINT_URL
        self.clock = VirtualClock()
        self._cleanup.callback(self.clock.close)
        self._processes = SimulatedFunctions(
            self.clock, self.region, lambda: self.random.uniform(*self.latency)
        )
        self.runtime = self._processes  # type: ignore[assignment]  # what Lambda and the stack call of it
        self._cleanup.callback(self._processes.close)
        self.bus = EventBus(self.clock, self.account_id, self.region)
        random.seed(self._seed)

    def _deploy(self) -> None:
        super()._deploy()
        # Powertools reads the process's own environment.
        for function in self.functions.functions():
            settings = {name: value for name, value in function.environment.items() if "POWERTOOLS" in name}
            os.environ.update(settings)

    def _make_api(self) -> Api:
        transport = Transport(self.gateway, self._processes)
        # First the session of its own, because the other one is then everybody's.
        api = Api(self.gateway, self.identities, self.endpoint_url, self.region, before_send=transport)
        self._cleanup.enter_context(_stand_ins(self.clock, self._processes, transport))
        return api


@contextmanager
def _stand_ins(clock: VirtualClock, functions: SimulatedFunctions, transport: Transport) -> Iterator[None]:
    """Give the code of the functions the virtual time, its environment variables and the transport."""
    from ami_lifecycle import entry  # noqa: PLC0415 - the emulator itself does not need the product
    from ami_lifecycle.adapters import clients  # noqa: PLC0415
    from ami_lifecycle.adapters import clock as adapter_clock  # noqa: PLC0415

    virtual_time = types.SimpleNamespace(sleep=_sleep_of(clock, functions))
    session = botocore.session.Session()
    session.get_component("event_emitter").register("before-send", transport)
    loggers = [logging.getLogger(name) for name in ("ami-lifecycle", "service_undefined")]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, _ENVIRONMENT))
        stack.enter_context(mock.patch.object(botocore.session, "get_session", return_value=session))
        stack.enter_context(
            mock.patch.object(boto3, "DEFAULT_SESSION", boto3.session.Session(botocore_session=session))
        )
        stack.enter_context(mock.patch.object(botocore.endpoint, "time", virtual_time))
        stack.enter_context(mock.patch.object(adapter_clock, "time", virtual_time))
        stack.enter_context(mock.patch.object(adapter_clock, "datetime", _virtual_datetime(clock)))
        stack.enter_context(mock.patch.object(entry, "datetime", _virtual_datetime(clock)))
        stack.enter_context(mock.patch.object(entry, "os", _Variables(functions)))
        for logger in loggers:
            stack.enter_context(mock.patch.object(logger, "disabled", new=True))
        for made in (clients.client, clients._session):  # noqa: SLF001 - clients outlive a simulation otherwise
            made.cache_clear()
            stack.callback(made.cache_clear)
        yield


class _Variables:
    """What the functions see as the module `os`."""

    def __init__(self, functions: SimulatedFunctions) -> None:
        self._functions = functions

    @property
    def environ(self) -> dict[str, str]:
        return self._functions.environment


def _sleep_of(clock: VirtualClock, functions: SimulatedFunctions) -> Any:
    def sleep(seconds: float) -> None:
        invocation = functions.current
        if invocation is None:
            clock.sleep(seconds)
        else:
            invocation.pass_time(seconds)

    return sleep


def _virtual_datetime(clock: VirtualClock) -> type[datetime]:
    class VirtualDatetime(datetime):
        """`datetime` whose present is the clock's."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock.now().astimezone(tz)

    return VirtualDatetime
