"""The candidate of an undeletion: what it is made of, and the words for disks that cannot come back or not yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of, image_id_of
from tests.unit.steps.execution import Execution
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.execution import ClaimedInput, ImageRef
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_EXECUTION, Image
from ami_lifecycle.domain.publication import dump
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.registration import registration_of
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import (
    AmiLifecycleError,
    ForeignResourceError,
    ImageCreationFailedError,
    RecordNotFoundError,
    ResourceNotVisibleError,
)
from ami_lifecycle.steps.adopt_image_name import AdoptInput
from ami_lifecycle.steps.restore_image import restore_image

ARN = arn_of("e1")
DISKS = ("snap-1", "snap-2")
LATE = image_id_of(9)


class Undeletion:
    """A retired image whose snapshots are in the bin, and an execution that holds the environment."""

    def __init__(self, *, binned: bool = True) -> None:
        self.account = account = Account()
        account.publish(an_image(1, digest=account.push("one")))
        self.images = account.world.images
        self.images.bin_days = 7
        self.was = self.images.add(an_image(7, digest="sha256:" + "07" * 32, snapshot_ids=DISKS))
        account.record(self.was, status=RecordStatus.RETIRED)
        record = account.history(self.was.image_id)
        assert record is not None
        told = record.model_copy(update={"registration": registration_of(self.was)})
        self.name = f"{account.prefix}/history/{self.was.image_id}"
        account.world.parameters.set(self.name, dump(told))
        self.images.deregister(self.was.image_id, with_snapshots=binned)
        request = BuildRequest(environment="prod", action=Action.UNDELETE, publish_image_id=self.was.image_id)
        self.planned = account.planner.plan_request(request, ARN).plan
        claim = holder_of(account, "e1", digest=self.planned.image.digest)
        self.step = ClaimedInput(plan=self.planned, execution_arn=ARN, claim_number=claim.number)

    def restore(self) -> ImageRef:
        world = self.account.world
        return restore_image(
            self.step, world.images, world.parameters, world.environments, self.account.deadline
        )

    def restored(self) -> ImageRef:
        """The second attempt, after the snapshots have come out of the bin."""
        with pytest.raises(ResourceNotVisibleError):
            self.restore()
        self.account.world.clock.advance(2)
        self.images.settle()
        return self.restore()

    def refusal(self, kind: type[AmiLifecycleError]) -> str:
        with pytest.raises(AmiLifecycleError) as raised:
            self.restore()
        assert type(raised.value) is kind
        return str(raised.value)

    def taken(self, **tags: str) -> Image:
        """Another image with the candidate's name, which EC2 shows only once the name was refused."""
        other = self.was.model_copy(
            update={
                "image_id": LATE,
                "name": self.planned.candidate_name,
                "tags": tags,
                "block_devices": (),
            }
        )
        self.images.add(other)
        self.images.hidden.add(LATE)
        return other


@pytest.fixture
def undeletion() -> Undeletion:
    return Undeletion()


def test_snapshots_come_out_of_the_bin_first_and_then_an_image_is_made_of_them(
    undeletion: Undeletion,
) -> None:
    assert undeletion.refusal(ResourceNotVisibleError) == (
        "snap-1, snap-2 comes out of the Recycle Bin and cannot be used yet; it is tried again"
    )
    assert undeletion.refusal(ResourceNotVisibleError).startswith("snap-1, snap-2 comes out")
    undeletion.account.world.clock.advance(2)
    made = undeletion.restore()
    image = undeletion.images.all[made.image_id]
    assert (image.name, image.snapshot_ids) == (undeletion.planned.candidate_name, DISKS)
    assert undeletion.restore() == made, "what an earlier attempt made is found"


def test_the_step_that_registers_makes_it(undeletion: Undeletion) -> None:
    undeletion.images.restore_snapshot("snap-1")
    undeletion.images.restore_snapshot("snap-2")
    undeletion.account.world.clock.advance(2)
    step = AdoptInput(**dict(undeletion.step), image_id=undeletion.was.image_id, registers="candidate")
    made: Any = Execution(undeletion.account, "e1").adopter.register(step)
    assert undeletion.images.all[made.image_id].snapshot_ids == DISKS


def test_what_is_there_is_not_looked_for_in_the_bin() -> None:
    undeletion = Undeletion(binned=False)
    assert undeletion.images.all[undeletion.restore().image_id].snapshot_ids == DISKS
    assert undeletion.images.called("snapshots_in_bin") == []


