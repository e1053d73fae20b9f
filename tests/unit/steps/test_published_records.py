"""What is published, read and written in one place: names, texts, tags, and the read-back of `latest`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.steps.account import Account, an_image, image_id_of

from ami_lifecycle.domain.publication import dump, history_of
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.errors import PublicationPendingError
from ami_lifecycle.ports import StoredParameter
from ami_lifecycle.steps.published_records import PublishedRecords, RecordWriter

PREFIX = "/comfyui/ami/prod"
TAGS = {"ami-lifecycle:application": "comfyui", "ami-lifecycle:environment": "prod", "CostCenter": "4711"}
OWNER = "123456789012"


@pytest.fixture
def account() -> Account:
    account = Account({"tags": {"CostCenter": "4711"}})
    account.publish(an_image(1, digest=account.push("one")))
    account.world.images.add(an_image(2))
    return account


def records(account: Account) -> PublishedRecords:
    return PublishedRecords(account.world.parameters, account.catalogue.get("prod").parameter_names)


def writer(account: Account, seconds: float | None = 60) -> RecordWriter:
    clock = account.world.clock
    deadline = None if seconds is None else clock.now() + timedelta(seconds=seconds)
    return RecordWriter(account.world.parameters, account.catalogue.get("prod"), clock, deadline)


def last_call(account: Account, method: str) -> tuple[object, dict[str, object]]:
    call = account.world.parameters.called(method)[-1]
    return call.args, call.kwargs


# Reading.


def test_what_latest_names_is_judged_with_its_owner(account: Account) -> None:
    world = account.world
    assert records(account).read_live(OWNER, world.images, world.clock).image == account.live
    theirs = records(account).read_live("210987654321", world.images, world.clock)
    assert theirs.problem == f"`latest` names {account.latest}, which account {OWNER} owns"
    world.parameters.set(f"{PREFIX}/latest", "no id")
    looks = len(world.images.called("get"))
    assert records(account).read_live(OWNER, world.images, world.clock).problem == (
        "`latest` says 'no id', which is no id of an image"
    )
    assert len(world.images.called("get")) == looks
    world.parameters.delete(f"{PREFIX}/latest")
    assert (
        records(account).read_live(OWNER, world.images, world.clock).problem == "`latest` does not exist yet"
    )


def test_whether_latest_names_an_image_is_told(account: Account) -> None:
    assert records(account).is_latest(image_id_of(1))
    assert not records(account).is_latest(image_id_of(2))
    account.world.parameters.delete(f"{PREFIX}/latest")
    assert not records(account).is_latest(image_id_of(1))


@pytest.mark.parametrize("name", [None, "no id", "ami-x"])
def test_a_text_that_is_no_images_id_has_no_record_and_is_not_asked_for(
    account: Account, name: str | None
) -> None:
    assert records(account).read_record(name) is None
    assert account.world.parameters.called("get") == []


def test_records_are_read_one_by_one_and_together(account: Account) -> None:
    account.world.parameters.set(f"{PREFIX}/history/{image_id_of(2)}", "{")
    first = records(account).read_record(image_id_of(1))
    assert first is not None
    assert first.ami_id == image_id_of(1)
    assert records(account).read_record(image_id_of(2)) is None
    assert records(account).read_record(image_id_of(3)) is None
    assert records(account).read_history() == {image_id_of(1): first, image_id_of(2): None}
    found = records(account).find_records([image_id_of(2), image_id_of(3)])
    assert found == {
        image_id_of(2): account.world.parameters.all[f"{PREFIX}/history/{image_id_of(2)}"],
        image_id_of(3): None,
    }
    records(account).delete_record(image_id_of(1))
    assert records(account).read_record(image_id_of(1)) is None


# Records that contradict `latest`.


def test_records_that_contradict_latest_are_corrected_but_for_the_live_images_own(account: Account) -> None:
    world = account.world
    account.record(account.world.images.all[image_id_of(2)])
    account.record(an_image(3))
    world.parameters.set(f"{PREFIX}/history/{image_id_of(4)}", "{")
    live = image_id_of(1)
    now = world.clock.now()
    world.clock.advance(7)
    wrong = records(account).contradicting_records(live, world.images, world.clock)
    assert set(wrong) == {image_id_of(2), image_id_of(3)}
    second, third = wrong[image_id_of(2)], wrong[image_id_of(3)]
    assert second is not None
    assert third is not None
    assert (second.status, second.superseded_by) == (RecordStatus.SUPERSEDED, live)
    assert third.status is RecordStatus.RETIRED
    for each, image in ((second, an_image(2)), (third, an_image(3))):
        assert each.published_by == image.tags["ami-lifecycle:execution"]
        assert each.status_since > f"{now:%Y-%m-%dT%H:%M:%S}"
    writer(account).correct_history(live, world.images)
    assert account.history(image_id_of(2)).superseded_by == live  # type: ignore[union-attr]  # it is there
    assert account.history(image_id_of(2)).status is RecordStatus.SUPERSEDED  # type: ignore[union-attr]  # it is there
    assert records(account).contradicting_records(live, world.images, world.clock) == {}


def test_an_image_without_a_record_of_its_own_is_wrong_and_left_to_its_publication(account: Account) -> None:
    world = account.world
    assert (
        records(account).contradicting_records(image_id_of(2), world.images, world.clock)[image_id_of(2)]
        is None
    )
    before = dict(world.parameters.all)
    writer(account).correct_history(image_id_of(2), world.images)
    changed = {name for name, stored in world.parameters.all.items() if before.get(name) != stored}
    assert changed == {f"{PREFIX}/history/{image_id_of(1)}"}


def test_the_live_images_own_record_is_not_corrected_but_left_to_its_publication(account: Account) -> None:
    world = account.world
    account.record(account.live, status=RecordStatus.SUPERSEDED)
    writer(account).correct_history(image_id_of(1), world.images)
    record = account.history(image_id_of(1))
    assert record is not None
    assert record.status is RecordStatus.SUPERSEDED
    assert world.parameters.called("put") == []


def test_whether_the_live_image_is_there_is_not_asked(account: Account) -> None:
    world = account.world
    assert records(account).contradicting_records(image_id_of(1), world.images, world.clock) == {}
    assert world.images.calls == []


# Writing.


def test_latest_is_written_with_its_data_type_and_tags_where_it_does_not_say_so_yet(account: Account) -> None:
    writer(account).write_latest(image_id_of(1))
    assert account.world.parameters.called("put") == []
    writer(account).write_latest(image_id_of(2))
    assert last_call(account, "put") == (
        (f"{PREFIX}/latest", image_id_of(2)),
        {"data_type": "aws:ec2:image", "description": "Latest AMI of comfyui prod", "tags": TAGS},
    )
    assert account.world.clock.pauses == []


def test_a_latest_that_never_reads_back_is_told_with_what_it_reads(account: Account) -> None:
    account.world.parameters.drop_writes = 9
    with pytest.raises(PublicationPendingError) as raised:
        writer(account).write_latest(image_id_of(2))
    assert str(raised.value) == (
        f"{PREFIX}/latest was written as {image_id_of(2)} in version 2 and reads {image_id_of(1)}; it is written "
        "again. If it never changes: the function needs ec2:DescribeImages, and the image must be available"
    )
    assert account.world.clock.pauses == [0.25] * 8


def test_a_latest_that_is_gone_is_told_as_nothing(account: Account) -> None:
    account.world.parameters.delete(f"{PREFIX}/latest")
    account.world.parameters.drop_writes = 9
    with pytest.raises(PublicationPendingError, match=r"in version 1 and reads nothing; it is"):
        writer(account).write_latest(image_id_of(2))


@pytest.mark.parametrize(
    ("value", "version", "counts"),
    [(2, 2, True), (2, 3, True), (2, 1, False), (1, 2, False), (1, 3, False)],
)
def test_a_read_back_counts_by_value_and_version(
    account: Account, value: int, version: int, counts: bool
) -> None:
    name = f"{PREFIX}/latest"
    before = account.world.parameters.all[name]
    account.world.parameters.replays[name] = [
        before,
        StoredParameter(image_id_of(value), version, "aws:ec2:image"),
    ]
    writer(account).write_latest(image_id_of(2))
    assert account.world.clock.pauses == ([] if counts else [0.25])


def test_metadata_are_written_where_they_change(account: Account) -> None:
    metadata = account.metadata
    writer(account).write_metadata(metadata)
    assert account.world.parameters.called("put") == []
    changed = metadata.model_copy(update={"branch": "other"})
    writer(account).write_metadata(changed)
    assert last_call(account, "put") == (
        (f"{PREFIX}/metadata", dump(changed)),
        {"data_type": "text", "description": "Metadata of the latest image of prod", "tags": TAGS},
    )
    account.world.parameters.delete(f"{PREFIX}/metadata")
    writer(account).write_metadata(metadata)
    assert account.metadata == metadata


def test_a_record_is_written_by_what_was_read_of_it(account: Account) -> None:
    world, image_id = account.world, image_id_of(1)
    name = f"{PREFIX}/history/{image_id}"
    record = account.history(image_id)
    assert record is not None
    kept = history_of(record, RecordStatus.KEPT, "used", world.clock.now(), None, record.published_by)
    stored = world.parameters.all[name]._replace(data_type="aws:ec2:image")
    writer(account).write_record(image_id, kept, stored)
    assert last_call(account, "overwrite") == (
        (name, dump(kept)),
        {"data_type": "aws:ec2:image", "description": f"History of {image_id}"},
    )
    writer(account).write_record(image_id, kept, world.parameters.all[name])
    assert len(world.parameters.called("overwrite")) == 1
    writer(account).write_record(image_id, record)
    assert last_call(account, "put") == (
        (name, dump(record)),
        {"data_type": "text", "description": f"History of {image_id}", "tags": TAGS},
    )
    assert account.history(image_id) == record


@pytest.mark.parametrize(("seconds", "begins"), [(15, True), (14.9, False), (None, True)])
def test_a_write_is_begun_only_where_it_can_end_in_time(
    account: Account, seconds: float | None, begins: bool
) -> None:
    name = f"{PREFIX}/history/{image_id_of(1)}"
    record = account.history(image_id_of(1))
    assert record is not None
    changed, again = (record.model_copy(update={"branch": branch}) for branch in ("other", "third"))
    stored = account.world.parameters.all[name]
    own = writer(account, seconds)
    for write in (
        lambda: own.write_record(image_id_of(1), changed, stored),
        lambda: own.write_record(image_id_of(1), again),
        lambda: own.write_latest(image_id_of(2)),
    ):
        if begins:
            write()
            continue
        with pytest.raises(
            PublicationPendingError, match=r"^too little time is left to write /comfyui/ami/prod/"
        ):
            write()
    if not begins:
        with pytest.raises(PublicationPendingError) as raised:
            own.write_latest(image_id_of(2))
        assert str(raised.value) == f"too little time is left to write {PREFIX}/latest; the step is repeated"
        assert account.history(image_id_of(1)) == record
