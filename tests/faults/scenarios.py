"""What happens undisturbed; the sweep disturbs it at every point."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.consumers import CONSUMERS, Consumer
from tests.faults.world import ASKED, BASED, KEEPING, OTHER, PROD, PROMOTED, SCANNED, SOAKING, World


class Scenario(NamedTuple):
    """A preparation that nobody disturbs, and an act that faults are tried on.

    Attributes:
        callers: whose calls are disturbed; everybody's if empty.
    """

    name: str
    environment: str
    prepare: Callable[[World], None]
    act: Callable[[World], None]
    callers: frozenset[str] = frozenset()


def _nothing(world: World) -> None:
    world.settle()


def _publish_one(world: World, environment: str = PROD) -> None:
    world.push("one", environment)
    world.settle()
    world.pass_time(10)


def _publish_one_and_use_it(world: World) -> None:
    _publish_one(world)
    world.use(str(world.latest()))


def used_by(consumer: Consumer) -> Callable[[World], None]:
    """A published image that one thing would launch."""

    def prepare(world: World) -> None:
        _publish_one(world)
        consumer(world, str(world.latest()))

    return prepare


def _publish_one_and_use_it_in_many_ways(world: World) -> None:
    _publish_one(world)
    for name in ("a version that a group names", "a parameter of data type text"):
        CONSUMERS[name](world, str(world.latest()))
    version = world.client("ssm").get_parameter(Name=world.name("latest"))["Parameter"]["Version"]
    alias = f"resolve:ssm:{world.name('latest')}:{version}"
    world.client("ec2").create_launch_template(
        LaunchTemplateName="alias", LaunchTemplateData={"ImageId": alias}
    )


def _update_in_use_then_free_it(world: World) -> None:
    _publish_one(world)
    template = world.use(str(world.latest()))
    world.push("two")
    world.settle()
    world.free(template)


def _publish_two(world: World) -> None:
    _publish_one(world, KEEPING)
    world.push("two", KEEPING)
    world.settle()


def _roll_back(world: World) -> None:
    latest = world.latest(KEEPING)
    (old,) = [image.image_id for image in world.images(KEEPING) if image.image_id != latest]
    world.start(
        environment=KEEPING,
        action="publish",
        trigger="rollback",
        publish_image_id=old,
        pin=True,
        reason="bad",
    )


def _retire_one(world: World) -> None:
    """The snapshots of the first image are in the Recycle Bin."""
    _publish_one(world)
    world.push("two")
    world.settle()


def _undelete(world: World) -> None:
    retired = next(
        image.image_id
        for image in world.simulation.ec2.images.values()
        if image.state == "deregistered" and image.name.endswith(f"-multitenant-{PROD}")
    )
    world.start(environment=PROD, action="undelete", trigger="rollback", publish_image_id=retired, pin=True)


def _publish_two_that_soak(world: World) -> None:
    for revision in ("one", "two"):
        world.push(revision, SOAKING)
        world.settle()
        world.pass_time(10)
    world.set_alarm("OK")


def _flap(world: World) -> None:
    """An alarm comes, goes and comes again while its rollback is under way."""
    for state in ("ALARM", "OK", "ALARM"):
        world.set_alarm(state)
        world.pass_time(3)


def _leave_a_mess(world: World) -> None:
    """A build that was stopped, and whose clean-up nobody called; a push that nobody heard of."""
    _publish_one(world)
    faults = world.simulation.faults
    faults.add({"kind": "event", "source": "aws.states", "effect": "lose", "times": None})
    faults.add({"kind": "execution_ends", "state": "Verify Image"})
    world.push("two")
    world.settle()
    faults.clear()
    faults.add({"kind": "event", "source": "aws.ecr", "effect": "lose", "times": None})
    world.push("three")
    world.pass_time(5)
    faults.clear()


def _push_twice(world: World) -> None:
    """The second image comes while the first one is built."""
    world.push("two")
    world.pass_time(15)
    world.push("three")


def _overtake_a_plan(world: World) -> None:
    """A plan of the second image comes to its claim after the third image was published.

    The first attempt at the claim stands still until Lambda ends it, the second one is slow; the claim of the
    third image's build comes between the two.
    """
    look = {"service": "dynamodb", "operation": "GetItem", "caller": "ClaimEnvironmentFunction"}
    world.simulation.faults.add({"kind": "hangs", "when": "before", **look})
    world.simulation.faults.add({"kind": "slow", "seconds": 55, "skip": 2, **look})
    world.push("two", KEEPING)
    world.pass_time(5)
    world.push("three", KEEPING)


def _promote_one(world: World) -> None:
    """The promoted environment is the last that needs the disks of the first release."""
    _publish_one(world, OTHER)
    world.promote()
    world.settle()
    world.push("two", OTHER)
    world.settle()


def _promote_while_the_source_goes_on(world: World) -> None:
    """The source retires its image while the other environment registers its disks, tests and publishes them."""
    world.push("three", OTHER)
    world.pass_time(20)
    world.promote()


def _publish_one_of_a_base(world: World) -> None:
    world.share_base()
    _publish_one(world, BASED)


def _publish_one_that_was_scanned(world: World) -> None:
    world.scan_pushes(60)
    _publish_one(world, SCANNED)


def _follow_the_base(world: World) -> None:
    """A newer base is there, and the next sweep starts the rebuild of what is live."""
    world.share_base()
    world.sweep()


def _publish_approved(world: World) -> None:
    _publish_one(world, ASKED)
    world.approve()
    world.settle()


def _push_and_approve(world: World) -> None:
    world.push("two", ASKED)
    world.pass_time(15)
    world.approve()


FIRST_BUILD = Scenario("first-build", PROD, _nothing, lambda world: _ignore(world.push("one")))
UPDATE = Scenario("update", PROD, _publish_one, lambda world: _ignore(world.push("two")))
UPDATE_IN_USE = Scenario(
    "update-in-use",
    PROD,
    _publish_one_and_use_it,
    lambda world: _ignore(world.push("two")),
    # Until there is an image to publish, it is an update like the other.
    frozenset(
        {"PlanBuildFunction", "PublishImageFunction", "RetireImagesFunction", "ReleaseEnvironmentFunction"}
    ),
)
UPDATE_LAUNCHABLE = Scenario(
    "update-launchable",
    PROD,
    _publish_one_and_use_it_in_many_ways,
    lambda world: _ignore(world.push("two")),
    # All look-ups have something to read.
    frozenset({"RetireImagesFunction"}),
)
TWO_PUSHES = Scenario(
    "two-pushes",
    PROD,
    _publish_one,
    _push_twice,
    # What queues, hands over and decides what is to be built.
    frozenset(
        {"PlanBuildFunction", "ClaimEnvironmentFunction", "ReleaseEnvironmentFunction", "BuildStateMachine"}
    ),
)
OVERTAKEN_PLAN = Scenario(
    "overtaken-plan",
    # Its previous image is kept, so that an outdated plan finds the base that it was made for.
    KEEPING,
    lambda world: _publish_one(world, KEEPING),
    _overtake_a_plan,
    frozenset({"PlanBuildFunction", "ClaimEnvironmentFunction"}),
)
HOOKED_UPDATE = Scenario(
    "hooked-update",
    # Its settings have hooks in every place, so that an image that was verified without them breaks a promise.
    OTHER,
    lambda world: _publish_one(world, OTHER),
    lambda world: _ignore(world.push("two", OTHER)),
    # Who reads documents, who hands the hooks on, and who writes down what an image was made with.
    frozenset(
        {
            "PlanBuildFunction",
            "ClaimEnvironmentFunction",
            "ProvisionBuilderFunction",
            "CreateImageFunction",
            "VerifyImageFunction",
            "PublishImageFunction",
        }
    ),
)
ROLLBACK = Scenario("rollback", KEEPING, _publish_two, _roll_back)
SOAKING_UPDATE = Scenario(
    "soaking-update",
    SOAKING,
    lambda world: _publish_one(world, SOAKING),
    lambda world: _ignore(world.push("two", SOAKING)),
)
ALARM = Scenario("alarm", SOAKING, _publish_two_that_soak, _flap)
RETIREMENT = Scenario(
    "retirement",
    PROD,
    _update_in_use_then_free_it,
    lambda world: _ignore(world.start(environment=PROD, action="retire")),
)
PROMOTION = Scenario(
    "promotion",
    PROMOTED,
    _promote_one,
    _promote_while_the_source_goes_on,
    # The rest is a build like the others.
    frozenset({"AdoptImageNameFunction", "RetireImagesFunction", "PublishImageFunction"}),
)
REBASE = Scenario(
    "rebase",
    BASED,
    _publish_one_of_a_base,
    _follow_the_base,
    # Who looks for the newest base, launches it, and writes down which it was.
    frozenset(
        {
            "SweepEnvironmentsFunction",
            "SweepSchedule",
            "PlanBuildFunction",
            "LaunchBuilderFunction",
            "CreateImageFunction",
        }
    ),
)
UNDELETION = Scenario(
    "undeletion",
    PROD,
    _retire_one,
    _undelete,
    # The rest is a build like the others.
    frozenset({"PlanBuildFunction", "AdoptImageNameFunction", "PublishImageFunction"}),
)
APPROVAL = Scenario(
    "approval",
    ASKED,
    _publish_approved,
    _push_and_approve,
    # The rest is a build like the others.
    frozenset(
        {
            "PlanBuildFunction",
            "RequestApprovalFunction",
            "DecideApprovalFunction",
            "PublishImageFunction",
            "SweepEnvironmentsFunction",
        }
    ),
)
GATED_UPDATE = Scenario(
    "gated-update",
    # It waits for the scan of what is pushed.
    SCANNED,
    _publish_one_that_was_scanned,
    lambda world: _ignore(world.push("two", SCANNED)),
    # Who reads findings, and who writes down what was found.
    frozenset({"PlanBuildFunction", "PublishImageFunction", "BuildStateMachine"}),
)
SWEEP = Scenario(
    "sweep",
    PROD,
    _leave_a_mess,
    lambda world: world.sweep(),
    # What it then starts is a build like the others.
    frozenset({"SweepEnvironmentsFunction", "SweepSchedule"}),
)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        FIRST_BUILD,
        UPDATE,
        UPDATE_IN_USE,
        UPDATE_LAUNCHABLE,
        TWO_PUSHES,
        OVERTAKEN_PLAN,
        HOOKED_UPDATE,
        ROLLBACK,
        ALARM,
        RETIREMENT,
        PROMOTION,
        REBASE,
        UNDELETION,
        APPROVAL,
        GATED_UPDATE,
        SWEEP,
    )
}


def _ignore(_: object) -> None:
    """An act's result is what becomes of the account."""
