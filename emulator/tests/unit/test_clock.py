"""The clock of a process that runs."""

from __future__ import annotations

import threading

from aws_emulator.clock import Clock


def test_a_call_in_centuries_keeps_no_other_from_happening() -> None:
    clock = Clock(scale=1e9)
    try:
        clock.call_later(1000.0, lambda: None)
        for _ in range(20):
            called = threading.Event()
            clock.call_later(0.0, called.set)
            assert called.wait(10)
    finally:
        clock.close()
