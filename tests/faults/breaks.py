"""The product broken on purpose: what looks must see it.

A sweep that finds nothing says little until it has been seen to find something. Each break takes away one thing
that keeps a promise, in the code as it is loaded; the process that does it is forked, and ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from tests.faults.cases import Case, Rule
from tests.faults.consumers import CONSUMERS
from tests.faults.forked_runs import Branches
from tests.faults.runner import Result, run_forked
from tests.faults.scenarios import (
    APPROVAL,
    FIRST_BUILD,
    GATED_UPDATE,
    OVERTAKEN_PLAN,
    RETIREMENT,
    SOAKING_UPDATE,
    UPDATE,
    UPDATE_IN_USE,
    Scenario,
    used_by,
)
from tests.faults.world import World

from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.usage import fleets, groups, parameters
from ami_lifecycle.adapters.usage.usage_query import UsageQuery
from ami_lifecycle.domain import launchers, planning, retirement
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.execution import ClaimResult, StepInput, Wait, WaitKind
from ami_lifecycle.domain.launchers import Resolution
from ami_lifecycle.domain.model import TAG_DIGEST, Image, ImageUse, UsageKind
from ami_lifecycle.domain.retirement import PreviousImages
from ami_lifecycle.domain.scans import ScanFacts, Verdict
from ami_lifecycle.steps import claim_environment, scan_gate
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.approval_gate import ApprovalGate
from ami_lifecycle.steps.orphan_removal import OrphanRemover, RemovedOrphans
from ami_lifecycle.steps.retire_images import RetirementReview
from ami_lifecycle.steps.wait_check import WaitCheck, WaitState


class Break(NamedTuple):
    """One thing that is taken away.

    Attributes:
        caught: the promise that is seen broken; None where something else still keeps it.
        rules: the faults that it takes to see it.
    """

    name: str
    caught: str | None
    scenario: Scenario
    apply: Callable[[World], None]
    rules: tuple[Rule, ...] = ()


def _retire_the_live_image(_: World) -> None:
    def previous_images(
        _self: RetirementReview, live: Image, _execution_arn: str | None = None
    ) -> PreviousImages:
        return PreviousImages([], [live])

    RetirementReview.previous_images = previous_images


def _let_any_findings_pass(world: World) -> None:
    world.scan_pushes(60, {"id": "CVE-2026-1", "severity": "CRITICAL"})

    def judge(digest: str, *_: object) -> Verdict:
        return Verdict(ScanFacts(digest=digest, scanner="basic"))

    scan_gate.judge = judge


def _keep_nothing_while_it_soaks(_: World) -> None:
    RetirementReview._soaking = lambda *_: {}


def _take_any_verification_for_a_good_one(_: World) -> None:
    honest = WaitCheck._check_command

    def look(self: WaitCheck, wait: Wait) -> WaitState:
        if wait.kind is not WaitKind.VERIFICATION:
            return honest(self, wait)
        canary = self.instances.get(wait.instance_id or "")
        assert canary is not None
        return WaitState(is_done=True, output={"kind": "verify", "image_digest": canary.tags[TAG_DIGEST]})

    WaitCheck._check_command = look


def _take_what_cannot_be_read_for_no_use(_: World) -> None:
    honest = UsageQuery.add

    def add(self: UsageQuery, found: Iterable[tuple[str, ImageUse]]) -> None:
        honest(self, ((image_id, use) for image_id, use in found or () if use.kind is not UsageKind.UNKNOWN))

    UsageQuery.add = add


def _ignore(kind: UsageKind) -> Callable[[World], None]:
    """Uses of a kind that are seen, and protect nothing."""

    def apply(_: World) -> None:
        honest = retirement._protects
        retirement._protects = lambda use, *more: use.kind is not kind and honest(use, *more)

    return apply


def _see_nothing(module: Any, reader: str) -> Callable[[World], None]:
    """A look-up that is made, and whose answers are not read."""
    honest = getattr(module, reader)

    def apply(_: World) -> None:
        def read(*arguments: Any) -> list[Any]:
            list(honest(*arguments))
            return []

        setattr(module, reader, read)

    return apply


def _see_no_versions_by_number(_: World) -> None:
    launchers._users_by_number = lambda *_: {}


def _take_aliases_for_empty(_: World) -> None:
    launchers._resolved = lambda image, _: Resolution(value=None if image.startswith("resolve:") else image)


def _ask_nobody(_: World) -> None:
    ApprovalCheck.plan = lambda _self, plan, *_more: plan


def _ask_nobody_and_let_everything_pass(world: World) -> None:
    _ask_nobody(world)
    ApprovalGate.result = lambda *_: None


def _clean_nothing_up(_: World) -> None:
    OrphanRemover.remove = lambda _self, _arn, **_: RemovedOrphans()


def _forget_what_is_published(_: World) -> None:
    planning.is_published = lambda *_: False


def _carry_out_whatever_was_planned(_: World) -> None:
    honest = claim_environment._claim_free

    def claim(step: StepInput, record: EnvironmentRecord, *ports: Any) -> ClaimResult:
        believed = step.plan.model_copy(update={"fencing": record.fencing})
        return honest(step.model_copy(update={"plan": believed}), record, *ports)

    claim_environment._claim_free = claim


def _find_everybodys_images(_: World) -> None:
    def find(self: Ec2Images, _tags: Mapping[str, str]) -> list[Image]:
        return self._own([])

    Ec2Images.find = find
    Image.is_copy = property(lambda _: False)


def _find_everybodys_images_with_every_permission(world: World) -> None:
    _find_everybodys_images(world)
    world.simulation.enforcement._enabled = False


_REFUSED_LOOK: Rule = {
    "kind": "error",
    "operation": "DescribeImageReferences",
    "caller": "RetireImagesFunction",
    "code": "UnauthorizedOperation",
    "status": 403,
}
_PUSHED_TWICE: Rule = {"kind": "event", "source": "aws.ecr", "effect": "repeat", "seconds": 600}
_ABORTED: Rule = {"kind": "execution_ends", "state": "Verify Image", "status": "ABORTED", "after": 1.5}
_BAD_IMAGE: Rule = {"kind": "command_fails", "document": "VerifyImage", "times": None}

UNSEEN: Mapping[str, Callable[[World], None]] = {
    "a version that a group names": _see_no_versions_by_number,
    "an override of a group": _see_nothing(groups, "read_groups"),
    "an instance refresh": _see_nothing(groups, "read_refreshes"),
    "a launch configuration": _see_nothing(groups, "read_launch_configurations"),
    "a fleet": _see_nothing(fleets, "read_fleets"),
    "a Spot Fleet request": _see_nothing(fleets, "read_spot_fleets"),
    "a Spot Instance request": _see_nothing(fleets, "read_spot_requests"),
    "a parameter of data type text": _see_nothing(parameters, "read_parameters"),
    "an alias with a version": _take_aliases_for_empty,
    "a launch permission": _ignore(UsageKind.LAUNCH_PERMISSION),
}
BREAKS: Mapping[str, Break] = {
    each.name: each
    for each in (
        Break("the live image is retired", "P1", UPDATE, _retire_the_live_image),
        Break(
            "a failed verification passes",
            "P2",
            UPDATE,
            _take_any_verification_for_a_good_one,
            (_BAD_IMAGE,),
        ),
        Break(
            "a use that cannot be read is none",
            "P3",
            UPDATE,
            _take_what_cannot_be_read_for_no_use,
            (_REFUSED_LOOK,),
        ),
        Break("launch templates are no use", "P3", UPDATE_IN_USE, _ignore(UsageKind.LAUNCH_TEMPLATE)),
        *(
            Break(f"{name} is no use", "P3", UPDATE._replace(prepare=used_by(CONSUMERS[name])), apply)
            for name, apply in UNSEEN.items()
        ),
        Break("nothing is kept while it soaks", "P3", SOAKING_UPDATE, _keep_nothing_while_it_soaks),
        Break("nothing is cleaned up", "P4", UPDATE, _clean_nothing_up, (_ABORTED,)),
        Break(
            "what is published is not known", "P5", FIRST_BUILD, _forget_what_is_published, (_PUSHED_TWICE,)
        ),
        Break("a plan that others overtook is built", "P5", OVERTAKEN_PLAN, _carry_out_whatever_was_planned),
        Break("whatever a scan has found passes", "P7", GATED_UPDATE, _let_any_findings_pass),
        Break(
            "everybody's images are retired", "P6", RETIREMENT, _find_everybodys_images_with_every_permission
        ),
        Break("nobody is asked", "P7", APPROVAL, _ask_nobody_and_let_everything_pass),
        Break("nobody is asked, and the gate is shut", None, APPROVAL, _ask_nobody),
        Break(
            "everybody's images are retired, with our permissions", None, RETIREMENT, _find_everybodys_images
        ),
    )
}


def try_break(world: World, broken: Break) -> Result:
    """Try one break in a process of its own."""

    def work() -> str:
        broken.scenario.prepare(world)
        broken.apply(world)
        case = Case("broken", broken.name, broken.rules)
        (result,) = Branches(world, broken.scenario, [case], 1, lambda _: None).try_all()
        return json.dumps(asdict(result))

    content = run_forked(work)
    try:
        return Result(**json.loads(content))
    except ValueError as error:
        raise AssertionError(f"{broken.name}: {content}") from error


def is_caught(broken: Break, result: Result) -> bool:
    """Whether what looks saw the promise broken, or, where something else keeps it, nothing did."""
    seen = {violation["promise"] for violation in result.violations}
    return broken.caught in seen if broken.caught else not seen
