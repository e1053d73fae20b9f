"""The vulnerability gate right before a publication: what the plan was let pass with."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.domain.gates import GateName, GateResult
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import ImageNotScannedError

# They publish disks that the environment has not published yet.
_NEW: Final = frozenset({Action.BUILD, Action.PROMOTE})


class PlannedScan:
    """Lets pass whose plan says what the scan has found; the plan was refused otherwise."""

    def result(self, plan: BuildPlan, image: Image) -> GateResult | None:
        """What the plan says; None where the environment does not ask for scans.

        Raises:
            ImageNotScannedError: the plan says nothing.
        """
        if plan.configured.scan_gate is None:
            return None
        # Of the others, disks that were published before ask nobody.
        if plan.scan is not None and plan.action in _NEW:
            return GateResult(
                gate=GateName.SCAN, facts=plan.scan.model_dump(mode="json", exclude_defaults=True)
            )
        raise ImageNotScannedError(
            f"{image.image_id} is not published: {plan.environment} asks for a vulnerability scan (scan), and the plan "
            "has none, so it was made without it; build again"
        )
