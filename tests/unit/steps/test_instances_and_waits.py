"""Launches, commands and waits one by one: what they fall back to, find again, and give up on."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import Call, Faulty
from tests.unit.steps.account import FUNCTION_SECONDS, Account, an_image, arn_of, facts
from tests.unit.steps.execution import Execution
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.adapters.clients import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import ClaimedInput, InstanceRef, StepInput, Wait, WaitKind
from ami_lifecycle.domain.launch import LaunchRefusal
from ami_lifecycle.domain.model import Image, ImageState, Instance, InstanceState
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import (
    AgentNotOnlineError,
    AgentTooOldError,
    BuilderLostError,
    BuildError,
    CanaryLostError,
    CapacityUnavailableError,
    ImageCreationFailedError,
    InvalidRequestError,
    LaunchUnfinishedError,
    ProvisioningFailedError,
    QuotaExceededError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
    VerificationFailedError,
)
from ami_lifecycle.steps.await_resource import AwaitInput
from ami_lifecycle.steps.document_runner import CommandInput
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launch_canary import CanaryInput
from ami_lifecycle.steps.launcher import LONGEST_CALL, Infrastructure, Launcher
from ami_lifecycle.steps.provision_builder import provisioning_parameters
from ami_lifecycle.steps.verify_image import verification_parameters
from ami_lifecycle.steps.wait_check import parse_facts

INSTANCE = "i-0123456789abcdef0"
TOKEN = "token"
IMAGE = "ami-0123456789abcdef1"
DIGEST = "sha256:" + "ab" * 32


class Build:
    """A build that holds the environment and has not launched anything."""

    def __init__(self, **defaults: Any) -> None:
        self.account = Account(defaults)
        self.digest = self.account.push("one")
        self.execution = Execution(self.account, "e1")
        self.plan = self.account.planner.plan_request(
            BuildRequest(environment="prod"), self.execution.arn
        ).plan
        self.claim = holder_of(self.account, "e1", digest=self.digest)
        self.claimed = ClaimedInput(
            plan=self.plan, execution_arn=self.execution.arn, claim_number=self.claim.number
        )

    @property
    def instances(self) -> Any:
        return self.account.world.instances

    def launch(self) -> Any:
        return self.execution.launch_builder(self.claimed)

    def launch_as_the_machine_does(self) -> InstanceRef:
        """Launch Builder with its retries."""
        held = {"plan": self.plan.model_dump(mode="json"), "claim": {"number": self.claim.number}}
        return InstanceRef.model_validate(self.execution.run_state("Launch Builder", held)["builder"])

    def an_instance(self, state: InstanceState = InstanceState.RUNNING, role: str = "builder") -> Instance:
        added: Instance = self.instances.add(
            Instance(instance_id=INSTANCE, state=state, tags={"ami-lifecycle:role": role})
        )
        return added

    def await_(
        self, kind: WaitKind, resource_id: str = INSTANCE, token: str | None = TOKEN, **more: str
    ) -> Any:
        if token:
            self.account.world.executions.waiting.add(token)
        wait = Wait(kind=kind, resource_id=resource_id, **more)
        step = AwaitInput(wait=wait, execution_arn=arn_of("e1"), task_token=token)
        return self.execution.await_resource(step)

    def resume(self, detail_type: str, **detail: str) -> Any:
        event = {"source": "aws.any", "detail-type": detail_type}
        event |= {"detail": {key.replace("_", "-"): value for key, value in detail.items()}}  # type: ignore[dict-item]  # an event's mapping
        return self.execution.resume_build(Event.model_validate(event))


@pytest.fixture
def build() -> Build:
    return Build()


# Launches.


def test_the_builder_is_launched_once_however_often_the_step_is_repeated(build: Build) -> None:
    assert build.launch() == build.launch()
    assert len(build.instances.all) == 1


def test_a_launch_whose_instance_is_not_shown_yet_is_found_by_its_token(build: Build) -> None:
    first = build.launch()
    build.instances.hidden.add(first.instance_id)
    assert build.launch() == first
    assert len(build.instances.all) == 1


def test_a_launch_falls_back_over_subnets_and_then_types(build: Build) -> None:
    build.instances.refuse(instance_type="m7i.large")
    build.instances.refuse(subnet_id="subnet-0aaaaaaaaaaaaaaaa", refusal=LaunchRefusal.UNSUPPORTED)
    launched = build.launch()
    assert (launched.instance_type, launched.subnet_id) == ("m6i.large", "subnet-0bbbbbbbbbbbbbbbb")
    tried = [call.args[0] for call in build.instances.called("launch")]
    assert [(found.instance_type, found.subnet_id[7:9]) for found in tried] == [
        ("m7i.large", "0a"),
        ("m7i.large", "0b"),
        ("m6i.large", "0a"),
        ("m6i.large", "0b"),
    ]
    assert len({found.client_token for found in tried}) == 4


def test_no_capacity_anywhere_is_transient_and_names_every_try(build: Build) -> None:
    build.instances.refuse()
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    assert str(raised.value).split("EC2 says")[0].count(": capacity") == 6
    assert "builder.instance_types" in str(raised.value)


SUBNETS = tuple(f"subnet-{letter * 17}" for letter in "0123456789abcdef"[:6])


class Slow:
    """EC2 whose launches take their time."""

    def __init__(self, build: Build, seconds: float) -> None:
        self.build, self.seconds, self.tried = build, seconds, list[tuple[str, str]]()

    def before(self, _port: Any, call: Any) -> None:
        if call.method == "launch":
            self.build.account.world.clock.advance(self.seconds)
            self.tried.append((call.args[0].instance_type, call.args[0].subnet_id))

    def after(self, _port: Any, _call: Any) -> None: ...


def slow_build(seconds: float) -> tuple[Build, Slow]:
    """A build with three types in six subnets, where each launch takes so long."""
    build = Build(builder={"subnet_ids": list(SUBNETS)})
    slow = Slow(build, seconds)
    build.instances.hooks.append(slow)
    return build, slow


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 3.0, 8.0, 13.0])
def test_every_type_is_tried_in_every_subnet_and_no_attempt_outlives_its_function(seconds: float) -> None:
    build, slow = slow_build(seconds)
    build.instances.refuse()
    for _ in range(18):
        began = build.account.world.clock.now()
        try:
            build.launch()
        except LaunchUnfinishedError:
            continue
        except CapacityUnavailableError:
            break
        finally:
            assert (build.account.world.clock.now() - began).total_seconds() < FUNCTION_SECONDS
    every = [(kind, subnet) for kind in ("m7i.large", "m6i.large", "m5.large") for subnet in SUBNETS]
    assert slow.tried == every
    with pytest.raises((CapacityUnavailableError, LaunchUnfinishedError)):
        build.launch()
    assert slow.tried[18] == every[0], "the next round begins with the first pair again"


def test_a_launch_that_ran_out_of_time_finds_the_only_pair_with_capacity(build: Build) -> None:
    build, slow = slow_build(3.0)
    for kind in ("m7i.large", "m6i.large"):
        build.instances.refuse(instance_type=kind)
    for subnet in SUBNETS[:-1]:
        build.instances.refuse(subnet_id=subnet)
    launched = build.launch_as_the_machine_does()
    assert (launched.instance_type, launched.subnet_id) == ("m5.large", SUBNETS[-1])
    assert len(slow.tried) == 18


def test_a_canary_begins_with_the_first_pair_wherever_the_builders_launch_ended() -> None:
    build, slow = slow_build(35.0)
    build.instances.refuse(subnet_id=SUBNETS[0])
    build.launch_as_the_machine_does()
    image = build.account.world.images.add(an_image(1))
    step = CanaryInput(**dict(build.claimed), image_id=image.image_id)
    before = len(slow.tried)
    with pytest.raises(LaunchUnfinishedError):
        build.execution.launch_canary(step)
    assert slow.tried[before] == ("m7i.large", SUBNETS[0])


def test_a_launch_whose_answer_was_lost_is_repeated_with_the_same_pair(build: Build) -> None:
    build.instances.refuse(instance_type="m7i.large")
    build.instances.fail("launch", ServiceUnavailableError("lost"), after=True, skip=2)
    with pytest.raises(ServiceUnavailableError):
        build.launch()
    (there,) = build.instances.all
    # EC2 does not show it yet, and the first pair has capacity again.
    build.instances.hidden.add(there)
    build.instances._refusals.clear()
    assert build.launch().instance_id == there
    assert len(build.instances.all) == 1


def test_a_throttled_launch_pauses_and_goes_on_with_the_same_pair(build: Build) -> None:
    build.instances.refuse(instance_type="m7i.large")
    build.instances.fail("launch", ThrottledError("slower"), skip=1, times=3)
    assert build.launch().instance_type == "m6i.large"
    assert build.account.world.clock.pauses == [2.0, 2.0, 2.0]


def test_a_launch_throttled_for_long_ends_in_time_and_goes_on_there() -> None:
    build, slow = slow_build(0.5)
    build.instances.refuse(subnet_id=SUBNETS[0])
    build.instances.fail("launch", ThrottledError("slower"), skip=1, times=50)
    began = build.account.world.clock.now()
    with pytest.raises(ThrottledError):
        build.launch()
    assert (build.account.world.clock.now() - began).total_seconds() < FUNCTION_SECONDS
    before = len(slow.tried)
    with pytest.raises(ThrottledError):
        build.launch()
    assert slow.tried[before] == ("m7i.large", SUBNETS[1])


@pytest.mark.parametrize(
    "refusal", [LaunchRefusal.INELIGIBLE, LaunchRefusal.QUOTA_IN_USE, LaunchRefusal.QUOTA_TOO_SMALL]
)
def test_a_type_that_is_refused_everywhere_is_tried_in_one_subnet(
    build: Build, refusal: LaunchRefusal
) -> None:
    build.instances.refuse(instance_type="m7i.large", refusal=refusal)
    assert build.launch().instance_type == "m6i.large"
    tried = [call.args[0].instance_type for call in build.instances.called("launch")]
    assert tried == ["m7i.large", "m6i.large"]


def test_quotas_without_room_are_told_at_once_with_their_codes() -> None:
    build = Build(builder={"instance_types": ["g5.xlarge", "p4d.24xlarge", "m5.large"]})
    for kind in ("g5.xlarge", "p4d.24xlarge"):
        build.instances.refuse(instance_type=kind, refusal=LaunchRefusal.QUOTA_TOO_SMALL)
    build.instances.refuse(instance_type="m5.large", refusal=LaunchRefusal.INELIGIBLE)
    with pytest.raises(QuotaExceededError) as raised:
        build.launch()
    words = str(raised.value)
    assert "L-DB2E81BA" in words
    assert "L-417A185B" in words
    assert "L-1216C47A" not in words
    assert "request-service-quota-increase" in words
    assert "m5.large" in words, "what EC2 said of each type"


@pytest.mark.parametrize("passing", [LaunchRefusal.CAPACITY, LaunchRefusal.QUOTA_IN_USE])
def test_one_type_that_waiting_can_help_makes_it_wait(build: Build, passing: LaunchRefusal) -> None:
    build.instances.refuse(instance_type="m5.large", refusal=passing)
    build.instances.refuse(refusal=LaunchRefusal.QUOTA_TOO_SMALL)
    with pytest.raises(CapacityUnavailableError):
        build.launch()


@pytest.mark.parametrize("refusal", [LaunchRefusal.INELIGIBLE, LaunchRefusal.UNSUPPORTED])
def test_types_that_can_never_be_launched_are_a_matter_of_the_settings(
    build: Build, refusal: LaunchRefusal
) -> None:
    build.instances.refuse(refusal=refusal)
    with pytest.raises(SettingsError, match=r"builder\.instance_types.*doctor"):
        build.launch()


def test_a_container_on_the_canary_reaches_the_metadata_only_where_the_settings_say_so() -> None:
    for limit in (1, 2):
        build = Build(verification={"metadata_hop_limit": limit} if limit > 1 else {})
        builder = build.launch()
        image = build.account.world.images.add(an_image(1))
        step = CanaryInput(**dict(build.claimed), image_id=image.image_id)
        canary = build.execution.launch_canary(step)
        requests = build.instances.requests
        assert requests[builder.instance_id].metadata_hop_limit == 1
        assert requests[canary.instance_id].metadata_hop_limit == limit


@pytest.mark.parametrize("source", ["tag:Shard|0", "imds:mac"])
def test_the_canary_shows_its_tags_where_a_variable_is_one(source: str) -> None:
    build = Build(container={"instance_variables": {"SHARD": source}})
    builder = build.launch()
    image = build.account.world.images.add(an_image(1))
    canary = build.execution.launch_canary(CanaryInput(**dict(build.claimed), image_id=image.image_id))
    requests = build.instances.requests
    assert requests[builder.instance_id].has_tags_in_metadata is False
    assert requests[canary.instance_id].has_tags_in_metadata is source.startswith("tag:")
    # What a builder's image looks for, so that a builder fetches nothing.
    assert requests[builder.instance_id].user_data.startswith("#!/bin/sh\n# ami-lifecycle builder\n")
    assert requests[canary.instance_id].user_data.startswith("#!/bin/sh\n# ami-lifecycle canary\n")


def test_only_the_canary_is_launched_at_the_rate_of_the_settings() -> None:
    build = Build(launch={"initialization_rate": 300})
    builder = build.launch()
    image = build.account.world.images.add(an_image(1))
    canary = build.execution.launch_canary(CanaryInput(**dict(build.claimed), image_id=image.image_id))
    requests = build.instances.requests
    assert requests[builder.instance_id].initialization_rate == 0
    assert requests[canary.instance_id].initialization_rate == 300


def test_a_quota_of_initialization_that_is_in_use_is_waited_for_and_tried_once() -> None:
    build = Build(launch={"initialization_rate": 300})
    build.instances.refuse(refusal=LaunchRefusal.INITIALIZATION_IN_USE)
    with pytest.raises(CapacityUnavailableError, match=r"L-A37D9CF3.*lower launch\.initialization_rate"):
        build.launch()
    assert len(build.instances.called("launch")) == 1, "neither another type nor another subnet helps"


def test_what_one_more_call_may_take_covers_the_clients_own_limits() -> None:
    one_call = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
    assert LONGEST_CALL.total_seconds() >= 2 * one_call
    assert LONGEST_CALL.total_seconds() < FUNCTION_SECONDS / 2


def test_a_builder_that_died_is_launched_anew_with_another_token(build: Build) -> None:
    first = build.launch()
    build.instances.set_state(first.instance_id, InstanceState.TERMINATED)
    second = build.launch()
    assert second.instance_id != first.instance_id


def test_a_builder_ends_itself_and_carries_its_owners_tags(build: Build) -> None:
    launched = build.launch()
    request = build.instances.requests[launched.instance_id]
    assert "shutdown -P +180" in request.user_data
    assert request.tags["ami-lifecycle:execution"] == build.execution.arn
    assert request.tags["ami-lifecycle:application"] == "comfyui"
    assert request.tags["ami-lifecycle:role"] == "builder"


SHUTDOWN = "shutdown -P +180 ami-lifecycle: this instance has outlived its build"
HOLD = "snap refresh --hold=3h amazon-ssm-agent"


def run_at_boot(build: Build, folder: Path, **commands: str) -> tuple[int, list[str]]:
    """Run a builder's user data with stubs for commands of the system; return its status and the calls."""
    user_data = build.instances.requests[build.launch().instance_id].user_data
    timeout = shutil.which("timeout")
    assert timeout
    (folder / "timeout").symlink_to(timeout)
    for name, body in commands.items():
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/calls\n{body}\n')
        (folder / name).chmod(0o755)
    script = folder / "part-001"
    script.write_text(user_data)
    script.chmod(0o755)
    ended = subprocess.run(  # noqa: S603 - our own script
        [str(script)], env={"PATH": str(folder)}, check=False, capture_output=True, timeout=30
    )
    return ended.returncode, (folder / "calls").read_text().splitlines()


