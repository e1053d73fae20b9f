"""The environments' records in memory, with the conditions of the real writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.environment import (
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    HeldBack,
    LaunchProgress,
    Pin,
    UnusableBase,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import ClaimLostError


class FakeEnvironments(Faulty):
    """Records by environment. A repeated write is recognised as our own, as after a lost response."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, EnvironmentRecord] = {}
        self.published_by: dict[str, str] = {}

    def set(self, record: EnvironmentRecord) -> EnvironmentRecord:
        """Put a record that was there before."""
        self.records[record.environment] = record
        return record

    @port_call
    def get(self, environment: str) -> EnvironmentRecord:
        """The record, or an empty one."""
        return self._read(environment)

    @port_call
    def claim(self, environment: str, claim: Claim) -> bool:
        """Claim it, if nobody does and the fencing number is the one before."""
        record = self._read(environment)
        if record.claim == claim:
            return True
        if record.claim is not None or record.fencing != claim.number - 1:
            return False
        self._change(environment, claim=claim, fencing=claim.number)
        return True

    @port_call
    def queue(self, environment: str, request: BuildRequest, *, behind: Claim, revision: int) -> bool:
        """Store what is wanted behind the holder."""
        record = self._read(environment)
        if not record.is_held_by(behind.execution_arn, behind.number):
            return False
        if record.revision == revision + 1 and record.queued_request == request:
            return True
        if record.revision != revision:
            return False
        self._change(environment, queued_request=request, revision=revision + 1)
        return True

    @port_call
    def enter(self, environment: str, execution_arn: str, number: int, busy_until: datetime) -> Claim:
        """Begin to write something shared."""
        record = self._read(environment)
        if record.claim is None or not record.is_held_by(execution_arn, number):
            raise ClaimLostError(f"{execution_arn} does not hold {environment}")
        self._change(environment, claim=record.claim.model_copy(update={"busy_until": busy_until}))
        again = record.claim.busy_until == busy_until
        return record.claim.model_copy(update={"busy_until": None}) if again else record.claim

    @port_call
    def leave(
        self, environment: str, execution_arn: str, number: int, *, still_busy_until: datetime | None = None
    ) -> None:
        """Done writing."""
        record = self._read(environment)
        if record.claim is not None and record.is_held_by(execution_arn, number):
            self._change(environment, claim=record.claim.model_copy(update={"busy_until": still_busy_until}))

    @port_call
    def remember_launch(
        self, environment: str, execution_arn: str, number: int, progress: LaunchProgress
    ) -> None:
        """Remember where a launch goes on."""
        record = self._read(environment)
        if record.claim is None or not record.is_held_by(execution_arn, number):
            raise ClaimLostError(f"{execution_arn} does not hold {environment}")
        self._change(environment, claim=record.claim.model_copy(update={"launching": progress}))

    @port_call
    def release(self, environment: str, claim: Claim, *, revision: int) -> bool:
        """Remove the claim, if claim and revision are as they were read; the wanted request stays."""
        record = self._read(environment)
        if record.fencing > claim.number:
            return record.revision == revision
        if record.claim != claim or record.revision != revision:
            return False
        self._change(environment, claim=None, fencing=claim.number + 1)
        return True

    @port_call
    def clear_queued_request(self, environment: str, *, revision: int) -> None:
        """Forget the wanted request, unless another has come since."""
        if self._read(environment).revision == revision:
            self._change(environment, queued_request=None)

    @port_call
    def count_publication(self, environment: str, execution_arn: str) -> int:
        """Number of this execution's publication."""
        record = self._read(environment)
        if self.published_by.get(environment) == execution_arn:
            return record.published_count
        self.published_by[environment] = execution_arn
        self._change(environment, published_count=record.published_count + 1)
        return record.published_count + 1

    @port_call
    def record_failures(self, environment: str, failures: Sequence[FailedAttempts]) -> None:
        """Remember these failures and no others."""
        self._change(environment, failed=next(iter(failures), None), failed_before=tuple(failures[1:]))

    @port_call
    def note_rebuild(self, environment: str, since: datetime | None) -> None:
        """Remember since when a rebuild is due."""
        self._change(environment, rebuild_due_since=since)

    @port_call
    def hold_back(self, environment: str, held: Sequence[HeldBack]) -> None:
        """Remember what is tried again later."""
        self._change(environment, held_back=tuple(held))

    @port_call
    def record_unusable_base(self, environment: str, base: UnusableBase | None) -> None:
        """Remember an image from which no build can start."""
        self._change(environment, unusable_base=base)

    @port_call
    def set_pin(self, environment: str, pin: Pin | None) -> None:
        """Pin or unpin."""
        self._change(environment, pin=pin)

    @port_call
    def held_by(self, execution_arn: str) -> list[EnvironmentRecord]:
        """The records whose claim belongs to the execution."""
        return [
            record
            for record in self.records.values()
            if record.claim is not None and record.claim.execution_arn == execution_arn
        ]

    def _read(self, environment: str) -> EnvironmentRecord:
        return self.records.get(environment, EnvironmentRecord(environment=environment))

    def _change(self, environment: str, **changes: Any) -> None:
        self.records[environment] = self._read(environment).model_copy(update=changes)
