"""The gate that only what somebody has approved passes."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.domain.approval import Subject, needs_approval
from ami_lifecycle.domain.gates import GateName, GateResult
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_RECIPE, Image
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.publication import timestamp
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import ApprovalMissingError
from ami_lifecycle.ports import Decisions


@dataclass(frozen=True)
class ApprovalGate:
    """Asks for the decision about just what the image's own tags say that it is, whatever the plan says."""

    decisions: Decisions

    def result(self, plan: BuildPlan, image: Image) -> GateResult | None:
        """Who has approved it, and when.

        Raises:
            ApprovalMissingError: nobody has.
        """
        if not needs_approval(plan.configured, plan.action):
            return None
        subject = subject_of_image(plan, image)
        decision = self.decisions.get(subject.id)
        if decision is None or not decision.lets_pass(subject):
            said = decision.text if decision is not None else "nobody has decided about it"
            raise ApprovalMissingError(
                f"{image.image_id} needs the approval {subject.id} before {plan.environment} publishes it, and {said}; "
                f"start the same again, which asks for it, then: ami-lifecycle approve {subject.id}"
            )
        facts = {"id": decision.id, "by": decision.by, "at": timestamp(decision.at)}
        return GateResult(gate=GateName.APPROVAL, facts=facts)


def subject_of_image(plan: BuildPlan, image: Image) -> Subject:
    """What has to be approved before an image is published: the release of a promotion, else the Docker image."""
    if plan.action is Action.PROMOTE:
        return Subject(environment=plan.environment, release=release_of(image))
    tags = image.tags
    return Subject(environment=plan.environment, digest=tags.get(TAG_DIGEST), recipe=tags.get(TAG_RECIPE))