def test_an_instance_holds_back_refreshes_of_its_agent_from_its_boot_on(build: Build, tmp_path: Path) -> None:
    assert run_at_boot(build, tmp_path, shutdown="", snap="") == (0, [SHUTDOWN, HOLD])


def test_a_snapd_without_holds_does_not_fail_the_boot(build: Build, tmp_path: Path) -> None:
    status, _ = run_at_boot(build, tmp_path, shutdown="", snap="echo 'unknown flag `hold' >&2; exit 1")
    assert status == 0


def test_an_instance_without_snaps_boots_as_well(build: Build, tmp_path: Path) -> None:
    assert run_at_boot(build, tmp_path, shutdown="") == (0, [SHUTDOWN])


def test_an_instance_that_cannot_end_itself_says_so(build: Build, tmp_path: Path) -> None:
    status, _ = run_at_boot(build, tmp_path, shutdown="exit 4", snap="")
    assert status == 4


def test_the_hold_on_the_agent_is_bounded(build: Build) -> None:
    assert (
        f"timeout --kill-after=5 60 {HOLD}" in build.instances.requests[build.launch().instance_id].user_data
    )


def test_without_a_subnet_the_settings_are_named(build: Build) -> None:
    world = build.account.world
    nowhere = Infrastructure(subnet_ids=(), security_group_id="sg-1", instance_profile_arn="arn")
    launcher = Launcher(world.instances, world.environments, nowhere, world.clock, build.account.deadline)
    with pytest.raises(SettingsError, match="SubnetIds"):
        launch_builder(build.claimed, launcher)


