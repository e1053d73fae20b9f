"""What a sweep says and remembers, word by word: findings, requests, what is held back, and what it asks AWS for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import (
    LONG_AGO,
    MACHINE,
    UBUNTU,
    Account,
    an_image,
    arn_of,
    catalogue,
    image_id_of,
)
from tests.unit.steps.leftovers import (
    an_orphan_image,
    an_orphan_instance,
    an_orphan_snapshot,
    tags_of,
)
from tests.unit.steps.promoting import promoting
from tests.unit.steps.test_claim_races import holder_of
from tests.unit.steps.test_recipes import hooked

from ami_lifecycle.domain.docker_image import Manifest
from ami_lifecycle.domain.environment import EnvironmentRecord, FailedAttempts, HeldBack, Pin
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import ImageState, InstanceState, UsageKind
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.domain.publication import dump
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.result import FindingKind, SweepFinding, SweepResult
from ami_lifecycle.domain.retirement_limit import limit_of
from ami_lifecycle.errors import AccessDeniedError, CleanUpIncompleteError, ThrottledError

DENIED = AccessDeniedError("denied. Grant it.")
NAME = "comfyui-multitenant-prod"
OLD = image_id_of(7)
STARTED = f"{MACHINE.replace(':stateMachine:', ':execution:')}:"


def repaired(
    finding: str, kind: FindingKind = FindingKind.OTHER, environment: str | None = "prod"
) -> SweepFinding:
    return SweepFinding(environment=environment, finding=finding, repaired=True, kind=kind)


def reported(
    finding: str, kind: FindingKind = FindingKind.OTHER, environment: str | None = "prod"
) -> SweepFinding:
    return SweepFinding(environment=environment, finding=finding, repaired=False, kind=kind)


def blocked(resource: str, environment: str | None = "prod") -> SweepFinding:
    text = f"{resource} is left as it is: {DENIED}"
    return reported(text, FindingKind.BLOCKED, environment)


def swept(account: Account) -> SweepResult:
    return account.sweeper.sweep()


def record(account: Account) -> EnvironmentRecord:
    return account.world.environments.get("prod")


def remember(account: Account, **changes: Any) -> None:
    account.world.environments.set(record(account).model_copy(update=changes))


def name_of(account: Account, request: BuildRequest, tries: int = 1, fencing: int = 0) -> str:
    hour = account.world.clock.now().strftime("%Y%m%d%H")
    return execution_name(
        "prod", request.action.value, request.model_dump_json(), str(fencing), hour, str(tries)
    )


def reconcile(**fields: Any) -> BuildRequest:
    return BuildRequest(**{"environment": "prod", "trigger": Trigger.RECONCILE, **fields})


BUILD = reconcile(reason="found by the sweep")


# Claims of executions that have ended.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (ExecutionStatus.ABORTED, "ExecutionAborted"),
        (ExecutionStatus.TIMED_OUT, "ExecutionTimedOut"),
        (ExecutionStatus.UNKNOWN, "ExecutionTimedOut"),
    ],
)
def test_a_dead_claim_is_cleaned_up_after_as_it_ended(
    account: Account, status: ExecutionStatus, error: str
) -> None:
    claim = holder_of(account, "dead")
    wanted = BuildRequest(environment="prod", fresh=True)
    assert account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.executions.statuses[arn_of("dead")] = status
    account.world.clock.advance(timedelta(hours=31).total_seconds())
    result = swept(account)
    assert result.findings[0] == repaired(
        f"the claim of {arn_of('dead')}, which has ended, is removed", FindingKind.DEAD_CLAIM
    )
    ((subject, _),) = account.world.notifier.sent
    assert subject == f"comfyui: build failed ({error})"
    (begun,) = account.world.executions.started
    assert (begun.request, begun.arn) == (wanted, STARTED + begun.name)


# Orphans.


def test_all_that_an_execution_left_is_told_in_one_finding(account: Account) -> None:
    instance, image = an_orphan_instance(account), an_orphan_image(account)
    snapshot = an_orphan_snapshot(account)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    assert swept(account) == SweepResult(
        findings=(
            repaired(
                f"removed what {arn_of('gone')} left behind: {instance.instance_id}, {image.image_id}, "
                f"{image.snapshot_ids[0]}, {snapshot.snapshot_id}",
                FindingKind.ORPHAN,
                None,
            ),
        )
    )


@pytest.mark.parametrize(("hours", "microseconds", "over"), [(30, 0, False), (30, 1, True), (29, 0, False)])
def test_an_execution_that_nobody_knows_is_over_after_its_longest_time(
    account: Account, hours: int, microseconds: int, over: bool
) -> None:
    instance = an_orphan_instance(account)
    passed = timedelta(hours=hours, microseconds=microseconds)
    account.world.clock.advance(passed.total_seconds())
    swept(account)
    assert account.world.instances.all[instance.instance_id].state.is_over is over


def test_what_has_no_date_belongs_to_an_execution_that_may_still_run(account: Account) -> None:
    instance = an_orphan_instance(account)
    account.world.instances.add(instance.model_copy(update={"launch_time": None}))
    account.world.clock.advance(10**7)
    swept(account)
    assert not account.world.instances.all[instance.instance_id].state.is_over


@pytest.mark.parametrize("status", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
def test_the_record_of_an_image_of_an_execution_that_went_well_stays(
    account: Account, status: ExecutionStatus
) -> None:
    image = an_orphan_image(account)
    account.record(image)
    account.world.executions.end(arn_of("gone"), status)
    swept(account)
    assert (image.image_id in account.world.images.all) is (status is ExecutionStatus.SUCCEEDED)


def test_nothing_is_removed_while_the_execution_holds_an_environment(account: Account) -> None:
    image = an_orphan_image(account)
    holder_of(account, "gone")
    account.world.environments.fail("release", DENIED, times=9)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.SUCCEEDED)
    swept(account)
    assert image.image_id in account.world.images.all


@pytest.mark.parametrize("environment", ["prod", "elsewhere"])
def test_an_orphan_that_is_refused_is_told_and_come_back_to_where_its_environment_is_known(
    account: Account, environment: str
) -> None:
    tags = tags_of("gone") | {"ami-lifecycle:environment": environment}
    snapshot = an_orphan_snapshot(account, tags=tags)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    account.world.images.fail("delete_snapshot", DENIED, times=99)
    now = account.world.clock.now()
    known = HeldBack(what="snap-1", since=now, due=now + timedelta(hours=1))
    remember(account, held_back=(known,))
    result = swept(account)
    assert result.findings == (blocked(snapshot.snapshot_id, environment),)
    held = HeldBack(what=snapshot.snapshot_id, reason=str(DENIED), since=now, tries=1, due=now)
    assert record(account).held_back == ((known, held) if environment == "prod" else (known,))
    assert result.blocked == (("snap-1", snapshot.snapshot_id) if environment == "prod" else ("snap-1",))
    assert "elsewhere" not in account.world.environments.records


@pytest.mark.parametrize(
    ("orphan", "port", "method"),
    [(an_orphan_instance, "instances", "terminate"), (an_orphan_image, "images", "deregister")],
)
def test_an_orphan_of_any_kind_is_told_with_its_environment(
    account: Account, orphan: Callable[[Account], Any], port: str, method: str
) -> None:
    orphan(account)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    getattr(account.world, port).fail(method, DENIED, times=9)
    (finding,) = [each for each in swept(account).findings if each.kind is FindingKind.BLOCKED]
    assert finding.environment == "prod"


@pytest.mark.parametrize("orphan", [an_orphan_instance, an_orphan_image, an_orphan_snapshot])
def test_an_orphan_of_any_kind_goes_when_nobody_knows_its_execution_any_more(
    account: Account, orphan: Callable[[Account], Any]
) -> None:
    orphan(account)
    account.world.clock.advance(timedelta(hours=29).total_seconds())
    assert [each.kind for each in swept(account).findings if each.kind is FindingKind.ORPHAN] == []
    account.world.clock.advance(timedelta(hours=2).total_seconds())
    assert [each.kind for each in swept(account).findings if each.kind is FindingKind.ORPHAN] == [
        FindingKind.ORPHAN
    ]


def test_an_orphan_that_was_refused_is_not_asked_for_before_its_time(account: Account) -> None:
    snapshot = an_orphan_snapshot(account)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    now = account.world.clock.now()
    due = now + timedelta(minutes=10)
    remember(account, held_back=(HeldBack(what=snapshot.snapshot_id, since=now, due=due),))
    assert swept(account) == SweepResult(blocked=(snapshot.snapshot_id,))
    assert account.world.images.called("delete_snapshot") == []
    account.world.clock.advance(600)
    assert [each.kind for each in swept(account).findings] == [FindingKind.ORPHAN]


def test_each_execution_is_cleaned_up_after_once_whatever_it_left(account: Account) -> None:
    for name in ("gone", "other"):
        account.world.executions.end(arn_of(name), ExecutionStatus.FAILED)
    an_orphan_instance(account)
    an_orphan_image(account)
    an_orphan_snapshot(account, "other")
    # What is over, is nobody's, is a copy, or is part of an image, makes nobody an owner.
    account.world.instances.add(
        an_orphan_instance(account, "over").model_copy(
            update={"instance_id": "i-1", "state": InstanceState.TERMINATED}
        )
    )
    an_orphan_instance(account)
    account.world.instances.add(
        an_orphan_instance(account).model_copy(
            update={"instance_id": "i-2", "tags": {"ami-lifecycle:application": "comfyui"}}
        )
    )
    account.world.images.snapshots["snap-c"] = an_orphan_snapshot(
        account, "copied", snapshot_id="snap-c", description="Copied for DestinationAmi ami-1"
    )
    asked = len(account.world.executions.called("status"))
    swept(account)
    assert [call.args[0] for call in account.world.executions.called("status")[asked:]] == [
        arn_of("gone"),
        arn_of("other"),
    ]


def test_an_image_without_an_execution_is_nobodys_orphan(account: Account) -> None:
    image = an_orphan_image(account, snapshot_ids=())
    for number, owner in ((5, {}), (6, {"ami-lifecycle:execution": ""})):
        tags = {key: value for key, value in image.tags.items() if key != "ami-lifecycle:execution"} | owner
        account.world.images.add(image.model_copy(update={"image_id": image_id_of(number), "tags": tags}))
    assert [each.kind for each in swept(account).findings] == [FindingKind.RETIREMENT_DUE]
    assert account.world.executions.called("status") == []


def two_environments_with_orphans() -> tuple[Account, dict[str, list[str]]]:
    """Two unpublished images in each of two environments that may lose one at once."""
    account = Account()
    retirement = {"max_images": 1}
    account.catalogue = catalogue(environments={"dev": {}, "prod": {}}, defaults={"retirement": retirement})
    added: dict[str, list[str]] = {}
    for number, environment in enumerate(("dev", "prod", "dev", "prod"), 20):
        image = an_image(
            number,
            name=f"comfyui-multitenant-{environment}.candidate.{number}",
            environment=environment,
            execution=f"gone-{number}",
        )
        account.world.images.add(image)
        added.setdefault(environment, []).append(image.image_id)
    return account, added


def limited(account: Account, environment: str, image_ids: list[str]) -> SweepFinding:
    settings = account.catalogue.get(environment)
    owned = [account.world.images.all[each] for each in image_ids]
    limit = limit_of(environment, settings.retirement, owned)
    return reported(f"history knows nothing of them: {limit.refusal(image_ids)}", environment=environment)


@pytest.mark.parametrize("knows", [True, False])
def test_orphans_beyond_the_limit_stay_in_every_environment(knows: bool) -> None:
    """Whether Step Functions still knows what made them, or has forgotten it."""
    account, added = two_environments_with_orphans()
    if knows:
        for number in range(20, 24):
            account.world.executions.end(arn_of(f"gone-{number}"), ExecutionStatus.FAILED)
    result = swept(account)
    assert result.findings == tuple(limited(account, each, added[each]) for each in ("dev", "prod"))
    assert result.blocked == ("retirement of dev", "retirement of prod")
    assert set(added["dev"] + added["prod"]) <= set(account.world.images.all)


def test_where_the_limit_is_not_known_they_stay_too(monkeypatch: pytest.MonkeyPatch) -> None:
    account, added = two_environments_with_orphans()

    def denied(*_: object) -> None:
        raise DENIED

    monkeypatch.setattr("ami_lifecycle.steps.sweep_environments.limit_of", denied)
    assert swept(account).findings == tuple(
        blocked(f"images that {each} has not published", each) for each in ("dev", "prod")
    )
    assert set(added["dev"] + added["prod"]) <= set(account.world.images.all)


def test_a_look_at_all_that_is_refused_is_told_of_the_orphans(account: Account) -> None:
    account.world.instances.fail("find", DENIED)
    assert swept(account) == SweepResult(findings=(blocked("orphans", None),), blocked=("orphans",))


def test_images_whose_records_are_refused_are_told(account: Account) -> None:
    image = an_orphan_image(account)
    account.world.parameters.fail("get_each", DENIED, times=9)
    found = [each for each in swept(account).findings if each.environment is None]
    assert found == [
        SweepFinding(
            environment=None,
            finding=f"{each} is left as it is: {DENIED}",
            repaired=False,
            kind=FindingKind.BLOCKED,
        )
        for each in (account.latest, image.image_id)
    ]


# What waits.


def test_a_request_that_waits_for_nobody_is_started_and_told(account: Account) -> None:
    wanted = BuildRequest(environment="prod", fresh=True)
    remember(account, queued_request=wanted, revision=3)
    result = swept(account)
    (begun,) = account.world.executions.started
    assert begun.arn == STARTED + begun.name
    assert result == SweepResult(
        findings=(repaired(f"a queued request waited for nobody; started {begun.arn}"),), waiting=("prod",)
    )


# Builds.


def test_a_digest_that_is_not_published_is_built_and_remembered(account: Account) -> None:
    digest = account.push("two")
    now = account.world.clock.now()
    name = name_of(account, BUILD)
    finding = f"prod-latest names {digest}, which is not published; started {name}"
    assert swept(account) == SweepResult(findings=(repaired(finding),), unpublished=("prod",))
    assert [(each.name, each.request, each.arn) for each in account.world.executions.started] == [
        (name, BUILD, STARTED + name)
    ]
    assert record(account).held_back == (
        HeldBack(
            what=f"build {digest}", reason="", since=now, tries=1, due=now, execution_arn=STARTED + name
        ),
    )


def test_a_build_that_runs_is_waited_for_in_silence(account: Account) -> None:
    account.push("two")
    swept(account)
    held = record(account).held_back
    account.world.clock.advance(60)
    for status in (ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE):
        account.world.executions.statuses[account.world.executions.started[0].arn] = status
        assert swept(account) == SweepResult(unpublished=("prod",))
        assert record(account).held_back == held


def test_a_build_that_failed_is_tried_again_with_its_reason_and_then_waits(account: Account) -> None:
    digest = account.push("two")
    swept(account)
    since = account.world.clock.now()
    executions = account.world.executions
    executions.end(executions.started[0].arn, ExecutionStatus.FAILED)
    executions.reported[executions.started[0].arn] = "E: one\n  two" + "x" * 500
    account.world.clock.advance(3_600)
    now = account.world.clock.now()
    name = name_of(account, BUILD, 2)
    problem = f"prod-latest names {digest}, which is not published"
    assert swept(account).findings == (repaired(f"{problem}; started {name}"),)
    due = now + timedelta(minutes=10)
    held = HeldBack(
        what=f"build {digest}", reason="", since=since, tries=2, due=due, execution_arn=STARTED + name
    )
    assert record(account).held_back == (held,)
    executions.end(STARTED + name, ExecutionStatus.FAILED)
    executions.reported[STARTED + name] = "E: one\n  two" + "x" * 500
    waiting = held.model_copy(update={"reason": ("E: one two" + "x" * 500)[:400]})
    assert swept(account).findings == (reported(f"{problem}; {waiting.explanation}"),)
    assert record(account).held_back == (waiting,)
    account.world.clock.advance(600)
    third = name_of(account, BUILD, 3)
    assert swept(account).findings == (repaired(f"{problem}; started {third}"),)
    (again,) = record(account).held_back
    assert (again.tries, again.since, again.reason) == (3, since, waiting.reason)
    assert again.due == account.world.clock.now() + timedelta(minutes=20)


def test_a_digest_that_was_given_up_is_told_but_not_in_a_pinned_environment(account: Account) -> None:
    digest = account.push("two")
    account.world.environments.record_failures("prod", [FailedAttempts(digest=digest, count=3)])
    assert swept(account) == SweepResult(
        findings=(
            reported(
                f"prod-latest names {digest}, which is not published: its build has failed 3 times; push a corrected "
                "image, or start a build by hand"
            ),
        ),
        unpublished=("prod",),
    )
    pin = Pin(image_id=account.latest or "", at=account.world.clock.now())
    account.world.environments.set_pin("prod", pin)
    assert swept(account) == SweepResult()


def test_what_the_plan_would_refuse_is_told_and_not_started(account: Account) -> None:
    digest = account.push("two")
    account.world.parameters.set(f"{account.prefix}/history/{account.latest}", "x", kind="SecureString")
    account.world.network.missing.add("subnet-0aaaaaaaaaaaaaaaa")
    settings = account.catalogue.get("prod")
    problems, _ = account.preflight.build_problems(settings, digest, account.latest)
    assert len(problems) == 2
    told = "; ".join(map(str, problems))
    first = swept(account).findings[0]
    assert first == reported(f"prod-latest names {digest}, which is not published; not started: {told}")
    assert account.world.executions.started == []


def test_a_text_that_is_no_id_in_latest_has_no_record_to_look_at(account: Account) -> None:
    account.world.parameters.set(f"{account.prefix}/latest", "no id")
    swept(account)
    asked = [call.args[0] for call in account.world.parameters.called("get")]
    assert f"{account.prefix}/history/no id" not in asked


def test_hooks_that_have_changed_are_told_as_what_is_not_published(account: Account) -> None:
    digest = account.push("one")
    hooked(account)
    problem = f"prod-latest names {digest}, which is not published with the base and hooks of the settings"
    assert repaired(f"{problem}; started {name_of(account, BUILD)}") in swept(account).findings


def test_where_promotions_are_published_no_tag_is_looked_at() -> None:
    account = promoting()
    account.push("one")
    assert swept(account).unpublished == ()
    asked = [call.args[1] for call in account.world.repository.called("digest_of")]
    assert asked == ["dev-latest"]


def test_a_registry_that_refuses_is_told_by_repository_and_tag(account: Account) -> None:
    # After that of dev.
    account.world.repository.fail("digest_of", DENIED, skip=1)
    assert swept(account) == SweepResult(
        findings=(blocked("comfyui:prod-latest"),), blocked=("comfyui:prod-latest",)
    )


def test_a_latest_that_cannot_be_launched_is_told(account: Account) -> None:
    account.world.images.disable(account.latest or "")
    result = swept(account)
    assert result.findings[0] == reported(f"`latest` names {account.latest}, whose state is disabled")
    assert result.unpublished == ("prod",)


def test_a_latest_whose_image_is_gone_is_told_after_several_looks(account: Account) -> None:
    account.world.images.hidden.add(account.latest or "")
    assert swept(account).findings[0] == reported(
        f"`latest` names {account.latest}, which does not exist any more"
    )
    assert account.world.clock.pauses[:4] == [0.5] * 4


def test_a_look_at_what_is_due_that_is_refused_is_told_by_its_environment(account: Account) -> None:
    account.push("two")
    account.world.network.fail("vpcs_of_subnets", DENIED)
    assert swept(account) == SweepResult(
        findings=(blocked("what is due in prod"),), blocked=("what is due in prod",), unpublished=("prod",)
    )


def test_an_environment_that_somebody_holds_is_left_to_its_holder(account: Account) -> None:
    account.push("two")
    account.world.images.disable(account.latest or "")
    claim = holder_of(account, "alive")
    wanted = BuildRequest(environment="prod")
    assert account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    assert swept(account) == SweepResult(waiting=("prod",), unpublished=("prod",))
    assert account.world.executions.started == []


# Pins.


def pinned(account: Account, image_id: str, **changes: Any) -> Pin:
    pin = Pin(image_id=image_id, at=account.world.clock.now(), **changes)
    account.world.environments.set_pin("prod", pin)
    return pin


@pytest.mark.parametrize(
    ("reason", "told"),
    [("too {{slow}}\nby far", "too {slow}} by far"), ("", "the pinned image is published again")],
)
def test_a_rollback_that_did_not_end_is_finished_with_its_image(
    account: Account, reason: str, told: str
) -> None:
    old = account.world.images.add(an_image(7, name=f"{NAME}.candidate.7"))
    account.record(old, status=RecordStatus.SUPERSEDED)
    pinned(account, OLD, reason=reason)
    request = BuildRequest(
        environment="prod",
        trigger=Trigger.ROLLBACK,
        action=Action.PUBLISH,
        publish_image_id=OLD,
        force=True,
        pin=True,
        reason=told,
    )
    name = name_of(account, request)
    finding = f"a rollback was interrupted after it had pinned the environment; started {name}"
    assert repaired(finding) in swept(account).findings
    assert [each.request for each in account.world.executions.started] == [request]
    assert record(account).held_back[0].what == f"publish {OLD}"


@pytest.mark.parametrize("image", [None, {"state": ImageState.DISABLED}, {"environment": "dev"}])
def test_a_rollback_whose_image_cannot_be_published_is_finished_by_a_build(
    account: Account, image: dict[str, Any] | None
) -> None:
    digest = account.world.repository.push(None, "old")
    if image is not None:
        account.world.images.add(an_image(7, name="x", **image))
    pinned(account, OLD, digest=digest, reason="slow")
    swept(account)
    assert [each.request for each in account.world.executions.started] == [
        BuildRequest(
            environment="prod",
            trigger=Trigger.ROLLBACK,
            image_digest=digest,
            force=True,
            pin=True,
            reason="slow",
        )
    ]
    assert record(account).held_back[0].what == f"publish {digest}"


@pytest.mark.parametrize(
    ("digest", "failed"), [(None, 0), ("sha256:" + "0" * 64, 0), ("sha256:" + "0" * 64, 3)]
)
def test_a_pin_that_cannot_be_made_good_is_told_with_the_ways_out(
    account: Account, digest: str | None, failed: int
) -> None:
    if failed and digest:
        account.world.repository.digests["comfyui"].add(digest)
        account.world.environments.record_failures("prod", [FailedAttempts(digest=digest, count=failed)])
    pinned(account, OLD, digest=digest)
    assert swept(account).findings == (
        reported(
            f"pinned to {OLD}, which is not live, is gone, and cannot be built again; unpin the environment, or roll "
            "it back to another image"
        ),
    )
    assert account.world.executions.started == []


def test_a_pin_on_what_is_live_is_in_order(account: Account) -> None:
    pinned(account, account.latest or "")
    assert swept(account) == SweepResult()


# Repairs.


@pytest.mark.parametrize("wrong", ["metadata", "history"])
def test_a_record_that_contradicts_latest_is_repaired_by_publishing_again(
    account: Account, wrong: str
) -> None:
    if wrong == "metadata":
        other = account.metadata.model_copy(update={"ami_id": OLD})
        account.world.parameters.set(f"{account.prefix}/metadata", dump(other))
    else:
        account.record(account.world.images.add(an_image(7, name="x")))
    request = reconcile(
        action=Action.PUBLISH, publish_image_id=account.latest, reason=f"{wrong} did not agree with latest"
    )
    name = name_of(account, request)
    assert (
        repaired(
            f"{wrong} does not agree with latest ({account.latest}); started {name}", FindingKind.METADATA
        )
        in swept(account).findings
    )
    assert [each.request for each in account.world.executions.started] == [request]
    assert [each.what for each in record(account).held_back] == [f"publish {account.latest}"]


def test_a_repair_starts_whatever_the_tag_names(account: Account) -> None:
    """Only a build needs a Docker image that can be built in."""
    digest = account.push("one")
    account.world.repository.manifests[digest] = Manifest(
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact_type="application/vnd.cyclonedx+json",
    )
    problems, _ = account.preflight.build_problems(account.catalogue.get("prod"), digest, None)
    assert problems != []
    account.world.parameters.delete(f"{account.prefix}/metadata")
    swept(account)
    assert [each.request.action for each in account.world.executions.started] == [Action.PUBLISH]


def test_a_repair_that_waits_is_told_as_one(account: Account) -> None:
    account.world.parameters.delete(f"{account.prefix}/metadata")
    now = account.world.clock.now()
    held = HeldBack(
        what=f"publish {account.latest}",
        reason="x",
        since=now,
        tries=3,
        due=now + timedelta(minutes=5),
        execution_arn=arn_of("ended"),
    )
    account.world.executions.end(arn_of("ended"))
    account.world.executions.reported[arn_of("ended")] = "E: no"
    remember(account, held_back=(held,))
    waiting = held.model_copy(update={"reason": "E: no"})
    assert swept(account).findings == (
        reported(
            f"metadata does not agree with latest ({account.latest}); {waiting.explanation}",
            FindingKind.METADATA,
        ),
    )


# Retirement.


def test_an_image_that_can_go_is_reason_enough_and_the_name_another(account: Account) -> None:
    old = account.world.images.add(an_image(7, name=f"{NAME}.candidate.7"))
    account.record(old, status=RecordStatus.SUPERSEDED)
    why = "an image can be retired or has to be marked, or the name be adopted"
    request = reconcile(action=Action.RETIRE, reason=why)
    name = name_of(account, request)
    assert swept(account).findings == (repaired(f"{why}; started {name}", FindingKind.RETIREMENT_DUE),)
    assert [each.what for each in record(account).held_back] == [f"retire {old.image_id}"]
    (call,) = account.world.usage.called("usage_of")
    paths = account.catalogue.get("prod").retirement.parameter_paths
    assert call.args == ([old.image_id], paths)
    assert call.kwargs == {"with_permissions": False}


def test_an_image_and_the_name_are_one_retirement() -> None:
    account = Account()
    account.publish(an_image(1, name=f"{NAME}.candidate.1", digest=account.push("one")))
    old = account.world.images.add(an_image(7, name=f"{NAME}.candidate.7"))
    account.record(old, status=RecordStatus.SUPERSEDED)
    swept(account)
    assert [each.what for each in record(account).held_back] == [f"retire {old.image_id} {NAME}"]


def test_a_previous_image_that_is_kept_is_no_reason_to_retire() -> None:
    """History tells which of them was live last."""
    account = Account({"retirement": {"keep_previous": 1}})
    for number in (7, 8):
        old = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(old, status=RecordStatus.SUPERSEDED)
    account.publish(an_image(9, digest=account.push("one")))
    swept(account)
    assert [each.what for each in record(account).held_back] == [f"retire {OLD}"]


def test_the_limit_is_asked_for_only_where_an_image_could_go(account: Account) -> None:
    looks = []
    for retirement in ({}, {"max_images": 1}):
        account.catalogue = catalogue(
            environments={"dev": {}, "prod": {}}, defaults={"retirement": retirement}
        )
        before = len(account.world.images.called("find"))
        swept(account)
        looks.append(len(account.world.images.called("find")) - before)
    assert looks[0] == looks[1]


def test_more_than_may_go_is_told_and_nothing_is_started(account: Account) -> None:
    for number in (7, 8):
        image = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(image, status=RecordStatus.SUPERSEDED)
    account.catalogue = catalogue(
        environments={"dev": {}, "prod": {}}, defaults={"retirement": {"max_images": 1}}
    )
    result = swept(account)
    limit = limit_of("prod", account.catalogue.get("prod").retirement, account.own_images())
    assert result == SweepResult(
        findings=(reported(limit.refusal([OLD, image_id_of(8)])),), blocked=("retirement of prod",)
    )
    assert account.world.executions.started == []


def test_an_image_that_can_go_comes_before_one_that_has_to_be_marked() -> None:
    account = Account({"retirement": {"deprecate_kept": True}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in (7, 8, 9):
        image = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(image, status=RecordStatus.SUPERSEDED)
    for number in (8, 9):
        account.world.usage.use(image_id_of(number), UsageKind.FLEET, "fleet-1")
    swept(account)
    assert [each.what for each in record(account).held_back] == [f"retire {OLD}"]


def test_of_images_that_have_to_be_marked_one_is_reason_enough() -> None:
    account = Account({"retirement": {"deprecate_kept": True}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in (7, 8, 9):
        image = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(image, status=RecordStatus.SUPERSEDED)
        account.world.usage.use(image.image_id, UsageKind.FLEET, "fleet-1")
    now = account.world.clock.now()
    remember(account, held_back=(HeldBack(what=OLD, since=now, due=now + timedelta(minutes=10)),))
    swept(account)
    held = [each.what for each in record(account).held_back]
    assert held == [OLD, f"retire {image_id_of(8)}"], "what was refused waits for its time"


def test_a_name_that_is_free_can_be_adopted() -> None:
    account = Account()
    account.publish(an_image(1, name=f"{NAME}.candidate.1", digest=account.push("one")))
    swept(account)
    assert [each.what for each in record(account).held_back] == [f"retire {NAME}"]


def test_neither_what_was_refused_nor_what_is_used_is_a_reason_to_retire(account: Account) -> None:
    now = account.world.clock.now()
    for number in (7, 8):
        image = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(image, status=RecordStatus.SUPERSEDED)
    account.world.usage.use(image_id_of(8), UsageKind.LAUNCH_TEMPLATE, "lt-1")
    held = HeldBack(what=OLD, since=now, due=now + timedelta(minutes=10))
    remember(account, held_back=(held,))
    assert swept(account) == SweepResult(blocked=(OLD,))
    assert [call.args[0] for call in account.world.usage.called("usage_of")] == [[image_id_of(8)]]


def test_uses_that_are_refused_are_told_with_how_many_images(account: Account) -> None:
    for number in (7, 8):
        image = account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}"))
        account.record(image, status=RecordStatus.SUPERSEDED)
    account.world.usage.fail("usage_of", DENIED, times=9)
    assert swept(account).findings == (blocked("uses of 2 images", None),)


def test_previous_images_that_are_refused_are_told_with_their_environment(account: Account) -> None:
    account.world.images.fail("find", DENIED, skip=1, times=9)
    assert swept(account).findings[0] == blocked("images of prod")


# History.


def test_records_that_cannot_be_read_are_told_by_name(account: Account) -> None:
    for number in (8, 7):
        account.world.parameters.set(f"{account.prefix}/history/{image_id_of(number)}", "{")
    names = ", ".join(f"{account.prefix}/history/{image_id_of(number)}" for number in (7, 8))
    assert swept(account) == SweepResult(
        findings=(reported(f"history records that cannot be read: {names}; correct or delete them"),)
    )


def test_records_beyond_the_number_are_pruned_and_told() -> None:
    account = Account({"publication": {"history_to_keep": 2}})
    account.publish(an_image(1, digest=account.push("one")))
    for number in (2, 3, 4):
        account.record(an_image(number, created=LONG_AGO - timedelta(days=9)), status=RecordStatus.RETIRED)
    account.world.parameters.fail("delete", DENIED, skip=1)
    result = swept(account)
    pruned = f"{account.prefix}/history/{image_id_of(2)}"
    refused = [f"{account.prefix}/history/{image_id_of(3)}", pruned]
    assert result.findings[-1] == repaired("pruned 1 history records of retired images")
    assert [each.kind for each in result.findings] == [FindingKind.BLOCKED, FindingKind.OTHER]
    assert any(blocked(each) in result.findings for each in refused)


# Ages and rebuilds.


def test_ages_are_those_of_the_oldest_image_and_base() -> None:
    account = Account({"refresh": {"rebuild_after_days": 3_000}})
    account.publish(
        an_image(1, digest=account.push("one"), tags={"ami-lifecycle:base-created": "2025-05-01"})
    )
    other = Account({"refresh": {"rebuild_after_days": 3_000}}, world=account.world, environment="dev")
    other.publish(
        an_image(
            2,
            environment="dev",
            name="comfyui-multitenant-dev",
            created=LONG_AGO - timedelta(days=1),
            digest=other.push("dev"),
        )
    )
    result = swept(account)
    passed = account.world.clock.now() - LONG_AGO
    assert result.image_age_days == round((passed + timedelta(days=1, minutes=-2)) / timedelta(days=1), 2)
    assert result.base_age_days == round((passed + timedelta(days=31)) / timedelta(days=1), 2)
    assert (result.findings, result.overdue) == ((), ())


def test_no_age_is_told_where_nothing_is_scheduled(account: Account) -> None:
    result = swept(account)
    assert (result.image_age_days, result.base_age_days) == (None, None)


def aged(**refresh: Any) -> tuple[Account, str]:
    account = Account({"refresh": {"rebuild_after_days": 30, **refresh}})
    digest = account.push("one")
    account.publish(an_image(1, digest=digest))
    return account, digest


def test_a_rebuild_is_asked_for_with_what_is_known_of_the_digest() -> None:
    account, digest = aged()
    now = account.world.clock.now()
    why = f"{account.latest} is of 2025-06-01, and rebuild_after_days is 30"
    request = BuildRequest(
        environment="prod",
        trigger=Trigger.SCHEDULE,
        image_digest=digest,
        image_tag="prod-latest",
        fresh=True,
        reason=why,
        branch="main",
        commit_sha="abc",
    )
    name = name_of(account, request)
    assert swept(account).findings == (repaired(f"a rebuild is due: {why}; started {name}"),)
    assert [each.request for each in account.world.executions.started] == [request]
    assert record(account).rebuild_due_since == now
    assert [each.what for each in record(account).held_back] == [f"rebuild {account.latest}"]


@pytest.mark.parametrize(
    ("commit", "branch"), [("c" * 65, "b" * 201), ("c" * 64, "b" * 200), ("", ""), (None, None)]
)
def test_what_a_request_cannot_carry_is_left_out(commit: str | None, branch: str | None) -> None:
    account, _ = aged()
    known = account.metadata.model_copy(update={"commit_sha": commit, "branch": branch})
    account.world.parameters.set(f"{account.prefix}/metadata", dump(known))
    swept(account)
    (begun,) = account.world.executions.started
    fits = bool(commit) and len(commit or "") <= 64
    assert begun.request.commit_sha == (commit if fits else None)
    assert begun.request.branch == (branch if fits else None)


def test_metadata_of_another_digest_say_nothing_of_the_rebuild() -> None:
    account, _ = aged()
    known = account.metadata.model_copy(update={"image_digest": "sha256:" + "1" * 64})
    account.world.parameters.set(f"{account.prefix}/metadata", dump(known))
    swept(account)
    (begun,) = account.world.executions.started
    assert (begun.request.commit_sha, begun.request.branch) == (None, None)


def test_a_rebuild_of_a_digest_that_is_gone_or_given_up_is_told() -> None:
    account, digest = aged()
    account.world.repository.remove(digest)
    due = f"a rebuild is due: {account.latest} is of 2025-06-01, and rebuild_after_days is 30"
    assert swept(account).findings == (
        reported(f"{due}; comfyui has no image {digest} any more, so push it again"),
    )
    account.world.environments.record_failures("prod", [FailedAttempts(digest=digest, count=3)])
    result = swept(account)
    assert result.findings == (
        reported(f"{due}; its build has failed 3 times; push a corrected image, or start a build by hand"),
    )
    assert result.overdue == ("prod",)


@pytest.mark.parametrize("number", [1, 2])
def test_no_more_rebuilds_are_started_than_the_settings_allow(number: int) -> None:
    refresh = {"rebuild_after_days": 30, "max_per_sweep": number}
    account = Account()
    account.catalogue = catalogue(
        environments={"dev": {}, "eu": {}, "prod": {}}, defaults={"refresh": refresh}
    )
    for index, name in enumerate(("prod", "eu", "dev"), 1):
        one = Account(world=account.world, environment=name)
        image = f"comfyui-multitenant-{name}"
        one.publish(an_image(index, environment=name, name=image, digest=one.push(name)))
    result = swept(account)
    assert len(account.world.executions.started) == number
    assert len(result.findings) == number


def test_a_base_that_nobody_can_see_is_told_in_each_environment_and_looked_up_once() -> None:
    refresh = {"rebuild_after_days": 30, "follow_base": True}
    account = Account({"refresh": refresh})
    for index, name in enumerate(("prod", "dev"), 1):
        one = Account({"refresh": refresh}, world=account.world, environment=name)
        image = f"comfyui-multitenant-{name}"
        one.publish(an_image(index, environment=name, name=image, digest=one.push(name)))
    account.world.images.hidden.add(UBUNTU)
    result = swept(account)
    assert {each.environment for each in result.findings} == {"prod", "dev"}
    assert all(UBUNTU in each.finding for each in result.findings)
    assert len([call for call in account.world.images.called("get") if call.args == (UBUNTU,)]) == 1
    assert account.world.executions.started == []


def test_no_base_is_looked_up_where_nothing_is_live() -> None:
    account = Account({"refresh": {"follow_base": True}})
    swept(account)
    assert account.world.parameters.called("get") != []
    asked = [call.args[0] for call in account.world.parameters.called("get")]
    assert not [name for name in asked if name.startswith("/aws/service/")]


def test_what_never_failed_takes_its_turn_before_what_failed_once() -> None:
    refresh = {"rebuild_after_days": 30}
    account = Account({"refresh": refresh})
    for index, name in enumerate(("dev", "prod"), 1):
        one = Account({"refresh": refresh}, world=account.world, environment=name)
        image = an_image(index, environment=name, name=f"comfyui-multitenant-{name}", digest=one.push(name))
        one.publish(image)
    now = account.world.clock.now()
    held = HeldBack(
        what=f"rebuild {image_id_of(1)}", since=now, tries=1, due=now, execution_arn=arn_of("dev")
    )
    account.world.environments.set(EnvironmentRecord(environment="dev", held_back=(held,)))
    account.world.executions.end(arn_of("dev"))
    swept(account)
    assert [each.request.environment for each in account.world.executions.started] == ["prod"]


def test_a_rebuild_that_is_not_due_any_more_is_forgotten() -> None:
    account = Account({"refresh": {"rebuild_after_days": 3_000}})
    account.publish(an_image(1, digest=account.push("one")))
    remember(account, rebuild_due_since=account.world.clock.now())
    swept(account)
    assert record(account).rebuild_due_since is None
    swept(account)
    assert len(account.world.environments.called("note_rebuild")) == 1


def test_what_failed_more_often_takes_its_turn_after_the_others() -> None:
    refresh = {"rebuild_after_days": 30}
    account = Account({"refresh": refresh})
    now = account.world.clock.now()
    for index, (name, tries) in enumerate((("dev", 2), ("prod", 1)), 1):
        one = Account({"refresh": refresh}, world=account.world, environment=name)
        image = an_image(index, environment=name, name=f"comfyui-multitenant-{name}", digest=one.push(name))
        one.publish(image)
        held = HeldBack(
            what=f"rebuild {image.image_id}", since=now, tries=tries, due=now, execution_arn=arn_of(name)
        )
        account.world.environments.set(EnvironmentRecord(environment=name, held_back=(held,)))
        account.world.executions.end(arn_of(name))
    swept(account)
    assert [each.request.environment for each in account.world.executions.started] == ["prod"]


# What is held back.


def test_what_is_looked_at_and_not_due_any_more_is_forgotten_but_things_are_kept_for_an_hour(
    account: Account,
) -> None:
    now = account.world.clock.now()
    work = HeldBack(what="build sha256:x", since=now, due=now, execution_arn=arn_of("x"))
    late = now - timedelta(hours=1)
    recent = HeldBack(what="snap-1", since=late, due=late + timedelta(microseconds=1))
    old = HeldBack(what="snap-2", since=late, due=late)
    remember(account, held_back=(work, recent, old))
    assert swept(account) == SweepResult(blocked=("snap-1",))
    assert record(account).held_back == (recent,)
    writes = len(account.world.environments.called("hold_back"))
    swept(account)
    assert len(account.world.environments.called("hold_back")) == writes


def test_what_was_not_looked_at_stays_when_something_is_started(account: Account) -> None:
    now = account.world.clock.now()
    digest = account.push("two")
    kept = (
        HeldBack(what="snap-1", since=now, due=now),
        HeldBack(what=f"publish {account.latest}", since=now, due=now, execution_arn=arn_of("x")),
    )
    remember(account, held_back=kept)
    swept(account)
    assert [each.what for each in record(account).held_back] == ["snap-1", kept[1].what, f"build {digest}"]


@pytest.mark.parametrize("since", [None, LONG_AGO])
def test_a_rebuild_outside_of_its_window_keeps_its_turn_while_it_is_due(since: Any) -> None:
    account, _ = aged(window={"from": "02:00", "to": "03:00"})
    if since is None:
        account = Account()
        account.publish(an_image(1, digest=account.push("one")))
    now = account.world.clock.now()
    held = HeldBack(what=f"rebuild {account.latest}", since=now, tries=2, due=now, execution_arn=arn_of("x"))
    other = HeldBack(what="snap-1", since=now, due=now)
    remember(account, held_back=(held, other), rebuild_due_since=since)
    swept(account)
    assert record(account).held_back == ((other,) if since is None else (other, held))


# Faults.


def test_what_fails_for_now_is_told_with_what_was_found_once_all_else_is_done(account: Account) -> None:
    digest = account.push("two")
    account.world.environments.fail("get", ThrottledError("slower"))
    account.world.instances.fail("find", ThrottledError("slow, too"))
    name = name_of(account, BUILD)
    with pytest.raises(CleanUpIncompleteError) as raised:
        swept(account)
    finding = f"prod-latest names {digest}, which is not published; started {name}"
    assert str(raised.value) == (
        f"the sweep found {[finding]} and could not finish: dev: ThrottledError: slower; orphans: ThrottledError: "
        "slow, too. It runs again by itself; if this persists, correct the cause"
    )


@pytest.mark.parametrize(
    ("port", "method", "skip", "place"),
    [
        ("environments", "get", 0, "dev"),
        ("instances", "terminate", 0, "prod"),
        ("instances", "find", 0, "orphans"),
        ("environments", "get", 3, "dev"),
        ("images", "find", 2, "prod"),
        ("environments", "note_rebuild", 0, "prod"),
        ("executions", "start", 0, "prod"),
        ("environments", "hold_back", 0, "prod"),
    ],
)
def test_what_fails_for_now_is_told_with_its_place(port: str, method: str, skip: int, place: str) -> None:
    account, _ = aged()
    an_orphan_instance(account)
    account.world.executions.end(arn_of("gone"), ExecutionStatus.FAILED)
    account.push("two")
    getattr(account.world, port).fail(method, ThrottledError("slower"), skip=skip)
    with pytest.raises(
        CleanUpIncompleteError, match=rf"could not finish: {place}: ThrottledError: slower\. It runs"
    ):
        swept(account)


def test_a_history_that_cannot_be_read_for_now_is_told_with_its_environment() -> None:
    account = Account()
    account.world.parameters.fail("list_below", ThrottledError("slower"), times=2)
    with pytest.raises(
        CleanUpIncompleteError, match="dev: ThrottledError: slower; prod: ThrottledError: slower"
    ):
        swept(account)


def test_faults_without_end_are_cut(account: Account) -> None:
    account.world.instances.fail("find", ThrottledError("x" * 4_000))
    with pytest.raises(CleanUpIncompleteError) as raised:
        swept(account)
    words = str(raised.value).split("could not finish: ")[1].split(". It runs")[0]
    assert words == f"orphans: ThrottledError: {'x' * 4_000}"[:3_000]


def test_a_fault_that_nobody_knows_fails_the_sweep_and_is_a_finding(account: Account) -> None:
    account.world.environments.fail("get", ValueError("no such field."))
    with pytest.raises(CleanUpIncompleteError) as raised:
        swept(account)
    assert "dev: ValueError: no such field. AWS answers with what this service does not know" in str(
        raised.value
    )


def test_a_record_that_is_refused_at_the_end_is_told_with_its_environment(account: Account) -> None:
    swept(account)
    looks = len(account.world.environments.called("get"))
    # The last looks are at what is held back in each environment.
    account.world.environments.fail("get", DENIED, skip=looks - 1)
    assert swept(account).findings == (blocked("prod"),)


def test_a_blocked_thing_is_counted_once(account: Account) -> None:
    now = account.world.clock.now()
    later = now + timedelta(hours=1)
    remember(
        account,
        held_back=(
            HeldBack(what="comfyui:prod-latest", since=now, due=later),
            HeldBack(what="work", since=now, due=later, execution_arn=arn_of("x")),
        ),
    )
    # After that of dev.
    account.world.repository.fail("digest_of", DENIED, skip=1)
    assert swept(account).blocked == ("comfyui:prod-latest",)


def test_only_the_environments_of_the_catalogue_are_looked_at(account: Account) -> None:
    account.catalogue = catalogue(environments={"prod": {}})
    swept(account)
    assert {call.args[0] for call in account.world.environments.called("get")} == {"prod"}
