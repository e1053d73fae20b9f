"""Emulated time: every duration of the emulated account passes through one clock.

At time scale 1.0 a second is a second; at 0.01 an hour of waiting takes 36 s. Only durations are
scaled: the dates that the emulated account reports are this machine's, so that functions, which read
the real clock, agree with it.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Protocol


class Workers(Protocol):
    """Threads that run what is submitted; part of `concurrent.futures.Executor`."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Run `fn(*args)` on one of the threads; raises RuntimeError after `shutdown`."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more jobs."""


class Timer:
    """A scheduled call; `cancel` keeps it from happening."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Keep the call from happening, if it has not begun."""
        self.cancelled = True


class Clock:
    """Scaled durations, and a single thread that makes scheduled calls in order.

    Args:
        scale: seconds of this machine for one emulated second; above 0.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"the time scale is {scale!r}; it must be above 0 (1.0 is real time)")
        self.scale = scale
        self._origin = time.monotonic()
        self._queue: list[tuple[float, int, Timer]] = []
        self._ids = itertools.count()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="emulator-clock", daemon=True)
        self._thread.start()

    def now(self) -> datetime:
        """The date to report in responses and events (UTC)."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Emulated seconds since the emulator started."""
        return (time.monotonic() - self._origin) / self.scale

    def monotonic(self) -> float:
        """Seconds of this machine, to measure spans; `scale` makes them emulated ones."""
        return time.monotonic()

    def spawn(self, name: str, target: Callable[..., Any], *args: Any) -> None:
        """Run `target(*args)` on a thread of its own."""
        threading.Thread(target=target, args=args, name=name, daemon=True).start()

    def workers(self, name: str, most: int) -> Workers:
        """A pool of at most so many threads."""
        return ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)

    def wait_for(
        self, condition: threading.Condition, ready: Callable[[], bool], real_seconds: float | None
    ) -> bool:
        """Wait, with the condition held, until `ready()`; False when the time is over first."""
        return condition.wait_for(ready, real_seconds)

    def sleep(self, seconds: float) -> None:
        """Wait for a number of emulated seconds."""
        time.sleep(max(0.0, seconds) * self.scale)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the clock's thread after a number of emulated seconds.

        The callback must be short and must not raise; what it starts that takes long belongs on a
        thread of its own.
        """
        timer = Timer(callback)
        with self._wake:
            due = time.monotonic() + max(0.0, seconds) * self.scale
            heapq.heappush(self._queue, (due, next(self._ids), timer))
            self._wake.notify()
        return timer

    def close(self) -> None:
        """Stop the thread; scheduled calls that are not due are dropped."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while (timer := self._next_due()) is not None:
            if not timer.cancelled:
                timer.callback()

    def _next_due(self) -> Timer | None:
        with self._wake:
            while not self._closed:
                if not self._queue:
                    self._wake.wait()
                elif (wait := self._queue[0][0] - time.monotonic()) > 0:
                    self._wake.wait(min(wait, threading.TIMEOUT_MAX))
                else:
                    return heapq.heappop(self._queue)[2]
        return None
