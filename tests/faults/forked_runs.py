"""Cases share what they have in common: one run of the act, which forks where a fault finds its occasion.

Until then a disturbed run does what the undisturbed one does, with the same random numbers; so it begins there. What
finds no occasion ends as the undisturbed run ends.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.cases import Case, Point
from tests.faults.known_states import KnownStates, Met, resolved
from tests.faults.runner import Redrive, Result, conclude, judge_ends, problem, strike
from tests.faults.scenarios import Scenario
from tests.faults.states import digest_of, is_between_steps, is_pending_end
from tests.faults.world import World

from aws_emulator.api.operations import Request, Response

# Seconds of processor time that one case may take; it is ended by the system, however busy the machine is.
LIMIT_PROCESSOR_SECONDS = 300
# Real seconds after which a case that does nothing at all is ended.
LIMIT_SECONDS = 7_200.0
_UNDISTURBED = Case("undisturbed", "", ())


class Branches:
    """One run of an act, and the cases that branch off from it.

    Args:
        jobs: how many cases run at once; the run that they branch off from waits meanwhile.
        joining: end a case that comes to a state that another one was in, and take what came of that.
    """

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        cases: Sequence[Case],
        jobs: int,
        tell: Callable[[Result], None],
        *,
        joining: bool = False,
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._waiting = {case.name: case for case in cases}
        self._jobs = jobs
        self._tell = tell
        self._results: list[Result | None] = []
        self._states: KnownStates | None = None
        self._joining = joining
        self._stage = ""
        self._number = 0
        self._known = 0
        self._result = Result(scenario.name, "", "")
        self._redrive: Redrive | None = None
        self._running: dict[int, _Child] = {}
        self._posted: dict[str, list[str]] = {}
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._applied = 0
        self._case: Case | None = None
        self._writer = -1

    def try_all(self) -> list[Result]:
        """Try all cases. The process is of no use for another act then."""
        with tempfile.TemporaryDirectory() as directory:
            if self._joining:
                self._states = KnownStates(Path(directory) / "states")
            try:
                undisturbed = self._run()
            except BaseException:
                if self._case is None:
                    raise
                self._leave(traceback.format_exc()[-3000:])
            if self._case is not None:
                # A branch may have begun as late as in the aftermath, in the middle of this run.
                self._leave(json.dumps(asdict(_of(self._case, undisturbed))))
            self._wait(0)
        results = resolved(self._results)
        for case in self._waiting.values():
            # What the act itself has go wrong is no occasion of the case.
            results.append(replace(_of(case, undisturbed), applied=0))
            self._tell(results[-1])
        return [result for result in results if result.kind != _UNDISTURBED.kind]

    def _run(self) -> Result:
        """Act, settle and conclude, in the common run as in each branch of it."""
        world = self._world
        self._known = len(world.executions())
        self._prepare()
        self._scenario.act(world)
        self._stage = "the act"
        ended = world.settle()
        result, environment = self._result, self._scenario.environment
        conclude(world, environment, result, self._known, ended=ended, reached=self._reached)
        result.applied += self._applied
        return result

    def _prepare(self) -> None:
        if self._states is not None:
            self._begins(_UNDISTURBED)
            self._world.simulation.state_taps.append(self._join)
        for case in list(self._waiting.values()):
            if self._case is None and len(case.rules) > 1 and self._begins(case):
                self._post(case)
                self._limit(case)
        if self._case is None:
            for case in self._waiting.values():
                self._post(case)
            self._world.simulation.gateway.middlewares.insert(0, self._around_call)

    def _reached(self, stage: str) -> None:
        self._stage = stage
        self._join()

    def _join(self) -> None:
        """End here, if a case was in this state before; else have others know of it."""
        if self._states is None or self._case is None or not self._stage or self._may_still_apply():
            return
        world = self._world
        if world.observers.violations.all() or not is_between_steps(world):
            return
        result = replace(_of(self._case, self._result), statuses=[], violations=[])
        judge_ends(world, result, self._known)
        if result.violations:
            return
        digest = digest_of(world, self._stage)
        met = self._states.before(digest, self._number)
        if met is None:
            self._states.note(digest, Met(self._number, len(result.statuses)))
            return
        result.applied += self._applied + sum(each["applied"] for each in self._rules())
        result.joined, result.shared = met
        self._leave(json.dumps(asdict(result)))

    def _may_still_apply(self) -> bool:
        """Whether the case's fault may come again, or is to be followed by a redrive."""
        lasting = any(
            each["rule"]["times"] is None or each["applied"] < each["rule"]["times"] for each in self._rules()
        )
        if lasting or (self._redrive is not None and self._redrive.due):
            return True
        return any(is_pending_end(timer.callback) for _, timer in self._world.clock.timers)

    def _rules(self) -> list[dict[str, Any]]:
        return self._world.simulation.faults.listing()

    def _post(self, case: Case) -> None:
        faults, single = self._world.simulation.faults, len(case.rules) == 1
        asked = (lambda: self._finds_its_occasion(case)) if single else None
        self._posted[case.name] = [faults.add(rule, asked) for rule in case.rules]

    def _finds_its_occasion(self, case: Case) -> bool:
        """Branch off; whether this process is the branch."""
        if self._case is not None or not self._begins(case):
            return False
        others = {each for name, ids in self._posted.items() if name != case.name for each in ids}
        self._world.simulation.faults.drop(others)
        self._limit(case)
        return True

    def _around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Branch off where a case stops the executions (a gateway middleware)."""
        if self._case is None:
            key = (request.service, request.operation, request.caller)
            point = Point(*key, self._calls[key])
            self._calls[key] += 1
            for case in [each for each in self._waiting.values() if each.stop == point]:
                if self._begins(case):
                    self._world.simulation.faults.drop(
                        {each for ids in self._posted.values() for each in ids}
                    )
                    self._applied += 1
                    strike(self._world)
                    break
        return proceed()

    def _limit(self, case: Case) -> None:
        """Have the faults of a case end in time, and what they end be redriven."""
        if case.lasting is not None:
            self._world.clock.call_later(case.lasting, self._end_faults)
        if case.redrive is not None:
            self._redrive = Redrive(self._world, case.redrive)
            self._world.simulation.bus.taps.append(self._redrive.heard)

    def _end_faults(self) -> None:
        if self._case is not None:
            self._applied += self._world.simulation.faults.drop(self._posted[self._case.name])

    def _begins(self, case: Case) -> bool:
        """Fork; True in the process that goes on with the case."""
        self._waiting.pop(case.name, None)
        self._wait(self._jobs - 1)
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_PROCESSOR_SECONDS, LIMIT_PROCESSOR_SECONDS))
            self._case, self._writer, self._number = case, writer, len(self._results)
            return True
        os.close(writer)
        result = Result(self._scenario.name, case.kind, case.place)
        deadline = time.monotonic() + LIMIT_SECONDS
        self._running[reader] = _Child(pid, reader, len(self._results), result, deadline)
        self._results.append(None)
        self._world.simulation.faults.drop(self._posted.get(case.name, ()))
        return False

    def _wait(self, most: int) -> None:
        """Wait until no more than so many branches run."""
        while len(self._running) > most:
            for child in _ended(self._running):
                del self._running[child.reader]
                result = self._results[child.number] = child.finish()
                if child.number or self._states is None:
                    self._tell(result)

    def _leave(self, content: str) -> None:
        """End a branch with what it has to say."""
        with os.fdopen(self._writer, "wb") as pipe:
            pipe.write(content.encode())
        os._exit(0)


def _of(case: Case, result: Result) -> Result:
    return replace(result, kind=case.kind, place=case.place)


@dataclass
class _Child:
    pid: int
    reader: int
    number: int
    result: Result
    deadline: float
    content: bytes = b""

    def finish(self) -> Result:
        os.close(self.reader)
        _, status = os.waitpid(self.pid, 0)
        try:
            return Result(**json.loads(self.content))
        except (ValueError, TypeError):
            text = self.content.decode(errors="replace") or f"status {status} and no result"
            self.result.violations.append(problem(f"the run failed: {text}"))
            return self.result


def _ended(running: dict[int, _Child]) -> Iterator[_Child]:
    """Children that have written everything, or whose time is over."""
    readable, _, _ = select.select(list(running), [], [], 1.0)
    for reader, child in list(running.items()):
        if reader in readable:
            data = os.read(reader, 1 << 16)
            child.content += data
            if not data:
                yield child
        elif time.monotonic() > child.deadline:
            os.kill(child.pid, signal.SIGKILL)
            child.deadline = float("inf")
