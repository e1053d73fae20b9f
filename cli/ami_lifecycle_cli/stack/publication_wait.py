"""Waiting until a Docker image is published for good, or until it is clear that it will not be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ami_lifecycle.domain.environment import STOPPED_BY_A_PERSON, EnvironmentRecord
from ami_lifecycle.domain.planning import Live, reason_for_nothing
from ami_lifecycle.domain.request import BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import TransientError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import short_digest, short_name
from ami_lifecycle_cli.stack.records import read_environment_live, read_history
from ami_lifecycle_cli.stack.runs import Run, Runs

_PAUSE_SECONDS: Final = 5.0
# Step Functions API reference, ListExecutions: eventually consistent. What has just been started is not listed yet, so
# bad news counts when two looks agree.
_LOOKS: Final = 2
_RUNS: Final = 20


class Outcome(StrEnum):
    """How waiting ends."""

    PUBLISHED = "published"
    FAILED = "failed"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    PINNED = "pinned"
    TIMED_OUT = "timed out"


EXIT_CODES: Final = {
    Outcome.PUBLISHED: 0,
    Outcome.FAILED: 3,
    Outcome.STOPPED: 4,
    Outcome.SUPERSEDED: 5,
    Outcome.PINNED: 6,
    Outcome.TIMED_OUT: 124,
}


@dataclass(frozen=True)
class Wanted:
    """What is waited for: a digest, or what has this commit; with neither, what the tag names."""

    environment: str
    digest: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Seen:
    """One look at the environment. `is_final`: no execution and no sweep puts another image in place of the live one
    for the same Docker image. `recipe` is that of the settings. `runs` are read where nobody holds the environment, the
    newest first.
    """

    record: EnvironmentRecord
    live: Live
    live_commit: str | None
    is_final: bool
    tag_digest: str | None
    digest: str | None
    recipe: str | None = None
    runs: tuple[Run, ...] = ()

    @property
    def is_occupied(self) -> bool:
        """Whether something runs or waits that may still lead to a publication."""
        return bool(
            self.record.claim
            or self.record.queued_request
            or any(run.outcome == "running" for run in self.runs)
        )


@dataclass(frozen=True)
class Verdict:
    """How waiting has ended, and why."""

    outcome: Outcome
    explanation: str
    seen: Seen | None = None

    def as_json(self, wanted: Wanted, seconds: float) -> dict[str, Any]:
        """Plain values."""
        published = self.seen if self.seen and self.outcome is Outcome.PUBLISHED else None
        return {
            "environment": wanted.environment,
            "outcome": self.outcome.value,
            "exit_code": EXIT_CODES[self.outcome],
            "image_id": published.live.value if published else None,
            "image_name": published.live.image.name if published and published.live.image else None,
            "image_digest": self.seen.digest if self.seen else wanted.digest,
            "commit_sha": published.live_commit if published else wanted.commit,
            "explanation": self.explanation,
            "seconds": round(seconds, 1),
        }


def judge(wanted: Wanted, seen: Seen) -> Verdict | None:
    """How it has ended; None as long as it can still be published."""
    claim, digest = seen.record.claim, seen.digest
    # A claim without a digest is of a retirement, which may adopt the canonical name by another image.
    if claim is not None and (claim.digest is None or digest is None or claim.digest == digest):
        return None
    if _is_live(wanted, seen):
        return Verdict(Outcome.PUBLISHED, str(seen.live.value), seen) if seen.is_final else None
    if digest is None or seen.is_occupied:
        return None
    return _bad_news(wanted, seen, digest)


def _is_live(wanted: Wanted, seen: Seen) -> bool:
    if seen.live.image is None:
        return False
    if wanted.commit is not None:
        return (seen.live_commit or "").startswith(wanted.commit)
    return seen.digest is not None and seen.live.digest == seen.digest


def _bad_news(wanted: Wanted, seen: Seen, digest: str) -> Verdict | None:
    if (ended := _ended_badly(seen, digest)) is not None:
        return Verdict(*ended, seen)
    if wanted.commit is not None and seen.live.digest == digest:
        # The tag names what is live, which is of another commit: the push is still to come.
        return None
    if seen.tag_digest != digest:
        now = short_digest(seen.tag_digest) if seen.tag_digest else "nothing"
        why = f"the tag names {now}, so {short_digest(digest)} is not built"
        return Verdict(Outcome.SUPERSEDED, why, seen)
    if seen.record.pin is not None:
        why = (
            f"the environment is pinned to {seen.record.pin.image_id}, so {short_digest(digest)} waits until: "
            f"ami-lifecycle unpin {wanted.environment}"
        )
        return Verdict(Outcome.PINNED, why, seen)
    return None


def _ended_badly(seen: Seen, digest: str) -> tuple[Outcome, str] | None:
    failed = seen.record.failure_of(digest, seen.recipe)
    if failed is None and any(each.digest == digest for each in seen.record.failures):
        return None  # With other hooks, so that the sweep builds it.
    if failed is not None:
        outcome = Outcome.STOPPED if failed.count >= STOPPED_BY_A_PERSON else Outcome.FAILED
        return outcome, failed.error or failed.explanation
    # What ended before it claimed the environment is in no record.
    newest = next((run for run in seen.runs if run.digest == digest), None)
    if newest is None or newest.status in {"RUNNING", "SUCCEEDED"}:
        return None
    outcome = Outcome.STOPPED if newest.status == "ABORTED" else Outcome.FAILED
    return outcome, newest.explanation or newest.outcome


def wait(stack: Stack, wanted: Wanted, seconds: float, tell: Callable[[str], None]) -> Verdict:
    """Look until it has ended, or until the time is over; `tell` gets a line for each change.

    Raises:
        AmiLifecycleError: the environment cannot be looked at, for another reason than throttling or an outage.
    """
    limit = time.monotonic() + seconds
    told, before, agreeing = "", None, 0
    seen: Seen | None = None
    while True:
        try:
            seen = look(stack, wanted)
            verdict, now = judge(wanted, seen), _activity(wanted, seen)
        except TransientError as error:
            verdict, now = None, f"AWS does not answer: {error}"
        if now != told:
            tell(now)
            told = now
        agreeing = agreeing + 1 if verdict and verdict.outcome is before else 1
        before = verdict.outcome if verdict else None
        if verdict is not None and (verdict.outcome is Outcome.PUBLISHED or agreeing >= _LOOKS):
            return verdict
        if time.monotonic() > limit:
            return Verdict(Outcome.TIMED_OUT, f"not within {seconds:.0f} s; {told}", seen)
        time.sleep(_PAUSE_SECONDS)


def look(stack: Stack, wanted: Wanted) -> Seen:
    """Look at the environment: at its record before and after the rest, so that what was read belongs together."""
    environment = wanted.environment
    settings = stack.catalogue.get(environment)
    while True:
        record = stack.environments.get(environment)
        live = read_environment_live(stack, environment)
        tag_digest = stack.repository.digest_of(settings.repository, settings.image_tag)
        digest = wanted.digest or _digest_of_commit(stack, wanted) or tag_digest
        can_change = live.image is not None and (
            stack.retirement_review(settings).can_adopt(live.image)[0]
            or _is_built_with_other_hooks(live, tag_digest, record, settings)
        )
        runs = Runs(stack)
        found = () if record.claim else (*runs.running(environment), *runs.newest(environment, _RUNS))
        known = stack.published(environment).read_record(live.value)
        if stack.environments.get(environment).fencing == record.fencing:
            commit = known.commit_sha if known else None
            return Seen(
                record,
                live,
                commit or None,
                not can_change,
                tag_digest,
                digest,
                settings.recipe,
                tuple(found),
            )


def _is_built_with_other_hooks(
    live: Live, tag_digest: str | None, record: EnvironmentRecord, settings: EnvironmentSettings
) -> bool:
    """Whether the sweep builds the live Docker image once more, because the hooks are not those of the live image."""
    sweep = BuildRequest(environment=settings.environment, trigger=Trigger.RECONCILE)
    return (
        tag_digest is not None
        and live.digest == tag_digest
        and reason_for_nothing(sweep, tag_digest, live, record, settings) is None
    )


def _digest_of_commit(stack: Stack, wanted: Wanted) -> str | None:
    if wanted.commit is None:
        return None
    for record in read_history(stack, wanted.environment).records:
        if (record.commit_sha or "").startswith(wanted.commit):
            return record.image_digest or None
    return None


def _activity(wanted: Wanted, seen: Seen) -> str:
    claim = seen.record.claim
    if claim is not None:
        what = short_digest(claim.digest) if claim.digest else ""
        return f"{short_name(claim.execution_arn)} holds {wanted.environment}: {claim.action.value} {what}".rstrip()
    if seen.is_occupied:
        return f"an execution for {wanted.environment} starts"
    if _is_live(wanted, seen):
        return (
            f"{seen.live.value} is live, and the sweep puts another of the same Docker image in its place"
            if not seen.is_final
            else (f"{seen.live.value} is live")
        )
    return f"nothing runs for {wanted.environment}; the sweep finds a lost push within 15 minutes"
