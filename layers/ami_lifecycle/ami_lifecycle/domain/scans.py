"""What a scanner has found in a Docker image, and whether an environment's settings let it pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ami_lifecycle.domain.scan_settings import ScanSettings, Waiver

# Named in a refusal; the others are counted.
_NAMED: Final = 5
# Names of waived vulnerabilities that a record has room for.
_WAIVED: Final = 20


class Severity(StrEnum):
    """How bad a finding is, worst first; `untriaged` is what nobody has rated yet."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFORMATIONAL = "informational"
    UNTRIAGED = "untriaged"


_ORDER: Final = tuple(Severity)


class Fix(StrEnum):
    """Whether there is a version without the vulnerability, of all packages or of some; a basic scan does not say."""

    YES = "yes"
    PARTIAL = "partial"
    NO = "no"
    UNKNOWN = "unknown"


class Package(NamedTuple):
    """A package with the vulnerability; versions are empty where the scanner names none."""

    name: str
    installed: str = ""
    fixed: str = ""

    def __str__(self) -> str:
        installed = f" {self.installed}" if self.installed else ""
        return f"{self.name}{installed}{f', fixed in {self.fixed}' if self.fixed else ''}"


class Finding(NamedTuple):
    """One vulnerability in one image."""

    id: str
    severity: Severity
    packages: tuple[Package, ...] = ()
    fix: Fix = Fix.UNKNOWN

    def __str__(self) -> str:
        where = "; ".join(str(package) for package in self.packages[:3])
        more = f" and {len(self.packages) - 3} more packages" if len(self.packages) > 3 else ""
        fix = ", no fix yet" if self.fix is Fix.NO else ""
        return f"{self.id} ({self.severity.value}{f', {where}{more}' if where else ''}{fix})"


class ScanState(StrEnum):
    """Whether a scan has an answer, may have one later, does not exist, or cannot be done."""

    DONE = "done"
    RUNNING = "running"
    ABSENT = "absent"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class ScanReport:
    """What the registry says of the scan of one manifest. `words` are its own, with what to do; `unlisted` are findings
    that it counts and does not name.
    """

    state: ScanState
    words: str = ""
    scanner: Literal["basic", "enhanced"] | None = None
    scanned_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    unlisted: Mapping[Severity, int] | None = None


NO_SCAN: Final = ScanReport(ScanState.ABSENT, "has no scan in ECR")
NOT_IN_REPOSITORY: Final = ScanReport(
    ScanState.IMPOSSIBLE, "is not in the repository (any more), so nothing scans it; push it again"
)


