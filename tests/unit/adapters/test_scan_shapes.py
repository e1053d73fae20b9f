"""ECR's answers about scans, as reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ami_lifecycle.adapters.scan_shapes import report_of
from ami_lifecycle.domain.scans import Finding, Fix, Package, ScanReport, ScanState, Severity

AT = datetime(2026, 11, 28, tzinfo=UTC)


def answer(status: str = "COMPLETE", description: str = "", **found: Any) -> dict[str, Any]:
    said = {"status": status} | ({"description": description} if description else {})
    return {"imageScanStatus": said, "imageScanFindings": found}


def enhanced(**changes: Any) -> dict[str, Any]:
    package = {
        "name": "openssl",
        "version": "3.0.2",
        "release": "0ubuntu1.10",
        "epoch": 1,
        "fixedInVersion": "1:3.0.3",
    }
    return {
        "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2026-1", "vulnerablePackages": [package]},
        "severity": "HIGH",
        "status": "ACTIVE",
        "title": "CVE-2026-1 - openssl",
        "fixAvailable": "YES",
    } | changes


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ("IN_PROGRESS", ScanState.RUNNING, "is being scanned (ECR says IN_PROGRESS)"),
        ("PENDING", ScanState.RUNNING, "waits for its scan"),
        ("FINDINGS_UNAVAILABLE", ScanState.ABSENT, "has no findings in ECR"),
        ("FAILED", ScanState.IMPOSSIBLE, "could not be scanned"),
        ("UNSUPPORTED_IMAGE", ScanState.IMPOSSIBLE, "an operating system that ECR does not scan"),
        ("SCAN_ELIGIBILITY_EXPIRED", ScanState.IMPOSSIBLE, "the re-scan duration of Inspector is over"),
        ("LIMIT_EXCEEDED", ScanState.IMPOSSIBLE, "a quota of ECR's scans was used up"),
        ("IMAGE_ARCHIVED", ScanState.IMPOSSIBLE, "in ECR's archive"),
        ("IMAGE_SIZE_EXCEEDED", ScanState.IMPOSSIBLE, "larger than ECR scans"),
        ("LATER", ScanState.IMPOSSIBLE, "a status that this version does not know (ECR says LATER)"),
    ],
)
def test_a_status_without_findings_says_why(status: str, state: ScanState, words: str) -> None:
    report = report_of([answer(status, imageScanCompletedAt=AT)])
    assert report.state is state
    assert words in report.words
    assert f"(ECR says {status})" in report.words


def test_what_ecr_says_itself_is_told() -> None:
    report = report_of([answer("FAILED", " UnsupportedImageError: The operating system is not supported. ")])
    assert report.words == (
        "could not be scanned (ECR says FAILED: UnsupportedImageError: The operating system is not supported.)"
    )


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
def test_a_status_before_its_findings_is_a_scan_that_runs(status: str) -> None:
    report = report_of([answer(status, findings=[])])
    assert report.state is ScanState.RUNNING
    assert report.words == f"has no findings yet (ECR says {status})"


def test_a_basic_scan_is_read() -> None:
    attributes = [{"key": "package_name", "value": "bash"}, {"key": "package_version", "value": "5.1"}]
    findings = [
        {"name": "CVE-2026-2", "severity": "UNDEFINED", "attributes": attributes},
        {"severity": "LOW", "attributes": [{"key": "package_version", "value": "1"}]},
        {"severity": "SEVERE"},
    ]
    counts = {"UNDEFINED": 2, "LOW": 1}
    report = report_of([answer(imageScanCompletedAt=AT, findings=findings, findingSeverityCounts=counts)])
    assert report == ScanReport(
        ScanState.DONE,
        scanner="basic",
        scanned_at=AT,
        findings=(
            Finding("CVE-2026-2", Severity.UNTRIAGED, (Package("bash", "5.1"),), Fix.UNKNOWN),
            Finding("unnamed", Severity.LOW),
            Finding("unnamed", Severity.UNTRIAGED),
        ),
        unlisted={},
    )


def test_an_enhanced_scan_is_read() -> None:
    report = report_of([answer("ACTIVE", imageScanCompletedAt=AT, enhancedFindings=[enhanced()])])
    assert report.scanner == "enhanced"
    assert report.findings == (
        Finding(
            "CVE-2026-1",
            Severity.HIGH,
            (Package("openssl", "1:3.0.2-0ubuntu1.10", "1:3.0.3"),),
            Fix.YES,
        ),
    )


def test_an_enhanced_scan_that_was_made_once_is_complete() -> None:
    assert report_of([answer(imageScanCompletedAt=AT, enhancedFindings=[])]).scanner == "enhanced"
    assert report_of([answer("ACTIVE", imageScanCompletedAt=AT)]).scanner == "enhanced"
    assert report_of([answer(imageScanCompletedAt=AT)]).scanner == "basic"


@pytest.mark.parametrize(
    ("said", "fix"),
    [("YES", Fix.YES), ("NO", Fix.NO), ("PARTIAL", Fix.PARTIAL), ("LATER", Fix.UNKNOWN), (None, Fix.UNKNOWN)],
)
def test_whether_there_is_a_fix_is_read(said: Any, fix: Fix) -> None:
    (finding,) = report_of(
        [answer(imageScanCompletedAt=AT, enhancedFindings=[enhanced(fixAvailable=said)])]
    ).findings
    assert finding.fix is fix


def test_little_is_known_of_some_findings() -> None:
    bare = {"vulnerablePackages": [{}, {}, {"name": "a", "version": "1", "fixedInVersion": "NotAvailable"}]}
    findings = [
        {"title": "a title", "severity": "UNTRIAGED", "packageVulnerabilityDetails": bare},
        {"severity": "UNTRIAGED", "packageVulnerabilityDetails": {}},
        {"severity": "UNTRIAGED", "title": "CVE-2026-3"},
    ]
    report = report_of([answer(imageScanCompletedAt=AT, enhancedFindings=findings)])
    assert report.findings == (
        Finding("a title", Severity.UNTRIAGED, (Package("unnamed"), Package("a", "1")), Fix.UNKNOWN),
        Finding("unnamed", Severity.UNTRIAGED, (), Fix.UNKNOWN),
        Finding("CVE-2026-3", Severity.UNTRIAGED, (), Fix.UNKNOWN),
    )


def test_what_is_closed_is_no_finding_and_what_is_suppressed_is_one() -> None:
    found = [enhanced(status="CLOSED"), enhanced(status="SUPPRESSED")]
    report = report_of([answer(imageScanCompletedAt=AT, enhancedFindings=found)])
    assert len(report.findings) == 1


def test_pages_are_one_report() -> None:
    first = answer(imageScanCompletedAt=AT, enhancedFindings=[enhanced()], findingSeverityCounts={"HIGH": 2})
    rest = answer(imageScanCompletedAt=AT, enhancedFindings=[enhanced(severity="HIGH")])
    report = report_of([first, rest])
    assert (len(report.findings), report.unlisted) == (2, {})


def test_what_is_counted_beyond_what_is_named_is_kept() -> None:
    counts = {"CRITICAL": 1, "HIGH": 3, "UNTRIAGED": 1, "UNDEFINED": 1}
    report = report_of(
        [answer(imageScanCompletedAt=AT, enhancedFindings=[enhanced()], findingSeverityCounts=counts)]
    )
    assert report.unlisted == {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.UNTRIAGED: 2}
