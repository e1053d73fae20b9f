"""The emulator in virtual time, for runs by the thousand.

It differs from the served emulator in three things: the clock is virtual, handlers run in this process, and requests
reach the gateway without a connection. The handlers, their boto3 clients with their retries, the state machine, the
rules, the
permissions and the strict services are the same.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import boto3
import botocore
from botocore.config import Config
from botocore.session import Session

from aws_emulator.gateway.api import Api
from aws_emulator.project import Project
from aws_emulator.server import Emulator, EmulatorError
from aws_emulator.simulation.functions import SimulatedFunctions
from aws_emulator.simulation.transport import ENDPOINT_URL, RetryPauses, Transport, name_credentials
from aws_emulator.simulation.virtual_clock import VirtualClock

StandIns = Callable[[VirtualClock, SimulatedFunctions, Session], AbstractContextManager[None]]
# The default session of boto3 and the environment variables are the process's.
_simulating = threading.Lock()
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

    A process can run one at a time, beside any number of served ones: until it stops, boto3's default session and
    the environment variables are those of its functions.

    Args:
        project: directory of `template.yaml`, or a `Project` that brings more.
        seed: makes what is random repeatable: latencies, jitter of retries.
        stand_ins: give the code of the functions the virtual time, the environment variables of each
            invocation, and the session of the SDK, until they are left.
        settings: further arguments of `Emulator`.

    Attributes:
        clock: the virtual clock; `clock.run_until` lets the account act.
        random: the source of what is random.
        latency: the least and the most virtual seconds that an API call of a function takes.
    """

    clock: VirtualClock

    def __init__(
        self,
        project: Project | Path | str,
        *,
        seed: int = 0,
        stand_ins: StandIns = lambda _clock, _functions, _session: nullcontext(),
        **settings: Any,
    ) -> None:
        super().__init__(project, seed=seed, **settings)
        self._stand_ins = stand_ins
        self.latency = _LATENCY_SECONDS
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def reseed(self, seed: int) -> None:
        """Reset the random source to a seed."""
        self.random.seed(seed)
        random.seed(seed)  # botocore's jitter

    def _start_platform(self) -> None:
        if not _simulating.acquire(blocking=False):
            raise EmulatorError("a simulation runs in this process already; stop it first")
        self._cleanup.callback(_simulating.release)
        self._cleanup.callback(random.setstate, random.getstate())
        self._http = _NoServer()  # type: ignore[assignment]  # nothing connects to a simulation
        self.endpoint_url = ENDPOINT_URL
        self.clock = VirtualClock()
        self._cleanup.callback(self.clock.close)
        self._processes = SimulatedFunctions(
            self.clock, self.region, lambda: self.random.uniform(*self.latency)
        )
        self.runtime = self._processes  # type: ignore[assignment]  # what Lambda and the stack call of it
        self._cleanup.callback(self._processes.close)
        random.seed(self._seed)

    def _deploy(self) -> None:
        super()._deploy()
        # Powertools reads the process's own environment.
        for function in self.functions.functions():
            settings = {name: value for name, value in function.environment.items() if "POWERTOOLS" in name}
            self._cleanup.enter_context(_variables(settings))

    def _make_api(self) -> Api:
        transport = Transport(self.gateway, self._processes)
        # First the session of its own, because the other one is then everybody's.
        api = Api(self.gateway, self.identities, self.endpoint_url, self.region, before_send=transport)
        session = self._cleanup.enter_context(_virtual_sdk(self.clock, self._processes, transport))
        self._cleanup.enter_context(self._stand_ins(self.clock, self._processes, session))
        return api


@contextmanager
def _virtual_sdk(
    clock: VirtualClock, functions: SimulatedFunctions, transport: Transport
) -> Iterator[Session]:
    """A session of the SDK whose requests reach the gateway, and whose pauses pass in virtual time.

    It is boto3's default session, too. Environment variables say what a function's would.
    """

    def pause(seconds: float) -> None:
        if clock.actor is None:  # whoever calls another account
            time.sleep(seconds)
        else:
            functions.sleep(clock, seconds)

    session = Session(event_hooks=RetryPauses(pause))
    # Nobody looks at signatures and at what the SDK says of itself, which are a third of what a call costs.
    session.set_default_client_config(Config(user_agent="simulated"))
    events = session.get_component("event_emitter")
    events.register("choose-signer", lambda **_: botocore.UNSIGNED)
    events.register("before-sign", name_credentials)
    events.register("before-send", transport)
    default = boto3.DEFAULT_SESSION
    with _variables(_ENVIRONMENT):
        boto3.setup_default_session(botocore_session=session)
        try:
            yield session
        finally:
            boto3.DEFAULT_SESSION = default


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables of the process, as they were once it is left."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
