"""The gates in front of a publication: where they are asked, and what is kept of their answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.steps.account import an_image
from tests.unit.steps.test_publishing import Build, a_copy

from ami_lifecycle.domain.gates import GateName, GateResult
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.plan import BuildPlan, Promotion
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import RefusedError
from ami_lifecycle.steps.gates import Gate
from ami_lifecycle.steps.publish_image import PublishInput

FACTS = {"id": "prod-1", "by": "ann"}


@dataclass
class Approval:
    """An approval that is there or not, and what it was asked about."""

    is_given: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def result(self, plan: BuildPlan, image: Image) -> GateResult | None:
        self.asked.append((plan.environment, image.image_id))
        if not self.is_given:
            raise RefusedError("nobody has approved it")
        return GateResult(gate=GateName.APPROVAL, facts=FACTS)


class NoScan:
    """A gate that the environment does not have."""

    def result(self, plan: BuildPlan, image: Image) -> GateResult | None:
        return None


def publish(build: Build, *gates: Gate, image: Image | None = None, **changes: Any) -> Any:
    values = {"image_id": (image or build.candidate).image_id, "verified": build.verified}
    step = PublishInput(**build.held, **values | changes)
    return replace(build.execution.publisher(step), gates=gates).publish()


@pytest.fixture
def build() -> Build:
    return Build()


def test_what_a_gate_does_not_let_pass_is_not_published(build: Build) -> None:
    with pytest.raises(RefusedError, match="nobody has approved it"):
        publish(build, Approval(is_given=False))
    assert build.written() == [], "not even a number is used up"
    assert build.account.latest == build.old.image_id


def test_metadata_and_history_keep_what_the_gates_have_said(build: Build) -> None:
    approval = Approval()
    publish(build, NoScan(), approval)
    assert approval.asked == [("prod", build.candidate.image_id)]
    record = build.account.history(build.candidate.image_id)
    assert record is not None
    assert record.gates == build.account.metadata.gates == {"approval": FACTS}


def test_the_same_disks_under_another_name_are_not_asked_about_again(build: Build) -> None:
    publish(build, Approval())
    gates = Approval(is_given=False)
    publish(build, gates)
    copy = a_copy(build)
    publish(build, gates, image=copy, copy_of=build.candidate.image_id)
    assert gates.asked == []
    assert build.account.metadata.gates == {"approval": FACTS}


def test_without_gates_nothing_is_kept_of_them(build: Build) -> None:
    build.publish()
    assert build.account.metadata.gates == {}


@pytest.mark.parametrize("same", [True, False])
def test_what_is_undeleted_has_passed_if_it_is_the_very_disks(build: Build, same: bool) -> None:
    retired = an_image(
        7, digest=build.digest, snapshot_ids=build.candidate.snapshot_ids if same else ("snap-7",)
    )
    build.account.record(retired, status=RecordStatus.RETIRED)
    promotion = Promotion(environment="prod", image_id=retired.image_id, release="arn:e7", built_for="prod")
    build.plan = build.plan.model_copy(update={"action": Action.UNDELETE, "promotion": promotion})
    approval = Approval(is_given=False)
    if same:
        publish(build, approval)
        assert build.account.latest == build.candidate.image_id
    else:
        with pytest.raises(RefusedError, match="nobody has approved it"):
            publish(build, approval)
    assert len(approval.asked) == (0 if same else 1)
