"""Commands on instances, and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ami_lifecycle.domain.model import Digest, Frozen


class CommandStatus(StrEnum):
    """Outcome of a command on one instance. UNDELIVERED: it never began there, and will not."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    UNDELIVERED = "undelivered"


class CommandResult(Frozen):
    """A command invocation. Outputs are what SSM keeps: the first 24,000 and 8,000 characters."""

    status: CommandStatus
    status_details: str = ""
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""


class CommandFacts(BaseModel):
    """The JSON line that a document prints last. `packages` is what domain.package_list reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    kind: Literal["provision", "verify"]
    image_digest: Digest
    image_size_bytes: int | None = None
    image_labels: Mapping[str, str] = Field(default_factory=dict)
    os: Mapping[str, str] = Field(default_factory=dict)
    kernel: str | None = None
    docker_version: str | None = None
    free_bytes: int | None = None
    boot_to_healthy_seconds: float | None = None
    first_read_seconds: float | None = None
    packages: str | None = None
    packages_problem: str | None = None
