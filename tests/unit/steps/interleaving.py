"""Every interleaving of a few tasks at their port calls, one task running at a time.

The search is exhaustive up to a number of preemptions: switches away from a task that could go on. Races
need few of those to show.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import Call, Faulty

_PATIENCE_SECONDS = 30


@dataclass
class _Task:
    run: Callable[[], Any]
    go: threading.Event = field(default_factory=threading.Event)
    is_over: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass
class Schedule:
    """One run: the choices to make first, and those that were made."""

    prefix: Sequence[int] = ()
    preemptions: int = 2
    choices: list[tuple[int, int]] = field(default_factory=list)
    _tasks: list[_Task] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _own: threading.local = field(default_factory=threading.local)

    def hold(self, *ports: Faulty) -> None:
        """Let tasks be interrupted before each call of these ports."""
        for port in ports:
            port.hooks.append(self)

    def before(self, port: Faulty, call: Call) -> None:
        task: _Task | None = getattr(self._own, "task", None)
        if task is not None:
            self._pause(task)

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing: a call and its effect are one."""

    def run(self, *tasks: Callable[[], Any]) -> list[Any]:
        """Run the tasks to their ends; the result of each, or the error that it raised."""
        self._tasks = [_Task(task) for task in tasks]
        threads = [threading.Thread(target=self._body, args=(task,), daemon=True) for task in self._tasks]
        for thread in threads:
            thread.start()
        current: _Task | None = None
        while runnable := [task for task in self._tasks if not task.is_over]:
            current = self._choose(runnable, current)
            self._stopped.clear()
            current.go.set()
            assert self._stopped.wait(_PATIENCE_SECONDS), "a task neither calls nor ends"
        for thread in threads:
            thread.join()
        return [task.error or task.result for task in self._tasks]

    def _choose(self, runnable: list[_Task], current: _Task | None) -> _Task:
        if current in runnable:
            options = [current, *(task for task in runnable if task is not current)]
            if self.preemptions == 0:
                options = options[:1]
        else:
            options = runnable
        position = len(self.choices)
        chosen = self.prefix[position] if position < len(self.prefix) else 0
        self.choices.append((chosen, len(options)))
        if current in runnable and chosen:
            self.preemptions -= 1
        return options[chosen]

    def _body(self, task: _Task) -> None:
        self._own.task = task
        task.go.wait()
        task.go.clear()
        try:
            task.result = task.run()
        except Exception as error:  # noqa: BLE001 - the test that asked for the run judges it
            task.error = error
        task.is_over = True
        self._stopped.set()

    def _pause(self, task: _Task) -> None:
        self._stopped.set()
        task.go.wait()
        task.go.clear()


def schedules(preemptions: int = 2) -> Iterator[Schedule]:
    """Every schedule, each to be used for one run in a world of its own."""
    prefix: list[int] | None = []
    while prefix is not None:
        schedule = Schedule(prefix, preemptions)
        yield schedule
        assert schedule.choices, "the schedule was not used"
        prefix = _next(schedule.choices)


def _next(choices: list[tuple[int, int]]) -> list[int] | None:
    for position in range(len(choices) - 1, -1, -1):
        chosen, options = choices[position]
        if chosen + 1 < options:
            return [*(made for made, _ in choices[:position]), chosen + 1]
    return None
