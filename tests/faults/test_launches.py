"""Launches in an account that is short of capacity, slow and throttled: in virtual time, with the real functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.runner import run_forked
from tests.faults.world import PROD, World

TYPES = ("m7i.large", "m6i.large", "m5.large")
SUBNETS = 6


def build_in(
    directory: Path, rules: Callable[[World], list[dict[str, Any]]], **settings: Any
) -> dict[str, Any]:
    """Push once into an account with faults; how the execution ended, and what RunInstances was asked for."""

    def work() -> str:
        world = World(directory, environments={PROD: settings})
        world.client("ssm").put_parameter(
            Name=f"/comfyui/config/{PROD}/builder/subnet-ids",
            Type="StringList",
            Value=",".join(subnets_of(world)),
        )
        for rule in rules(world):
            world.simulation.faults.add(rule)
        world.push("one")
        assert world.settle()
        calls = [call for call in world.simulation.calls.since() if call.operation == "RunInstances"]
        (execution,) = world.executions()
        history = json.dumps(execution.events, default=str)
        return json.dumps(
            {
                "status": execution.status,
                "error": execution.error,
                "cause": execution.cause,
                "seconds": (
                    (execution.stop_date or execution.start_date) - execution.start_date
                ).total_seconds(),
                "timeouts": history.count("Sandbox.Timedout"),
                "pairs": [
                    [call.parameters["InstanceType"], call.parameters["SubnetId"]]
                    for call in calls
                    if call.caller == "LaunchBuilderFunction"
                ],
            }
        )

    content = run_forked(work)
    try:
        found: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise AssertionError(content) from error
    return found


def subnets_of(world: World) -> list[str]:
    subnets = [each["SubnetId"] for each in world.client("ec2").describe_subnets()["Subnets"]]
    assert len(subnets) == SUBNETS
    return subnets


def all_pairs(world: World) -> list[tuple[str, str]]:
    return [(kind, subnet) for kind in TYPES for subnet in subnets_of(world)]


def slow(seconds: float) -> dict[str, Any]:
    return {"kind": "slow", "operation": "RunInstances", "seconds": seconds, "times": None}


@pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0])
def test_the_only_pair_of_eighteen_with_capacity_is_found_however_slow_ec2_is(
    tmp_path: Path, seconds: float
) -> None:
    """EC2 answers missing capacity with a status of 500, after a second or more."""

    def rules(world: World) -> list[dict[str, Any]]:
        *without, _with = all_pairs(world)
        lacking = [{"kind": "capacity", "instance_type": kind, "subnet": at} for kind, at in without]
        return [slow(seconds), *({**each, "times": None} for each in lacking)]

    ended = build_in(tmp_path, rules)
    assert (ended["status"], ended["timeouts"]) == ("SUCCEEDED", 0)
    tried = [tuple(pair) for pair in ended["pairs"]]
    assert len(tried) == len(set(tried)) == 18, "each pair once, and none by the SDK again"
    assert tried[-1][0] == TYPES[-1]


def test_a_shortage_everywhere_waits_between_whole_rounds_and_ends_by_its_name(tmp_path: Path) -> None:
    ended = build_in(tmp_path, lambda _: [slow(4.0), {"kind": "capacity", "times": None}])
    assert (ended["error"], ended["timeouts"]) == ("CapacityUnavailableError", 0)
    assert len(ended["pairs"]) == 9 * 18, "a round, and eight more after pauses"


def test_a_quota_of_0_ends_the_build_within_a_minute(tmp_path: Path) -> None:
    ended = build_in(tmp_path, lambda _: [{"kind": "quota", "limit": 0}])
    assert ended["error"] == "QuotaExceededError"
    assert "L-1216C47A" in ended["cause"]
    assert ended["seconds"] < 60
    assert len(ended["pairs"]) == len(TYPES)


def test_a_quota_that_is_in_use_is_waited_for(tmp_path: Path) -> None:
    def rules(world: World) -> list[dict[str, Any]]:
        ec2 = world.client("ec2")
        (base,) = [each for each in world.simulation.ec2.images.values() if each.architecture == "x86_64"][:1]
        ec2.run_instances(
            ImageId=base.image_id, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=world.subnet()
        )
        instance_id = list(world.simulation.ec2.instances)[-1]
        world.simulation.clock.call_later(90, lambda: ec2.terminate_instances(InstanceIds=[instance_id]))
        return [{"kind": "quota", "limit": 3}]

    ended = build_in(tmp_path, rules)
    assert ended["status"] == "SUCCEEDED"
    assert ended["seconds"] > 90


def test_an_account_on_the_free_plan_builds_with_the_type_that_it_may_use(tmp_path: Path) -> None:
    refused = [
        {
            "kind": "error",
            "operation": "RunInstances",
            "match": {"InstanceType": kind},
            "code": "InvalidParameterCombination",
            "message": "The specified instance type is not eligible for Free Tier.",
            "times": None,
        }
        for kind in TYPES
    ]
    types = [*TYPES, "m7i-flex.large"]
    ended = build_in(tmp_path, lambda _: refused, builder={"instance_types": types})
    assert ended["status"] == "SUCCEEDED"
    assert [kind for kind, _ in ended["pairs"]] == types


def test_throttled_launches_reach_every_pair(tmp_path: Path) -> None:
    def rules(world: World) -> list[dict[str, Any]]:
        *without, _with = all_pairs(world)
        throttled = {
            "kind": "error",
            "operation": "RunInstances",
            "code": "RequestLimitExceeded",
            "status": 503,
        }
        return [
            {**throttled, "times": 12, "probability": 0.5},
            *(
                {"kind": "capacity", "instance_type": kind, "subnet": at, "times": None}
                for kind, at in without
            ),
        ]

    ended = build_in(tmp_path, rules)
    assert ended["status"] == "SUCCEEDED"
    assert len(set(map(tuple, ended["pairs"]))) == 18


def test_an_image_of_long_ago_whose_agent_is_too_old_is_followed_by_a_fresh_build(tmp_path: Path) -> None:
    """What `migrate` finds: an image that was built by other means, with the agent of its time."""

    def work() -> str:
        world = World(tmp_path, environments={PROD: {}})
        world.simulation.ec2.seed_image(
            f"comfyui-multitenant-{PROD}",
            owner_id=world.simulation.account_id,
            public=False,
            content={"agent_version": "3.1.1927.0"},
        )
        digest = world.push("one")
        assert world.settle()
        for _ in range(8):
            world.pass_time(900)
            world.sweep()
            assert world.settle()
        metadata = world.simulation.parameter_store.parameters[world.name("metadata")].latest.value
        ended = [(each.status, each.error) for each in world.executions()]
        return json.dumps({"digest": digest, "metadata": json.loads(metadata), "ended": ended})

    content = run_forked(work)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise AssertionError(content) from error
    assert found["ended"][0] == ["FAILED", "AgentTooOldError"]
    assert [status for status, _ in found["ended"]].count("FAILED") == 1
    metadata = found["metadata"]
    assert (metadata["image_digest"], metadata["build_mode"]) == (found["digest"], "fresh")
    assert "SSM agent is too old" in metadata["reason"]
