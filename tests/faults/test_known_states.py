"""Two accounts are in the same state when the same can follow, and a case gets the verdict of the one that it joins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.breaks import BREAKS
from tests.faults.cases import Case
from tests.faults.forked_runs import Branches
from tests.faults.known_states import KnownStates, Met, resolved
from tests.faults.runner import Result, run_forked
from tests.faults.scenarios import FIRST_BUILD, UPDATE
from tests.faults.states import text_of
from tests.faults.world import PROD, World


def in_a_process(work: Callable[[], Any]) -> Any:
    content = run_forked(lambda: json.dumps(work()))
    try:
        return json.loads(content)
    except ValueError as error:
        raise AssertionError(content) from error


def _tag(world: World) -> object:
    tags = [{"Key": "cost", "Value": "1"}]
    return world.client("ec2").create_tags(Resources=[str(world.latest())], Tags=tags)


def _write(world: World) -> object:
    name = world.name("metadata")
    return world.client("ssm").put_parameter(Name=name, Value="{}", Type="String", Overwrite=True)


def _claim(world: World) -> object:
    (table,) = world.client("dynamodb").list_tables()["TableNames"]
    item = {"pk": {"S": f"environment#{PROD}"}, "fencing": {"N": "1"}}
    return world.client("dynamodb").put_item(TableName=table, Item=item)


def _launch(world: World) -> object:
    return world.client("ec2").run_instances(
        ImageId=str(world.latest()), InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=world.subnet()
    )


def _call_later(world: World) -> object:
    return world.clock.call_later(5, world.sweep)


def test_whatever_the_account_keeps_tells_states_apart_and_ids_and_latencies_do_not(tmp_path: Path) -> None:
    changes = (_tag, _write, _claim, _launch, _call_later)

    def work() -> dict[str, list[str]]:
        world = World(tmp_path)

        def published(
            seed: int, then: Callable[[World], object] | None = None, stage: str = "at rest"
        ) -> list[str]:
            def publish() -> list[str]:
                world.simulation.reseed(seed)
                world.push("one")
                assert world.settle()
                world.pass_time(60)
                if then is not None:
                    then(world)
                return text_of(world, stage)

            found: list[str] = in_a_process(publish)
            return found

        return {
            "as it is": published(1),
            "with another seed": published(2),
            "in another stage": published(1, stage="later"),
            **{change.__name__: published(1, change) for change in changes},
        }

    found = in_a_process(work)
    assert found["as it is"] == found.pop("with another seed")
    assert len(set(map(tuple, found.values()))) == len(changes) + 2


def test_a_case_joins_the_first_that_was_in_its_state_and_none_after_itself(tmp_path: Path) -> None:
    states, others = KnownStates(tmp_path / "states"), KnownStates(tmp_path / "states")
    others.note("a", Met(5, 1))
    assert states.before("a", 5) is None
    assert states.before("a", 6) == Met(5, 1)
    others.note("a", Met(3, 2))
    assert states.before("a", 6) == Met(3, 2)
    assert states.before("b", 6) is None


def test_what_comes_of_a_case_comes_of_those_that_joined_it() -> None:
    broken = {"promise": "P1", "what": "latest is gone"}
    first = Result("act", "kind", "one", statuses=["FAILED", "SUCCEEDED", "SUCCEEDED"], violations=[broken])
    second = Result("act", "kind", "two", statuses=["ABORTED", "SUCCEEDED"], joined=0, shared=1, swept=True)
    third = Result("act", "kind", "three", statuses=[], joined=1)
    _, two, three = resolved([first, second, third])
    assert two.statuses == ["ABORTED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]
    assert three.statuses == two.statuses
    assert two.violations == three.violations == [broken]


def test_a_broken_promise_is_told_of_every_case_that_comes_to_it(tmp_path: Path) -> None:
    """Nothing is cleaned up, so an aborted build leaves its canary: whenever it was aborted."""
    broken = BREAKS["nothing is cleaned up"]
    (rule,) = broken.rules
    cases = [Case("aborted", f"+{after}", ({**rule, "after": after},)) for after in (1.4, 1.5, 1.6)]

    def work() -> list[dict[str, Any]]:
        world = World(tmp_path)
        UPDATE.prepare(world)
        broken.apply(world)
        return [
            asdict(result)
            for result in Branches(world, UPDATE, cases, 1, lambda _: None, joining=True).try_all()
        ]

    results = in_a_process(work)
    assert [result["place"] for result in results] == ["+1.4", "+1.5", "+1.6"]
    assert [result["joined"] for result in results] == [None, 1, 1]
    assert all("P4" in {each["promise"] for each in result["violations"]} for result in results)


def test_faults_that_a_step_gets_over_lead_back_to_the_undisturbed_run(tmp_path: Path) -> None:
    call = {"service": "ssm", "operation": "GetParameter", "caller": "PlanBuildFunction"}
    refused = {"kind": "error", "code": "ThrottlingException", "status": 400, **call}
    cases = [
        Case("throttled", "once", (refused,)),
        Case("throttled", "for a while", ({**refused, "times": 5},)),
        Case("throttled", "for ever", ({**refused, "times": None},)),
    ]

    def work() -> list[dict[str, Any]]:
        world = World(tmp_path)
        return [
            asdict(result)
            for result in Branches(world, FIRST_BUILD, cases, 1, lambda _: None, joining=True).try_all()
        ]

    once, while_, ever = in_a_process(work)
    assert (once["joined"], while_["joined"] is not None, ever["joined"]) == (0, True, None)
    assert once["applied"] == 1
    assert while_["applied"] == 5
    assert [result["violations"] for result in (once, while_, ever)] == [[], [], []]
