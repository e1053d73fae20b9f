"""What a build's hooks change in each step: what documents get, what carries the recipe, what is built again."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.steps.account import INFRASTRUCTURE, Account, an_image, arn_of
from tests.unit.steps.test_claim_environment import claimed, planned

from ami_lifecycle.domain.execution import ClaimedInput
from ami_lifecycle.domain.hooks import HookSettings, encoded_hooks
from ami_lifecycle.domain.model import TAG_RECIPE, Role
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.create_image import image_tags
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launcher import Launcher
from ami_lifecycle.steps.provision_builder import provisioning_parameters
from ami_lifecycle.steps.verify_image import verification_parameters

SCRIPTS = {f"config/hooks/{name}.sh": f"#!/bin/sh\n# {name}\n" for name in ("before", "after", "check")}
HOOKS = HookSettings.model_validate(
    {
        stage: [{"script": f"config/hooks/{name}.sh"}]
        for stage, name in (("provision", "before"), ("provision_after", "after"), ("verify", "check"))
    }
)


class Hooked:
    """A catalogue whose environments have hooks."""

    def __init__(self, catalogue: Catalogue, hooks: HookSettings = HOOKS) -> None:
        self._catalogue, self._hooks = catalogue, hooks

    def get(self, environment: str) -> EnvironmentSettings:
        return self._catalogue.get(environment).model_copy(
            update={"hooks": self._hooks, "hook_scripts": SCRIPTS}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalogue, name)


def hooked(account: Account, hooks: HookSettings = HOOKS) -> Account:
    account.catalogue = cast("Catalogue", Hooked(account.catalogue, hooks))
    return account


def plan_of(account: Account) -> BuildPlan:
    return account.planner.plan_request(BuildRequest(environment="prod"), arn_of("e1")).plan


@pytest.fixture
def plan() -> BuildPlan:
    account = hooked(Account())
    account.push("one")
    return plan_of(account)


def test_each_document_gets_the_hooks_of_its_stages(plan: BuildPlan) -> None:
    assert provisioning_parameters(plan, "us-east-1")["Hooks"] == encoded_hooks(
        HOOKS, SCRIPTS, "provision", "provision_after"
    )
    assert verification_parameters(plan, "us-east-1")["Hooks"] == encoded_hooks(HOOKS, SCRIPTS, "verify")


def test_instances_and_images_carry_the_recipe(plan: BuildPlan) -> None:
    recipe = plan.configured.recipe
    assert recipe is not None
    assert image_tags(plan, "arn", Role.CANDIDATE)[TAG_RECIPE] == recipe
    account = hooked(Account())
    account.push("one")
    step = planned(account)
    number = claimed(account, step).number
    world = account.world
    launcher = Launcher(world.instances, world.environments, INFRASTRUCTURE, world.clock, account.deadline)
    launched = launch_builder(ClaimedInput(**dict(step), claim_number=number), launcher)
    assert world.instances.all[launched.instance_id].tags[TAG_RECIPE] == recipe


@pytest.mark.parametrize("action", [Action.BUILD, Action.RETIRE])
def test_the_claim_of_a_build_says_its_recipe(account: Account, action: Action) -> None:
    hooked(account)
    account.push("two")
    step = planned(account)
    claimed(account, step.model_copy(update={"plan": step.plan.model_copy(update={"action": action})}))
    claim = account.world.environments.get("prod").claim
    assert claim is not None
    assert claim.recipe == (step.plan.configured.recipe if action is Action.BUILD else None)


def test_hooks_that_come_or_go_are_a_reason_to_build_what_is_live_again(account: Account) -> None:
    hooked(account)
    recipe = account.catalogue.get("prod").recipe
    (reason,) = [each for each in plan_of(account).reasons if each.startswith("the hooks")]
    assert reason == f"the hooks are {recipe}, and were none"
    digest = account.live.tags["ami-lifecycle:image-digest"]
    account.publish(an_image(1, digest=digest, tags={TAG_RECIPE: recipe or ""}))
    assert plan_of(account).action is Action.NONE
    hooked(account, HookSettings())
    (reason,) = [each for each in plan_of(account).reasons if each.startswith("the hooks")]
    assert reason == f"the hooks are none, and were {recipe}"


def test_hooks_are_no_reason_where_the_digest_is_another(account: Account) -> None:
    hooked(account)
    account.push("two")
    assert not [each for each in plan_of(account).reasons if each.startswith("the hooks")]