class ScanFacts(BaseModel):
    """What was known of vulnerabilities when an image was planned; kept in its metadata, among what gates have said.

    Attributes:
        digest: the manifest that was scanned: of an index, that of the platform.
        scanner: which scan of ECR; null where there was none.
        scanned_at: when it was scanned.
        findings: how many count, by severity; none of those that are waived.
        waived: ids of vulnerabilities that a waiver lets pass, at most 20.
        unchecked: why it was let pass without a scan, or although it would not pass; null where it has passed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    digest: str
    scanner: Literal["basic", "enhanced"] | None = None
    scanned_at: str | None = None
    findings: Mapping[str, int] = {}
    waived: tuple[str, ...] = ()
    unchecked: str | None = None

    @property
    def text(self) -> str:
        """In one line."""
        if self.scanner is None:
            return f"not scanned: {self.unchecked}" if self.unchecked else "not scanned"
        counted = (
            ", ".join(f"{self.findings[each]} {each}" for each in _ORDER if self.findings.get(each))
            or "no findings"
        )
        waived = f", {len(self.waived)} waived" if self.waived else ""
        at = f" of {self.scanned_at[:16].replace('T', ' ')} UTC" if self.scanned_at else ""
        return f"{counted}{waived} ({self.scanner} scan{at}){f'; {self.unchecked}' if self.unchecked else ''}"


def recorded_scan(said: Mapping[str, Any] | None) -> ScanFacts | None:
    """What a record keeps of a scan; None where it keeps nothing, or it is unreadable."""
    try:
        return ScanFacts.model_validate(said) if said else None
    except ValidationError:
        return None


@dataclass(frozen=True)
class Verdict:
    """What the settings make of a report. `excess` says in words what is too much, empty where it passes; `worst` is
    the id of the worst of it.
    """

    facts: ScanFacts
    excess: str = ""
    worst: str | None = None
    notes: tuple[str, ...] = ()


def judge(digest: str, report: ScanReport, settings: ScanSettings, today: date) -> Verdict:
    """Whether the findings of a scan that is done pass, and the numbers."""
    waivers = _Waivers(settings.waivers, today)
    open_: list[Finding] = []
    waived: list[Finding] = []
    for finding in sorted(report.findings, key=_worst_first):
        (waived if waivers.cover(finding) else open_).append(finding)
    unlisted = report.unlisted or {}
    counts = {each: sum(found.severity is each for found in open_) + unlisted.get(each, 0) for each in _ORDER}
    facts = ScanFacts(
        digest=digest,
        scanner=report.scanner,
        scanned_at=report.scanned_at.strftime("%Y-%m-%dT%H:%M:%SZ") if report.scanned_at else None,
        findings={each.value: number for each, number in counts.items() if number},
        waived=tuple(dict.fromkeys(found.id for found in waived))[:_WAIVED],
    )
    notes = waivers.notes(open_)
    too_many = _too_many(open_, unlisted, settings)
    if not too_many:
        return Verdict(facts, notes=notes)
    offending = [found for found in open_ if found.severity in too_many and _counts(found, settings)]
    named = "; ".join(str(found) for found in offending[:_NAMED])
    more = len(offending) - _NAMED
    limits = ", ".join(
        f"{number} {each.value} ({limit} allowed)" for each, (number, limit) in too_many.items()
    )
    listed = f": {named}{f'; and {more} more' if more > 0 else ''}" if named else ""
    worst = offending[0].id if offending else None
    return Verdict(facts, excess=f"{limits}{listed}", worst=worst, notes=notes)


def _too_many(
    findings: Sequence[Finding], unlisted: Mapping[Severity, int], settings: ScanSettings
) -> dict[Severity, tuple[int, int]]:
    """The severities of which there are more than may be, each with the number and its limit."""
    found = {}
    for severity in _ORDER:
        limit: int | None = getattr(settings.max_findings, severity.value)
        number = sum(each.severity is severity and _counts(each, settings) for each in findings)
        number += unlisted.get(severity, 0)
        if limit is not None and number > limit:
            found[severity] = (number, limit)
    return found


def _counts(finding: Finding, settings: ScanSettings) -> bool:
    """Whether a finding counts. One of which nobody says whether there is a fix does."""
    return not (settings.only_fixable and finding.fix is Fix.NO)


def _worst_first(finding: Finding) -> tuple[int, bool, str]:
    return _ORDER.index(finding.severity), finding.fix is Fix.NO, finding.id


class _Waivers:
    """The waivers of the settings on one day."""

    def __init__(self, waivers: Iterable[Waiver], today: date) -> None:
        day = today.isoformat()
        self._valid = [waiver for waiver in waivers if day <= waiver.expires]
        self._expired = [waiver for waiver in waivers if day > waiver.expires]

    def cover(self, finding: Finding) -> bool:
        """Whether every package of a finding is waived."""
        return _cover(self._valid, finding)

    def notes(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        """What people should know of waivers that have expired and are still asked for."""
        ids = {found.id for found in findings}
        return tuple(
            f"the waiver of {waiver.id}{f' in {waiver.package}' if waiver.package else ''} has expired on "
            f"{waiver.expires} and waives nothing any more"
            for waiver in self._expired
            if waiver.id in ids
        )


def _cover(waivers: Sequence[Waiver], finding: Finding) -> bool:
    own = [waiver for waiver in waivers if waiver.id == finding.id]
    if any(waiver.package is None for waiver in own):
        return True
    named = {waiver.package for waiver in own}
    return bool(finding.packages) and all(package.name in named for package in finding.packages)
