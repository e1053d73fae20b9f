"""ECR's answers about scans, as the domain's reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ami_lifecycle.domain.scans import Finding, Fix, Package, ScanReport, ScanState, Severity

# ECR API reference, ImageScanStatus, in botocore's words; what each is, and what to do. The user guide explains those
# of enhanced scans under "Scan images for OS and programming language package vulnerabilities".
_STATES: Final[Mapping[str, tuple[ScanState, str]]] = {
    "COMPLETE": (ScanState.DONE, ""),
    # Enhanced, continuous: it is scanned again whenever the vulnerability data change.
    "ACTIVE": (ScanState.DONE, ""),
    "IN_PROGRESS": (ScanState.RUNNING, "is being scanned"),
    "PENDING": (ScanState.RUNNING, "waits for its scan"),
    "FINDINGS_UNAVAILABLE": (ScanState.ABSENT, "has no findings in ECR"),
    "FAILED": (ScanState.IMPOSSIBLE, "could not be scanned"),
    "UNSUPPORTED_IMAGE": (
        ScanState.IMPOSSIBLE,
        "is of a kind or an operating system that ECR does not scan; build it FROM one that it does",
    ),
    "SCAN_ELIGIBILITY_EXPIRED": (
        ScanState.IMPOSSIBLE,
        "is not scanned any more, because the re-scan duration of Inspector is over; lengthen that, or push it again",
    ),
    "LIMIT_EXCEEDED": (
        ScanState.IMPOSSIBLE,
        "was not scanned, because a quota of ECR's scans was used up; start its scan when the quota allows it",
    ),
    "IMAGE_ARCHIVED": (
        ScanState.IMPOSSIBLE,
        "is in ECR's archive, where nothing is scanned; restore it (aws ecr update-image-storage-class)",
    ),
    "IMAGE_SIZE_EXCEEDED": (ScanState.IMPOSSIBLE, "is larger than ECR scans; make it smaller"),
}
# Inspector and ECR's basic scan have the same five, and one each for what nobody has rated.
_UNTRIAGED: Final = Severity.UNTRIAGED


def report_of(pages: Sequence[Mapping[str, Any]]) -> ScanReport:
    """The report of the answers to DescribeImageScanFindings, page by page.

    A status of COMPLETE or ACTIVE comes before the findings do; without `imageScanCompletedAt` nothing was scanned yet
    (aws/aws-sdk #289, aws/aws-cli #6759).
    """
    status = pages[0]["imageScanStatus"]
    name, said = str(status["status"]), str(status.get("description") or "").strip()
    state, words = _STATES.get(
        name, (ScanState.IMPOSSIBLE, "has a scan of a status that this version does not know")
    )
    told = f"{words} (ECR says {name}{f': {said}' if said else ''})"
    if state is not ScanState.DONE:
        return ScanReport(state, told)
    parts = [page["imageScanFindings"] for page in pages]
    scanned_at = parts[0].get("imageScanCompletedAt")
    if scanned_at is None:
        return ScanReport(ScanState.RUNNING, f"has no findings yet{told}")
    enhanced = name == "ACTIVE" or any("enhancedFindings" in part for part in parts)
    findings = tuple(
        [_basic(finding) for part in parts for finding in part.get("findings", ())]
        + [
            _enhanced(finding)
            for part in parts
            for finding in part.get("enhancedFindings", ())
            # Inspector user guide, Findings: what is closed has been remediated.
            if finding.get("status") != "CLOSED"
        ]
    )
    return ScanReport(
        ScanState.DONE,
        scanner="enhanced" if enhanced else "basic",
        scanned_at=scanned_at,
        findings=findings,
        unlisted=_unlisted(parts[0].get("findingSeverityCounts", {}), findings),
    )


def _unlisted(counts: Mapping[str, int], findings: Iterable[Finding]) -> dict[Severity, int]:
    """What ECR counts beyond what it names: an answer that is not whole yet must not look better than the image is."""
    named, counted = Counter(finding.severity for finding in findings), Counter[Severity]()
    for name, number in counts.items():
        counted[_severity(name)] += int(number)
    return dict(counted - named)


def _severity(name: Any) -> Severity:
    try:
        return Severity(str(name).lower())
    except ValueError:
        return _UNTRIAGED


def _basic(finding: Mapping[str, Any]) -> Finding:
    """A finding of a basic scan: the package is in its attributes, and no fix (ECR API reference, ImageScanFinding)."""
    said = {each["key"]: str(each.get("value") or "") for each in finding.get("attributes", ())}
    name = said.get("package_name", "")
    packages = (Package(name, said.get("package_version", "")),) if name else ()
    return Finding(str(finding.get("name") or "unnamed"), _severity(finding["severity"]), packages)


def _enhanced(finding: Mapping[str, Any]) -> Finding:
    """A finding of Inspector (ECR API reference, EnhancedImageScanFinding)."""
    details = finding.get("packageVulnerabilityDetails", {})
    packages = tuple(
        Package(
            str(each.get("name") or "unnamed"),
            _version(each),
            # "NotAvailable" where there is none.
            "" if (fixed := str(each.get("fixedInVersion") or "")) == "NotAvailable" else fixed,
        )
        for each in details.get("vulnerablePackages", ())
    )
    # One that is found several times in an image is one package for who reads about it.
    return Finding(
        str(details.get("vulnerabilityId") or finding.get("title") or "unnamed"),
        _severity(finding["severity"]),
        tuple(dict.fromkeys(packages)),
        _fix(finding.get("fixAvailable")),
    )


def _version(package: Mapping[str, Any]) -> str:
    epoch, release = package.get("epoch"), package.get("release")
    version = str(package.get("version") or "")
    return f"{f'{epoch}:' if epoch else ''}{version}{f'-{release}' if release else ''}"


def _fix(said: Any) -> Fix:
    try:
        return Fix(str(said).lower())
    except ValueError:
        return Fix.UNKNOWN
