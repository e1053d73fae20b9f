"""Derived names, by which a retried step finds what an earlier attempt created."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from ami_lifecycle.domain.model import Role


class ParameterNames(NamedTuple):
    """Names of the parameters that an environment publishes; consumers know them, so they never change."""

    application: str
    environment: str

    @property
    def prefix(self) -> str:
        """Path that all of them are below."""
        return f"/{self.application}/ami/{self.environment}"

    @property
    def latest(self) -> str:
        """The parameter that names the live image."""
        return f"{self.prefix}/latest"

    @property
    def metadata(self) -> str:
        """The parameter that describes the live image."""
        return f"{self.prefix}/metadata"

    @property
    def history(self) -> str:
        """Path below which each image that was published has its record."""
        return f"{self.prefix}/history"

    def record(self, image_id: str) -> str:
        """The history record of an image."""
        return f"{self.history}/{image_id}"


def _short_hash(*parts: str, length: int) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:length]


def approval_id(environment: str, *subject: str) -> str:
    """Id of an approval: the environment, and a hash of what is approved."""
    return f"{environment}-{_short_hash(*subject, length=12)}"


def run_id(execution_arn: str, digest: str | None) -> str:
    """Short name of a run: part of the digest, and a hash of the execution (at most 21 characters)."""
    run = _short_hash(execution_arn, length=8)
    return f"{digest.removeprefix('sha256:')[:12]}-{run}" if digest else run


def client_token(execution_arn: str, role: Role, instance_type: str, subnet_id: str, attempt: int) -> str:
    """RunInstances client token: 64 ASCII characters (EC2 API reference, RunInstances).

    A token returns a terminated instance as well, and is zonal, so attempt and subnet are part of it.
    """
    return _short_hash(execution_arn, role.value, instance_type, subnet_id, str(attempt), length=64)


# Purpose of an execution that begins with a request that has waited.
QUEUED: Final = "queued"


def execution_name(environment: str, purpose: str, *parts: str) -> str:
    """Name of an execution that we start; the same parts give the same execution.

    At most 80 characters (Step Functions API reference, StartExecution).
    """
    name = f"{environment}-{purpose}-{_short_hash(*parts, length=16)}"
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[-80:]


def is_of_queued_request(name: str) -> bool:
    """Whether an execution of this name may have begun with a request that has waited."""
    return f"-{QUEUED}-" in name


def document_comment(purpose: str, run: str, number: int = 1) -> str:
    """Comment of a command, by which a lost SendCommand is found again; at most 100 characters.

    A command that replaces an undelivered one has another number, so that the undelivered one is not found.
    """
    again = f" ({number})" if number > 1 else ""
    return f"ami-lifecycle {purpose} {run}{again}"[:100]
