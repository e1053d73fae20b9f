"""Two executions that claim one environment at once, at every interleaving of their calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from tests.faults.runner import Result, conclude, run_forked
from tests.faults.scenarios import Scenario
from tests.faults.world import PROD, World

from aws_emulator.simulation.functions import Invocation
from aws_emulator.simulation.virtual_clock import Actor

_CLAIM = "ClaimEnvironmentFunction"
_CONTENDERS = 2


def _publish_one(world: World) -> None:
    world.push("one")
    world.settle()
    world.pass_time(10)


def _two_builds(world: World) -> None:
    _push_unheard(world)
    world.start(environment=PROD)
    world.start(environment=PROD)


def _build_and_retirement(world: World) -> None:
    _push_unheard(world)
    world.start(environment=PROD)
    world.start(environment=PROD, action="retire")


def _build_and_repair(world: World) -> None:
    """A person's build, and the same one found by the sweep."""
    _push_unheard(world)
    world.start(environment=PROD)
    world.start(environment=PROD, trigger="reconcile")


def _push_unheard(world: World) -> None:
    world.simulation.faults.add({"kind": "event", "source": "aws.ecr", "effect": "lose"})
    world.push("two")


RACES = {
    scenario.name: scenario
    for scenario in (
        Scenario("race-two-builds", PROD, _publish_one, _two_builds),
        Scenario("race-build-and-retirement", PROD, _publish_one, _build_and_retirement),
        Scenario("race-build-and-repair", PROD, _publish_one, _build_and_repair),
    )
}


class Script:
    """Chooses who acts next while both contenders are in their claim; all others go first.

    Attributes:
        choices: what was chosen at each point, and among how many.
    """

    def __init__(self, prefix: tuple[int, ...]) -> None:
        self._prefix = prefix
        self.choices: list[tuple[int, int]] = []

    def choose(self, able: list[Actor]) -> Actor:
        """The actor to go on (a chooser of the virtual clock)."""
        others = [actor for actor in able if not _claims(actor)]
        if others:
            return others[0]
        contenders = sorted(able, key=lambda actor: actor.number)
        if len(contenders) < _CONTENDERS:
            return contenders[0]
        position = len(self.choices)
        chosen = self._prefix[position] if position < len(self._prefix) else 0
        self.choices.append((chosen, len(contenders)))
        return contenders[chosen]


class _Tried(NamedTuple):
    result: Result
    choices: list[tuple[int, int]]


def try_schedule(world: World, scenario: Scenario, prefix: tuple[int, ...]) -> _Tried:
    """Run one interleaving in this process, which is of no use for another one then."""
    script = Script(prefix)
    result = Result(scenario.name, "interleaving", "")
    known = len(world.executions())
    world.simulation.latency = (0.0, 0.0)
    world.clock.choose = script.choose
    scenario.act(world)
    ended = world.settle()
    result.applied = len(script.choices)
    conclude(world, scenario.environment, result, known, ended=ended)
    result.place = ",".join(str(chosen) for chosen, _ in script.choices)
    return _Tried(result, script.choices)


def try_every_schedule(
    world: World, scenario: Scenario, tell: Callable[[Result], None], wanted: tuple[int, ...] | None = None
) -> Iterator[Result]:
    """Run every interleaving, or only the wanted one."""
    prefix: tuple[int, ...] | None = wanted or ()
    while prefix is not None:
        content = run_forked(partial(_try_as_json, world, scenario, prefix))
        answer = json.loads(content)
        result = Result(**answer["result"])
        tell(result)
        yield result
        prefix = None if wanted is not None else _following(answer["choices"])


def _try_as_json(world: World, scenario: Scenario, prefix: tuple[int, ...]) -> str:
    tried = try_schedule(world, scenario, prefix)
    return json.dumps({"result": vars(tried.result), "choices": tried.choices})


def _following(choices: list[tuple[int, int]]) -> tuple[int, ...] | None:
    for position in range(len(choices) - 1, -1, -1):
        chosen, options = choices[position]
        if chosen + 1 < options:
            return (*(made for made, _ in choices[:position]), chosen + 1)
    return None


def _claims(actor: Actor) -> bool:
    return isinstance(actor.subject, Invocation) and actor.subject.function.logical_id == _CLAIM
