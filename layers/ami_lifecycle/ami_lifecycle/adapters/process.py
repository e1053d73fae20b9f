"""The process as a seam: the current time, the environment variables, and a session of the SDK.

There is one at a time. A test harness that runs functions in virtual time replaces it, so no other module may read
the clock or the environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import botocore.session


class Process:
    """The process of a Lambda function, or of the command line."""

    def now(self) -> datetime:
        """The current date (UTC, aware)."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def variables(self) -> Mapping[str, str]:
        """The environment variables."""
        return os.environ

    @cached_property
    def session(self) -> Any:
        """botocore's session, with the process's own credentials and Region."""
        return botocore.session.get_session()

    @cached_property
    def clients(self) -> dict[Any, Any]:
        """Cached clients of the session, by service and options."""
        return {}


_processes: list[Process] = [Process()]


def current_process() -> Process:
    """The process that the calling code runs in."""
    return _processes[-1]


@contextmanager
def running_in(process: Process) -> Iterator[None]:
    """Have everything run in another process until the end of the block."""
    _processes.append(process)
    try:
        yield
    finally:
        _processes.remove(process)
