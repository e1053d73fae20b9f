"""One image through several environments: registered again, tested in each, and there while one of them needs it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import Ended, Environment, Service, failures, until

_NAMES = tuple(f"env-{number:02}" for number in range(60))
_PROMOTED = {"publishes": "promotions"}
SETTINGS: dict[str, Any] = {
    "environments": {
        **{name: {} for name in _NAMES},
        **{f"live-{number:02}": _PROMOTED for number in range(60)},
        "keeping": {**_PROMOTED, "retirement": {"keep_previous": 1}},
        "source-keeping": {"retirement": {"keep_previous": 1}},
        "other-ports": {**_PROMOTED, "container": {"ports": ["80:8188"], "environment": {"MODEL": "large"}}},
        "arm": {**_PROMOTED, "builder": {"architecture": "arm64", "instance_types": ["m7g.large"]}},
        "small": {**_PROMOTED, "builder": {"root_volume_gib": 20}},
        "third": _PROMOTED,
    },
    "defaults": {"reconcile_attempts": 2},
}
_NUMBERS = itertools.count()


@pytest.fixture
def target(service: Service) -> Environment:
    """An environment that takes promotions, and that no test has used yet."""
    return service.environment(f"live-{next(_NUMBERS):02}")


@pytest.fixture
def source(environment: Environment) -> Environment:
    """An environment that has published one image."""
    environment.must_build("one")
    return environment


def promote(source: Environment, target: Environment, **more: Any) -> Ended:
    ended = target.service.run(
        {"environment": target.name, "action": "promote", "promote_from": source.name, **more}
    )
    target.wait_until_idle()
    return ended


def must_promote(source: Environment, target: Environment, **more: Any) -> Ended:
    ended = promote(source, target, **more)
    assert not failures([ended])
    assert ended.output["action"] == "promote", ended.output
    return ended


def disks(environment: Environment) -> frozenset[str]:
    """Snapshots of the live image."""
    (image,) = [each for each in environment.images() if each["ImageId"] == environment.latest()]
    return frozenset(each["Ebs"]["SnapshotId"] for each in image["BlockDeviceMappings"] if "Ebs" in each)


def snapshots_there(service: Service, ids: frozenset[str]) -> frozenset[str]:
    found = service.client("ec2").describe_snapshots(
        OwnerIds=["self"], Filters=[{"Name": "snapshot-id", "Values": sorted(ids)}]
    )
    return frozenset(each["SnapshotId"] for each in found["Snapshots"])


def one_image(environment: Environment) -> str:
    """Check that the published image is all there is of the environment, beside disks that are others' too; its id."""
    latest = environment.latest()
    assert latest is not None
    (image,) = environment.images()
    assert (image["ImageId"], image["Name"], image["State"]) == (latest, environment.image_name, "available")
    assert environment.metadata()["ami_id"] == latest
    assert environment.instances() == frozenset()
    assert "claim" not in environment.item()
    return latest


def tags_of(environment: Environment) -> dict[str, str]:
    (image,) = [each for each in environment.images() if each["ImageId"] == environment.latest()]
    return {tag["Key"]: tag["Value"] for tag in image["Tags"]}


# What is published.


def test_the_very_disks_are_published_in_the_other_environment(
    source: Environment, target: Environment
) -> None:
    tested = source.metadata()
    since = source.service.last_call()
    ended = must_promote(source, target)
    promoted = one_image(target)
    assert disks(target) == disks(source)
    assert one_image(source) == tested["ami_id"], "nothing happens to the source"
    calls = [call["operation"] for call in source.service.calls(since)]
    assert calls.count("RunInstances") == 1, "a canary, and no builder"
    assert not {"CreateImage", "CopyImage", "CopySnapshot", "CreateSnapshot"} & set(calls)
    metadata = target.metadata()
    same = ("image_digest", "docker_image", "branch", "commit_sha", "base_ami_id", "build_mode", "generation")
    assert [metadata[key] for key in same] == [tested[key] for key in same]
    assert (metadata["release"], metadata["promoted_from"]) == (tested["release"], source.name)
    assert (metadata["environment"], metadata["workflow_run_number"]) == (target.name, "1")
    assert metadata["workflow_run_id"] == ended.name
    assert metadata["verified_at"] is not None
    assert (ended.output["release"], ended.output["promoted_from"]) == (tested["release"], source.name)
    assert ended.output["image_id"] == promoted
    tags = tags_of(target)
    assert (tags["ami-lifecycle:release"], tags["ami-lifecycle:built-for"]) == (
        tested["release"],
        source.name,
    )
    assert (tags["ami-lifecycle:environment"], tags["ami-lifecycle:role"]) == (target.name, "canonical")


