"""What a build costs in state transitions, and how long it waits for nothing, at the usual durations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.service import Service

from ami_lifecycle_testbed.durations import BuildDurations

TIME_SCALE = 0.02
USUAL = BuildDurations()
SETTINGS: dict[str, Any] = {
    "time_scale": TIME_SCALE,
    "durations": USUAL,
    "environments": {"prod": {}},
    # The waits that config/build_config.yml has.
    "defaults": {"builder": {"agent_boot_seconds": 35}, "publication": {"grace_period_seconds": 60}},
}
MOST_TRANSITIONS = 45
MOST_SECONDS_LOST = 8.0
CALLBACKS = ("Await Provisioning", "Await Stop", "Await Image", "Await Verification", "Await Canonical Image")
AGENTS = {"Launch Builder": "Await Builder", "Launch Canary": "Await Canary"}


@dataclass(frozen=True)
class Step:
    """One visit to a state: when it began and ended, and its events."""

    name: str
    entered: datetime
    exited: datetime
    events: tuple[dict[str, Any], ...]

    def seconds_of_functions(self, since: datetime) -> float:
        """How long functions of the state ran after a moment, in seconds of this machine."""
        begun, total = since, 0.0
        for event in self.events:
            if event["type"] == "LambdaFunctionStarted":
                begun = max(since, event["timestamp"])
            elif event["type"] in {"LambdaFunctionSucceeded", "LambdaFunctionFailed"}:
                total += max(0.0, (event["timestamp"] - begun).total_seconds())
                begun = event["timestamp"]
        return total


@dataclass(frozen=True)
class Build:
    """The history of an update build."""

    events: list[dict[str, Any]]

    def steps(self) -> Iterator[Step]:
        begin = 0
        for position, event in enumerate(self.events):
            if "stateEnteredEventDetails" in event:
                begin = position
            if "stateExitedEventDetails" in event:
                yield Step(
                    event["stateExitedEventDetails"]["name"],
                    self.events[begin]["timestamp"],
                    event["timestamp"],
                    tuple(self.events[begin:position]),
                )

    def step(self, name: str) -> Step:
        (found,) = (step for step in self.steps() if step.name == name)
        return found


@pytest.fixture(scope="module")
def build(running: Running) -> Build:
    """One update build; its base is an older image of the environment's name, as after a migration."""
    environment = running.service.environment("prod")
    running.emulator.ec2.seed_image(
        environment.image_name + "-2024-01-15",
        owner_id=running.emulator.account_id,
        root_gib=40,
        public=False,
    )
    ended = environment.must_build("one")
    assert environment.metadata()["build_mode"] == "update"
    return Build(running.service.history(ended.arn))


@pytest.mark.slow
def test_a_build_costs_few_state_transitions(service: Service, build: Build) -> None:
    """A transition is charged for each state that is entered, and for each retry (Step Functions pricing)."""
    entered = sum("stateEnteredEventDetails" in event for event in build.events)
    tried = sum(event["type"] in {"LambdaFunctionScheduled", "TaskScheduled"} for event in build.events)
    tasks = sum(event["type"] == "TaskStateEntered" for event in build.events)
    retries = tried - tasks
    assert retries >= 0
    assert entered + retries <= MOST_TRANSITIONS


@pytest.mark.slow
def test_a_build_loses_little_time_to_waiting(service: Service, build: Build) -> None:
    """The time between something being ready and the build going on, all waits together.

    Functions run as fast as this machine, whatever the time scale, so their seconds count as they are;
    everything else is emulated time.
    """
    assert all(event["type"] != "TaskTimedOut" for event in build.events), "each event ended its wait"
    lost = 0.0
    for launch, wait in AGENTS.items():
        step = build.step(wait)
        online = build.step(launch).exited.timestamp() + USUAL.agent_online * TIME_SCALE
        ready = datetime.fromtimestamp(max(online, step.entered.timestamp()), tz=step.entered.tzinfo)
        late = (step.exited - ready).total_seconds()
        working = step.seconds_of_functions(ready)
        lost += working + max(0.0, late - working) / TIME_SCALE
    assert lost <= MOST_SECONDS_LOST


@pytest.mark.slow
@pytest.mark.parametrize("wait", CALLBACKS)
def test_a_wait_that_has_an_event_is_asked_once(service: Service, build: Build, wait: str) -> None:
    kinds = [event["type"] for event in build.step(wait).events]
    assert kinds.count("TaskScheduled") == 1, "the event has ended it, at the first attempt"
    assert kinds.count("TaskSucceeded") == 1
