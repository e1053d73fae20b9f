"""Vulnerability scans of images: when they begin and end, and what they find (ECR user guide, Scan images).

What is found, how long a scan takes and how it ends is said by tests, through `/_emulator/scans`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.api.strict_json import strict_json
from aws_emulator.ecr.layers import Layers
from aws_emulator.ecr.model import Repository, StoredImage, shown_id

# ECR API reference, DescribeImageScanFindings, maxResults.
_PAGE: Final = 100
# ECR API reference, StartImageScan.
_ONCE_IN_SECONDS: Final = 24 * 3600.0
_BASIC: Final = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNDEFINED")
_ENHANCED: Final = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED")
# botocore's model, ScanStatus, of scans that end without findings.
_ENDS: Final = frozenset(
    {
        "FAILED",
        "UNSUPPORTED_IMAGE",
        "SCAN_ELIGIBILITY_EXPIRED",
        "FINDINGS_UNAVAILABLE",
        "LIMIT_EXCEEDED",
        "IMAGE_ARCHIVED",
        "IMAGE_SIZE_EXCEEDED",
    }
)
_KEYS: Final = frozenset({"repository", "digest", "findings", "status", "description", "seconds"})
_OF_A_FINDING: Final = frozenset({"id", "severity", "package", "version", "fixed"})


@dataclass(frozen=True)
class Outcome:
    """How a scan goes: what it finds, how long it takes, and a status that ends it without findings. One of None
    seconds does not end.
    """

    findings: tuple[Mapping[str, str], ...] = ()
    seconds: float | None = 30.0
    status: str | None = None
    description: str = ""


@dataclass
class Scan:
    """One scan of an image, and how it goes. `begun` is in emulated seconds, `completed` the date at which it was seen
    to be over.
    """

    begun: float
    outcome: Outcome
    enhanced: bool
    completed: datetime | None = None


@dataclass
class Scanning:
    """The registry's scans, by repository and digest, and what tests have said of those to come."""

    enhanced: bool = False
    scans: dict[tuple[str, str], Scan] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def outcome_of(self, repository: str, digest: str) -> Outcome:
        """How a scan of an image goes: as was said of it, or of all images of the repository."""
        return self.outcomes.get((repository, digest)) or self.outcomes.get((repository, "")) or Outcome()


