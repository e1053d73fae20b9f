"""ECR's scans: when they begin, how they end, who is refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused

OPENSSL = {"id": "CVE-2026-1", "severity": "HIGH", "package": "openssl", "version": "3.0.2", "fixed": "3.0.3"}
BASH = {"id": "CVE-2026-2", "severity": "LOW", "package": "bash"}


def findings(account: Account, digest: str, **page: Any) -> Any:
    return account.ecr.describe_image_scan_findings(
        repositoryName="comfyui", imageId={"imageDigest": digest}, **page
    )


def enhanced(account: Account) -> None:
    account.ecr.put_registry_scanning_configuration(scanType="ENHANCED")


def an_index(account: Account, child: str) -> str:
    content = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"digest": child, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}}],
    }
    answer = account.ecr.put_image(
        repositoryName="comfyui", imageManifest=json.dumps(content), imageTag="index"
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def test_what_was_not_scanned_has_no_findings(account: Account) -> None:
    """ECR API reference, DescribeImageScanFindings: ScanNotFoundException, ImageNotFoundException."""
    account.repository()
    digest = account.push("one")
    with refused("ScanNotFoundException") as refusal:
        findings(account, digest)
    assert f"imageDigest:'{digest}'" in refusal.message
    with refused("ImageNotFoundException"):
        findings(account, "sha256:" + "0" * 64)
    with refused("RepositoryNotFoundException"):
        account.ecr.describe_image_scan_findings(repositoryName="nowhere", imageId={"imageTag": "latest"})


def test_a_scan_on_push_runs_and_completes(account: Account) -> None:
    """ECR user guide, Scan images for OS vulnerabilities: IN_PROGRESS, then COMPLETE; attributes name the package."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    account.registry.set_scan("comfyui", findings=(OPENSSL,), seconds=60)
    digest = account.push("one")
    assert findings(account, digest)["imageScanStatus"] == {"status": "IN_PROGRESS"}
    account.clock.advance(60)
    found = findings(account, digest)
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}
    assert found["imageScanFindings"]["imageScanCompletedAt"]
    (finding,) = found["imageScanFindings"]["findings"]
    assert (finding["name"], finding["severity"]) == ("CVE-2026-1", "HIGH")
    assert {each["key"]: each["value"] for each in finding["attributes"]} == {
        "package_name": "openssl",
        "package_version": "3.0.2",
    }


def test_a_scan_is_started_once_a_day(account: Account) -> None:
    """ECR API reference, StartImageScan: once per 24 hours on an individual image, LimitExceededException."""
    account.repository()
    digest = account.push("one")
    asked = {"repositoryName": "comfyui", "imageId": {"imageDigest": digest}}
    assert account.ecr.start_image_scan(**asked)["imageScanStatus"]["status"] == "IN_PROGRESS"
    account.clock.advance(24 * 3600 - 1)
    with refused("LimitExceededException"):
        account.ecr.start_image_scan(**asked)
    account.clock.advance(1)
    account.ecr.start_image_scan(**asked)
    with refused("ImageNotFoundException"):
        account.ecr.start_image_scan(repositoryName="comfyui", imageId={"imageTag": "none"})


def test_an_index_is_not_scanned_and_its_images_are(account: Account) -> None:
    """alexjurkiewicz/ecr-scan-image #43; aws/containers-roadmap #1683."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    child = account.push("child", tag=None)
    index = an_index(account, child)
    with refused("ScanNotFoundException"):
        findings(account, index)
    with refused("UnsupportedImageTypeException") as refusal:
        account.ecr.start_image_scan(repositoryName="comfyui", imageId={"imageDigest": index})
    assert refusal.message.startswith(
        "An artifact with media type 'application/vnd.oci.image.index.v1+json' cannot be scanned"
    )
    account.clock.advance(60)
    assert findings(account, child)["imageScanStatus"]["status"] == "COMPLETE"


def test_an_artifact_that_is_no_image_is_not_scanned(account: Account) -> None:
    """ECR user guide, Troubleshooting image scanning: what is no image is not scanned."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    chart = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 1, "digest": "sha256:1"},
        "layers": [],
    }
    answer = account.ecr.put_image(
        repositoryName="comfyui", imageManifest=json.dumps(chart), imageTag="chart"
    )
    with refused("ScanNotFoundException"):
        findings(account, answer["image"]["imageId"]["imageDigest"])


def test_an_enhanced_scan_is_active_before_it_has_findings(account: Account) -> None:
    """aws/aws-cli #6759: ACTIVE with an empty list and without a date; before that there is no scan at all."""
    account.repository()
    enhanced(account)
    account.registry.set_scan("comfyui", findings=(OPENSSL, BASH), seconds=60)
    digest = account.push("one")
    with refused("ScanNotFoundException"):
        findings(account, digest)
    account.clock.advance(30)
    found = findings(account, digest)
    assert found["imageScanStatus"]["status"] == "ACTIVE"
    assert found["imageScanFindings"] == {"findings": []}
    account.clock.advance(30)
    found = findings(account, digest)["imageScanFindings"]
    assert found["findingSeverityCounts"] == {"HIGH": 1, "LOW": 1}
    fixable, other = found["enhancedFindings"]
    assert fixable["fixAvailable"] == "YES"
    assert fixable["packageVulnerabilityDetails"]["vulnerabilityId"] == "CVE-2026-1"
    assert fixable["packageVulnerabilityDetails"]["vulnerablePackages"] == [
        {"name": "openssl", "version": "3.0.2", "fixedInVersion": "3.0.3"}
    ]
    assert other["fixAvailable"] == "NO"
    assert other["packageVulnerabilityDetails"]["vulnerablePackages"][0]["fixedInVersion"] == "NotAvailable"