# Commands.


def at_instance(build: Build) -> CommandInput:
    build.account.world.commands.bring_online(INSTANCE)
    return CommandInput(plan=build.plan, execution_arn=build.execution.arn, instance_id=INSTANCE)


def test_a_command_is_sent_once_even_when_the_response_is_lost(build: Build) -> None:
    step = at_instance(build)
    commands = build.account.world.commands
    commands.fail("send", ServiceUnavailableError("no answer"), after=True)
    with pytest.raises(ServiceUnavailableError):
        build.execution.provision_builder(step)
    assert build.execution.provision_builder(step).command_id == commands.sent[0].command_id
    assert len(commands.sent) == 1


def test_verification_is_no_repeated_provisioning(build: Build) -> None:
    step = at_instance(build)
    one = build.execution.provision_builder(step)
    other = build.execution.verify_image(step)
    assert one.command_id != other.command_id


@pytest.mark.parametrize("version", ["3.3.2745.0", "2.9", "3.3", "", "latest"])
def test_an_agent_that_would_not_pass_parameters_safely_gets_none(build: Build, version: str) -> None:
    step = at_instance(build)
    build.account.world.commands.bring_online(INSTANCE, version)
    with pytest.raises(AgentTooOldError, match=r"3\.3\.2746\.0"):
        build.execution.provision_builder(step)
    assert build.account.world.commands.sent == []


