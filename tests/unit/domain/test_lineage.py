"""What a person who goes back leaves, and what stays a way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import digest_of, image_id, published

from ami_lifecycle.domain.lineage import (
    lineage,
    lineage_key,
    live_before,
    publication_number,
    rolled_back_by,
)
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger


class Environment:
    """Builds that are pushed and gone back to, as the publisher records them."""

    def __init__(self) -> None:
        self.records: dict[int, HistoryRecord] = {}
        self.live = 0
        self.number = 0

    def push(self, build: int) -> None:
        self.number += 1
        self.records[build] = published(build, self.number)
        self.live = build

    def go_to(self, build: int) -> None:
        for record in rolled_back_by(self._all(), image_id(self.live), digest_of(build)):
            left = int(record.image_digest.removeprefix("sha256:"), 16)
            self.records[left] = record.model_copy(update={"rolled_back": True})
        self.push(build)

    def back(self, steps: int = 1) -> int | None:
        """Where that many steps back lead."""
        earlier = live_before(self._all(), image_id(self.live), digest_of(self.live))
        if steps > len(earlier):
            return None
        return int(earlier[steps - 1].image_digest.removeprefix("sha256:"), 16)

    def _all(self) -> list[HistoryRecord]:
        return list(self.records.values())


def test_after_a_rollback_and_a_fix_the_way_back_leads_to_the_good_image() -> None:
    environment = Environment()
    environment.push(1)
    environment.push(2)
    environment.go_to(1)
    environment.push(3)
    assert (environment.back(), environment.back(2)) == (1, None)


def test_a_second_rollback_goes_further_back_and_not_to_and_fro() -> None:
    environment = Environment()
    for build in (1, 2, 3):
        environment.push(build)
    environment.go_to(2)
    assert environment.back() == 1
    environment.go_to(1)
    assert environment.back() is None


def test_two_steps_back_leave_the_step_between_too() -> None:
    environment = Environment()
    for build in (1, 2, 3, 4):
        environment.push(build)
    environment.go_to(2)
    assert (environment.back(), environment.back(2)) == (1, None)


def test_a_rollback_that_was_wrong_can_be_taken_back_and_leaves_nothing() -> None:
    environment = Environment()
    for build in (1, 2, 3):
        environment.push(build)
    environment.go_to(2)
    environment.go_to(3)
    assert (environment.back(), environment.back(2)) == (2, 1)


def test_what_is_pushed_again_after_a_rollback_is_a_way_back_again() -> None:
    environment = Environment()
    for build in (1, 2):
        environment.push(build)
    environment.go_to(1)
    environment.push(2)
    environment.push(3)
    assert (environment.back(), environment.back(2)) == (2, 1)


@given(st.lists(st.tuples(st.sampled_from(["push", "back"]), st.integers(1, 5)), min_size=1, max_size=30))
def test_a_step_back_never_leads_to_the_live_image_nor_to_what_was_left(
    deeds: list[tuple[str, int]],
) -> None:
    environment = Environment()
    for deed, build in deeds:
        target = environment.back() if deed == "back" else None
        if deed == "push":
            environment.push(build)
        elif target is not None:
            left = environment.live
            environment.go_to(target)
            assert environment.records[left].rolled_back
        steps = [environment.back(number) for number in range(1, 6)]
        assert environment.live not in steps
        assert not any(environment.records[step].rolled_back for step in steps if step)
    keys = [lineage_key(record) for record in lineage(list(environment.records.values()))]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("fields", "goes_back"),
    [
        ({"trigger": Trigger.ROLLBACK}, True),
        ({"action": Action.PUBLISH, "publish_image_id": image_id(1)}, True),
        ({"action": Action.PUBLISH, "trigger": Trigger.RECONCILE, "publish_image_id": image_id(1)}, False),
        ({"image_digest": digest_of(1)}, False),
        ({"trigger": Trigger.PUSH}, False),
    ],
)
def test_the_sweep_and_a_build_go_back_from_nothing(fields: dict[str, object], goes_back: bool) -> None:
    assert BuildRequest.model_validate({"environment": "prod", **fields}).goes_back is goes_back


# Records as they may be, beside those that this service writes.


@pytest.mark.parametrize(("written", "number"), [("7", 7), ("0", 0), ("", 0), ("run-7", 0), ("-7", 0)])
def test_a_publication_has_a_number_or_is_from_before_records(written: str, number: int) -> None:
    record = published(1, 1).model_copy(update={"workflow_run_number": written})
    assert publication_number(record) == number


def test_of_images_from_before_records_the_newer_one_was_live_later() -> None:
    records = [published(build, 0) for build in (2, 3, 1)]
    assert [record.ami_id for record in lineage(records)] == [image_id(3), image_id(2), image_id(1)]


def test_an_image_without_a_digest_is_its_own_lineage() -> None:
    one, two = (published(build, build).model_copy(update={"image_digest": ""}) for build in (1, 2))
    assert [lineage_key(record) for record in (one, two)] == [image_id(1), image_id(2)]
    assert live_before([one, two], image_id(2), None) == [one]
    assert rolled_back_by([one, two], image_id(2), image_id(1)) == [two]


def test_of_one_docker_image_the_newest_publication_stands_for_it() -> None:
    first = published(1, 1)
    again = published(3, 3).model_copy(update={"image_digest": first.image_digest})
    assert lineage([again, published(2, 2), first]) == [again, published(2, 2)]


def test_without_a_live_image_all_that_was_live_is_a_way_back() -> None:
    records = [published(1, 1), published(2, 2), published(3, 3, rolled_back=True)]
    assert [record.ami_id for record in live_before(records, None, None)] == [image_id(2), image_id(1)]
    assert live_before(records, image_id(9), digest_of(9)) == live_before(records, None, None)


def test_from_an_image_in_the_middle_only_what_lies_between_is_left() -> None:
    records = [published(build, build) for build in (1, 2, 3, 4)]
    assert rolled_back_by(records, image_id(3), digest_of(1)) == [published(3, 3), published(2, 2)]
    assert rolled_back_by(records, image_id(4), digest_of(3)) == [published(4, 4)]


def test_who_goes_forward_or_nowhere_leaves_nothing() -> None:
    records = [published(1, 1), published(2, 2), published(3, 3, rolled_back=True)]
    for target in (digest_of(3), digest_of(9)):
        assert rolled_back_by(records, image_id(2), target) == []
    assert rolled_back_by(records, image_id(1), digest_of(2)) == []


def test_from_a_live_image_without_a_record_all_newer_than_the_target_is_left() -> None:
    records = [published(1, 1), published(2, 2), published(3, 3)]
    assert rolled_back_by(records, image_id(9), digest_of(1)) == [published(3, 3), published(2, 2)]


def test_what_was_left_before_is_not_left_again() -> None:
    records = [published(1, 1), published(2, 2, rolled_back=True), published(3, 3)]
    assert rolled_back_by(records, image_id(3), digest_of(1)) == [published(3, 3)]
