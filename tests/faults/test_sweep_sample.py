"""A seeded sample of the sweep; `make faults` runs all of it.

The sweep runs in a process of its own: it needs one without threads, because each fault is tried in a fork.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.faults.cases import Baseline, all_cases, sample
from tests.faults.runner import HEARD
from tests.faults.scenarios import SCENARIOS

from aws_emulator.cloudformation.template import load_template
from aws_emulator.gateway.calls import Call

PROJECT = Path(__file__).resolve().parents[2]
CASES_OF_EACH = 12
SEED_VARIABLE = "FAULTS_SEED"


def seed_of(variables: Mapping[str, str], commit: str, day: date) -> int:
    """Other cases for each commit and each day; FAULTS_SEED repeats those of a failure, which names its seed."""
    if chosen := variables.get(SEED_VARIABLE):
        return int(chosen)
    return int(commit[:7] or "0", 16) + day.toordinal()


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not (PROJECT / ".git").exists():
        return ""
    head = subprocess.run(  # noqa: S603 - no input but our own
        [git, "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return head.stdout


SEED = seed_of(os.environ, _commit(), datetime.now(UTC).date())


def sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter, our own module
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """The sample's run, and its results."""
    path = tmp_path_factory.mktemp("sweep") / "results.json"
    scenarios = [part for name in SCENARIOS for part in ("--scenario", name)]
    done = sweep(
        "--jobs", "1", "--sample", str(CASES_OF_EACH), "--seed", str(SEED), "--json", str(path), *scenarios
    )
    assert path.is_file(), done.stdout + done.stderr
    return done, json.loads(path.read_text())


def test_no_fault_of_the_sample_breaks_a_promise(
    swept: tuple[subprocess.CompletedProcess[str], list[Any]],
) -> None:
    done, results = swept
    assert done.returncode == 0, f"again: {SEED_VARIABLE}={SEED} python -m pytest {__file__}\n{done.stdout}"
    assert [result for result in results if result["violations"]] == []


def test_the_sample_tries_every_scenario_and_its_faults_find_their_occasions(
    swept: tuple[subprocess.CompletedProcess[str], list[Any]],
) -> None:
    _, results = swept
    assert {result["scenario"] for result in results} == set(SCENARIOS)
    assert len(results) == CASES_OF_EACH * len(SCENARIOS)
    applied = [result for result in results if result["applied"]]
    assert len(applied) >= 0.8 * len(results)


def test_damaged_answers_and_stops_during_a_publication_break_no_promise() -> None:
    kinds = ("answer-lacks-members", "answer-cut-off", "error-without-code", "stopped-and-swept")
    chosen = [part for kind in kinds for part in ("--kind", kind)]
    scenarios = ("--scenario", "update", "--scenario", "rollback")
    done = sweep("--jobs", "1", "--sample", str(len(kinds)), "--seed", str(SEED), *chosen, *scenarios)
    assert done.returncode == 0, f"{SEED_VARIABLE}={SEED}\n{done.stdout}{done.stderr}"
    assert "8 faults tried" in done.stdout
    assert "0 of them found no occasion" in done.stdout
    assert "rollback (act 2 of 2)" in done.stderr, "it says how far it is"


def test_a_storm_and_an_outage_break_no_promise_and_end_in_time() -> None:
    cases = ("storm@60%#0", "outage-of-all@PublishImageFunction.*+240s")
    chosen = [part for case in cases for part in ("--case", case)]
    done = sweep("--jobs", "1", "--seed", "5", "--scenario", "rollback", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 faults tried" in done.stdout
    assert "0 of them found no occasion" in done.stdout


def test_storms_and_outages_are_of_many_calls_and_end() -> None:
    calls = [call(0, "GetParameter"), call(1, "PutParameter"), call(2, "PutParameter", "PlanBuildFunction")]
    cases = [case for case in all_cases(Baseline(calls, [], [])) if case.lasting]
    storms = [case for case in cases if case.kind == "storm"]
    assert {case.place.partition("%")[0] for case in storms} == {"10", "30", "60"}
    assert all(rule["times"] is None for case in cases for rule in case.rules)
    begin = {case.place: case.rules[0]["skip"] for case in cases if case.kind.startswith("outage")}
    assert begin["PublishImageFunction.ssm+20s"] == 0
    assert begin["PlanBuildFunction.*+240s"] == 2


def call(number: int, operation: str, caller: str = "PublishImageFunction") -> Call:
    return Call(number, "2026-01-05T08:00:00.000+00:00", caller, "ssm", operation, "ok", 1.0, str(number), {})


def test_each_commit_and_each_day_has_cases_of_its_own_and_a_seed_repeats_them() -> None:
    today, commit = date(2026, 1, 5), "abcdef0123"
    assert seed_of({}, commit, today) == seed_of({}, commit, today)
    assert (
        len({seed_of({}, commit, today), seed_of({}, "0" * 10, today), seed_of({}, commit, date(2026, 1, 6))})
        == 3
    )
    assert seed_of({SEED_VARIABLE: "7"}, commit, today) == 7
    assert seed_of({}, "", today) == today.toordinal()


def test_the_events_of_all_rules_are_disturbed() -> None:
    resources = load_template(PROJECT / "template.yaml", "us-east-1").resources
    patterns = [
        each["Properties"]["EventPattern"]
        for each in resources.values()
        if each["Type"] == "AWS::Events::Rule" and "EventPattern" in each["Properties"]
    ]
    heard = {(source, kind) for each in patterns for source in each["source"] for kind in each["detail-type"]}
    assert heard == HEARD


def test_every_write_is_a_point_and_repeated_reads_stand_for_each_other() -> None:
    calls = [call(number, "GetParameter") for number in range(20)]
    calls += [call(number, "PutParameter") for number in range(20, 30)]
    cases = all_cases(Baseline(calls, [], []))
    lost = [case.place for case in cases if case.kind == "answer-lost"]
    reads = [place for place in lost if "GetParameter" in place]
    assert [place.rpartition("#")[2] for place in reads] == ["0", "1", "2", "18", "19"]
    assert len([place for place in lost if "PutParameter" in place]) == 10


def test_a_sample_is_the_same_for_the_same_seed_and_goes_through_the_kinds() -> None:
    cases = all_cases(Baseline([call(number, "PutParameter") for number in range(30)], [], []))
    assert sample(cases, 12, 1) == sample(cases, 12, 1)
    assert sample(cases, 12, 1) != sample(cases, 12, 2)
    kinds = {case.kind for case in cases}
    assert len({case.kind for case in sample(cases, len(kinds), 1)}) == len(kinds)
    assert len(sample(cases, 10_000, 1)) == len(cases)
