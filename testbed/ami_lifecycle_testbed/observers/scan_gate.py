"""Whether an environment's settings let a Docker image pass, by what the emulated ECR has found in it.

It reads the settings as they are written and the registry's own state, and shares no code with the service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from ami_lifecycle_testbed.promises.view import DIGEST_TAG
from aws_emulator.ecr import Registry
from aws_emulator.ecr.scans import Scan

_PLATFORMS: Final = {"x86_64": "amd64", "arm64": "arm64"}
_SEVERITIES: Final = ("critical", "high", "medium", "low", "informational", "untriaged")


class ScanGate:
    """The vulnerability gate, as an observer sees it.

    Args:
        repositories: the repository of each environment.
        settings: `scan` and the architecture of each environment that has the gate.
    """

    def __init__(
        self,
        registry: Registry,
        repositories: Mapping[str, str],
        settings: Mapping[str, tuple[Mapping[str, Any], str]],
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._repositories = repositories
        self._settings = settings
        self._now = now

    def __call__(self, environment: str, tags: Mapping[str, str]) -> bool:
        """Whether the Docker image that the tags name may be published."""
        if environment not in self._settings:
            return True
        settings, architecture = self._settings[environment]
        repository, digest = self._repositories[environment], tags.get(DIGEST_TAG, "")
        with self._registry.lock:
            if self._registry.has_image(repository, digest):
                digest = self._registry.variant_for(repository, digest, _PLATFORMS[architecture])
            scan = self._registry.scanning.scans.get((repository, digest))
        if scan is None or self._registry.completed(scan) is None or scan.outcome.status is not None:
            return bool(settings.get("missing") == "allow")
        limits = {"critical": 0, **(settings.get("max_findings") or {})}
        counted = self._counted(scan, settings)
        return all(
            limits.get(severity) is None or counted[severity] <= limits[severity] for severity in _SEVERITIES
        )

    def _counted(self, scan: Scan, settings: Mapping[str, Any]) -> Counter[str]:
        today = self._now().date().isoformat()
        waived = {
            (str(each["id"]), each.get("package"))
            for each in settings.get("waivers") or ()
            if str(each["expires"]) >= today
        }
        counted: Counter[str] = Counter()
        for finding in scan.outcome.findings:
            of = finding["id"]
            if (of, None) in waived or (of, finding.get("package", "unnamed")) in waived:
                continue
            # A basic scan names no fix, so that each of its findings counts.
            if settings.get("only_fixable") and scan.enhanced and not finding.get("fixed"):
                continue
            counted["untriaged" if finding["severity"] == "UNDEFINED" else finding["severity"].lower()] += 1
        return counted