@pytest.mark.parametrize("version", ["3.3.2746.0", "3.3.10000.1", "4.0.0.0"])
def test_an_agent_that_is_new_enough_gets_the_command(build: Build, version: str) -> None:
    step = at_instance(build)
    build.account.world.commands.bring_online(INSTANCE, version)
    assert build.execution.provision_builder(step).instance_id == INSTANCE


def test_an_agent_that_is_gone_is_waited_for(build: Build) -> None:
    step = at_instance(build)
    build.account.world.commands.agents.clear()
    with pytest.raises(AgentNotOnlineError):
        build.execution.provision_builder(step)


@pytest.mark.parametrize(("role", "error"), [("builder", BuilderLostError), ("canary", CanaryLostError)])
def test_an_agent_whose_instance_has_ended_is_not_waited_for(
    build: Build, role: str, error: type[BuildError]
) -> None:
    build.an_instance(InstanceState.TERMINATED, role)
    step = CommandInput(plan=build.plan, execution_arn=build.execution.arn, instance_id=INSTANCE)
    with pytest.raises(error, match="build again"):
        build.execution.provision_builder(step)


def test_provisioning_is_by_digest_and_texts_travel_encoded() -> None:
    container = {"environment": {"A": 'quote " $(rm)'}, "command": ["--listen", "0.0.0.0"]}  # noqa: S104 - an argument
    build = Build(container=container)
    parameters = provisioning_parameters(build.plan, "us-east-1")
    assert parameters["ImageDigest"] == build.digest
    assert json.loads(base64.b64decode(parameters["ContainerEnvironment"])) == container["environment"]
    assert json.loads(base64.b64decode(parameters["ContainerCommand"])) == container["command"]


