"""A release is the execution that made the disks, whatever image or record tells of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.domain.builders import DIGEST, NOW, an_image, image_id
from tests.unit.domain.test_publication import a_metadata

from ami_lifecycle.domain.model import TAG_EXECUTION, TAG_RELEASE
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.publication import history_of
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.release import release_name, release_of, release_of_record

MAKER, OTHER = "arn:aws:states:us-east-1:123456789012:execution:build:maker", "arn:other"


def a_record(
    number: int, created: str, publisher: str | None, snapshots: tuple[str, ...], **changes: Any
) -> HistoryRecord:
    metadata = a_metadata(
        ami_id=image_id(number), creation_date=created, snapshot_ids=snapshots, release=None
    )
    record = history_of(metadata, RecordStatus.LIVE, "published", NOW, published_by=publisher)
    return record.model_copy(update=changes)


CANDIDATE = a_record(1, "2026-01-01T10:00:00Z", MAKER, ("snap-1",))
CANONICAL = a_record(2, "2026-01-01T10:05:00Z", OTHER, ("snap-1",))
NEXT = a_record(3, "2026-02-01T10:00:00Z", OTHER, ("snap-3",))


@pytest.mark.parametrize(
    ("tags", "release"),
    [
        ({TAG_RELEASE: MAKER, TAG_EXECUTION: OTHER}, MAKER),
        ({TAG_EXECUTION: MAKER}, MAKER),
        ({}, None),
    ],
)
def test_an_image_from_before_the_tag_is_of_the_execution_that_made_it(
    tags: dict[str, str], release: str | None
) -> None:
    assert release_of(an_image(1).model_copy(update={"tags": tags})) == release


def test_a_record_that_says_none_is_of_who_published_the_oldest_record_of_its_disks() -> None:
    records = [NEXT, CANONICAL, CANDIDATE]
    assert [release_of_record(each, records) for each in records] == [OTHER, MAKER, MAKER]


def test_what_one_record_says_counts_for_all_of_the_same_disks() -> None:
    told = CANONICAL.model_copy(update={"release": "arn:told"})
    assert release_of_record(CANDIDATE, [CANDIDATE, told]) == "arn:told"
    assert release_of_record(told, []) == "arn:told"


def test_a_record_without_snapshots_is_of_no_others_disks() -> None:
    bare = a_record(4, "2026-01-01T09:00:00Z", OTHER, ())
    assert release_of_record(bare, [bare, a_record(5, "2025-01-01T09:00:00Z", MAKER, ())]) == OTHER
    assert release_of_record(a_metadata(release=None), []) is None


def test_people_call_it_as_its_candidate_was_named() -> None:
    assert release_name(MAKER, DIGEST) == run_id(MAKER, DIGEST)
    assert release_name(MAKER, "") == run_id(MAKER, None)
    assert release_name(None, DIGEST) is None
