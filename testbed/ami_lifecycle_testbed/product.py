"""The code of this service's functions in virtual time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from ami_lifecycle.adapters.process import Process, running_in
from aws_emulator.simulation.functions import SimulatedFunctions
from aws_emulator.simulation.virtual_clock import VirtualClock

_LOGGERS: Final = ("ami-lifecycle", "service_undefined")


class _VirtualProcess(Process):
    def __init__(self, clock: VirtualClock, functions: SimulatedFunctions, session: Any) -> None:
        self._clock = clock
        self._functions = functions
        self.session = session

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.elapsed()

    def sleep(self, seconds: float) -> None:
        self._functions.sleep(self._clock, seconds)

    def variables(self) -> Mapping[str, str]:
        return self._functions.environment


@contextmanager
def stand_ins(clock: VirtualClock, functions: SimulatedFunctions, session: Any) -> Iterator[None]:
    """Run the functions' code in virtual time, without logs."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with running_in(_VirtualProcess(clock, functions, session)):
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
