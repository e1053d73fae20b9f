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

from ami_lifecycle_emulator.ec2 import Ec2
from ami_lifecycle_emulator.ec2.model import Image, Instance, Snapshot
from ami_lifecycle_emulator.ecr import Registry
from ami_lifecycle_emulator.ssm import ParameterStore
from ami_lifecycle_emulator.ssm.run_command import RunCommand

APPLICATION_TAG: Final = "ami-lifecycle:application"
ENVIRONMENT_TAG: Final = "ami-lifecycle:environment"
EXECUTION_TAG: Final = "ami-lifecycle:execution"
DIGEST_TAG: Final = "ami-lifecycle:image-digest"
LATEST: Final = re.compile(r"/([^/]+)/ami/([^/]+)/latest")
GONE: Final = frozenset({"shutting-down", "terminated"})
_ALIAS: Final = "resolve:ssm:"


@dataclass(frozen=True)
class View:
    """Reads of the account.

    Attributes:
        application: value of the tag that makes a resource ours.
    """

    ec2: Ec2
    parameters: ParameterStore
    commands: RunCommand
    registry: Registry
    application: str

    def is_ours(self, tags: Mapping[str, str]) -> bool:
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
            *self._templates_with(image_id),
            *(self._instances_of(image_id) if with_instances else ()),
        ]

    def _parameters_with(self, image_id: str) -> Iterable[str]:
        for parameter in list(self.parameters.parameters.values()):
            newest = parameter.latest
            if newest.data_type == "aws:ec2:image" and newest.value == image_id:
                yield f"parameter {parameter.name}"

    def _templates_with(self, image_id: str) -> Iterable[str]:
        for template in list(self.ec2.templates.values()):
            for version in list(template.versions.values()):
                if self._launched_by(str(version.data.get("ImageId", ""))) == image_id:
                    yield f"launch template {template.template_id} version {version.number}"

    def _launched_by(self, value: str) -> str | None:
        """The image that a launch template's ImageId means; an alias of a fixed version stays on its image."""
        if not value.startswith(_ALIAS):
            return value
        name, _, selector = value.removeprefix(_ALIAS).partition(":")
        parameter = self.parameters.parameters.get(name)
        version = parameter.version(selector) if parameter and selector else None
        return version.value if version else None

    def _instances_of(self, image_id: str) -> Iterable[str]:
        for instance in self.instances():
            if instance.image.image_id == image_id and not self.is_ours(instance.tags):
                yield f"instance {instance.instance_id}"
