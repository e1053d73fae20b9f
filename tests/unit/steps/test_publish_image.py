"""Publishing, as a person reads of it: records, reasons, numbers, pins, and refusals with their way out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import LONG_AGO, an_image, arn_of, facts, image_id_of
from tests.unit.steps.execution import Execution
from tests.unit.steps.test_publishing import CANDIDATE, Build, a_copy
from tests.unit.steps.test_register_image import Promotion

from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.execution import Published
from ami_lifecycle.domain.first_boot import first_boot_of
from ami_lifecycle.domain.model import TAG_DIGEST, ImageState
from ami_lifecycle.domain.publication import history_of, metadata_of_promotion, timestamp
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import (
    AccessDeniedError,
    ForeignResourceError,
    ImageMismatchError,
    ImageNotVerifiedError,
    ResourceNotVisibleError,
)
from ami_lifecycle.steps.publish_image import PublishInput
from ami_lifecycle.steps.wait_check import parse_facts

OLDER = 7


@pytest.fixture
def build() -> Build:
    return Build()


def again(build: Build, image_number: int, **request: Any) -> Build:
    """Let the execution publish an existing image instead, as a rollback does."""
    values = {
        "environment": "prod",
        "action": Action.PUBLISH,
        "publish_image_id": image_id_of(image_number),
    }
    build.plan = build.plan.model_copy(
        update={
            "action": Action.PUBLISH,
            "source": None,
            "reasons": ("a person asked",),
            "request": BuildRequest.model_validate(values | request),
        }
    )
    return build


def older(build: Build, *, status: RecordStatus = RecordStatus.SUPERSEDED, **values: Any) -> Any:
    image = build.account.world.images.add(
        an_image(
            OLDER,
            **{
                "name": CANDIDATE + "o",
                "digest": "sha256:" + "07" * 32,
                "created": LONG_AGO - timedelta(days=9),
            }
            | values,
        )
    )
    build.account.record(image, status=status)
    return image


# What is refused, and the way out.


def test_an_image_that_is_not_shown_is_not_published(build: Build) -> None:
    build.account.world.images.hidden.add(build.candidate.image_id)
    with pytest.raises(ResourceNotVisibleError) as raised:
        build.publish()
    assert str(raised.value) == (
        f"{build.candidate.image_id} is not shown, and only an available image is published; somebody may have "
        "removed it"
    )


def test_a_foreign_image_is_not_published(build: Build) -> None:
    build.account.world.images.add(an_image(2, name=CANDIDATE, environment="dev", digest=build.digest))
    with pytest.raises(ForeignResourceError) as raised:
        build.publish()
    assert str(raised.value) == (
        f"{build.candidate.image_id} does not carry the tags of comfyui prod; only images of the environment are "
        "published in it"
    )


def test_another_digest_than_the_planned_one_is_not_published(build: Build) -> None:
    build.account.world.images.add(an_image(2, name=CANDIDATE, digest="sha256:other"))
    with pytest.raises(ImageMismatchError) as raised:
        build.publish()
    assert str(raised.value) == (
        f"{build.candidate.image_id} holds sha256:other, not the planned {build.digest}; build again"
    )


def test_an_image_of_which_nothing_says_that_it_is_verified_is_not_published(build: Build) -> None:
    with pytest.raises(ImageNotVerifiedError) as raised:
        build.publish(verified=None)
    assert str(raised.value) == (
        f"nothing says that {build.candidate.image_id} has passed verification, so it is not published; build its "
        "digest. Only the setting verification.enabled switches verification off"
    )


def test_a_rollback_takes_no_verification_of_another_execution(build: Build) -> None:
    image = build.account.world.images.add(
        an_image(OLDER, name=CANDIDATE + "o", digest="sha256:" + "07" * 32)
    )
    build.account.record(image, status=RecordStatus.SUPERSEDED, verified=False)
    with pytest.raises(ImageNotVerifiedError):
        again(build, OLDER).publish(image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"snapshot_ids": ("snap-other",)},
            (
                "{copy} is not made of the snapshots of the verified {candidate}; `latest` stays as it is, and "
                "the sweep tries again"
            ),
        ),
        (
            {"architecture": "arm64"},
            "{copy} differs from the verified {candidate} in architecture: 'arm64', not 'x86_64'",
        ),
    ],
)
def test_a_copy_that_differs_is_told_in_what(build: Build, changes: dict[str, Any], message: str) -> None:
    build.publish()
    copy = a_copy(build, **changes)
    with pytest.raises(ImageMismatchError) as raised:
        build.publish(copy, copy_of=build.candidate.image_id)
    assert str(raised.value) == message.format(copy=copy.image_id, candidate=build.candidate.image_id)


def test_a_copy_of_which_ec2_says_less_of_ena_is_not_published(build: Build) -> None:
    build.publish()
    copy = build.account.world.images.add(a_copy(build).model_copy(update={"ena_support": False}))
    with pytest.raises(ImageMismatchError, match="in ena_support: False, not True"):
        build.publish(copy, copy_of=build.candidate.image_id)


def test_a_copy_with_another_disk_is_told_with_both(build: Build) -> None:
    build.publish()
    copy = a_copy(build)
    devices = tuple(device.model_copy(update={"volume_size": 8}) for device in copy.block_devices)
    build.account.world.images.add(copy.model_copy(update={"block_devices": devices}))
    with pytest.raises(ImageMismatchError) as raised:
        build.publish(copy, copy_of=build.candidate.image_id)
    assert str(raised.value) == (
        f"{copy.image_id} differs from the verified {build.candidate.image_id} in its block devices: "
        "[('/dev/sda1', None, 8, None)], not [('/dev/sda1', None, 40, None)]"
    )


def test_the_order_of_devices_and_those_without_a_snapshot_make_no_difference(build: Build) -> None:
    ids = ("snap-a", "snap-b")
    candidate = an_image(2, name=CANDIDATE, role="candidate", digest=build.digest, snapshot_ids=ids)
    build.account.world.images.add(candidate)
    build.publish()
    copy = a_copy(build, snapshot_ids=ids)
    ephemeral = copy.block_devices[0].model_copy(
        update={"device_name": "/dev/sdz", "snapshot_id": None, "virtual_name": "ephemeral0"}
    )
    build.account.world.images.add(
        copy.model_copy(update={"block_devices": (*copy.block_devices, ephemeral)})
    )
    assert build.publish(copy, copy_of=candidate.image_id).image_id == copy.image_id


# What is written.


def test_a_build_is_published_with_what_it_replaces_and_who_built_it(build: Build) -> None:
    assert build.publish() == Published(
        image_id=build.candidate.image_id,
        number=1,
        replaced=build.old.image_id,
        release=build.execution.arn,
    )
    metadata = build.account.metadata
    assert (metadata.ami_id, metadata.replaces) == (build.candidate.image_id, build.old.image_id)
    assert (metadata.workflow_run_id, metadata.workflow_run_number) == ("e1", "1")
    assert (metadata.region, metadata.image_digest) == ("us-east-1", build.digest)
    assert metadata.verified_at == timestamp(build.account.world.clock.now())
    record = build.account.history(build.candidate.image_id)
    assert record is not None
    assert (record.status, record.status_reason) == (RecordStatus.LIVE, "published")
    assert (record.published_by, record.rolled_back) == (arn_of("e1"), False)
    assert record.model_dump(include=set(type(metadata).model_fields)) == metadata.model_dump()


def test_what_was_live_is_recorded_as_replaced_by_whom(build: Build) -> None:
    build.publish()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert record.status is RecordStatus.SUPERSEDED
    assert record.status_reason == f"replaced by {build.candidate.image_id}: a newer publication"
    assert (record.superseded_by, record.rolled_back) == (build.candidate.image_id, False)
    assert record.published_by == arn_of("long-ago")


@pytest.mark.parametrize("gone", [False, True])
def test_an_image_from_before_records_is_recorded_when_it_is_replaced(build: Build, gone: bool) -> None:
    parameters = build.account.world.parameters.all
    del parameters[f"{build.account.prefix}/history/{build.old.image_id}"]
    del parameters[f"{build.account.prefix}/metadata"]
    if gone:
        del build.account.world.images.all[build.old.image_id]
    build.publish()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert record.status is (RecordStatus.RETIRED if gone else RecordStatus.SUPERSEDED)
    assert record.reason == "published before records began"
    assert (record.workflow_run_number, record.published_by) == ("0", None)
    assert record.image_digest == ("" if gone else build.old.tags[TAG_DIGEST])
    assert (record.environment, record.region) == ("prod", "us-east-1")


def test_metadata_of_another_image_says_nothing_of_the_one_that_is_replaced(build: Build) -> None:
    parameters = build.account.world.parameters
    del parameters.all[f"{build.account.prefix}/history/{build.old.image_id}"]
    other = build.account.metadata.model_copy(update={"ami_id": image_id_of(OLDER), "branch": "other"})
    parameters.set(f"{build.account.prefix}/metadata", other.model_dump_json())
    build.publish()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert (record.ami_id, record.branch) == (build.old.image_id, None)


def test_metadata_of_the_image_itself_is_what_its_record_says(build: Build) -> None:
    del build.account.world.parameters.all[f"{build.account.prefix}/history/{build.old.image_id}"]
    build.publish()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert (record.branch, record.published_by) == ("main", None)


@pytest.mark.parametrize("text", ["not an image", "ami-"])
def test_any_text_in_latest_is_replaced_without_a_record(build: Build, text: str) -> None:
    build.account.world.parameters.set(f"{build.account.prefix}/latest", text)
    assert build.publish() == Published(
        image_id=build.candidate.image_id, number=1, replaced=None, release=build.execution.arn
    )
    assert build.account.metadata.replaces is None
    assert build.account.latest == build.candidate.image_id


def test_the_first_publication_replaces_nothing(build: Build) -> None:
    del build.account.world.parameters.all[f"{build.account.prefix}/latest"]
    assert build.publish().replaced is None


def test_where_verification_is_off_nothing_is_said_of_it() -> None:
    build = Build(verification={"enabled": False})
    build.publish(verified=None)
    assert build.account.metadata.verified_at is None


def test_a_build_is_published_with_what_its_documents_have_said(build: Build) -> None:
    labels = {"ami-lifecycle.commit": "abc123", "ami-lifecycle.branch": "main"}
    provisioned = parse_facts(facts("provision", build.digest, image_labels=labels, kernel="6.8"))
    verified = parse_facts(facts("verify", build.digest, boot_to_healthy_seconds=12.5))
    build.plan = build.plan.model_copy(update={"reasons": ("one", "two")})
    build.publish(provisioned=provisioned, verified=verified)
    metadata = build.account.metadata
    assert (metadata.commit_sha, metadata.branch, metadata.reason) == ("abc123", "main", "one; two")
    assert metadata.facts == {"image_labels": labels, "kernel": "6.8", "boot_to_healthy_seconds": 12.5}


def test_publishing_again_later_keeps_the_date_of_the_first_time(build: Build) -> None:
    build.publish()
    written = len(build.account.world.parameters.history)
    build.account.world.clock.advance(90)
    build.publish()
    assert len(build.account.world.parameters.history) == written


def test_what_nobody_has_asked_for_goes_back_from_nothing(build: Build) -> None:
    image = older(build)
    again(build, OLDER)
    build.plan = build.plan.model_copy(update={"request": None})
    build.publish(image, verified=None)
    left = build.account.history(build.old.image_id)
    assert left is not None
    assert not left.rolled_back


@pytest.mark.parametrize("sizes", [{}, {"gone": True}])
def test_a_snapshot_of_which_nothing_is_known_leaves_the_first_boots_open(sizes: dict[str, bool]) -> None:
    build = Build(launch={"initialization_rate": 300})
    if sizes:
        for each in build.candidate.snapshot_ids:
            del build.account.world.images.snapshots[each]
    build.publish()
    assert "first_boot" not in build.account.metadata.facts


def test_a_size_that_is_refused_is_told_with_the_image(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    build = Build(launch={"initialization_rate": 300})
    build.account.world.images.fail("find_each_snapshot", AccessDeniedError("denied. Grant it."))
    build.publish()
    assert [record.getMessage() for record in caplog.records] == [
        f"the record of {build.candidate.image_id} says nothing of first boots: denied. Grant it."
    ]


# Promotions.


def test_a_promotion_is_published_with_what_its_own_canary_found() -> None:
    promotion = Promotion(launch={"initialization_rate": 300})
    promotion.prod.publish(an_image(7, digest="sha256:" + "07" * 32))
    registered = promotion.register()
    account, source = promotion.prod, promotion.dev.metadata
    images = account.world.images
    for each in images.all[registered.image_id].snapshot_ids:
        images.snapshots[each] = images.snapshots[each].model_copy(update={"data_bytes": 10 * 2**30})
    verified = parse_facts(facts("verify", source.image_digest, boot_to_healthy_seconds=33.5))
    step = PublishInput(**dict(promotion.step), image_id=registered.image_id, verified=verified)
    now = timestamp(account.world.clock.now())
    published = Execution(account, "e1").publisher(step).publish()
    metadata = account.metadata
    assert published.number == int(metadata.workflow_run_number)
    assert metadata == metadata_of_promotion(
        promotion.planned,
        images.all[registered.image_id],
        source,
        region="us-east-1",
        number=published.number,
        replaces=image_id_of(7),
        verified_at=now,
        verified=verified,
        run_name="e1",
        first_boot=first_boot_of(promotion.planned.configured.launch, [10 * 2**30]),
    )
    assert metadata.facts["first_boot"]["data_bytes"] == 10 * 2**30
    assert (metadata.promoted_from, metadata.verified_at) == ("dev", now)


# Publishing again.


def test_a_rollback_publishes_what_history_knows_under_a_new_number(build: Build) -> None:
    image = older(build)
    published = again(build, OLDER, trigger=Trigger.ROLLBACK).publish(image, verified=None)
    assert published == Published(
        image_id=image.image_id, number=1, replaced=build.old.image_id, release=arn_of("long-ago")
    )
    metadata = build.account.metadata
    assert (metadata.ami_id, metadata.branch, metadata.reason) == (image.image_id, "main", "a person asked")
    assert (metadata.workflow_run_number, metadata.replaces) == ("1", build.old.image_id)
    left = build.account.history(build.old.image_id)
    assert left is not None
    assert left.rolled_back
    assert left.status is RecordStatus.SUPERSEDED


def test_a_rollback_over_several_images_leaves_each_of_them(build: Build) -> None:
    image = older(build)
    between = build.account.world.images.add(an_image(8, name=CANDIDATE + "b", digest="sha256:" + "08" * 32))
    for number, each in ((1, image), (2, between), (3, build.old)):
        metadata = build.account.metadata_of(each).model_copy(update={"workflow_run_number": str(number)})
        status = RecordStatus.LIVE if each is build.old else RecordStatus.SUPERSEDED
        record = history_of(metadata, status, "", build.account.world.clock.now(), published_by=arn_of("x"))
        build.account.world.parameters.set(
            f"{build.account.prefix}/history/{each.image_id}", record.model_dump_json()
        )
    again(build, OLDER, trigger=Trigger.ROLLBACK).publish(image, verified=None)
    found = [build.account.history(each.image_id) for each in (image, between, build.old)]
    assert [record.rolled_back for record in found if record] == [False, True, True]
    assert found[1] is not None
    assert found[1].status is RecordStatus.SUPERSEDED


def test_a_push_goes_back_from_nothing(build: Build) -> None:
    build.publish()
    left = build.account.history(build.old.image_id)
    assert left is not None
    assert not left.rolled_back


def test_a_repair_of_what_is_live_keeps_number_publisher_and_verification(build: Build) -> None:
    first = build.publish()
    del build.account.world.parameters.all[f"{build.account.prefix}/metadata"]
    record = build.account.history(build.candidate.image_id)
    build.execution = Execution(build.account, "repair")
    environments = build.account.world.environments
    claim = build.claim.model_copy(update={"execution_arn": arn_of("repair")})
    environments.records["prod"] = environments.get("prod").model_copy(update={"claim": claim})
    again(build, 2, trigger=Trigger.RECONCILE)
    assert build.publish(verified=None) == first
    assert build.account.metadata.workflow_run_number == str(first.number)
    repaired = build.account.history(build.candidate.image_id)
    assert record is not None
    assert repaired is not None
    assert (repaired.published_by, repaired.verified_at) == (record.published_by, record.verified_at)
    assert repaired.replaces == build.old.image_id


def test_a_repair_of_what_has_no_number_yet_gives_it_one(build: Build) -> None:
    build.account.change_record(build.old.image_id, workflow_run_number="0")
    again(build, 1, trigger=Trigger.RECONCILE)
    assert build.publish(build.old, verified=None).number == 1


def test_a_text_that_a_person_wrote_for_what_was_replaced_is_no_id_of_an_image(build: Build) -> None:
    build.account.change_record(build.old.image_id, replaces="the one before")
    again(build, 1, trigger=Trigger.RECONCILE)
    assert build.publish(build.old, verified=None).replaced is None


def test_a_repair_keeps_that_somebody_has_gone_back_from_it_and_a_publication_does_not(build: Build) -> None:
    image = older(build)
    for each in (build.old, image):
        build.account.change_record(each.image_id, rolled_back=True)
    again(build, 1, trigger=Trigger.RECONCILE).publish(build.old, verified=None)
    kept = build.account.history(build.old.image_id)
    assert kept is not None
    assert kept.rolled_back
    again(build, OLDER, trigger=Trigger.RECONCILE).publish(image, verified=None)
    anew = build.account.history(image.image_id)
    assert anew is not None
    assert not anew.rolled_back


def test_a_rollback_gets_a_number_of_its_own_and_all_its_reasons(build: Build) -> None:
    image = older(build)
    build.account.change_record(image.image_id, workflow_run_number="5")
    again(build, OLDER, trigger=Trigger.ROLLBACK)
    build.plan = build.plan.model_copy(update={"reasons": ("one", "two")})
    assert build.publish(image, verified=None).number == 1
    assert build.account.metadata.reason == "one; two"


def test_a_tag_that_moves_back_to_an_earlier_digest_goes_back_from_nothing(build: Build) -> None:
    older(build, digest=build.digest)
    build.publish()
    left = build.account.history(build.old.image_id)
    assert left is not None
    assert not left.rolled_back


def test_who_goes_back_from_one_image_writes_its_record_once(build: Build) -> None:
    image = older(build)
    again(build, OLDER, trigger=Trigger.ROLLBACK).publish(image, verified=None)
    name = f"{build.account.prefix}/history/{build.old.image_id}"
    assert [each for each, _ in build.account.world.parameters.history].count(name) == 1


def test_who_goes_back_from_what_is_live_leaves_nothing_that_was_published_after(build: Build) -> None:
    image = older(build)
    newer = build.account.world.images.add(an_image(9, name=CANDIDATE + "n", digest="sha256:" + "09" * 32))
    for number, each in ((1, image), (2, build.old), (3, newer)):
        metadata = build.account.metadata_of(each).model_copy(update={"workflow_run_number": str(number)})
        status = RecordStatus.LIVE if each is build.old else RecordStatus.SUPERSEDED
        record = history_of(metadata, status, "", build.account.world.clock.now(), published_by=arn_of("x"))
        build.account.world.parameters.set(
            f"{build.account.prefix}/history/{each.image_id}", record.model_dump_json()
        )
    again(build, OLDER, trigger=Trigger.ROLLBACK).publish(image, verified=None)
    found = build.account.history(newer.image_id)
    assert found is not None
    assert not found.rolled_back


def test_an_image_without_a_record_is_published_by_its_tags_where_nothing_is_verified() -> None:
    build = Build(verification={"enabled": False})
    image = build.account.world.images.add(
        an_image(OLDER, name=CANDIDATE + "o", digest="sha256:" + "07" * 32)
    )
    again(build, OLDER).publish(image, verified=None)
    metadata = build.account.metadata
    assert (metadata.ami_id, metadata.image_digest) == (image.image_id, "sha256:" + "07" * 32)
    assert (metadata.environment, metadata.region, metadata.reason) == ("prod", "us-east-1", "a person asked")
    assert metadata.workflow_run_number == "0"


# The canonical copy.


def test_a_copy_takes_the_place_of_its_candidate_in_the_records(build: Build) -> None:
    build.publish()
    copy = a_copy(build)
    assert build.publish(copy, copy_of=build.candidate.image_id) == Published(
        image_id=copy.image_id, number=1, replaced=build.old.image_id, release=build.execution.arn
    )
    assert build.account.latest == copy.image_id
    archived = build.account.history(build.candidate.image_id)
    assert archived is not None
    assert archived.status_reason == (f"replaced by {copy.image_id}: the same disks under the canonical name")
    assert not archived.rolled_back
    assert build.account.metadata.snapshot_ids == copy.snapshot_ids


def test_a_copy_of_a_rollback_goes_back_from_nothing(build: Build) -> None:
    again(build, 2, trigger=Trigger.ROLLBACK)
    build.account.record(build.candidate)
    build.account.world.parameters.set(f"{build.account.prefix}/latest", build.candidate.image_id)
    copy = a_copy(build)
    build.publish(copy, copy_of=build.candidate.image_id, verified=None)
    archived = build.account.history(build.candidate.image_id)
    assert archived is not None
    assert not archived.rolled_back


def test_the_copy_of_what_is_live_needs_no_verification_of_its_own(build: Build) -> None:
    """The setting may have been switched on after the candidate was published without one."""
    build.account.publish(build.candidate, verified=False)
    copy = a_copy(build)
    build.publish(copy, copy_of=build.candidate.image_id, verified=None)
    assert (build.account.latest, build.account.metadata.verified_at) == (copy.image_id, None)


def test_the_copy_of_a_rollback_is_recorded_as_itself(build: Build) -> None:
    again(build, 2, trigger=Trigger.ROLLBACK)
    build.account.publish(build.candidate)
    copy = a_copy(build, snapshot_ids=build.candidate.snapshot_ids)
    build.publish(copy, copy_of=build.candidate.image_id, verified=None)
    metadata = build.account.metadata
    assert (metadata.ami_id, metadata.snapshot_ids) == (copy.image_id, copy.snapshot_ids)
    build.account.change_record(build.candidate.image_id, ami_id=image_id_of(OLDER), snapshot_ids=())
    build.account.world.parameters.delete(f"{build.account.prefix}/history/{copy.image_id}")
    build.publish(copy, copy_of=build.candidate.image_id, verified=None)
    metadata = build.account.metadata
    assert (metadata.ami_id, metadata.snapshot_ids) == (copy.image_id, copy.snapshot_ids)


# Pins.


def pinned(build: Build, image_id: str) -> Pin:
    pin = Pin(image_id=image_id, digest="sha256:before", at=build.account.world.clock.now(), reason="before")
    build.account.world.environments.set_pin("prod", pin)
    return pin


def pin_of(build: Build) -> Pin | None:
    return build.account.world.environments.get("prod").pin


def test_a_rollback_that_pins_says_what_since_when_and_why(build: Build) -> None:
    image = older(build)
    again(build, OLDER, pin=True, reason="bad model").publish(image, verified=None)
    assert pin_of(build) == Pin(
        image_id=image.image_id,
        digest="sha256:" + "07" * 32,
        at=build.account.world.clock.now(),
        reason="bad model",
    )


def test_a_pin_without_a_reason_has_none(build: Build) -> None:
    image = older(build)
    again(build, OLDER, pin=True).publish(image, verified=None)
    pin = pin_of(build)
    assert pin is not None
    assert pin.reason == ""


def test_a_repeated_rollback_keeps_the_date_of_its_pin(build: Build) -> None:
    image = older(build)
    before = pinned(build, image.image_id)
    build.account.world.clock.advance(3_600)
    again(build, OLDER, pin=True, reason="later").publish(image, verified=None)
    assert pin_of(build) == before.model_copy(update={"digest": image.tags[TAG_DIGEST]})


def test_a_rollback_to_another_image_pins_anew(build: Build) -> None:
    image = older(build)
    pinned(build, build.old.image_id)
    again(build, OLDER, pin=True, reason="later").publish(image, verified=None)
    pin = pin_of(build)
    assert pin is not None
    assert (pin.image_id, pin.reason) == (image.image_id, "later")


def test_a_rollback_that_does_not_pin_leaves_a_pin_to_a_person(build: Build) -> None:
    image = older(build)
    before = pinned(build, build.old.image_id)
    again(build, OLDER).publish(image, verified=None)
    assert pin_of(build) == before


def test_a_build_lifts_the_pin_on_another_image_and_keeps_its_own(build: Build) -> None:
    before = pinned(build, build.candidate.image_id)
    build.publish()
    assert pin_of(build) == before
    pinned(build, build.old.image_id)
    build.publish()
    assert pin_of(build) is None


def test_the_copy_of_a_pinned_image_is_pinned_in_its_place_and_pins_nothing_anew(build: Build) -> None:
    build.publish()
    copy = a_copy(build)
    before = pinned(build, build.candidate.image_id)
    build.publish(copy, copy_of=build.candidate.image_id)
    assert pin_of(build) == before.model_copy(update={"image_id": copy.image_id})


def test_a_pin_that_somebody_has_lifted_does_not_come_back_with_the_copy(build: Build) -> None:
    build.account.record(build.candidate)
    build.account.world.parameters.set(f"{build.account.prefix}/latest", build.candidate.image_id)
    again(build, 2, pin=True)
    build.publish(a_copy(build), copy_of=build.candidate.image_id, verified=None)
    assert pin_of(build) is None


def test_a_deregistered_image_is_named_by_its_state(build: Build) -> None:
    build.account.world.images.add(build.candidate.model_copy(update={"state": ImageState.DISABLED}))
    with pytest.raises(ResourceNotVisibleError, match=f"^{build.candidate.image_id} is disabled, and only"):
        build.publish()
