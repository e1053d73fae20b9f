"""Approvals: what a person is asked before an environment publishes something, and what was decided.

A request is of one subject: a Docker image, with the hooks and base of the settings, or a release that is promoted. An
environment has one open request at most. A decision stands by itself, under the same id, and is final for its subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.naming import approval_id
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings

# How many closed requests an environment's item keeps, so that whoever decides late is told what became of his.
KEPT: Final = 20
# With these a person or a pipeline asks; whatever else asks again and again by itself.
_ASKED_FOR: Final = frozenset({Trigger.MANUAL, Trigger.ROLLBACK})
# These ask by themselves, and wait for what somebody else has asked for.
_IN_THE_BACKGROUND: Final = frozenset({Trigger.RECONCILE, Trigger.SCHEDULE})


class ApprovalState(StrEnum):
    """What has become of a request."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Subject(Frozen):
    """What is approved, of one environment: a digest with the recipe that it is built with, or a release."""

    environment: str
    digest: str | None = None
    recipe: str | None = None
    release: str | None = None

    @property
    def id(self) -> str:
        """Id of the approval, which is the same whenever the same is asked."""
        if self.release is not None:
            return approval_id(self.environment, "release", self.release)
        return approval_id(self.environment, "digest", self.digest or "", self.recipe or "")


class Decision(Frozen):
    """What somebody has decided about a subject. `asked_at` is of the request that it answers."""

    subject: Subject
    approved: bool
    by: str
    at: datetime
    asked_at: datetime
    reason: str = ""

    @property
    def id(self) -> str:
        """Id of the approval."""
        return self.subject.id

    @property
    def text(self) -> str:
        """Who has decided what, and when."""
        why = f": {self.reason}" if self.reason else ""
        what = "approved" if self.approved else "rejected"
        return f"{self.id} was {what} by {self.by} at {self.at:%Y-%m-%d %H:%M} UTC{why}"

    def lets_pass(self, subject: Subject) -> bool:
        """Whether it approves just this."""
        return self.approved and self.subject == subject


class LiveFacts(Frozen):
    """What is live while it is asked."""

    image_id: str | None = None
    digest: str | None = None
    release: str | None = None
    commit: str | None = None
    recipe: str | None = None


class ApprovalFacts(Frozen):
    """What a person needs to decide: what it is, what was measured of it, and what it replaces."""

    digest: str
    docker_image: str
    release: str | None = None
    promoted_from: str | None = None
    source_image_id: str | None = None
    commit: str | None = None
    branch: str | None = None
    recipe: str | None = None
    verified_at: str | None = None
    boot_to_healthy_seconds: float | None = None
    first_read_seconds: float | None = None
    scan: str | None = None
    reasons: tuple[str, ...] = ()
    live: LiveFacts = LiveFacts()

    def differences(self) -> Iterator[str]:
        """What differs from what is live, in words."""
        for name, now, before in (
            ("digest", self.digest, self.live.digest),
            ("release", self.release, self.live.release),
            ("commit", self.commit, self.live.commit),
            ("hooks and base", self.recipe, self.live.recipe),
        ):
            if now != before:
                yield f"{name}: {now or 'not known'}, and live is {before or 'none'}"


class Ask(Frozen):
    """What a plan wants to be asked."""

    subject: Subject
    facts: ApprovalFacts


class ApprovalRequest(Frozen):
    """An open request. `request` is what an approval starts."""

    subject: Subject
    facts: ApprovalFacts
    request: BuildRequest
    asked_at: datetime
    expires_at: datetime
    execution_arn: str

    @property
    def id(self) -> str:
        """Id of the approval."""
        return self.subject.id

    @property
    def asked_by(self) -> str | None:
        """Who has asked, as he said himself; Step Functions does not tell who starts an execution."""
        return self.request.requested_by

    def state(self, decision: Decision | None, now: datetime) -> ApprovalState:
        """What has become of it by now. An earlier decision about the same subject does not answer it."""
        if decision is not None and decision.asked_at == self.asked_at:
            return ApprovalState.APPROVED if decision.approved else ApprovalState.REJECTED
        return ApprovalState.EXPIRED if now >= self.expires_at else ApprovalState.WAITING


