"""Values with defaults, so that a test names only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord, FailedAttempts, Pin
from ami_lifecycle.domain.launch import LaunchRequest
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    BlockDevice,
    Image,
    ImageState,
)
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.domain.settings import EnvironmentSettings

ACCOUNT_ID = "123456789012"
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32
NAME = "comfyui-multitenant-prod"


def image_id(number: int) -> str:
    return f"ami-{number:017x}"


def digest_of(number: int) -> str:
    return f"sha256:{number:064x}"


def published(build: int, number: int, *, rolled_back: bool = False) -> HistoryRecord:
    """The record of this build, last published under this number."""
    return HistoryRecord(
        ami_id=image_id(build),
        docker_image="registry/comfyui",
        environment="prod",
        creation_date=f"2026-01-{build:02d}T00:00:00Z",
        branch=None,
        commit_sha=None,
        region="us-east-1",
        workflow_run_id="run",
        workflow_run_number=str(number),
        image_digest=digest_of(build),
        rolled_back=rolled_back,
    )


def an_image(
    number: int = 1,
    *,
    name: str = NAME,
    tags: dict[str, str] | None = None,
    digest: str = DIGEST,
    environment: str = "prod",
    snapshot_ids: tuple[str, ...] | None = None,
    **changes: Any,
) -> Image:
    """An available image of the environment."""
    ids = (f"snap-{number:017x}",) if snapshot_ids is None else snapshot_ids
    own = {
        TAG_APPLICATION: "comfyui",
        TAG_ENVIRONMENT: environment,
        TAG_DIGEST: digest,
        "Name": f"comfyui-multitenant-{environment}",
    }
    values: dict[str, Any] = {
        "image_id": image_id(number),
        "name": name,
        "state": ImageState.AVAILABLE,
        "owner_id": ACCOUNT_ID,
        "creation_date": NOW,
        "block_devices": tuple(
            BlockDevice(device_name=f"/dev/sd{chr(ord('a') + index)}1", snapshot_id=found, volume_size=40)
            for index, found in enumerate(ids)
        ),
        "tags": own if tags is None else tags,
    }
    return Image(**values | changes)


def settings(**changes: Any) -> EnvironmentSettings:
    """Settings of prod."""
    values = {
        "application": "comfyui",
        "environment": "prod",
        "repository": "comfyui",
        "image_tag": "prod-latest",
        "image_name": NAME,
    }
    return EnvironmentSettings.model_validate(values | changes)


def live(image: Image | None = None, problem: str = "`latest` does not exist yet") -> Live:
    """What `latest` says: an image that can be launched, or nothing."""
    if image is None:
        return Live(value=None, problem=problem)
    return Live(value=image.image_id, image=image)


def a_request(**changes: Any) -> BuildRequest:
    return BuildRequest(**{"environment": "prod"} | changes)


def a_launch(**changes: Any) -> LaunchRequest:
    values: dict[str, Any] = {
        "client_token": "token",
        "image_id": image_id(1),
        "instance_type": "m5.large",
        "subnet_id": "subnet-1",
        "security_group_ids": ("sg-1",),
        "instance_profile_arn": f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/builder",
        "root_device_name": "/dev/sda1",
        "root_volume_gib": 40,
        "volume_type": "gp3",
        "iops": 3000,
        "throughput": 250,
        "user_data": "",
        "tags": {"Name": "builder"},
    }
    return LaunchRequest(**values | changes)


def a_claim(digest: str | None = DIGEST, action: Action = Action.BUILD, **changes: Any) -> Claim:
    values = {
        "execution_arn": f"arn:aws:states:us-east-1:{ACCOUNT_ID}:execution:build-image:holder",
        "number": 1,
        "action": action,
        "digest": digest,
        "claimed_at": NOW,
        "lease_until": NOW,
    }
    return Claim.model_validate(values | changes)


def a_record(**changes: Any) -> EnvironmentRecord:
    return EnvironmentRecord.model_validate({"environment": "prod"} | changes)


def a_pin(**changes: Any) -> Pin:
    return Pin.model_validate({"image_id": image_id(1), "at": NOW, "reason": "bad model"} | changes)


def failures(count: int, digest: str = DIGEST) -> FailedAttempts:
    return FailedAttempts(digest=digest, count=count)