def test_an_empty_setting_is_a_dash_because_a_parameter_must_say_something(build: Build) -> None:
    parameters = provisioning_parameters(build.plan, "us-east-1") | verification_parameters(
        build.plan, "us-east-1"
    )
    assert parameters["ContainerEnvironment"] == "-"
    assert all(parameters.values())


# Waits.


def test_an_agent_is_looked_at_without_a_token(build: Build) -> None:
    build.an_instance()
    with pytest.raises(AgentNotOnlineError, match="instance profile"):
        build.await_(WaitKind.AGENT, token=None)
    build.account.world.commands.bring_online(INSTANCE)
    assert build.await_(WaitKind.AGENT, token=None).is_done


@pytest.mark.parametrize(("role", "error"), [("builder", BuilderLostError), ("canary", CanaryLostError)])
@pytest.mark.parametrize("state", [InstanceState.TERMINATED, InstanceState.SHUTTING_DOWN])
@pytest.mark.parametrize("kind", [WaitKind.AGENT, WaitKind.STOPPED])
def test_an_instance_that_died_is_waited_for_no_longer(
    build: Build, kind: WaitKind, state: InstanceState, role: str, error: type[BuildError]
) -> None:
    build.an_instance(state, role)
    with pytest.raises(error, match=state.value):
        build.await_(kind, token=None)