def test_a_release_goes_on_from_where_it_was_promoted_to(
    source: Environment, target: Environment, service: Service
) -> None:
    must_promote(source, target)
    third = service.environment("third")
    must_promote(target, third)
    assert disks(third) == disks(source)
    assert third.metadata()["release"] == source.metadata()["release"]
    assert third.metadata()["promoted_from"] == target.name
    assert tags_of(third)["ami-lifecycle:built-for"] == source.name


def test_the_last_promotion_wins_and_the_one_before_goes(source: Environment, target: Environment) -> None:
    must_promote(source, target)
    first, old = disks(target), target.latest()
    source.must_build("two")
    assert snapshots_there(source.service, first) == first, "the target is made of them"
    must_promote(source, target)
    assert one_image(target) != old
    assert disks(target) == disks(source)
    assert snapshots_there(source.service, first) == frozenset(), (
        "who removes the last image removes its disks"
    )


def test_what_is_live_already_is_not_promoted_again(source: Environment, target: Environment) -> None:
    must_promote(source, target)
    again = promote(source, target)
    assert (again.status, again.output["action"]) == ("SUCCEEDED", "none")
    assert "is live already" in again.output["reasons"][0]
    forced = promote(source, target, force=True)
    assert forced.output["action"] == "promote"
    one_image(target)


# Two environments.


@pytest.mark.parametrize("order", ["source first", "first target first", "second target first"])
def test_one_release_in_two_environments_is_retired_in_any_order(
    source: Environment, service: Service, running: Running, order: str
) -> None:
    targets = [service.environment(f"live-{next(_NUMBERS):02}") for _ in range(2)]
    for each in targets:
        must_promote(source, each)
    shared = disks(source)
    going = {
        "source first": (source, *targets),
        "first target first": (targets[0], source, targets[1]),
        "second target first": (targets[1], targets[0], source),
    }[order]
    other = service.environment(next(running.unused_names))
    other.must_build("next")
    for number, each in enumerate(going):
        assert snapshots_there(service, shared) == shared
        if each is source:
            source.must_build("two")
        else:
            must_promote(other, each)
        left = shared if number < len(going) - 1 else frozenset()
        assert snapshots_there(service, shared) == left
        for one in going:
            one_image(one)


# Who waits for whom.


def test_a_promotion_while_a_push_is_built_takes_what_is_published(
    source: Environment, target: Environment
) -> None:
    release, before = source.metadata()["release"], source.executions()
    source.push("two")
    source.wait_for_state("Provision Builder", after=before)
    must_promote(source, target)
    source.wait_until_idle()
    assert target.metadata()["release"] == release
    assert source.metadata()["release"] != release
    one_image(target)
    one_image(source)


def test_a_promotion_behind_another_one_publishes_what_was_asked_for(
    service: Service, target: Environment, environment: Environment
) -> None:
    source = service.environment("source-keeping")
    if source.latest() is None:
        source.must_build("one")
    source.must_build("for the queue")
    release = source.metadata()["release"]
    environment.must_build("one")
    request = {"environment": target.name, "action": "promote"}
    first = service.start({**request, "promote_from": environment.name})
    target.wait_for_state("Launch Canary")
    queued = service.run({**request, "promote_from": source.name})
    assert queued.output["status"] == "queued"
    assert target.item()["wanted"]["M"]["release"]["S"] == release
    assert not failures([service.wait(first)])
    target.wait_until_idle()
    assert target.metadata()["release"] == release
    one_image(target)


def test_pushes_and_tags_build_nothing_in_an_environment_that_takes_promotions(
    source: Environment, target: Environment
) -> None:
    pushed = target.build("ignored")
    assert (pushed.status, pushed.output["action"]) == ("SUCCEEDED", "none")
    assert "publishes: promotions" in pushed.output["reasons"][0]
    must_promote(source, target)
    live = one_image(target)
    target.service.sweep()
    target.wait_until_idle()
    asked = target.service.run({"environment": target.name})
    assert asked.output["action"] == "none"
    assert one_image(target) == live


def test_an_environment_that_is_built_from_pushes_takes_a_promotion_only_with_a_pin(
    source: Environment, service: Service, running: Running
) -> None:
    other = service.environment(next(running.unused_names))
    refused = promote(source, other)
    assert (refused.status, refused.error) == ("FAILED", "PromotionRefusedError")
    assert "publishes: promotions" in str(refused.cause)
    must_promote(source, other, pin=True)
    assert other.metadata()["promoted_from"] == source.name
    ignored = other.build("pushed")
    assert ignored.output["action"] == "none"
    assert "pinned" in ignored.output["reasons"][0]