class Scans(Layers):
    """The operations of scanning. Basic scans begin by request or, where the repository says so, with the push;
    enhanced ones with every push. An index is not scanned, its images are.
    """

    def __init__(self, *args: Any, **place: Any) -> None:
        super().__init__(*args, **place)
        self.scanning = Scanning()

    def has_enhanced_scanning(self) -> bool:
        """Whether Inspector scans what is pushed."""
        return self.scanning.enhanced

    def scan_on_push(self, repository: Repository, image: StoredImage) -> None:
        """Begin the scan of an image that was pushed, where there is one."""
        if image.scannable and (self.scanning.enhanced or repository.scan_on_push):
            self._begin(repository, image)

    def completed(self, scan: Scan) -> datetime | None:
        """When a scan was over; None where it goes on."""
        seconds = scan.outcome.seconds
        if seconds is None or self.clock.elapsed() < scan.begun + seconds:
            return None
        if scan.completed is None:
            scan.completed = self.clock.now()
        return scan.completed

    def _begin(self, repository: Repository, image: StoredImage) -> Scan:
        outcome = self.scanning.outcome_of(repository.name, image.digest)
        scan = Scan(self.clock.elapsed(), outcome, self.scanning.enhanced)
        self.scanning.scans[repository.name, image.digest] = scan
        return scan

    @operation("ecr", "PutRegistryScanningConfiguration")
    def put_registry_scanning_configuration(self, request: Request) -> Response:
        """Set the registry's scan type; the filters of rules are not emulated."""
        with self.lock:
            parameters = self.supported(request, "scanType")
            self.scanning.enhanced = parameters.get("scanType", "BASIC") == "ENHANCED"
            return {"registryScanningConfiguration": self._registry_scanning()}

    @operation("ecr", "GetRegistryScanningConfiguration")
    def get_registry_scanning_configuration(self, request: Request) -> Response:
        """Get the registry's scan type."""
        with self.lock:
            self.supported(request)
            return {"registryId": self.account_id, "scanningConfiguration": self._registry_scanning()}

    def _registry_scanning(self) -> dict[str, Any]:
        return {"scanType": "ENHANCED" if self.scanning.enhanced else "BASIC", "rules": []}

    @operation("ecr", "PutImageScanningConfiguration")
    def put_image_scanning_configuration(self, request: Request) -> Response:
        """Switch basic scanning on push on or off."""
        with self.lock:
            parameters = self.supported(request, "imageScanningConfiguration", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            repository.scan_on_push = parameters["imageScanningConfiguration"].get("scanOnPush", False)
            return {
                "registryId": self.account_id,
                "repositoryName": repository.name,
                "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
            }

    @operation("ecr", "StartImageScan")
    def start_image_scan(self, request: Request) -> Response:
        """Begin a basic scan; an image has one in 24 hours."""
        with self.lock:
            parameters = self.supported(request, "imageId", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            image = self.require_image(repository, parameters["imageId"])
            if self.scanning.enhanced:
                # alexjurkiewicz/ecr-scan-image #44: what a registry with enhanced scanning answers.
                raise ApiError("ValidationException", "This feature is disabled")
            if not image.scannable:
                # alexjurkiewicz/ecr-scan-image #43.
                raise ApiError(
                    "UnsupportedImageTypeException",
                    f"An artifact with media type '{image.media_type}' cannot be scanned. For more information, see "
                    "the Amazon ECR documentation.",
                )
            before = self.scanning.scans.get((repository.name, image.digest))
            if before is not None and self.clock.elapsed() < before.begun + _ONCE_IN_SECONDS:
                raise ApiError(
                    "LimitExceededException",
                    "The scan quota per image has been exceeded. Wait and try again.",
                )
            self._begin(repository, image)
            return {
                **self._of(repository, image, parameters["imageId"]),
                "imageScanStatus": {"status": "IN_PROGRESS"},
            }

    @operation("ecr", "DescribeImageScanFindings")
    def describe_image_scan_findings(self, request: Request) -> Response:
        """Describe the newest scan of an image and what it has found, in pages."""
        with self.lock:
            parameters = self.supported(request, "imageId", "maxResults", "nextToken", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            image = self.require_image(repository, parameters["imageId"])
            scan = self.scanning.scans.get((repository.name, image.digest))
            if scan is None or (scan.enhanced and self.clock.elapsed() < _seen(scan)):
                raise ApiError(
                    "ScanNotFoundException",
                    f"Image scan does not exist for the image with '{shown_id(parameters['imageId'])}' in the "
                    f"repository with name '{repository.name}' in the registry with id '{self.account_id}'",
                )
            described = self._of(repository, image, parameters["imageId"])
            ended, outcome = self.completed(scan), scan.outcome
            if ended is None:
                # aws/aws-cli #6759, aws/aws-sdk #289: Inspector's scan is ACTIVE before it has found anything.
                status = {"status": "ACTIVE", "description": _CONTINUOUS}
                return {
                    **described,
                    "imageScanStatus": status if scan.enhanced else {"status": "IN_PROGRESS"},
                    **({"imageScanFindings": {"findings": []}} if scan.enhanced else {}),
                }
            if outcome.status is not None:
                status = {"status": outcome.status, "description": outcome.description}
                return {**described, "imageScanStatus": status}
            shown, token = page(
                outcome.findings,
                parameters.get("nextToken"),
                parameters.get("maxResults"),
                default=_PAGE,
                error="InvalidParameterException",
            )
            return {
                **described,
                "imageScanStatus": {"status": "ACTIVE", "description": _CONTINUOUS}
                if scan.enhanced
                else {"status": "COMPLETE", "description": "The scan was completed successfully."},
                "imageScanFindings": {
                    "imageScanCompletedAt": ended,
                    "vulnerabilitySourceUpdatedAt": ended,
                    "findingSeverityCounts": dict(Counter(each["severity"] for each in outcome.findings)),
                    **(
                        {"enhancedFindings": [self._enhanced(image, each) for each in shown]}
                        if scan.enhanced
                        else {"findings": [_basic(each) for each in shown]}
                    ),
                },
                "nextToken": token,
            }

    def _of(self, repository: Repository, image: StoredImage, asked: Mapping[str, str]) -> dict[str, Any]:
        return {
            "registryId": self.account_id,
            "repositoryName": repository.name,
            "imageId": {**asked, "imageDigest": image.digest},
        }

    def _enhanced(self, image: StoredImage, finding: Mapping[str, str]) -> dict[str, Any]:
        """A finding as Inspector has it (ECR API reference, EnhancedImageScanFinding)."""
        fixed = finding.get("fixed")
        return {
            "awsAccountId": self.account_id,
            "findingArn": f"arn:aws:inspector2:{self.region}:{self.account_id}:finding/{finding['id']}",
            "packageVulnerabilityDetails": {
                "vulnerabilityId": finding["id"],
                "vulnerablePackages": [
                    {
                        "name": finding.get("package", "unnamed"),
                        "version": finding.get("version", "1.0"),
                        "fixedInVersion": fixed or "NotAvailable",
                    }
                ],
            },
            "resources": [{"id": image.digest, "type": "AWS_ECR_CONTAINER_IMAGE"}],
            "severity": finding["severity"],
            "status": "ACTIVE",
            "title": f"{finding['id']} - {finding.get('package', 'unnamed')}",
            "type": "PACKAGE_VULNERABILITY",
            "fixAvailable": "YES" if fixed else "NO",
        }

    # What tests say.

    def routes(self) -> dict[tuple[str, str], Any]:
        """What is served beside the API."""
        return {("POST", "/_emulator/scans"): self._say}

    def _say(self, body: bytes, _query: dict[str, str]) -> tuple[int, Any]:
        try:
            self.set_scan(**_read(strict_json(body)))
        except (ValueError, TypeError, AttributeError) as error:
            return 400, {"error": f"a scan is a JSON object with some of {sorted(_KEYS)}: {error}"}
        return 200, {}

    def set_scan(self, repository: str, digest: str = "", **said: Any) -> None:
        """Say how scans go: of one digest, whether it is here yet or not, or of every image of a repository. Scans that
        there are find the same from now on, as a continuous scan does.
        """
        with self.lock:
            before = self.scanning.outcome_of(repository, digest)
            outcome = replace(before, **{"status": None, "description": "", **said})
            severities = _ENHANCED if self.scanning.enhanced else _BASIC
            for finding in outcome.findings:
                if finding["severity"] not in severities:
                    raise ValueError(f"the severity {finding['severity']} is none of {severities}")
            self.scanning.outcomes[repository, digest] = outcome
            for key, scan in self.scanning.scans.items():
                if key[0] == repository and digest in {"", key[1]}:
                    self.scanning.scans[key] = replace(scan, outcome=outcome, completed=None)


_CONTINUOUS: Final = "Continuous scan is selected for image."


def _seen(scan: Scan) -> float:
    """When ECR knows of Inspector's scan, which takes a while after the push."""
    seconds = scan.outcome.seconds
    return scan.begun + (60.0 if seconds is None else seconds) / 2


def _basic(finding: Mapping[str, str]) -> dict[str, Any]:
    """A finding of a basic scan, which names no fix (ECR API reference, ImageScanFinding)."""
    return {
        "name": finding["id"],
        "uri": f"https://security.example/{finding['id']}",
        "severity": finding["severity"],
        "attributes": [
            {"key": "package_version", "value": finding.get("version", "1.0")},
            {"key": "package_name", "value": finding.get("package", "unnamed")},
        ],
    }


def _read(content: Any) -> dict[str, Any]:
    """What a test says, checked."""
    if unknown := set(content) - _KEYS:
        raise ValueError(f"unknown: {sorted(unknown)}")
    said = {"repository": str(content["repository"]) if "repository" in content else "", **content}
    if not said["repository"]:
        raise ValueError("repository is missing")
    if said.get("status") is not None and said["status"] not in _ENDS:
        raise ValueError(f"status is {said['status']!r}, none of {sorted(_ENDS)}")
    seconds = said.get("seconds", 0)
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0
    ):
        raise ValueError(
            f"seconds is {seconds!r}; it must be a number, 0 or more, or null for a scan without end"
        )
    if "findings" in said:
        said["findings"] = tuple(_finding(each) for each in said["findings"])
    return said


def _finding(content: Any) -> Mapping[str, str]:
    if (
        not isinstance(content, dict)
        or not {"id", "severity"} <= set(content)
        or set(content) - _OF_A_FINDING
    ):
        raise ValueError(
            f"a finding has id, severity and some of package, version, fixed, and not {content!r}"
        )
    return {key: str(value) for key, value in content.items()}