def test_a_registry_with_enhanced_scanning_starts_no_basic_scan(account: Account) -> None:
    """alexjurkiewicz/ecr-scan-image #44: This feature is disabled."""
    account.repository()
    enhanced(account)
    assert (
        account.ecr.get_registry_scanning_configuration()["scanningConfiguration"]["scanType"] == "ENHANCED"
    )
    digest = account.push("one")
    with refused("ValidationException") as refusal:
        account.ecr.start_image_scan(repositoryName="comfyui", imageId={"imageDigest": digest})
    assert refusal.message == "This feature is disabled"


def test_scanning_on_push_is_switched_on_and_off(account: Account) -> None:
    """ECR API reference, PutImageScanningConfiguration."""
    account.repository()
    for switched in (True, False):
        answer = account.ecr.put_image_scanning_configuration(
            repositoryName="comfyui", imageScanningConfiguration={"scanOnPush": switched}
        )
        assert answer["imageScanningConfiguration"] == {"scanOnPush": switched}
        (repository,) = account.ecr.describe_repositories()["repositories"]
        assert repository["imageScanningConfiguration"] == {"scanOnPush": switched}


@pytest.mark.parametrize(
    "status", ["FAILED", "UNSUPPORTED_IMAGE", "SCAN_ELIGIBILITY_EXPIRED", "LIMIT_EXCEEDED"]
)
def test_a_scan_ends_without_findings(account: Account, status: str) -> None:
    """ECR API reference, ImageScanStatus."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    digest = account.push("one")
    account.registry.set_scan("comfyui", digest, status=status, description="as it is", seconds=0)
    found = findings(account, digest)
    assert found["imageScanStatus"] == {"status": status, "description": "as it is"}
    assert "imageScanFindings" not in found


def test_a_scan_may_never_end(account: Account) -> None:
    """ECR user guide, Troubleshooting image scanning: scans that stay pending."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    account.registry.set_scan("comfyui", seconds=None)
    digest = account.push("one")
    account.clock.advance(7 * 24 * 3600)
    assert findings(account, digest)["imageScanStatus"]["status"] == "IN_PROGRESS"


def test_findings_come_in_pages(account: Account) -> None:
    """ECR API reference, DescribeImageScanFindings: 100 a page unless maxResults says otherwise; nextToken."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    account.registry.set_scan(
        "comfyui", findings=tuple({"id": f"CVE-2026-{number}", "severity": "LOW"} for number in range(103))
    )
    digest = account.push("one")
    account.clock.advance(60)
    first = findings(account, digest)
    assert len(first["imageScanFindings"]["findings"]) == 100
    rest = findings(account, digest, nextToken=first["nextToken"])
    assert [each["name"] for each in rest["imageScanFindings"]["findings"]] == [
        "CVE-2026-100",
        "CVE-2026-101",
        "CVE-2026-102",
    ]
    assert "nextToken" not in rest
    assert rest["imageScanFindings"]["findingSeverityCounts"] == {"LOW": 103}
    assert len(findings(account, digest, maxResults=7)["imageScanFindings"]["findings"]) == 7
    with refused("InvalidParameterException"):
        findings(account, digest, nextToken="none")


def say(account: Account, content: Any) -> int:
    request = urllib.request.Request(  # noqa: S310 - the server of the tests
        f"{account.ecr.meta.endpoint_url}/_emulator/scans", data=json.dumps(content).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_tests_say_what_is_found(account: Account) -> None:
    """The emulator's own: what a scan finds from now on, of one digest or of all of a repository."""
    account.repository(imageScanningConfiguration={"scanOnPush": True})
    one, two = account.push("one"), account.push("two")
    account.clock.advance(60)
    assert say(account, {"repository": "comfyui", "findings": [BASH]}) == 200
    assert say(account, {"repository": "comfyui", "digest": two, "findings": [OPENSSL], "seconds": 0}) == 200
    assert findings(account, one)["imageScanFindings"]["findingSeverityCounts"] == {"LOW": 1}
    assert findings(account, two)["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"repository": ""},
        {"repository": "comfyui", "severity": "HIGH"},
        {"repository": "comfyui", "status": "COMPLETE"},
        {"repository": "comfyui", "seconds": -1},
        {"repository": "comfyui", "seconds": True},
        {"repository": "comfyui", "findings": [{"id": "CVE-2026-1"}]},
        {"repository": "comfyui", "findings": [{"id": "CVE-2026-1", "severity": "BAD"}]},
        {"repository": "comfyui", "findings": [{**BASH, "severity": "UNTRIAGED"}]},
    ],
)
def test_what_makes_no_sense_is_refused(account: Account, content: Any) -> None:
    """The emulator's own."""
    assert say(account, content) == 400