class ClosedRequest(Frozen):
    """A request that is over."""

    id: str
    state: ApprovalState
    asked_at: datetime
    closed_at: datetime
    superseded_by: str | None = None


class ApprovalRecord(Frozen):
    """The requests of an environment: the open one, and what became of the last ones before, the newest first.

    `revision` grows with each change.
    """

    environment: str
    open: ApprovalRequest | None = None
    closed: tuple[ClosedRequest, ...] = ()
    revision: int = 0

    def latest_closed(self, wanted: str) -> ClosedRequest | None:
        """The last closed request of this id."""
        return next((each for each in self.closed if each.id == wanted), None)

    def without_open(
        self, state: ApprovalState, now: datetime, superseded_by: str | None = None
    ) -> ApprovalRecord:
        """The record after its open request has ended so."""
        if self.open is None:
            return self
        ended = ClosedRequest(
            id=self.open.id,
            state=state,
            asked_at=self.open.asked_at,
            closed_at=now,
            superseded_by=superseded_by,
        )
        return self.model_copy(
            update={"open": None, "closed": (ended, *self.closed)[:KEPT], "revision": self.revision + 1}
        )

    def with_open(self, request: ApprovalRequest, before: Decision | None, now: datetime) -> ApprovalRecord:
        """The record after a newer request has taken the place of the open one, about which `before` was decided."""
        if self.open is None:
            return self.model_copy(update={"open": request, "revision": self.revision + 1})
        state = self.open.state(before, now)
        is_waiting = state is ApprovalState.WAITING
        closed = self.without_open(
            ApprovalState.SUPERSEDED if is_waiting else state, now, request.id if is_waiting else None
        )
        return closed.model_copy(update={"open": request})


def needs_approval(settings: EnvironmentSettings, action: Action) -> bool:
    """Whether somebody has to approve what an execution publishes as new in an environment.

    What holds for the environment's usual way holds for the other one: a forced build of an environment that is
    promoted to, and a promotion into one that is built from pushes.
    """
    approval = settings.approval
    usual = approval.promotions if settings.takes_promotions else approval.pushes
    return usual or (approval.promotions if action is Action.PROMOTE else approval.pushes)


def reason_not_to_ask(
    subject: Subject, record: ApprovalRecord, decision: Decision | None, trigger: Trigger, now: datetime
) -> str | None:
    """Why nobody is asked about something that is not approved; None where somebody is, or has been.

    What was rejected or has expired is asked again when a person or a pipeline asks, not by a push that is delivered
    again, nor by the sweep.
    """
    own = record.open if record.open is not None and record.open.id == subject.id else None
    if trigger not in _ASKED_FOR:
        again = f"to ask again, start it by hand: ami-lifecycle {command_to_ask(subject)}"
        if decision is not None and (own is None or own.asked_at == decision.asked_at):
            return f"{decision.text}; {again}"
        ended = record.latest_closed(subject.id)
        state = own.state(decision, now) if own is not None else ended.state if ended is not None else None
        if state is ApprovalState.EXPIRED:
            return f"nobody has decided about {subject.id} in time; {again}"
    if trigger in _IN_THE_BACKGROUND and own is None and record.open is not None:
        return f"another request waits first; see: ami-lifecycle approvals {subject.environment}"
    return None


def command_to_ask(subject: Subject) -> str:
    """The command that asks about a subject."""
    if subject.release is not None:
        return f"promote FROM {subject.environment} --release {subject.release.rsplit(':', 1)[-1]}"
    return f"build {subject.environment} --digest {subject.digest}"


def request_to_start(request: BuildRequest, subject: Subject) -> BuildRequest:
    """The request that an approval starts: of just what is approved, whatever tags name by then.

    What the queue or the sweep has asked for is asked for by a person now.
    """
    changes: dict[str, object] = {}
    if subject.digest is not None and request.action is Action.BUILD:
        changes["image_digest"] = subject.digest
    if request.trigger in {Trigger.QUEUED, Trigger.RECONCILE}:
        changes["trigger"] = Trigger.MANUAL
    return request.model_copy(update=changes)
