"""Virtual time: the clock jumps to the next timer as soon as all actors wait.

Everything that the emulator would do on threads of its own is an actor here. One actor runs at a time and
goes on until it waits, so a run depends on nothing but its inputs: not on the machine, not on its load.

Actors are greenlets of one thread. So a process may fork at any moment of a run, and both go on from there: a fork
takes along the thread that forks, and no other one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aws_emulator.clock import Clock, Timer

if TYPE_CHECKING:
    from greenlet import greenlet

_BEGIN: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class StoppedError(BaseException):
    """The simulation has ended under an actor; not an Exception, so that nothing handles it."""


class StuckError(RuntimeError):
    """An actor of the simulation failed, or waits for what cannot come."""


class Actor:
    """A simulated thread: an execution, an invocation of a function, a delivery, the driver.

    Attributes:
        number: counts the actors of a clock.
        subject: what it acts for, which a scheduler of interleavings may ask for.
        strand: its greenlet; for the driver, the one that created the clock.
        begun: whether it has acted yet.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.subject: Any = None
        self.ready: Callable[[], bool] = _always
        self.due: float | None = None
        self.stopped = False
        self.strand: greenlet | None = None
        self.begun = False


Chooser = Callable[[list[Actor]], Actor]


class VirtualClock(Clock):
    """A clock whose seconds take no time.

    Attributes:
        choose: which of the actors that can go on goes on; the one that waits longest, if nobody says else.
        failures: what actors and scheduled calls raised, which is always a defect of the emulator.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self.choose: Chooser = _first
        self.failures: list[BaseException] = []
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._waiting: list[Actor] = []
        self._made_by = threading.get_ident()
        self._driver = Actor("driver", next(self._numbers))
        self._driver.strand = _greenlets().getcurrent()
        self._driver.begun = True
        self._acting = self._driver
        # A greenlet begins below whoever switches to it for the first time, in calls as on the stack, and many that
        # wait would be a tower. So all are begun by one that is never deep.
        self._beginning = self._driver
        self._beginner = _greenlets().greenlet(self._begin_others, parent=self._driver.strand)
        self._beginner.switch()
        self._in_timer = False
        self._stopped = False

    # What every clock does.

    def now(self) -> datetime:
        """The virtual date."""
        return _BEGIN + timedelta(seconds=self._elapsed)

    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self._elapsed

    def monotonic(self) -> float:
        """The same: a second of this machine is a virtual one."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the actor that calls; others go on meanwhile."""
        if not self._in_timer:
            self._wait(_never, seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back at a virtual time."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (self._elapsed + max(0.0, seconds), next(self._numbers), timer))
        return timer

    def spawn(self, name: str, target: Callable[..., Any], *args: Any) -> None:
        """Add an actor, which begins when the others wait."""
        if self._stopped:
            return
        if self.actor is None:
            raise StuckError(f"{name} is to begin on a thread that is no actor of the simulation")
        actor = Actor(name, next(self._numbers))
        # The driver outlives all others, so whoever ends has somebody to go to.
        actor.strand = _greenlets().greenlet(lambda *_: self._act(target, args), parent=self._driver.strand)
        self._waiting.append(actor)

    def workers(self, name: str, most: int) -> Actors:  # noqa: ARG002 - there is no reason for a limit here
        """An executor whose every job is an actor."""
        return Actors(self, name)

    def wait_for(
        self, condition: threading.Condition, ready: Callable[[], bool], real_seconds: float | None
    ) -> bool:
        """Wait with the condition released; False when the time is over first."""
        condition.release()
        try:
            return self._wait(ready, real_seconds)
        finally:
            condition.acquire()

    def close(self) -> None:
        """End all actors, wherever they wait."""
        self._stopped = True
        self._timers.clear()
        actors, self._waiting = self._waiting, []
        for actor in actors:
            actor.stopped = True
            if actor.strand and actor is not self._driver:
                actor.strand.throw(StoppedError)

    # What only this one does.

    @property
    def actor(self) -> Actor | None:
        """The actor that calls; None on a thread that the clock does not know."""
        return self._acting if threading.get_ident() == self._made_by else None

    @property
    def waiting(self) -> list[Actor]:
        """The actors that wait."""
        return list(self._waiting)

    @property
    def timers(self) -> list[tuple[float, Timer]]:
        """The calls that are due, each with its moment, the next one first."""
        return [
            (due, timer)
            for due, _, timer in sorted(self._timers, key=lambda each: each[:2])
            if not timer.cancelled
        ]

    @property
    def idle(self) -> bool:
        """Whether only time can make something happen."""
        return all(actor is self._driver for actor in self._waiting)

    def run_until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Let the others act until something has happened; False when the virtual seconds are over first.

        Raises:
            StuckError: an actor or a scheduled call has failed inside the emulator.
        """
        reached = self._wait(lambda: bool(self.failures) or happened(), seconds)
        if self.failures:
            raise StuckError(f"the emulator failed: {self.failures[0]!r}") from self.failures[0]
        return reached

    def _wait(self, ready: Callable[[], bool], seconds: float | None) -> bool:
        actor = self.actor
        if actor is None or self._in_timer:
            raise StuckError("a thread that is no actor of the simulation waits in virtual time")
        if self._stopped or actor.stopped:
            raise StoppedError
        actor.ready = ready
        actor.due = None if seconds is None else self._elapsed + max(0.0, seconds)
        self._waiting.append(actor)
        following = self._following()
        if following is not actor:
            self._acting = following
            self._strand_to(following).switch()
        if actor.stopped:
            raise StoppedError
        return ready()

    def _act(self, target: Callable[..., Any], args: tuple[Any, ...]) -> None:
        greenlets = _greenlets()
        try:
            target(*args)
        except (StoppedError, greenlets.GreenletExit):
            return
        except BaseException as error:  # noqa: BLE001 - whoever drives the clock gets it
            self.failures.append(error)
        if not self._stopped:
            self._acting = self._following()
            # A greenlet that ends goes on in its parent.
            greenlets.getcurrent().parent = self._strand_to(self._acting)

    def _strand_to(self, actor: Actor) -> greenlet:
        """The greenlet to go on in for an actor to act: its own, or the one that begins it."""
        if actor.begun:
            return _greenlet_of(actor)
        actor.begun, self._beginning = True, actor
        beginner: greenlet = self._beginner
        return beginner

    def _begin_others(self) -> None:
        while True:
            # Nobody comes back but because of another actor that is to begin.
            _greenlet_of(self._beginning).switch()

    def _following(self) -> Actor:
        """Who acts next; lets time pass until there is somebody."""
        while True:
            able = [actor for actor in self._waiting if self._can_go_on(actor)]
            if able:
                chosen = self.choose(able)
                self._waiting.remove(chosen)
                return chosen
            self._advance()

    def _can_go_on(self, actor: Actor) -> bool:
        return (actor.due is not None and actor.due <= self._elapsed) or actor.ready()

    def _advance(self) -> None:
        due_times = [actor.due for actor in self._waiting if actor.due is not None]
        timer_due = self._timers[0][0] if self._timers else None
        if timer_due is not None and (not due_times or timer_due <= min(due_times)):
            self._elapsed = max(self._elapsed, timer_due)
            self._fire(heapq.heappop(self._timers)[2])
        elif due_times:
            self._elapsed = max(self._elapsed, min(due_times))
        else:
            raise StuckError("everybody waits for ever")

    def _fire(self, timer: Timer) -> None:
        if timer.cancelled:
            return
        self._in_timer = True
        try:
            timer.callback()
        except BaseException as error:  # noqa: BLE001 - whoever drives the clock gets it
            self.failures.append(error)
        finally:
            self._in_timer = False


class Actors:
    """An executor whose jobs are actors."""

    def __init__(self, clock: VirtualClock, name: str) -> None:
        self._clock = clock
        self._name = name

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> None:
        """Run `fn(*args)` as an actor."""
        self._clock.spawn(self._name, fn, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to do: the clock ends its actors."""


def _greenlets() -> Any:
    import greenlet  # noqa: PLC0415 - what serves an account has no need of it

    return greenlet


def _greenlet_of(actor: Actor) -> greenlet:
    if actor.strand is None:
        raise StuckError(f"{actor.name} has never begun")
    return actor.strand


def _always() -> bool:
    return True


def _never() -> bool:
    return False


def _first(able: list[Actor]) -> Actor:
    return able[0]
