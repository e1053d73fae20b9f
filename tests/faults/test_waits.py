"""Waits whose end no event tells, in virtual time, with the real functions, permissions and observers."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.faults.runner import run_forked
from tests.faults.world import PROD, World

THROTTLED = {"kind": "error", "code": "ThrottlingException", "status": 400, "service": "ssm"}
# Await Image looks by itself every five minutes.
LOOK = 300.0


def test_an_image_that_somebody_deregisters_fails_the_build_at_the_next_look(tmp_path: Path) -> None:
    def work() -> str:
        world = World(tmp_path, environments={PROD: {}})
        world.observers.begin()
        world.push("one")
        assert world.clock.run_until(lambda: any(each.state == "pending" for each in world.images()), 3600)
        world.pass_time(1)
        (image,) = world.images()
        began = world.clock.elapsed()
        world.client("ec2").deregister_image(ImageId=image.image_id)
        assert world.settle()
        (execution,) = world.executions()
        told = {"error": execution.error, "cause": execution.cause, "seconds": world.clock.elapsed() - began}
        return json.dumps(told | {"image": image.image_id})

    content = run_forked(work)
    assert content.startswith("{"), content
    found = json.loads(content)
    assert found["error"] == "ImageCreationFailedError"
    assert f"image {found['image']} was deregistered while the build waited for it" in found["cause"]
    assert found["seconds"] < 2 * LOOK


def test_reads_of_the_configuration_are_paced_in_virtual_time(tmp_path: Path) -> None:
    def work() -> str:
        world = World(tmp_path, environments={PROD: {}})
        world.observers.begin()
        world.simulation.faults.add(
            {**THROTTLED, "operation": "GetParameters", "caller": "PlanBuildFunction", "times": 6}
        )
        slept: list[float] = []
        time.sleep = slept.append  # type: ignore[assignment]
        world.push("one")
        assert world.settle()
        applied = sum(each["applied"] for each in world.simulation.faults.listing())
        return json.dumps({"slept": slept, "applied": applied, "latest": world.latest()})

    content = run_forked(work)
    assert content.startswith("{"), content
    found = json.loads(content)
    assert found["applied"] == 6
    assert found["latest"]
    # botocore, whose pauses are made before, is told to sleep for 0 seconds.
    assert not any(found["slept"])
