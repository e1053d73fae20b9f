"""The vulnerability gate on the emulator: scans that come late, never, fail, are of an index; waivers; fixes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import REPOSITORY, Ended, Environment, Service

FIXABLE = {
    "id": "CVE-2026-1",
    "severity": "CRITICAL",
    "package": "openssl",
    "version": "3.0.2",
    "fixed": "3.0.3",
}
UNFIXED = {"id": "CVE-2026-2", "severity": "CRITICAL", "package": "bash", "version": "5.1"}
WAIVER = {"id": "CVE-2026-1", "reason": "not reachable", "expires": "2099-12-31"}
SETTINGS: dict[str, Any] = {
    "environments": {
        "plain": {"scan": {}},
        "hasty": {"scan": {"wait_minutes": 0}},
        "lenient": {"scan": {"missing": "allow", "wait_minutes": 0}},
        "waived": {"scan": {"waivers": [WAIVER]}},
        "expired": {"scan": {"waivers": [{**WAIVER, "expires": "2020-01-01"}]}},
        "fixable": {"scan": {"only_fixable": True}},
        "target": {"scan": {}, "publishes": "promotions"},
        "tested": {"scan": {"enabled": False}},
        "kept": {"scan": {}, "retirement": {"keep_previous": 1}},
    },
    "defaults": {"reconcile_attempts": 2, "scan": {"max_findings": {"critical": 0}}},
    "parameters": {"EnhancedScanning": "true"},
}


@pytest.fixture(autouse=True)
def scans(running: Running) -> Any:
    """ECR scans what is pushed, at once, and finds nothing."""
    ecr = running.service.client("ecr")
    ecr.put_image_scanning_configuration(
        repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": True}
    )
    ecr.put_registry_scanning_configuration(scanType="BASIC")
    running.emulator.registry.set_scan(REPOSITORY, findings=(), seconds=0)
    return running.emulator.registry


@pytest.fixture
def operator(service: Service) -> Operator:
    return Operator(service)


def push(scans: Any, environment: Environment, revision: str, **scan: Any) -> Ended:
    """Push an image of whose scan this is known; the execution of the push."""
    digest = environment.push_quietly(revision)
    scans.set_scan(REPOSITORY, digest, **{"findings": (), "seconds": 0} | scan)
    return environment.build(revision)


def find(scans: Any, environment: Environment, revision: str, *findings: dict[str, str]) -> None:
    """Have the scan of what was pushed find this from now on."""
    digest = environment.push_quietly(revision)
    scans.set_scan(REPOSITORY, digest, findings=findings, seconds=0)


def test_a_late_scan_is_waited_for_and_its_numbers_are_kept(service: Service, scans: Any) -> None:
    environment = service.environment("plain")
    low = {"id": "CVE-2026-9", "severity": "LOW", "package": "zlib"}
    ended = push(scans, environment, "late 1", findings=(low,), seconds=200)
    assert not ended.failure
    states = service.states(ended.arn)
    assert states.count("Await Scan") > 1
    assert states.index("Claim Environment") > states.index("Await Scan"), "nothing is held meanwhile"
    environment.has_one_image()
    found = environment.metadata()["gates"]["scan"]
    assert (found["scanner"], found["findings"]) == ("basic", {"low": 1})
    assert ended.output["scan"]["findings"] == {"low": 1}
    assert environment.history()[environment.latest() or ""]["gates"]["scan"] == found


def test_what_is_found_is_refused_by_name_and_the_live_image_stays(service: Service, scans: Any) -> None:
    environment = service.environment("hasty")
    push(scans, environment, "found 1")
    before = environment.has_one_image()
    ended = push(scans, environment, "found 2", findings=(FIXABLE, UNFIXED))
    assert (ended.status, ended.error) == ("FAILED", "VulnerabilitiesFoundError")
    assert ended.cause is not None
    for words in ("2 critical (0 allowed)", "CVE-2026-1 (critical, openssl 3.0.2)", "scan.waivers"):
        assert words in ended.cause
    assert environment.has_one_image() == before
    assert "Launch Builder" not in service.states(ended.arn)


def test_the_sweep_builds_what_was_refused_when_nothing_is_found_any_more(
    service: Service, scans: Any, operator: Operator
) -> None:
    environment = service.environment("hasty")
    assert not push(scans, environment, "later 0").failure
    ended = push(scans, environment, "later 1", findings=(FIXABLE,))
    assert ended.error == "VulnerabilitiesFoundError"
    known = environment.executions()
    for _ in range(2):
        texts = [each["finding"] for each in service.sweep() if each["environment"] == "hasty"]
        assert any("not started" in text and "CVE-2026-1" in text for text in texts)
    assert environment.executions() == known, "nothing is tried again for the same findings"
    assert any("CVE-2026-1" in drift for drift in operator.status("hasty")["drift"])
    find(scans, environment, "later 1")
    service.sweep()
    assert not environment.wait_for_execution(known).failure
    environment.has_one_image()
    assert "no findings (basic scan" in operator.run("status", "hasty").output


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        ({"seconds": None}, "is being scanned (ECR says IN_PROGRESS), after 0 minutes (scan.wait_minutes)"),
        (
            {"status": "FAILED", "description": "UnsupportedImageError: no operating system"},
            "could not be scanned (ECR says FAILED: UnsupportedImageError: no operating system)",
        ),
        ({"status": "UNSUPPORTED_IMAGE"}, "is of a kind or an operating system that ECR does not scan"),
    ],
    ids=["never", "failed", "unsupported"],
)
def test_what_is_not_scanned_has_not_passed(
    service: Service, scans: Any, scan: dict[str, Any], words: str
) -> None:
    ended = push(scans, service.environment("hasty"), f"not scanned {words}", **scan)
    assert ended.error == "ImageNotScannedError"
    assert words in (ended.cause or "")


def test_what_is_not_scanned_passes_where_that_is_allowed(service: Service, scans: Any) -> None:
    environment = service.environment("lenient")
    assert not push(scans, environment, "lenient 1", status="FAILED").failure
    found = environment.metadata()["gates"]["scan"]
    assert "could not be scanned" in found["unchecked"]
    assert "scanner" not in found


def test_of_an_index_the_platforms_image_is_scanned(service: Service, scans: Any) -> None:
    environment = service.environment("plain")
    child = environment.push_quietly("child of an index")
    ecr = service.client("ecr")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": child,
        "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    scans.set_scan(REPOSITORY, child, findings=(FIXABLE,), seconds=0)
    known = environment.executions()
    ecr.put_image(
        repositoryName=REPOSITORY,
        imageManifest=json.dumps({**manifest, "manifests": [entry]}),
        imageTag=environment.tag,
    )
    ended = environment.wait_for_execution(known)
    assert ended.error == "VulnerabilitiesFoundError"
    assert f"({child} of it)" in (ended.cause or "")
    scans.set_scan(REPOSITORY, child, findings=(), seconds=0)
    known = environment.executions()
    service.sweep()
    assert not environment.wait_for_execution(known).failure
    assert environment.metadata()["gates"]["scan"]["digest"] == child


def test_a_waiver_lets_pass_and_an_expired_one_does_not(service: Service, scans: Any) -> None:
    environment = service.environment("waived")
    assert not push(scans, environment, "waived 1", findings=(FIXABLE,)).failure
    assert environment.metadata()["gates"]["scan"]["waived"] == ["CVE-2026-1"]
    ended = push(scans, service.environment("expired"), "expired 1", findings=(FIXABLE,))
    assert ended.error == "VulnerabilitiesFoundError"
    assert "the waiver of CVE-2026-1 has expired on 2020-01-01 and waives nothing any more" in (
        ended.cause or ""
    )


def test_inspector_says_what_can_be_fixed(service: Service, scans: Any) -> None:
    service.client("ecr").put_registry_scanning_configuration(scanType="ENHANCED")
    environment = service.environment("fixable")
    assert not push(scans, environment, "fixable 1", findings=(UNFIXED,), seconds=60).failure
    found = environment.metadata()["gates"]["scan"]
    assert (found["scanner"], found["findings"]) == ("enhanced", {"critical": 1})
    ended = push(scans, environment, "fixable 2", findings=(FIXABLE, UNFIXED), seconds=60)
    assert ended.error == "VulnerabilitiesFoundError"
    assert "1 critical (0 allowed): CVE-2026-1 (critical, openssl 3.0.2, fixed in 3.0.3) (enhanced scan" in (
        ended.cause or ""
    )


def test_a_promotion_is_held_against_the_targets_gate(service: Service, scans: Any) -> None:
    source, target = service.environment("tested"), service.environment("target")
    assert not push(scans, source, "promoted 1", findings=(FIXABLE,)).failure
    assert "scan" not in source.metadata()["gates"]
    request = {"environment": "target", "action": "promote", "promote_from": "tested"}
    ended = service.run(request)
    assert ended.error == "VulnerabilitiesFoundError"
    find(scans, source, "promoted 1")
    assert not service.run(request).failure
    assert target.metadata()["gates"]["scan"]["scanner"] == "basic"


def test_a_rollback_is_not_held_up_and_tells_what_has_been_found_since(
    service: Service, scans: Any, operator: Operator
) -> None:
    environment = service.environment("kept")
    assert not push(scans, environment, "kept 1").failure
    before = environment.metadata()["image_digest"]
    assert not push(scans, environment, "kept 2").failure
    find(scans, environment, "kept 1", FIXABLE)
    answer = operator.run("rollback", "kept", "--yes", "--watch", "--reason", "it is down")
    assert answer.exit_code == 0, answer.notes
    metadata = environment.metadata()
    assert metadata["image_digest"] == before
    assert "although it has 1 critical (0 allowed): CVE-2026-1" in metadata["reason"]
