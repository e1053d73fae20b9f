"""Publish, retire and adopt one by one: what they refuse, and what they do when repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes import Call, FakeParameters, Faulty
from tests.unit.steps.account import Account, an_image, facts
from tests.unit.steps.execution import Execution
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.execution import ClaimedInput, Published
from ami_lifecycle.domain.model import TAG_EXECUTION, Image, ImageState, Instance, InstanceState, UsageKind
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import (
    AccessDeniedError,
    AmiLifecycleError,
    ClaimLostError,
    CleanUpIncompleteError,
    ForeignResourceError,
    ImageMismatchError,
    ImageNotVerifiedError,
    PublicationPendingError,
    RefusedError,
    ResourceNotVisibleError,
    ThrottledError,
)
from ami_lifecycle.ports import StoredParameter
from ami_lifecycle.steps.adopt_image_name import AdoptInput
from ami_lifecycle.steps.create_image import CreateImageInput, create_image
from ami_lifecycle.steps.publish_image import PublishInput
from ami_lifecycle.steps.retire_images import RetireInput
from ami_lifecycle.steps.wait_check import parse_facts

CANDIDATE = "comfyui-multitenant-prod.candidate.x"
WRITES = {
    "overwrite",
    "put",
    "delete",
    "create",
    "register_copy",
    "deregister",
    "delete_snapshot",
    "launch",
    "terminate",
    "count_publication",
    "set_pin",
}


class Build:
    """A build that has come as far as its candidate, and holds the environment."""

    def __init__(self, **defaults: Any) -> None:
        self.account = Account(defaults)
        self.old = self.account.publish(an_image(1, digest=self.account.push("one")))
        self.digest = self.account.push("two")
        self.execution = Execution(self.account, "e1")
        self.candidate = self.account.world.images.add(
            an_image(2, name=CANDIDATE, role="candidate", execution="e1", digest=self.digest)
        )
        self.plan = self.account.planner.plan_request(
            BuildRequest(environment="prod"), self.execution.arn
        ).plan
        self.claim: Claim = holder_of(self.account, "e1", digest=self.digest)
        self.verified = parse_facts(facts("verify", self.digest))

    @property
    def held(self) -> dict[str, Any]:
        return {"plan": self.plan, "execution_arn": self.execution.arn, "claim_number": self.claim.number}

    def publish(self, image: Image | None = None, **changes: Any) -> Any:
        values = {"image_id": (image or self.candidate).image_id, "verified": self.verified}
        return self.execution.publisher(PublishInput(**self.held, **values | changes)).publish()

    def adopt(self) -> Any:
        return self.execution.adopter.adopt(AdoptInput(**self.held, image_id=self.candidate.image_id))

    def retire(self, published: Published | None = None) -> Any:
        return self.account.retirer(RetireInput(**self.held, published=published)).retire()

    def create(self) -> Any:
        world = self.account.world
        step = CreateImageInput(**self.held, instance_id="i-0123456789abcdef0")
        return create_image(step, world.images, world.environments, self.account.deadline)

    def written(self) -> list[str]:
        return [
            call.method for port in self.account.world.ports for call in port.calls if call.method in WRITES
        ]


@pytest.fixture
def build() -> Build:
    return Build()


STEPS: dict[str, Callable[[Build], Any]] = {
    "publish": Build.publish,
    "retire": Build.retire,
    "adopt": Build.adopt,
    "create": Build.create,
    "launch": lambda build: build.execution.launch_builder(ClaimedInput(**build.held)),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("taken", [False, True], ids=["released", "taken-over"])
def test_a_function_that_wakes_up_after_its_claim_is_gone_changes_nothing(
    build: Build, step: str, taken: bool
) -> None:
    environments = build.account.world.environments
    assert environments.release("prod", build.claim, revision=0)
    if taken:
        holder_of(build.account, "other")
    with pytest.raises(ClaimLostError):
        STEPS[step](build)
    assert build.written() == []


@pytest.mark.parametrize("step", ["publish", "retire", "adopt", "launch"])
def test_a_step_holds_others_off_while_it_writes_and_no_longer(build: Build, step: str) -> None:
    STEPS[step](build)
    calls = [call.method for call in build.account.world.environments.calls]
    assert calls[-1] == "leave"
    entered = build.account.world.environments.called("enter")[-1]
    assert entered.args[-1] == build.account.deadline + timedelta(seconds=5)
    claim = build.account.world.environments.get("prod").claim
    assert claim is not None
    assert claim.busy_until is None


def test_a_step_leaves_the_window_of_an_earlier_invocation_whose_answer_was_lost(build: Build) -> None:
    environments = build.account.world.environments
    earlier = build.account.world.clock.now() + timedelta(seconds=30)
    environments.enter("prod", build.execution.arn, build.claim.number, earlier)
    build.publish()
    claim = environments.get("prod").claim
    assert claim is not None
    assert claim.busy_until == earlier, "its write may still arrive, so nobody takes the claim away"


def test_a_step_that_fails_leaves_too(build: Build) -> None:
    build.account.world.images.hidden.add(build.candidate.image_id)
    with pytest.raises(ResourceNotVisibleError):
        build.publish()
    claim = build.account.world.environments.get("prod").claim
    assert claim is not None
    assert claim.busy_until is None


# Publish.


def test_history_comes_before_metadata_and_latest_comes_last(build: Build) -> None:
    build.publish()
    prefix = build.account.prefix
    assert [name.removeprefix(prefix) for name, _ in build.account.world.parameters.history] == [
        f"/history/{build.old.image_id}",
        f"/history/{build.candidate.image_id}",
        "/metadata",
        "/latest",
    ]


def test_publishing_twice_writes_once(build: Build) -> None:
    first = build.publish()
    before = dict(build.account.world.parameters.all)
    assert build.publish() == first
    assert build.account.world.parameters.all == before


def test_latest_has_the_data_type_that_launch_templates_resolve(build: Build) -> None:
    account = Account()
    account.push("one")
    Execution(account).run({"environment": "prod"})
    stored = account.world.parameters.all
    assert stored[f"{account.prefix}/latest"].data_type == "aws:ec2:image"
    assert stored[f"{account.prefix}/metadata"].data_type == "text"


def test_a_write_that_ssm_drops_is_noticed_and_repeated(build: Build) -> None:
    build.account.world.parameters.drop_writes = 1
    with pytest.raises(PublicationPendingError, match="reads ami-"):
        build.publish()
    assert build.account.latest == build.old.image_id
    build.publish()
    assert build.account.latest == build.candidate.image_id


class Replayed:
    """After `latest` is written, the next reads of it answer an earlier version that named the same image."""

    def __init__(self, parameters: FakeParameters, name: str, reads: int) -> None:
        self.parameters = parameters
        self.name = name
        self.reads = reads

    def before(self, port: Faulty, call: Call) -> None:
        """Nothing has been written yet."""

    def after(self, port: Faulty, call: Call) -> None:
        if call.method == "put" and call.args[0] == self.name:
            earlier = StoredParameter(call.args[1], 1, "aws:ec2:image")
            self.parameters.replays[self.name] = [earlier] * self.reads


@pytest.mark.parametrize("reads", [1, 7])
def test_latest_counts_as_written_when_it_reads_back_in_its_version(build: Build, reads: int) -> None:
    world = build.account.world
    name = f"{build.account.prefix}/latest"
    world.parameters.set(name, build.old.image_id, "aws:ec2:image")
    world.parameters.hooks.append(Replayed(world.parameters, name, reads))
    build.publish()
    assert world.clock.pauses == [0.25] * reads, "at most two seconds in all, well within the function's time"
    assert world.parameters.replays[name] == []


def test_a_dropped_write_is_not_taken_for_an_earlier_one_of_the_same_image(build: Build) -> None:
    world = build.account.world
    name = f"{build.account.prefix}/latest"
    world.parameters.set(name, build.old.image_id, "aws:ec2:image")
    world.parameters.hooks.append(Replayed(world.parameters, name, 8))
    world.parameters.drop_writes = 1
    with pytest.raises(PublicationPendingError, match="in version 3"):
        build.publish()
    assert build.account.latest == build.old.image_id


def test_a_write_that_could_outlive_the_function_is_not_begun(build: Build) -> None:
    step = PublishInput(**build.held, image_id=build.candidate.image_id, verified=build.verified)
    publisher = build.execution.publisher(step)
    build.account.world.clock.advance(46)
    with pytest.raises(PublicationPendingError, match="too little time"):
        publisher.publish()
    assert build.account.latest == build.old.image_id
    assert "put" not in build.written()


@pytest.mark.parametrize("state", sorted(set(ImageState) - {ImageState.AVAILABLE}))
def test_only_an_available_image_is_published(build: Build, state: ImageState) -> None:
    build.account.world.images.add(build.candidate.model_copy(update={"state": state}))
    with pytest.raises(ResourceNotVisibleError, match=state.value):
        build.publish()
    assert build.account.latest == build.old.image_id


@pytest.mark.parametrize(
    ("candidate", "error"),
    [
        ({"environment": None}, ForeignResourceError),
        ({"environment": "dev"}, ForeignResourceError),
        ({"digest": "sha256:" + "0" * 64}, ImageMismatchError),
        ({"digest": None}, ImageMismatchError),
    ],
)
def test_an_image_that_is_not_the_planned_one_is_not_published(
    build: Build, candidate: dict[str, Any], error: type[AmiLifecycleError]
) -> None:
    values = {"name": CANDIDATE, "digest": build.digest} | candidate
    build.account.world.images.add(an_image(2, **values))
    with pytest.raises(error):
        build.publish()
    assert build.written() == []


@pytest.mark.parametrize(
    "verified", [None, parse_facts(facts("verify", "sha256:" + "0" * 64))], ids=["nothing", "another-digest"]
)
def test_what_was_not_verified_is_not_published(build: Build, verified: CommandFacts | None) -> None:
    with pytest.raises(ImageNotVerifiedError, match=r"verification\.enabled"):
        build.publish(verified=verified)
    assert build.written() == []


def a_copy(build: Build, **changes: Any) -> Image:
    values = {"execution": "e1", "digest": build.digest, "snapshot_ids": build.candidate.snapshot_ids}
    return build.account.world.images.add(an_image(3, **values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshot_ids": ("snap-other",)},
        {"snapshot_ids": ()},
        {"architecture": "arm64"},
        {"boot_mode": "uefi"},
        {"root_device_name": "/dev/xvda"},
        {"virtualization_type": "paravirtual"},
        {"tpm_support": "v2.0"},
        {"imds_support": "v2.0"},
        {"sriov_net_support": "simple"},
        {"platform_details": "Windows"},
        {"usage_operation": "RunInstances:0002"},
    ],
)
def test_a_copy_that_differs_from_the_verified_image_is_not_published(
    build: Build, changes: dict[str, Any]
) -> None:
    build.publish()
    copy = a_copy(build, **changes)
    with pytest.raises(ImageMismatchError):
        build.publish(copy, copy_of=build.candidate.image_id)
    assert build.account.latest == build.candidate.image_id


@pytest.mark.parametrize(
    "changes", [{"volume_type": "gp2"}, {"volume_size": 8}, {"delete_on_termination": False}]
)
def test_a_copy_whose_disks_are_made_otherwise_is_not_published(
    build: Build, changes: dict[str, Any]
) -> None:
    build.publish()
    copy = a_copy(build)
    devices = tuple(device.model_copy(update=changes) for device in copy.block_devices)
    build.account.world.images.add(copy.model_copy(update={"block_devices": devices}))
    with pytest.raises(ImageMismatchError, match="block devices"):
        build.publish(copy, copy_of=build.candidate.image_id)
    assert build.account.latest == build.candidate.image_id


def test_a_copy_whose_original_is_gone_is_not_published(build: Build) -> None:
    copy = a_copy(build)
    del build.account.world.images.all[build.candidate.image_id]
    with pytest.raises(ImageMismatchError):
        build.publish(copy, copy_of=build.candidate.image_id)


def test_a_copy_keeps_number_verification_and_predecessor(build: Build) -> None:
    first = build.publish()
    metadata = build.account.metadata
    second = build.publish(a_copy(build), copy_of=build.candidate.image_id)
    assert second.number == first.number
    assert build.account.metadata.verified_at == metadata.verified_at
    assert build.account.metadata.replaces == build.old.image_id
    archived = build.account.history(build.candidate.image_id)
    assert archived is not None
    assert "the same disks under the canonical name" in archived.status_reason


# Retire.


def test_retiring_twice_retires_once(build: Build) -> None:
    build.publish()
    first = build.retire()
    assert [(found.image_id, found.action.value) for found in first.decisions] == [
        (build.old.image_id, "retire")
    ]
    assert build.old.image_id not in build.account.world.images.all
    assert build.retire().decisions == ()


LATEST = "/comfyui/ami/prod/latest"


@pytest.mark.parametrize("reads", [1, 3, 7])
def test_an_old_value_of_latest_is_not_believed_after_a_publication(build: Build, reads: int) -> None:
    published = build.publish()
    build.account.world.parameters.stale[LATEST] = [build.old.image_id] * reads
    retired = build.retire(published)
    assert [found.image_id for found in retired.decisions] == [build.old.image_id]
    assert build.candidate.image_id in build.account.world.images.all
    assert build.account.world.clock.pauses == [0.25] * reads


def test_nothing_is_retired_while_latest_is_not_what_was_published(build: Build) -> None:
    published = build.publish()
    build.account.world.parameters.set(LATEST, build.old.image_id)
    retired = build.retire(published)
    assert (retired.decisions, retired.adopt_name) == ((), False)
    assert "somebody has changed it since" in retired.adopt_reason
    assert {build.old.image_id, build.candidate.image_id} <= set(build.account.world.images.all)


@pytest.mark.parametrize("fresh_reads", [0, 1])
def test_nothing_is_retired_while_latest_reads_differently(build: Build, fresh_reads: int) -> None:
    build.publish()
    live = build.candidate.image_id
    stale = [live] * fresh_reads + [build.old.image_id]
    build.account.world.parameters.stale[LATEST] = stale
    retired = build.retire()
    assert retired.decisions == ()
    assert "and then" in retired.adopt_reason
    assert {build.old.image_id, live} <= set(build.account.world.images.all)


def test_snapshots_go_with_their_image_and_no_others(build: Build) -> None:
    build.publish()
    build.retire()
    assert set(build.account.world.images.snapshots) == set(build.candidate.snapshot_ids)


@pytest.mark.parametrize(
    "kind",
    sorted(set(UsageKind) - {UsageKind.RUNNING_INSTANCE, UsageKind.LATEST, UsageKind.OLD_TEMPLATE_VERSION}),
)
def test_an_image_in_use_is_kept_with_its_reason_in_history(build: Build, kind: UsageKind) -> None:
    build.account.world.usage.use(build.old.image_id, kind, "it")
    promises = Promises(build.account.world)
    build.publish()
    retired = build.retire()
    assert not retired.adopt_name
    history = build.account.history(build.old.image_id)
    assert history is not None
    assert (history.status.value, history.status_reason) == ("kept", f"in use: {kind.value} it")
    assert promises.broken == []


def test_an_instance_that_runs_keeps_its_image_only_where_the_settings_say_so() -> None:
    for protect in (False, True):
        build = Build(retirement={"protect_running_instances": protect})
        build.account.world.instances.add(
            Instance(instance_id="i-1", state=InstanceState.RUNNING, image_id=build.old.image_id)
        )
        build.publish()
        build.retire()
        assert (build.old.image_id in build.account.world.images.all) is protect


def test_an_image_with_deregistration_protection_is_not_even_tried(build: Build) -> None:
    build.account.world.images.add(
        build.old.model_copy(update={"deregistration_protection": "enabled-with-cooldown"})
    )
    build.publish()
    (decision,) = build.retire().decisions
    assert decision.action.value == "keep"
    assert "deregistration protection" in decision.reason
    assert build.account.world.images.called("deregister") == []


def test_an_image_that_ec2_protects_is_kept_with_its_reason(build: Build) -> None:
    build.account.world.images.protected.add(build.old.image_id)
    build.publish()
    (decision,) = build.retire().decisions
    assert decision.action.value == "keep"
    assert "protected" in decision.reason
    history = build.account.history(build.old.image_id)
    assert history is not None
    assert history.status.value == "kept"


def test_nothing_is_retired_while_latest_cannot_be_launched(build: Build) -> None:
    build.account.world.parameters.set(f"{build.account.prefix}/latest", "ami-0ffffffffffffffff")
    retired = build.retire()
    assert retired.decisions == ()
    assert "does not exist any more" in retired.adopt_reason
    assert build.written() == []


def test_a_snapshot_that_ec2_still_counts_as_used_is_tried_again(build: Build) -> None:
    build.publish()
    hidden = an_image(4, name=CANDIDATE + "y", digest=build.digest, snapshot_ids=build.old.snapshot_ids)
    build.account.world.images.add(hidden)
    build.account.world.images.hidden.add(hidden.image_id)
    with pytest.raises(CleanUpIncompleteError, match="try again"):
        build.retire()
    # An image that is not shown for long, such as one in the Recycle Bin, must not keep the name from being adopted.
    retired = build.retire()
    assert retired.adopt_name
    assert [blocked.resource for blocked in retired.blocked] == list(build.old.snapshot_ids)
    assert "Recycle Bin" in retired.blocked[0].reason


# Adopt.


def test_adopting_twice_registers_once(build: Build) -> None:
    build.publish()
    build.retire()
    first = build.adopt()
    assert first.adopted
    again = build.adopt()
    assert again.image_id == first.image_id
    assert len(build.account.own_images()) == 2


def test_the_copy_has_the_tags_of_its_owner_from_the_call_on_that_makes_it(build: Build) -> None:
    build.publish()
    build.retire()
    copy = build.account.world.images.all[build.adopt().image_id]
    assert copy.belongs_to("comfyui", "prod")
    assert copy.tags[TAG_EXECUTION] == build.execution.arn
    assert copy.name == "comfyui-multitenant-prod"
    assert not copy.is_copy


def test_a_candidate_that_latest_does_not_name_is_not_copied(build: Build) -> None:
    adoption = build.adopt()
    assert not adoption.adopted
    assert "does not name" in adoption.reason


def test_a_name_that_the_old_image_still_has_is_not_adopted(build: Build) -> None:
    build.publish()
    adoption = build.adopt()
    assert not adoption.adopted
    assert build.old.image_id in adoption.reason


def test_a_name_that_an_unseen_image_holds_is_waited_for(build: Build) -> None:
    build.publish()
    build.retire()
    binned = build.account.world.images.add(an_image(9, environment=None))
    build.account.world.images.hidden.add(binned.image_id)
    with pytest.raises(ResourceNotVisibleError, match="the name comfyui-multitenant-prod is taken"):
        build.adopt()


# Create Image.


def a_stopped_builder(build: Build) -> None:
    del build.account.world.images.all[build.candidate.image_id]
    build.account.world.instances.add(
        Instance(instance_id="i-0123456789abcdef0", state=InstanceState.STOPPED)
    )


def test_creating_the_candidate_twice_makes_one_image(build: Build) -> None:
    a_stopped_builder(build)
    assert build.create() == build.create()
    assert len(build.account.own_images()) == 2


def test_a_foreign_image_of_the_candidates_name_is_refused(build: Build) -> None:
    a_stopped_builder(build)
    build.account.world.images.add(an_image(5, name=build.plan.candidate_name, environment=None))
    with pytest.raises(ForeignResourceError, match="deregister it, and build again"):
        build.create()


def test_a_candidate_that_is_not_shown_yet_is_looked_for_again(build: Build) -> None:
    a_stopped_builder(build)
    created = build.create()
    build.account.world.images.hidden.add(created.image_id)
    with pytest.raises(ResourceNotVisibleError, match=f"the name {build.plan.candidate_name} is taken"):
        build.create()
    build.account.world.images.hidden.clear()
    assert build.create() == created


def test_a_refusal_is_no_transient_error() -> None:
    assert issubclass(ImageMismatchError, RefusedError)


def sized(build: Build, size: int | None) -> None:
    (snapshot_id,) = build.candidate.snapshot_ids
    snapshots = build.account.world.images.snapshots
    snapshots[snapshot_id] = snapshots[snapshot_id].model_copy(update={"data_bytes": size})


def published_facts(build: Build) -> Any:
    record = build.execution.publisher(
        PublishInput(**build.held, image_id=build.candidate.image_id)
    )._records.read_record(build.candidate.image_id)
    assert record is not None
    return record.facts


def test_a_record_says_what_first_boots_at_the_rate_take() -> None:
    build = Build(launch={"initialization_rate": 300})
    sized(build, 20 * 2**30)
    build.publish()
    facts = published_facts(build)
    assert facts["first_boot"] == {
        "initialization_rate": 300,
        "data_bytes": 20 * 2**30,
        "initialization_seconds": 69,
        "cents_per_launch": 7.2,
        "launches_at_once": 16,
    }


def test_a_size_that_nobody_may_read_keeps_no_image_from_being_published() -> None:
    build = Build(launch={"initialization_rate": 300})
    sized(build, 2**30)
    build.account.world.images.fail("find_each_snapshot", AccessDeniedError("denied. Grant it."), times=9)
    build.publish()
    assert build.account.latest == build.candidate.image_id
    assert "first_boot" not in published_facts(build)


def test_a_size_that_cannot_be_read_for_now_is_read_again() -> None:
    build = Build(launch={"initialization_rate": 300})
    sized(build, 2**30)
    build.account.world.images.fail("find_each_snapshot", ThrottledError("slow down"), times=1)
    with pytest.raises(ThrottledError):
        build.publish()
    build.publish()
    assert "first_boot" in published_facts(build)


@pytest.mark.parametrize("rate", [0, 300])
def test_without_a_rate_or_a_size_a_record_says_nothing_of_first_boots(rate: int) -> None:
    build = Build(launch={"initialization_rate": rate})
    sized(build, None if rate else 2**30)
    build.publish()
    assert "first_boot" not in published_facts(build)
    assert bool(build.account.world.images.called("find_each_snapshot")) == bool(rate)
