"""What an instance of a build is launched with, and what is told of a launch that was refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import INFRASTRUCTURE, an_image
from tests.unit.steps.test_instances_and_waits import Build, slow_build

from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.environment import LaunchProgress
from ami_lifecycle.domain.execution import InstanceRef
from ami_lifecycle.domain.launch import LaunchRefusal, LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import TAG_DIGEST, Instance, InstanceState, Role, VolatileDevice
from ami_lifecycle.domain.naming import client_token
from ami_lifecycle.domain.plan import BuildMode
from ami_lifecycle.errors import (
    CapacityUnavailableError,
    ImageCreationFailedError,
    LaunchUnfinishedError,
    QuotaExceededError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
)
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launch_canary import CanaryInput, launch_canary
from ami_lifecycle.steps.launcher import LONGEST_CALL, Infrastructure, Launcher
from ami_lifecycle.steps.user_data import user_data

A, B = INFRASTRUCTURE.subnet_ids
PAGE = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"
SETTINGS = {
    "builder": {
        "instance_types": ["c7i.large"],
        "root_volume_gib": 77,
        "volume_type": "gp3",
        "iops": 4_000,
        "throughput": 300,
        "self_destruct_minutes": 99,
    },
    "launch": {"initialization_rate": 200},
    "verification": {"metadata_hop_limit": 3},
    "tags": {"CostCenter": "4711"},
}
VOLATILE = (VolatileDevice(device_name="/dev/sdb", volume_type="gp3", iops=3_000, throughput=125),)


def launcher(build: Build, **infrastructure: Any) -> Launcher:
    world = build.account.world
    stack = {
        "subnet_ids": (A, B),
        "security_group_id": "sg-1",
        "instance_profile_arn": "arn:profile",
    }
    return Launcher(
        world.instances,
        world.environments,
        Infrastructure(**stack | infrastructure),
        world.clock,
        build.account.deadline,
    )


def canary(build: Build, **changes: Any) -> CanaryInput:
    image = build.account.world.images.add(
        an_image(1, root_device_name="/dev/sda1", snapshot_ids=("snap-1", "snap-2"))
    )
    return CanaryInput(**dict(build.claimed), image_id=image.image_id, **changes)


def test_a_builder_is_launched_with_all_that_the_settings_and_the_stack_say() -> None:
    build = Build(**SETTINGS)
    base = build.plan.base
    assert base is not None
    plan = build.plan.model_copy(
        update={
            "base": base.model_copy(update={"root_device_name": "/dev/xvdb", "volatile_devices": VOLATILE})
        }
    )
    step = build.claimed.model_copy(update={"plan": plan})
    launched = launch_builder(step, launcher(build, volume_key_arn="arn:key"))
    assert launched == InstanceRef(instance_id=launched.instance_id, instance_type="c7i.large", subnet_id=A)
    request = build.instances.requests[launched.instance_id]
    assert request == LaunchRequest(
        client_token=client_token(build.execution.arn, Role.BUILDER, "c7i.large", A, 0),
        image_id=base.image_id,
        instance_type="c7i.large",
        subnet_id=A,
        security_group_ids=("sg-1",),
        instance_profile_arn="arn:profile",
        root_device_name="/dev/xvdb",
        root_volume_gib=77,
        volume_type="gp3",
        iops=4_000,
        throughput=300,
        volatile_devices=VOLATILE,
        volume_key_arn="arn:key",
        initialization_rate=0,
        metadata_hop_limit=1,
        user_data=request.user_data,
        tags={
            "CostCenter": "4711",
            "Name": "comfyui-multitenant-prod builder",
            "ami-lifecycle:application": "comfyui",
            TAG_DIGEST: build.digest,
            "ami-lifecycle:environment": "prod",
            "ami-lifecycle:execution": build.execution.arn,
            "ami-lifecycle:role": "builder",
        },
    )
    assert "shutdown -P +99 " in request.user_data


def test_a_canary_is_launched_from_the_candidate_as_fleets_will_launch_it() -> None:
    build = Build(**SETTINGS)
    step = canary(build)
    launched = launch_canary(step, build.account.world.images, launcher(build))
    request = build.instances.requests[launched.instance_id]
    assert (request.image_id, request.root_device_name) == (step.image_id, "/dev/sda1")
    assert request.volatile_devices == build.account.world.images.all[step.image_id].volatile_devices != ()
    assert (request.initialization_rate, request.metadata_hop_limit) == (200, 3)
    assert request.client_token == client_token(build.execution.arn, Role.CANARY, "c7i.large", A, 0)
    assert request.tags["Name"] == "comfyui-multitenant-prod canary"
    assert request.tags["ami-lifecycle:role"] == "canary"


@pytest.mark.parametrize(
    ("base", "mode", "installs"),
    [
        ("debian-12", BuildMode.FRESH, True),
        ("debian-12", BuildMode.UPDATE, False),
        ("ubuntu-22.04", BuildMode.FRESH, False),
    ],
)
def test_an_agent_is_installed_where_the_base_may_have_none(
    base: str, mode: BuildMode, installs: bool
) -> None:
    build = Build()
    configured = build.plan.configured.model_copy(update={"base": BaseSettings.model_validate(base)})
    plan = build.plan.model_copy(update={"mode": mode, "settings": configured})
    step = build.claimed.model_copy(update={"plan": plan})
    launched = launch_builder(step, launcher(build))
    assert build.instances.requests[launched.instance_id].user_data == user_data(
        Role.BUILDER,
        configured.builder.self_destruct_minutes,
        build.execution.arn,
        installs_agent=installs,
    )
    candidate = canary(build).model_copy(update={"plan": plan})
    launched = launch_canary(candidate, build.account.world.images, launcher(build))
    assert build.instances.requests[launched.instance_id].user_data == user_data(
        Role.CANARY,
        configured.builder.self_destruct_minutes,
        build.execution.arn,
        installs_agent=False,
    ), "every image that we have made has one"


def test_a_candidate_that_is_gone_cannot_be_booted() -> None:
    build = Build()
    step = canary(build)
    build.account.world.images.hidden.add(step.image_id)
    with pytest.raises(ImageCreationFailedError) as raised:
        launch_canary(step, build.account.world.images, launcher(build))
    assert str(raised.value) == (
        f"the candidate {step.image_id} is gone before it was verified; somebody deregistered it. Build again"
    )


def test_a_plan_without_a_base_launches_nothing() -> None:
    build = Build()
    step = build.claimed.model_copy(update={"plan": build.plan.model_copy(update={"base": None})})
    with pytest.raises(SettingsError) as raised:
        launch_builder(step, launcher(build))
    assert str(raised.value) == "the plan for prod names no base image; start it again"


def test_the_subnets_of_the_settings_come_before_those_of_the_stack() -> None:
    own = "subnet-0cccccccccccccccc"
    build = Build(builder={"subnet_ids": [own]})
    assert launch_builder(build.claimed, launcher(build)).subnet_id == own


def test_without_any_subnet_the_places_to_name_one_are_told() -> None:
    build = Build()
    with pytest.raises(SettingsError) as raised:
        launch_builder(build.claimed, launcher(build, subnet_ids=()))
    assert str(raised.value) == (
        "no subnet is known for prod; give the stack's parameter SubnetIds a value, or set the parameter of "
        "aws.builder.subnet_ids"
    )


def test_an_instance_of_another_role_or_execution_is_not_taken_for_ours() -> None:
    build = Build()
    builder = launch_builder(build.claimed, launcher(build))
    found = launch_canary(canary(build), build.account.world.images, launcher(build))
    assert found.instance_id != builder.instance_id
    assert [call.args[0] for call in build.instances.called("find")] == [
        {"ami-lifecycle:execution": build.execution.arn, "ami-lifecycle:role": role}
        for role in ("builder", "canary")
    ]


def test_of_several_instances_the_first_by_id_that_lives_is_taken() -> None:
    build = Build()
    tags = {"ami-lifecycle:execution": build.execution.arn, "ami-lifecycle:role": "builder"}
    for number, state in (
        (3, InstanceState.RUNNING),
        (2, InstanceState.PENDING),
        (1, InstanceState.TERMINATED),
    ):
        build.instances.add(
            Instance(
                instance_id=f"i-{number:017x}",
                state=state,
                instance_type="m5.large",
                subnet_id=B,
                tags=tags,
            )
        )
    assert launch_builder(build.claimed, launcher(build)) == InstanceRef(
        instance_id=f"i-{2:017x}", instance_type="m5.large", subnet_id=B
    )


def test_a_builder_after_two_that_died_has_a_token_of_its_own() -> None:
    build = Build()
    for _ in range(2):
        build.instances.set_state(build.launch().instance_id, InstanceState.TERMINATED)
    launched = build.launch()
    assert build.instances.requests[launched.instance_id].client_token == client_token(
        build.execution.arn, Role.BUILDER, "m7i.large", A, 2
    )


# What is remembered from attempt to attempt.


def test_a_launch_that_has_no_time_left_says_where_the_next_goes_on() -> None:
    build, slow = slow_build(20.0)
    build.instances.refuse()
    with pytest.raises(LaunchUnfinishedError) as raised:
        build.launch()
    number = len(slow.tried)
    subnets = build.plan.configured.builder.subnet_ids
    assert str(raised.value) == (
        f"the time is over after {number} of 18 pairs of instance type and subnet for the builder of prod; the next "
        f"attempt goes on with m7i.large in {subnets[number]}"
    )
    claim = build.account.world.environments.get("prod").claim
    assert claim is not None
    assert claim.launching == LaunchProgress(role=Role.BUILDER, position=number)


@pytest.mark.parametrize("left", [0, 1])
def test_a_call_is_begun_only_where_it_can_end_in_time(left: int) -> None:
    build = Build()
    world = build.account.world
    deadline = world.clock.now() + LONGEST_CALL - timedelta(microseconds=1 - left)
    step = Launcher(world.instances, world.environments, INFRASTRUCTURE, world.clock, deadline)
    if left:
        assert launch_builder(build.claimed, step).subnet_id == A
    else:
        with pytest.raises(LaunchUnfinishedError, match="after 0 of 6 pairs"):
            launch_builder(build.claimed, step)


def test_a_position_beyond_the_settings_of_today_begins_anew() -> None:
    build = Build()
    for position, first in ((6, "m7i.large"), (5, "m5.large"), (7, "m7i.large")):
        build.account.world.environments.remember_launch(
            "prod",
            build.execution.arn,
            build.claim.number,
            LaunchProgress(role=Role.BUILDER, position=position),
        )
        before = len(build.instances.called("launch"))
        launched = build.launch()
        assert build.instances.called("launch")[before].args[0].instance_type == first
        build.instances.set_state(launched.instance_id, InstanceState.TERMINATED)


def test_after_the_last_pair_the_next_round_begins_with_the_first() -> None:
    build = Build()
    environments = build.account.world.environments
    environments.remember_launch(
        "prod", build.execution.arn, build.claim.number, LaunchProgress(role=Role.BUILDER, position=4)
    )
    build.instances.refuse(refusal=LaunchRefusal.UNSUPPORTED)
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    assert str(raised.value) == (
        f"EC2 launches no builder for prod: m5.large in {A}: unsupported, m5.large in {B}: unsupported. EC2 says: no "
        f"m5.large in {A}: unsupported (and before these, 4 pairs in the attempt before). Add instance types or "
        "subnets to the settings (builder.instance_types, builder.subnet_ids), or build again later"
    )
    claim = environments.get("prod").claim
    assert claim is not None
    assert claim.launching == LaunchProgress(role=Role.BUILDER, position=0)


def test_the_first_round_leaves_nothing_to_remember() -> None:
    build = Build()
    build.instances.refuse()
    with pytest.raises(CapacityUnavailableError):
        build.launch()
    assert build.account.world.environments.called("remember_launch") == []


def test_an_error_is_remembered_with_its_pair() -> None:
    build = Build()
    build.instances.refuse(subnet_id=A)
    build.instances.fail("launch", ServiceUnavailableError("lost"), skip=1)
    with pytest.raises(ServiceUnavailableError):
        build.launch()
    (call,) = build.account.world.environments.called("remember_launch")
    assert call.args == (
        "prod",
        build.execution.arn,
        build.claim.number,
        LaunchProgress(role=Role.BUILDER, position=1),
    )


def test_a_throttled_launch_is_tried_again_only_while_there_is_time() -> None:
    build = Build()
    build.instances.fail("launch", ThrottledError("slower"), times=99)
    began = build.account.world.clock.now()
    with pytest.raises(ThrottledError, match="slower"):
        build.launch()
    # 31 of 60 seconds are there before the last call that may take 29.
    assert build.account.world.clock.now() - began == timedelta(seconds=32)
    assert build.account.world.clock.pauses == [2.0] * 16


def test_a_refusal_without_a_kind_counts_as_a_want_of_capacity() -> None:
    build = Build()
    build.instances.launch = lambda _: LaunchResult(None, None, "nobody knows.")
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    assert str(raised.value).count(": capacity") == 6


# What is told.


def test_no_capacity_is_told_with_every_pair_and_the_first_words_of_each_kind() -> None:
    build = Build(builder={"instance_types": ["m7i.large", "m5.large"]})
    build.instances.refuse(instance_type="m7i.large", subnet_id=A, refusal=LaunchRefusal.UNSUPPORTED)
    build.instances.refuse()
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    assert str(raised.value) == (
        f"EC2 launches no builder for prod: m7i.large in {A}: unsupported, m7i.large in {B}: capacity, m5.large in "
        f"{A}: capacity, m5.large in {B}: capacity. EC2 says: no m7i.large in {A}: unsupported; no m7i.large in {B}: "
        f"capacity; no m5.large in {A}: capacity. Add instance types or subnets to the settings "
        "(builder.instance_types, builder.subnet_ids), or build again later"
    )


def test_a_quota_without_room_is_told_with_the_request_for_more_once() -> None:
    build = Build(builder={"instance_types": ["g5.xlarge", "g6.xlarge", "m5.large"]})
    build.instances.refuse(instance_type="m5.large", refusal=LaunchRefusal.INELIGIBLE)
    build.instances.refuse(refusal=LaunchRefusal.QUOTA_TOO_SMALL)
    with pytest.raises(QuotaExceededError) as raised:
        build.launch()
    assert str(raised.value) == (
        "the account's quota has no room for one instance of g5.xlarge, g6.xlarge: ask for more of L-DB2E81BA (Running "
        "On-Demand G and VT instances): aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code L-DB2E81BA --desired-value N ({PAGE}); or name types of another quota in "
        f"builder.instance_types. EC2 launches no builder for prod: g5.xlarge in {A}: quota too small, g6.xlarge in "
        f"{A}: quota too small, m5.large in {A}: ineligible. EC2 says: no g5.xlarge in {A}: quota too small; no "
        f"g6.xlarge in {A}: quota too small; no m5.large in {A}: ineligible"
    )


def test_two_quotas_without_room_are_told_with_both_requests() -> None:
    build = Build(builder={"instance_types": ["g5.xlarge", "p4d.24xlarge"]})
    build.instances.refuse(refusal=LaunchRefusal.QUOTA_TOO_SMALL)
    with pytest.raises(QuotaExceededError, match=r"L-DB2E81BA --desired-value N; ask for more of L-417A185B"):
        build.launch()


def test_types_that_nobody_can_launch_are_a_matter_of_the_settings() -> None:
    build = Build(builder={"instance_types": ["m5.large"]})
    build.instances.refuse(refusal=LaunchRefusal.INELIGIBLE)
    with pytest.raises(SettingsError) as raised:
        build.launch()
    assert str(raised.value) == (
        f"EC2 launches no builder for prod: m5.large in {A}: ineligible. EC2 says: no m5.large in {A}: ineligible. "
        "None of builder.instance_types can be launched there: name types that the account, the zones and the image "
        "allow (ami-lifecycle doctor examines them)"
    )


def test_a_quota_of_initialization_in_use_is_told_with_the_rate_and_the_request() -> None:
    build = Build(launch={"initialization_rate": 250}, builder={"instance_types": ["m5.large", "m4.large"]})
    build.instances.refuse(refusal=LaunchRefusal.INITIALIZATION_IN_USE)
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    kind = "quota of volume initialization in use"
    assert str(raised.value) == (
        f"EC2 launches no builder for prod: m5.large in {A}: {kind}. EC2 says: no m5.large in {A}: {kind}. Other "
        "volumes of the Region use up the quota of concurrent volume initialization, so a launch at 250 MiB/s has to "
        "wait. Ask for more of L-A37D9CF3: aws service-quotas request-service-quota-increase --service-code ebs "
        "--quota-code L-A37D9CF3 --desired-value N; or lower launch.initialization_rate; or build again later"
    )


def test_the_words_of_ec2_end_with_one_full_stop() -> None:
    build = Build(builder={"instance_types": ["m5.large"]})
    build.instances.launch = lambda _: LaunchResult(None, LaunchRefusal.CAPACITY, ". no X. ")
    with pytest.raises(CapacityUnavailableError, match=r"EC2 says: \. no X\. Add instance types"):
        build.launch()


def test_many_pairs_and_long_words_are_cut() -> None:
    subnets = [f"subnet-{number:017x}" for number in range(16)]
    build = Build(builder={"subnet_ids": subnets, "instance_types": ["m7i.large", "m6i.large", "m5.large"]})
    build.instances.launch = lambda request: LaunchResult(
        None, LaunchRefusal.CAPACITY, f"{request.instance_type} {'w' * 600}. "
    )
    with pytest.raises(CapacityUnavailableError) as raised:
        build.launch()
    pairs, words = str(raised.value).removeprefix("EC2 launches no builder for prod: ").split(". EC2 says: ")
    every = ", ".join(
        f"{kind} in {subnet}: capacity"
        for kind in ("m7i.large", "m6i.large", "m5.large")
        for subnet in subnets
    )
    said = "; ".join(f"{kind} {'w' * 600}. " for kind in ("m7i.large", "m6i.large", "m5.large"))
    assert pairs == every[:1_500]
    assert words.split(". Add instance types")[0] == said[:1_200]
