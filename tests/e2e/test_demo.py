"""`ami-lifecycle demo` as a newcomer runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.json_contract import check_document

COMMAND = Path(sys.executable).with_name("ami-lifecycle")
WIDTH = 60
SCENES = [
    "First deployment",
    "Update",
    "The same push again",
    "A push during a build",
    "A rollback",
    "A bad image",
]


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), "demo", *options]
    return subprocess.run(  # noqa: S603 - the product's own command
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "COLUMNS": str(WIDTH)},
    )


@pytest.fixture(scope="module")
def done() -> subprocess.CompletedProcess[str]:
    """What `ami-lifecycle demo --json` prints."""
    ended = run_demo("--json", "--time-scale", "0.005")
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Its document."""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What people read meanwhile."""
    return done.stderr.splitlines()


@pytest.mark.slow
def test_the_demonstration_goes_through_all_its_scenes(told: dict[str, Any]) -> None:
    assert [scene["title"] for scene in told["scenes"]] == SCENES
    statuses = [[execution["status"] for execution in scene["executions"]] for scene in told["scenes"]]
    assert statuses[-1] == ["FAILED"]
    assert {status for scene in statuses[:-1] for status in scene} == {"SUCCEEDED"}


@pytest.mark.slow
def test_its_document_is_that_of_the_contract(told: dict[str, Any]) -> None:
    check_document("demo", told)


@pytest.mark.slow
def test_each_state_is_told_once(told: dict[str, Any], lines: list[str]) -> None:
    states = [
        state["name"]
        for scene in told["scenes"]
        for execution in scene["executions"]
        for state in execution["states"]
        if not state["name"].endswith("?")
    ]
    read = [
        found[1] for line in lines if (found := re.fullmatch(r"   ([A-Z].*?) +[0-9.]+ s(?:  \S.*)?", line))
    ]
    assert sorted(read) == sorted(states)


@pytest.mark.slow
def test_it_is_readable_at_60_columns(lines: list[str]) -> None:
    assert [line for line in lines if len(line) > WIDTH and len(line.split()) > 1] == []


@pytest.mark.slow
def test_the_rollback_needs_no_build_and_the_next_push_waits(told: dict[str, Any]) -> None:
    rollback, pushed = told["scenes"][4]["executions"]
    assert "Publish Image" in {state["name"] for state in rollback["states"]}
    assert "Launch Builder" not in {state["name"] for state in rollback["states"]}
    assert [state["name"] for state in pushed["states"]] == ["Plan Build", "Build Needed?", "Nothing To Do"]
    states = [record["status"] for record in told["final"]["history"] if record["rolled_back"]]
    assert states == ["retired"]


@pytest.mark.slow
def test_one_image_is_left_in_the_end(told: dict[str, Any]) -> None:
    final = told["final"]
    (image,) = final["images"]
    assert image["name"] == "comfyui-multitenant-prod"
    assert final["metadata"]["ami_id"] == image["image_id"] == told["scenes"][-1]["latest"]
    assert final["snapshots"] == final["metadata"]["snapshot_ids"]
    assert final["instances"] == []


@pytest.mark.slow
def test_a_refused_image_is_told_with_its_cause(told: dict[str, Any]) -> None:
    (refused,) = told["scenes"][-1]["executions"]
    assert refused["error"] == "VerificationFailedError"
    # The check that the shipped configuration makes: whether the container stays up.
    assert "its container is not running, exit code 1" in refused["cause"]
    assert told["scenes"][-1]["latest"] == told["scenes"][-2]["latest"]


@pytest.mark.slow
def test_the_history_has_every_published_image_once(told: dict[str, Any]) -> None:
    recorded = [record["ami_id"] for record in told["final"]["history"]]
    assert sorted(recorded) == sorted({scene["latest"] for scene in told["scenes"]})


def test_an_unknown_option_is_an_error_for_people() -> None:
    done = run_demo("--speed", "9")
    assert done.returncode == 2
    assert "--speed" in done.stderr