def test_what_the_bin_has_let_go_is_told_with_the_way_to_build_it(undeletion: Undeletion) -> None:
    undeletion.account.world.clock.advance(timedelta(days=7).total_seconds())
    assert undeletion.refusal(RecordNotFoundError) == (
        f"snap-1, snap-2 of {undeletion.was.image_id} is neither there nor in the Recycle Bin (any more); build the "
        f"digest instead: ami-lifecycle rollback prod --to {undeletion.was.image_id}"
    )


@pytest.mark.parametrize("text", [None, "unreadable"])
def test_a_record_that_is_gone_by_then_is_told_so(undeletion: Undeletion, text: str | None) -> None:
    if text is None:
        undeletion.account.world.parameters.delete(undeletion.name)
    else:
        undeletion.account.world.parameters.set(undeletion.name, text)
    assert undeletion.refusal(RecordNotFoundError) == (
        f"history of prod does not say any more how {undeletion.was.image_id} was registered; build its digest "
        f"instead: ami-lifecycle rollback prod --to {undeletion.was.image_id}"
    )


def test_snapshots_that_are_not_ours_are_left_alone() -> None:
    undeletion = Undeletion(binned=False)
    for each in DISKS:
        known = undeletion.images.snapshots[each]
        undeletion.images.snapshots[each] = known.model_copy(update={"tags": {}})
    assert undeletion.refusal(ForeignResourceError) == (
        "snap-1, snap-2 does not carry the tags of comfyui any more, so no image is made of it; put them back, and try "
        "again"
    )


def test_snapshots_that_go_at_that_very_moment_are_tried_again() -> None:
    undeletion = Undeletion(binned=False)
    undeletion.images.fail("register_copy", ImageCreationFailedError("no snapshot"))
    assert undeletion.refusal(ResourceNotVisibleError) == (
        f"the snapshots of {undeletion.was.image_id} have gone again before an image was made of them; it is tried "
        "again"
    )


def test_an_image_that_ec2_shows_late_is_found_or_told() -> None:
    undeletion = Undeletion(binned=False)
    undeletion.taken(**{TAG_APPLICATION: "comfyui", TAG_EXECUTION: ARN})
    assert undeletion.refusal(ResourceNotVisibleError) == (
        f"the name {undeletion.planned.candidate_name} is taken, and EC2 shows no image of that name yet; it is tried "
        "again"
    )

    class Shows:
        def before(self, port: Any, call: Any) -> None:
            """Nothing."""

        def after(self, port: Any, call: Any) -> None:
            if call.method == "register_copy":
                undeletion.images.hidden.clear()

    undeletion.account.world.watch(Shows())
    assert undeletion.restore() == ImageRef(image_id=LATE)


# The plan.


def plan(undeletion: Undeletion, image_id: str | None = None) -> Any:
    wanted = image_id or undeletion.was.image_id
    request = BuildRequest(environment="prod", action=Action.UNDELETE, publish_image_id=wanted)
    return undeletion.account.planner.plan_request(request, arn_of("e2")).plan


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (None, "has no readable record of"),
        ({"registration": None}, "does not say how to register"),
        ({"image_digest": ""}, "does not say how to register"),
    ],
)
def test_what_history_does_not_know_is_refused_with_the_way_to_build_it(
    undeletion: Undeletion, changes: dict[str, Any] | None, why: str
) -> None:
    record = undeletion.account.history(undeletion.was.image_id)
    assert record is not None
    if changes is None:
        undeletion.account.world.parameters.delete(undeletion.name)
    else:
        undeletion.account.world.parameters.set(undeletion.name, dump(record.model_copy(update=changes)))
    with pytest.raises(RecordNotFoundError) as raised:
        plan(undeletion)
    image_id = undeletion.was.image_id
    assert str(raised.value) == (
        f"history of prod {why} {image_id}, so it cannot be taken out of the Recycle Bin; build its digest instead: "
        f"ami-lifecycle rollback prod --to {image_id}"
    )


def test_all_that_keeps_it_from_being_published_is_told_at_once(undeletion: Undeletion) -> None:
    account = undeletion.account
    account.world.parameters.set(f"{account.prefix}/metadata", "x", kind="SecureString")
    account.world.network.missing.add("subnet-0aaaaaaaaaaaaaaaa")
    with pytest.raises(AmiLifecycleError) as raised:
        plan(undeletion)
    first, *others = str(raised.value).split("; also: ")
    assert first.startswith(f"{account.prefix}/metadata is a SecureString")
    assert others != []
