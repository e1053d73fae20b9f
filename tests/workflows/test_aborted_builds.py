"""A build that is stopped in any state leaves nothing behind, and the environment can build again.

No Catch of a state machine runs when an execution is aborted, and the function of the state goes on: the
clean-up comes from outside, while that function still writes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from tests.template.stack import states
from tests.workflows.conftest import Running
from tests.workflows.service import Environment, Left, Service, until

from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.api.operations import Request, Response

# Aborted there, the candidate has been published: `latest` names the image of the stopped build.
PUBLISHING = (
    "Grace Period",
    "Retire Previous Images",
    "Adopt Image Name",
    "Await Canonical Image",
    "Publish Canonical Image",
    "Canonical Grace Period",
    "Retire Candidate",
    "Release Environment",
)
TASKS = tuple(name for name, state in states().items() if state["Type"] == "Task")
WAITS = tuple(name for name, state in states().items() if state["Type"] == "Wait")
STOPPED_IN = (*TASKS, *WAITS)
# The function of a task shows that its state was entered; a Wait has to be long enough to be seen.
SHARES = {"patient": WAITS, "first": TASKS[0::3], "second": TASKS[1::3], "third": TASKS[2::3]}


class Stopper:
    """Stops an execution as it enters a state, which the call of the state's function shows.

    The function itself runs on, as in AWS.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._wanted: dict[str, str] = {}
        self._over: set[str] = set()
        self._lock = threading.Lock()
        emulator.gateway.middlewares.append(self.around_call)

    def stop_in(self, digest: str, state: str) -> None:
        """Stop the build of a digest in a state."""
        with self._lock:
            self._wanted[digest] = state

    def is_over(self, digest: str) -> bool:
        """Whether the function of the state in which the build was stopped has run to its end."""
        with self._lock:
            return digest in self._over

    def close(self) -> None:
        """Look at no further calls."""
        self._emulator.gateway.middlewares.remove(self.around_call)

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Stop the execution if this call is its state's (a middleware of the emulator's gateway)."""
        struck = self._strike(request)
        try:
            return proceed()
        finally:
            if struck is not None:
                with self._lock:
                    self._over.add(struck)

    def _strike(self, request: Request) -> str | None:
        """Stop the execution if it is due; the digest that it builds."""
        if (request.service, request.operation) != ("lambda", "Invoke"):
            return None
        payload = json.loads(request.parameters.get("Payload") or b"{}")
        arn = payload.get("execution_arn") if isinstance(payload, dict) else None
        digest = self._due(arn) if isinstance(arn, str) else None
        if digest is not None:
            self._api("StopExecution", executionArn=arn, cause="a test stops it")
        return digest

    def _due(self, arn: str) -> str | None:
        with self._lock:
            wanted = dict(self._wanted)
        if not wanted:
            return None
        content = json.loads(self._api("DescribeExecution", executionArn=arn)["input"])
        digest = content.get("image_digest", "") if isinstance(content, dict) else ""
        if digest not in wanted or wanted[digest] != self._state_of(arn):
            return None
        with self._lock:
            return digest if self._wanted.pop(digest, None) else None

    def _state_of(self, arn: str) -> str | None:
        events = self._api("GetExecutionHistory", executionArn=arn, reverseOrder=True, maxResults=5)["events"]
        entered = (each["stateEnteredEventDetails"] for each in events if "stateEnteredEventDetails" in each)
        return next((str(each["name"]) for each in entered), None)

    def _api(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._emulator.api.call("operator", "stepfunctions", operation, parameters)


@dataclass(frozen=True)
class Seen:
    """An environment at a moment."""

    latest: str | None
    latest_state: str
    left: Left

    @classmethod
    def of(cls, environment: Environment) -> Seen:
        latest = environment.latest()
        states = {image["ImageId"]: image["State"] for image in environment.images()}
        return cls(latest, states.get(latest or "", "missing"), environment.left())


@dataclass(frozen=True)
class Aborted:
    """A build that was stopped in a state: the environment before it, and after the clean-up."""

    status: str
    states: list[str]
    before: Seen
    after: Seen


@pytest.fixture(scope="module")
def environments(running: Running) -> dict[str, Environment]:
    """An environment for each share; only the patient one has a name in the configuration."""
    names = {share: share if share == "patient" else next(running.unused_names) for share in SHARES}
    return {share: running.service.environment(name) for share, name in names.items()}


@pytest.fixture(scope="module")
def aborted(running: Running, environments: dict[str, Environment]) -> dict[str, Aborted]:
    """One build stopped in each state, several environments side by side."""
    stopper = Stopper(running.emulator)
    with ThreadPoolExecutor(len(SHARES)) as threads:
        shares = threads.map(
            lambda name: dict(_abort_in_turn(environments[name], stopper, SHARES[name])), SHARES
        )
        found = {state: seen for share in shares for state, seen in share.items()}
    stopper.close()
    return found


def _abort_in_turn(
    environment: Environment, stopper: Stopper, names: tuple[str, ...]
) -> Iterator[tuple[str, Aborted]]:
    """Each build meets what the ones before it have left; the last one is not stopped."""
    environment.must_build(f"{environment.name} at first")
    for name in names:
        yield name, _abort(environment, stopper, name)
    environment.must_build(f"{environment.name} at last")


def _abort(environment: Environment, stopper: Stopper, state: str) -> Aborted:
    service, before = environment.service, Seen.of(environment)
    digest = environment.push_quietly(f"{environment.name} stopped in {state}")
    if state == "Clean Up Build":
        service.inject({"kind": "command_fails", "document": "ProvisionImage", "digest": digest})
    if state in TASKS:
        stopper.stop_in(digest, state)
    arn = service.start({"environment": environment.name, "image_digest": digest})
    if state in WAITS:
        until(f"{environment.name} comes to {state}", lambda: service.newest_state(arn) == state)
        service.client("stepfunctions").stop_execution(executionArn=arn)
    ended = service.wait(arn)
    if state in TASKS:
        # StopExecution does not wait for the function, which may write all that is looked at below only now.
        until(f"the function of {state} has run on", lambda: stopper.is_over(digest))
    if state == "Claim Environment":
        # The clean-up after the stop may have come before the claim was written; the next sweep finds that one.
        service.sweep()
    environment.wait_until_idle()
    until(f"the clean-up after {state} has removed all", lambda: is_clean(environment))
    return Aborted(ended.status, service.states(arn), before, Seen.of(environment))


def is_clean(environment: Environment) -> bool:
    """Whether nothing is left that was not published."""
    left, history = environment.left(), environment.history()
    disks = {
        device["Ebs"]["SnapshotId"]
        for image in environment.images()
        for device in image["BlockDeviceMappings"]
        if "Ebs" in device
    }
    return (
        not left.instances
        and not left.claimed
        and set(left.images) <= set(history)
        and left.snapshots == disks
    )


@pytest.mark.slow
@pytest.mark.parametrize("state", STOPPED_IN)
def test_a_build_stopped_in_any_state_is_cleaned_up(
    service: Service, aborted: dict[str, Aborted], state: str
) -> None:
    found = aborted[state]
    assert (found.status, found.states[-1]) == ("ABORTED", state)
    assert found.after.latest_state == "available"
    if state not in PUBLISHING and state != "Publish Image":
        assert found.after == found.before, "nothing of a build that was not published is left"


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_an_environment_can_build_after_any_number_of_aborts(
    service: Service, environments: dict[str, Environment], aborted: dict[str, Aborted], share: str
) -> None:
    assert set(aborted) == set(STOPPED_IN)
    environments[share].has_one_image()


@pytest.mark.slow
def test_the_clean_up_after_an_abort_needs_no_dead_letter_queue(
    service: Service, aborted: dict[str, Aborted]
) -> None:
    assert aborted
    assert service.dead_letters() == []
