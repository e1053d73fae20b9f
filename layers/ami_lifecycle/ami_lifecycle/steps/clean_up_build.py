"""Clean Up Build: removes what a failed, aborted or timed out execution left. Idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ValidationError

from ami_lifecycle.domain.decision import Blocked, most_relevant
from ami_lifecycle.domain.environment import (
    STOPPED_BY_A_PERSON,
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    unusable_base_after,
)
from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.failure_causes import is_image_failure
from ami_lifecycle.domain.links import execution_link
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.outcomes import outcome_of_failure, unwrapped
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.domain.result import CleanUpResult
from ami_lifecycle.errors import ClaimBusyError, ClaimContendedError, InvalidRequestError
from ami_lifecycle.ports import Clock, Environments, Executions, Notifier
from ami_lifecycle.steps.batch import process_each
from ami_lifecycle.steps.notification import send_notification
from ami_lifecycle.steps.orphan_removal import OrphanRemover
from ami_lifecycle.steps.queued_request import start_queued_request

# Step Functions API reference, Fail state and ExecutionFailed: a cause has at most 32,768 characters; an
# operator reads the first lines.
_CAUSE_CHARACTERS: Final = 4_000
# Kept in the environment's record and shown by `status`.
_ERROR_CHARACTERS: Final = 400


# SendTaskFailure without error and cause gives Catch nulls: both are optional.
_OptionalText = Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]


class CleanUpInput(Frozen):
    """Input of `clean_up_build`, from the state machine; or made from an execution's status event."""

    execution_arn: str
    state_machine_arn: str
    error: _OptionalText = ""
    cause: _OptionalText = ""
    status: str = "RUNNING"


@dataclass(frozen=True)
class BuildCleaner:
    """Cleans up after an execution that did not succeed."""

    orphan_remover: OrphanRemover
    environments: Environments
    executions: Executions
    notifier: Notifier
    clock: Clock

    def clean_up(self, step: CleanUpInput) -> CleanUpResult:
        """Release the claim, remove what the execution left, start the queued request.

        Raises:
            ClaimBusyError: one of its functions may still be writing; retry after the busy window.
            ClaimContendedError: a request was queued at the same moment.
            CleanUpIncompleteError: something is not gone yet.
        """
        released, started, not_started = [], None, []
        for record in self.environments.held_by(step.execution_arn):
            self._release(record, step)
            released.append(record.environment)
            # A request that cannot be started stays queued; the sweep starts it.
            handed_over = process_each(
                [record.environment],
                lambda environment: f"what waits for {environment}",
                lambda environment: self._start_queued_request(environment, step.state_machine_arn),
            )
            handed_over.raise_transient()
            not_started += handed_over.blocked
            started = next(iter(handed_over.done), None) or started
        cleaned = self.orphan_remover.remove(step.execution_arn)
        error, cause = describe_failure(step)
        kept, blocked, _ = most_relevant(cleaned.kept, (*not_started, *cleaned.blocked))
        result = CleanUpResult(
            error=error,
            cause=cause,
            terminated=cleaned.terminated,
            deregistered=cleaned.deregistered,
            deleted_snapshots=cleaned.deleted_snapshots,
            kept=kept,
            blocked=blocked,
            released=tuple(released),
            started_execution=started,
        )
        return (
            result.model_copy(update={"untold": self._notify(step, result)})
            if _needs_notification(step)
            else result
        )

    def _notify(self, step: CleanUpInput, result: CleanUpResult) -> tuple[Blocked, ...]:
        application = self.orphan_remover.application
        name = step.execution_arn.rsplit(":", 1)[-1]
        message = {
            "outcome": "Build Failed",
            "execution_arn": step.execution_arn,
            "execution": name,
            "console": execution_link(step.execution_arn),
            "log": f"ami-lifecycle logs {name}",
            **result.model_dump(mode="json"),
        }
        outcomes = [outcome_of_failure(application, step.execution_arn, result)]
        subject = f"{application}: build failed ({result.error})"
        return send_notification(self.notifier, self.clock, subject, message, outcomes)

    def _start_queued_request(self, environment: str, state_machine_arn: str) -> str | None:
        record = self.environments.get(environment)
        return start_queued_request(record, self.environments, self.executions, state_machine_arn)

    def _release(self, record: EnvironmentRecord, step: CleanUpInput) -> None:
        claim = record.claim
        if claim is None:
            return
        if claim.is_busy(self.clock.now()) and _may_still_write(step):
            raise ClaimBusyError(
                f"a function of {step.execution_arn} may write to {record.environment} until "
                f"{claim.busy_until:%H:%M:%S} UTC; the clean-up is repeated"
            )
        if claim.action is Action.BUILD and claim.digest is not None and step.status != "SUCCEEDED":
            self._record_failure(record, claim, claim.digest, step)
            base = unusable_base_after(record.unusable_base, claim, describe_failure(step)[0])
            if base != record.unusable_base:
                self.environments.record_unusable_base(record.environment, base)
        if not self.environments.release(record.environment, claim, revision=record.revision):
            raise ClaimContendedError(
                f"a request for {record.environment} is queued at this moment; look again"
            )

    def _record_failure(
        self, record: EnvironmentRecord, claim: Claim, digest: str, step: CleanUpInput
    ) -> None:
        failed = record.failure_of(digest, claim.recipe)
        if failed is not None and failed.claim_number == claim.number:
            return
        error, cause = describe_failure(step)
        count = failed.count if failed else 0
        if step.status == "ABORTED":
            count = STOPPED_BY_A_PERSON
        elif is_image_failure(error):
            count += 1
        line = f"{error}: {' '.join(cause.split())}"[:_ERROR_CHARACTERS]
        now = FailedAttempts(
            digest=digest, count=count, claim_number=claim.number, error=line, recipe=claim.recipe
        )
        self.environments.record_failures(record.environment, record.with_failure(now))


