"""Which retired image `undelete` means, and what it says where none can come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from tests.fakes import World
from tests.unit.cli.samples import a_live, a_record, image_id
from tests.unit.steps.account import an_image

from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.registration import registration_of
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.errors import AmiLifecycleError, InvalidRequestError, RecordNotFoundError
from ami_lifecycle_cli.stack import undeletion
from ami_lifecycle_cli.stack.undeletion import Undeletion, plan_undeletion

DAYS = 7


@dataclass
class FakeStack:
    """Images 1 to 3 were published one after the other; 3 is live, and the others were retired."""

    world: World = field(default_factory=World)
    records: list[HistoryRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.images = self.world.images
        self.images.bin_days = DAYS
        for number in (3, 2, 1):
            image = an_image(number).model_copy(update={"image_id": image_id(number)})
            self.images.add(image)
            self.records.append(
                a_record(
                    number,
                    snapshot_ids=image.snapshot_ids,
                    registration=registration_of(image),
                    release=f"arn:aws:states:us-east-1:123456789012:execution:build:run-{number}",
                )
            )
            if number != 3:
                self.images.deregister(image.image_id, with_snapshots=True)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    stack = FakeStack()
    monkeypatch.setattr(undeletion, "read_history", lambda *_: SimpleNamespace(records=stack.records))
    monkeypatch.setattr(undeletion, "read_environment_live", lambda *_: a_live(3))
    return stack


def plan(stack: FakeStack, **options: str) -> Undeletion:
    given: dict[str, Any] = {"to": None, "release": None, "reason": None, **options}
    return plan_undeletion(stack, "prod", **given)  # type: ignore[arg-type]


def refused(stack: FakeStack, error: type[AmiLifecycleError], **options: str) -> str:
    with pytest.raises(error) as refusal:
        plan(stack, **options)
    return str(refusal.value)


def test_without_a_name_it_is_what_was_retired_last(stack: FakeStack) -> None:
    planned = plan(stack, reason="needed")
    assert planned.record.ami_id == image_id(2)
    assert planned.live_id == image_id(3)
    request = planned.request
    assert (request.action, request.trigger, request.pin) == (Action.UNDELETE, Trigger.ROLLBACK, True)
    assert (request.publish_image_id, request.reason) == (image_id(2), "needed")
    (until,) = planned.snapshots.values()
    assert until is not None
    assert planned.as_json()["snapshots"][0]["in_bin_until"].endswith("Z")


def test_an_image_or_a_release_is_named_in_every_way_that_history_does(stack: FakeStack) -> None:
    assert plan(stack, to=image_id(1)).record.ami_id == image_id(1)
    first = stack.records[2]
    short = release_name(first.release, first.image_digest)
    for name in (first.release, "run-1", short):
        assert plan(stack, release=str(name)).record.ami_id == image_id(1)


def test_what_is_there_still_is_for_a_rollback(stack: FakeStack) -> None:
    text = refused(stack, InvalidRequestError, to=image_id(3))
    assert (
        text
        == f"{image_id(3)} is still there. Publish it again: ami-lifecycle rollback prod --to {image_id(3)}"
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"to": "ami-0ffffffffffffffff"}, "ami-0ffffffffffffffff"),
        ({"release": "other"}, "the release other"),
    ],
)
def test_what_history_does_not_know_is_refused(stack: FakeStack, options: dict[str, str], named: str) -> None:
    text = refused(stack, RecordNotFoundError, **options)
    assert text == f"history of prod has no record of {named}; choose one of: ami-lifecycle history prod"


def test_an_environment_without_history_says_so(stack: FakeStack) -> None:
    stack.records.clear()
    assert "no record of an image that was retired" in refused(stack, RecordNotFoundError)


def test_what_the_bin_has_let_go_is_passed_over_and_named_where_nothing_is_left(stack: FakeStack) -> None:
    del stack.images.bin[stack.records[1].snapshot_ids[0]]
    assert plan(stack).record.ami_id == image_id(1)
    stack.images.bin.clear()
    assert refused(stack, RecordNotFoundError) == (
        f"of the images of prod that are meant and gone ({image_id(2)}, {image_id(1)}), none has its snapshots in the "
        "Recycle Bin. Build one again: ami-lifecycle rollback prod --to AMI"
    )
    stack.records[1:] = []
    assert "(none)" in refused(stack, RecordNotFoundError)


def test_a_record_that_does_not_say_how_is_passed_over(stack: FakeStack) -> None:
    stack.records[1] = stack.records[1].model_copy(update={"registration": None})
    assert plan(stack).record.ami_id == image_id(1)


def test_disks_that_another_image_shows_have_not_gone_unless_they_are_asked_for(stack: FakeStack) -> None:
    """The candidate of the live image is gone, and its disks are the live image's."""
    live = stack.records[0]
    candidate = live.model_copy(update={"ami_id": image_id(9), "status_since": "2026-06-01T00:00:00Z"})
    stack.records.append(candidate)
    assert plan(stack).record.ami_id == image_id(2)
    assert plan(stack, to=image_id(9)).snapshots == dict.fromkeys(live.snapshot_ids)


def test_the_bin_is_asked_once_for_all(stack: FakeStack) -> None:
    plan(stack)
    assert len(stack.images.called("snapshots_in_bin")) == 1
    assert len(stack.images.called("find_each_snapshot")) == 1
