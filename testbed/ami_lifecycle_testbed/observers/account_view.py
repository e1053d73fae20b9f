"""The emulated account as the promises look at it: plain reads of the emulated services' state.

Nothing here takes a lock: an observer is called in the middle of changes, and sees one dictionary at a
time, copied at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ami_lifecycle_testbed.promises import LookUp, Verified, View
from ami_lifecycle_testbed.promises import view as promises
from ami_lifecycle_testbed.promises.view import ENVIRONMENT_TAG, Thing, Volume
from aws_emulator.api.operations import ApiError
from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.ec2.launch_templates import version_of
from aws_emulator.ec2.model import Image, Instance, Snapshot
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.ssm import ParameterStore
from aws_emulator.ssm.run_command import RunCommand

GONE: Final = frozenset({"shutting-down", "terminated"})
# The value of the document's parameter where there are none.
_NO_HOOKS: Final = ["-"]
# The attributes of an environment's item that say who holds it, and what they are called.
_HELD: Final = {"claim": "claim", "wanted": "queued request", "pin": "pin"}
_ALIAS: Final = "resolve:ssm:"
_OWN_RECORD: Final = re.compile(r"/[^/]+/ami/[^/]+/(metadata|history/.+)")
# The look-ups that show who uses an image; without one of them nobody can know.
_NEEDED: Final = (
    "DescribeImageReferences",
    "DescribeInstances",
    "DescribeLaunchTemplateVersions",
    "DescribeAutoScalingGroups",
    "DescribeInstanceRefreshes",
    "DescribeLaunchConfigurations",
    "DescribeFleets",
    "DescribeSpotFleetRequests",
    "DescribeSpotInstanceRequests",
    "DescribeParameters",
    "DescribeImageAttribute",
)
# All that ask about uses; what reads values of parameters is made where there are any to read.
LOOK_UPS: Final = frozenset({*_NEEDED, "GetParameters"})


@dataclass(frozen=True)
class Source:
    """What an environment is built from."""

    repository: str
    tag: str


@dataclass(frozen=True)
class Settings:
    """What the deployed configuration says of the promises.

    Attributes:
        application: value of the tag that makes a resource ours.
        sources: what each environment is built from.
        promoted: environments that publish what is promoted to them, and not what is pushed.
        unverified: environments whose settings switch verification off.
        hooked: environments whose settings have hooks for the canary.
        soaks: how long after a publication an alarm undoes it, in environments that listen to alarms.
        protects_instances: running instances are uses.
        protects_permissions: so are permissions of other accounts to launch an image.
    """

    application: str
    sources: Mapping[str, Source]
    promoted: frozenset[str] = frozenset()
    unverified: frozenset[str] = frozenset()
    hooked: frozenset[str] = frozenset()
    soaks: Mapping[str, timedelta] = field(default_factory=dict)
    protects_instances: bool = False
    protects_permissions: bool = True


@dataclass(frozen=True)
class Workings:
    """How the stack's own state is read.

    Attributes:
        items: the environments' records in the stack's table, each with its attributes.
        is_running: whether an execution runs, by its ARN.
        is_forced: whether whoever started an execution wanted this build whatever is published.
        gates: each gate by its name, which says of an environment and an image's tags whether it has let that pass; one
            that the environment does not have lets everything pass.
        package_lists: the keys of the package lists that it keeps.
        waits_at_gate: whether a gate of an environment keeps a Docker image from being published there.
    """

    items: Callable[[], Mapping[str, Mapping[str, Any]]]
    is_running: Callable[[str], bool]
    is_forced: Callable[[str], bool] = lambda _arn: False
    gates: Mapping[str, Callable[[str, Mapping[str, str]], bool]] = field(default_factory=dict)
    package_lists: Callable[[], Sequence[str]] = tuple
    waits_at_gate: Callable[[str, str], bool] = lambda _environment, _digest: False


class AccountView(View):
    """Reads of the emulated account."""

    def __init__(
        self,
        ec2: Ec2Store,
        auto_scaling: AutoScaling,
        parameters: ParameterStore,
        commands: RunCommand,
        registry: Registry,
        elapsed: Callable[[], float],
        settings: Settings,
        workings: Workings,
    ) -> None:
        self.application = settings.application
        self._ec2 = ec2
        self._auto_scaling = auto_scaling
        self._parameters = parameters
        self._commands = commands
        self._registry = registry
        self._elapsed = elapsed
        self._settings = settings
        self._workings = workings

    def elapsed(self) -> float:
        """Emulated seconds since the start."""
        return self._elapsed()

    def image(self, image_id: str | None) -> Image | None:
        """An image that has not been deregistered."""
        image = self._ec2.images.get(image_id or "")
        return image if image is not None and image.state != "deregistered" else None

    def images(self) -> Sequence[Image]:
        """This account's images that have not been deregistered."""
        own = self._ec2.account_id
        return [
            image
            for image in list(self._ec2.images.values())
            if image.state != "deregistered" and image.owner_id == own
        ]

    def verified(self, instance_id: str, command_id: str) -> Verified | None:
        """What a command that succeeded on an instance has verified; the image may be deregistered by now."""
        instance = self._ec2.instances.get(instance_id)
        if instance is None:
            return None
        image, command = instance.image, self._commands.commands.get(command_id)
        hooks = command.parameters.get("Hooks", _NO_HOOKS) if command is not None else _NO_HOOKS
        return Verified(
            image.image_id,
            image.tags.get(ENVIRONMENT_TAG, ""),
            tuple(image.snapshot_ids),
            with_hooks=hooks != _NO_HOOKS,
        )

    def instances(self) -> Sequence[Instance]:
        """Instances that are alive."""
        return [each for each in list(self._ec2.instances.values()) if each.state not in GONE]

    def snapshots(self) -> Sequence[Snapshot]:
        """This account's snapshots."""
        own = self._ec2.account_id
        return [each for each in list(self._ec2.snapshots.values()) if each.owner_id == own]

    def snapshots_behind(self, image_id: str) -> tuple[str, ...]:
        """The snapshots that an image is made of."""
        image = self._ec2.images.get(image_id)
        return tuple(image.snapshot_ids) if image is not None else ()

    def volumes_behind(self, instance_id: str) -> tuple[str, ...]:
        """The volumes of an instance."""
        return tuple(self._ec2.instances[instance_id].volumes.values())

    def left_volumes(self) -> Sequence[Volume]:
        """Volumes that are attached to nothing."""
        return [
            Volume(each.volume_id, each.instance_id, each.tags)
            for each in list(self._ec2.volumes.values())
            if each.state == "available"
        ]

    def tags_of(self, resource_id: str) -> Mapping[str, str] | None:
        """The tags of an instance, image, snapshot, volume or launch template."""
        ec2 = self._ec2
        for group in (ec2.instances, ec2.images, ec2.snapshots, ec2.volumes, ec2.templates):
            resource = group.get(resource_id)
            if resource is not None:
                return resource.tags
        return None

    def thing(self, resource_id: str) -> Thing | None:
        """An image, instance or snapshot; None for one that is gone."""
        image = self.image(resource_id)
        if image is not None:
            content = (image.state, image.name, image.description, list(image.launch_permissions))
            return Thing(dict(image.tags), content)
        instance = self._ec2.instances.get(resource_id)
        if instance is not None:
            return None if instance.state in GONE else Thing(dict(instance.tags), instance.state)
        snapshot = self._ec2.snapshots.get(resource_id)
        return Thing(dict(snapshot.tags), snapshot.state) if snapshot is not None else None

    def parameter_names(self) -> Sequence[str]:
        """The names of all parameters."""
        return list(self._parameters.parameters)

    def value(self, name: str) -> str | None:
        """The value of a parameter."""
        parameter = self._parameters.parameters.get(name)
        return parameter.latest.value if parameter is not None else None

    def environments(self) -> Iterable[str]:
        """The environments of the deployed configuration."""
        return self._settings.sources

    def pushed(self, environment: str) -> str | None:
        """The digest that an environment's tag names; None where no tag says what is published."""
        if environment in self._settings.promoted:
            return None
        source = self._settings.sources.get(environment)
        repository = self._registry.repositories.get(source.repository) if source else None
        pushed = repository.tagged(source.tag) if repository and source else None
        return pushed.digest if pushed else None

    def held(self) -> Mapping[str, Collection[str]]:
        """Which of `claim`, `queued request` and `pin` the environments' records have."""
        return {
            environment: [what for name, what in _HELD.items() if item.get(name)]
            for environment, item in self._workings.items().items()
        }

    def is_unverified(self, environment: str) -> bool:
        """Whether its settings switch verification off."""
        return environment in self._settings.unverified

    def is_hooked(self, environment: str) -> bool:
        """Whether its settings have hooks for the canary."""
        return environment in self._settings.hooked

    def unpassed_gates(self, environment: str, image: promises.Image) -> list[str]:
        """The gates of an environment that have not let an image pass."""
        gates = self._workings.gates.items()
        return [name for name, has_passed in gates if not has_passed(environment, image.tags)]

    def waits_at_gate(self, environment: str, digest: str) -> bool:
        """Whether a gate of an environment keeps a Docker image from being published there."""
        return self._workings.waits_at_gate(environment, digest)

    def is_running(self, execution_arn: str) -> bool:
        """Whether an execution runs."""
        return self._workings.is_running(execution_arn)

    def is_forced(self, execution_arn: str) -> bool:
        """Whether whoever started an execution wanted this build whatever is published."""
        return self._workings.is_forced(execution_arn)

    def look_ups_for(self, image_id: str) -> list[LookUp]:
        """The look-ups that show whether the image is used, each with what it is asked of."""
        needed: list[LookUp] = []
        for operation in _NEEDED:
            match operation:
                case "DescribeImageAttribute" | "DescribeImageReferences":
                    needed.append(LookUp(operation, image_id))
                case "DescribeInstanceRefreshes":
                    needed += [LookUp(operation, name) for name in list(self._auto_scaling.groups)]
                case _:
                    needed.append(LookUp(operation))
        return needed

    def package_lists(self) -> Sequence[str]:
        """The keys of all package lists."""
        return self._workings.package_lists()

    def users_of(self, image_id: str) -> list[str]:
        """Who needs an image to launch again, and whoever else the settings protect."""
        return [
            *self._parameters_with(image_id),
            *(what for what, image in self.launchable() if self._launched_by(image) == image_id),
            *(self._instances_of(image_id) if self._settings.protects_instances else ()),
            *(self._others_of(image_id) if self._settings.protects_permissions else ()),
            *self._soaks_that_need(image_id),
        ]

    def _soaks_that_need(self, image_id: str) -> list[str]:
        """The publications that an alarm would undo at this moment by going back to the image."""
        found = []
        for environment, length in self._settings.soaks.items():
            live = self.record_of(environment, self.latest_of(environment) or "") or {}
            if live.get("replaces") != image_id or not live.get("soaking_since"):
                continue
            if self._ec2.clock.now() <= datetime.fromisoformat(live["soaking_since"]) + length:
                found.append(f"the soak of {live.get('ami_id')} in {environment}")
        return found

    def launchable(self) -> list[tuple[str, str]]:
        """What would be launched, as an ImageId names it, and by what.

        An old version of a launch template that nothing names is nothing that launches, unless its alias is
        pinned: somebody chose that image.
        """
        named = [
            *self._named_by_groups(),
            *self._named_by_fleets(),
            *(
                (f"launch template {each}", {"Version": version, "LaunchTemplateId": each})
                for each in list(self._ec2.templates)
                for version in ("$Latest", "$Default")
            ),
        ]
        found = [(what, source) for what, source in named if isinstance(source, str)]
        for what, source in named:
            if not isinstance(source, str):
                found += self._versions_named(what, source)
        return [*found, *self._pinned()]

    def _named_by_groups(self) -> Iterable[tuple[str, str | Mapping[str, str]]]:
        for name, each in list(self._auto_scaling.launch_configurations.items()):
            yield f"launch configuration {name}", each["ImageId"]
        for group in list(self._auto_scaling.groups.values()):
            yield from _sources(f"Auto Scaling group {group.name}", group.config)
            for refresh in group.refreshes:
                if refresh.status in {"Pending", "InProgress"}:
                    yield from _sources(f"a refresh of {group.name}", refresh.desired)

    def _named_by_fleets(self) -> Iterable[tuple[str, str | Mapping[str, str]]]:
        fleets = (*self._ec2.fleets.values(), *self._ec2.spot_fleets.values())
        for fleet in fleets:
            if fleet.state == "active":
                yield from _sources(fleet.fleet_id, fleet.config)
        for request in list(self._ec2.spot_requests.values()):
            if request.state == "open":
                yield request.fleet_id, request.config["LaunchSpecification"]["ImageId"]

    def _versions_named(self, what: str, reference: Mapping[str, str]) -> list[tuple[str, str]]:
        try:
            # A group shows both the id and the name of its template, and a call takes one of them.
            _, version = version_of(
                self._ec2,
                {key: value for key, value in reference.items() if key != "LaunchTemplateName"}
                if "LaunchTemplateId" in reference
                else reference,
            )
        except ApiError:
            return []
        image = version.data.get("ImageId")
        return [(f"{what} version {version.number}", str(image))] if image else []

    def _pinned(self) -> Iterable[tuple[str, str]]:
        for template in list(self._ec2.templates.values()):
            for version in list(template.versions.values()):
                image = str(version.data.get("ImageId", ""))
                if image.startswith(_ALIAS) and ":" in image.removeprefix(_ALIAS):
                    yield f"launch template {template.template_id} version {version.number}", image

    def _parameters_with(self, image_id: str) -> Iterable[str]:
        for parameter in list(self._parameters.parameters.values()):
            newest = parameter.latest
            if _OWN_RECORD.fullmatch(parameter.name) or newest.kind == "SecureString":
                continue
            if image_id in re.findall(r"ami-[0-9a-f]+", newest.value):
                yield f"parameter {parameter.name}"

    def _launched_by(self, value: str) -> str | None:
        """The image that an ImageId means now."""
        if not value.startswith(_ALIAS):
            return value
        name, _, selector = value.removeprefix(_ALIAS).partition(":")
        parameter = self._parameters.parameters.get(name)
        if parameter is None:
            return None
        version = parameter.version(selector) if selector else parameter.latest
        return version.value if version else None

    def _others_of(self, image_id: str) -> Iterable[str]:
        for permission in list(self._ec2.images[image_id].launch_permissions):
            yield f"launch permission of {' '.join(permission.values())}"

    def _instances_of(self, image_id: str) -> Iterable[str]:
        for instance in self.instances():
            if instance.image.image_id == image_id and not self.belongs_to(instance.tags):
                yield f"instance {instance.instance_id}"


def _sources(what: str, config: Mapping[str, Any]) -> Iterable[tuple[str, str | Mapping[str, str]]]:
    """Images and versions of templates in the configuration of a group, a refresh or a fleet."""
    policy = (config.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    templates = [config.get("LaunchTemplate"), policy.get("LaunchTemplateSpecification")]
    overrides = list(policy.get("Overrides") or ())
    for each in config.get("LaunchTemplateConfigs") or ():
        templates.append(each.get("LaunchTemplateSpecification"))
        overrides += each.get("Overrides") or ()
    templates += [each.get("LaunchTemplateSpecification") for each in overrides]
    yield from ((what, each) for each in templates if each)
    named = [*overrides, *(config.get("LaunchSpecifications") or ())]
    yield from ((what, each["ImageId"]) for each in named if each.get("ImageId"))
