"""One environment's record: who holds it, and what is left of many requests that came meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    a_claim,
    a_record,
    a_request,
    image_id,
)

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.environment import (
    HeldBack,
    UnusableBase,
    merge_requests,
    retry_delay,
    unusable_base_after,
)
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger

PUSHED = a_request(trigger=Trigger.PUSH)
ROLLBACK = a_request(action=Action.PUBLISH, trigger=Trigger.ROLLBACK, publish_image_id=image_id(1), pin=True)
RETIRE = a_request(action=Action.RETIRE)
RECONCILE = a_request(trigger=Trigger.RECONCILE)
EXPLICIT = a_request(image_digest=DIGEST)
TAGGED = a_request(image_tag="v1")
REQUESTS = st.sampled_from(
    [PUSHED, ROLLBACK, RETIRE, RECONCILE, EXPLICIT, a_request(fresh=True), a_request(force=True)]
)


PROMOTION = a_request(action=Action.PROMOTE, promote_from="dev", release="first")
PINNED = PROMOTION.model_copy(update={"pin": True})
PROMOTED_LATER = a_request(action=Action.PROMOTE, promote_from="dev", release="second")


@pytest.mark.parametrize(
    ("waiting", "new", "wins"),
    [
        (None, PUSHED, PUSHED),
        (None, RETIRE, RETIRE),
        (EXPLICIT, PUSHED, PUSHED),
        (PUSHED, EXPLICIT, EXPLICIT),
        (EXPLICIT, a_request(image_digest=OTHER_DIGEST), a_request(image_digest=OTHER_DIGEST)),
        (EXPLICIT, RECONCILE, EXPLICIT),
        (EXPLICIT, RETIRE, EXPLICIT),
        (PUSHED, RETIRE, PUSHED),
        (PUSHED, RECONCILE, RECONCILE),
        (PUSHED, ROLLBACK, ROLLBACK),
        (RETIRE, PUSHED, PUSHED),
        (ROLLBACK, PUSHED, ROLLBACK),
        (ROLLBACK, RECONCILE, ROLLBACK),
        (ROLLBACK, RETIRE, ROLLBACK),
        (ROLLBACK, EXPLICIT, EXPLICIT),
        (ROLLBACK, TAGGED, TAGGED),
        (TAGGED, RECONCILE, TAGGED),
        (TAGGED, RETIRE, TAGGED),
        (a_request(image_tag="v2"), PUSHED, PUSHED),
        (ROLLBACK, a_request(force=True), a_request(force=True)),
        (PROMOTION, PROMOTED_LATER, PROMOTED_LATER),
        (PROMOTION, RETIRE, PROMOTION),
        (PROMOTION, RECONCILE, PROMOTION),
        (PROMOTION, ROLLBACK, ROLLBACK),
        (ROLLBACK, PROMOTION, PROMOTION),
        (RETIRE, PROMOTION, PROMOTION),
        (PINNED, PUSHED, PINNED),
        # Whoever names what is to be published means it, and a pin gives way.
        (PINNED, EXPLICIT, EXPLICIT),
        (PINNED, TAGGED, TAGGED),
        (PINNED, ROLLBACK, ROLLBACK),
        (PINNED, PROMOTED_LATER, PROMOTED_LATER),
        # Neither inherits what the other was asked with.
        (a_request(fresh=True, force=True), PROMOTION, PROMOTION),
        (PROMOTION.model_copy(update={"force": True}), PUSHED, PUSHED),
    ],
)
def test_of_two_requests_one_wins(
    waiting: BuildRequest | None, new: BuildRequest, wins: BuildRequest
) -> None:
    assert merge_requests(waiting, new) == wins


@given(st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_wish_for_a_fresh_or_forced_build_outlives_the_pushes_after_it(
    requests: list[BuildRequest],
) -> None:
    merged: BuildRequest | None = None
    for request in [*requests, a_request(fresh=True, force=True), PUSHED, PUSHED]:
        merged = merge_requests(merged, request)
    assert merged is not None
    assert merged.fresh
    assert merged.force


ALARM = a_request(
    action=Action.PUBLISH, trigger=Trigger.ALARM, publish_image_id=image_id(3), pin=True, alarm="errors"
)


@pytest.mark.parametrize("waiting", [ROLLBACK, PINNED, ALARM])
def test_an_alarm_does_not_take_the_place_of_what_somebody_has_decided(waiting: BuildRequest) -> None:
    new = ALARM.model_copy(update={"publish_image_id": image_id(4)})
    assert merge_requests(waiting, new) == waiting


@pytest.mark.parametrize("waiting", [None, a_request(), PROMOTION, a_request(action=Action.RETIRE)])
def test_an_alarm_takes_the_place_of_what_is_not_pinned(waiting: BuildRequest | None) -> None:
    assert merge_requests(waiting, ALARM) == ALARM


@pytest.mark.parametrize("new", [ROLLBACK, PINNED, a_request(force=True)])
def test_a_person_takes_the_place_of_an_alarm_and_a_push_does_not(new: BuildRequest) -> None:
    assert merge_requests(ALARM, new) == new
    assert merge_requests(ALARM, a_request()) == ALARM


@given(st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_pinned_rollback_outlives_every_push(requests: list[BuildRequest]) -> None:
    merged: BuildRequest | None = None
    for request in [*requests, ROLLBACK, PUSHED, RECONCILE, RETIRE, PUSHED]:
        merged = merge_requests(merged, request)
    assert merged is not None
    assert merged.publish_image_id == ROLLBACK.publish_image_id
    assert merged.pin


def test_a_claim_is_busy_until_its_function_is_dead() -> None:
    claim = a_claim(busy_until=NOW)
    assert claim.is_busy(NOW - timedelta(seconds=1))
    assert not claim.is_busy(NOW)
    assert not a_claim().is_busy(NOW)


@pytest.mark.parametrize(
    ("arn", "number", "held"), [(None, 1, True), (None, 2, False), ("another", 1, False)]
)
def test_a_claim_is_held_by_its_execution_under_its_number(arn: str | None, number: int, held: bool) -> None:
    record = a_record(claim=a_claim(number=1), fencing=1)
    assert record.is_held_by(arn or a_claim().execution_arn, number) is held
    assert not a_record(fencing=1).is_held_by(a_claim().execution_arn, 1)


# What is tried again.


@pytest.mark.parametrize(
    ("tries", "minutes"), [(0, 0), (1, 0), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (10_000, 60)]
)
def test_the_pauses_between_tries_double_up_to_an_hour(tries: int, minutes: int) -> None:
    assert retry_delay(tries) == timedelta(minutes=minutes)


def refused(resource: str, reason: str = "EC2 refuses it") -> Blocked:
    return Blocked(resource=resource, error="AccessDenied", reason=reason)


def held(what: str, **changes: Any) -> HeldBack:
    return HeldBack.model_validate({"what": what, "since": NOW, "due": NOW} | changes)


def test_what_is_refused_for_the_first_time_is_tried_again_at_once() -> None:
    assert a_record().after_retry([refused("snap-1")], NOW) == (
        HeldBack(what="snap-1", reason="EC2 refuses it", since=NOW, tries=1, due=NOW),
    )


def test_what_is_refused_again_waits_longer_and_keeps_its_first_date() -> None:
    record = a_record(held_back=(held("snap-2", tries=7), held("snap-1", tries=2, reason="before")))
    later = NOW + timedelta(hours=1)
    (again,) = record.after_retry([refused("snap-1", "now")], later)
    assert (again.what, again.reason, again.tries) == ("snap-1", "now", 3)
    assert (again.since, again.due) == (NOW, later + timedelta(minutes=20))


def test_a_thing_that_is_refused_no_more_is_forgotten_and_unseen_things_and_work_stay() -> None:
    work = held("publish ami-0123456789abcdef0", execution_arn="arn")
    record = a_record(held_back=(held("gone"), held("unseen"), work))
    assert record.after_retry([], NOW, unseen=frozenset({"unseen"})) == (held("unseen"), work)


def test_unseen_work_that_is_refused_is_told_once() -> None:
    work = held("retirement of prod", execution_arn="arn", tries=3)
    record = a_record(held_back=(work, held("unseen", tries=3)))
    found = record.after_retry(
        [refused("unseen"), refused("retirement of prod")], NOW, unseen=frozenset({"unseen"})
    )
    assert [(each.what, each.tries) for each in found] == [("unseen", 4), ("retirement of prod", 4)]


def test_of_what_is_held_back_the_thing_itself_is_found() -> None:
    record = a_record(held_back=(held("one", tries=1), held("two", tries=2)))
    two = record.held("two")
    assert two is not None
    assert two.tries == 2
    assert record.held("three") is None


def test_only_things_whose_time_has_not_come_are_left_alone() -> None:
    soon = NOW + timedelta(seconds=1)
    record = a_record(
        held_back=(held("later", due=soon), held("now", due=NOW), held("work", due=soon, execution_arn="arn"))
    )
    assert record.not_due(NOW) == {"later"}
    assert record.not_due(soon) == frozenset()


@pytest.mark.parametrize(
    ("changes", "explanation"),
    [
        ({}, "tried once since 2026-01-15 12:00 UTC; tried again after 12:00 UTC"),
        (
            {"tries": 2, "reason": "EC2 refuses it. "},
            "tried 2 times since 2026-01-15 12:00 UTC: EC2 refuses it; tried again after 12:00 UTC",
        ),
    ],
)
def test_what_is_held_back_says_how_often_why_and_when_again(
    changes: dict[str, object], explanation: str
) -> None:
    assert held("snap-1", **changes).explanation == explanation


# Bases from which no build can start.

BASE = image_id(7)


@pytest.mark.parametrize(
    ("error", "reason", "certain"),
    [
        ("AgentTooOldError", "its SSM agent is too old for our documents", True),
        ("AgentNotOnlineError", "the SSM agent of an instance made from it never came online", False),
    ],
)
def test_a_base_whose_agent_does_not_serve_is_not_used_again(error: str, reason: str, certain: bool) -> None:
    expected = UnusableBase(image_id=BASE, reason=reason, is_certain=certain)
    other = UnusableBase(image_id=image_id(8), reason="another", is_certain=True)
    for known in (None, other):
        assert unusable_base_after(known, a_claim(base_image_id=BASE), error) == expected


@pytest.mark.parametrize("certain", [True, False])
def test_another_failure_of_an_update_says_nothing_of_the_base(certain: bool) -> None:
    known = UnusableBase(image_id=BASE, reason="before", is_certain=certain)
    assert unusable_base_after(known, a_claim(base_image_id=BASE), "VerificationFailedError") == known
    assert unusable_base_after(None, a_claim(base_image_id=BASE), "VerificationFailedError") is None


@pytest.mark.parametrize("error", ["AgentNotOnlineError", "AgentTooOldError", "ProvisioningFailedError"])
def test_where_a_fresh_build_fails_too_a_base_that_may_be_good_gets_another_chance(error: str) -> None:
    certain = UnusableBase(image_id=BASE, reason="too old", is_certain=True)
    assert unusable_base_after(certain, a_claim(), error) == certain
    assert unusable_base_after(certain.model_copy(update={"is_certain": False}), a_claim(), error) is None
    assert unusable_base_after(None, a_claim(), error) is None
