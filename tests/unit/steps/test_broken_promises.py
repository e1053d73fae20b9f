"""What breaks a promise over the fakes is seen: without that, no violations would mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from typing import NamedTuple

import pytest
from tests.fakes import World
from tests.unit.domain.builders import a_launch
from tests.unit.steps.account import UBUNTU, Account, an_image, arn_of
from tests.unit.steps.execution import run
from tests.unit.steps.leftovers import an_orphan_image, an_orphan_instance, an_orphan_snapshot, tags_of
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import (
    TAG_DIGEST,
    TAG_ROLE,
    Image,
    ImageState,
    Instance,
    InstanceState,
    UsageKind,
)
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest

LATEST = "/comfyui/ami/prod/latest"
METADATA = "/comfyui/ami/prod/metadata"
FOREIGN = an_image(8, name="of-others", environment=None, snapshot_ids=("snap-00000000000000008",))
FOREIGN_INSTANCE = "i-00000000000000008"
BUILT_FROM = {TAG_ROLE: "builder"}


def an_account() -> Account:
    """Everything as it has to be: a published image, what others have, and nothing that runs."""
    account = Account()
    account.publish(an_image(1, digest=account.push("one")))
    account.world.images.add(FOREIGN)
    account.world.instances.add(Instance(instance_id=FOREIGN_INSTANCE, state=InstanceState.RUNNING))
    return account


def write(world: World, image: Image) -> None:
    """Have the stack write `latest`."""
    world.parameters.overwrite(LATEST, image.image_id, data_type="aws:ec2:image", description="")


def launch(world: World, tags: Mapping[str, str]) -> Instance:
    """Have the stack launch an instance."""
    instance = world.instances.launch(a_launch(image_id=UBUNTU, tags=dict(tags))).instance
    assert instance is not None
    world.settle()
    return instance


def add(world: World, number: int = 2, **changes: object) -> Image:
    """Another of our images, which nobody has verified."""
    return world.images.add(an_image(number, **changes))


def _deregister_live(account: Account) -> None:
    account.world.images.deregister(an_image(1).image_id)


def _delete_latest(account: Account) -> None:
    account.world.parameters.delete(LATEST)


def _publish_another_environments(account: Account) -> None:
    write(account.world, add(account.world, environment="dev"))


def _disable_live(account: Account) -> None:
    account.world.images.disable(an_image(1).image_id)
    account.world.instances.find({})


def _write_what_is_pending(account: Account) -> None:
    write(account.world, add(account.world, state=ImageState.PENDING))


def _publish_unverified(account: Account) -> None:
    write(account.world, add(account.world))


def _deregister_in_use(account: Account) -> None:
    world = account.world
    old = add(world)
    world.usage.use(old.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    world.usage.usage_of([old.image_id])
    world.images.deregister(old.image_id)


def _deregister_unreadable(account: Account) -> None:
    world = account.world
    old = add(world)
    world.usage.unreadable = "ec2:DescribeImageReferences could not be read"
    world.usage.usage_of([old.image_id])
    world.images.deregister(old.image_id)


def _deregister_without_a_look(account: Account) -> None:
    account.world.images.deregister(add(account.world).image_id)


def _deregister_after_a_look_at_another(account: Account) -> None:
    account.world.usage.usage_of([an_image(1).image_id])
    _deregister_without_a_look(account)


def _lose_a_disk(account: Account) -> None:
    del account.world.images.snapshots[an_image(1).snapshot_ids[0]]


def _launch_without_tags(account: Account) -> None:
    launch(account.world, {})


def _copy_without_tags(account: Account) -> None:
    account.world.images.register_copy(an_image(1), "copy", {TAG_DIGEST: "sha256:0"})


def _create_without_tags(account: Account) -> None:
    instance = an_orphan_instance(account)
    account.world.images.create(instance.instance_id, "candidate", "", {})


def _leave_what_was_launched(account: Account) -> None:
    launch(account.world, tags_of("gone"))


def _lose_tags_of_what_was_launched(account: Account) -> None:
    instance = launch(account.world, tags_of("gone"))
    account.world.instances.add(instance.model_copy(update={"tags": {}, "state": InstanceState.RUNNING}))


def _leave_instance(account: Account) -> None:
    an_orphan_instance(account)


def _leave_image(account: Account) -> None:
    an_orphan_image(account)


def _leave_snapshot(account: Account) -> None:
    an_orphan_snapshot(account)


def _leave_retired(account: Account) -> None:
    account.record(add(account.world), status=RecordStatus.RETIRED)


def _forget_the_record(account: Account) -> None:
    world = account.world
    copy = world.images.register_copy(an_image(1), "copy", an_image(1).tags)
    assert copy is not None
    account.record(world.images.all[copy], status=RecordStatus.KEPT)
    world.usage.usage_of([copy])
    world.images.deregister(copy)


def _hold(account: Account) -> None:
    now = account.world.clock.now()
    claim = Claim(
        execution_arn=arn_of("gone"), number=1, action=Action.BUILD, claimed_at=now, lease_until=now
    )
    account.world.environments.claim("prod", claim)


def _publish_another_digest(account: Account) -> None:
    account.push("two")


def _write_other_metadata(account: Account) -> None:
    account.world.parameters.set(METADATA, account.metadata_of(an_image(9)).model_dump_json())


def _call_two_live(account: Account) -> None:
    account.record(add(account.world), status=RecordStatus.LIVE)


def _build_what_is_published(account: Account) -> None:
    digest = account.live.tags[TAG_DIGEST]
    launch(account.world, tags_of("gone") | BUILT_FROM | {TAG_DIGEST: digest})


def _build_what_is_older(account: Account) -> None:
    launch(account.world, tags_of("gone") | BUILT_FROM | {TAG_DIGEST: "sha256:0"})


def _deregister_foreign(account: Account) -> None:
    account.world.usage.usage_of([FOREIGN.image_id])
    account.world.images.deregister(FOREIGN.image_id)


def _stop_foreign(account: Account) -> None:
    account.world.instances.stop(FOREIGN_INSTANCE)


def _terminate_foreign(account: Account) -> None:
    account.world.instances.terminate(FOREIGN_INSTANCE)


def _command_foreign(account: Account) -> None:
    account.world.commands.bring_online(FOREIGN_INSTANCE)
    account.world.commands.answer = None
    account.world.commands.send(FOREIGN_INSTANCE, "Document", {}, "e1 provision 1")


def _image_foreign(account: Account) -> None:
    account.world.images.create(FOREIGN_INSTANCE, "candidate", "", tags_of("gone"))


def _delete_foreign_snapshot(account: Account) -> None:
    account.world.images.delete_snapshot(FOREIGN.snapshot_ids[0])


def _rename_foreign(account: Account) -> None:
    account.world.images.add(FOREIGN.model_copy(update={"name": "other"}))
    account.world.images.find({})


def _write_foreign_parameter(account: Account) -> None:
    account.world.parameters.put("/others/parameter", "1", data_type="text", description="", tags={})


def _write_beside_what_is_published(account: Account) -> None:
    account.world.parameters.put("/comfyui/ami/prod/more", "1", data_type="text", description="", tags={})


def _delete_metadata(account: Account) -> None:
    account.world.parameters.delete(METADATA)


def _publish_what_no_gate_has_let_pass(account: Account) -> None:
    _publish_unverified(account)


class Break(NamedTuple):
    """What the stack does to an account, and the promise that this breaks."""

    promise: str
    act: Callable[[Account], None]


BREAKS = [
    Break("P1", _deregister_live),
    Break("P1", _delete_latest),
    Break("P1", _publish_another_environments),
    Break("P1", _disable_live),
    Break("P1", _write_what_is_pending),
    Break("P2", _publish_unverified),
    Break("P3", _deregister_live),
    Break("P3", _deregister_in_use),
    Break("P3", _deregister_unreadable),
    Break("P3", _deregister_without_a_look),
    Break("P3", _deregister_after_a_look_at_another),
    Break("P3", _lose_a_disk),
    Break("P4", _launch_without_tags),
    Break("P4", _copy_without_tags),
    Break("P4", _create_without_tags),
    Break("P4", _leave_what_was_launched),
    Break("P4", _lose_tags_of_what_was_launched),
    Break("P4", _leave_instance),
    Break("P4", _leave_image),
    Break("P4", _leave_snapshot),
    Break("P4", _leave_retired),
    Break("P4", _forget_the_record),
    Break("P5", _hold),
    Break("P5", _publish_another_digest),
    Break("P5", _write_other_metadata),
    Break("P5", _call_two_live),
    Break("P5", _build_what_is_published),
    Break("P5", _build_what_is_older),
    Break("P6", _deregister_foreign),
    Break("P6", _stop_foreign),
    Break("P6", _terminate_foreign),
    Break("P6", _command_foreign),
    Break("P6", _image_foreign),
    Break("P6", _delete_foreign_snapshot),
    Break("P6", _rename_foreign),
    Break("P6", _write_foreign_parameter),
    Break("P6", _write_beside_what_is_published),
    Break("P6", _delete_metadata),
    Break("P7", _publish_what_no_gate_has_let_pass),
]


def test_what_is_as_it_has_to_be_breaks_nothing() -> None:
    assert Promises(an_account().world).at_rest() == []


@pytest.mark.parametrize("broken", BREAKS, ids=lambda each: f"{each.promise}{each.act.__name__}")
def test_what_breaks_a_promise_is_seen(broken: Break) -> None:
    account = an_account()
    # What waits at a gate need not be published.
    shut = {"approval": lambda environment, _: environment != "prod"} if broken.promise == "P7" else None
    promises = Promises(account.world, gates=shut)
    broken.act(account)
    assert broken.promise in {each.partition(":")[0] for each in promises.at_rest()}


def test_nothing_is_left_of_an_execution_that_runs() -> None:
    account = an_account()
    promises = Promises(account.world)
    account.world.executions.statuses[arn_of("gone")] = ExecutionStatus.RUNNING
    for leave in (_leave_what_was_launched, _leave_image, _leave_snapshot):
        leave(account)
    assert promises.leaks() == []
    account.world.executions.end(arn_of("gone"))
    assert len(promises.leaks()) == 3
    assert promises.leaks(arn_of("another")) == []


@pytest.mark.parametrize("request_", [{"force": True}, {"image_digest": "sha256:" + "0" * 64}])
def test_whoever_forces_a_build_gets_it(request_: dict[str, object]) -> None:
    account = an_account()
    promises = Promises(account.world)
    request = BuildRequest.model_validate({"environment": "prod", **request_})
    account.world.executions.requests[arn_of("gone")] = request.model_dump(mode="json", exclude_defaults=True)
    _build_what_is_older(account)
    assert promises.broken == []


def test_a_verification_without_the_hooks_that_are_wanted_is_none() -> None:
    account = an_account()
    promises = Promises(account.world, hooked={"prod"})
    account.push("two")
    run(account)
    assert [each[:2] for each in promises.broken] == ["P2", "P2"]


def test_what_an_environment_has_published_has_passed_its_gates() -> None:
    account = an_account()
    kept = add(account.world)
    account.record(kept, status=RecordStatus.KEPT)
    asked: list[object] = []
    promises = Promises(account.world, gates={"approval": lambda *each: bool(asked.append(each))})
    write(account.world, kept)
    write(account.world, an_image(1))
    assert (promises.broken, asked) == ([], [])


def test_the_gates_that_were_not_passed_are_named() -> None:
    account = an_account()
    image = add(account.world)
    passed = {"approval": False, "scan": False, "other": True}
    gates = {name: lambda *_, name=name: passed[name] for name in passed}
    promises = Promises(account.world, unverified={"prod"}, gates=gates)
    write(account.world, image)
    write(account.world, image)
    assert [each.partition("; seen")[0] for each in promises.broken] == [
        f"P7: {LATEST} was written as {image.image_id}, which the gate {name} has not let pass"
        for name in ("approval", "scan")
    ]
    promises.checks.violations.clear()
    passed.update(approval=True, scan=True)
    write(account.world, image)
    passed.update(approval=False)
    write(account.world, image)
    assert promises.broken == [], "what has passed once has passed"


def test_what_waits_at_a_gate_is_at_rest() -> None:
    account = an_account()
    _publish_another_digest(account)
    assert "P5" in {each[:2] for each in Promises(account.world).at_rest()}
    waiting = Promises(account.world, gates={"approval": lambda *_: False})
    assert waiting.at_rest() == []


def test_what_was_looked_at_by_another_invocation_is_not_looked_at() -> None:
    account = an_account()
    promises = Promises(account.world)
    old = add(account.world)
    account.record(old, status=RecordStatus.KEPT)
    Context().run(account.world.usage.usage_of, [old.image_id])
    account.world.images.deregister(old.image_id)
    (violation,) = promises.broken
    assert "although its use is unknown" in violation
