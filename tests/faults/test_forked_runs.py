"""What branches off from the common run is told as what it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.faults import forked_runs
from tests.faults.cases import Case, Rule
from tests.faults.forked_runs import Branches
from tests.faults.runner import run_forked
from tests.faults.scenarios import Scenario
from tests.faults.world import PROD, World

_SLOW: Rule = {"kind": "slow", "seconds": 1, "caller": "SweepEnvironmentsFunction"}
_LATE = Case("slow", "a call in the aftermath", ({**_SLOW, "operation": "DescribeInstances"},))
_NEVER = Case("slow", "a call that nobody makes", ({**_SLOW, "operation": "CreateImage"},))


def _sweep_late(world: World) -> None:
    """Everything is quiet at once, and the account is swept in the aftermath, with a fault of the act's own."""
    world.simulation.faults.add({**_SLOW, "operation": "DescribeImages"})
    world.clock.call_later(30, world.sweep)


def test_a_case_keeps_its_name_in_the_aftermath_and_the_acts_own_faults_are_not_the_cases(
    tmp_path: Path,
) -> None:
    def work() -> str:
        world = World(tmp_path)
        act = Scenario("swept-late", PROD, lambda _: None, _sweep_late)
        results = Branches(world, act, [_LATE, _NEVER], 1, lambda _: None).try_all()
        return json.dumps([asdict(result) for result in results])

    content = run_forked(work)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise AssertionError(content) from error
    assert [(each["scenario"], each["kind"], each["place"]) for each in found] == [
        ("swept-late", case.kind, case.place) for case in (_LATE, _NEVER)
    ]
    # The late one met its own fault and the act's.
    assert [each["applied"] for each in found] == [2, 0]
    assert [each["violations"] for each in found] == [[], []]


def test_a_case_that_never_ends_is_ended_by_its_processor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked_runs, "LIMIT_PROCESSOR_SECONDS", 1)

    def work() -> str:
        world, common = World(tmp_path), os.getpid()

        def spin() -> None:
            while os.getpid() != common:
                pass

        def act(world: World) -> None:
            _sweep_late(world)
            world.clock.call_later(90, spin)

        spinning = Scenario("spins", PROD, lambda _: None, act)
        results = Branches(world, spinning, [_LATE], 1, lambda _: None).try_all()
        return json.dumps([asdict(result) for result in results])

    content = run_forked(work)
    assert content.startswith("["), content
    (found,) = json.loads(content)
    assert [each["what"] for each in found["violations"]] == ["the run failed: status 9 and no result"]
