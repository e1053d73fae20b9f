"""Durations in the emulated account, in emulated seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


class DurationsError(ValueError):
    """The durations given for the emulator are not usable; the message names the key."""


@dataclass(frozen=True)
class Durations:
    """Durations of the emulated account in emulated seconds.

    Attributes:
        instance_running: from RunInstances or StartInstances to `running`.
        agent_online: from RunInstances or StartInstances until the SSM agent reports.
        first_read_mib: what an instance reads of its root volume until the agent reports, and what it then reads at
            the rate of that volume's initialization; without effect at 0.
        default_initialization: MiB/s of the initialization of a volume for which no rate was asked.
        stop: from StopInstances to `stopped`.
        terminate: from TerminateInstances to `terminated`.
        terminated_visible: how long a terminated instance can still be described.
        image: from CreateImage or CopyImage to `available`.
        image_per_gib: added to `image` for every GiB of the root volume.
        register: from RegisterImage to `available`.
        snapshot: from CreateSnapshot to `completed`.
        consistency: how long a new instance or image cannot be described yet.
        document_active: from CreateDocument to `Active`.
        command_delivery: from SendCommand until the agent begins.
        invocation_visible: from SendCommand until GetCommandInvocation knows the invocation.
        parameter_validation: from PutParameter of an `aws:ec2:image` until it applies or is dropped.
        parameter_recreate: how long the name of a deleted parameter cannot be used.
    """

    instance_running: float = 8.0
    agent_online: float = 40.0
    first_read_mib: float = 0.0
    default_initialization: float = 5.0
    stop: float = 30.0
    terminate: float = 30.0
    terminated_visible: float = 3600.0
    image: float = 240.0
    image_per_gib: float = 0.0
    register: float = 1.0
    snapshot: float = 60.0
    consistency: float = 0.0
    document_active: float = 1.0
    command_delivery: float = 0.3
    invocation_visible: float = 0.5
    parameter_validation: float = 0.3
    parameter_recreate: float = 30.0

    def agent_online_of(self, role: str) -> float:  # noqa: ARG002 - for those who tell roles apart
        """From RunInstances until the SSM agent of an instance of a role reports."""
        return self.agent_online

    def first_read(self, rate: int | None) -> float:
        """What the first read of a root volume adds to the start of an instance.

        Args:
            rate: of the volume's initialization, in MiB/s; None where none was asked for.
        """
        mib_a_second = rate or self.default_initialization
        return self.first_read_mib / mib_a_second if mib_a_second else 0.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build durations from a mapping of some of the names; the others keep their defaults.

        Raises:
            DurationsError: for an unknown name or a value that is not a number of at least 0.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise DurationsError(f"unknown duration {name!r}; known are {', '.join(sorted(known))}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise DurationsError(
                    f"duration {name!r} is {value!r}; it must be a number of seconds, 0 or more"
                )
        return cls(**{name: float(value) for name, value in values.items()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read durations from a JSON file.

        Raises:
            DurationsError: if the file cannot be read, is no JSON object, or holds a bad value.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DurationsError(f"cannot read the durations in {path}: {error}") from error
        if not isinstance(values, dict):
            raise DurationsError(f"{path} must hold one JSON object of durations in seconds")
        return cls.from_mapping(values)
