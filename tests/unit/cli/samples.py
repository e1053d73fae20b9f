"""Environments, records and builds as the commands see them; a test names what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from ami_lifecycle.domain.approval import ApprovalFacts, ApprovalRecord, ApprovalRequest, Decision, Subject
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.model import TAG_DIGEST, Image, ImageState
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle_cli.stack import builds
from ami_lifecycle_cli.stack.observation import Observation
from ami_lifecycle_cli.stack.reporting.report_data import GROUPS, Build, EnvironmentReport
from ami_lifecycle_cli.stack.runs import Run

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
MACHINE = "arn:aws:states:us-east-1:123456789012:execution:ami-lifecycle-build-image"


def image_id(number: int) -> str:
    return f"ami-{number:017x}"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def a_record(number: int, **changes: Any) -> HistoryRecord:
    """The record of the image with this number, built at this hour."""
    made = (NOW - timedelta(hours=100 - number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    values: dict[str, Any] = {
        "ami_id": image_id(number),
        "docker_image": "registry/comfyui:prod-latest",
        "environment": "prod",
        "creation_date": made,
        "branch": "main",
        "commit_sha": f"{number:040x}",
        "region": "us-east-1",
        "workflow_run_id": f"run-{number}",
        "workflow_run_number": str(number),
        "image_digest": digest(number),
        "base_ami_id": image_id(number - 1),
        "verified_at": made,
        "status": RecordStatus.RETIRED,
        "status_since": made,
    }
    return HistoryRecord.model_validate({**values, **changes})


def a_live(number: int) -> Live:
    """`latest` names the image with this number."""
    image = Image(
        image_id=image_id(number),
        name="comfyui-multitenant-prod",
        state=ImageState.AVAILABLE,
        creation_date=NOW,
        tags={TAG_DIGEST: digest(number)},
    )
    return Live(value=image.image_id, image=image)


def an_observation(**changes: Any) -> Observation:
    values: dict[str, Any] = {
        "environment": "prod",
        "live": a_live(3),
        "metadata": a_record(3),
        "record": EnvironmentRecord(environment="prod"),
        "history": a_record(3, status=RecordStatus.LIVE),
        "state": None,
        "decisions": (),
        "drift": (),
    }
    return Observation(**{**values, **changes})


def a_run(number: int = 1, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "arn": f"{MACHINE}:run-{number}",
        "status": "SUCCEEDED",
        "started": NOW - timedelta(hours=100 - number),
        "stopped": NOW - timedelta(hours=100 - number) + timedelta(minutes=6),
        "environment": "prod",
        "trigger": Trigger.PUSH,
        "action": Action.BUILD,
        "output": {"action": "build", "image_id": image_id(number)},
        "error": None,
        "cause": None,
    }
    return Run(**{**values, **changes})


def a_build(number: int = 1, **changes: Any) -> Build:
    details = builds.Build(a_run(number, **changes), (), None)
    return Build(details, 360.0, dict.fromkeys(GROUPS, 60.0))


def a_report(**changes: Any) -> EnvironmentReport:
    values: dict[str, Any] = {
        "observation": an_observation(),
        "records": (a_record(3, status=RecordStatus.LIVE), a_record(2), a_record(1, build_mode="fresh")),
        "passing": (),
        "builds": (
            a_build(3),
            a_build(2, status="FAILED", output={}, error="E", cause="because"),
            a_build(1),
        ),
        "machine_arn": MACHINE.replace(":execution:", ":stateMachine:"),
    }
    return EnvironmentReport(**{**values, **changes})


def an_answer(wanted: Subject, **changes: Any) -> Decision:
    values: dict[str, Any] = {"approved": False, "by": "ann", "at": NOW, "asked_at": NOW, "reason": "too old"}
    return Decision(subject=wanted, **{**values, **changes})


def a_request(wanted: Subject) -> ApprovalRequest:
    return ApprovalRequest(
        subject=wanted,
        facts=ApprovalFacts(digest=wanted.digest or "", docker_image="comfyui"),
        request=BuildRequest(environment="prod"),
        asked_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        execution_arn="arn:asks",
    )


def an_asking_stack(of: str, *, asked: Subject | None = None, decided: Decision | None = None) -> Any:
    """The tag names a digest; somebody was asked, or has decided."""
    record = ApprovalRecord(environment="prod", open=a_request(asked) if asked else None)
    return SimpleNamespace(
        repository=SimpleNamespace(digest_of=lambda *_: of),
        documents=None,
        clock=SimpleNamespace(now=lambda: NOW),
        approvals=SimpleNamespace(get=lambda _: record),
        decisions=SimpleNamespace(
            get=lambda wanted: decided if decided is not None and decided.id == wanted else None
        ),
    )
