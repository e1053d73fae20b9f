"""One environment's record: who holds it, and what is left of many requests that came meanwhile."""

from __future__ import annotations

from datetime import timedelta

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

from ami_lifecycle.domain.environment import merge_requests
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger

PUSHED = a_request(trigger=Trigger.PUSH)
ROLLBACK = a_request(action=Action.PUBLISH, trigger=Trigger.ROLLBACK, publish_image_id=image_id(1), pin=True)
RETIRE = a_request(action=Action.RETIRE)
RECONCILE = a_request(trigger=Trigger.RECONCILE)
EXPLICIT = a_request(image_digest=DIGEST)
REQUESTS = st.sampled_from(
    [PUSHED, ROLLBACK, RETIRE, RECONCILE, EXPLICIT, a_request(fresh=True), a_request(force=True)]
)


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
        (ROLLBACK, a_request(force=True), a_request(force=True)),
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