class Order:
    """The calls of all ports in the order in which they were made."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def before(self, port: Faulty, call: Call) -> None:
        self.calls.append(f"{type(port).__name__}.{call.method}")

    def after(self, port: Faulty, call: Call) -> None:
        """What it has led to is of no interest."""


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        (WaitKind.STOPPED, "FakeInstances.get"),
        (WaitKind.IMAGE, "FakeImages.get"),
        (WaitKind.PROVISIONING, "FakeCommands.result"),
        (WaitKind.VERIFICATION, "FakeCommands.result"),
    ],
)
def test_the_token_is_stored_before_the_look_so_that_no_event_falls_between(
    build: Build, kind: WaitKind, look: str
) -> None:
    build.an_instance(InstanceState.STOPPING)
    order = Order()
    build.account.world.watch(order)
    assert not build.await_(kind).is_done
    assert order.calls[:2] == ["FakeWaits.put", look]


def test_an_event_completes_the_task_that_has_looked_too_early(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    assert not build.await_(WaitKind.STOPPED).is_done
    build.instances.settle()
    resumed = build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert resumed.resumed
    assert build.account.world.executions.successes == {"token": {}}
    assert build.account.world.waits.all == {}


def test_an_event_tells_how_long_the_task_waited(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED)
    build.account.world.clock.advance(31)
    build.instances.settle()
    resumed = build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert (resumed.kind, resumed.waited_seconds) == (WaitKind.STOPPED, 31)


def test_what_is_done_at_the_look_needs_no_event(build: Build) -> None:
    build.an_instance(InstanceState.STOPPED)
    build.await_(WaitKind.STOPPED)
    assert build.account.world.executions.successes == {"token": {}}
    late = build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert (late.resumed, late.reason) == (False, "nothing waits for it")


def test_an_event_for_an_outlived_token_is_normal(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED)
    build.instances.settle()
    build.account.world.executions.waiting.clear()
    late = build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert (late.resumed, late.reason) == (False, "the task had stopped waiting")


def test_a_second_attempt_takes_the_place_of_the_first(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED, token="first")
    build.await_(WaitKind.STOPPED, token="second")
    build.instances.settle()
    build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert set(build.account.world.executions.successes) == {"second"}


def test_an_event_that_is_ahead_of_ec2_is_handled_again(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED)
    with pytest.raises(ResourceNotVisibleError):
        build.resume("EC2 Instance State-change Notification", instance_id=INSTANCE)
    assert build.account.world.waits.all


@pytest.mark.parametrize("detail_type", ["EC2 Spot Instance Interruption Warning", "EC2 AMI State Change"])
def test_an_event_of_no_resource_that_is_waited_for_is_refused(build: Build, detail_type: str) -> None:
    with pytest.raises(InvalidRequestError, match="correct the pattern"):
        build.resume(detail_type, instance_id=INSTANCE)


def an_image_in(state: ImageState) -> Image:
    return Image(image_id=IMAGE, name="x", state=state, state_reason="Client.InternalError")


@pytest.mark.parametrize("state", sorted(set(ImageState) - {ImageState.DEREGISTERED}))
def test_an_image_is_waited_for_while_it_can_still_become_available(build: Build, state: ImageState) -> None:
    build.account.world.images.add(an_image_in(state))
    if state in {ImageState.FAILED, ImageState.ERROR, ImageState.INVALID}:
        with pytest.raises(ImageCreationFailedError, match=r"Client\.InternalError"):
            build.await_(WaitKind.IMAGE, IMAGE)
    else:
        assert build.await_(WaitKind.IMAGE, IMAGE).is_done == (state is ImageState.AVAILABLE)


def test_an_image_that_is_not_shown_yet_is_waited_for(build: Build) -> None:
    assert not build.await_(WaitKind.IMAGE, IMAGE).is_done


def test_an_image_that_somebody_deregistered_fails_the_wait(build: Build) -> None:
    build.account.world.images.add(an_image_in(ImageState.PENDING))
    assert not build.await_(WaitKind.IMAGE, IMAGE).is_done
    build.account.world.images.deregister(IMAGE)
    with pytest.raises(ImageCreationFailedError) as raised:
        build.await_(WaitKind.IMAGE, IMAGE)
    assert str(raised.value) == (
        f"image {IMAGE} was deregistered while the build waited for it. Find out who did in CloudTrail, and build "
        "again"
    )


def a_command(build: Build, result: CommandResult) -> str:
    step = at_instance(build)
    build.account.world.commands.answer = lambda _: result
    return str(build.execution.provision_builder(step).command_id)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (WaitKind.PROVISIONING, ProvisioningFailedError),
        (WaitKind.VERIFICATION, VerificationFailedError),
    ],
)
@pytest.mark.parametrize(
    "status",
    sorted(set(CommandStatus) - {CommandStatus.SUCCESS, CommandStatus.RUNNING, CommandStatus.UNDELIVERED}),
)
def test_a_command_that_failed_says_what_it_wrote(
    build: Build, status: CommandStatus, kind: WaitKind, error: type[BuildError]
) -> None:
    command = a_command(build, CommandResult(status=status, exit_code=9, stderr="disk full\n" + "x" * 9_000))
    with pytest.raises(error, match="disk full") as raised:
        build.await_(kind, command, instance_id=INSTANCE)
    assert len(str(raised.value)) < 3_000
    assert "(exit code 9)" in str(raised.value)


@pytest.mark.parametrize(
    "stdout", ["", "\n", "done", "[]", "{}", '{"kind": "provision"}', facts("other", DIGEST)]
)
def test_a_command_that_succeeds_without_facts_has_failed(build: Build, stdout: str) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.SUCCESS, stdout=stdout))
    with pytest.raises(ProvisioningFailedError, match="deploy the stack again"):
        build.await_(WaitKind.PROVISIONING, command, instance_id=INSTANCE)


def test_a_running_command_on_a_dead_instance_is_waited_for_no_longer(build: Build) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.RUNNING))
    build.an_instance(InstanceState.TERMINATED)
    with pytest.raises(BuilderLostError):
        build.await_(WaitKind.PROVISIONING, command, instance_id=INSTANCE)


def test_the_facts_are_the_last_line_and_later_fields_are_ignored() -> None:
    found = parse_facts("noise\n" + facts("provision", DIGEST, new_field=1, kernel="6.8"))
    assert (found.kind, found.image_digest, found.kernel) == ("provision", DIGEST, "6.8")


def test_a_failed_command_reaches_the_task_as_its_error(build: Build) -> None:
    command = a_command(build, CommandResult(status=CommandStatus.RUNNING))
    build.an_instance()
    build.await_(WaitKind.PROVISIONING, command, instance_id=INSTANCE)
    build.account.world.commands.finish(command, stderr="no space", exit_code=1)
    build.resume("EC2 Command Invocation Status-change Notification", command_id=command)
    error, cause = build.account.world.executions.failures["token"]
    assert error == "ProvisioningFailedError"
    assert "no space" in cause


def test_a_step_input_refuses_what_it_does_not_know(build: Build) -> None:
    with pytest.raises(ValueError, match="extra"):
        StepInput.model_validate({"plan": build.plan.model_dump(), "execution_arn": "arn", "colour": "blue"})