# What does not fit.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other-ports", ["container.ports is", "container.environment differs in MODEL"]),
        ("arm", ["it is x86_64", "builder.architecture of arm is arm64"]),
        ("small", ["root volume", "builder.root_volume_gib of small is 20"]),
    ],
)
def test_what_does_not_fit_is_refused_with_the_difference_before_anything_is_made(
    source: Environment, service: Service, name: str, words: list[str]
) -> None:
    other, since = service.environment(name), service.last_call()
    refused = promote(source, other)
    assert (refused.status, refused.error) == ("FAILED", "PromotionRefusedError")
    assert [word for word in words if word not in str(refused.cause)] == []
    made = {"RegisterImage", "RunInstances", "PutParameter"}
    assert not made & {call["operation"] for call in service.calls(since)}
    assert other.latest() is None


def test_a_release_that_is_not_published_or_not_there_is_refused(
    source: Environment, target: Environment, service: Service
) -> None:
    nothing = promote(target, service.environment("third"))
    assert (nothing.status, nothing.error) == ("FAILED", "RecordNotFoundError")
    unknown = promote(source, target, release="0123456789ab-01234567")
    assert (unknown.status, unknown.error) == ("FAILED", "RecordNotFoundError")
    assert "ami-lifecycle history" in str(unknown.cause)
    # Another execution's candidate is no release of the environment yet.
    before = source.executions()
    source.push("two")
    arn = source.wait_for_state("Launch Canary", after=before)
    early = promote(source, target, release=arn)
    assert (early.status, early.error) == ("FAILED", "RecordNotFoundError")
    source.wait_until_idle()
    assert target.latest() is None


def test_a_source_that_is_retired_before_its_disks_are_registered_ends_the_promotion_alone(
    source: Environment, target: Environment, service: Service
) -> None:
    must_promote(source, target)
    live = target.latest()
    source.must_build("two")
    # The claim is slow, and the source's image goes meanwhile.
    look = {"service": "dynamodb", "operation": "GetItem", "caller": "ClaimEnvironmentFunction"}
    service.inject({"kind": "slow", "seconds": 50, **look})
    old = source.latest()
    arn = service.start({"environment": target.name, "action": "promote", "promote_from": source.name})
    target.wait_for_state("Claim Environment")
    service.client("ec2").deregister_image(ImageId=old)
    ended = service.wait(arn)
    target.wait_until_idle()
    assert (ended.status, ended.error) == ("FAILED", "RecordNotFoundError")
    assert "promote what is there now" in str(ended.cause)
    assert one_image(target) == live


# Going wrong.

STATES = (
    "Register Image",
    "Await Image",
    "Launch Canary",
    "Let Canary Boot",
    "Verify Image",
    "Await Verification",
    "Publish Image",
    "Grace Period",
    "Retire Previous Images",
    "Adopt Image Name",
    "Canonical Grace Period",
    "Retire Candidate",
)


@pytest.mark.parametrize("state", STATES)
def test_a_promotion_that_is_aborted_anywhere_leaves_the_source_and_one_image(
    source: Environment, target: Environment, service: Service, state: str
) -> None:
    must_promote(source, target)
    source.must_build("two")
    tested = source.latest()
    arn = service.start({"environment": target.name, "action": "promote", "promote_from": source.name})

    def arrives() -> bool:
        return state in service.states(arn)

    until(f"the promotion comes to {state}", arrives)
    service.client("stepfunctions").stop_execution(executionArn=arn, cause="a test")
    ended = service.wait(arn)
    assert ended.status in {"ABORTED", "SUCCEEDED"}
    target.wait_until_idle()

    def swept() -> bool:
        service.sweep()
        target.wait_until_idle()
        return len(target.images()) == 1 and target.images()[0]["Name"] == target.image_name

    until(f"{target.name} has one image", swept)
    one_image(target)
    assert one_image(source) == tested
    assert snapshots_there(service, disks(source)) == disks(source)
    assert snapshots_there(service, disks(target)) == disks(target)
    # With the image before go the disks that only it was made of.
    assert source.snapshots() | target.snapshots() == disks(source) | disks(target)


