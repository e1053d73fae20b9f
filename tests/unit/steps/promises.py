"""The promises P1 to P7 over the fakes, held after every single port call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from tests.fakes import Call, Faulty, World
from tests.fakes.images import OWNER

from ami_lifecycle.domain.command import CommandStatus
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_ENVIRONMENT, Image, ImageState, Instance, Snapshot
from ami_lifecycle_testbed.promises import Act, Effect, LookUp, PromiseChecks, Verified, View
from ami_lifecycle_testbed.promises import view as promises
from ami_lifecycle_testbed.promises.acts import invocation_of
from ami_lifecycle_testbed.promises.checks import Suspicion
from ami_lifecycle_testbed.promises.view import Thing, Volume

_GOING_ON = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE})
# With one of these a person has said what to build, so that it need not be the newest.
_EXPLICIT = ("force", "fresh", "image_digest", "image_tag", "publish_image_id")
_REPOSITORY = "comfyui"
_TAG = "-latest"
_LOOK_UP = "usage_of"
# The value of the document's parameter where there are none.
_NO_HOOKS = "-"
# What a call of a port is in AWS, where it changes something.
_OPERATIONS: Mapping[str, str] = {
    "create": "CreateImage",
    "register_copy": "RegisterImage",
    "deregister": "DeregisterImage",
    "delete_snapshot": "DeleteSnapshot",
    "stop": "StopInstances",
    "terminate": "TerminateInstances",
    "send": "SendCommand",
    "put": "PutParameter",
    "overwrite": "PutParameter",
    "delete": "DeleteParameter",
}
_WRITES = frozenset({"PutParameter", "DeleteParameter"})
# Of those, what changes the resource that the first argument names.
_CHANGES = frozenset(_OPERATIONS.values()) - _WRITES - {"RegisterImage"}


# Each gate by its name: whether it has let an image of an environment with these tags pass.
Gates = Mapping[str, Callable[[str, Mapping[str, str]], bool]]


class FakesView(View):
    """The world of the fakes, as the promises look at it."""

    application = "comfyui"

    def __init__(
        self, world: World, unverified: Collection[str], hooked: Collection[str], gates: Gates
    ) -> None:
        self._world = world
        self._gates = gates
        self._unverified = unverified
        self._hooked = hooked

    def elapsed(self) -> float:
        return self._world.clock.now().timestamp()

    def image(self, image_id: str | None) -> Image | None:
        image = self._world.images.all.get(image_id or "")
        return image if image is not None and image.state is not ImageState.DEREGISTERED else None

    def images(self) -> Sequence[Image]:
        return [image for image in self._world.images.all.values() if image.owner_id in {"", OWNER}]

    def instances(self) -> Sequence[Instance]:
        return self._world.instances.running()

    def snapshots(self) -> Sequence[Snapshot]:
        return list(self._world.images.snapshots.values())

    def snapshots_behind(self, image_id: str) -> tuple[str, ...]:
        return self._world.images.made_of(image_id)

    def volumes_behind(self, instance_id: str) -> tuple[str, ...]:
        return ()

    def left_volumes(self) -> Sequence[Volume]:
        return ()

    def tags_of(self, resource_id: str) -> Mapping[str, str] | None:
        found = self._resource(resource_id)
        return found.tags if found is not None else None

    def _resource(self, resource_id: str) -> Image | Instance | Snapshot | None:
        world = self._world
        return (
            world.images.all.get(resource_id)
            or world.instances.all.get(resource_id)
            or world.images.snapshots.get(resource_id)
        )

    def thing(self, resource_id: str) -> Thing | None:
        found = self._resource(resource_id)
        return Thing(found.tags, found) if found is not None else None

    def parameter_names(self) -> Sequence[str]:
        return list(self._world.parameters.all)

    def value(self, name: str) -> str | None:
        stored = self._world.parameters.all.get(name)
        return stored.value if stored is not None else None

    def package_lists(self) -> Sequence[str]:
        return list(self._world.package_lists.all)

    def users_of(self, image_id: str) -> list[str]:
        world = self._world
        return [
            *(str(use) for use in world.usage.uses.get(image_id, ())),
            *(
                f"parameter {name}"
                for name, stored in world.parameters.all.items()
                if stored.value == image_id and self.environment_of(name) is not None
            ),
        ]

    def look_ups_for(self, image_id: str) -> list[LookUp]:
        return [LookUp(_LOOK_UP, image_id)]

    def environments(self) -> Iterable[str]:
        return [tag.removesuffix(_TAG) for tag in self._world.repository.tags[_REPOSITORY]]

    def pushed(self, environment: str) -> str | None:
        return self._world.repository.tags[_REPOSITORY].get(environment + _TAG)

    def held(self) -> Mapping[str, Collection[str]]:
        return {
            environment: [
                name
                for name, found in (
                    ("claim", record.claim),
                    ("queued request", record.queued_request),
                    ("pin", record.pin),
                )
                if found is not None
            ]
            for environment, record in self._world.environments.records.items()
        }

    def is_unverified(self, environment: str) -> bool:
        return environment in self._unverified

    def is_hooked(self, environment: str) -> bool:
        return environment in self._hooked

    def unpassed_gates(self, environment: str, image: promises.Image) -> list[str]:
        gates = self._gates.items()
        return [name for name, has_passed in gates if not has_passed(environment, image.tags)]

    def waits_at_gate(self, environment: str, digest: str) -> bool:
        return any(not has_passed(environment, {TAG_DIGEST: digest}) for has_passed in self._gates.values())

    def is_running(self, execution_arn: str) -> bool:
        return self._world.executions.statuses.get(execution_arn) in _GOING_ON

    def is_forced(self, execution_arn: str) -> bool:
        request = self._world.executions.requests.get(execution_arn, {})
        return any(request.get(name) for name in _EXPLICIT)


class Promises:
    """Watches the ports of a world, and tells the promises of every call; whatever calls a port is the stack.

    Args:
        unverified: environments whose settings switch verification off.
        hooked: environments whose settings have hooks for the canary.
        gates: the gates that environments have.
    """

    def __init__(
        self,
        world: World,
        unverified: Collection[str] = (),
        hooked: Collection[str] = (),
        gates: Gates | None = None,
    ) -> None:
        self.world = world
        self.checks = PromiseChecks(FakesView(world, unverified, hooked, gates or {}))
        self._on_their_way: dict[int, tuple[Act, list[Suspicion]]] = {}
        self._instances = set(world.instances.all)
        self._images = dict(world.images.all)
        self._disks = {key: world.images.made_of(key) for key in world.images.all}
        self._passed: set[str] = set()
        world.watch(self)

    @property
    def broken(self) -> list[str]:
        """What was seen broken so far."""
        return [str(each) for each in self.checks.violations.all()]

    def leaks(self, execution_arn: str | None = None) -> list[str]:
        """P4: what is left of executions that have ended, or of this one."""
        return self.checks.leaks(execution_arn)

    def at_rest(self) -> list[str]:
        """What was seen broken so far, and what is not as it has to be when nothing runs (P4, P5)."""
        self.checks.check_at_rest()
        return self.broken

    # The hook.

    def before(self, port: Faulty, call: Call) -> None:
        act = self._act_of(port, call)
        self._on_their_way[id(call)] = (act, self.checks.before(act))

    def after(self, port: Faulty, call: Call) -> None:
        act, suspicions = self._on_their_way.pop(id(call))
        effect = self._see()
        self.checks.after(act, suspicions, effect, self.world.usage.unreadable or "ok")
        self.checks.check_foreign()

    def _act_of(self, port: Faulty, call: Call) -> Act:
        world, method = self.world, call.method
        arguments = (*call.args, *call.kwargs.values())
        told: dict[str, Any] = {}
        operation = _OPERATIONS.get(method, method)
        if port is world.parameters and operation in _WRITES:
            told["parameter"] = arguments[0]
            if operation == "PutParameter":
                told["value"] = arguments[1]
        elif port is world.usage and method == _LOOK_UP:
            told["looks_up"] = tuple(LookUp(_LOOK_UP, each) for each in arguments[0])
        elif operation in _CHANGES and (
            port is world.images or port is world.instances or port is world.commands
        ):
            told["changes"] = (arguments[0],)
        return Act(
            operation,
            by_person=False,
            invocation=invocation_of("a function"),
            describe=lambda: f"{method}{call.args}",
            **told,
        )

    def _see(self) -> Effect:
        """What has been created, has become available and has passed verification since the last time."""
        world = self.world
        instances = tuple(each for each in world.instances.all if each not in self._instances)
        self._instances.update(instances)
        images = []
        for image_id, image in world.images.all.items():
            before = self._images.get(image_id)
            if before is image:
                continue
            if before is None:
                images.append(image_id)
            elif image.state is ImageState.AVAILABLE and before.state is not ImageState.AVAILABLE:
                self.checks.available(image_id)
            self._images[image_id] = image
            self._disks[image_id] = world.images.made_of(image_id)
        for command in world.commands.sent if len(self._passed) < len(world.commands.sent) else ():
            result = world.commands.results[command.command_id]
            if command.command_id in self._passed or result.status is not CommandStatus.SUCCESS:
                continue
            self._passed.add(command.command_id)
            if " verify " in command.comment:
                image_id = world.instances.all[command.instance_id].image_id
                # One that was verified and went before anybody watched is not known.
                if image_id in self._images:
                    environment = self._images[image_id].tags.get(TAG_ENVIRONMENT, "")
                    with_hooks = command.parameters.get("Hooks", _NO_HOOKS) != _NO_HOOKS
                    self.checks.passed(Verified(image_id, environment, self._disks[image_id], with_hooks))
        return Effect(instances, tuple(images))
