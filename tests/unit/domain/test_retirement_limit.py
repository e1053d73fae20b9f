"""How many images may go at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import an_image, image_id_of

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.environment import merge_requests
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.retirement_limit import NO_LIMIT, RetirementLimit, limit_of
from ami_lifecycle.domain.settings import RetirementSettings


def owned(count: int) -> list[Image]:
    return [an_image(number, name=f"x.candidate.{number}") for number in range(1, count + 1)]


def ids(*numbers: int) -> list[str]:
    return [image_id_of(number) for number in numbers]


def limit(images: list[Image], confirmed: int | None = None, **policy: Any) -> RetirementLimit:
    return limit_of("prod", RetirementSettings(**policy), images, confirmed)


@pytest.mark.parametrize(
    ("policy", "at_most"),
    [
        ({}, None),
        ({"max_images": 3}, 3),
        ({"max_percent": 20}, 2),
        ({"max_percent": 19}, 1),
        ({"max_percent": 1}, 1),
        ({"max_percent": 100}, 10),
        ({"max_images": 3, "max_percent": 20}, 2),
        ({"max_images": 1, "max_percent": 20}, 1),
    ],
)
def test_the_smaller_of_number_and_share_holds_and_one_may_always_go(
    policy: dict[str, int], at_most: int | None
) -> None:
    known = limit(owned(10), **policy)
    assert (known.at_most, known.because == "") == (at_most, at_most is None)


def test_exactly_so_many_may_go_and_of_more_none() -> None:
    known = limit(owned(5), max_images=2)
    assert known.refused(ids(1, 2)) == []
    assert known.refused(ids(1, 2, 3)) == ids(1, 2, 3)
    assert limit(owned(5)).refused(ids(1, 2, 3, 4, 5)) == []
    assert NO_LIMIT.refused(ids(1)) == []


def test_a_name_more_of_disks_that_stay_does_not_count() -> None:
    again = an_image(7, name="x.candidate.7", snapshot_ids=owned(1)[0].snapshot_ids)
    known = limit([*owned(4), again], max_images=2)
    assert known.refused(ids(7, 2, 3)) == []
    assert known.refused(ids(7, 2, 3, 4)) == ids(2, 3, 4), "the candidate goes, whatever the others"


def test_two_names_of_the_same_disks_count_once() -> None:
    again = an_image(7, name="x.candidate.7", snapshot_ids=owned(1)[0].snapshot_ids)
    assert limit([*owned(4), again], max_images=1).refused(ids(1, 7)) == []
    assert limit([*owned(4), again], max_images=1).refused(ids(1, 2, 7)) == ids(1, 2, 7)
    assert "2 images of prod" in limit([*owned(4), again], max_images=1).refusal(ids(1, 2, 7))
    assert limit([*owned(4), again], max_percent=50).because == "retirement.max_percent, 50, allows 2 of 4"


def test_an_image_that_shows_no_snapshots_counts_for_itself() -> None:
    bare = [an_image(number, name="x.candidate.1", snapshot_ids=()) for number in (1, 2)]
    assert limit(bare, max_images=1).refused(ids(1)) == []
    assert limit(bare, max_images=1).refused(ids(1, 2)) == ids(1, 2)


def test_somebodys_copies_make_no_share_larger() -> None:
    copies = [an_image(number, name="backup", tags={"Name": "x"}) for number in range(20, 30)]
    assert limit([*owned(4), *copies], max_percent=50).at_most == 2


def test_a_person_allows_a_number_whatever_the_settings_say() -> None:
    known = limit(owned(5), 3, max_images=1)
    assert known.refused(ids(1, 2, 3)) == []
    assert known.refused(ids(1, 2, 3, 4)) == ids(1, 2, 3, 4)
    assert (known.environment, known.because) == ("prod", "3 at most were asked for")
    assert limit(owned(5), 3).at_most == 3


def test_the_refusal_says_which_setting_and_the_command() -> None:
    text = (
        f"3 images of prod would be retired at once, {image_id_of(1)} among them, and retirement.max_images allows 2, "
        "so none is. See what would go, and why: ami-lifecycle retire prod --dry-run. If that is meant: ami-lifecycle "
        "retire prod --at-most 3"
    )
    known = limit(owned(5), max_images=2, max_percent=90)
    assert known.refusal(ids(1, 2, 3)) == text
    assert known.blocked(ids(1, 2, 3)) == Blocked(
        resource="retirement of prod", error="RetirementLimitError", reason=text
    )


BUILD = BuildRequest(environment="prod", image_tag="x")
RETIRE = BuildRequest(environment="prod", action=Action.RETIRE)
PROMOTE = BuildRequest(environment="prod", action=Action.PROMOTE, promote_from="dev")
RECONCILE = BuildRequest(environment="prod", trigger=Trigger.RECONCILE)


@pytest.mark.parametrize("other", [BUILD, RETIRE, PROMOTE, RECONCILE])
def test_what_a_person_has_allowed_survives_a_queue(other: BuildRequest) -> None:
    confirmed = RETIRE.model_copy(update={"retire_at_most": 5})
    assert merge_requests(None, confirmed) == confirmed
    assert merge_requests(other, confirmed).retire_at_most == 5
    assert merge_requests(confirmed, other).retire_at_most == 5
    assert merge_requests(confirmed, confirmed.model_copy(update={"retire_at_most": 7})).retire_at_most == 7
    assert merge_requests(other, other).retire_at_most is None


@pytest.mark.parametrize("wrong", [0, 10_001, "5", True, 2.0])
def test_no_other_number_is_taken(wrong: object) -> None:
    with pytest.raises(ValueError, match="retire_at_most"):
        BuildRequest.model_validate({"environment": "prod", "retire_at_most": wrong})


@pytest.mark.parametrize(
    "wrong", [{"max_images": 0}, {"max_images": 10_001}, {"max_percent": 0}, {"max_percent": 101}]
)
def test_no_limit_that_stops_every_publication_can_be_set(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetirementSettings(**wrong)  # type: ignore[arg-type]
