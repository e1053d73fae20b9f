"""Whether a plan may be carried out, or somebody has to be asked first."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.domain.approval import (
    ApprovalFacts,
    Ask,
    LiveFacts,
    Subject,
    needs_approval,
    reason_not_to_ask,
)
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.ports import Approvals, Clock, Decisions


@dataclass(frozen=True)
class ApprovalCheck:
    """Compares what is planned with what was decided and asked. It writes nothing."""

    approvals: Approvals
    decisions: Decisions
    clock: Clock

    def plan(
        self, plan: BuildPlan, live: Live, published: HistoryRecord | None, source: HistoryRecord | None
    ) -> BuildPlan | str:
        """The plan where it needs no approval or has one, a plan that asks for it, or why nobody is asked.

        Args:
            published: the record of the live image.
            source: the record of the image that is promoted.
        """
        settings = plan.configured
        if not needs_approval(settings, plan.action):
            return plan
        subject = subject_of_plan(plan)
        decision = self.decisions.get(subject.id)
        if decision is not None and decision.lets_pass(subject):
            return plan.model_copy(update={"reasons": (*plan.reasons, decision.text)})
        record, now = self.approvals.get(plan.environment), self.clock.now()
        reason = reason_not_to_ask(subject, record, decision, plan.trigger, now)
        if reason is not None:
            return reason
        facts = _facts(plan, subject, live, published, source)
        return plan.model_copy(update={"action": Action.ASK, "ask": Ask(subject=subject, facts=facts)})

    def reason_to_wait(self, subject: Subject) -> str | None:
        """Why the sweep does not start what publishes this: it is asked or was rejected. None where it may be tried."""
        decision = self.decisions.get(subject.id)
        if decision is not None and decision.lets_pass(subject):
            return None
        record = self.approvals.get(subject.environment)
        if record.open is not None and record.open.id == subject.id:
            return f"it waits for the approval {subject.id}: ami-lifecycle approve {subject.id}"
        return reason_not_to_ask(subject, record, decision, Trigger.RECONCILE, self.clock.now())


def subject_of_plan(plan: BuildPlan) -> Subject:
    """What has to be approved before the plan is carried out."""
    if plan.promotion is not None:
        return Subject(environment=plan.environment, release=plan.promotion.release)
    return Subject(environment=plan.environment, digest=plan.image.digest, recipe=plan.configured.recipe)


def _facts(
    plan: BuildPlan,
    subject: Subject,
    live: Live,
    published: HistoryRecord | None,
    source: HistoryRecord | None,
) -> ApprovalFacts:
    request, promotion = plan.request, plan.promotion
    measured = source.facts if source is not None else {}
    return ApprovalFacts(
        digest=plan.image.digest,
        docker_image=plan.image.reference,
        release=subject.release,
        promoted_from=promotion.environment if promotion else None,
        source_image_id=promotion.image_id if promotion else None,
        commit=(request.commit_sha if request else None) or (source.commit_sha if source else None),
        branch=(request.branch if request else None) or (source.branch if source else None),
        recipe=source.recipe if source is not None else subject.recipe,
        verified_at=source.verified_at if source is not None else None,
        boot_to_healthy_seconds=_seconds(measured.get("boot_to_healthy_seconds")),
        first_read_seconds=_seconds(measured.get("first_read_seconds")),
        scan=plan.scan.text if plan.scan is not None else None,
        reasons=plan.reasons,
        live=LiveFacts(
            image_id=live.value,
            digest=live.digest,
            release=release_of(live.image) if live.image is not None else None,
            commit=published.commit_sha if published is not None else None,
            recipe=live.recipe,
        ),
    )


def _seconds(value: object) -> float | None:
    """A measurement of a record, which people may have written."""
    return float(value) if isinstance(value, int | float) else None
