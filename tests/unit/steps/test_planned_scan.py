"""The vulnerability gate right before the first write of a publication."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.test_publishing import Build

from ami_lifecycle.domain.gates import GateName, GateResult
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.scan_settings import ScanSettings
from ami_lifecycle.domain.scans import ScanFacts
from ami_lifecycle.errors import ImageNotScannedError
from ami_lifecycle.steps.planned_scan import PlannedScan

DIGEST = "sha256:" + "1" * 64
FACTS = ScanFacts(digest=DIGEST, scanner="basic", findings={"low": 2})


@pytest.fixture
def build() -> Build:
    return Build()


def a_plan(build: Build, *, enabled: bool = True, **changes: Any) -> BuildPlan:
    """The plan of a build, with a gate."""
    plan: BuildPlan = build.held["plan"]
    settings = plan.configured.model_copy(update={"scan": ScanSettings(enabled=enabled)})
    return plan.model_copy(update={"settings": settings, **changes})


def test_without_a_gate_nothing_is_kept(build: Build) -> None:
    plan = a_plan(build, enabled=False, scan=FACTS)
    assert PlannedScan().result(plan, build.candidate) is None


def test_what_the_plan_says_is_kept(build: Build) -> None:
    assert PlannedScan().result(a_plan(build, scan=FACTS), build.candidate) == GateResult(
        gate=GateName.SCAN, facts={"digest": DIGEST, "scanner": "basic", "findings": {"low": 2}}
    )


@pytest.mark.parametrize("action", [Action.BUILD, Action.PROMOTE])
def test_a_plan_that_says_nothing_of_a_scan_publishes_nothing(build: Build, action: Action) -> None:
    with pytest.raises(ImageNotScannedError) as refused:
        PlannedScan().result(a_plan(build, action=action), build.candidate)
    assert str(refused.value) == (
        f"{build.candidate.image_id} is not published: prod asks for a vulnerability scan (scan), and the plan has "
        "none, so it was made without it; build again"
    )


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.UNDELETE])
def test_what_is_only_told_lets_no_new_disks_pass(build: Build, action: Action) -> None:
    with pytest.raises(ImageNotScannedError):
        PlannedScan().result(a_plan(build, action=action, scan=FACTS), build.candidate)
