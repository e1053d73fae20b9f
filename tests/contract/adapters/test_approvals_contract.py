from __future__ import annotations

from datetime import timedelta

from tests.contract.adapters.rig import Rig
from tests.fakes.clock import START

from ami_lifecycle.domain.approval import (
    ApprovalFacts,
    ApprovalRecord,
    ApprovalRequest,
    ApprovalState,
    Decision,
    Subject,
)
from ami_lifecycle.domain.request import BuildRequest

DIGEST = "sha256:" + "1" * 64
LATER = START + timedelta(hours=1)


def record_of(rig: Rig, digest: str = DIGEST) -> ApprovalRecord:
    """The first request of an environment."""
    facts = ApprovalFacts(digest=digest, docker_image="registry/comfyui:prod", boot_to_healthy_seconds=41.5)
    request = ApprovalRequest(
        subject=Subject(environment=rig.name, digest=digest),
        facts=facts,
        request=BuildRequest(environment="prod", reason='a "text"'),
        asked_at=START + timedelta(microseconds=1),
        expires_at=LATER,
        execution_arn="arn:execution",
    )
    return ApprovalRecord(environment=rig.name).with_open(request, None, START)


def decision_of(rig: Rig, *, approved: bool = True, minutes: int = 0, by: str = "ann") -> Decision:
    return Decision(
        subject=Subject(environment=rig.name, digest=DIGEST, recipe="1a2b"),
        approved=approved,
        by=by,
        at=LATER,
        asked_at=START + timedelta(minutes=minutes),
    )


def test_where_nobody_has_asked_the_record_is_empty(rig: Rig) -> None:
    assert rig.approvals.get(rig.name) == ApprovalRecord(environment=rig.name)


def test_a_record_reads_back_as_it_was_written(rig: Rig) -> None:
    record = record_of(rig)
    assert rig.approvals.put(record)
    assert rig.approvals.get(rig.name) == record
    closed = record.without_open(ApprovalState.EXPIRED, LATER)
    assert rig.approvals.put(closed)
    assert rig.approvals.get(rig.name) == closed


def test_a_record_that_others_have_changed_is_not_overwritten(rig: Rig) -> None:
    record = record_of(rig)
    assert rig.approvals.put(record)
    assert not rig.approvals.put(record_of(rig, "sha256:" + "2" * 64))
    assert rig.approvals.get(rig.name) == record
    assert not rig.approvals.put(record.model_copy(update={"revision": 3}))


def test_a_repeated_write_is_ones_own(rig: Rig) -> None:
    record = record_of(rig)
    assert rig.approvals.put(record)
    assert rig.approvals.put(record)


def test_nothing_is_decided_about_what_nobody_knows(rig: Rig) -> None:
    assert rig.decisions.get(f"{rig.name}-0123456789ab") is None


def test_a_decision_reads_back_as_it_was_written(rig: Rig) -> None:
    decision = decision_of(rig)
    assert rig.decisions.put(decision) == decision
    assert rig.decisions.get(decision.id) == decision


def test_the_first_decision_about_a_request_stands(rig: Rig) -> None:
    first = decision_of(rig)
    rig.decisions.put(first)
    assert rig.decisions.put(decision_of(rig, approved=False, by="eve")) == first
    assert rig.decisions.get(first.id) == first


def test_a_later_request_is_decided_anew(rig: Rig) -> None:
    first, second = decision_of(rig, approved=False), decision_of(rig, minutes=5)
    rig.decisions.put(first)
    assert rig.decisions.put(second) == second
    assert rig.decisions.get(first.id) == second


def test_requests_and_decisions_hold_no_environment(rig: Rig) -> None:
    rig.approvals.put(record_of(rig))
    rig.decisions.put(decision_of(rig))
    assert rig.environments.held_by("arn:execution") == []
    assert rig.environments.get(rig.name).claim is None
