"""The vulnerability gate: what ECR has found in a Docker image, held against what the environment lets pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ami_lifecycle.domain.docker_image import Manifest
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.preflight import platform_of
from ami_lifecycle.domain.scan_settings import ScanSettings
from ami_lifecycle.domain.scans import ScanFacts, ScanReport, ScanState, judge
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError, ImageNotScannedError, VulnerabilitiesFoundError
from ami_lifecycle.ports import Clock, Repository

_WAIVER: Final = "{id: %s, reason: ..., expires: %s}"
_GOES_BACK: Final = "a person goes back to what was published before"
_EXAMPLE_DAYS: Final = timedelta(days=30)


class Scanned(NamedTuple):
    """What the gate has let pass, and what people should know of it; or what it waits for, and there are no facts."""

    facts: ScanFacts | None
    notes: tuple[str, ...] = ()
    waits_for: str | None = None


@dataclass(frozen=True)
class ScanGate:
    """Asks ECR of the manifest that a builder of the environment pulls, because an index is not scanned itself."""

    repository: Repository
    clock: Clock

    def check(
        self,
        settings: EnvironmentSettings,
        repository: str,
        digest: str,
        *,
        started: datetime | None,
    ) -> Scanned:
        """Hold a Docker image against the settings.

        Args:
            repository: where the digest is; a release may be of another one than the settings name.
            started: since when somebody waits for a scan; nobody does without.

        Raises:
            VulnerabilitiesFoundError: there are more findings than pass.
            ImageNotScannedError: there is no scan, there will be none, or nobody waits for it any longer.
        """
        asked, own, report = settings.scan, *self._report(settings, repository, digest)
        what = f"{repository}@{own}" if own == digest else f"{repository}@{digest} ({own} of it)"
        if report.state is ScanState.DONE:
            return self._judged(asked, what, own, report)
        if self._may_come(report, asked, repository, own, started):
            return Scanned(None, waits_for=f"the scan of {what}: it {report.words}")
        if asked.missing == "allow":
            unchecked = f"it {report.words}; scan.missing is allow"
            return Scanned(ScanFacts(digest=own, unchecked=unchecked), notes=(f"not scanned: {unchecked}",))
        waited = started is not None and self.clock.now() >= started + timedelta(minutes=asked.wait_minutes)
        raise ImageNotScannedError(
            f"{what} has not passed scan of {settings.environment}: it {report.words}"
            f"{f', after {asked.wait_minutes} minutes (scan.wait_minutes)' if waited else ''}",
            hint=_remedy(report, repository, own),
        )

    def told(self, settings: EnvironmentSettings, repository: str, digest: str) -> Scanned:
        """What the gate would say of what a person goes back to: to be told, and nothing else."""
        why = _GOES_BACK
        try:
            own, report = self._report(settings, repository, digest)
        except AmiLifecycleError as error:
            # A person goes back to what worked; that does not wait for a registry.
            unchecked = f"{why}; its scan cannot be read ({type(error).__name__})"
            return Scanned(ScanFacts(digest=digest, unchecked=unchecked), notes=(unchecked,))
        if report.state is not ScanState.DONE:
            unchecked = f"{why}; it {report.words}"
            return Scanned(ScanFacts(digest=own, unchecked=unchecked), notes=(unchecked,))
        verdict = judge(own, report, settings.scan, self.clock.now().date())
        if not verdict.excess:
            return Scanned(verdict.facts, verdict.notes)
        facts = verdict.facts.model_copy(update={"unchecked": why})
        return Scanned(facts, (f"{why}, although it has {verdict.excess}", *verdict.notes))

    def _report(self, settings: EnvironmentSettings, repository: str, digest: str) -> tuple[str, ScanReport]:
        """The manifest that is scanned, and the report of it."""
        manifest = self.repository.manifest(repository, digest)
        if manifest is None or not manifest.is_index:
            return digest, self.repository.scan(repository, digest)
        return self._report_of_index(settings, repository, digest, manifest)

    def _report_of_index(
        self, settings: EnvironmentSettings, repository: str, digest: str, index: Manifest
    ) -> tuple[str, ScanReport]:
        platform = platform_of(settings)
        child = index.child_for(platform)
        if child is None:
            return digest, ScanReport(
                ScanState.IMPOSSIBLE, f"is an index without an image for linux/{platform}; build it for that"
            )
        return child.digest, self.repository.scan(repository, child.digest)

    def _judged(self, asked: ScanSettings, what: str, own: str, report: ScanReport) -> Scanned:
        today = self.clock.now().date()
        verdict = judge(own, report, asked, today)
        if not verdict.excess:
            return Scanned(verdict.facts, verdict.notes)
        fixable = ", counting those with a fix alone" if asked.only_fixable else ""
        notes = f". Besides, {'; '.join(verdict.notes)}" if verdict.notes else ""
        example = _WAIVER % (verdict.worst or "ID", (today + _EXAMPLE_DAYS).isoformat())
        raise VulnerabilitiesFoundError(
            f"{what} has {verdict.excess} ({verdict.facts.scanner} scan of {verdict.facts.scanned_at}{fixable}){notes}",
            hint=(
                "Build the Docker image with the fixed versions and push it; or, for what does no harm here, add to "
                f"scan.waivers in config/build_config.yml {example} and deploy. The sweep tries again when a scan, a "
                "waiver or the settings let it pass"
            ),
        )

    def _may_come(
        self,
        report: ScanReport,
        asked: ScanSettings,
        repository: str,
        digest: str,
        started: datetime | None,
    ) -> bool:
        """Whether a scan may still come while somebody waits for it."""
        now, patience = self.clock.now(), timedelta(minutes=asked.wait_minutes)
        if started is None or now >= started + patience:
            return False
        if report.state is ScanState.RUNNING:
            return True
        if report.state is not ScanState.ABSENT:
            return False
        # A scan on push begins within minutes of the push; one of an image that is here for long is nobody's plan.
        image = self.repository.describe(repository, digest)
        return image is not None and (image.pushed_at is None or now < image.pushed_at + patience)


def with_scan(plan: BuildPlan, found: Scanned) -> BuildPlan:
    """The plan with what was found, and among its reasons what people should know of it."""
    return plan.model_copy(update={"scan": found.facts, "reasons": (*plan.reasons, *found.notes)})


def _remedy(report: ScanReport, repository: str, digest: str) -> str:
    match report.state:
        case ScanState.RUNNING:
            return "The sweep tries again when the scan is done; if scans take long here, raise scan.wait_minutes"
        case ScanState.ABSENT:
            return (
                "Scan it: aws ecr start-image-scan --repository-name "
                f"{repository} --image-id imageDigest={digest} (basic), or switch on scanning for the repository (ECR, "
                "Private registry, Scanning) and push again; or set scan.missing: allow. The sweep tries again"
            )
        case _:
            return "Or set scan.missing: allow for the environment. The sweep tries again"
