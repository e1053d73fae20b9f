"""Virtual time: nobody waits, one actor acts at a time, and a run repeats."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from aws_emulator.simulation.virtual_clock import Actor, StuckError, VirtualClock


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock()
    yield clock
    clock.close()


def test_a_day_takes_no_time(clock: VirtualClock) -> None:
    begin, date = time.monotonic(), clock.now()
    assert not clock.run_until(lambda: False, 86_400)
    assert clock.elapsed() == 86_400
    assert (clock.now() - date).total_seconds() == 86_400
    assert time.monotonic() - begin < 60


def test_calls_are_made_when_they_are_due_in_order(clock: VirtualClock) -> None:
    made: list[tuple[str, float]] = []
    clock.call_later(5, lambda: made.append(("late", clock.elapsed())))
    clock.call_later(1, lambda: made.append(("early", clock.elapsed())))
    clock.call_later(2, lambda: made.append(("never", clock.elapsed()))).cancel()
    assert clock.run_until(lambda: len(made) == 2, 60)
    assert made == [("early", 1), ("late", 5)]


def test_any_number_of_actors_wait_at_once_however_deep_in_their_calls(clock: VirtualClock) -> None:
    """Whoever begins while another one waits does not begin below it."""
    ended: list[int] = []

    def wait(number: int, depth: int) -> None:
        if depth:
            wait(number, depth - 1)
            return
        if number:
            clock.spawn(f"actor {number}", wait, number - 1, 60)
        clock.sleep(60)
        ended.append(number)

    clock.spawn("actor 300", wait, 300, 60)
    assert clock.run_until(lambda: len(ended) == 301, 600)


def test_actors_take_turns_where_they_wait(clock: VirtualClock) -> None:
    steps: list[str] = []

    def act(name: str, seconds: float) -> None:
        for number in range(2):
            clock.sleep(seconds)
            steps.append(f"{name}{number}")

    clock.spawn("a", act, "a", 3)
    clock.spawn("b", act, "b", 2)
    clock.run_until(lambda: len(steps) == 4, 60)
    assert steps == ["b0", "a0", "b1", "a1"]
    assert clock.idle


def test_a_chooser_decides_who_goes_on(clock: VirtualClock) -> None:
    steps: list[str] = []

    def newest(able: list[Actor]) -> Actor:
        return max(able, key=lambda actor: actor.number)

    clock.choose = newest
    for name in ("a", "b", "c"):
        clock.spawn(name, steps.append, name)
    clock.run_until(lambda: len(steps) == 3, 1)
    assert steps == ["c", "b", "a"]


def test_a_condition_is_free_while_an_actor_waits_for_it(clock: VirtualClock) -> None:
    condition = threading.Condition()
    box: list[str] = []
    outcomes: list[bool] = []

    def receive(seconds: float) -> None:
        with condition:
            outcomes.append(clock.wait_for(condition, lambda: bool(box), seconds))

    def send() -> None:
        clock.sleep(4)
        with condition:
            box.append("sent")

    clock.spawn("impatient", receive, 1)
    clock.spawn("patient", receive, 10)
    clock.spawn("sender", send)
    clock.run_until(lambda: len(outcomes) == 2, 60)
    assert outcomes == [False, True]
    assert clock.elapsed() == 4


def test_what_an_actor_raises_reaches_the_driver(clock: VirtualClock) -> None:
    def fail() -> None:
        raise ValueError("a defect")

    clock.spawn("defective", fail)
    with pytest.raises(StuckError, match="a defect"):
        clock.run_until(lambda: False, 10)


def test_closing_ends_actors_wherever_they_wait() -> None:
    clock = VirtualClock()
    ended: list[bool] = []

    def act() -> None:
        try:
            clock.sleep(1_000)
        finally:
            ended.append(True)

    clock.spawn("sleeper", act)
    clock.run_until(lambda: False, 1)
    clock.close()
    assert ended == [True]


def test_a_thread_that_is_no_actor_cannot_wait(clock: VirtualClock) -> None:
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            clock.sleep(1)
        except StuckError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert len(raised) == 1
