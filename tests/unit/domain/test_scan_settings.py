"""The settings `scan`: what is refused before anything is asked of AWS."""

from __future__ import annotations

from typing import Any

import pytest

from ami_lifecycle.domain.build_config import problems_of
from ami_lifecycle.domain.scan_settings import ScanSettings, no_scan

WAIVER = {"id": "CVE-2026-12345", "reason": "no untrusted input", "expires": "2027-01-31"}


def problems(scan: Any, defaults: Any = None) -> list[str]:
    """What is wrong with a file whose environment has this."""
    build = {"environments": {"prod": {"scan": scan}}, "defaults": defaults or {}}
    return [str(each) for each in problems_of(build, "comfyui")]


def test_without_the_setting_there_is_no_gate() -> None:
    assert not no_scan().enabled
    assert ScanSettings().enabled


@pytest.mark.parametrize(
    "scan",
    [
        {},
        {"enabled": False},
        {"max_findings": {"critical": 0, "high": 5, "medium": 100_000}, "only_fixable": True},
        {"max_findings": {"untriaged": 3}},
        {"max_findings": {"critical": None}, "missing": "allow", "wait_minutes": 240},
        {"waivers": [WAIVER, {**WAIVER, "package": "libssl3"}, {**WAIVER, "package": "@angular/core"}]},
        {"waivers": [{**WAIVER, "id": "GHSA-9wx4-h78v-vm56"}, {**WAIVER, "id": "ALAS2023-2024-123"}]},
    ],
)
def test_what_makes_sense_is_taken(scan: Any) -> None:
    assert problems(scan) == []


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (None, "scan: write a mapping (got None)"),
        (True, "scan: write a mapping (got True)"),
        ({"fail_on": "high"}, "scan.fail_on: is an unknown key; the keys here are enabled, max_findings, "),
        ({"max_findings": {"hihg": 1}}, "scan.max_findings.hihg: is an unknown key; did you mean high?"),
        ({"max_findings": {"high": -1}}, "scan.max_findings.high"),
        ({"max_findings": {"high": 100_001}}, "scan.max_findings.high"),
        ({"max_findings": {"high": "5"}}, "scan.max_findings.high"),
        (
            {"max_findings": {"medium": 5}},
            "max_findings has a limit for medium and none for high, which is worse; write a number for high, too",
        ),
        ({"max_findings": {"critical": None, "low": 1}}, "a limit for low and none for critical"),
        ({"missing": "ignore"}, "scan.missing: Input should be 'refuse' or 'allow'"),
        ({"wait_minutes": 241}, "scan.wait_minutes"),
        ({"wait_minutes": -1}, "scan.wait_minutes"),
        (
            {"waivers": [{"id": "CVE-2026-1", "expires": "2026-01-31"}]},
            "scan.waivers.0.reason: Field required",
        ),
        ({"waivers": [{**WAIVER, "id": "cve-2026-1"}]}, "write the id that the scan gives the vulnerability"),
        ({"waivers": [{**WAIVER, "id": "CVE-*"}]}, "write the id that the scan gives the vulnerability"),
        ({"waivers": [{**WAIVER, "reason": "  "}]}, "reason is empty; say why the finding does no harm here"),
        ({"waivers": [{**WAIVER, "reason": "x" * 201}]}, "scan.waivers.0.reason"),
        (
            {"waivers": [{**WAIVER, "expires": "never"}]},
            "write a date of the calendar, as 2026-01-31 (got 'never')",
        ),
        ({"waivers": [{**WAIVER, "expires": "2026-02-30"}]}, "write a date of the calendar"),
        ({"waivers": [{**WAIVER, "expires": "2026-W01-1"}]}, "write a date of the calendar"),
        ({"waivers": [{**WAIVER, "expires": "20260131"}]}, "write a date of the calendar"),
        ({"waivers": [{**WAIVER, "package": "open ssl"}]}, "write the name that the scan gives the package"),
        ({"waivers": [{**WAIVER, "cve": "x"}]}, "scan.waivers.0.cve: is an unknown key"),
        ({"waivers": [WAIVER, WAIVER]}, "waivers name CVE-2026-12345 twice; leave one of them"),
        (
            {"waivers": [{**WAIVER, "package": "a"}] * 2},
            "waivers name CVE-2026-12345 in a twice; leave one of them",
        ),
        ({"waivers": [{**WAIVER, "id": f"CVE-1-{number}"} for number in range(101)]}, "scan.waivers"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_path(scan: Any, message: str) -> None:
    found = problems(scan)
    assert len(found) == 1, found
    assert message in found[0]
    assert found[0].startswith("environments.prod.scan")


def test_an_environment_adds_to_the_defaults_and_switches_them_off() -> None:
    assert problems({"max_findings": {"high": 3}}, {"scan": {"max_findings": {"medium": 9}}}) == [], (
        "a number for high comes from the environment"
    )
    assert problems({"enabled": False}, {"scan": {"waivers": [WAIVER]}}) == []
