"""Approval from the push to the publication: every way to publish asks, and only what is approved is published."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import MACHINE, Account, an_image, catalogue
from tests.unit.steps.approving import (
    approve,
    approving,
    approving_promotions,
    decide,
    open_request,
    watch,
)
from tests.unit.steps.execution import Execution, converge, run, run_started
from tests.unit.steps.promises import Promises
from tests.unit.steps.promoting import of_dev
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.approval import ApprovalState
from ami_lifecycle.domain.model import TAG_DIGEST
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import (
    ApprovalDecidedError,
    ApprovalExpiredError,
    ApprovalNotFoundError,
    ApprovalSupersededError,
    InvalidRequestError,
    OwnApprovalError,
    ServiceUnavailableError,
    ThrottledError,
)

HOURS = timedelta(hours=1)


@pytest.fixture
def account() -> Account:
    """An account that publishes an image of before, and in which a newer one was pushed."""
    account = approving()
    account.publish(an_image(1, digest=account.push("one")))
    account.push("two")
    return account


def events(account: Account) -> list[str]:
    return [each.detail_type for each in account.world.notifier.announced]


def approved_starts(account: Account) -> list[str]:
    """Names of the executions that approvals have started."""
    return [each.name for each in account.world.executions.started if "-approved-" in each.name]


def push_event(account: Account, digest: str) -> dict[str, Any]:
    detail = {
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": f"{account.environment}-latest",
    }
    return {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": detail}


# Asking.


def test_a_push_asks_and_holds_nothing(account: Account) -> None:
    promises = watch(account)
    digest = account.push("three")
    ended = Execution(account).run(push_event(account, digest))
    request = open_request(account)
    assert ended.outcome == "waiting"
    assert ended.reason == (
        f"waits for the approval {request.id} until 2026-01-18 12:00 UTC: ami-lifecycle approve {request.id}"
    )
    assert account.world.environments.get("prod").claim is None
    assert account.world.instances.running() == []
    assert request.subject.digest == digest
    assert request.request == BuildRequest(environment="prod", trigger=Trigger.PUSH, image_digest=digest)
    assert request.expires_at - request.asked_at == 72 * HOURS
    assert promises.at_rest() == [], "what waits for people is at rest"


def test_an_approval_publishes_just_what_was_asked(account: Account) -> None:
    promises = watch(account)
    digest = account.push("three")
    Execution(account).run(push_event(account, digest))
    approval_id = open_request(account).id
    # Its event is lost, so nobody has asked about this one.
    account.push("four")
    (ended,) = approve(account)
    assert ended.outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    metadata, record = account.metadata, account.history(str(account.latest))
    assert metadata.gates["approval"] == {"id": approval_id, "by": "ann", "at": "2026-01-15T12:00:02Z"}
    assert record is not None
    assert record.gates == metadata.gates
    assert f"{approval_id} was approved by ann at 2026-01-15 12:00 UTC" in metadata.reason
    assert promises.at_rest() == []


def test_what_is_asked_says_what_a_person_needs(account: Account) -> None:
    run(account, commit_sha="def", branch="feature", reason="hotfix", requested_by="bob")
    facts = open_request(account).facts
    assert (facts.commit, facts.branch, facts.promoted_from) == ("def", "feature", None)
    assert list(facts.differences()) == [
        f"digest: {facts.digest}, and live is {account.live.tags[TAG_DIGEST]}",
        f"release: not known, and live is {account.live.tags['ami-lifecycle:execution']}",
        "commit: def, and live is abc",
    ]
    assert facts.docker_image.endswith("/comfyui:prod-latest")
    assert facts.live.image_id == account.latest
    assert "hotfix" in facts.reasons
    ((subject, message),) = account.world.notifier.sent
    approval_id = open_request(account).id
    assert subject == f"comfyui prod: {approval_id} waits for approval"
    assert message["approve"] == f"ami-lifecycle approve {approval_id}"
    assert message["reject"] == f"ami-lifecycle reject {approval_id} --reason '...'"
    assert message["requested_by"] == "bob"
    assert message["differences"] == list(facts.differences())
    assert message["console"].endswith("execution:build-image:e1")
    (event,) = account.world.notifier.announced
    assert event.model_dump(mode="json") == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "us-east-1",
        "execution_arn": f"{MACHINE.replace(':stateMachine:', ':execution:')}:e1",
        "approval_id": approval_id,
        "image_digest": facts.digest,
        "release": None,
        "promoted_from": None,
        "commit_sha": "def",
        "requested_by": "bob",
        "expires_at": "2026-01-18T12:00:02Z",
    }


def test_the_same_is_asked_once(account: Account) -> None:
    run(account)
    asked = open_request(account)
    ended = run(account, "e2", force=True, reason="again")
    assert (ended.outcome, open_request(account)) == ("waiting", asked)
    assert events(account) == ["Approval Requested"]


def test_a_newer_request_takes_the_place_of_the_older_one(account: Account) -> None:
    run(account)
    older = open_request(account)
    account.push("three")
    run(account, "e2")
    newer = open_request(account)
    assert older.id != newer.id
    assert events(account) == ["Approval Requested", "Approval Requested", "Approval Superseded"]
    superseded = account.world.notifier.announced[-1].model_dump()
    assert (superseded["approval_id"], superseded["superseded_by"]) == (older.id, newer.id)
    with pytest.raises(ApprovalSupersededError) as raised:
        decide(account, older.id)
    assert str(raised.value) == (
        f"{newer.id} has taken the place of {older.id}; decide about that: ami-lifecycle approve {newer.id}"
    )
    assert account.world.executions.started == []
    assert older.id not in account.world.decisions.all


def test_what_was_superseded_may_be_asked_again(account: Account) -> None:
    run(account)
    older = open_request(account)
    digest = str(older.subject.digest)
    account.push("three")
    run(account, "e2")
    run(account, "e3", image_digest=digest)
    assert open_request(account).id == older.id
    approve(account)
    assert account.live.tags[TAG_DIGEST] == digest


def test_a_repeated_step_tells_what_its_first_attempt_may_not_have_told(account: Account) -> None:
    run(account)
    account.push("three")
    account.world.approvals.fail("put", ServiceUnavailableError("no answer"), after=True)
    ended = run(account, "e2")
    assert ended.outcome == "waiting"
    assert events(account) == ["Approval Requested", "Approval Requested", "Approval Superseded"]


def test_two_who_ask_at_once_ask_one_after_the_other(account: Account) -> None:
    run(account)
    stored = account.world.approvals.records["prod"]
    account.push("three")

    class Overtaking:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "put" and port is account.world.approvals and stored.revision == 1:
                records = account.world.approvals.records
                records["prod"] = stored.model_copy(update={"revision": 5})

        def after(self, port: Any, call: Any) -> None:
            pass

    hook = Overtaking()
    account.world.approvals.hooks.append(hook)
    execution = Execution(account, "e2")
    plan = account.planner.plan_request(BuildRequest(environment="prod"), execution.arn).plan
    with pytest.raises(
        Exception, match="another request for approval of prod is made at this moment; look again"
    ):
        execution.invoke(
            "request_approval", {"plan": plan.model_dump(mode="json"), "execution_arn": execution.arn}
        )


def test_a_notification_that_cannot_be_sent_fails_nobody(account: Account) -> None:
    account.world.notifier.fail("notify", ThrottledError("slower"), times=9)
    assert run(account).outcome == "waiting"
    assert open_request(account).subject.environment == "prod"


# Deciding.


def test_a_rejection_publishes_nothing_and_is_told(account: Account) -> None:
    promises = watch(account)
    run(account)
    request = open_request(account)
    decided = decide(account, request.id, "reject", reason="it has a hole")
    assert decided.model_dump() == {
        "id": request.id,
        "environment": "prod",
        "decision": "rejected",
        "by": "ann",
        "at": "2026-01-15T12:00:02Z",
        "reason": "it has a hole",
        "started_execution": None,
        "untold": (),
    }
    assert events(account) == ["Approval Requested", "Approval Rejected"]
    assert account.world.notifier.sent[-1][0] == f"comfyui prod: {request.id} rejected"
    text = f"{request.id} was rejected by ann at 2026-01-15 12:00 UTC: it has a hole"
    assert account.world.notifier.sent[-1][1]["reason"] == text
    assert account.world.executions.started == []
    ended = Execution(account, "e2").run(push_event(account, str(request.subject.digest)))
    again = f"ami-lifecycle build prod --digest {request.subject.digest}"
    assert ended == ("nothing", f"{text}; to ask again, start it by hand: {again}", None, "")
    converge(account)
    assert account.world.executions.started == []
    assert promises.at_rest() == []


def test_a_person_asks_again_about_what_was_rejected(account: Account) -> None:
    run(account)
    first = open_request(account)
    decide(account, first.id, "reject", reason="not today")
    assert run(account, "e2").outcome == "waiting"
    second = open_request(account)
    assert (second.id, second.asked_at > first.asked_at) == (first.id, True)
    (ended,) = approve(account)
    assert ended.outcome == "published"


def test_approving_twice_starts_once(account: Account) -> None:
    run(account)
    request = open_request(account)
    first = decide(account, request.id)
    second = decide(account, request.id, by="eve", reason="me too")
    assert first == second
    assert first.started_execution is not None
    assert len(account.world.executions.started) == 1
    account.sweeper.sweep()
    assert account.world.approvals.records["prod"].open is None
    assert decide(account, request.id) == first
    assert len(approved_starts(account)) == 1


def test_an_approval_whose_start_has_failed_is_started_by_approving_again(account: Account) -> None:
    run(account)
    request = open_request(account)
    account.world.executions.fail("start", ServiceUnavailableError("no answer"))
    with pytest.raises(ServiceUnavailableError):
        decide(account, request.id)
    assert len(approve(account, request.id)) == 1
    assert account.live.tags[TAG_DIGEST] == request.subject.digest


def test_an_approval_whose_start_has_failed_is_started_by_the_sweep(account: Account) -> None:
    promises = watch(account)
    run(account)
    request = open_request(account)
    account.world.executions.fail("start", ServiceUnavailableError("no answer"))
    with pytest.raises(ServiceUnavailableError):
        decide(account, request.id)
    converge(account)
    assert account.live.tags[TAG_DIGEST] == request.subject.digest
    assert [each.name for each in account.world.executions.started if "approved" in each.name] != []
    assert promises.at_rest() == []


def test_an_approval_whose_start_has_failed_is_started_by_what_takes_its_place(account: Account) -> None:
    run(account)
    older = open_request(account)
    account.world.executions.fail("start", ServiceUnavailableError("no answer"))
    with pytest.raises(ServiceUnavailableError):
        decide(account, older.id)
    account.push("three")
    assert run(account, "e2").outcome == "waiting"
    assert open_request(account).id != older.id
    said = str(decide(account, older.id).started_execution)
    assert [said.rpartition(":")[2]] == approved_starts(account), "what the answer names has begun"


@pytest.mark.parametrize(("first", "second"), [("approve", "reject"), ("reject", "approve")])
def test_a_decision_is_final(account: Account, first: str, second: str) -> None:
    run(account)
    request = open_request(account)
    decide(account, request.id, first, reason="so")
    started = len(approved_starts(account))
    with pytest.raises(ApprovalDecidedError) as raised:
        decide(account, request.id, second, reason="no")
    what = {"approve": "roll back what it has published", "reject": "ask again"}[first]
    said = account.world.decisions.all[request.id]
    assert str(raised.value) == f"{said.text}; a decision is final, so {what}"
    account.sweeper.sweep()
    with pytest.raises(ApprovalDecidedError):
        decide(account, request.id, second, reason="no")
    assert len(approved_starts(account)) == started
    assert account.world.decisions.all[request.id] == said


def test_of_two_who_decide_at_once_the_first_one_counts(account: Account) -> None:
    run(account)
    request = open_request(account)

    class Slower:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "put" and port is account.world.decisions and not port.all:
                other = call.args[0].model_copy(update={"approved": False, "by": "eve", "reason": "no"})
                port.all[other.id] = other

        def after(self, port: Any, call: Any) -> None:
            pass

    account.world.decisions.hooks.append(Slower())
    with pytest.raises(ApprovalDecidedError, match="was rejected by eve"):
        decide(account, request.id)
    assert account.world.executions.started == []


def test_after_its_end_nothing_is_decided(account: Account) -> None:
    run(account)
    request = open_request(account)
    world = account.world
    world.clock.advance((request.expires_at - world.clock.now()).total_seconds() - 1)
    assert request.state(None, world.clock.now()) is ApprovalState.WAITING
    world.clock.advance(1)
    with pytest.raises(ApprovalExpiredError) as raised:
        decide(account, request.id)
    assert str(raised.value) == (
        f"nobody has decided about {request.id} until 2026-01-18 12:00 UTC; ask again: ami-lifecycle build prod "
        f"--digest {request.subject.digest}"
    )
    account.sweeper.sweep()
    with pytest.raises(ApprovalExpiredError) as raised:
        decide(account, request.id)
    assert str(raised.value) == f"nobody has decided about {request.id} until 2026-01-18 12:00 UTC; ask again"
    assert world.decisions.all == {}


@pytest.mark.parametrize(
    "unknown", ["prod-0123456789ab", "dev-0123456789ab", "prod", "", "PROD-0123456789ab", "a/b"]
)
def test_nobody_has_asked_for_this(account: Account, unknown: str) -> None:
    run(account)
    with pytest.raises(ApprovalNotFoundError) as raised:
        decide(account, unknown)
    assert str(raised.value) == (
        f"there is no request for approval {unknown!r}; see what waits: ami-lifecycle approvals"
    )


def test_whoever_asks_does_not_approve_and_may_reject(account: Account) -> None:
    run(account, requested_by="ann")
    request = open_request(account)
    with pytest.raises(OwnApprovalError) as raised:
        decide(account, request.id)
    assert str(raised.value) == f"ann has asked for {request.id} himself; have somebody else approve it"
    assert account.world.decisions.all == {}
    assert decide(account, request.id, "reject", reason="a mistake").decision == "rejected"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"decision": "reject"},
            "decision is reject, but reason is missing; say why, it is what people are told",
        ),
        ({"decision": "reject", "reason": " "}, "decision is reject, but reason is missing; say why"),
        ({"by": " "}, "by is empty; say who decides"),
        ({"by": ""}, "by: String should have at least 1 character"),
        ({"by": "a\nb"}, "by has line breaks or other control characters; leave them out"),
        ({"reason": "a\tb"}, "reason has line breaks or other control characters; leave them out"),
        ({"reason": "x" * 201}, "reason: String should have at most 200 characters"),
        ({"decision": "maybe"}, "decision: Input should be 'approve' or 'reject'"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_decision_that_makes_no_sense(account: Account, changes: dict[str, Any], problem: str) -> None:
    run(account)
    decision = {"id": open_request(account).id, "decision": "approve", "by": "ann"}
    with pytest.raises(InvalidRequestError) as raised:
        Execution(account).invoke("decide_approval", decision | changes)
    text = str(raised.value)
    assert text.startswith("the decision is not valid: ")
    assert problem in text
    assert text.endswith('; it needs {"id": "...", "decision": "approve" or "reject", "by": "..."}')
    assert account.world.decisions.all == {}


# Every way to publish.


def test_what_the_sweep_finds_asks_once(account: Account) -> None:
    promises = watch(account)
    account.sweeper.sweep()
    (ended,) = run_started(account)
    assert ended.outcome == "waiting"
    request = open_request(account)
    assert request.request.trigger is Trigger.MANUAL
    account.world.clock.advance(3_600)
    result = account.sweeper.sweep()
    assert [each.finding for each in result.findings] == [
        f"{request.id} waits for approval until 2026-01-18 12:00 UTC",
        (
            f"prod-latest names {request.subject.digest}, which is not published; not started: it waits for the "
            f"approval {request.id}: ami-lifecycle approve {request.id}"
        ),
    ]
    assert result.unpublished == (), "an alarm about this would be about people"
    assert len(account.world.executions.started) == 1
    approve(account)
    assert account.live.tags[TAG_DIGEST] == request.subject.digest
    assert promises.at_rest() == []


def test_the_sweep_waits_for_what_a_person_has_asked(account: Account) -> None:
    digest = account.push("other")
    account.push("two")
    run(account, image_digest=digest)
    asked = open_request(account)
    converge(account, 3)
    assert open_request(account) == asked
    assert account.world.executions.started == []


def test_a_queued_request_that_was_not_approved_asks(account: Account) -> None:
    digest = account.push("three")
    queued = BuildRequest(environment="prod", trigger=Trigger.QUEUED, image_digest=digest)
    assert Execution(account).run(queued).outcome == "waiting"
    assert open_request(account).request.trigger is Trigger.MANUAL


def test_an_approved_request_waits_in_the_queue_and_is_published(account: Account) -> None:
    run(account)
    request = open_request(account)
    holder = Execution(account, "holder")
    other = account.world.environments
    claim = holder_of(account, "holder", digest="sha256:" + "9" * 64)
    account.world.executions.statuses[holder.arn] = account.world.executions.status(holder.arn)
    decide(account, request.id)
    started = account.world.executions.started[-1]
    assert Execution(account, started.name).run(started.request).outcome == "queued"
    assert other.release("prod", claim, revision=other.get("prod").revision)
    converge(account, 1)
    assert account.live.tags[TAG_DIGEST] == request.subject.digest


def test_a_rebuild_of_what_was_approved_is_not_asked_again(account: Account) -> None:
    promises = watch(account)
    run(account)
    approve(account)
    first = account.latest
    assert run(account, "e9", fresh=True).outcome == "published"
    assert account.latest != first
    assert account.metadata.gates["approval"]["by"] == "ann"
    assert promises.at_rest() == []


def test_other_hooks_are_another_approval(account: Account) -> None:
    run(account)
    approve(account)
    before = account.world.approvals.records["prod"].revision
    account.catalogue = catalogue(
        defaults={
            "approval": {"pushes": True},
            "base": "ubuntu-24.04",
            "publication": {"grace_period_seconds": 0},
        }
    )
    account.world.parameters.set(
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "ami-0123456789abcdef0",
        "aws:ec2:image",
    )
    assert run(account, "e9").outcome == "waiting"
    assert account.world.approvals.records["prod"].revision > before
    assert open_request(account).subject.recipe is not None


def test_a_rollback_to_what_was_published_needs_no_approval(account: Account) -> None:
    promises = watch(account)
    old = account.live
    account.record(old, status=RecordStatus.KEPT)
    run(account)
    approve(account)
    account.world.images.all.setdefault(old.image_id, old)
    account.world.images.add(old)
    account.record(old, status=RecordStatus.KEPT)
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=old.image_id, pin=True)
    assert ended.outcome == "published"
    assert promises.broken == []


def test_a_rollback_by_build_asks_where_nobody_has_approved_it(account: Account) -> None:
    gone = "ami-0123456789abcdef9"
    digest = str(account.live.tags[TAG_DIGEST])
    request = {"action": Action.PUBLISH, "publish_image_id": gone, "image_digest": digest}
    ended = run(account, "back", trigger=Trigger.ROLLBACK, pin=True, **request)
    assert ended.outcome == "waiting"
    asked = open_request(account)
    assert (asked.request.trigger, asked.request.pin, asked.request.force) == (Trigger.ROLLBACK, True, True)
    approve(account)
    assert account.world.environments.get("prod").pin is not None


@pytest.mark.parametrize("delete", [True, False])
def test_what_loses_its_approval_on_the_way_is_not_published(account: Account, delete: bool) -> None:
    promises = watch(account)
    run(account)
    request = open_request(account)
    before = account.latest

    class Losing:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "launch":
                decisions = account.world.decisions.all
                if delete:
                    decisions.clear()
                else:
                    decision = decisions[request.id]
                    other = decision.subject.model_copy(update={"digest": "sha256:" + "7" * 64})
                    decisions[request.id] = decision.model_copy(update={"subject": other})

        def after(self, port: Any, call: Any) -> None:
            pass

    account.world.instances.hooks.append(Losing())
    (ended,) = approve(account)
    assert (ended.outcome, ended.error) == ("failed", "ApprovalMissingError")
    assert f"needs the approval {request.id} before prod publishes it, and " in ended.reason
    assert ended.reason.endswith(
        f"start the same again, which asks for it, then: ami-lifecycle approve {request.id}"
    )
    assert ("nobody has decided about it" in ended.reason) == delete
    assert account.latest == before
    assert promises.leaks() == []
    assert promises.broken == []


def test_a_plan_that_says_it_needs_no_build_is_held_all_the_same(account: Account) -> None:
    """The gate looks at the image that is published, not at what the plan says of it."""
    execution = Execution(account, "e1")
    digest = account.push("three")
    image = account.world.images.add(an_image(2, digest=digest, execution="e1"))
    plan = account.planner.plan_request(BuildRequest(environment="prod"), execution.arn).plan
    claim = holder_of(account, "e1", digest=digest)
    forged = plan.model_copy(update={"action": Action.PUBLISH, "source": None, "ask": None})
    step = {
        "plan": forged.model_dump(mode="json"),
        "execution_arn": execution.arn,
        "claim_number": claim.number,
        "image_id": image.image_id,
    }
    settings = forged.configured.model_copy(
        update={"verification": forged.configured.verification.model_copy(update={"enabled": False})}
    )
    step["plan"] = forged.model_copy(update={"settings": settings}).model_dump(mode="json")
    with pytest.raises(Exception, match="nobody has decided about it"):
        execution.invoke("publish_image", step)


# Promotions.


@pytest.fixture
def promotion() -> Account:
    account = approving_promotions()
    image = account.world.images.add(of_dev(1, digest=account.push("one", "dev")))
    account.environment = "dev"
    account.publish(image)
    account.environment = "prod"
    return account


def test_a_promotion_asks_with_what_its_source_has_measured(promotion: Account) -> None:
    promises = watch(promotion)
    ended = run(promotion, action=Action.PROMOTE, promote_from="dev")
    assert ended.outcome == "waiting"
    request = open_request(promotion)
    assert (request.subject.digest, request.subject.release) == (None, request.facts.release)
    assert (request.facts.promoted_from, request.facts.commit) == ("dev", "abc")
    assert request.facts.verified_at is not None
    assert request.request.release == request.subject.release, "what was shown is what is promoted"
    (ended,) = approve(promotion)
    assert ended.outcome == "published"
    assert promotion.metadata.promoted_from == "dev"
    assert promotion.metadata.gates["approval"]["id"] == request.id
    assert promises.at_rest() == []


def test_the_approval_of_a_release_is_none_of_its_docker_image(promotion: Account) -> None:
    """An emergency build of an environment that is promoted to does not go around the approval."""
    run(promotion, action=Action.PROMOTE, promote_from="dev")
    approve(promotion)
    digest = promotion.metadata.image_digest
    ended = run(promotion, "forced", image_digest=digest, force=True)
    assert ended.outcome == "waiting"
    assert open_request(promotion).subject.digest == digest


def test_a_rejected_promotion_is_asked_again_by_promoting_again(promotion: Account) -> None:
    run(promotion, action=Action.PROMOTE, promote_from="dev")
    request = open_request(promotion)
    decide(promotion, request.id, "reject", reason="no")
    queued = request.request.model_copy(update={"trigger": Trigger.QUEUED})
    ended = Execution(promotion, "q").run(queued)
    assert ended.outcome == "nothing"
    name = str(request.subject.release).rsplit(":", 1)[-1]
    assert ended.reason.endswith(f"start it by hand: ami-lifecycle promote FROM prod --release {name}")
    assert run(promotion, "e2", action=Action.PROMOTE, promote_from="dev").outcome == "waiting"


# Expiry.


def test_an_expired_request_is_told_once_and_not_asked_again_by_itself(account: Account) -> None:
    promises = watch(account)
    run(account)
    request = open_request(account)
    account.world.clock.advance(72 * 3_600)
    result = account.sweeper.sweep()
    assert f"nobody has decided about {request.id} in time" in [each.finding for each in result.findings]
    assert events(account) == ["Approval Requested", "Approval Expired"]
    subject, message = account.world.notifier.sent[-1]
    assert subject == f"comfyui prod: {request.id} has expired"
    assert message["reason"] == (
        f"nobody has decided in time; what was asked is not published: {request.facts.docker_image}"
    )
    assert (message["approval_id"], message["outcome"]) == (request.id, "Approval Expired")
    converge(account, 3)
    assert events(account) == ["Approval Requested", "Approval Expired"]
    assert account.world.executions.started == []
    ended = Execution(account, "e2").run(push_event(account, str(request.subject.digest)))
    assert ended.reason == (
        f"nobody has decided about {request.id} in time; to ask again, start it by hand: ami-lifecycle build prod "
        f"--digest {request.subject.digest}"
    )
    assert run(account, "e3").outcome == "waiting"
    (ended,) = approve(account)
    assert ended.outcome == "published"
    assert promises.at_rest() == []


def test_a_person_who_asks_again_before_the_sweep_has_looked_has_a_new_request(account: Account) -> None:
    run(account)
    first = open_request(account)
    account.world.clock.advance(72 * 3_600)
    assert run(account, "e2").outcome == "waiting"
    second = open_request(account)
    assert (second.id, second.asked_at > first.asked_at) == (first.id, True)
    assert events(account) == ["Approval Requested", "Approval Requested"]


# Off.


def test_without_the_setting_nobody_is_asked_and_nothing_is_read() -> None:
    account = Account()
    account.push("one")
    promises = Promises(account.world)
    assert run(account).outcome == "published"
    account.sweeper.sweep()
    assert (account.world.approvals.calls, account.world.decisions.calls) == ([], [])
    assert promises.at_rest() == []
