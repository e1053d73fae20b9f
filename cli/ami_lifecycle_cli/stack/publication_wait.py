"""Waiting until a Docker image is published under its final AMI id, or until that cannot happen any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ami_lifecycle.domain.approval import ApprovalState, needs_approval
from ami_lifecycle.domain.environment import STOPPED_BY_A_PERSON, EnvironmentRecord
from ami_lifecycle.domain.planning import Live, reason_for_nothing
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import TransientError
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle_cli.stack.approvals import open_request, refusal_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import short_digest, short_name
from ami_lifecycle_cli.stack.records import read_environment_live, read_history
from ami_lifecycle_cli.stack.runs import Run, Runs

_PAUSE_SECONDS: Final = 5.0
# Step Functions API reference, ListExecutions: eventually consistent. A new execution may not be listed yet, so a
# negative verdict needs two equal observations.
_CONFIRMATIONS: Final = 2
_RUNS: Final = 20


class Outcome(StrEnum):
    """Outcome of the wait."""

    PUBLISHED = "published"
    FAILED = "failed"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    PINNED = "pinned"
    NOT_APPROVED = "not approved"
    TIMED_OUT = "timed out"


EXIT_CODES: Final = {
    Outcome.PUBLISHED: 0,
    Outcome.FAILED: 3,
    Outcome.STOPPED: 4,
    Outcome.SUPERSEDED: 5,
    Outcome.PINNED: 6,
    Outcome.NOT_APPROVED: 7,
    Outcome.TIMED_OUT: 124,
}


@dataclass(frozen=True)
class WaitTarget:
    """What is awaited: a digest, or the image of a commit; with neither, the digest that the tag names, or the newest
    promotion where the environment takes these.
    """

    environment: str
    digest: str | None = None
    commit: str | None = None

    @property
    def names_nothing(self) -> bool:
        """Whether it is left to the environment what is awaited."""
        return self.digest is None and self.commit is None


@dataclass(frozen=True)
class WaitObservation:
    """An observation of the environment. `is_final`: neither an execution nor the sweep will replace the live image
    by another one of the same Docker image. `recipe` is that of the settings. `runs` are read where nobody holds the
    environment, the newest first. `takes_promotions`: no tag says what is to come. `waits_for` is the approval that is
    to come, `refusal` why none is.
    """

    record: EnvironmentRecord
    live: Live
    live_commit: str | None
    is_final: bool
    tag_digest: str | None
    digest: str | None
    recipe: str | None = None
    runs: tuple[Run, ...] = ()
    takes_promotions: bool = False
    waits_for: str | None = None
    refusal: str | None = None

    @property
    def is_occupied(self) -> bool:
        """Whether an execution or a queued request may still publish."""
        return bool(
            self.record.claim
            or self.record.queued_request
            or any(run.outcome == "running" for run in self.runs)
        )

    @property
    def newest_promotion(self) -> Run | None:
        """The newest execution that a person or a pipeline has asked for, and that had something to do."""
        asked = (
            run for run in self.runs if run.trigger is not Trigger.PUSH and run.action is not Action.RETIRE
        )
        return next((run for run in asked if not run.is_idle), None)


@dataclass(frozen=True)
class Verdict:
    """The outcome, and the reason."""

    outcome: Outcome
    explanation: str
    observed: WaitObservation | None = None

    def as_json(self, target: WaitTarget, seconds: float) -> dict[str, Any]:
        """Plain values."""
        published = self.observed if self.observed and self.outcome is Outcome.PUBLISHED else None
        return {
            "environment": target.environment,
            "outcome": self.outcome.value,
            "exit_code": EXIT_CODES[self.outcome],
            "image_id": published.live.value if published else None,
            "image_name": published.live.image.name if published and published.live.image else None,
            "image_digest": self.observed.digest if self.observed else target.digest,
            "commit_sha": published.live_commit if published else target.commit,
            "explanation": self.explanation,
            "seconds": round(seconds, 1),
        }


def verdict_for(target: WaitTarget, observed: WaitObservation) -> Verdict | None:
    """The verdict; None as long as the image can still be published."""
    claim, digest = observed.record.claim, observed.digest
    # A claim without a digest is of a retirement, which may adopt the canonical name by another image.
    is_coming = claim is not None and (claim.digest is None or digest is None or claim.digest == digest)
    if is_coming or observed.waits_for is not None:
        return None
    if _awaits_newest_promotion(target, observed):
        if observed.is_occupied:
            return None
        if (ended := _unsuccessful_end_of(observed.newest_promotion)) is not None:
            return Verdict(*ended, observed)
    if _is_live(target, observed):
        return Verdict(Outcome.PUBLISHED, str(observed.live.value), observed) if observed.is_final else None
    if digest is None or observed.is_occupied:
        return None
    return _unpublished_verdict(target, observed, digest)


def _awaits_newest_promotion(target: WaitTarget, observed: WaitObservation) -> bool:
    return observed.takes_promotions and target.names_nothing


def _is_live(target: WaitTarget, observed: WaitObservation) -> bool:
    if observed.live.image is None:
        return False
    if target.commit is not None:
        return (observed.live_commit or "").startswith(target.commit)
    return observed.digest is not None and observed.live.digest == observed.digest


def _unpublished_verdict(target: WaitTarget, observed: WaitObservation, digest: str) -> Verdict | None:
    if (ended := _unsuccessful_end(observed, digest)) is not None:
        return Verdict(*ended, observed)
    if observed.refusal is not None:
        return Verdict(Outcome.NOT_APPROVED, observed.refusal, observed)
    if target.commit is not None and observed.live.digest == digest:
        # The tag names the live image, which is of another commit: the push is still to come.
        return None
    if observed.tag_digest != digest:
        now = short_digest(observed.tag_digest) if observed.tag_digest else "nothing"
        why = f"the tag names {now}, so {short_digest(digest)} is not built"
        return Verdict(Outcome.SUPERSEDED, why, observed)
    if observed.record.pin is not None:
        why = (
            f"the environment is pinned to {observed.record.pin.image_id}, so {short_digest(digest)} waits until: "
            f"ami-lifecycle unpin {target.environment}"
        )
        return Verdict(Outcome.PINNED, why, observed)
    return None


def _unsuccessful_end(observed: WaitObservation, digest: str) -> tuple[Outcome, str] | None:
    failed = observed.record.failure_of(digest, observed.recipe)
    if failed is None and any(each.digest == digest for each in observed.record.failures):
        return None  # With other hooks, so that the sweep builds it.
    if failed is not None:
        outcome = Outcome.STOPPED if failed.count >= STOPPED_BY_A_PERSON else Outcome.FAILED
        return outcome, failed.error or failed.explanation
    # An execution that ended before its claim is in no record.
    return _unsuccessful_end_of(next((run for run in observed.runs if run.digest == digest), None))


def _unsuccessful_end_of(run: Run | None) -> tuple[Outcome, str] | None:
    if run is None or run.status in {"RUNNING", "SUCCEEDED"}:
        return None
    outcome = Outcome.STOPPED if run.status == "ABORTED" else Outcome.FAILED
    return outcome, run.explanation or run.outcome


def wait(stack: Stack, target: WaitTarget, seconds: float, report: Callable[[str], None]) -> Verdict:
    """Poll until there is a verdict or the timeout; `report` receives a line for each change.

    Raises:
        AmiLifecycleError: the environment cannot be read, for another reason than throttling or an outage.
    """
    limit = time.monotonic() + seconds
    reported, before, confirmations = "", None, 0
    observed: WaitObservation | None = None
    while True:
        try:
            observed = observe(stack, target)
            verdict, now = verdict_for(target, observed), _activity(target, observed)
        except TransientError as error:
            verdict, now = None, f"AWS does not answer: {error}"
        if now != reported:
            report(now)
            reported = now
        confirmations = confirmations + 1 if verdict and verdict.outcome is before else 1
        before = verdict.outcome if verdict else None
        if verdict is not None and (_is_sure(target, verdict) or confirmations >= _CONFIRMATIONS):
            return verdict
        if time.monotonic() > limit:
            return Verdict(Outcome.TIMED_OUT, f"not within {seconds:.0f} s; {reported}", observed)
        time.sleep(_PAUSE_SECONDS)


def _is_sure(target: WaitTarget, verdict: Verdict) -> bool:
    """Whether no execution that is not listed yet can contradict the verdict."""
    observed = verdict.observed
    follows = observed is not None and _awaits_newest_promotion(target, observed)
    return verdict.outcome is Outcome.PUBLISHED and not follows


def observe(stack: Stack, target: WaitTarget) -> WaitObservation:
    """Observe the environment; repeated if its record changes meanwhile, so that the observation is consistent."""
    environment = target.environment
    settings = with_programs(stack.catalogue.get(environment), stack.documents)
    while True:
        record = stack.environments.get(environment)
        live = read_environment_live(stack, environment)
        tag_digest = None
        if not settings.takes_promotions:
            tag_digest = stack.repository.digest_of(settings.repository, settings.image_tag)
        digest = target.digest or _digest_of_commit(stack, target) or tag_digest
        other_hooks = _is_built_with_other_hooks(live, tag_digest, record, settings)
        if settings.takes_promotions:
            # No tag says what is to come: a promotion does, when somebody starts it.
            claimed = record.claim.digest if record.claim else None
            tag_digest = digest = digest or claimed or live.digest
        waits_for, refusal = _approval(stack, settings, digest)
        # What was rejected with other hooks is not built, so what is live stays.
        is_built_again = other_hooks and not (refusal is not None and digest == tag_digest)
        can_change = live.image is not None and (
            stack.retirement_review(settings).can_adopt(live.image)[0] or is_built_again
        )
        runs = Runs(stack)
        found = () if record.claim else (*runs.running(environment), *runs.newest(environment, _RUNS))
        known = stack.published(environment).read_record(live.value)
        if stack.environments.get(environment).fencing == record.fencing:
            commit = known.commit_sha if known else None
            return WaitObservation(
                record,
                live,
                commit or None,
                not can_change,
                tag_digest,
                digest,
                settings.recipe,
                tuple(found),
                settings.takes_promotions,
                waits_for,
                refusal,
            )


def _approval(
    stack: Stack, settings: EnvironmentSettings, digest: str | None
) -> tuple[str | None, str | None]:
    """What is to be approved, and why it is not to come."""
    if not settings.approval.is_on:
        return None, None
    found = open_request(stack, settings.environment)
    if found is not None and found.state is ApprovalState.WAITING and found.asked is not None:
        no_tag_says = settings.takes_promotions or digest is None
        if no_tag_says or found.asked.facts.digest == digest:
            return f"the approval {found}", None
    if digest is None or not needs_approval(settings, Action.BUILD):
        return None, None
    return None, refusal_of(stack, settings, digest)


def _is_built_with_other_hooks(
    live: Live, tag_digest: str | None, record: EnvironmentRecord, settings: EnvironmentSettings
) -> bool:
    """Whether the sweep builds the live Docker image once more, because base or hooks are not those of the live
    image.
    """
    sweep = BuildRequest(environment=settings.environment, trigger=Trigger.RECONCILE)
    return (
        tag_digest is not None
        and live.digest == tag_digest
        and reason_for_nothing(sweep, tag_digest, live, record, settings) is None
    )


def _digest_of_commit(stack: Stack, target: WaitTarget) -> str | None:
    if target.commit is None:
        return None
    for record in read_history(stack, target.environment).records:
        if (record.commit_sha or "").startswith(target.commit):
            return record.image_digest or None
    return None


def _activity(target: WaitTarget, observed: WaitObservation) -> str:
    claim = observed.record.claim
    if claim is not None:
        what = short_digest(claim.digest) if claim.digest else ""
        return f"{short_name(claim.execution_arn)} holds {target.environment}: {claim.action.value} {what}".rstrip()
    if observed.waits_for is not None:
        return f"{target.environment} waits for {observed.waits_for}"
    if observed.is_occupied:
        return f"an execution for {target.environment} starts"
    if _is_live(target, observed):
        return (
            f"{observed.live.value} is live, and the sweep puts another of the same Docker image in its place"
            if not observed.is_final
            else (f"{observed.live.value} is live")
        )
    if observed.takes_promotions:
        return f"nothing runs for {target.environment}, which publishes what is promoted to it"
    return f"nothing runs for {target.environment}; the sweep finds a lost push within 15 minutes"
