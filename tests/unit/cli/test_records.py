"""Which build is one step back."""

from __future__ import annotations

import pytest
from tests.unit.cli.samples import a_record, digest, image_id

from ami_lifecycle.domain.lineage import lineage
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.errors import RecordNotFoundError
from ami_lifecycle_cli.stack.records import is_passing_name
from ami_lifecycle_cli.stack.rollback_plan import _back


def steps_back(records: list[HistoryRecord], live: int, steps: int = 1) -> str:
    return _back(records, image_id(live), digest(live), steps, "prod").image_digest


def test_one_step_back_is_the_build_before() -> None:
    records = [a_record(number) for number in (3, 2, 1)]
    assert steps_back(records, live=3) == digest(2)
    assert steps_back(records, live=3, steps=2) == digest(1)


def test_after_a_rollback_one_step_back_is_not_the_image_that_was_left() -> None:
    # Two was built again as four, because three was bad.
    left = a_record(3, rolled_back=True)
    records = [a_record(4, image_digest=digest(2)), left, a_record(2), a_record(1)]
    assert _back(records, image_id(4), digest(2), 1, "prod").image_digest == digest(1)


def test_one_step_back_is_what_was_live_before_whatever_was_built_when() -> None:
    # One was live again as number 3, because two was bad; then four was pushed.
    again = a_record(1, workflow_run_number="3")
    records = [a_record(4), again, a_record(2, rolled_back=True)]
    assert steps_back(records, live=4) == digest(1)
    # Without a person's rollback between, two was live before one was pushed again.
    pushed_again = [a_record(4), a_record(3, image_digest=digest(1)), a_record(2), a_record(1)]
    assert [steps_back(pushed_again, live=4, steps=steps) for steps in (1, 2)] == [digest(1), digest(2)]


def test_no_step_leads_to_what_a_person_has_rolled_back_from() -> None:
    with pytest.raises(
        RecordNotFoundError, match=r"has 0 earlier builds .* nobody has rolled back from, not 1"
    ):
        steps_back([a_record(2), a_record(1, rolled_back=True)], live=2)


def test_candidate_and_canonical_copy_are_one_build() -> None:
    candidate = a_record(3, ami_id=image_id(33), superseded_by=image_id(3))
    records = [a_record(3), candidate, a_record(2)]
    assert steps_back(records, live=3) == digest(2)
    assert is_passing_name(candidate, records)
    assert not is_passing_name(records[0], records)


def test_a_candidate_stays_a_passing_name_once_its_copy_is_published_again() -> None:
    disks = {"snapshot_ids": ("snap-1",), "image_digest": digest(1)}
    again = a_record(1, workflow_run_number="3", **disks)
    candidate = a_record(1, ami_id=image_id(11), superseded_by=again.ami_id, **disks)
    assert is_passing_name(candidate, [again, candidate])
    built_again = again.model_copy(update={"snapshot_ids": ("snap-2",)})
    assert not is_passing_name(candidate, [built_again, candidate])


def test_without_a_live_image_the_newest_build_is_one_step_back() -> None:
    records = [a_record(2), a_record(1)]
    assert _back(records, None, None, 1, "prod").image_digest == digest(2)


def test_there_are_no_more_steps_than_builds() -> None:
    with pytest.raises(RecordNotFoundError, match="has 1 earlier builds"):
        steps_back([a_record(2), a_record(1)], live=2, steps=2)


def test_builds_are_listed_once_where_their_newest_publication_is() -> None:
    records = [a_record(3, image_digest=digest(1)), a_record(2), a_record(1)]
    assert [each.ami_id for each in lineage(records)] == [image_id(3), image_id(2)]
