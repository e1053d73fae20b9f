"""What is told of many decisions: enough for a person, and little enough for a state of the execution."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import image_id

from ami_lifecycle.domain.decision import (
    MAX_REPORTED,
    Blocked,
    Decision,
    RetireAction,
    Retirement,
    most_relevant,
)

# Step Functions developer guide, Service quotas; an execution carries two retirements, and its plan.
STATE_BYTES = 262_144
KINDS = st.sampled_from(["blocked", "retired", "kept"])


def decided(number: int, kind: str, reason: str = "because") -> Decision:
    action = RetireAction.RETIRE if kind == "retired" else RetireAction.KEEP
    return Decision(image_id=image_id(number), action=action, reason=reason, blocked=kind == "blocked")


def refused(number: int, reason: str = "EC2 refuses it") -> Blocked:
    return Blocked(resource=f"snap-{number}", error="AccessDenied", reason=reason)


def test_few_decisions_are_told_as_they_are() -> None:
    decisions = [decided(1, "kept"), decided(2, "retired"), decided(3, "blocked")]
    assert most_relevant(decisions, [refused(1)]) == (tuple(decisions), (refused(1),), None)


@pytest.mark.parametrize(
    ("count", "omitted"), [(MAX_REPORTED, None), (MAX_REPORTED + 1, 1), (MAX_REPORTED + 50, 50)]
)
def test_what_is_left_out_of_many_is_counted(count: int, omitted: int | None) -> None:
    kept = [decided(number, "kept") for number in range(count)]
    blocked = [refused(number) for number in range(count)]
    told, _, left_out = most_relevant(kept, [])
    assert (told, left_out) == (tuple(kept[:MAX_REPORTED]), omitted)
    _, told_blocked, left_out = most_relevant([], blocked)
    assert (told_blocked, left_out) == (tuple(blocked[:MAX_REPORTED]), omitted)


def test_both_kinds_of_what_is_left_out_are_counted_together() -> None:
    many = range(MAX_REPORTED + 2)
    _, _, omitted = most_relevant([decided(each, "kept") for each in many], [refused(each) for each in many])
    assert omitted == 4


def test_what_a_person_has_to_act_on_is_told_first_then_what_went_in_the_order_of_the_look() -> None:
    kept = [decided(number, "kept") for number in range(100)]
    retired = [decided(number, "retired") for number in range(100, 130)]
    blocked = [decided(number, "blocked") for number in range(200, 220)]
    told, _, omitted = most_relevant([*kept, *retired, *blocked], [])
    assert told == (*kept[: MAX_REPORTED - 50], *retired, *blocked)
    assert omitted == 90


@pytest.mark.parametrize(("length", "told"), [(500, "x" * 500), (501, "x" * 500 + "...")])
def test_a_long_reason_is_cut_and_shows_it(length: int, told: str) -> None:
    (decision,), (blocked,), _ = most_relevant(
        [decided(1, "blocked", "x" * length)], [refused(1, "x" * length)]
    )
    assert (decision.reason, blocked.reason) == (told, told)
    assert (decision.image_id, decision.blocked, blocked.error) == (image_id(1), True, "AccessDenied")


@given(st.lists(KINDS, max_size=90), st.integers(0, 90))
def test_two_retirements_fit_a_state_whatever_was_decided(kinds: list[str], refusals: int) -> None:
    decisions = [decided(number, kind, "é" * 2_000) for number, kind in enumerate(kinds)]
    blocked = [refused(number, "é" * 2_000) for number in range(refusals)]
    told, told_blocked, omitted = most_relevant(decisions, blocked)
    text = Retirement(decisions=told, blocked=told_blocked, omitted=omitted).model_dump_json()
    assert 2 * len(text) < STATE_BYTES
    assert len(told) + len(told_blocked) + (omitted or 0) == len(decisions) + len(blocked)
