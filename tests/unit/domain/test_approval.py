"""Requests for approval: ids, states, who may ask again, and what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import settings

from ami_lifecycle.domain.approval import (
    KEPT,
    ApprovalFacts,
    ApprovalRecord,
    ApprovalRequest,
    ApprovalState,
    ClosedRequest,
    Decision,
    LiveFacts,
    Subject,
    command_to_ask,
    needs_approval,
    reason_not_to_ask,
    request_to_start,
)
from ami_lifecycle.domain.approval_outcomes import (
    asked_message,
    asked_outcome,
    decided_outcome,
    ended_message,
    expired_outcome,
    superseded_outcome,
)
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
SUBJECT = Subject(environment="prod", digest=DIGEST, recipe="aa")
RELEASE = "arn:aws:states:us-east-1:123456789012:execution:build-image:e7"
ARN = "arn:aws:states:us-east-1:123456789012:execution:build-image:e1"


def asked(subject: Subject = SUBJECT, at: datetime = NOW, **request: Any) -> ApprovalRequest:
    return ApprovalRequest(
        subject=subject,
        facts=ApprovalFacts(digest=subject.digest or DIGEST, docker_image="registry/comfyui:prod"),
        request=BuildRequest(environment="prod", **request),
        asked_at=at,
        expires_at=at + HOUR,
        execution_arn=ARN,
    )


def decided(subject: Subject = SUBJECT, *, approved: bool = True, asked_at: datetime = NOW) -> Decision:
    return Decision(
        subject=subject, approved=approved, by="ann", at=NOW + HOUR / 2, asked_at=asked_at, reason="so"
    )


# What is approved.


def test_the_same_subject_has_the_same_id_and_any_other_one_another() -> None:
    others = [
        Subject(environment="dev", digest=DIGEST, recipe="aa"),
        Subject(environment="prod", digest=OTHER, recipe="aa"),
        Subject(environment="prod", digest=DIGEST, recipe="bb"),
        Subject(environment="prod", digest=DIGEST),
        Subject(environment="prod", release=RELEASE),
        Subject(environment="prod", release=DIGEST),
    ]
    ids = {each.id for each in others}
    assert len(ids | {SUBJECT.id}) == len(others) + 1
    assert SUBJECT.model_copy().id == SUBJECT.id == "prod-" + SUBJECT.id[5:]
    assert len(SUBJECT.id) == len("prod-") + 12


@pytest.mark.parametrize(
    ("approval", "promoted_to", "build", "promote"),
    [
        ({}, False, False, False),
        ({}, True, False, False),
        ({"pushes": True}, False, True, True),
        ({"pushes": True}, True, True, False),
        ({"promotions": True}, False, False, True),
        ({"promotions": True}, True, True, True),
        ({"pushes": True, "promotions": True}, False, True, True),
    ],
)
def test_what_holds_for_the_usual_way_holds_for_the_other_one(
    approval: dict[str, Any], promoted_to: bool, build: bool, promote: bool
) -> None:
    found = settings(approval=approval, publishes="promotions" if promoted_to else "pushes")
    assert found.approval.is_on == bool(approval)
    assert needs_approval(found, Action.BUILD) == needs_approval(found, Action.PUBLISH) == build
    assert needs_approval(found, Action.PROMOTE) == promote


@pytest.mark.parametrize("hours", [0, 721])
def test_a_request_stands_for_an_hour_or_for_thirty_days_at_most(hours: int) -> None:
    with pytest.raises(ValueError, match="expires_hours"):
        settings(approval={"pushes": True, "expires_hours": hours})


@pytest.mark.parametrize("hours", [1, 720])
def test_ends_of_requests_that_are_taken(hours: int) -> None:
    assert settings(approval={"expires_hours": hours}).approval.expires_hours == hours


def test_only_an_approval_of_just_this_lets_it_pass() -> None:
    assert decided().lets_pass(SUBJECT)
    assert not decided().lets_pass(SUBJECT.model_copy(update={"recipe": None}))
    assert not decided(approved=False).lets_pass(SUBJECT)


def test_a_decision_is_told_in_words() -> None:
    said = f"{SUBJECT.id} was approved by ann at 2026-01-15 12:30 UTC"
    assert decided().text == f"{said}: so"
    assert decided().model_copy(update={"reason": ""}).text == said
    assert "was rejected by ann" in decided(approved=False).text


# States.


@pytest.mark.parametrize(
    ("decision", "after", "state"),
    [
        (None, timedelta(0), ApprovalState.WAITING),
        (None, HOUR - timedelta(seconds=1), ApprovalState.WAITING),
        (None, HOUR, ApprovalState.EXPIRED),
        (decided(), timedelta(0), ApprovalState.APPROVED),
        (decided(), 2 * HOUR, ApprovalState.APPROVED),
        (decided(approved=False), HOUR, ApprovalState.REJECTED),
        (decided(approved=False, asked_at=NOW - HOUR), timedelta(0), ApprovalState.WAITING),
        (decided(asked_at=NOW - HOUR), HOUR, ApprovalState.EXPIRED),
    ],
)
def test_what_has_become_of_a_request(
    decision: Decision | None, after: timedelta, state: ApprovalState
) -> None:
    assert asked().state(decision, NOW + after) is state


def test_a_first_request_is_open_and_replaces_nothing() -> None:
    record = ApprovalRecord(environment="prod").with_open(asked(), None, NOW)
    assert (record.open, record.closed, record.revision) == (asked(), (), 1)


@pytest.mark.parametrize(
    ("decision", "after", "state", "is_superseded"),
    [
        (None, timedelta(0), ApprovalState.SUPERSEDED, True),
        (None, HOUR, ApprovalState.EXPIRED, False),
        (decided(), timedelta(0), ApprovalState.APPROVED, False),
        (decided(approved=False), timedelta(0), ApprovalState.REJECTED, False),
    ],
)
def test_a_newer_request_takes_its_place_and_says_what_became_of_it(
    decision: Decision | None, after: timedelta, state: ApprovalState, is_superseded: bool
) -> None:
    record = ApprovalRecord(environment="prod").with_open(asked(), None, NOW)
    newer = asked(Subject(environment="prod", digest=OTHER), NOW + after)
    changed = record.with_open(newer, decision, NOW + after)
    assert (changed.open, changed.revision) == (newer, 2)
    (closed,) = changed.closed
    assert (closed.id, closed.state, closed.asked_at, closed.closed_at) == (
        SUBJECT.id,
        state,
        NOW,
        NOW + after,
    )
    assert closed.superseded_by == (newer.id if is_superseded else None)
    assert changed.latest_closed(SUBJECT.id) == closed
    assert changed.latest_closed(newer.id) is None


def test_the_last_closed_requests_are_kept_the_newest_first() -> None:
    record = ApprovalRecord(environment="prod")
    for number in range(KEPT + 2):
        at = NOW + number * HOUR
        record = record.with_open(asked(at=at), None, at)
        record = record.without_open(ApprovalState.EXPIRED, at + HOUR)
    assert len(record.closed) == KEPT == 20
    assert record.closed[0].asked_at == NOW + (KEPT + 1) * HOUR
    assert record.latest_closed(SUBJECT.id) == record.closed[0]
    assert record.without_open(ApprovalState.EXPIRED, NOW) == record


# Who asks again.


def record(state: ApprovalState | None = None, subject: Subject = SUBJECT) -> ApprovalRecord:
    """A record in which something is open, or has ended so."""
    opened = ApprovalRecord(environment="prod").with_open(asked(subject), None, NOW)
    return opened if state is None else opened.without_open(state, NOW)


OPEN_OTHER = record(subject=Subject(environment="prod", digest=OTHER))
AGAIN = f"to ask again, start it by hand: ami-lifecycle build prod --digest {DIGEST}"
REJECTED = decided(approved=False)


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize(
    ("known", "decision", "after", "reason"),
    [
        (ApprovalRecord(environment="prod"), None, timedelta(0), None),
        (record(), None, timedelta(0), None),
        (record(ApprovalState.SUPERSEDED), None, timedelta(0), None),
        (record(ApprovalState.REJECTED), REJECTED, timedelta(0), f"{REJECTED.text}; {AGAIN}"),
        (ApprovalRecord(environment="prod"), REJECTED, timedelta(0), f"{REJECTED.text}; {AGAIN}"),
        (record(), REJECTED, timedelta(0), f"{REJECTED.text}; {AGAIN}"),
        (record(), decided(approved=False, asked_at=NOW - HOUR), timedelta(0), None),
        (
            record(ApprovalState.EXPIRED),
            None,
            timedelta(0),
            f"nobody has decided about {SUBJECT.id} in time; {AGAIN}",
        ),
        (record(), None, HOUR, f"nobody has decided about {SUBJECT.id} in time; {AGAIN}"),
    ],
)
def test_what_was_not_approved_is_asked_again_by_people_alone(
    known: ApprovalRecord,
    decision: Decision | None,
    after: timedelta,
    reason: str | None,
    trigger: Trigger,
) -> None:
    found = reason_not_to_ask(SUBJECT, known, decision, trigger, NOW + after)
    assert found == (None if trigger in {Trigger.MANUAL, Trigger.ROLLBACK} else reason)


@pytest.mark.parametrize("trigger", list(Trigger))
def test_what_asks_by_itself_displaces_nobodys_request(trigger: Trigger) -> None:
    found = reason_not_to_ask(SUBJECT, OPEN_OTHER, None, trigger, NOW)
    waits = "another request waits first; see: ami-lifecycle approvals prod"
    assert found == (waits if trigger in {Trigger.RECONCILE, Trigger.SCHEDULE} else None)


def test_a_release_is_asked_for_by_promoting_it() -> None:
    subject = Subject(environment="prod", release=RELEASE)
    assert command_to_ask(subject) == "promote FROM prod --release e7"


# What an approval starts.


@pytest.mark.parametrize(
    ("trigger", "started"),
    [
        (Trigger.PUSH, Trigger.PUSH),
        (Trigger.MANUAL, Trigger.MANUAL),
        (Trigger.QUEUED, Trigger.MANUAL),
        (Trigger.RECONCILE, Trigger.MANUAL),
        (Trigger.ROLLBACK, Trigger.ROLLBACK),
        (Trigger.SCHEDULE, Trigger.SCHEDULE),
    ],
)
def test_an_approval_starts_just_what_was_asked(trigger: Trigger, started: Trigger) -> None:
    request = BuildRequest(environment="prod", trigger=trigger, pin=True, fresh=True, image_tag="nightly")
    changed = {"trigger": started, "image_digest": DIGEST}
    assert request_to_start(request, SUBJECT) == request.model_copy(update=changed)


def test_an_approved_promotion_names_no_digest() -> None:
    request = BuildRequest(
        environment="prod", action=Action.PROMOTE, promote_from="dev", release=RELEASE, requested_by="bob"
    )
    assert request_to_start(request, Subject(environment="prod", release=RELEASE)) == request


# What is told.


def test_what_differs_from_what_is_live_is_named() -> None:
    facts = ApprovalFacts(digest=DIGEST, docker_image="x", commit="abc", recipe="aa")
    assert list(facts.differences()) == [
        f"digest: {DIGEST}, and live is none",
        "commit: abc, and live is none",
        "hooks and base: aa, and live is none",
    ]
    live = LiveFacts(digest=DIGEST, commit="abc", release="r", recipe="aa")
    assert list(facts.model_copy(update={"live": live}).differences()) == [
        "release: not known, and live is r"
    ]


def test_events_name_the_request_and_who_decided() -> None:
    request = asked()
    about = {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "us-east-1",
        "execution_arn": ARN,
        "approval_id": SUBJECT.id,
    }
    approved = decided_outcome("comfyui", request, decided(), "arn:started")
    assert approved.detail_type == "Approval Approved"
    assert approved.model_dump() == {
        **about,
        "decided_by": "ann",
        "reason": "so",
        "started_execution": "arn:started",
    }
    rejected = decided_outcome("comfyui", request, REJECTED, None)
    assert rejected.detail_type == "Approval Rejected"
    assert rejected.model_dump() == {**about, "decided_by": "ann", "reason": "so"}
    expired = expired_outcome("comfyui", request)
    assert expired.model_dump() == {**about, "expired_at": NOW + HOUR}
    assert asked_outcome("comfyui", request).approval_id == SUBJECT.id
    assert ended_message(request, expired, "nobody has decided") == {
        "outcome": "Approval Expired",
        "environment": "prod",
        "approval_id": SUBJECT.id,
        "reason": "nobody has decided",
        "execution_arn": ARN,
        "console": asked_message(request)["console"],
    }


def test_a_new_request_is_told_with_all_that_a_person_needs() -> None:
    request = asked().model_copy(
        update={
            "facts": ApprovalFacts(
                digest=DIGEST,
                docker_image="registry/comfyui:prod",
                release=RELEASE,
                promoted_from="dev",
                commit="abc",
                verified_at="2026-01-15T11:00:00Z",
            ),
            "request": BuildRequest(environment="prod", requested_by="bob"),
        }
    )
    event = asked_outcome("comfyui", request)
    assert (event.detail_type, event.region) == ("Approval Requested", "us-east-1")
    assert event.model_dump() == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "us-east-1",
        "execution_arn": ARN,
        "approval_id": SUBJECT.id,
        "image_digest": DIGEST,
        "release": RELEASE,
        "promoted_from": "dev",
        "commit_sha": "abc",
        "requested_by": request.asked_by,
        "expires_at": NOW + HOUR,
    }
    assert request.asked_by == "bob"
    message = asked_message(request)
    assert message == {
        "outcome": "Approval Requested",
        "environment": "prod",
        "approval_id": SUBJECT.id,
        "approve": f"ami-lifecycle approve {SUBJECT.id}",
        "reject": f"ami-lifecycle reject {SUBJECT.id} --reason '...'",
        "expires_at": NOW + HOUR,
        "requested_by": "bob",
        "differences": [
            f"digest: {DIGEST}, and live is none",
            f"release: {RELEASE}, and live is none",
            "commit: abc, and live is none",
        ],
        "facts": {
            "digest": DIGEST,
            "docker_image": "registry/comfyui:prod",
            "release": RELEASE,
            "promoted_from": "dev",
            "commit": "abc",
            "verified_at": "2026-01-15T11:00:00Z",
            "reasons": [],
            "live": {},
        },
        "execution_arn": ARN,
        "console": message["console"],
    }
    assert asked_message(asked())["requested_by"] == "not known"


def test_a_request_whose_place_a_newer_one_takes_is_told_under_its_own_id() -> None:
    before = ClosedRequest(
        id="earlier", state=ApprovalState.SUPERSEDED, asked_at=NOW, closed_at=NOW, superseded_by=SUBJECT.id
    )
    assert superseded_outcome("comfyui", asked(), before).model_dump() == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "us-east-1",
        "execution_arn": ARN,
        "approval_id": "earlier",
        "superseded_by": SUBJECT.id,
    }


def test_a_release_without_an_execution_is_asked_for_by_its_image() -> None:
    subject = Subject(environment="prod", release="ami-0123456789abcdef0")
    assert command_to_ask(subject) == "promote FROM prod --release ami-0123456789abcdef0"


def test_only_a_build_is_started_by_its_digest() -> None:
    request = BuildRequest(
        environment="prod", action=Action.UNDELETE, publish_image_id="ami-0123456789abcdef0"
    )
    assert request_to_start(request, SUBJECT) == request
    build = BuildRequest(environment="prod", image_digest=OTHER)
    assert request_to_start(build, Subject(environment="prod", release=RELEASE)) == build
