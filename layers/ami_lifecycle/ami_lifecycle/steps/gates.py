"""The gates in front of a publication."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ami_lifecycle.domain.gates import GateResult
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.ports import Decisions


class Gate(Protocol):
    """One gate."""

    def result(self, plan: BuildPlan, image: Image) -> GateResult | None:
        """What it says of an image that it lets pass; None where the environment does not have this gate.

        Raises:
            RefusedError: one of its subclasses, with what to do; it does not let the image pass.
        """


def pass_gates(gates: Iterable[Gate], plan: BuildPlan, image: Image) -> dict[str, dict[str, Any]]:
    """Hold disks that an environment has not published yet against its gates; what is kept of their answers.

    Raises:
        RefusedError: a gate does not let the image pass.
    """
    results = [gate.result(plan, image) for gate in gates]
    return {result.gate.value: dict(result.facts) for result in results if result is not None}


def gates_of(settings: EnvironmentSettings, decisions: Decisions) -> Iterator[Gate]:
    """The gates that the settings name. Without any, nothing of them is imported."""
    if settings.approval.is_on:
        from ami_lifecycle.steps.approval_gate import ApprovalGate  # noqa: PLC0415

        yield ApprovalGate(decisions)
    if settings.scan_gate is not None:
        from ami_lifecycle.steps.planned_scan import PlannedScan  # noqa: PLC0415

        yield PlannedScan()
