"""The vulnerability gate: what is waited for, what is refused and how, and when the sweep tries again."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.repository import PLAIN_IMAGE
from tests.unit.steps.account import Account, an_image, arn_of, catalogue
from tests.unit.steps.execution import run, run_started
from tests.unit.steps.leftovers import findings, started
from tests.unit.steps.promoting import of_dev, promoting

from ami_lifecycle.domain.docker_image import Child, Manifest
from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.execution import BuildState, ScanWait
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.scans import (
    Finding,
    Fix,
    Package,
    ScanFacts,
    ScanReport,
    ScanState,
    Severity,
)
from ami_lifecycle.errors import (
    AccessDeniedError,
    ImageNotScannedError,
    ThrottledError,
    VulnerabilitiesFoundError,
)

ARN = arn_of("e1")
CRITICAL = Finding("CVE-2026-1", Severity.CRITICAL, (Package("openssl", "3.0.2", "3.0.3"),), Fix.YES)
RUNNING = ScanReport(ScanState.RUNNING, "is being scanned (ECR says IN_PROGRESS)")
FAILED = ScanReport(ScanState.IMPOSSIBLE, "could not be scanned (ECR says FAILED)")
WAIVER = {"id": "CVE-2026-1", "reason": "not reachable", "expires": "2099-12-31"}


def gated(**scan: Any) -> Account:
    """An account whose environments have a gate, with an image of theirs that is live."""
    account = Account({"scan": scan})
    account.publish(an_image(1, digest="sha256:" + "9" * 64))
    return account


def change(account: Account, **scan: Any) -> None:
    """Deploy other settings of the gate."""
    account.catalogue = catalogue(defaults={"publication": {"grace_period_seconds": 0}, "scan": scan})


def done(account: Account, *found: Finding, scanner: Any = "enhanced") -> ScanReport:
    return ScanReport(ScanState.DONE, scanner=scanner, scanned_at=account.world.clock.now(), findings=found)


def scanned(account: Account, digest: str, *found: Finding) -> None:
    account.world.repository.scans[digest] = done(account, *found)


def plan(account: Account, waited: timedelta | None = timedelta(0), **fields: Any) -> BuildState:
    request = BuildRequest(**{"environment": "prod", **fields})
    since = None if waited is None else account.world.clock.now() - waited
    return account.planner.plan_request(request, ARN, since)


def record_of(account: Account) -> EnvironmentRecord:
    return account.world.environments.records.get("prod") or EnvironmentRecord(environment="prod")


def calls(account: Account) -> list[str]:
    """What the registry was asked."""
    return [call.method for call in account.world.repository.calls]


# Without the setting.


@pytest.mark.parametrize("scan", [None, {"enabled": False}])
def test_without_a_gate_nothing_is_asked_and_nothing_is_kept(scan: Any) -> None:
    account = Account({} if scan is None else {"scan": scan})
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    state = plan(account)
    assert (state.plan.scan, state.waits) == (None, None)
    account.sweeper.sweep()
    assert "scan" not in calls(account)


# What passes, and what does not.


def test_what_passes_is_planned_with_its_numbers() -> None:
    account = gated(max_findings={"critical": 1})
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    state = plan(account)
    assert state.waits is None
    assert state.plan.action is Action.BUILD
    at = account.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert state.plan.scan == ScanFacts(
        digest=digest, scanner="enhanced", scanned_at=at, findings={"critical": 1}
    )


def test_a_refusal_names_the_image_the_findings_the_scan_and_what_to_do() -> None:
    account = gated()
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    with pytest.raises(VulnerabilitiesFoundError) as refused:
        plan(account)
    now = account.world.clock.now()
    assert str(refused.value) == (
        f"comfyui@{digest} has 1 critical (0 allowed): CVE-2026-1 (critical, openssl 3.0.2, fixed in 3.0.3) "
        f"(enhanced scan of {now:%Y-%m-%dT%H:%M:%SZ}). Build the Docker image with the fixed versions and push it; or, "
        "for what does no harm here, add to scan.waivers in config/build_config.yml {id: CVE-2026-1, reason: ..., "
        f"expires: {now + timedelta(days=30):%Y-%m-%d}}} and deploy. The sweep tries again when a scan, a waiver or "
        "the settings let it pass"
    )


def test_a_refusal_says_that_only_the_fixable_count_and_what_has_expired() -> None:
    account = gated(only_fixable=True, waivers=[{**WAIVER, "expires": "2020-01-01"}])
    scanned(account, account.push("one"), CRITICAL)
    with pytest.raises(VulnerabilitiesFoundError) as refused:
        plan(account)
    assert re.search(
        r", counting those with a fix alone\)\. Besides, the waiver of CVE-2026-1 has expired on 2020-01-01 and waives "
        r"nothing any more\. Build",
        str(refused.value),
    )


def test_an_expired_waiver_of_what_passes_is_among_the_reasons() -> None:
    account = gated(max_findings={"critical": 1}, waivers=[{**WAIVER, "expires": "2020-01-01"}])
    scanned(account, account.push("one"), CRITICAL)
    assert plan(account).plan.reasons[-1] == (
        "the waiver of CVE-2026-1 has expired on 2020-01-01 and waives nothing any more"
    )


def test_force_does_not_pass_the_gate() -> None:
    account = gated()
    scanned(account, account.push("one"), CRITICAL)
    with pytest.raises(VulnerabilitiesFoundError):
        plan(account, force=True)


# The platform's manifest.


def an_index(account: Account, *children: Child) -> str:
    digest = account.push("index")
    account.world.repository.manifests[digest] = Manifest(
        media_type="application/vnd.oci.image.index.v1+json", children=children
    )
    return digest


def test_of_an_index_the_image_of_the_platform_is_asked_about() -> None:
    account = gated()
    amd, arm = account.world.repository.push(None, "amd"), account.world.repository.push(None, "arm")
    index = an_index(
        account, Child(digest=arm, platform="linux/arm64"), Child(digest=amd, platform="linux/amd64")
    )
    scanned(account, index, CRITICAL)
    scanned(account, arm, CRITICAL)
    scanned(account, amd)
    facts = plan(account).plan.scan
    assert facts is not None
    assert facts.digest == amd
    scanned(account, amd, CRITICAL)
    with pytest.raises(VulnerabilitiesFoundError, match=re.escape(f"comfyui@{index} ({amd} of it) has 1")):
        plan(account)


def test_an_index_whose_image_is_gone_has_not_passed() -> None:
    account = gated()
    gone = "sha256:" + "e" * 64
    an_index(account, Child(digest=gone, platform="linux/amd64"))
    with pytest.raises(ImageNotScannedError, match="is not in the repository"):
        plan(account)


def test_a_manifest_that_cannot_be_read_is_asked_about_itself() -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.manifests[digest] = PLAIN_IMAGE
    scanned(account, digest)
    assert plan(account).plan.scan is not None


# Waiting.


@pytest.mark.parametrize("missing", ["refuse", "allow"])
def test_a_scan_that_runs_is_waited_for(missing: str) -> None:
    account = gated(missing=missing)
    digest = account.push("one")
    account.world.repository.scans[digest] = RUNNING
    state = plan(account, timedelta(minutes=14, seconds=59))
    assert state.waits == ScanWait(
        reason=f"the scan of comfyui@{digest}: it is being scanned (ECR says IN_PROGRESS)"
    )
    assert state.plan.scan is None


def test_a_scan_that_takes_too_long_has_not_passed() -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.scans[digest] = RUNNING
    with pytest.raises(ImageNotScannedError) as refused:
        plan(account, timedelta(minutes=15))
    assert str(refused.value) == (
        f"comfyui@{digest} has not passed scan of prod: it is being scanned (ECR says IN_PROGRESS), after 15 minutes "
        "(scan.wait_minutes). The sweep tries again when the scan is done; if scans take long here, raise "
        "scan.wait_minutes"
    )


def test_nobody_waits_where_nothing_says_since_when() -> None:
    account = gated()
    account.world.repository.scans[account.push("one")] = RUNNING
    with pytest.raises(ImageNotScannedError) as refused:
        plan(account, None)
    assert "minutes" not in str(refused.value).partition("The sweep")[0]


@pytest.mark.parametrize(("age", "waits"), [(0, True), (14, True), (15, False), (1_000, False)])
def test_the_scan_of_what_was_pushed_just_now_is_waited_for(age: int, waits: bool) -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.pushed_at[digest] = account.world.clock.now() - timedelta(minutes=age)
    if waits:
        assert plan(account).waits is not None
        return
    with pytest.raises(ImageNotScannedError) as refused:
        plan(account)
    assert str(refused.value) == (
        f"comfyui@{digest} has not passed scan of prod: it has no scan in ECR. Scan it: aws ecr start-image-scan "
        f"--repository-name comfyui --image-id imageDigest={digest} (basic), or switch on scanning for the repository "
        "(ECR, Private registry, Scanning) and push again; or set scan.missing: allow. The sweep tries again"
    )


def test_without_a_date_of_the_push_a_scan_may_come() -> None:
    account = gated()
    account.push("one")
    assert plan(account).waits is not None
    with pytest.raises(ImageNotScannedError, match="after 15 minutes"):
        plan(account, timedelta(minutes=15))


def test_what_cannot_be_scanned_is_not_waited_for() -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.scans[digest] = FAILED
    with pytest.raises(ImageNotScannedError) as refused:
        plan(account)
    assert str(refused.value) == (
        f"comfyui@{digest} has not passed scan of prod: it could not be scanned (ECR says FAILED). Or set "
        "scan.missing: allow for the environment. The sweep tries again"
    )


@pytest.mark.parametrize("report", [RUNNING, FAILED, None])
def test_what_was_not_scanned_passes_where_the_setting_allows_it_and_the_records_say_so(report: Any) -> None:
    account = gated(missing="allow", wait_minutes=0)
    digest = account.push("one")
    if report is not None:
        account.world.repository.scans[digest] = report
    words = report.words if report is not None else "has no scan in ECR"
    state = plan(account)
    assert state.plan.scan == ScanFacts(digest=digest, unchecked=f"it {words}; scan.missing is allow")
    assert state.plan.reasons[-1] == f"not scanned: it {words}; scan.missing is allow"


# Whole executions.


def test_an_execution_waits_for_a_late_scan_and_publishes() -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.scans[digest] = RUNNING
    began = account.world.clock.now()

    class Late:
        """The scan is done after four minutes."""

        def before(self, *_: Any) -> None:
            if account.world.clock.now() - began >= timedelta(minutes=4):
                scanned(account, digest)

        def after(self, *_: Any) -> None:
            """Nothing."""

    account.world.watch(Late())
    ended = run(account)
    assert ended.outcome == "published"
    assert ended.result is not None
    assert ended.result.scan is not None
    assert ended.result.scan.scanner == "enhanced"
    assert account.world.clock.now() - began < timedelta(minutes=15)


def test_an_execution_whose_scan_never_comes_fails_by_name_and_holds_nothing_meanwhile() -> None:
    account = gated()
    digest = account.push("one")
    account.world.repository.scans[digest] = RUNNING
    claimed: list[bool] = []

    class Look:
        """Is the environment held while somebody waits?"""

        def before(self, *_: Any) -> None:
            claimed.append(record_of(account).claim is not None)

        def after(self, *_: Any) -> None:
            """Nothing."""

    account.world.watch(Look())
    before = account.latest
    ended = run(account)
    assert (ended.outcome, ended.error) == ("failed", "ImageNotScannedError")
    assert not any(claimed)
    assert account.latest == before


def test_what_is_found_fails_the_execution_by_name() -> None:
    account = gated()
    scanned(account, account.push("one"), CRITICAL)
    ended = run(account)
    assert (ended.outcome, ended.error) == ("failed", "VulnerabilitiesFoundError")
    assert record_of(account).failures == (), "no failure of the image is counted"


# The sweep.


def test_the_sweep_starts_nothing_that_the_gate_refuses_and_says_why_each_time() -> None:
    account = gated()
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    for _ in range(3):
        (finding,) = findings(account.sweeper.sweep())
        assert (
            f"prod-latest names {digest}, which is not published; not started: comfyui@{digest} has 1"
            in finding
        )
        account.world.clock.advance(3_600)
    assert started(account) == []


@pytest.mark.parametrize("what", ["findings", "waiver", "settings", "gate"])
def test_the_sweep_builds_when_findings_waivers_or_settings_let_it_pass(what: str) -> None:
    account = gated()
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    account.sweeper.sweep()
    assert started(account) == []
    if what == "findings":
        scanned(account, digest)
    else:
        change(
            account,
            **{
                "waiver": {"waivers": [WAIVER]},
                "settings": {"max_findings": {"critical": 1}},
                "gate": {"enabled": False},
            }[what],
        )
    account.sweeper.sweep()
    assert len(started(account)) == 1
    run_started(account)
    assert account.live.tags["ami-lifecycle:image-digest"] == digest


@pytest.mark.parametrize(("missing", "starts"), [("refuse", 0), ("allow", 1)])
def test_the_sweep_waits_for_no_scan_and_leaves_that_to_an_execution(missing: str, starts: int) -> None:
    account = gated(missing=missing)
    account.world.repository.scans[account.push("one")] = RUNNING
    account.sweeper.sweep()
    assert len(started(account)) == starts


def test_what_cannot_be_asked_is_an_error_and_no_verdict() -> None:
    account = gated()
    account.push("one")
    account.world.repository.fail("scan", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        plan(account)


# Back to what was published before.


def rolled_back(account: Account, **fields: Any) -> BuildState:
    old = account.world.images.add(
        an_image(7, name="comfyui-multitenant-prod.candidate.7", digest=account.push("old", "older"))
    )
    account.record(old, status=RecordStatus.SUPERSEDED)
    return plan(
        account,
        **{
            "action": Action.PUBLISH,
            "trigger": Trigger.ROLLBACK,
            "publish_image_id": old.image_id,
            "reason": "down",
            **fields,
        },
    )


def test_a_rollback_to_an_image_is_not_held_up_and_is_told_what_has_been_found_since() -> None:
    account = gated()
    digest = account.push("old", "older")
    scanned(account, digest, CRITICAL)
    state = rolled_back(account)
    assert (state.plan.action, state.waits) == (Action.PUBLISH, None)
    told = (
        "a person goes back to what was published before, although it has 1 critical (0 allowed): CVE-2026-1 "
        "(critical, openssl 3.0.2, fixed in 3.0.3)"
    )
    assert state.plan.reasons == ("down", told)
    assert state.plan.scan is not None
    assert state.plan.scan.findings == {"critical": 1}
    assert state.plan.scan.unchecked == "a person goes back to what was published before"


def test_a_rollback_to_what_would_pass_has_nothing_to_tell() -> None:
    account = gated()
    scanned(account, account.push("old", "older"))
    state = rolled_back(account)
    assert state.plan.reasons == ("down",)
    assert state.plan.scan is not None
    assert state.plan.scan.unchecked is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "it has no scan in ECR"),
        (AccessDeniedError("no"), "its scan cannot be read (AccessDeniedError)"),
        (ThrottledError("slower"), "its scan cannot be read (ThrottledError)"),
    ],
)
def test_a_rollback_does_not_wait_for_a_registry(error: Any, words: str) -> None:
    account = gated()
    if error is not None:
        account.world.repository.fail("scan", error)
    state = rolled_back(account)
    unchecked = f"a person goes back to what was published before; {words}"
    assert state.plan.reasons == ("down", unchecked)
    assert state.plan.scan is not None
    assert state.plan.scan.unchecked == unchecked


def test_a_repair_of_the_sweep_asks_nothing() -> None:
    account = gated()
    assert rolled_back(account, trigger=Trigger.RECONCILE).plan.scan is None
    assert "scan" not in calls(account)


# Promotion.


def test_a_release_is_held_against_the_settings_of_its_target() -> None:
    account = promoting(prod={"scan": {}})
    digest = account.push("one", "dev")
    replace(account, environment="dev").publish(of_dev(1, digest=digest))
    scanned(account, digest, CRITICAL)
    request = {"action": Action.PROMOTE, "promote_from": "dev"}
    with pytest.raises(VulnerabilitiesFoundError, match=f"comfyui@{digest} has 1 critical"):
        plan(account, **request)
    scanned(account, digest)
    found = plan(account, **request).plan
    assert (found.action, found.scan and found.scan.digest) == (Action.PROMOTE, digest)


def test_a_release_whose_docker_image_is_gone_has_not_passed() -> None:
    account = promoting(prod={"scan": {}})
    digest = account.push("one", "dev")
    replace(account, environment="dev").publish(of_dev(1, digest=digest))
    account.world.repository.remove(digest)
    with pytest.raises(ImageNotScannedError, match="is not in the repository"):
        plan(account, action=Action.PROMOTE, promote_from="dev")


# Together with approvals.


def test_people_are_asked_with_what_the_scan_says_and_only_about_what_passes() -> None:
    account = Account({"scan": {}, "approval": {"pushes": True}})
    digest = account.push("one")
    scanned(account, digest, CRITICAL)
    with pytest.raises(VulnerabilitiesFoundError):
        plan(account)
    account.world.repository.scans[digest] = RUNNING
    waiting = plan(account)
    assert (waiting.plan.action, waiting.waits is not None) == (Action.BUILD, True)
    scanned(account, digest, Finding("CVE-2026-2", Severity.LOW))
    asked = plan(account).plan
    assert asked.action is Action.ASK
    assert (asked.asked.facts.scan or "").startswith("1 low (enhanced scan of ")
