"""Documents that hooks name: when they are read, what is refused, and who goes on without them."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from tests.unit.steps.account import Account, arn_of, catalogue
from tests.unit.steps.execution import Execution

from ami_lifecycle.domain.model import TAG_RECIPE
from ami_lifecycle.domain.plan import BuildMode, BuildPlan
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import (
    AmiLifecycleError,
    CleanUpIncompleteError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
)
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle.steps.provision_builder import provisioning_parameters
from ami_lifecycle.steps.verify_image import verification_parameters

HOOKS = {"provision": [{"document": "Agent"}], "verify": [{"document": "Check", "version": 1}]}


def hooked(hooks: Any = HOOKS, **environments: Any) -> Account:
    account = Account()
    account.catalogue = catalogue(
        defaults={"publication": {"grace_period_seconds": 0}},
        environments={"dev": {}, "prod": {"hooks": hooks}, **environments},
    )
    account.world.documents.add("Agent", "true")
    account.world.documents.add("Check", "true")
    return account


def plan_of(account: Account, **request: Any) -> BuildPlan:
    asked = BuildRequest.model_validate({"environment": "prod", **request})
    return account.planner.plan_request(asked, arn_of("e1")).plan


def reads(account: Account) -> list[tuple[Any, ...]]:
    return [call.args for call in account.world.documents.calls]


def test_a_build_has_what_the_documents_do_when_it_is_planned() -> None:
    account = hooked()
    account.push("one")
    settings = plan_of(account).configured
    assert reads(account) == [("Agent", None), ("Check", 1)]
    assert {place: program.name for place, program in settings.hook_programs.items()} == {
        "provision.0": "Agent:1",
        "verify.0": "Check:1",
    }
    assert settings.recipe is not None


def test_each_of_our_documents_gets_the_steps_of_its_stages() -> None:
    account = hooked()
    account.push("one")
    plan = plan_of(account)
    given = {
        "provision": provisioning_parameters(plan, "us-east-1")["Hooks"],
        "verify": verification_parameters(plan, "us-east-1")["Hooks"],
    }
    for stage, parameter in given.items():
        (hook,) = json.loads(zlib.decompress(base64.b64decode(parameter)))[stage]
        assert hook["name"] == {"provision": "Agent:1", "verify": "Check:1"}[stage]
        assert [step["script"] for step in hook["steps"]] == ["#!/bin/sh\ntrue\n"]


def test_environments_without_documents_read_none() -> None:
    account = hooked()
    account.push("one", "dev")
    assert plan_of(account, environment="dev").action is Action.BUILD
    account.push("one")
    settings = account.catalogue.get("dev")
    assert with_programs(settings, account.world.documents) is settings
    assert reads(account) == []


def test_a_whole_build_carries_the_recipe_of_its_documents() -> None:
    account = hooked()
    account.push("one")
    recipe = plan_of(account).configured.recipe or ""
    Execution(account, "e1").run(BuildRequest(environment="prod"))
    assert account.live.tags[TAG_RECIPE] == recipe
    named = account.metadata.facts["hooks"]
    assert named["provision"].startswith("Agent:1 ")
    assert account.sweeper.sweep().findings == ()
    assert account.world.executions.started == []


def test_another_default_version_is_built_by_the_sweep_from_the_base() -> None:
    account = hooked()
    account.push("one")
    Execution(account, "e1").run(BuildRequest(environment="prod"))
    number = account.world.documents.add("Agent", "echo newer")
    assert account.sweeper.sweep().findings == ()
    account.world.documents.default["Agent"] = number
    (finding,) = account.sweeper.sweep().findings
    assert "is not published with the base and hooks of the settings" in finding.finding
    plan = plan_of(account)
    assert plan.mode is BuildMode.FRESH
    assert "was made with other provision hooks" in plan.reasons[0]
    # A version that hooks keep to does not follow.
    account.world.documents.add("Check", "echo newer")
    account.world.documents.default["Check"] = 2
    assert plan_of(account).configured.hook_programs["verify.0"].name == "Check:1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"verify": [{"document": "Absent"}]},
            "hooks.verify.0: the document Absent does not exist in this account and Region; create it",
        ),
        ({"verify": [{"document": "Check", "version": 7}]}, "the document Check:7 does not exist"),
        (
            {"verify": [{"document": "Runbook"}]},
            "Runbook:1 is a document of type Automation; name one of type Command",
        ),
        ({"verify": [{"document": "Broken"}]}, "Broken:1 is Failed; store a version that can be used"),
        (
            {"provision_after": [{"document": "Check"}, {"document": "Copies"}]},
            "hooks.provision_after.1: Copies:1, step get, is aws:downloadContent",
        ),
        (
            {"verify": [{"document": "Check", "parameters": {"A": "b"}}]},
            "hooks.verify.0: Check:1 has no parameter A; it has none",
        ),
        (
            {"verify": [{"document": "Long"}]},
            "the hooks of prod cannot be run: hooks.verify: the scripts of verify take",
        ),
    ],
)
def test_what_cannot_be_a_hook_is_refused_before_anything_is_launched(change: Any, words: str) -> None:
    account = hooked(change)
    documents = account.world.documents
    documents.add("Runbook", kind="Automation")
    documents.add("Broken", "true", status="Failed")
    documents.add("Copies", steps=[{"action": "aws:downloadContent", "name": "get"}])
    documents.add("Long", *(f"# {hash((number, 1)):x}{number**9:x}" for number in range(4_000)))
    account.push("one")
    with pytest.raises(SettingsError) as refusal:
        plan_of(account)
    assert words in str(refusal.value)
    # The sweep says so, too, and does nothing with the environment until it is put right.
    (finding,) = [each for each in account.sweeper.sweep().findings if each.environment == "prod"]
    assert words in finding.finding
    assert account.world.executions.started == []


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_a_document_that_is_only_being_made_is_looked_at_again(status: str) -> None:
    account = hooked({"verify": [{"document": "New"}]})
    account.world.documents.add("New", "true", status=status)
    account.push("one")
    with pytest.raises(ServiceUnavailableError, match=f"New:1 is {status} at this moment; look again"):
        plan_of(account)


def test_a_fault_of_the_look_passes() -> None:
    account = hooked()
    account.push("one")
    account.world.documents.fail("get", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        plan_of(account)
    account.world.documents.fail("get", ThrottledError("slower"))
    with pytest.raises(CleanUpIncompleteError, match="slower"):
        account.sweeper.sweep()
    account.sweeper.sweep()
    assert len(account.world.executions.started) == 1


def test_a_way_back_needs_no_document() -> None:
    account = hooked()
    account.push("one")
    Execution(account, "e1").run(BuildRequest(environment="prod"))
    account.world.documents.all.clear()
    account.world.documents.calls.clear()
    for request in (
        {"action": "publish", "publish_image_id": account.live.image_id, "trigger": Trigger.ROLLBACK},
        {"action": "retire"},
    ):
        plan_of(account, **request)
    assert reads(account) == []
    with pytest.raises(AmiLifecycleError):
        plan_of(account)


def test_a_promotion_needs_what_is_on_the_disks() -> None:
    baked = {"provision": HOOKS["provision"]}
    account = hooked(baked, dev={"hooks": baked})
    dev = Account(environment="dev", world=account.world)
    dev.catalogue = account.catalogue
    dev.push("one", "dev")
    Execution(dev, "e1").run(BuildRequest(environment="dev"))
    promoted = {"action": "promote", "promote_from": "dev", "pin": True, "reason": "tested"}
    plan = plan_of(account, **promoted)
    assert plan.action is Action.PROMOTE
    assert plan.configured.hook_programs["provision.0"].name == "Agent:1"
    account.world.documents.add("Agent", "echo newer")
    account.world.documents.default["Agent"] = 2
    with pytest.raises(AmiLifecycleError, match="its hooks are provision:"):
        plan_of(account, **promoted)


def test_what_is_published_again_from_the_bin_is_looked_at_by_the_documents_of_now() -> None:
    account = hooked({"verify": HOOKS["verify"]})
    account.world.images.bin_days = 7
    account.push("one")
    Execution(account, "e1").run(BuildRequest(environment="prod"))
    first = account.live
    account.push("two")
    Execution(account, "e2").run(BuildRequest(environment="prod"))
    account.world.documents.calls.clear()
    request = {"action": "undelete", "trigger": "rollback", "publish_image_id": first.image_id, "pin": True}
    plan = plan_of(account, **request)
    assert plan.action is Action.UNDELETE
    assert plan.configured.hook_programs["verify.0"].name == "Check:1"
    assert reads(account) == [("Check", 1)]
