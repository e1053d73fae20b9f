"""Release Environment: terminate the instances, release the claim, start the queued request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ami_lifecycle.domain.decision import Blocked, Retirement, Unfinished
from ami_lifecycle.domain.execution import ClaimedInput, Published
from ami_lifecycle.domain.links import execution_link, image_link
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_EXECUTION
from ami_lifecycle.domain.outcomes import merged_decisions, outcomes_of_release, unwrapped
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.result import ReleaseResult
from ami_lifecycle.errors import ClaimContendedError
from ami_lifecycle.ports import Clock, Environments, Executions, Instances, Notifier
from ami_lifecycle.steps.batch import process_each, raise_transient
from ami_lifecycle.steps.notification import send_notification
from ami_lifecycle.steps.queued_request import start_queued_request


class ReleaseInput(ClaimedInput):
    """Input of `release_environment`. `unfinished` is what ended a step after the publication, if one was."""

    state_machine_arn: str
    published: Published | None = None
    retirement: Retirement | None = None
    candidate_retirement: Retirement | None = None
    unfinished: Unfinished | None = None


@dataclass(frozen=True)
class Releaser:
    """Ends a successful execution."""

    instances: Instances
    environments: Environments
    executions: Executions
    notifier: Notifier
    clock: Clock

    def release(self, step: ReleaseInput) -> ReleaseResult:
        """Terminate builder and canary, release the claim, start the queued request.

        What AWS refuses is reported in the result; the sweep then terminates the instances, releases the claim and
        starts the queued request.

        Raises:
            ClaimContendedError: a request was queued at the same moment; a retry sees it.
            ResourceNotVisibleError: an instance cannot be terminated yet.
            TransientError: another of its subclasses; everything else has been done.
        """
        plan = step.plan
        ended = process_each([step], lambda _: f"instances of {step.execution_arn}", self._running)
        terminated = process_each(
            [instance_id for found in ended.done for instance_id in found], str, self._terminate
        )
        left = _unfinished(step, (*ended.blocked, *terminated.blocked))
        noted = process_each(
            [step], lambda _: f"what {plan.environment} holds back", partial(self._record_blocked, left)
        )
        given_back = process_each([step], lambda _: f"the claim of {plan.environment}", self._release_claim)
        queued = process_each(
            [step], lambda _: f"what waits for {plan.environment}", self._start_queued_request
        )
        raise_transient(ended, terminated, noted, given_back, queued)
        result = ReleaseResult(
            environment=plan.environment,
            action=plan.action,
            image_id=step.published.image_id if step.published else None,
            image_digest=plan.source.digest if plan.source else None,
            release=step.published.release if step.published else None,
            promoted_from=plan.promotion.environment
            if plan.promotion and plan.action is Action.PROMOTE
            else None,
            replaced=step.published.replaced if step.published else None,
            packages=step.published.packages if step.published else None,
            scan=plan.scan if step.published else None,
            decisions=merged_decisions((step.retirement, step.candidate_retirement)),
            blocked=(*left, *noted.blocked, *given_back.blocked, *queued.blocked),
            omitted=_omitted(step),
            started_execution=next(iter(queued.done), None),
        )
        return result.model_copy(update={"untold": self._notify(step, result)})

    def _running(self, step: ReleaseInput) -> list[str]:
        tags = {TAG_APPLICATION: step.plan.configured.application, TAG_EXECUTION: step.execution_arn}
        return [found.instance_id for found in self.instances.find(tags) if not found.state.is_over]

    def _terminate(self, instance_id: str) -> None:
        self.instances.terminate(instance_id)

    def _record_blocked(self, left: tuple[Blocked, ...], step: ReleaseInput) -> None:
        """Store what was refused in the environment's record, for the sweep to retry and for `status` to show."""
        record = self.environments.get(step.plan.environment)
        if record.claim is None or not record.is_held_by(step.execution_arn, step.claim_number):
            return
        last = step.candidate_retirement or step.retirement
        # After an incomplete retirement it is unknown whether earlier refusals still hold.
        unseen = (
            frozenset(held.what for held in record.held_back)
            if last is None or step.unfinished
            else frozenset()
        )
        held = record.after_retry(left, self.clock.now(), unseen=unseen)
        if held != record.held_back:
            self.environments.hold_back(step.plan.environment, held)

    def _release_claim(self, step: ReleaseInput) -> None:
        environment = step.plan.environment
        record = self.environments.get(environment)
        if record.claim is None or not record.is_held_by(step.execution_arn, step.claim_number):
            return
        digest = record.claim.digest
        # Failures of other digests stay recorded.
        failures = record.without_failure_of(digest)
        if (
            step.plan.action in {Action.BUILD, Action.PROMOTE, Action.UNDELETE}
            and failures != record.failures
        ):
            self.environments.record_failures(environment, failures)
        if not self.environments.release(environment, record.claim, revision=record.revision):
            raise ClaimContendedError(f"a request for {environment} is queued at this moment; look again")

    def _start_queued_request(self, step: ReleaseInput) -> str | None:
        record = self.environments.get(step.plan.environment)
        return start_queued_request(record, self.environments, self.executions, step.state_machine_arn)

    def _notify(self, step: ReleaseInput, result: ReleaseResult) -> tuple[Blocked, ...]:
        what = f"{result.image_id} published" if result.image_id else "images retired"
        message = {
            "outcome": "Image Published" if result.image_id else "Images Retired",
            "execution_arn": step.execution_arn,
            "console": execution_link(step.execution_arn),
            "image_console": image_link(step.execution_arn, result.image_id) if result.image_id else None,
            "reasons": list(step.plan.reasons),
            **result.model_dump(mode="json", exclude_none=True),
        }
        subject = f"{step.plan.configured.application} {result.environment}: {what}"
        return send_notification(
            self.notifier, self.clock, subject, message, outcomes_of_release(step, result)
        )


def _omitted(step: ReleaseInput) -> int | None:
    retirements = (step.retirement, step.candidate_retirement)
    return sum(each.omitted or 0 for each in retirements if each is not None) or None


def _unfinished(step: ReleaseInput, also_blocked: tuple[Blocked, ...]) -> tuple[Blocked, ...]:
    """Everything left undone after the publication; for each resource the last report."""
    found = {
        blocked.resource: blocked
        for retirement in (step.retirement, step.candidate_retirement)
        if retirement is not None
        for blocked in retirement.blocked
    }
    if step.unfinished is not None:
        error, cause = unwrapped(step.unfinished.error, step.unfinished.cause)
        what = f"retirement and name of {step.plan.environment}"
        found[what] = Blocked(resource=what, error=error, reason=f"{cause} The sweep goes on with it.")
    return (*found.values(), *also_blocked)
