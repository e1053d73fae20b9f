"""What the observer of the vulnerability gate lets pass."""

from __future__ import annotations

from typing import Any

import pytest
from emulator.tests.contract.account import Account

from ami_lifecycle_testbed.observers.scan_gate import ScanGate

CRITICAL = {"id": "CVE-2026-1", "severity": "CRITICAL", "package": "openssl"}
FIXABLE = {**CRITICAL, "fixed": "3.0.3"}
LOW = {"id": "CVE-2026-2", "severity": "LOW"}
WAIVER = {"id": "CVE-2026-1", "expires": "2026-03-01"}


def passes(account: Account, digest: str, **settings: Any) -> bool:
    gate = ScanGate(account.registry, {"prod": "comfyui"}, {"prod": (settings, "x86_64")}, account.clock.now)
    return gate("prod", {"ami-lifecycle:image-digest": digest})


@pytest.fixture
def digest(account: Account) -> str:
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    found = account.push("one")
    account.clock.advance(60)
    return found


@pytest.mark.parametrize(
    ("findings", "settings", "passed"),
    [
        ([], {}, True),
        ([LOW], {}, True),
        ([CRITICAL], {}, False),
        ([CRITICAL], {"max_findings": {"critical": 1}}, True),
        ([CRITICAL], {"max_findings": {"critical": None}}, True),
        ([LOW], {"max_findings": {"low": 0}}, False),
        ([CRITICAL], {"waivers": [WAIVER]}, True),
        ([CRITICAL], {"waivers": [{**WAIVER, "package": "openssl"}]}, True),
        ([CRITICAL], {"waivers": [{**WAIVER, "package": "bash"}]}, False),
        ([CRITICAL], {"waivers": [{**WAIVER, "expires": "2026-02-28"}]}, False),
        ([CRITICAL], {"only_fixable": True}, False),
    ],
)
def test_findings_are_held_against_the_settings(
    account: Account, digest: str, findings: list[dict[str, str]], settings: dict[str, Any], passed: bool
) -> None:
    account.registry.set_scan("comfyui", findings=tuple(findings))
    assert passes(account, digest, **settings) is passed


@pytest.mark.parametrize(("finding", "passed"), [(CRITICAL, True), (FIXABLE, False)])
def test_inspector_says_what_can_be_fixed(account: Account, finding: dict[str, str], passed: bool) -> None:
    account.repository()
    account.ecr.put_registry_scanning_configuration(scanType="ENHANCED")
    account.registry.set_scan("comfyui", findings=(finding,))
    digest = account.push("one")
    account.clock.advance(60)
    assert passes(account, digest, only_fixable=True) is passed


@pytest.mark.parametrize("said", [{"seconds": None}, {"status": "FAILED"}])
def test_what_has_no_findings_passes_only_where_that_is_allowed(
    account: Account, digest: str, said: dict[str, Any]
) -> None:
    account.registry.set_scan("comfyui", **said)
    assert not passes(account, digest)
    assert passes(account, digest, missing="allow")
    assert not passes(account, "sha256:" + "0" * 64)


def test_an_environment_without_a_gate_lets_everything_pass(account: Account) -> None:
    assert ScanGate(account.registry, {}, {}, account.clock.now)("prod", {})
