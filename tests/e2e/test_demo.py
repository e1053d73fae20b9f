"""`ami-lifecycle demo` as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("ami-lifecycle")
SCENES = [
    "First deployment",
    "Update",
    "The same push again",
    "A push during a build",
    "A bad image",
]


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), "demo", *options]
    return subprocess.run(  # noqa: S603 - the product's own command
        command, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What `ami-lifecycle demo --json` prints."""
    done = run_demo("--json", "--time-scale", "0.005")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.slow
def test_the_demonstration_goes_through_all_its_scenes(told: dict[str, Any]) -> None:
    assert [scene["title"] for scene in told["scenes"]] == SCENES
    statuses = [[execution["status"] for execution in scene["executions"]] for scene in told["scenes"]]
    assert statuses[-1] == ["FAILED"]
    assert {status for scene in statuses[:-1] for status in scene} == {"SUCCEEDED"}


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
    assert "answered 500" in refused["cause"]
    assert told["scenes"][-1]["latest"] == told["scenes"][-2]["latest"]


@pytest.mark.slow
def test_every_published_image_is_in_the_history(told: dict[str, Any]) -> None:
    recorded = {record["ami_id"] for record in told["final"]["history"]}
    assert {scene["latest"] for scene in told["scenes"]} <= recorded


def test_an_unknown_option_is_an_error_for_people() -> None:
    done = run_demo("--speed", "9")
    assert done.returncode == 2
    assert "--speed" in done.stderr