def parse_clean_up(raw: Any) -> CleanUpInput:
    """Parse the state machine's own call, or an execution status event.

    Raises:
        InvalidRequestError: neither.
    """
    try:
        if not isinstance(raw, Mapping) or "detail" not in raw:
            return CleanUpInput.model_validate(raw)
        detail = Event.model_validate(raw).detail
        return CleanUpInput(
            execution_arn=detail["executionArn"],
            state_machine_arn=detail["stateMachineArn"],
            error=detail.get("error") or "",
            cause=detail.get("cause") or "",
            status=detail["status"],
        )
    except ValidationError as error:
        raise InvalidRequestError(f"not an input of clean_up_build: {explain(error)}") from error
    except KeyError as error:
        raise InvalidRequestError(
            f"the event has no {error}; it must be a 'Step Functions Execution Status Change'"
        ) from error


def describe_failure(step: CleanUpInput) -> tuple[str, str]:
    """Error and cause as readable text."""
    error, cause = unwrapped(step.error, step.cause)
    if not error:
        error = {"ABORTED": "ExecutionAborted", "TIMED_OUT": "ExecutionTimedOut"}.get(
            step.status, "BuildFailed"
        )
    if not cause:
        cause = _WITHOUT_CAUSE.get(error, "no cause was given; look at the execution's history")
    return error, cause[:_CAUSE_CHARACTERS]


_WITHOUT_CAUSE: Final = {
    "ExecutionAborted": "a person or a tool stopped the execution; start it again when that was a mistake",
    "ExecutionTimedOut": "the execution ran for longer than any build may; look for the state that did not end",
    "States.Timeout": "a step did not end in its time; look at the last state of the execution's history",
}


def _may_still_write(step: CleanUpInput) -> bool:
    """Whether a function of the execution may still be running.

    The execution's own clean-up comes after Lambda has answered for the failed task. When Step Functions
    lost touch with Lambda (`Lambda.SdkClientException`, `States.Timeout` and the like), or when somebody
    else ended the execution, that is unknown.
    """
    return step.status != "RUNNING" or step.error.startswith(("Lambda.", "States."))


def _needs_notification(step: CleanUpInput) -> bool:
    # A failed execution has reported itself from its own clean-up, unless that failed too; one that went well
    # has only left its claim.
    if step.status == "SUCCEEDED":
        return False
    return step.status != "FAILED" or step.error == "CleanUpFailed"
