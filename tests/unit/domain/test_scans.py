"""What of a scan's findings passes, what is waived, and in which words the rest is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.scan_settings import ScanSettings
from ami_lifecycle.domain.scans import (
    Finding,
    Fix,
    Package,
    ScanFacts,
    ScanReport,
    ScanState,
    Severity,
    Verdict,
    judge,
    recorded_scan,
)

DIGEST = "sha256:" + "1" * 64
TODAY = date(2026, 11, 28)
SCANNED = datetime(2026, 11, 28, 9, 30, 5, tzinfo=UTC)


def a_finding(number: int = 1, severity: str = "critical", *packages: Package, fix: Fix = Fix.YES) -> Finding:
    own = packages or (Package("openssl", "3.0.2", "3.0.3"),)
    return Finding(f"CVE-2026-{number}", Severity(severity), own, fix)


def verdict(*findings: Finding, unlisted: Any = None, today: date = TODAY, **settings: Any) -> Verdict:
    report = ScanReport(
        ScanState.DONE, scanner="enhanced", scanned_at=SCANNED, findings=findings, unlisted=unlisted
    )
    return judge(DIGEST, report, ScanSettings.model_validate(settings), today)


def a_waiver(**changes: Any) -> dict[str, Any]:
    return {"id": "CVE-2026-1", "reason": "not reachable", "expires": "2026-11-28"} | changes


def test_what_has_no_findings_passes_and_says_when_it_was_scanned_and_by_whom() -> None:
    found = verdict()
    assert (found.excess, found.worst, found.notes) == ("", None, ())
    assert found.facts == ScanFacts(digest=DIGEST, scanner="enhanced", scanned_at="2026-11-28T09:30:05Z")


def test_a_critical_finding_is_refused_where_nothing_else_is_said() -> None:
    found = verdict(a_finding())
    assert found.excess == ("1 critical (0 allowed): CVE-2026-1 (critical, openssl 3.0.2, fixed in 3.0.3)")
    assert found.worst == "CVE-2026-1"
    assert found.facts.findings == {"critical": 1}


def test_severities_without_a_number_are_counted_and_pass() -> None:
    others = [each.value for each in Severity if each is not Severity.CRITICAL]
    found = verdict(*(a_finding(number, name) for number, name in enumerate(others)))
    assert found.excess == ""
    assert found.facts.findings == dict.fromkeys(others, 1)


@pytest.mark.parametrize("severity", [each.value for each in Severity])
def test_as_many_as_are_allowed_pass_and_one_more_does_not(severity: str) -> None:
    limits = {each.value: 2 for each in Severity}
    two = [a_finding(number, severity) for number in range(2)]
    assert verdict(*two, max_findings=limits).excess == ""
    excess = verdict(*two, a_finding(3, severity), max_findings=limits).excess
    assert excess.startswith(f"3 {severity} (2 allowed): ")


def test_each_severity_of_which_there_are_too_many_is_named_the_worst_first() -> None:
    findings = [a_finding(2, "high", fix=Fix.NO), a_finding(1, "high"), a_finding(9), a_finding(3, "low")]
    found = verdict(*findings, max_findings={"critical": 0, "high": 1})
    assert found.excess == (
        "1 critical (0 allowed), 2 high (1 allowed): CVE-2026-9 (critical, openssl 3.0.2, fixed in 3.0.3); "
        "CVE-2026-1 (high, openssl 3.0.2, fixed in 3.0.3); "
        "CVE-2026-2 (high, openssl 3.0.2, fixed in 3.0.3, no fix yet)"
    )
    assert found.worst == "CVE-2026-9"


@pytest.mark.parametrize(
    ("number", "end"), [(5, "CVE-2026-5 (critical, b 1)"), (6, "; and 1 more"), (7, "; and 2 more")]
)
def test_five_are_named_and_the_others_counted(number: int, end: str) -> None:
    found = verdict(*(a_finding(each + 1, "critical", Package("b", "1")) for each in range(number)))
    assert found.excess.endswith(end)
    assert "CVE-2026-5 " in found.excess
    assert "CVE-2026-6 " not in found.excess


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ((Package("a"),), "(critical, a)"),
        ((Package("a", "1"), Package("b", "2"), Package("c")), "(critical, a 1; b 2; c)"),
        ((Package("a"), Package("b"), Package("c"), Package("d")), "(critical, a; b; c and 1 more packages)"),
    ],
)
def test_a_finding_names_its_packages(packages: tuple[Package, ...], words: str) -> None:
    assert str(a_finding(1, "critical", *packages)) == f"CVE-2026-1 {words}"


def test_a_finding_without_a_package_is_named_alone() -> None:
    assert str(Finding("CVE-2026-1", Severity.LOW)) == "CVE-2026-1 (low)"


@pytest.mark.parametrize(
    ("fix", "counts"), [(Fix.YES, True), (Fix.PARTIAL, True), (Fix.UNKNOWN, True), (Fix.NO, False)]
)
def test_only_what_has_no_fix_is_left_out_of_the_fixable(fix: Fix, counts: bool) -> None:
    found = verdict(a_finding(fix=fix), only_fixable=True)
    assert bool(found.excess) is counts
    assert found.facts.findings == {"critical": 1}, "the records count all of them"
    assert verdict(a_finding(fix=fix)).excess


def test_what_has_no_fix_is_not_named_where_only_the_fixable_count() -> None:
    excess = verdict(a_finding(1, fix=Fix.NO), a_finding(2), only_fixable=True).excess
    assert excess.startswith("1 critical (0 allowed): CVE-2026-2")
    assert "CVE-2026-1" not in excess


def test_what_is_counted_and_not_named_counts() -> None:
    found = verdict(unlisted={Severity.CRITICAL: 2})
    assert (found.excess, found.worst) == ("2 critical (0 allowed)", None)
    assert found.facts.findings == {"critical": 2}
    assert verdict(unlisted={Severity.LOW: 2}, only_fixable=True).excess == ""


# Waivers.


def test_a_waiver_lets_its_finding_pass_and_the_records_name_it() -> None:
    found = verdict(a_finding(), a_finding(), waivers=[a_waiver()])
    assert (found.excess, found.notes) == ("", ())
    assert (found.facts.findings, found.facts.waived) == ({}, ("CVE-2026-1",))


def test_a_waiver_is_of_one_vulnerability() -> None:
    found = verdict(a_finding(2), waivers=[a_waiver()])
    assert found.excess
    assert found.facts.waived == ()


def test_a_waiver_holds_through_its_last_day() -> None:
    assert verdict(a_finding(), waivers=[a_waiver(expires="2026-11-28")]).excess == ""
    found = verdict(a_finding(), waivers=[a_waiver(expires="2026-11-27", package="openssl")])
    assert found.excess.startswith("1 critical (0 allowed)")
    assert found.notes == (
        "the waiver of CVE-2026-1 in openssl has expired on 2026-11-27 and waives nothing any more",
    )


def test_an_expired_waiver_is_told_only_where_its_vulnerability_is_still_there() -> None:
    expired = a_waiver(expires="2026-01-01")
    assert verdict(a_finding(2, "low"), waivers=[expired]).notes == ()
    assert verdict(a_finding(1, "low"), waivers=[expired]).notes == (
        "the waiver of CVE-2026-1 has expired on 2026-01-01 and waives nothing any more",
    )


@pytest.mark.parametrize(
    ("waivers", "passes"),
    [
        ([{"package": "openssl"}], False),
        ([{"package": "openssl"}, {"package": "libssl3"}], True),
        ([{"package": "openssl"}, {"package": "libssl3", "expires": "2026-11-01"}], False),
        ([{}], True),
        ([{"package": "bash"}], False),
    ],
)
def test_a_finding_in_several_packages_is_waived_in_all_of_them(
    waivers: list[dict[str, Any]], passes: bool
) -> None:
    finding = a_finding(1, "critical", Package("openssl"), Package("libssl3"))
    assert (verdict(finding, waivers=[a_waiver(**each) for each in waivers]).excess == "") is passes


def test_a_waiver_of_a_package_does_not_cover_what_names_none() -> None:
    nameless = Finding("CVE-2026-1", Severity.CRITICAL)
    assert verdict(nameless, waivers=[a_waiver(package="openssl")]).excess
    assert verdict(nameless, waivers=[a_waiver()]).excess == ""


def test_a_record_names_twenty_of_many_waived() -> None:
    waivers = [a_waiver(id=f"CVE-2026-{number}") for number in range(21)]
    found = verdict(*(a_finding(number) for number in range(21)), waivers=waivers)
    assert len(found.facts.waived) == 20


@given(
    st.lists(
        st.builds(
            Finding,
            st.sampled_from(["CVE-2026-1", "CVE-2026-2"]),
            st.sampled_from(list(Severity)),
            st.tuples(st.builds(Package, st.sampled_from(["a", "b"]))),
            st.sampled_from(list(Fix)),
        ),
        max_size=8,
    ),
    st.booleans(),
    st.integers(0, 3),
)
def test_one_more_finding_never_makes_an_image_pass(
    findings: list[Finding], only_fixable: bool, limit: int
) -> None:
    settings = {
        "only_fixable": only_fixable,
        "max_findings": {"critical": limit, "high": limit},
        "waivers": [a_waiver(package="a")],
    }
    for number in range(len(findings)):
        if verdict(*findings[:number], **settings).excess:
            assert verdict(*findings[: number + 1], **settings).excess


# What records keep.


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "not scanned"),
        (
            {"unchecked": "it has no scan in ECR; scan.missing is allow"},
            "not scanned: it has no scan in ECR; scan.",
        ),
        ({"scanner": "basic"}, "no findings (basic scan)"),
        (
            {
                "scanner": "enhanced",
                "scanned_at": "2026-11-28T09:30:05Z",
                "findings": {"low": 3, "critical": 1, "high": 0},
                "waived": ("CVE-2026-1", "CVE-2026-2"),
                "unchecked": "a person",
            },
            "1 critical, 3 low, 2 waived (enhanced scan of 2026-11-28 09:30 UTC); a person",
        ),
    ],
)
def test_a_scan_is_told_in_one_line(facts: dict[str, Any], text: str) -> None:
    assert ScanFacts(digest=DIGEST, **facts).text.startswith(text)


def test_a_record_is_read_back() -> None:
    facts = verdict(a_finding(1, "low")).facts
    assert recorded_scan({**facts.model_dump(mode="json"), "later": 1}) == facts
    assert recorded_scan(facts.model_dump(mode="json", exclude_defaults=True)) == facts
    for nothing in (None, {}, {"digest": 7}):
        assert recorded_scan(nothing) is None


def test_a_scan_without_a_date_has_none() -> None:
    report = ScanReport(ScanState.DONE, scanner="enhanced", scanned_at=None, findings=(), unlisted=None)
    assert judge(DIGEST, report, ScanSettings(), TODAY).facts.scanned_at is None


def test_a_waiver_is_not_told_as_expired_on_its_last_day() -> None:
    other = a_finding(1, "critical", Package("zlib", "1"))
    found = verdict(other, waivers=[a_waiver(package="openssl")])
    assert (bool(found.excess), found.notes) == (True, ())


@pytest.mark.parametrize("day", ["", "20261128", "2026-11-31", "2026-W48-6"])
def test_a_day_is_written_as_one_of_the_calendar(day: str) -> None:
    with pytest.raises(ValueError, match="write a date of the calendar, as 2026-01-31"):
        ScanSettings.model_validate({"waivers": [a_waiver(expires=day)]})
