"""The sweep: `python -m tests.faults`; see `--help`."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.faults.breaks import BREAKS, is_caught, try_break
from tests.faults.cases import Case, all_cases, sample
from tests.faults.forked_runs import Branches
from tests.faults.races import RACES, try_every_schedule
from tests.faults.runner import Result, measure_apart, run_forked
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World

PROGRESS_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep; the exit code is 1 when a promise was broken."""
    options = _parse(arguments)
    began = time.monotonic()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as directory:
        if not (options.case or options.sample or options.list or options.breaks):
            _warm_up(Path(directory))
        world = World(Path(directory), options.seed)
        world.add_foreign()
        gc.collect()
        if options.breaks:
            return _try_breaks(world)
        for name in options.scenario or (*SCENARIOS, *RACES):
            results += _run(world, name, options)
    if options.list:
        return 0
    print(matrix(results))
    broken = [result for result in results if result.violations]
    missed = sum(not result.applied for result in results)
    joined = sum(result.joined is not None for result in results)
    print(
        f"\n{len(results)} faults tried in {time.monotonic() - began:.0f} s, {missed} of them found no occasion; "
        f"{len(broken)} broke a promise. {joined} came to a state that was followed to its end before."
    )
    if options.json:
        Path(options.json).write_text(json.dumps([vars(result) for result in results], indent=1))
    for result in broken:
        _explain(result, options)
    return 1 if broken else 0


def _warm_up(directory: Path) -> None:
    """Have this process load what the functions load when they are first called: else each case would."""
    world = World(directory)
    SCENARIOS["first-build"].act(world)
    world.settle()
    world.sweep()
    world.push("two")
    world.settle()
    world.close()


def _try_breaks(world: World) -> int:
    """Break the product in every way that is known; 1 when one is not seen."""
    missed = 0
    for broken in BREAKS.values():
        result = try_break(world, broken)
        caught = is_caught(broken, result)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED':7} {broken.caught or 'held':5} {broken.name}")
        for violation in result.violations[:1]:
            print(f"        {violation['promise']}: {violation['what']}\n        after {violation['cause']}")
    print(f"\n{len(BREAKS)} breaks, {missed} not seen.")
    return 1 if missed else 0


def matrix(results: Sequence[Result]) -> str:
    """Scenario by fault: how many were tried, and how many broke a promise."""
    scenarios = list(dict.fromkeys(result.scenario for result in results))
    kinds = list(dict.fromkeys(result.kind for result in results))
    tried = Counter((result.kind, result.scenario) for result in results)
    broken = Counter((result.kind, result.scenario) for result in results if result.violations)
    rows = [["fault", *scenarios, "all"]]
    for kind in [*kinds, "all"]:
        row = [kind]
        for scenario in [*scenarios, "all"]:
            keys = [key for key in tried if kind in {key[0], "all"} and scenario in {key[1], "all"}]
            count, bad = sum(tried[key] for key in keys), sum(broken[key] for key in keys)
            row.append(f"{count} / {bad}" if count else "")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(["tried / broken", "", *lines])


def _run(world: World, name: str, options: argparse.Namespace) -> list[Result]:
    """Run one scenario in a process of its own, so that each finds the account as it was started."""
    content = run_forked(partial(_run_as_json, world, name, options))
    try:
        return [Result(**each) for each in json.loads(content)]
    except ValueError:
        sys.exit(f"{name} failed:\n{content}")


def _run_as_json(world: World, name: str, options: argparse.Namespace) -> str:
    scenario = RACES.get(name) or SCENARIOS[name]
    scenario.prepare(world)
    world.simulation.reseed(options.seed)
    results = _race(world, scenario, options) if name in RACES else _sweep(world, scenario, options)
    return json.dumps([vars(result) for result in results])


def _sweep(world: World, scenario: Scenario, options: argparse.Namespace) -> list[Result]:
    baseline = measure_apart(world, scenario)
    cases = _chosen(all_cases(baseline, scenario.callers), scenario, options)
    progress = Progress(scenario.name, len(cases), options)
    joining = not (options.case or options.whole)
    return Branches(world, scenario, cases, options.jobs, progress.tell, joining=joining).try_all()


class Progress:
    """Says every so often how far an act is, and for how long it will go on."""

    def __init__(self, scenario: str, cases: int, options: argparse.Namespace) -> None:
        self._scenario = scenario
        self._cases = cases
        self._options = options
        self._done = self._broken = 0
        self._began = self._told = time.monotonic()

    def tell(self, result: Result) -> None:
        """Count a case."""
        _tell(result, self._options)
        self._done += 1
        self._broken += bool(result.violations)
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS or (self._done == self._cases and now - self._began > 1):
            self._told = now
            left = (now - self._began) / self._done * (self._cases - self._done)
            acts = list(self._options.scenario or (*SCENARIOS, *RACES))
            print(
                f"{self._scenario} (act {acts.index(self._scenario) + 1} of {len(acts)}): "
                f"{self._done:,} of {self._cases:,} tried, {self._broken} broken, about {left / 60:.1f} min to go",
                file=sys.stderr,
                flush=True,
            )


def _race(world: World, scenario: Scenario, options: argparse.Namespace) -> list[Result]:
    if options.list or options.kind:
        return []
    wanted: list[tuple[int, ...] | None] = [None]
    if options.case:
        wanted = [_schedule(case) for case in options.case]
    return [
        result
        for schedule in wanted
        for result in try_every_schedule(world, scenario, lambda result: _tell(result, options), schedule)
    ]


def _schedule(case: str) -> tuple[int, ...]:
    return tuple(int(part) for part in case.partition("@")[2].split(","))


def _chosen(cases: list[Case], scenario: Scenario, options: argparse.Namespace) -> list[Case]:
    if options.case:
        cases = [case for case in cases if case.name in options.case]
        if not cases:
            sys.exit(f"{scenario.name} has no case {', '.join(options.case)}; --list shows all")
    if options.kind:
        cases = [case for case in cases if case.kind in options.kind]
    if options.sample:
        cases = sample(cases, options.sample, options.seed)
    if options.list:
        print("\n".join(f"{scenario.name} {case.name}" for case in cases), flush=True)
        return []
    return cases


def _tell(result: Result, options: argparse.Namespace) -> None:
    if options.verbose or result.violations:
        state = "BROKEN" if result.violations else "held" if result.applied else "no occasion"
        print(f"{state:12} {result.scenario} {result.name} {','.join(result.statuses)}", flush=True)


def _explain(result: Result, options: argparse.Namespace) -> None:
    print(f"\n{result.scenario} {result.name}")
    for violation in result.violations:
        print(f"  {violation['promise']}: {violation['what']}\n      after {violation['cause']}")
    print(
        f"  again: python -m tests.faults --seed {options.seed} --scenario {result.scenario} --case '{result.name}'"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, *RACES], help="only this one; repeatable"
    )
    parser.add_argument("--case", action="append", help="only this case, as it was printed; repeatable")
    parser.add_argument("--kind", action="append", help="only this kind of fault; repeatable")
    parser.add_argument("--sample", type=int, help="so many cases of each scenario, of all kinds in turn")
    parser.add_argument("--seed", type=int, default=0, help="latencies, jitter and the sample follow it")
    parser.add_argument("--jobs", type=int, default=2, help="how many cases run at once")
    parser.add_argument("--breaks", action="store_true", help="break the product, and see it caught")
    parser.add_argument("--list", action="store_true", help="show the cases, try none")
    parser.add_argument("--json", help="write all results to this file")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="follow each case to its end, also one that comes to a known state",
    )
    parser.add_argument("--verbose", action="store_true", help="print every case")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
