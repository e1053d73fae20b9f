"""The events that others build on: which are sent when, and that their shape stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.domain.builders import settings as make_settings

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction, Retirement
from ami_lifecycle.domain.outcomes import (
    OUTCOMES,
    RollbackPerformed,
    merged_decisions,
    outcome_of_failure,
    outcomes_of_release,
    unwrapped,
)
from ami_lifecycle.domain.package_summary import PackageSummary
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.result import CleanUpResult, ReleaseResult
from ami_lifecycle.domain.scans import ScanFacts
from ami_lifecycle.steps.release_environment import ReleaseInput

NEW, OLD, USED = "ami-0123456789abcde02", "ami-0123456789abcde01", "ami-0123456789abcde00"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:build-image:run"


def announced(*, trigger: Trigger = Trigger.PUSH, action: Action = Action.BUILD, **result: Any) -> list[Any]:
    """The events of an execution that went well."""
    request = BuildRequest(environment="prod", trigger=trigger, pin=trigger is Trigger.ROLLBACK, reason="bad")
    plan = BuildPlan(
        action=action,
        trigger=trigger,
        environment="prod",
        reasons=("because",),
        settings=make_settings(),
        request=request,
    )
    step = ReleaseInput(plan=plan, execution_arn=EXECUTION, claim_number=1, state_machine_arn="arn")
    return outcomes_of_release(step, ReleaseResult(environment="prod", action=action, **result))


def test_a_publication_is_announced_with_what_it_replaces() -> None:
    (event,) = announced(image_id=NEW, replaced=OLD)
    assert event.detail_type == "Image Published"
    assert (event.image_id, event.replaced, event.region) == (NEW, OLD, "eu-central-1")
    assert event.parameter.endswith("/ami/prod/latest")


def test_a_rollback_is_announced_beside_its_publication() -> None:
    published, rolled_back = announced(
        trigger=Trigger.ROLLBACK, action=Action.PUBLISH, image_id=OLD, replaced=NEW
    )
    assert published.detail_type == "Image Published"
    assert rolled_back.detail_type == "Rollback Performed"
    assert (rolled_back.pinned, rolled_back.reason) == (True, "bad")


def test_each_image_that_went_or_could_not_go_is_announced() -> None:
    decisions = (
        Decision(image_id=OLD, action=RetireAction.RETIRE, reason="nothing uses it"),
        Decision(
            image_id=USED, action=RetireAction.KEEP, reason="in use: launch template lt-1", blocked=True
        ),
        Decision(
            image_id=NEW, action=RetireAction.KEEP, reason="previous image 1 of 1 that the settings keep"
        ),
    )
    events = announced(action=Action.RETIRE, decisions=decisions)
    assert [(event.detail_type, event.image_id) for event in events] == [
        ("Image Retired", OLD),
        ("Retirement Blocked", USED),
    ]


def test_of_one_image_the_last_decision_counts() -> None:
    first = Retirement(decisions=(Decision(image_id=OLD, action=RetireAction.KEEP, reason="in use"),))
    second = Retirement(
        decisions=(Decision(image_id=OLD, action=RetireAction.RETIRE, reason="nothing uses it"),)
    )
    assert merged_decisions((first, None, second)) == second.decisions


def test_a_failure_names_error_and_cause() -> None:
    result = CleanUpResult(error="VerificationFailedError", cause="it answered 500", released=("prod",))
    event = outcome_of_failure("comfyui", EXECUTION, result)
    assert (event.detail_type, event.environment, event.error) == (
        "Build Failed",
        "prod",
        "VerificationFailedError",
    )


def test_a_failure_before_the_environment_was_known_has_none() -> None:
    assert outcome_of_failure("comfyui", EXECUTION, CleanUpResult(error="E", cause="c")).environment is None


# Whoever listens has written these names down, so they are never taken away.
FIELDS = {
    "Image Published": {"image_id", "image_digest", "replaced", "parameter", "trigger", "reasons"},
    "Rollback Performed": {"image_id", "replaced", "pinned", "reason"},
    "Build Failed": {"error", "cause"},
    "Image Retired": {"image_id", "reason"},
    "Retirement Blocked": {"image_id", "reason"},
    "Clean-Up Blocked": {"resource", "error", "reason"},
    "Approval Requested": {"approval_id", "image_digest", "release", "promoted_from", "expires_at"},
    "Approval Superseded": {"approval_id", "superseded_by"},
    "Approval Approved": {"approval_id", "decided_by", "reason", "started_execution"},
    "Approval Rejected": {"approval_id", "decided_by", "reason"},
    "Approval Expired": {"approval_id", "expired_at"},
}
COMMON = {"schema_version", "application", "environment", "region", "execution_arn"}


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.detail_type)
def test_an_event_keeps_its_fields(outcome: Any) -> None:
    assert set(outcome.model_fields) >= FIELDS[outcome.detail_type] | COMMON


def test_an_event_says_its_version() -> None:
    (event,) = announced(image_id=NEW)
    assert json.loads(event.model_dump_json())["schema_version"] == 1


def test_a_retirement_that_ends_with_another_name_announces_the_new_id() -> None:
    events = announced(action=Action.RETIRE, trigger=Trigger.RECONCILE, image_id=NEW, replaced=OLD)
    assert [event.detail_type for event in events] == ["Image Published"]


def test_a_publication_says_what_its_scan_has_found() -> None:
    scan = ScanFacts(digest="sha256:1", scanner="basic", findings={"low": 1})
    (published,) = announced(image_id=OLD, scan=scan)
    assert published.model_dump(mode="json")["scan"] == scan.model_dump(mode="json")


def test_a_publication_and_its_rollback_say_all_that_is_known() -> None:
    packages = PackageSummary(problem="no bucket")
    published, rolled_back = announced(
        trigger=Trigger.ROLLBACK,
        action=Action.PUBLISH,
        image_id=OLD,
        image_digest="sha256:1",
        release="arn:maker",
        promoted_from="staging",
        packages=packages,
        replaced=NEW,
    )
    about = {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "eu-central-1",
        "execution_arn": EXECUTION,
        "image_id": OLD,
        "replaced": NEW,
    }
    assert published.model_dump(mode="json") == about | {
        "scan": None,
        "image_digest": "sha256:1",
        "release": "arn:maker",
        "promoted_from": "staging",
        "packages": packages.model_dump(mode="json"),
        "parameter": "/comfyui/ami/prod/latest",
        "trigger": "rollback",
        "reasons": ["because"],
    }
    assert rolled_back.model_dump(mode="json") == about | {"pinned": True, "reason": "bad", "alarm": None}


@pytest.mark.parametrize(
    ("request_", "pinned", "reason"),
    [
        (None, False, ""),
        (BuildRequest(environment="prod"), False, ""),
        (BuildRequest(environment="prod", pin=True, reason="bad model"), True, "bad model"),
    ],
)
def test_a_rollback_tells_whether_it_is_pinned_and_the_reason_if_there_is_one(
    request_: BuildRequest | None, pinned: bool, reason: str
) -> None:
    plan = BuildPlan(
        action=Action.PUBLISH,
        trigger=Trigger.ROLLBACK,
        environment="prod",
        reasons=(),
        settings=make_settings(),
        request=request_,
    )
    step = ReleaseInput(plan=plan, execution_arn=EXECUTION, claim_number=1, state_machine_arn="arn")
    result = ReleaseResult(environment="prod", action=Action.PUBLISH, image_id=OLD)
    rolled_back = outcomes_of_release(step, result)[1]
    assert isinstance(rolled_back, RollbackPerformed)
    assert (rolled_back.pinned, rolled_back.reason) == (pinned, reason)


def test_what_aws_refused_is_announced_once() -> None:
    decision = Decision(image_id=OLD, action=RetireAction.KEEP, reason="in use", blocked=True)
    refusals = (
        Blocked(resource=OLD, error="AccessDenied", reason="in use"),
        Blocked(resource="snap-1", error="InUse", reason="EC2 refuses it"),
    )
    image, snapshot = announced(action=Action.RETIRE, decisions=(decision,), blocked=refusals)
    assert (image.detail_type, image.image_id, image.reason) == ("Retirement Blocked", OLD, "in use")
    assert snapshot.model_dump() == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "eu-central-1",
        "execution_arn": EXECUTION,
        "resource": "snap-1",
        "error": "InUse",
        "reason": "EC2 refuses it",
    }


def test_a_failure_says_all_that_is_known() -> None:
    result = CleanUpResult(error="SettingsError", cause="wrong", released=("prod", "dev"))
    assert outcome_of_failure("comfyui", EXECUTION, result).model_dump() == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "eu-central-1",
        "execution_arn": EXECUTION,
        "error": "SettingsError",
        "cause": "wrong",
    }


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (
            '{"errorMessage": "disk full", "errorType": "ProvisioningFailedError"}',
            ("ProvisioningFailedError", "disk full"),
        ),
        ('{"errorMessage": "disk full"}', ("States.TaskFailed", "disk full")),
        ('{"errorMessage": 5, "errorType": ""}', ("States.TaskFailed", "5")),
        ("plain words", ("States.TaskFailed", "plain words")),
        ("", ("States.TaskFailed", "")),
        ('["errorMessage"]', ("States.TaskFailed", '["errorMessage"]')),
        ('{"other": 1}', ("States.TaskFailed", '{"other": 1}')),
    ],
)
def test_what_lambda_wraps_is_told_as_it_was_raised(cause: str, expected: tuple[str, str]) -> None:
    """Lambda developer guide, error handling: errorMessage, errorType and stackTrace."""
    assert unwrapped("States.TaskFailed", cause) == expected
