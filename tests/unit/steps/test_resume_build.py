"""A completion event ends the wait of the task that waits for its resource."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.test_instances_and_waits import IMAGE, INSTANCE, TOKEN, Build, an_image_in

from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import WaitKind
from ami_lifecycle.domain.model import ImageState, InstanceState
from ami_lifecycle.errors import InvalidRequestError, ResourceNotVisibleError
from ami_lifecycle.steps.resume_build import Resumed

STOPPED = "EC2 Instance State-change Notification"
IMAGED = "EC2 AMI State Change"


@pytest.fixture
def build() -> Build:
    return Build()


def resume(build: Build, detail_type: str, **detail: Any) -> Resumed:
    event = {"source": "aws.any", "detail-type": detail_type, "detail": detail}
    return build.execution.resume_build(Event.model_validate(event))


def test_the_task_goes_on_with_what_was_found(build: Build) -> None:
    build.await_(WaitKind.IMAGE, IMAGE)
    build.account.world.clock.advance(90)
    build.account.world.images.add(an_image_in(ImageState.AVAILABLE))
    assert resume(build, IMAGED, ImageId=IMAGE, State="available") == Resumed(
        resource_id=IMAGE, resumed=True, reason="the task goes on", kind=WaitKind.IMAGE, waited_seconds=90
    )
    assert build.account.world.executions.successes == {TOKEN: {}}
    assert build.account.world.waits.called("delete")[-1].args == (IMAGE, TOKEN)


def test_a_failure_reaches_the_task_with_its_name_and_words(build: Build) -> None:
    build.await_(WaitKind.IMAGE, IMAGE)
    build.account.world.clock.advance(5)
    build.account.world.images.add(an_image_in(ImageState.FAILED))
    assert resume(build, IMAGED, ImageId=IMAGE, State="failed") == Resumed(
        resource_id=IMAGE, resumed=True, reason="the task goes on", kind=WaitKind.IMAGE, waited_seconds=5
    )
    assert build.account.world.executions.failures == {
        TOKEN: (
            "ImageCreationFailedError",
            (
                f"image {IMAGE} is failed: Client.InternalError. Look at the snapshot's state and the quotas of EBS, "
                "and build again"
            ),
        )
    }
    assert build.account.world.waits.all == {}


def test_a_task_that_has_stopped_waiting_is_told_as_such(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED)
    build.instances.settle()
    build.account.world.executions.waiting.clear()
    assert resume(build, STOPPED, **{"instance-id": INSTANCE}) == Resumed(
        resource_id=INSTANCE,
        resumed=False,
        reason="the task had stopped waiting",
        kind=WaitKind.STOPPED,
        waited_seconds=0,
    )
    assert build.account.world.waits.all == {}


def test_what_nobody_waits_for_is_no_fault(build: Build) -> None:
    assert resume(build, STOPPED, **{"instance-id": INSTANCE}) == Resumed(
        resource_id=INSTANCE, resumed=False, reason="nothing waits for it", kind=None, waited_seconds=None
    )


def test_an_event_that_is_ahead_of_what_is_shown_is_handled_again(build: Build) -> None:
    build.an_instance(InstanceState.STOPPING)
    build.await_(WaitKind.STOPPED)
    with pytest.raises(ResourceNotVisibleError) as raised:
        resume(build, STOPPED, **{"instance-id": INSTANCE})
    assert str(raised.value) == (
        f"an event says that {INSTANCE} is done, and it does not show yet; the event is handled again, and the task "
        "looks by itself"
    )


@pytest.mark.parametrize(
    ("detail_type", "detail"),
    [
        ("EC2 Spot Instance Interruption Warning", {"instance-id": INSTANCE}),
        (STOPPED, {"command-id": "c"}),
        (STOPPED, {"instance-id": ""}),
        (STOPPED, {"instance-id": 7}),
    ],
)
def test_an_event_without_its_resource_is_refused_with_its_type(
    build: Build, detail_type: str, detail: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        resume(build, detail_type, **detail)
    assert str(raised.value) == (
        f"an event of type {detail_type!r} with no resource that a task waits for; correct the pattern of the rule"
    )
