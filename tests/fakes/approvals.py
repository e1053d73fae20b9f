"""Requests for approval and decisions in memory, with the conditions of the real writes."""

from __future__ import annotations

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.approval import ApprovalRecord, Decision


class FakeApprovals(Faulty):
    """Requests by environment. A repeated write is recognised as our own, as after a lost response."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, ApprovalRecord] = {}

    @port_call
    def get(self, environment: str) -> ApprovalRecord:
        """The record, or an empty one."""
        return self._read(environment)

    @port_call
    def put(self, record: ApprovalRecord) -> bool:
        """Store it in place of the revision before."""
        known = self._read(record.environment)
        if known.revision != record.revision - 1:
            return known == record
        self.records[record.environment] = record
        return True

    def _read(self, environment: str) -> ApprovalRecord:
        return self.records.get(environment, ApprovalRecord(environment=environment))


class FakeDecisions(Faulty):
    """Decisions by the id of the approval."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[str, Decision] = {}

    @port_call
    def get(self, approval_id: str) -> Decision | None:
        """The last decision."""
        return self.all.get(approval_id)

    @port_call
    def put(self, decision: Decision) -> Decision:
        """Store it, unless its request was decided before."""
        known = self.all.get(decision.id)
        if known is not None and known.asked_at == decision.asked_at:
            return known
        self.all[decision.id] = decision
        return decision
