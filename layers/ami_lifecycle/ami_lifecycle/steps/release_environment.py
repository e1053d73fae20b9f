"""Release Environment: end the instances, give the claim back, start what was queued."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.contracts import Action, ReleaseInput, ReleaseResult
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_EXECUTION
from ami_lifecycle.domain.outcomes import merged_decisions, outcomes_of_release
from ami_lifecycle.errors import ClaimContendedError
from ami_lifecycle.ports import Environments, Executions, Instances, Notifier
from ami_lifecycle.steps.handing_over import start_wanted


@dataclass(frozen=True)
class Releaser:
    """Ends an execution that went well."""

    instances: Instances
    environments: Environments
    executions: Executions
    notifier: Notifier

    def release(self, step: ReleaseInput) -> ReleaseResult:
        """Terminate builder and canary, release the claim, start the queued request.

        Raises:
            ClaimContendedError: a request is queued at this moment; the next look sees it.
            ResourceNotVisibleError: an instance cannot be terminated yet.
        """
        plan = step.plan
        tags = {TAG_APPLICATION: plan.configured.application, TAG_EXECUTION: step.execution_arn}
        for instance in self.instances.find(tags):
            if not instance.state.is_over:
                self.instances.terminate(instance.instance_id)
        record = self.environments.get(plan.environment)
        if record.claim is not None and record.is_held_by(step.execution_arn, step.claim_number):
            if plan.action is Action.BUILD:
                self.environments.clear_failure(plan.environment)
            if not self.environments.release(plan.environment, record.claim, revision=record.revision):
                raise ClaimContendedError(
                    f"a request for {plan.environment} is queued at this moment; look again"
                )
            record = self.environments.get(plan.environment)
        started = start_wanted(record, self.environments, self.executions, step.state_machine_arn)
        result = ReleaseResult(
            environment=plan.environment,
            action=plan.action,
            image_id=step.published.image_id if step.published else None,
            image_digest=plan.source.digest if plan.source else None,
            replaced=step.published.replaced if step.published else None,
            decisions=merged_decisions((step.retirement, step.candidate_retirement)),
            started_execution=started,
        )
        self._notify(step, result)
        self.notifier.announce(outcomes_of_release(step, result))
        return result

    def _notify(self, step: ReleaseInput, result: ReleaseResult) -> None:
        what = f"{result.image_id} published" if result.image_id else "images retired"
        self.notifier.notify(
            f"{step.plan.configured.application} {result.environment}: {what}",
            {
                "outcome": "Image Published" if result.image_id else "Images Retired",
                "execution_arn": step.execution_arn,
                "reasons": list(step.plan.reasons),
                **result.model_dump(mode="json", exclude_none=True),
            },
        )
