"""Scheduled rebuilds in virtual time, with the real functions, permissions and observers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.faults.runner import run_forked
from tests.faults.world import KEEPING, PROD, World

from aws_emulator.account import CANONICAL, UBUNTU_PARAMETER
from aws_emulator.ec2.model import Image
from aws_emulator.step_functions.execution import Execution

DAY = 86_400.0


def publish_and(
    directory: Path, environments: Mapping[str, Any], act: Callable[[World], dict[str, Any]]
) -> dict[str, Any]:
    """Publish in all environments, let something happen, and tell of it and of broken promises."""

    def work() -> str:
        world = World(directory, environments=environments)
        for environment in environments:
            world.push("one", environment)
        assert world.settle()
        world.pass_time(600)
        assert world.settle()
        told = act(world)
        assert world.settle()
        violations = [f"{each.promise}: {each.what}" for each in world.observers.check_at_rest()]
        return json.dumps(told | {"violations": violations})

    content = run_forked(work)
    try:
        found: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise AssertionError(content) from error
    assert found["violations"] == []
    return found


def scheduled(world: World) -> list[Execution]:
    """The executions of rebuilds, whatever became of them, oldest first."""
    requests = [(each, json.loads(each.input_text)) for each in world.executions()]
    return [each for each, request in requests if request.get("trigger") == "schedule"]


def live(world: World, environment: str = PROD) -> Image:
    return world.simulation.ec2.images[world.latest(environment) or ""]


def facts_of(world: World, environment: str = PROD) -> dict[str, Any]:
    name = world.name("metadata", environment)
    found: dict[str, Any] = json.loads(world.simulation.parameter_store.parameters[name].latest.value)
    return found


def move_base(world: World) -> str:
    """Canonical publishes another image."""
    image_id = world.simulation.ec2.seed_image("ubuntu/images/newer", owner_id=CANONICAL)
    parameters = world.simulation.parameter_store
    parameters.seed_public(UBUNTU_PARAMETER.format("amd64"), image_id, "aws:ec2:image")
    return image_id


def sweep(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.sweep()
        assert world.settle()


def test_an_image_that_ages_is_built_again_once(tmp_path: Path) -> None:
    def act(world: World) -> dict[str, Any]:
        before, digest = live(world).image_id, facts_of(world)["image_digest"]
        world.pass_time(0.9 * DAY)
        early = len(scheduled(world))
        world.pass_time(0.3 * DAY)
        assert world.settle()
        now = facts_of(world)
        return {
            "early": early,
            "rebuilds": len(scheduled(world)),
            "changed": live(world).image_id != before,
            "same digest": now["image_digest"] == digest,
            "mode": now["build_mode"],
            "reason": now["reason"],
            "images": len(world.images()),
        }

    found = publish_and(tmp_path, {PROD: {"refresh": {"rebuild_after_days": 1}}}, act)
    assert (found["early"], found["rebuilds"], found["images"]) == (0, 1, 1)
    assert found["changed"]
    assert found["same digest"]
    assert found["mode"] == "fresh"
    assert "rebuild_after_days is 1" in found["reason"]


@pytest.mark.parametrize("operation", [None, "GetParameter"])
def test_a_base_that_moves_is_followed_whatever_fails_for_a_while(
    tmp_path: Path, operation: str | None
) -> None:
    def act(world: World) -> dict[str, Any]:
        newer = move_base(world)
        if operation is not None:
            rule = {"kind": "error", "code": "InternalError", "status": 500}
            world.simulation.faults.add(
                rule | {"operation": operation, "caller": "SweepEnvironmentsFunction", "times": 3}
            )
        sweep(world, 3)
        world.pass_time(2 * 3600)
        assert world.settle()
        return {
            "rebuilds": len(scheduled(world)),
            "applied": sum(each["applied"] for each in world.simulation.faults.listing()),
            "base": facts_of(world)["base_ami_id"] == newer,
            "reason": facts_of(world)["reason"],
        }

    found = publish_and(tmp_path, {PROD: {"refresh": {"follow_base": True}}}, act)
    assert found["applied"] == (3 if operation else 0)
    assert found["base"]
    assert "the base of" in found["reason"]
    assert found["rebuilds"] == 1


def test_two_environments_are_rebuilt_one_after_the_other(tmp_path: Path) -> None:
    def act(world: World) -> dict[str, Any]:
        move_base(world)
        world.pass_time(2 * 3600)
        assert world.settle()
        starts = [each.start_date for each in scheduled(world)]
        return {"seconds": [(each - starts[0]).total_seconds() for each in starts]}

    refresh = {"refresh": {"follow_base": True, "max_per_sweep": 1}}
    found = publish_and(tmp_path, {PROD: refresh, KEEPING: refresh}, act)
    first, second = found["seconds"]
    assert (first, second >= 600) == (0, True)
