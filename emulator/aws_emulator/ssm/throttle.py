"""Request rates of Systems Manager, in emulated time."""

from __future__ import annotations

import threading
from typing import Final

from aws_emulator.api.errors import throttled
from aws_emulator.clock import Clock


class TokenBucket:
    """Allows `burst` calls at once and `rate` calls a second in the long run."""

    def __init__(self, clock: Clock, *, rate: float, burst: float) -> None:
        self._clock: Final = clock
        self._rate: Final = rate
        self._burst: Final = burst
        self._tokens = burst
        self._filled = clock.elapsed()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Use one token.

        Raises:
            ApiError: `ThrottlingException` if there is none.
        """
        with self._lock:
            now = self._clock.elapsed()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            if self._tokens < 1:
                raise throttled()
            self._tokens -= 1
