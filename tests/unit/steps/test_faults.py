"""A fault at every single call of an execution: an error, a lost response, or the end of everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import pytest
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Crash, Execution, FaultAt, FaultHook, converge, run
from tests.unit.steps.promises import Promises
from tests.unit.steps.promoting import of_dev, promoted, promoting

from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import TAG_DIGEST, UsageKind
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import CleanUpIncompleteError, ServiceUnavailableError


class Scene(NamedTuple):
    """An account, and the request whose execution is disturbed."""

    account: Account
    request: BuildRequest


def first_build() -> Scene:
    account = Account()
    account.push("one")
    return Scene(account, BuildRequest(environment="prod"))


def first_build_from_the_newest_of_a_name() -> Scene:
    account = Account({"base": {"newest": {"owner": "self", "name": "golden-*"}}})
    account.world.images.add(an_image(9, name="golden-1", environment=None))
    account.push("one")
    return Scene(account, BuildRequest(environment="prod"))


def update() -> Scene:
    account = Account()
    account.publish(an_image(1, digest=account.push("one")))
    account.push("two")
    return Scene(account, BuildRequest(environment="prod"))


def update_with_package_lists() -> Scene:
    account = Account(keeps_lists=True)
    account.push("one")
    run(account, "before")
    account.packages = {"bash": "5.2"}
    account.push("two")
    return Scene(account, BuildRequest(environment="prod"))


def update_of_an_image_in_use() -> Scene:
    scene = update()
    scene.account.world.usage.use(an_image(1).image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    return scene


def retirement_and_adoption() -> Scene:
    scene = update_of_an_image_in_use()
    run(scene.account, "before")
    scene.account.world.usage.free(an_image(1).image_id)
    return Scene(scene.account, BuildRequest(environment="prod", action=Action.RETIRE))


def rollback() -> Scene:
    account = Account({"retirement": {"keep_previous": 1}})
    old = an_image(1, name="comfyui-multitenant-prod.candidate.1", digest=account.push("one"))
    account.publish(old)
    account.publish(an_image(2, digest=account.push("two")))
    account.record(old, status=RecordStatus.SUPERSEDED, superseded_by=an_image(2).image_id)
    request = BuildRequest(
        environment="prod", action=Action.PUBLISH, publish_image_id=old.image_id, pin=True, reason="bad"
    )
    return Scene(account, request)


def promotion() -> Scene:
    """The release that prod publishes is of dev, too, and dev has gone on to the next one."""
    account = promoting()
    dev = Account(environment="dev", world=account.world)
    first = dev.publish(of_dev(1, digest=dev.push("one", "dev")))
    account.publish(promoted(2, first))
    second = dev.publish(of_dev(3, digest=dev.push("two", "dev")))
    account.world.images.deregister(first.image_id)
    dev.record(first, status=RecordStatus.RETIRED, superseded_by=second.image_id)
    # What its build has made is the sweep's business once Step Functions says that it has ended.
    account.world.executions.end(arn_of("dev-1"), ExecutionStatus.SUCCEEDED)
    return Scene(account, BuildRequest(environment="prod", action=Action.PROMOTE, promote_from="dev"))


SCENES: dict[str, Callable[[], Scene]] = {
    scene.__name__: scene
    for scene in (
        first_build,
        first_build_from_the_newest_of_a_name,
        update,
        update_with_package_lists,
        update_of_an_image_in_use,
        retirement_and_adoption,
        rollback,
        promotion,
    )
}


def calls_of(make: Callable[[], Scene]) -> list[str]:
    """The port calls of an undisturbed execution, in their order."""
    scene = make()
    fault = FaultAt()
    scene.account.world.watch(FaultHook(fault))
    assert Execution(scene.account).run(scene.request).outcome == "published"
    return fault.calls


# Whether the request or the response of a call that only reads is lost comes to the same.
READS = {
    "agent_version",
    "digest_of",
    "find",
    "find_by_name",
    "find_snapshots",
    "get",
    "has_digest",
    "find_each",
    "find_each_snapshot",
    "vpc_of_group",
    "vpcs_of_subnets",
    "get_each",
    "images_of_snapshots",
    "permissions_of",
    "list_below",
    "newest",
    "read",
    "result",
    "status",
    "uri",
    "usage_of",
}
CALLS = {name: calls_of(make) for name, make in SCENES.items()}
EVERY_CALL = [
    pytest.param(name, number, id=f"{name}-{number}-{call}")
    for name, calls in CALLS.items()
    for number, call in enumerate(calls)
]
EVERY_FAULT = [
    pytest.param(name, number, after, id=f"{name}-{number}-{call}-{'response' if after else 'request'}-lost")
    for name, calls in CALLS.items()
    for number, call in enumerate(calls)
    for after in ([False] if call.rsplit(".", 1)[1] in READS else [False, True])
]


def histories_of(account: Account) -> list[str]:
    """Ids of the images that history has a record of."""
    below = f"{account.prefix}/history/"
    return [
        name.removeprefix(below) for name in sorted(account.world.parameters.all) if name.startswith(below)
    ]


def end_state(account: Account) -> dict[str, Any]:
    """What lasts of an execution, without the dates, which a fault makes later."""
    world = account.world
    record = world.environments.records[account.environment]
    dates = {"creation_date", "verified_at"}
    return {
        "latest": (account.live.name, account.live.tags[TAG_DIGEST]),
        "metadata": account.metadata.model_dump(exclude=dates),
        "history": {
            image_id: found and found.model_dump(exclude={*dates, "status_since"})
            for image_id, found in ((key, account.history(key)) for key in histories_of(account))
        },
        "images": sorted((image.name, image.snapshot_ids) for image in world.images.all.values()),
        "snapshots": sorted(world.images.snapshots),
        "package lists": dict(world.package_lists.all),
        "running": [instance.instance_id for instance in world.instances.running()],
        "commands": len(world.commands.sent),
        "instances": len(world.instances.all),
        "record": record.model_dump(exclude={"pin"}),
        "pin": record.pin and (record.pin.image_id, record.pin.reason),
        "started": [started.request for started in world.executions.started],
    }


@cache
def undisturbed_end(name: str) -> dict[str, Any]:
    """What lasts of an execution that nothing disturbs."""
    scene = SCENES[name]()
    Execution(scene.account).run(scene.request)
    return end_state(scene.account)


@pytest.mark.parametrize(("name", "number", "after"), EVERY_FAULT)
def test_a_fault_that_passes_changes_nothing_in_the_end(name: str, number: int, after: bool) -> None:
    scene = SCENES[name]()
    promises = Promises(scene.account.world)
    scene.account.world.watch(
        FaultHook(FaultAt(number, after=after, error=ServiceUnavailableError("no answer")))
    )
    ended = Execution(scene.account).run(scene.request)

    assert ended.outcome == "published", ended
    assert promises.at_rest() == []
    assert end_state(scene.account) == undisturbed_end(name)


@pytest.mark.parametrize(("name", "number"), EVERY_CALL)
def test_an_execution_that_is_killed_leaves_nothing_and_the_environment_converges(
    name: str, number: int
) -> None:
    scene = SCENES[name]()
    account = scene.account
    promises = Promises(account.world)
    hook = FaultHook(FaultAt(number, after=False, error=Crash()))
    account.world.watch(hook)
    execution = Execution(account)
    with pytest.raises(Crash):
        execution.run(scene.request)
    hook.on = False
    account.world.executions.end(execution.arn, ExecutionStatus.TIMED_OUT)

    execution.clean_up(status="TIMED_OUT")
    account.world.settle()
    # Retiring what was published once is for the sweep to finish.
    published = set(histories_of(account))
    assert [each for each in promises.leaks(execution.arn) if each.split(" ")[0] not in published] == []
    converge(account)

    assert promises.at_rest() == []
    # What is promoted has no tag: it is published or it is not, and who asked for it asks again.
    wanted = account.world.repository.tags["comfyui"].get("prod-latest", account.live.tags[TAG_DIGEST])
    record = account.world.environments.records.get("prod")
    pinned = record.pin if record else None
    if pinned:
        assert account.latest == pinned.image_id
    else:
        assert account.live.tags[TAG_DIGEST] == wanted
    assert account.metadata.ami_id == account.latest
    if name != "update_of_an_image_in_use" and not account.catalogue.get("prod").retirement.keep_previous:
        assert [image.name for image in account.own_images()] == ["comfyui-multitenant-prod"]
    assert record is None or record.claim is None
    for image_id in histories_of(account):
        history = account.history(image_id)
        assert history is not None
        is_gone = image_id not in account.world.images.all
        assert is_gone == (history.status is RecordStatus.RETIRED), history
        assert (image_id == account.latest) == (history.status is RecordStatus.LIVE), history
    assert account.latest in histories_of(account)


class Wreck(NamedTuple):
    """An account with what a build left that was killed in the midst of publishing, and its execution."""

    account: Account
    execution: Execution


def a_wreck() -> Wreck:
    """A killed build: builder, canary, candidate and half a publication, with another request waiting."""
    scene = update()
    account = scene.account
    publishing = CALLS["update"].index("FakeEnvironments.count_publication") + 8
    hook = FaultHook(FaultAt(publishing, after=False, error=Crash()))
    account.world.watch(hook)
    execution = Execution(account)
    with pytest.raises(Crash):
        execution.run(scene.request)
    hook.on = False
    (record,) = account.world.environments.held_by(execution.arn)
    assert record.claim is not None
    wanted = BuildRequest(environment="prod", image_digest=account.world.repository.push(None, "wanted"))
    account.world.environments.queue("prod", wanted, behind=record.claim, revision=0)
    account.world.executions.end(execution.arn, ExecutionStatus.TIMED_OUT)
    account.world.clock.advance(120)
    return Wreck(account, execution)


def calls_of_a_clean_up() -> list[str]:
    wreck, fault = a_wreck(), FaultAt()
    wreck.account.world.watch(FaultHook(fault))
    wreck.execution.clean_up(status="TIMED_OUT")
    return fault.calls


def after_a_clean_up(account: Account) -> dict[str, Any]:
    world = account.world
    record = world.environments.records["prod"]
    return {
        "latest": account.latest,
        "images": sorted(world.images.all),
        "snapshots": sorted(world.images.snapshots),
        "running": [instance.instance_id for instance in world.instances.running()],
        "parameters": sorted(world.parameters.all),
        "record": record.model_dump(exclude={"queued_request"}),
    }


@cache
def undisturbed_clean_up() -> dict[str, Any]:
    """What a clean-up leaves that nothing disturbs."""
    account, execution = a_wreck()
    execution.clean_up(status="TIMED_OUT")
    assert account.latest == an_image(1).image_id
    return after_a_clean_up(account)


@pytest.mark.parametrize("after", [False, True], ids=["request-lost", "response-lost"])
@pytest.mark.parametrize("number", range(len(calls_of_a_clean_up())))
def test_a_clean_up_that_is_disturbed_and_repeated_ends_like_any_other(number: int, after: bool) -> None:
    account, execution = a_wreck()
    promises = Promises(account.world)
    account.world.watch(FaultHook(FaultAt(number, after=after, error=ServiceUnavailableError("no answer"))))
    execution.clean_up(status="TIMED_OUT")

    assert promises.broken == []
    assert promises.leaks(execution.arn) == []
    assert after_a_clean_up(account) == undisturbed_clean_up()
    converge(account, rounds=2)
    assert [found.request.trigger.value for found in account.world.executions.started[:1]] == ["manual"]
    assert len({found.name for found in account.world.executions.started}) == len(
        account.world.executions.started
    )


def calls_of_a_sweep() -> list[str]:
    wreck, fault = a_wreck(), FaultAt()
    wreck.account.world.watch(FaultHook(fault))
    wreck.account.sweeper.sweep()
    return fault.calls


@pytest.mark.parametrize("number", range(len(calls_of_a_sweep())))
def test_a_sweep_that_is_disturbed_is_made_good_by_the_next(number: int) -> None:
    account, execution = a_wreck()
    promises = Promises(account.world)
    hook = FaultHook(FaultAt(number, after=True, error=ServiceUnavailableError("no answer")))
    account.world.watch(hook)
    with suppress(CleanUpIncompleteError):
        account.sweeper.sweep()
    hook.on = False
    account.sweeper.sweep()
    assert promises.broken == []
    assert promises.leaks(execution.arn) == []
    record = account.world.environments.get("prod")
    assert (record.claim, record.queued_request) == (None, None)
    assert record.failed is not None
    # A timeout is not the fault of the image, so it is remembered and not counted.
    assert (record.failed.count, record.failed.claim_number) == (0, 1)