def test_a_canary_that_refuses_the_release_leaves_everything_as_it_was(
    source: Environment, target: Environment, service: Service
) -> None:
    must_promote(source, target)
    live = target.latest()
    source.must_build("two")
    service.inject(
        {
            "kind": "command_fails",
            "document": "VerifyImage",
            "environment": target.name,
            "exit_code": 21,
            "stderr": "ami-lifecycle: not healthy; look\n",
        }
    )
    ended = promote(source, target)
    assert (ended.status, ended.error) == ("FAILED", "VerificationFailedError")
    assert one_image(target) == live
    one_image(source)
    assert snapshots_there(service, disks(source)) == disks(source)
    target.service.sweep()
    target.wait_until_idle()
    assert one_image(target) == live, "nobody promotes again by himself"


# Going back.


def test_a_promoted_environment_goes_back_to_the_release_before(service: Service, running: Running) -> None:
    source, target = service.environment(next(running.unused_names)), service.environment("keeping")
    source.must_build("one")
    must_promote(source, target)
    first, old = target.metadata()["release"], target.latest()
    source.must_build("two")
    must_promote(source, target)
    back = service.run(
        {
            "environment": target.name,
            "action": "publish",
            "trigger": "rollback",
            "publish_image_id": old,
            "pin": True,
        }
    )
    target.wait_until_idle()
    assert not failures([back])
    assert (target.latest(), target.metadata()["release"]) == (old, first)
    pinned = promote(source, target)
    assert pinned.output["action"] == "none"
    assert "pinned" in pinned.output["reasons"][0]
    forced = promote(source, target, force=True)
    assert not failures([forced])
    assert target.metadata()["release"] == source.metadata()["release"]
    assert "pin" not in target.item()


# On the command line.


@pytest.fixture
def operator(service: Service) -> Operator:
    return Operator(service)


def test_an_operator_sees_what_would_be_promoted_and_promotes_it(
    source: Environment, target: Environment, operator: Operator
) -> None:
    release = source.metadata()["release"]
    planned = operator.ask("promote", source.name, target.name, "--dry-run")
    assert (planned["action"], planned["promotion"]["release"]) == ("promote", release)
    shown = operator.run("promote", source.name, target.name, "--dry-run").output
    assert f"{source.name}, {source.latest()}" in shown
    assert "nothing was started" in shown
    assert target.executions() == []
    unconfirmed = operator.run("promote", source.name, target.name)
    assert (unconfirmed.exit_code, target.executions()) == (1, [])
    answer = operator.run("promote", source.name, target.name, "--yes", "--reason", "tested for a day")
    assert answer.exit_code == 0, answer.notes
    assert answer.output.splitlines()[-1].startswith(f"Published: {one_image(target)}")
    target.wait_until_idle()
    again = operator.run("promote", source.name, target.name, "--yes")
    assert (again.exit_code, again.output.partition(":")[0]) == (0, "Nothing to do")
    seen = operator.status(target.name)
    assert (seen["release"], seen["publishes"], seen["drift"]) == (release, "promotions", [])
    (image,) = operator.ask("history", target.name)["images"]
    assert (image["release"], image["promoted_from"]) == (release, source.name)
    changes = {each["name"]: each for each in operator.ask("diff", source.name, target.name)["changes"]}
    assert "release" not in changes
    assert changes["promoted_from"]["new"] == source.name
    text = operator.run("status", target.name).output
    assert f"promoted from {source.name}" in text
    assert "pushes and tags build nothing here" in text


def test_what_does_not_fit_is_told_before_anything_starts(
    source: Environment, service: Service, operator: Operator
) -> None:
    other = service.environment("other-ports")
    before = other.executions()
    answer = operator.run("promote", source.name, other.name, "--yes")
    assert answer.exit_code == 1
    assert "container.ports is" in answer.notes
    assert other.executions() == before


def test_a_promoted_environment_goes_back_to_disks_that_only_another_one_has_still(
    service: Service, target: Environment, operator: Operator
) -> None:
    source = service.environment("source-keeping")
    source.must_build("before")
    must_promote(source, target)
    first, shared = target.metadata()["release"], disks(target)
    source.must_build("after")
    must_promote(source, target)
    assert target.metadata()["release"] != first
    planned = operator.ask("rollback", target.name, "--dry-run")
    assert (planned["how"], planned["dry_run"]) == ("at once", True)
    back = operator.run("rollback", target.name, "--yes")
    assert back.exit_code == 0, back.notes
    target.wait_until_idle()
    assert (target.metadata()["release"], disks(target)) == (first, shared)
    assert "pin" in target.item()
