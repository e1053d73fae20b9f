"""The clean-up of one execution: complete, repeatable, and reported once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.unit.steps.account import Account
from tests.unit.steps.execution import run
from tests.unit.steps.leftovers import (
    a_clean_up,
    an_orphan_image,
    an_orphan_instance,
)
from tests.unit.steps.test_claim_races import holder_of

from ami_lifecycle.domain.model import (
    ImageState,
)
from ami_lifecycle.errors import (
    ClaimBusyError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
)


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
