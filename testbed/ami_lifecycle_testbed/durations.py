"""Durations of this service's builds in the emulated account."""

from __future__ import annotations

from dataclasses import dataclass

from aws_emulator.durations import Durations


@dataclass(frozen=True)
class BuildDurations(Durations):
    """Durations of the emulated account, and of what is done on builders and canaries, in emulated seconds.

    Attributes:
        canary_online: from RunInstances until the SSM agent of a canary reports.
        provision: what the document `ProvisionImage` takes.
        verify: what the document `VerifyImage` takes.
    """

    canary_online: float = 40.0
    provision: float = 120.0
    verify: float = 20.0

    def agent_online_of(self, role: str) -> float:
        """From RunInstances until the SSM agent of an instance of a role reports."""
        return self.canary_online if role == "canary" else self.agent_online
