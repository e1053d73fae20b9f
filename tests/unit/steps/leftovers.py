"""What executions leave behind, and how a test looks at what is done about it."""

from __future__ import annotations

from typing import Any

from tests.unit.steps.account import MACHINE, Account, an_image, arn_of

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Image,
    Instance,
    InstanceState,
    Snapshot,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.result import SweepResult
from ami_lifecycle.steps.clean_up_build import CleanUpInput

ENDED = [
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.TIMED_OUT,
    ExecutionStatus.ABORTED,
]
GOING_ON = [ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE]


def findings(result: SweepResult) -> list[str]:
    return [finding.finding for finding in result.findings]


def started(account: Account) -> list[BuildRequest]:
    return [found.request for found in account.world.executions.started]


def tags_of(execution: str) -> dict[str, str]:
    return {
        TAG_APPLICATION: "comfyui",
        TAG_ENVIRONMENT: "prod",
        TAG_EXECUTION: arn_of(execution),
        "Name": "comfyui-multitenant-prod",
    }


def an_orphan_instance(account: Account, execution: str = "gone") -> Instance:
    return account.world.instances.add(
        Instance(
            instance_id="i-0123456789abcdef0",
            state=InstanceState.RUNNING,
            launch_time=account.world.clock.now(),
            tags=tags_of(execution),
        )
    )


def an_orphan_image(account: Account, execution: str = "gone", **changes: Any) -> Image:
    name = "comfyui-multitenant-prod.candidate.orphan"
    values: dict[str, Any] = {
        "name": name,
        "role": "candidate",
        "execution": execution,
        "created": account.world.clock.now(),
    }
    return account.world.images.add(an_image(5, **values | changes))


def an_orphan_snapshot(account: Account, execution: str = "gone", **changes: Any) -> Snapshot:
    values = {
        "snapshot_id": "snap-00000000000000bad",
        "state": "completed",
        "description": "Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0",
        "start_time": account.world.clock.now(),
        "tags": tags_of(execution),
    }
    snapshot = Snapshot.model_validate(values | changes)
    account.world.images.snapshots[snapshot.snapshot_id] = snapshot
    return snapshot


def a_clean_up(name: str = "gone", **changes: str) -> CleanUpInput:
    values = {"execution_arn": arn_of(name), "state_machine_arn": MACHINE}
    return CleanUpInput.model_validate(values | changes)
