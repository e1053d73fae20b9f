"""A long run of random steps over several environments: `python -m tests.faults.soak`; see `--help`.

Everything follows the seed. The promises are held at every change, and at rest every so many steps.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.faults.world import AFTERMATH, World

ENVIRONMENTS: dict[str, Any] = {
    "one": {},
    "two": {},
    "keeping": {"retirement": {"keep_previous": 1}},
    "unique": {"publication": {"image_naming": "unique"}},
}
FUNCTIONS = (
    "PlanBuildFunction",
    "ClaimEnvironmentFunction",
    "LaunchBuilderFunction",
    "AwaitResourceFunction",
    "CreateImageFunction",
    "LaunchCanaryFunction",
    "PublishImageFunction",
    "RetireImagesFunction",
    "AdoptImageNameFunction",
    "ReleaseEnvironmentFunction",
    "CleanUpBuildFunction",
    "SweepEnvironmentsFunction",
    "ResumeBuildFunction",
)
RESOURCE_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "instance_dies", "role": "builder"},
    {"kind": "instance_dies", "role": "canary", "after": 2},
    {"kind": "agent_never_online", "role": "canary"},
    {"kind": "agent_vanishes", "role": "builder"},
    {"kind": "image_fails"},
    {"kind": "snapshot_fails"},
    {"kind": "value_dropped"},
    {"kind": "command_fails", "document": "ProvisionImage"},
    {"kind": "command_fails", "document": "VerifyImage"},
    {"kind": "command_lost", "document": "VerifyImage"},
    {"kind": "capacity", "times": 4},
    {"kind": "event", "effect": "lose"},
    {"kind": "event", "effect": "repeat", "seconds": 5},
    {"kind": "event", "effect": "delay", "seconds": 90},
    {"kind": "event", "source": "aws.ecr", "effect": "untag"},
)


class Soak:
    """Random steps in one account.

    Args:
        world: the account, with the environments of this module.
        seed: decides every step.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._templates: list[str] = []
        self._pushes = 0
        self.taken: Counter[str] = Counter()
        self._steps: list[tuple[int, Callable[[], None]]] = [
            (8, self.push),
            (10, self.pass_a_moment),
            (3, self.pass_hours),
            (2, self.announce_again),
            (6, self.disturb_a_call),
            (4, self.disturb_a_resource),
            (1, self.have_a_storm),
            (1, self.have_an_outage),
            (3, self.stop_an_execution),
            (3, self.use_an_image),
            (3, self.free_an_image),
            (2, self.roll_back),
            (2, self.sweep),
            (1, self.delete_an_image),
            (1, self.delete_the_latest_image),
            (1, self.change_latest),
            (1, self.terminate_an_instance),
            (1, self.delete_a_claim),
            (1, self.corrupt_metadata),
            (1, self.corrupt_a_record),
            (1, self.delete_a_record),
        ]

    def step(self) -> str:
        """Take one step; its name."""
        weights, steps = zip(*self._steps, strict=True)
        (chosen,) = self._random.choices(steps, weights)
        # What a person asks for may be refused, or no longer there.
        with contextlib.suppress(ClientError):
            chosen()
        name = str(chosen.__name__)
        self.taken[name] += 1
        return name

    def come_to_rest(self) -> list[str]:
        """Let the faults end, everybody finish, and one push per environment go through; what is broken."""
        world = self._world
        world.simulation.faults.clear()
        while self._templates:
            self.free_an_image()
        ended = world.settle()
        world.pass_time(AFTERMATH)
        for environment in ENVIRONMENTS:
            # A pin is lifted by whoever set it.
            self._pushes += 1
            world.push(f"r{self._pushes}", environment)
            ended = world.settle() and ended
            world.start(environment=environment, force=True)
            ended = world.settle() and ended
        for _ in range(2):
            world.sweep()
            ended = world.settle() and ended
            world.pass_time(AFTERMATH)
        found = [
            f"{each.promise}: {each.what} after {each.cause}" for each in world.observers.check_at_rest()
        ]
        return found if ended else [*found, "an execution does not end"]

    # Steps.

    def push(self) -> None:
        """A new image, or an old one again."""
        if self._random.random() < 0.8:
            self._pushes += 1
        self._world.push(f"r{self._pushes}", self._environment())

    def pass_a_moment(self) -> None:
        """Long enough for some steps of a build."""
        self._world.pass_time(self._random.uniform(0.1, 30))

    def pass_hours(self) -> None:
        """The clock jumps, as for a machine that slept."""
        self._world.pass_time(self._random.uniform(0.5, 5) * 3600)

    def announce_again(self) -> None:
        """ECR sends an event of long ago."""
        environment = self._environment()
        digest = f"sha256:{self._random.randrange(1 << 256):064x}"
        detail = {
            "action-type": "PUSH",
            "result": "SUCCESS",
            "repository-name": "comfyui",
            "image-digest": digest,
            "image-tag": f"{environment}-latest",
        }
        bus = self._world.simulation.bus
        bus.deliver(bus.event("aws.ecr", "ECR Image Action", detail))

    def disturb_a_call(self) -> None:
        """A fault at some call to come of some function."""
        kind = self._random.choice(("error", "error", "lost", "killed", "hangs", "slow"))
        rule: dict[str, Any] = {
            "kind": kind,
            "caller": self._random.choice(FUNCTIONS),
            "skip": self._random.randrange(12),
            "times": self._random.choice((1, 1, 1, 5)),
        }
        if kind == "error":
            rule |= {"code": self._random.choice(("ThrottlingException", "InternalError", "AccessDenied"))}
        if kind == "slow":
            rule |= {"seconds": self._random.uniform(1, 80)}
        if kind in {"error", "lost", "killed", "hangs"}:
            rule |= {"when": self._random.choice(("before", "after"))}
        self._world.simulation.faults.add(rule)

    def disturb_a_resource(self) -> None:
        """A fault of a resource or an event to come."""
        self._world.simulation.faults.add(self._random.choice(RESOURCE_FAULTS))

    def have_a_storm(self) -> None:
        """Many calls of all functions go wrong at once, for some minutes."""
        share = self._random.choice((0.1, 0.3, 0.6))
        kinds: tuple[dict[str, Any], ...] = (
            {"kind": "error", "code": "ThrottlingException"},
            {"kind": "error", "code": "InternalError", "status": 500, "when": "after"},
            {"kind": "lost"},
            {"kind": "killed"},
        )
        rules = [{**kind, "probability": share / len(kinds)} for kind in kinds]
        self._disturb_for(self._random.uniform(60, 1200), rules)

    def have_an_outage(self) -> None:
        """One service, or each, is gone for some minutes."""
        service = self._random.choice(("ec2", "ssm", "dynamodb", "stepfunctions", "ecr", "*"))
        rule = {"kind": "error", "code": "ServiceUnavailable", "status": 503, "service": service}
        self._disturb_for(self._random.uniform(20, 900), [rule])

    def _disturb_for(self, seconds: float, rules: list[dict[str, Any]]) -> None:
        faults = self._world.simulation.faults
        ids = [faults.add({**rule, "caller": "*Function", "times": None}) for rule in rules]

        def end() -> None:
            faults.drop(ids)

        self._world.clock.call_later(seconds, end)

    def stop_an_execution(self) -> None:
        """A person stops a running execution."""
        running = [execution for execution in self._world.executions() if execution.running]
        if running:
            arn = self._random.choice(running).arn
            self._world.client("stepfunctions").stop_execution(executionArn=arn)

    def use_an_image(self) -> None:
        """A launch template names an image."""
        images = [image.image_id for name in ENVIRONMENTS for image in self._world.images(name)]
        if images:
            self._templates.append(self._world.use(self._random.choice(images)))

    def free_an_image(self) -> None:
        """A launch template goes."""
        if self._templates:
            self._world.free(self._templates.pop(self._random.randrange(len(self._templates))))

    def roll_back(self) -> None:
        """A person publishes an image that was kept."""
        environment = self._environment()
        images = [image.image_id for image in self._world.images(environment)]
        if images:
            self._world.start(
                environment=environment,
                action="publish",
                trigger="rollback",
                publish_image_id=self._random.choice(images),
                pin=self._random.random() < 0.5,
                reason="a step of the soak",
            )

    def sweep(self) -> None:
        """The schedule fires."""
        self._world.sweep()

    # What people do by hand.

    def delete_an_image(self) -> None:
        """An image that `latest` does not name."""
        environment = self._environment()
        latest = self._world.latest(environment)
        images = [image.image_id for image in self._world.images(environment) if image.image_id != latest]
        if images:
            self._world.client("ec2").deregister_image(ImageId=self._random.choice(images))

    def delete_the_latest_image(self) -> None:
        """The image that `latest` names."""
        latest = self._world.latest(self._environment())
        if latest:
            self._world.client("ec2").deregister_image(ImageId=latest)

    def change_latest(self) -> None:
        """`latest` names somebody else's image, or one of another environment."""
        environment = self._environment()
        images = [image.image_id for name in ENVIRONMENTS for image in self._world.images(name)]
        value = self._random.choice([*images, *self._world.foreign[1:]])
        self._write("latest", environment, value)

    def terminate_an_instance(self) -> None:
        """A builder or canary that works."""
        instances = self._world.remains()
        if instances:
            self._world.client("ec2").terminate_instances(InstanceIds=[self._random.choice(instances)])

    def delete_a_claim(self) -> None:
        """The environment's record, with claim, pin and all."""
        (table,) = self._world.simulation.stack.physical_ids("AWS::DynamoDB::Table").values()
        key = {"pk": {"S": f"environment#{self._environment()}"}}
        self._world.client("dynamodb").delete_item(TableName=table, Key=key)

    def corrupt_metadata(self) -> None:
        """Metadata that nobody can parse, or of another time."""
        self._write(
            "metadata", self._environment(), self._random.choice(("{", "[]", '{"schema_version": 99}'))
        )

    def corrupt_a_record(self) -> None:
        """A history record of another schema version."""
        environment = self._environment()
        images = self._world.images(environment)
        if images:
            image_id = self._random.choice(images).image_id
            self._write(f"history/{image_id}", environment, '{"schema_version": 99, "ami_id": "?"}')

    def delete_a_record(self) -> None:
        """A history record goes."""
        environment = self._environment()
        images = self._world.images(environment)
        if images:
            name = self._world.name(f"history/{self._random.choice(images).image_id}", environment)
            self._world.client("ssm").delete_parameter(Name=name)

    def _write(self, leaf: str, environment: str, value: str) -> None:
        name = self._world.name(leaf, environment)
        if name in self._world.simulation.parameter_store.parameters:
            self._world.client("ssm").put_parameter(Name=name, Value=value, Overwrite=True)

    def _environment(self) -> str:
        return self._random.choice(list(ENVIRONMENTS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=2000, help="how many steps to take")
    parser.add_argument("--seed", type=int, default=0, help="decides every step")
    parser.add_argument("--rest-every", type=int, default=50, help="come to rest after so many steps")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), options.seed, ENVIRONMENTS)
        try:
            return _run(world, options)
        finally:
            world.close()


def _run(world: World, options: argparse.Namespace) -> int:
    world.add_foreign()
    soak, began = Soak(world, options.seed), time.monotonic()
    recent: list[str] = []
    for number in range(1, options.steps + 1):
        recent.append(soak.step())
        broken = [
            f"{each.promise}: {each.what} after {each.cause}" for each in world.observers.violations.all()
        ]
        if not broken and number % options.rest_every == 0:
            broken, recent = soak.come_to_rest(), []
            print(
                f"{number} steps, {world.clock.elapsed() / 86_400:.1f} days, {len(world.executions())} executions"
            )
            sys.stdout.flush()
        if broken:
            print("\n".join([f"step {number} broke a promise:", *broken, f"last steps: {', '.join(recent)}"]))
            for execution in world.executions()[-12:]:
                print(
                    f"{execution.name}: {execution.status} {execution.error or ''} {(execution.cause or '')[:200]}"
                )
            print(f"again: python -m tests.faults.soak --seed {options.seed} --steps {number}")
            return 1
    print(f"{options.steps} steps in {time.monotonic() - began:.0f} s broke no promise: {dict(soak.taken)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
