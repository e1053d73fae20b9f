"""A build that is redriven after its clean-up: it claims its environment anew, or changes nothing.

Step Functions offers a redrive for 14 days on each execution that did not succeed. The claim that the clean-up
took away does not come back with it.
"""

from __future__ import annotations

import pytest
from tests.workflows.conftest import Running
from tests.workflows.service import Ended, Environment, until
from tests.workflows.test_aborted_builds import Stopper, is_clean

# Each works for the claim, with what the clean-up has removed.
CLAIMED = (
    "Launch Builder",
    "Await Builder",
    "Provision Builder",
    "Create Image",
    "Launch Canary",
    "Publish Image",
)
# Which of them depends on what the state looks at first.
FENCED = {"ClaimLostError", "BuilderLostError", "ImageCreationFailedError"}


def stop_in(running: Running, environment: Environment, state: str) -> str:
    """A build that was stopped in a state; its ARN."""
    service = environment.service
    digest = environment.push_quietly(f"{environment.name} stopped in {state}")
    stopper = Stopper(running.emulator)
    stopper.stop_in(digest, state)
    arn = service.start({"environment": environment.name, "image_digest": digest})
    assert service.wait(arn).status == "ABORTED"
    stopper.close()
    return arn


def redrive(environment: Environment, arn: str) -> Ended:
    """Redrive an execution, and wait until nothing goes on any more."""
    environment.service.client("stepfunctions").redrive_execution(executionArn=arn)
    ended = environment.service.wait(arn)
    environment.wait_until_idle()
    until("nothing is left of the redrive", lambda: is_clean(environment))
    return ended


@pytest.fixture(scope="module")
def published(running: Running) -> Environment:
    """An environment with an image."""
    environment = running.service.environment(next(running.unused_names))
    environment.must_build("good")
    return environment


@pytest.mark.slow
@pytest.mark.parametrize("state", CLAIMED)
def test_a_redriven_build_whose_claim_is_gone_changes_nothing(
    running: Running, published: Environment, state: str
) -> None:
    arn = stop_in(running, published, state)
    published.wait_until_idle()
    until(f"the clean-up after {state} has removed all", lambda: is_clean(published))
    latest, history = published.latest(), published.history()
    ended = redrive(published, arn)
    assert ended.status == "FAILED"
    assert ended.error in FENCED
    assert (published.latest(), published.history()) == (latest, history)


@pytest.mark.slow
def test_a_build_that_is_redriven_during_its_clean_up_builds_or_changes_nothing(
    running: Running, published: Environment
) -> None:
    """The clean-up takes the claim away that the redriven build may have by then."""
    latest = published.latest()
    ended = redrive(published, stop_in(running, published, "Claim Environment"))
    if ended.status == "SUCCEEDED":
        assert published.has_one_image() != latest
    else:
        assert ended.error in FENCED
        assert published.latest() == latest


@pytest.mark.slow
def test_a_failed_build_that_is_redriven_fails_again_and_changes_nothing(
    running: Running, published: Environment
) -> None:
    service = published.service
    digest = published.push_quietly(f"{published.name} cannot be provisioned")
    service.inject({"kind": "command_fails", "document": "ProvisionImage", "digest": digest})
    failed = service.run({"environment": published.name, "image_digest": digest})
    published.wait_until_idle()
    latest, history = published.latest(), published.history()
    service.client("stepfunctions").redrive_execution(executionArn=failed.arn)
    again = service.wait(failed.arn)
    assert (again.status, again.error) == ("FAILED", failed.error)
    published.wait_until_idle()
    assert (published.latest(), published.history()) == (latest, history)
