"""The clean-up of one execution: complete, repeatable, and reported once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import MACHINE, Account, arn_of
from tests.unit.steps.execution import run
from tests.unit.steps.leftovers import (
    a_clean_up,
    an_orphan_image,
    an_orphan_instance,
)
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.environment import EnvironmentRecord, FailedAttempts, UnusableBase
from ami_lifecycle.domain.model import (
    ImageState,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import (
    AccessDeniedError,
    ClaimBusyError,
    ClaimContendedError,
    InvalidRequestError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    ThrottledError,
)
from ami_lifecycle.steps.clean_up_build import describe_failure, parse_clean_up


def test_a_clean_up_can_be_repeated_any_number_of_times(account: Account) -> None:
    an_orphan_instance(account)
    an_orphan_image(account)
    first = account.build_cleaner.clean_up(a_clean_up())
    assert first.terminated
    assert first.deregistered
    assert first.deleted_snapshots
    again = account.build_cleaner.clean_up(a_clean_up())
    assert (again.terminated, again.deregistered, again.deleted_snapshots) == ((), (), ())


def test_a_clean_up_of_an_execution_that_made_nothing_removes_nothing(account: Account) -> None:
    images, snapshots = dict(account.world.images.all), dict(account.world.images.snapshots)
    account.build_cleaner.clean_up(a_clean_up("made-nothing"))
    assert (account.world.images.all, account.world.images.snapshots) == (images, snapshots)


def test_the_published_image_of_an_execution_survives_its_clean_up(account: Account) -> None:
    result = account.build_cleaner.clean_up(a_clean_up("long-ago"))
    assert [decision.image_id for decision in result.kept] == [account.latest]
    assert account.live.state is ImageState.AVAILABLE


def test_an_old_value_of_latest_does_not_cost_the_image_that_was_just_published(account: Account) -> None:
    account.world.parameters.stale["/comfyui/ami/prod/latest"] = ["ami-0123456789abcdef0"]
    # EC2's index of references may be as late.
    account.world.usage.parameters = None
    result = account.build_cleaner.clean_up(a_clean_up("long-ago"))
    assert result.deregistered == ()
    assert account.live.state is ImageState.AVAILABLE


def test_an_instance_that_ec2_does_not_show_yet_is_waited_for(account: Account) -> None:
    instance = an_orphan_instance(account)
    account.world.instances.fail("terminate", ResourceNotVisibleError("not shown yet"))
    with pytest.raises(ResourceNotVisibleError):
        account.build_cleaner.clean_up(a_clean_up())
    account.build_cleaner.clean_up(a_clean_up())
    assert account.world.instances.all[instance.instance_id].state.is_over


def test_a_clean_up_from_outside_waits_for_a_function_that_may_still_write(account: Account) -> None:
    claim = holder_of(account, "gone")
    account.world.environments.enter(
        "prod", claim.execution_arn, claim.number, account.world.clock.now() + timedelta(seconds=65)
    )
    with pytest.raises(ClaimBusyError):
        account.build_cleaner.clean_up(a_clean_up(status="ABORTED"))
    assert account.world.environments.get("prod").claim is not None
    account.world.clock.advance(65)
    assert account.build_cleaner.clean_up(a_clean_up(status="ABORTED")).released == ("prod",)


def test_the_failures_of_a_digest_are_counted_in_a_row(account: Account) -> None:
    digest = account.push("two")
    account.verification_fails = True
    counted = []
    for number, content in enumerate(("two", "two", "three")):
        account.push(content)
        assert run(account, f"e{number}").outcome == "failed"
        failed = account.world.environments.get("prod").failed
        assert failed is not None
        counted.append((failed.digest == digest, failed.count))
    assert counted == [(True, 1), (True, 2), (False, 1)]


def test_a_failure_is_counted_once_however_often_its_clean_up_is_repeated(account: Account) -> None:
    holder_of(account, "gone", digest=account.push("two"))
    account.world.environments.fail("release", ServiceUnavailableError("no answer"), times=3)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError):
            account.build_cleaner.clean_up(a_clean_up(error="VerificationFailedError"))
    account.build_cleaner.clean_up(a_clean_up(error="VerificationFailedError"))
    failed = account.world.environments.get("prod").failed
    assert failed is not None
    assert failed.count == 1


def test_people_are_told_once_of_a_failure(account: Account) -> None:
    account.push("two")
    account.verification_fails = True
    ended = run(account)
    account.build_cleaner.clean_up(a_clean_up("e1", status="FAILED", error=ended.error))
    ((subject, message),) = account.world.notifier.sent
    assert "VerificationFailedError" in subject
    assert message["outcome"] == "Build Failed"
    assert "no container runs" in message["cause"]
    assert json.dumps(message)
    assert len(subject) <= 100


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_people_are_told_of_an_end_that_no_execution_reported(account: Account, status: str) -> None:
    account.build_cleaner.clean_up(a_clean_up(status=status))
    assert len(account.world.notifier.sent) == 1


# What a clean-up is asked for.


def a_status_event(**detail: Any) -> dict[str, Any]:
    """Step Functions developer guide, Execution status change events."""
    own = {
        "executionArn": arn_of("gone"),
        "stateMachineArn": MACHINE,
        "name": "gone",
        "status": "FAILED",
        "error": "VerificationFailedError",
        "cause": "it answered 500",
    } | detail
    return {
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {key: value for key, value in own.items() if value is not ...},
    }


def test_the_state_machines_own_call_is_taken_as_it_is() -> None:
    own = {"execution_arn": arn_of("gone"), "state_machine_arn": MACHINE, "error": "E", "cause": "c"}
    assert parse_clean_up(own) == a_clean_up(error="E", cause="c")


def test_a_status_event_says_how_the_execution_ended() -> None:
    assert parse_clean_up(a_status_event()) == a_clean_up(
        error="VerificationFailedError", cause="it answered 500", status="FAILED"
    )


@pytest.mark.parametrize("nothing", [None, ...])
def test_an_execution_that_was_aborted_names_neither_error_nor_cause(nothing: object) -> None:
    event = a_status_event(status="ABORTED", error=nothing, cause=nothing)
    assert parse_clean_up(event) == a_clean_up(status="ABORTED")


@pytest.mark.parametrize("field", ["executionArn", "stateMachineArn", "status"])
def test_an_event_that_lacks_a_field_is_told_which(field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_clean_up(a_status_event(**{field: ...}))
    assert str(raised.value) == (
        f"the event has no {field!r}; it must be a 'Step Functions Execution Status Change'"
    )


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({}, "execution_arn: Field required; state_machine_arn: Field required"),
        ("x", "input: Input should be a valid dictionary or instance of CleanUpInput (got 'x')"),
        ({"detail": {}}, "source: Field required; detail-type: Field required"),
    ],
)
def test_anything_else_is_refused_by_its_fields(raw: Any, problem: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_clean_up(raw)
    assert str(raised.value) == f"not an input of clean_up_build: {problem}"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"error": "E", "cause": "because"}, ("E", "because")),
        (
            {
                "error": "States.TaskFailed",
                "cause": '{"errorType": "SettingsError", "errorMessage": "wrong"}',
            },
            ("SettingsError", "wrong"),
        ),
        (
            {"status": "ABORTED"},
            (
                "ExecutionAborted",
                "a person or a tool stopped the execution; start it again when that was a mistake",
            ),
        ),
        (
            {"status": "TIMED_OUT"},
            (
                "ExecutionTimedOut",
                "the execution ran for longer than any build may; look for the state that did not end",
            ),
        ),
        (
            {"error": "States.Timeout"},
            (
                "States.Timeout",
                "a step did not end in its time; look at the last state of the execution's history",
            ),
        ),
        ({}, ("BuildFailed", "no cause was given; look at the execution's history")),
        ({"error": "E"}, ("E", "no cause was given; look at the execution's history")),
        ({"error": "E", "cause": "x" * 4_001}, ("E", "x" * 4_000)),
    ],
)
def test_a_failure_is_described_for_a_person(step: dict[str, str], told: tuple[str, str]) -> None:
    assert describe_failure(a_clean_up(**step)) == told


# Whether a function may still write, and who is told.


@pytest.mark.parametrize(
    ("step", "waits"),
    [
        ({"error": "VerificationFailedError"}, False),
        ({"error": "States.Timeout"}, True),
        ({"error": "Lambda.SdkClientException"}, True),
        ({"status": "ABORTED"}, True),
        ({"status": "FAILED", "error": "VerificationFailedError"}, True),
    ],
)
def test_a_function_of_which_nobody_knows_the_end_is_waited_for(
    account: Account, step: dict[str, str], waits: bool
) -> None:
    claim = holder_of(account, "gone")
    until = account.world.clock.now() + timedelta(seconds=65)
    account.world.environments.enter("prod", claim.execution_arn, claim.number, until)
    if waits:
        with pytest.raises(ClaimBusyError) as raised:
            account.build_cleaner.clean_up(a_clean_up(**step))
        assert str(raised.value) == (
            f"a function of {arn_of('gone')} may write to prod until {until:%H:%M:%S} UTC; the clean-up is repeated"
        )
    else:
        assert account.build_cleaner.clean_up(a_clean_up(**step)).released == ("prod",)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"error": "E"}, True),
        ({"status": "FAILED", "error": "E"}, False),
        ({"status": "FAILED", "error": "CleanUpFailed"}, True),
        ({"status": "SUCCEEDED"}, False),
        ({"status": "TIMED_OUT"}, True),
    ],
)
def test_an_end_is_told_by_whoever_sees_it_first(account: Account, step: dict[str, str], told: bool) -> None:
    account.build_cleaner.clean_up(a_clean_up(**step))
    assert len(account.world.notifier.sent) == len(account.world.notifier.announced) == int(told)


def test_the_notification_has_all_that_a_person_needs(account: Account) -> None:
    holder_of(account, "gone", digest=account.push("two"))
    instance, image = an_orphan_instance(account), an_orphan_image(account)
    result = account.build_cleaner.clean_up(a_clean_up(error="VerificationFailedError", cause="500"))
    ((subject, message),) = account.world.notifier.sent
    assert subject == "comfyui: build failed (VerificationFailedError)"
    assert message == {
        "outcome": "Build Failed",
        "execution_arn": arn_of("gone"),
        "execution": "gone",
        "console": (
            "https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/"
            + arn_of("gone")
        ),
        "log": "ami-lifecycle logs gone",
        "error": "VerificationFailedError",
        "cause": "500",
        "terminated": [instance.instance_id],
        "deregistered": [image.image_id],
        "deleted_snapshots": list(image.snapshot_ids),
        "kept": [],
        "blocked": [],
        "released": ["prod"],
        "untold": [],
        "started_execution": None,
    }
    assert result.model_dump(mode="json").items() <= message.items()
    (event,) = account.world.notifier.announced
    assert event.model_dump(mode="json") == {
        "schema_version": 1,
        "application": "comfyui",
        "environment": "prod",
        "region": "us-east-1",
        "execution_arn": arn_of("gone"),
        "error": "VerificationFailedError",
        "cause": "500",
    }


def test_a_notification_that_cannot_be_sent_is_told_and_ends_nothing(account: Account) -> None:
    account.world.notifier.fail("notify", AccessDeniedError("denied. Grant sns:Publish."))
    result = account.build_cleaner.clean_up(a_clean_up(error="E"))
    (untold,) = result.untold
    assert (untold.resource, untold.error, untold.reason) == (
        "notification",
        "AccessDeniedError",
        "denied. Grant sns:Publish.",
    )
    assert len(account.world.notifier.announced) == 1


def test_a_notification_that_fails_for_now_is_sent_again(account: Account) -> None:
    account.world.notifier.fail("notify", ThrottledError("slower"))
    assert account.build_cleaner.clean_up(a_clean_up(error="E")).untold == ()
    assert (len(account.world.notifier.sent), account.world.clock.pauses) == (1, [1])


# What is learnt of the digest and of the base.


@pytest.mark.parametrize(
    ("step", "count"),
    [
        ({"error": "VerificationFailedError"}, 1),
        ({"error": "ProvisioningFailedError"}, 1),
        ({"error": "CapacityUnavailableError"}, 0),
        ({"status": "TIMED_OUT"}, 0),
        ({"status": "ABORTED"}, 1_000_000),
        ({"status": "ABORTED", "error": "VerificationFailedError"}, 1_000_000),
    ],
)
def test_only_the_images_own_failures_and_a_persons_stop_are_counted(
    account: Account, step: dict[str, str], count: int
) -> None:
    digest = account.push("two")
    claim = holder_of(account, "gone", digest=digest)
    account.build_cleaner.clean_up(a_clean_up(cause="one\n  two", **step))
    error = step.get("error") or {"TIMED_OUT": "ExecutionTimedOut"}.get(step["status"], "ExecutionAborted")
    assert account.world.environments.get("prod").failed == FailedAttempts(
        digest=digest, count=count, claim_number=claim.number, error=f"{error}: one two"
    )


def test_failures_with_other_hooks_begin_anew(account: Account) -> None:
    digest = account.push("two")
    environments = account.world.environments
    counted = []
    for name, recipe in (("one", "verify:a"), ("two", "verify:a"), ("three", None)):
        claim = holder_of(account, name, digest=digest).model_copy(update={"recipe": recipe})
        environments.records["prod"] = environments.get("prod").model_copy(update={"claim": claim})
        account.build_cleaner.clean_up(a_clean_up(name, error="VerificationFailedError"))
        failed = environments.get("prod").failed
        assert failed is not None
        counted.append((failed.recipe, failed.count))
    assert counted == [("verify:a", 1), ("verify:a", 2), (None, 1)]


def test_failures_of_one_digest_add_up_and_those_of_another_begin_anew(account: Account) -> None:
    digest = account.push("two")
    counted = []
    for name, of in (("one", digest), ("two", digest), ("three", account.push("three"))):
        holder_of(account, name, digest=of)
        account.build_cleaner.clean_up(a_clean_up(name, error="VerificationFailedError", cause="x" * 900))
        failed = account.world.environments.get("prod").failed
        assert failed is not None
        counted.append(failed.count)
        assert failed.error == f"VerificationFailedError: {'x' * 900}"[:400]
    assert counted == [1, 2, 1]


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ({"digest": None}, "FAILED"),
        ({"digest": "sha256:" + "ab" * 32}, "SUCCEEDED"),
    ],
)
def test_an_execution_that_built_nothing_or_went_well_is_no_failure(
    account: Account, claim: dict[str, Any], status: str
) -> None:
    holder_of(account, "gone", **claim)
    account.build_cleaner.clean_up(a_clean_up(status=status, error="VerificationFailedError"))
    record = account.world.environments.get("prod")
    assert (record.claim, record.failed) == (None, None)


def test_a_base_whose_agent_never_came_is_remembered_once(account: Account) -> None:
    now = account.world.clock.now()
    claim = holder_of(account, "gone", digest=account.push("two"))
    based = claim.model_copy(update={"base_image_id": account.latest, "claimed_at": now})
    environments = account.world.environments
    environments.records["prod"] = environments.get("prod").model_copy(update={"claim": based})
    account.build_cleaner.clean_up(a_clean_up(error="AgentNotOnlineError"))
    base = environments.get("prod").unusable_base
    assert base is not None
    assert (base.image_id, base.is_certain) == (account.latest, False)
    assert len(environments.called("record_unusable_base")) == 1


def test_a_request_that_is_queued_at_the_moment_of_the_release_is_not_lost(account: Account) -> None:
    holder_of(account, "gone")
    account.world.environments.release = lambda *_, **__: False  # type: ignore[method-assign]
    with pytest.raises(
        ClaimContendedError, match=r"^a request for prod is queued at this moment; look again$"
    ):
        account.build_cleaner.clean_up(a_clean_up())


def test_what_waited_behind_a_failed_build_is_started_and_told(account: Account) -> None:
    claim = holder_of(account, "gone")
    wanted = BuildRequest(environment="prod", fresh=True)
    assert account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    result = account.build_cleaner.clean_up(a_clean_up(error="E"))
    (started,) = account.world.executions.started
    assert (result.started_execution, started.request) == (started.arn, wanted)
    assert account.world.environments.get("prod").queued_request is None


def test_what_cannot_be_started_is_told_and_goes_on_waiting(account: Account) -> None:
    claim = holder_of(account, "gone")
    wanted = BuildRequest(environment="prod", fresh=True)
    assert account.world.environments.queue("prod", wanted, behind=claim, revision=0)
    account.world.executions.fail("start", AccessDeniedError("denied. Grant states:StartExecution."))
    result = account.build_cleaner.clean_up(a_clean_up(error="E"))
    (blocked,) = result.blocked
    assert (blocked.resource, blocked.error) == ("what waits for prod", "AccessDeniedError")
    assert (result.started_execution, result.released) == (None, ("prod",))
    assert account.world.environments.get("prod").queued_request == wanted


def test_what_is_certain_of_a_base_is_not_forgotten_by_a_fresh_build_that_fails(account: Account) -> None:
    base = UnusableBase(image_id="ami-0123456789abcdef0", reason="too old", is_certain=True)
    account.world.environments.record_unusable_base("prod", base)
    holder_of(account, "gone", digest=account.push("two"))
    account.build_cleaner.clean_up(a_clean_up(error="ProvisioningFailedError"))
    assert account.world.environments.get("prod").unusable_base == base


def test_what_waits_in_several_environments_is_told_of_each(account: Account) -> None:
    claim = holder_of(account, "gone")
    environments = account.world.environments
    for name in ("prod", "dev"):
        environments.records[name] = EnvironmentRecord(
            environment=name,
            fencing=1,
            claim=claim,
            queued_request=BuildRequest(environment=name),
            revision=1,
        )
    account.world.executions.fail("start", AccessDeniedError("denied. Grant it."), times=2)
    result = account.build_cleaner.clean_up(a_clean_up(error="E"))
    assert [each.resource for each in result.blocked] == ["what waits for prod", "what waits for dev"]
    assert result.released == ("prod", "dev")
