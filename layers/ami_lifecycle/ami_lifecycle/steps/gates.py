"""The gates in front of a publication."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ami_lifecycle.domain.gates import GateResult
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.plan import BuildPlan


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
