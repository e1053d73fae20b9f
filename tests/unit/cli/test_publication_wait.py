"""When waiting for a publication ends, and with what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.samples import NOW, a_live, a_run, an_answer, an_asking_stack, digest, image_id
from tests.unit.domain.builders import settings

from ami_lifecycle.domain.approval import Subject
from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.environment import (
    STOPPED_BY_A_PERSON,
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    Pin,
)
from ami_lifecycle.domain.gate_settings import ApprovalSettings
from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import AccessDeniedError, AmiLifecycleError, ThrottledError
from ami_lifecycle_cli.stack import publication_wait
from ami_lifecycle_cli.stack.publication_wait import (
    EXIT_CODES,
    Outcome,
    Verdict,
    WaitObservation,
    WaitTarget,
    verdict_for,
)

THIS = WaitTarget("prod", digest(4))


def a_claim(of: str | None = digest(4), action: Action = Action.BUILD) -> Claim:
    return Claim(
        execution_arn="arn:holder", number=1, action=action, digest=of, claimed_at=NOW, lease_until=NOW
    )


def observation(live: int = 3, *, runs: Any = (), **changes: Any) -> WaitObservation:
    record = {key: changes.pop(key) for key in ("claim", "queued_request", "failed", "pin") if key in changes}
    values: dict[str, Any] = {
        "record": EnvironmentRecord(environment="prod", **record),
        "live": a_live(live),
        "live_commit": f"{live:040x}",
        "is_final": True,
        "tag_digest": digest(4),
        "digest": digest(4),
        "runs": tuple(runs),
    }
    return WaitObservation(**{**values, **changes})


@pytest.mark.parametrize(
    ("target", "observed"),
    [
        (THIS, observation()),  # the push has started nothing yet
        (THIS, observation(claim=a_claim())),
        (THIS, observation(4, claim=a_claim())),  # `latest` names the candidate
        (THIS, observation(4, claim=a_claim(None, Action.RETIRE))),  # the name is being adopted
        (THIS, observation(4, is_final=False)),  # the sweep adopts it
        (THIS, observation(claim=a_claim(digest(3)), pin=Pin(image_id=image_id(3), at=NOW))),
        (THIS, observation(queued_request=BuildRequest(environment="prod"), tag_digest=digest(5))),
        # What failed is tried again at this moment.
        (
            THIS,
            observation(
                failed=FailedAttempts(digest=digest(4), count=1),
                runs=[a_run(9, status="RUNNING", stopped=None)],
            ),
        ),
        (THIS, observation(runs=[a_run(9, digest=digest(3), status="FAILED", error="E")])),
        # It failed with other hooks than the settings have by now.
        (THIS, observation(failed=FailedAttempts(digest=digest(4), count=9), recipe="verify:0123456789ab")),
        (WaitTarget("prod", commit="abcdef0"), observation(3, digest=None, tag_digest=None)),
        # The push of the commit is still to come.
        (WaitTarget("prod", commit="abcdef0"), observation(4)),
        # Somebody has to approve it first, whatever else is known.
        (THIS, observation(waits_for="the approval x", tag_digest=digest(5))),
        (WaitTarget("prod"), observation(4, waits_for="the approval x", takes_promotions=True)),
    ],
)
def test_waiting_goes_on_while_it_can_still_be_published(
    target: WaitTarget, observed: WaitObservation
) -> None:
    assert verdict_for(target, observed) is None


@pytest.mark.parametrize(
    ("observed", "outcome", "words"),
    [
        (observation(4), Outcome.PUBLISHED, image_id(4)),
        # The build of the next one has begun: this one has come as far as it comes.
        (observation(4, claim=a_claim(digest(5)), tag_digest=digest(5)), Outcome.PUBLISHED, image_id(4)),
        (
            observation(
                failed=FailedAttempts(digest=digest(4), count=1, error="ProvisioningFailedError: no")
            ),
            Outcome.FAILED,
            "ProvisioningFailedError: no",
        ),
        (
            observation(failed=FailedAttempts(digest=digest(4), count=STOPPED_BY_A_PERSON)),
            Outcome.STOPPED,
            "stopped by a person",
        ),
        # The plan refused it, before anything was claimed.
        (
            observation(
                runs=[a_run(9, digest=digest(4), status="FAILED", error="ManifestError", cause="bad")]
            ),
            Outcome.FAILED,
            "ManifestError: bad",
        ),
        (
            observation(runs=[a_run(9, digest=digest(4), status="ABORTED", output={})]),
            Outcome.STOPPED,
            "a person or a tool stopped it",
        ),
        (observation(refusal="rejected by ann"), Outcome.NOT_APPROVED, "rejected by ann"),
        (observation(tag_digest=digest(5)), Outcome.SUPERSEDED, f"the tag names {digest(5)[7:19]}"),
        (observation(tag_digest=None), Outcome.SUPERSEDED, "the tag names nothing"),
        (observation(pin=Pin(image_id=image_id(3), at=NOW)), Outcome.PINNED, "ami-lifecycle unpin prod"),
    ],
)
def test_each_end_has_its_outcome_and_its_reason(
    observed: WaitObservation, outcome: Outcome, words: str
) -> None:
    verdict = verdict_for(THIS, observed)
    assert verdict is not None
    assert verdict.outcome is outcome
    assert words in verdict.explanation


def promoted(live: int = 3, **changes: Any) -> WaitObservation:
    """An environment that takes promotions: without a claim, all that is known is what is live."""
    claim = changes.get("claim")
    known = claim.digest if claim is not None else digest(live)
    return observation(live, tag_digest=known, digest=known, takes_promotions=True, **changes)


def a_promotion(**changes: Any) -> Any:
    return a_run(9, trigger=Trigger.MANUAL, action=Action.PROMOTE, digest=None, **changes)


NEWEST_PROMOTION = WaitTarget("prod")


@pytest.mark.parametrize(
    "observed",
    [
        promoted(runs=[a_promotion(status="RUNNING", stopped=None, output={})]),
        promoted(queued_request=BuildRequest(environment="prod")),
        promoted(claim=a_claim(digest(4), Action.PROMOTE)),
        promoted(4, claim=a_claim(digest(4), Action.PROMOTE)),
    ],
)
def test_what_is_live_does_not_end_the_wait_for_a_promotion_that_is_under_way(
    observed: WaitObservation,
) -> None:
    assert verdict_for(NEWEST_PROMOTION, observed) is None


@pytest.mark.parametrize(
    ("observed", "outcome", "words"),
    [
        (promoted(), Outcome.PUBLISHED, image_id(3)),
        (promoted(runs=[a_promotion(output={"action": "promote"})]), Outcome.PUBLISHED, image_id(3)),
        (
            promoted(runs=[a_promotion(status="FAILED", error="CanaryLostError")]),
            Outcome.FAILED,
            "CanaryLost",
        ),
        (promoted(runs=[a_promotion(status="ABORTED", output={})]), Outcome.STOPPED, "a person or a tool"),
        # Pushes build nothing there, and a promotion of what is live changes nothing.
        (promoted(runs=[a_run(9, status="FAILED", error="E")]), Outcome.PUBLISHED, image_id(3)),
        (
            promoted(
                runs=[
                    a_promotion(output={"action": "none"}),
                    a_promotion(status="FAILED", error="CanaryLostError"),
                ]
            ),
            Outcome.FAILED,
            "CanaryLost",
        ),
    ],
)
def test_the_newest_promotion_is_awaited_where_nothing_else_says_what_is_to_come(
    observed: WaitObservation, outcome: Outcome, words: str
) -> None:
    verdict = verdict_for(NEWEST_PROMOTION, observed)
    assert verdict is not None
    assert verdict.outcome is outcome
    assert words in verdict.explanation


def test_what_a_promotion_has_claimed_is_what_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = a_claim(digest(4), Action.PROMOTE)
    record = EnvironmentRecord(environment="prod", claim=claim)
    values: dict[str, Any] = {"environment": "prod", "takes_promotions": True, "recipe": None}
    values["hooks"] = HookSettings()
    values["approval"] = ApprovalSettings()
    stack: Any = SimpleNamespace(
        catalogue=SimpleNamespace(get=lambda _: SimpleNamespace(**values)),
        environments=SimpleNamespace(get=lambda _: record),
        retirement_review=lambda _: SimpleNamespace(can_adopt=lambda _: (False, "")),
        published=lambda _: SimpleNamespace(read_record=lambda _: None),
        client=lambda _: None,
        documents=None,
    )
    monkeypatch.setattr(publication_wait, "read_environment_live", lambda *_: a_live(3))
    observed = publication_wait.observe(stack, NEWEST_PROMOTION)
    assert (observed.digest, observed.takes_promotions) == (digest(4), True)
    assert verdict_for(NEWEST_PROMOTION, observed) is None


def test_what_was_rejected_with_another_base_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = settings(approval={"pushes": True}, base=BaseSettings(preset="debian-12"))
    subject = Subject(environment="prod", digest=digest(3), recipe=asks.recipe)
    monkeypatch.setattr(publication_wait, "read_environment_live", lambda *_: a_live(3))
    runs = SimpleNamespace(running=lambda _: [], newest=lambda *_: [])
    monkeypatch.setattr(publication_wait, "Runs", lambda _: runs)

    def verdict(**changes: Any) -> Verdict | None:
        stack = an_asking_stack(digest(3), **changes)
        stack.catalogue = SimpleNamespace(get=lambda _: asks)
        stack.environments = SimpleNamespace(get=lambda _: EnvironmentRecord(environment="prod"))
        stack.retirement_review = lambda _: SimpleNamespace(can_adopt=lambda _: (False, ""))
        stack.published = lambda _: SimpleNamespace(read_record=lambda _: None)
        return verdict_for(WaitTarget("prod"), publication_wait.observe(stack, WaitTarget("prod")))

    assert verdict() is None, "the sweep asks for it"
    assert verdict(asked=subject) is None
    rejected = verdict(decided=an_answer(subject))
    assert rejected is not None
    assert (rejected.outcome, rejected.explanation) == (Outcome.PUBLISHED, image_id(3))


def test_a_promotion_that_is_not_listed_yet_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = observations(
        monkeypatch, promoted(), promoted(claim=a_claim(digest(4), Action.PROMOTE)), promoted(4)
    )
    verdict = publication_wait.wait(STACK, NEWEST_PROMOTION, 60, reported.append)
    assert (verdict.outcome, verdict.explanation) == (Outcome.PUBLISHED, image_id(4))


def test_a_commit_is_published_when_the_live_image_is_of_it() -> None:
    verdict = verdict_for(WaitTarget("prod", commit=f"{4:040x}"[:30]), observation(4))
    assert verdict is not None
    assert verdict.outcome is Outcome.PUBLISHED


def test_no_two_outcomes_share_an_exit_code_nor_take_that_of_an_error() -> None:
    codes = list(EXIT_CODES.values())
    assert len(set(codes)) == len(codes) == len(Outcome)
    assert not {1, 2, 130} & set(codes)


def observations(monkeypatch: pytest.MonkeyPatch, *found: WaitObservation | AmiLifecycleError) -> list[str]:
    """What is seen, one look after the other; the last one for ever. The lines that are told."""
    left = list(found)

    def observed(_stack: Any, _wanted: WaitTarget) -> WaitObservation:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, AmiLifecycleError):
            raise answer
        return answer

    monkeypatch.setattr(publication_wait, "observe", observed)
    monkeypatch.setattr(publication_wait.time, "sleep", lambda _seconds: None)
    return []


STACK: Any = SimpleNamespace()


def test_bad_news_of_one_look_may_be_a_list_that_is_not_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = observation(tag_digest=digest(5))
    reported = observations(
        monkeypatch,
        moved,
        observation(claim=a_claim()),
        moved,
        observation(4, claim=a_claim()),
        observation(4),
    )
    verdict = publication_wait.wait(STACK, THIS, 60, reported.append)
    assert (verdict.outcome, verdict.explanation) == (Outcome.PUBLISHED, image_id(4))
    assert any("holder holds prod" in line for line in reported)


def test_bad_news_of_two_looks_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = observations(monkeypatch, ThrottledError("slower"), observation(tag_digest=digest(5)))
    assert publication_wait.wait(STACK, THIS, 60, reported.append).outcome is Outcome.SUPERSEDED
    assert "AWS does not answer" in reported[0]


def test_the_time_ends_with_what_was_seen_last(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = observations(monkeypatch, observation())
    verdict = publication_wait.wait(STACK, THIS, 0, reported.append)
    assert verdict.outcome is Outcome.TIMED_OUT
    assert "the sweep finds a lost push" in verdict.explanation


def test_what_may_not_be_read_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = observations(monkeypatch, AccessDeniedError("dynamodb:GetItem"))
    with pytest.raises(AccessDeniedError):
        publication_wait.wait(STACK, THIS, 60, reported.append)
