"""Documents of Systems Manager as hooks, through the whole service and with its permissions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.granted import Policies
from tests.workflows.operators import Operator
from tests.workflows.service import Service

from aws_emulator.iam.policies import Decision, check, decide

OWN = "arn:aws:ssm:us-east-1:123456789012:document/Golden-*"
SHARED = "arn:aws:ssm:us-east-1:210987654321:document/Shared"
SETTINGS: dict[str, Any] = {
    "environments": {
        "hooked": {"hooks": {"provision": [{"document": "Golden-Agent", "parameters": {"Word": "a"}}]}},
        "shared": {"hooks": {"verify": [{"document": SHARED, "version": 1}]}},
        "refused": {"hooks": {"verify": [{"document": "Golden-Bad"}]}},
        "misused": {"hooks": {"verify": [{"document": "Golden-Agent", "parameters": {"Word": "1"}}]}},
        "runbook": {"hooks": {"verify": [{"document": "Golden-Runbook"}]}},
        "absent": {"hooks": {"verify": [{"document": "Golden-None"}]}},
        "unread": {"hooks": {"verify": [{"document": "Silver"}]}},
        "plain": {},
    },
    "parameters": {"HookDocumentArns": f"{OWN},{SHARED}"},
}


def document(*lines: str) -> str:
    step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": list(lines)}}
    word = {"type": "String", "default": "a", "allowedPattern": "[a-z]+"}
    return json.dumps({"schemaVersion": "2.2", "parameters": {"Word": word}, "mainSteps": [step]})


@pytest.fixture(autouse=True)
def documents(running: Running) -> Any:
    """Documents of the account, of another one, and of another type."""
    store = running.emulator.run_command
    for name, lines in (("Golden-Agent", "true"), ("Golden-Bad", "exit 3"), ("Silver", "true")):
        store.add_document("123456789012", name, document(lines))
    store.add_document("210987654321", "Shared", document("true"))
    store.add_document("123456789012", "Golden-Runbook", "{}", "Automation")
    return store


def test_a_document_is_run_named_and_followed(service: Service) -> None:
    hooked = service.environment("hooked")
    hooked.must_build("agent")
    recipe = hooked.metadata()["recipe"]
    assert re.fullmatch("provision:[0-9a-f]{12}", recipe)
    assert re.fullmatch("Golden-Agent:1 [0-9a-f]{12}", hooked.metadata()["facts"]["hooks"]["provision"])
    assert [each for each in service.sweep() if each["environment"] == "hooked"] == []
    ssm = service.client("ssm")
    newer = ssm.update_document(
        Name="Golden-Agent",
        Content=document("echo newer"),
        DocumentVersion="$LATEST",
        DocumentFormat="JSON",
    )["DocumentDescription"]["DocumentVersion"]
    ssm.update_document_default_version(Name="Golden-Agent", DocumentVersion=newer)
    hooked.must_build("agent again")
    assert hooked.metadata()["recipe"] != recipe
    assert hooked.metadata()["facts"]["hooks"]["provision"].startswith("Golden-Agent:2 ")


def test_what_another_account_shares_is_run_by_its_arn_and_version(service: Service) -> None:
    shared = service.environment("shared")
    shared.must_build("of others")
    assert shared.metadata()["facts"]["hooks"]["verify"].startswith("Shared:1 ")


def test_what_a_document_refuses_is_not_published(service: Service) -> None:
    ended = service.environment("refused").build("refused")
    assert (ended.status, ended.error) == ("FAILED", "VerificationFailedError")
    assert "hook 1 of verify, Golden-Bad:1, ended with exit code 3" in str(ended.cause)
    assert service.environment("refused").latest() is None


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("misused", "SettingsError", "refuses the parameter Word: '1' does not match [a-z]+"),
        ("runbook", "SettingsError", "Golden-Runbook:1 is a document of type Automation"),
        ("absent", "SettingsError", "the document Golden-None does not exist"),
        ("unread", "AccessDeniedError", "Silver"),
    ],
)
def test_what_is_no_hook_is_refused_before_anything_is_launched(
    service: Service, name: str, error: str, words: str
) -> None:
    since = service.last_call()
    ended = service.environment(name).build(f"{name} 1")
    assert (ended.status, ended.error) == ("FAILED", error)
    assert words in str(ended.cause)
    assert not [call for call in service.calls(since) if call["operation"] == "RunInstances"]


def test_only_plan_and_sweep_read_documents_and_nobody_sends_them(running: Running) -> None:
    policies = Policies(running.service)
    arn = OWN.replace("*", "Agent")

    def allowed(action: str) -> set[str]:
        return {
            name
            for name, role in policies.roles.items()
            if decide(policies.statements(role), check(action, arn, {})) is Decision.ALLOWED
        }

    assert allowed("ssm:GetDocument") == {"PlanBuildRole", "SweepEnvironmentsRole"}
    assert allowed("ssm:SendCommand") == set()


def test_the_doctor_examines_the_documents_of_every_environment(service: Service) -> None:
    findings = json.loads(Operator(service).run("doctor", "--json").output)["findings"]
    found = {each["message"].split(":")[0]: each["level"] for each in findings if each["area"] == "hooks"}
    assert found == {
        "absent": "error",
        "hooked": "ok",
        "misused": "error",
        "refused": "ok",
        "runbook": "error",
        "shared": "ok",
        "unread": "ok",
    }
