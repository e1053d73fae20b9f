"""The account as the observers look at it: plain reads of the emulated services' state.

Nothing here takes a lock: an observer is called in the middle of changes, and sees one dictionary at a
time, copied at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.ec2.launch_templates import version_of
from aws_emulator.ec2.model import Image, Instance, Snapshot
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.ssm import ParameterStore
from aws_emulator.ssm.run_command import RunCommand

APPLICATION_TAG: Final = "ami-lifecycle:application"
ENVIRONMENT_TAG: Final = "ami-lifecycle:environment"
EXECUTION_TAG: Final = "ami-lifecycle:execution"
ROLE_TAG: Final = "ami-lifecycle:role"
DIGEST_TAG: Final = "ami-lifecycle:image-digest"
RECIPE_TAG: Final = "ami-lifecycle:recipe"
LATEST: Final = re.compile(r"/([^/]+)/ami/([^/]+)/latest")
GONE: Final = frozenset({"shutting-down", "terminated"})
_ALIAS: Final = "resolve:ssm:"
_OWN_RECORD: Final = re.compile(r"/[^/]+/ami/[^/]+/(metadata|history/.+)")


@dataclass(frozen=True)
class View:
    """Reads of the account.

    Attributes:
        application: value of the tag that makes a resource ours.
    """

    ec2: Ec2Store
    auto_scaling: AutoScaling
    parameters: ParameterStore
    commands: RunCommand
    registry: Registry
    application: str

    def belongs_to(self, tags: Mapping[str, str]) -> bool:
        """Whether tags are those of the application."""
        return tags.get(APPLICATION_TAG) == self.application

    def environment_of(self, name: str) -> str | None:
        """The environment whose `latest` a parameter is; None for another parameter."""
        match = LATEST.fullmatch(name)
        return match.group(2) if match and match.group(1) == self.application else None

    def latest_of(self, environment: str) -> str | None:
        """What an environment's `latest` names."""
        return self.value(f"/{self.application}/ami/{environment}/latest")

    def value(self, name: str) -> str | None:
        """The value of a parameter."""
        parameter = self.parameters.parameters.get(name)
        return parameter.latest.value if parameter is not None else None

    def json_value(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a parameter; None if there is none."""
        try:
            content = json.loads(self.value(name) or "")
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def record_of(self, environment: str, image_id: str) -> dict[str, Any] | None:
        """The history record of an image."""
        return self.json_value(f"/{self.application}/ami/{environment}/history/{image_id}")

    def records_of(self, environment: str) -> dict[str, dict[str, Any]]:
        """The history records of an environment that can be read, by image id."""
        path = f"/{self.application}/ami/{environment}/history/"
        names = [name for name in list(self.parameters.parameters) if name.startswith(path)]
        records = {name.removeprefix(path): self.json_value(name) for name in names}
        return {image_id: record for image_id, record in records.items() if record is not None}

    def image(self, image_id: str | None) -> Image | None:
        """An image that has not been deregistered."""
        image = self.ec2.images.get(image_id or "")
        return image if image is not None and image.state != "deregistered" else None

    def images(self) -> list[Image]:
        """This account's images that have not been deregistered."""
        own = self.ec2.account_id
        return [
            image
            for image in list(self.ec2.images.values())
            if image.state != "deregistered" and image.owner_id == own
        ]

    def instances(self) -> list[Instance]:
        """Instances that are alive."""
        return [each for each in list(self.ec2.instances.values()) if each.state not in GONE]

    def snapshots(self) -> list[Snapshot]:
        """This account's snapshots."""
        own = self.ec2.account_id
        return [each for each in list(self.ec2.snapshots.values()) if each.owner_id == own]

    def users_of(self, image_id: str, *, with_instances: bool) -> list[str]:
        """Who needs an image to launch again, or (if wanted) runs on it."""
        return [
            *self._parameters_with(image_id),
            *(what for what, image in self.launchable() if self._launched_by(image) == image_id),
            *(self._instances_of(image_id) if with_instances else ()),
        ]

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
                for each in list(self.ec2.templates)
                for version in ("$Latest", "$Default")
            ),
        ]
        found = [(what, source) for what, source in named if isinstance(source, str)]
        for what, source in named:
            if not isinstance(source, str):
                found += self._versions_named(what, source)
        return [*found, *self._pinned()]

    def _named_by_groups(self) -> Iterable[tuple[str, str | Mapping[str, str]]]:
        for name, each in list(self.auto_scaling.launch_configurations.items()):
            yield f"launch configuration {name}", each["ImageId"]
        for group in list(self.auto_scaling.groups.values()):
            yield from _sources(f"Auto Scaling group {group.name}", group.config)
            for refresh in group.refreshes:
                if refresh.status in {"Pending", "InProgress"}:
                    yield from _sources(f"a refresh of {group.name}", refresh.desired)

    def _named_by_fleets(self) -> Iterable[tuple[str, str | Mapping[str, str]]]:
        fleets = (*self.ec2.fleets.values(), *self.ec2.spot_fleets.values())
        for fleet in fleets:
            if fleet.state == "active":
                yield from _sources(fleet.fleet_id, fleet.config)
        for request in list(self.ec2.spot_requests.values()):
            if request.state == "open":
                yield request.fleet_id, request.config["LaunchSpecification"]["ImageId"]

    def _versions_named(self, what: str, reference: Mapping[str, str]) -> list[tuple[str, str]]:
        try:
            # A group shows both the id and the name of its template, and a call takes one of them.
            _, version = version_of(
                self.ec2,
                {key: value for key, value in reference.items() if key != "LaunchTemplateName"}
                if "LaunchTemplateId" in reference
                else reference,
            )
        except ApiError:
            return []
        image = version.data.get("ImageId")
        return [(f"{what} version {version.number}", str(image))] if image else []

    def _pinned(self) -> Iterable[tuple[str, str]]:
        for template in list(self.ec2.templates.values()):
            for version in list(template.versions.values()):
                image = str(version.data.get("ImageId", ""))
                if image.startswith(_ALIAS) and ":" in image.removeprefix(_ALIAS):
                    yield f"launch template {template.template_id} version {version.number}", image

    def _parameters_with(self, image_id: str) -> Iterable[str]:
        for parameter in list(self.parameters.parameters.values()):
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
        parameter = self.parameters.parameters.get(name)
        if parameter is None:
            return None
        version = parameter.version(selector) if selector else parameter.latest
        return version.value if version else None

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
