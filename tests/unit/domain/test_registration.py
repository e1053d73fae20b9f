"""What a record keeps of an image is enough to register its snapshots again."""

from __future__ import annotations

from typing import Any

from tests.unit.steps.account import LONG_AGO, Account, an_image

from ami_lifecycle.domain.model import TAG_BUILT_FOR, BlockDevice, ImageState
from ami_lifecycle.domain.publication import dump, history_of, load
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.registration import built_for, image_of, registration_of

UNUSUAL: dict[str, Any] = {
    "architecture": "arm64",
    "virtualization_type": "hvm",
    "root_device_name": "/dev/xvda",
    "sriov_net_support": "simple",
    "boot_mode": "uefi-preferred",
    "tpm_support": "v2.0",
    "imds_support": "v2.0",
}


def record_of(image: Any, **changes: Any) -> HistoryRecord:
    values = {"creation_date": "2025-06-01T00:00:00Z", **changes}
    metadata = Account().metadata_of(image).model_copy(update=values)
    record = history_of(metadata, RecordStatus.LIVE, "", LONG_AGO, registration=registration_of(image))
    read = load(HistoryRecord, dump(record))
    assert read is not None
    return read


def test_a_record_gives_back_the_image_as_it_was() -> None:
    image = an_image(1, digest="sha256:1", **UNUSUAL).model_copy(
        update={
            "block_devices": (
                BlockDevice(
                    device_name="/dev/xvda",
                    snapshot_id="snap-1",
                    volume_type="gp3",
                    volume_size=40,
                    iops=4000,
                    throughput=250,
                    delete_on_termination=True,
                    encrypted=True,
                ),
                BlockDevice(device_name="/dev/sdb", virtual_name="ephemeral0"),
            )
        }
    )
    known = record_of(image, base_setting="debian-12", recipe="a", original_ami_id="ami-0123456789abcdef0")
    was = image_of(known)
    assert was is not None
    for name in (*UNUSUAL, "block_devices", "ena_support", "image_id"):
        assert getattr(was, name) == getattr(image, name), name
    assert was.state is ImageState.AVAILABLE
    assert was.creation_date is not None
    assert dict(was.tags) == {
        "ami-lifecycle:base": "debian-12",
        "ami-lifecycle:base-image": "ami-0123456789abcdef0",
        "ami-lifecycle:recipe": "a",
    }


def test_what_is_as_usual_takes_no_room() -> None:
    kept = registration_of(an_image(1))
    assert set(kept) == {"block_devices", "ena_support"}
    assert "iops" not in kept["block_devices"][0]


def test_a_record_from_before_or_of_other_disks_says_nothing() -> None:
    known = record_of(an_image(1))
    assert image_of(known.model_copy(update={"registration": None})) is None
    assert image_of(known.model_copy(update={"snapshot_ids": ()})) is None
    assert image_of(known.model_copy(update={"snapshot_ids": ("snap-other",)})) is None
    assert image_of(known.model_copy(update={"registration": {"block_devices": "?"}})) is None
    assert image_of(known.model_copy(update={"creation_date": "some day"})) is None
    undated = image_of(known.model_copy(update={"creation_date": ""}))
    assert undated is not None
    assert undated.creation_date is None


def test_a_field_that_a_newer_version_writes_is_passed_over() -> None:
    known = record_of(an_image(1))
    newer = {**(known.registration or {}), "newer": 1, "name": "x"}
    was = image_of(known.model_copy(update={"registration": newer}))
    assert was is not None
    assert was.name == ""


def test_the_record_says_which_environment_the_disks_were_built_for() -> None:
    assert built_for(record_of(an_image(1))) == "prod"
    assert built_for(record_of(an_image(1, tags={TAG_BUILT_FOR: "dev"}))) == "dev"


def test_a_record_keeps_its_registration_whatever_becomes_of_the_image() -> None:
    known = record_of(an_image(1))
    later = history_of(known, RecordStatus.RETIRED, "nothing uses it", LONG_AGO)
    assert later.registration == known.registration


def test_a_record_without_one_has_none() -> None:
    metadata = Account().metadata_of(an_image(1))
    assert history_of(metadata, RecordStatus.LIVE, "", LONG_AGO).registration is None
