"""The end of an execution that went well: what it gives back, what it starts, what it remembers and tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import MACHINE, arn_of
from tests.unit.steps.leftovers import an_orphan_instance
from tests.unit.steps.test_publishing import Build

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction, Retirement, Unfinished
from ami_lifecycle.domain.environment import FailedAttempts, HeldBack
from ami_lifecycle.domain.execution import Published
from ami_lifecycle.domain.package_summary import PackageSummary
from ami_lifecycle.domain.plan import Promotion
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.domain.result import ReleaseResult
from ami_lifecycle.errors import AccessDeniedError, ClaimContendedError, ThrottledError
from ami_lifecycle.steps.release_environment import ReleaseInput, Releaser

LOCKED = Blocked(resource="snap-1", error="AccessDeniedError", reason="denied. Grant ec2:DeleteSnapshot.")


@pytest.fixture
def build() -> Build:
    return Build()


def released(build: Build, **changes: Any) -> ReleaseResult:
    world = build.account.world
    releaser = Releaser(world.instances, world.environments, world.executions, world.notifier, world.clock)
    return releaser.release(
        ReleaseInput.model_validate({**build.held, "state_machine_arn": MACHINE} | changes)
    )


def a_publication(build: Build) -> Published:
    return Published(image_id=build.candidate.image_id, number=1, replaced=build.old.image_id)


def decided(build: Build, reason: str, action: RetireAction = RetireAction.KEEP) -> Decision:
    return Decision(image_id=build.old.image_id, action=action, reason=reason)


def test_a_build_ends_its_instances_and_gives_the_environment_back(build: Build) -> None:
    instance = an_orphan_instance(build.account, "e1")
    other = build.account.world.instances.add(
        an_orphan_instance(build.account, "other").model_copy(update={"instance_id": "i-2"})
    )
    build.account.world.instances.add(instance)
    build.account.world.environments.record_failures("prod", [FailedAttempts(digest=build.digest, count=2)])
    assert released(build, published=a_publication(build)) == ReleaseResult(
        environment="prod",
        action=Action.BUILD,
        image_id=build.candidate.image_id,
        image_digest=build.digest,
        replaced=build.old.image_id,
    )
    record = build.account.world.environments.get("prod")
    assert (record.claim, record.failed) == (None, None)
    instances = build.account.world.instances.all
    assert instances[instance.instance_id].state.is_over
    assert not instances[other.instance_id].state.is_over


def test_what_the_packages_of_a_publication_are_is_told(build: Build) -> None:
    packages = PackageSummary(count=3)
    published = a_publication(build).model_copy(update={"packages": packages})
    assert released(build, published=published).packages == packages
    assert released(build).packages is None


def test_a_promotion_is_released_with_where_it_came_from(build: Build) -> None:
    assert released(build).promoted_from is None
    promotion = Promotion(
        environment="dev", image_id=build.old.image_id, release="arn:maker", built_for="dev"
    )
    build.plan = build.plan.model_copy(update={"action": Action.PROMOTE, "promotion": promotion})
    assert released(build).promoted_from == "dev"
    build.plan = build.plan.model_copy(update={"action": Action.UNDELETE})
    assert released(build).promoted_from is None


def test_what_is_no_build_says_nothing_of_failures(build: Build) -> None:
    build.account.world.environments.record_failures("prod", [FailedAttempts(digest=build.digest, count=2)])
    build.plan = build.plan.model_copy(update={"action": Action.RETIRE, "source": None})
    result = released(build)
    assert (result.image_id, result.image_digest, result.replaced) == (None, None, None)
    record = build.account.world.environments.get("prod")
    assert record.claim is None
    assert record.failed is not None


def test_what_waited_is_started_and_told(build: Build) -> None:
    wanted = BuildRequest(environment="prod", fresh=True)
    assert build.account.world.environments.queue("prod", wanted, behind=build.claim, revision=0)
    result = released(build)
    (started,) = build.account.world.executions.started
    assert (started.request, result.started_execution) == (wanted, started.arn)


def test_a_release_that_is_repeated_releases_nobody_else(build: Build) -> None:
    released(build)
    other = build.claim.model_copy(update={"execution_arn": arn_of("other"), "number": 3})
    assert build.account.world.environments.claim("prod", other)
    released(build)
    assert build.account.world.environments.get("prod").claim == other


def test_a_request_that_is_queued_at_the_same_moment_is_not_lost(build: Build) -> None:
    build.account.world.environments.release = lambda *_, **__: False  # type: ignore[method-assign]
    with pytest.raises(
        ClaimContendedError, match=r"^a request for prod is queued at this moment; look again$"
    ):
        released(build)


# What was left undone.


def test_what_was_refused_is_told_and_come_back_to(build: Build) -> None:
    retirement = Retirement(decisions=(decided(build, "in use"),), blocked=(LOCKED,), omitted=2)
    result = released(build, published=a_publication(build), retirement=retirement)
    assert (result.blocked, result.decisions, result.omitted) == ((LOCKED,), (decided(build, "in use"),), 2)
    now = build.account.world.clock.now()
    assert build.account.world.environments.get("prod").held_back == (
        HeldBack(what="snap-1", reason=LOCKED.reason, since=now, tries=1, due=now),
    )


def test_of_two_retirements_the_last_word_counts(build: Build) -> None:
    again = LOCKED.model_copy(update={"reason": "still locked"})
    result = released(
        build,
        retirement=Retirement(decisions=(decided(build, "in use"),), blocked=(LOCKED,), omitted=1),
        candidate_retirement=Retirement(
            decisions=(decided(build, "gone", RetireAction.RETIRE),), blocked=(again,), omitted=2
        ),
    )
    assert result.blocked == (again,)
    assert result.decisions == (decided(build, "gone", RetireAction.RETIRE),)
    assert result.omitted == 3


def test_nothing_that_is_left_out_is_no_number(build: Build) -> None:
    assert released(build, retirement=Retirement()).omitted is None


def test_what_is_refused_no_more_is_forgotten(build: Build) -> None:
    now = build.account.world.clock.now()
    build.account.world.environments.hold_back("prod", [HeldBack(what="snap-1", since=now, due=now)])
    released(build, retirement=Retirement())
    assert build.account.world.environments.get("prod").held_back == ()


@pytest.mark.parametrize("unfinished", [None, Unfinished(error="E", cause="c")])
def test_what_a_retirement_did_not_get_to_stays_remembered(
    build: Build, unfinished: Unfinished | None
) -> None:
    now = build.account.world.clock.now()
    held = HeldBack(what="snap-1", since=now, due=now + timedelta(hours=1))
    build.account.world.environments.hold_back("prod", [held])
    retirement = Retirement() if unfinished else None
    released(build, retirement=retirement, unfinished=unfinished)
    assert held in build.account.world.environments.get("prod").held_back


def test_a_step_after_the_publication_that_failed_is_told_as_it_was_raised(build: Build) -> None:
    cause = '{"errorType": "CleanUpIncompleteError", "errorMessage": "no time was left."}'
    unfinished = {"Error": "States.TaskFailed", "Cause": cause}
    result = released(build, published=a_publication(build), unfinished=unfinished)
    assert result.blocked == (
        Blocked(
            resource="retirement and name of prod",
            error="CleanUpIncompleteError",
            reason="no time was left. The sweep goes on with it.",
        ),
    )


@pytest.mark.parametrize(
    ("port", "method", "resource"),
    [
        ("instances", "find", f"instances of {arn_of('e1')}"),
        ("instances", "terminate", "i-0123456789abcdef0"),
        ("environments", "hold_back", "what prod holds back"),
        ("environments", "release", "the claim of prod"),
        ("executions", "start", "what waits for prod"),
    ],
)
def test_what_is_refused_is_told_by_its_name_and_all_else_is_done(
    build: Build, port: str, method: str, resource: str
) -> None:
    an_orphan_instance(build.account, "e1")
    wanted = BuildRequest(environment="prod")
    assert build.account.world.environments.queue("prod", wanted, behind=build.claim, revision=0)
    getattr(build.account.world, port).fail(method, AccessDeniedError("denied."), times=99)
    result = released(build, published=a_publication(build), retirement=Retirement(blocked=(LOCKED,)))
    assert [blocked.resource for blocked in result.blocked] == sorted(
        ["snap-1", resource], key=lambda each: each != "snap-1"
    )
    assert result.blocked[1].error == "AccessDeniedError"
    assert len(build.account.world.notifier.sent) == 1


def test_a_passing_fault_repeats_the_step_once_all_else_is_done(build: Build) -> None:
    an_orphan_instance(build.account, "e1")
    build.account.world.instances.fail("terminate", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        released(build)
    assert build.account.world.environments.get("prod").claim is None
    assert build.account.world.notifier.sent == [], "told once, by the attempt that ends"
    released(build)
    assert len(build.account.world.notifier.sent) == 1


@pytest.mark.parametrize(
    ("port", "method"), [("instances", "find"), ("environments", "hold_back"), ("executions", "start")]
)
def test_whatever_fails_for_now_repeats_the_step(build: Build, port: str, method: str) -> None:
    wanted = BuildRequest(environment="prod")
    assert build.account.world.environments.queue("prod", wanted, behind=build.claim, revision=0)
    getattr(build.account.world, port).fail(method, ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        released(build, retirement=Retirement(blocked=(LOCKED,)))
    assert build.account.world.environments.get("prod").claim is None


def test_what_was_refused_is_not_written_into_the_record_of_the_next_holder(build: Build) -> None:
    assert build.account.world.environments.release("prod", build.claim, revision=0)
    other = build.claim.model_copy(update={"execution_arn": arn_of("other"), "number": 3})
    assert build.account.world.environments.claim("prod", other)
    released(build, retirement=Retirement(blocked=(LOCKED,)))
    assert build.account.world.environments.get("prod").held_back == ()


# What people are told.


def test_a_publication_is_told_with_links_and_reasons(build: Build) -> None:
    result = released(build, published=a_publication(build))
    ((subject, message),) = build.account.world.notifier.sent
    console = "https://console.aws.amazon.com"
    assert subject == f"comfyui prod: {build.candidate.image_id} published"
    assert message == {
        "outcome": "Image Published",
        "execution_arn": arn_of("e1"),
        "console": f"{console}/states/home?region=us-east-1#/v2/executions/details/{arn_of('e1')}",
        "image_console": (
            f"{console}/ec2/home?region=us-east-1#ImageDetails:imageId={build.candidate.image_id}"
        ),
        "reasons": list(build.plan.reasons),
        "environment": "prod",
        "action": "build",
        "image_id": build.candidate.image_id,
        "image_digest": build.digest,
        "replaced": build.old.image_id,
        "decisions": [],
        "blocked": [],
        "untold": [],
    }
    assert result.untold == ()
    assert [each.detail_type for each in build.account.world.notifier.announced] == ["Image Published"]


def test_a_publication_is_told_with_its_release(build: Build) -> None:
    published = a_publication(build).model_copy(update={"release": "arn:release"})
    assert released(build, published=published).release == "arn:release"
    assert build.account.world.notifier.sent[0][1]["release"] == "arn:release"


def test_what_cannot_be_told_for_now_is_told_a_second_later(build: Build) -> None:
    build.account.world.notifier.fail("notify", ThrottledError("slower"))
    assert released(build).untold == ()
    assert (len(build.account.world.notifier.sent), build.account.world.clock.pauses) == (1, [1])


def test_a_retirement_is_told_as_one(build: Build) -> None:
    released(build)
    ((subject, message),) = build.account.world.notifier.sent
    assert subject == "comfyui prod: images retired"
    assert (message["outcome"], message["image_console"]) == ("Images Retired", None)


def test_what_cannot_be_told_is_in_the_result(build: Build) -> None:
    build.account.world.notifier.fail("announce", AccessDeniedError("denied. Grant events:PutEvents."))
    result = released(build, published=a_publication(build))
    assert [blocked.resource for blocked in result.untold] == ["events"]
    assert len(build.account.world.notifier.sent) == 1
