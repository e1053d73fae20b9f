"""What refers to an image (EC2 API reference, DescribeImageReferences)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import page
from aws_emulator.ec2.requests import refuse_dry_run, require_id, supported
from aws_emulator.ec2.store import Ec2Store, ImageParameters

# How many of a launch template's newest versions are looked at unless `version-depth` says otherwise.
_VERSION_DEPTH: Final = 10


@dataclass(frozen=True)
class _Reference:
    sequence: int
    image_id: str
    kind: str
    arn: str


class References:
    """The resources of this account that refer to an image.

    Args:
        parameters: says which parameters name an image.
    """

    def __init__(self, store: Ec2Store, parameters: ImageParameters) -> None:
        self._store = store
        self._parameters = parameters

    @operation("ec2", "DescribeImageReferences")
    def describe_image_references(self, request: Request) -> Response:
        """List instances, launch templates and parameters that refer to images, in pages."""
        with self._store.lock:
            parameters = supported(
                request, "ImageIds", "IncludeAllResourceTypes", "MaxResults", "NextToken", "ResourceTypes"
            )
            ids = parameters["ImageIds"]
            if not 1 <= len(ids) <= 10:
                raise ApiError("InvalidParameterValue", "Between 1 and 10 image ids are needed")
            for image_id in ids:
                require_id("ami", image_id, "InvalidAMIID")
            refuse_dry_run(request)
            resource_types = _resource_types(parameters)
            found = [each for image_id in ids for each in self._references(image_id, resource_types)]
            rows = [_Reference(index, *each) for index, each in enumerate(found, 1)]
            shown, token = page(rows, parameters)
            return {
                "ImageReferences": [
                    {"ImageId": row.image_id, "ResourceType": row.kind, "Arn": row.arn} for row in shown
                ],
                "NextToken": token,
            }

    def _references(
        self, image_id: str, resource_types: Mapping[str, Mapping[str, list[str]]]
    ) -> Iterable[tuple[str, str, str]]:
        readers: dict[str, Callable[[str, Mapping[str, list[str]]], Iterable[str]]] = {
            "ec2:Instance": self._instances_from,
            "ec2:LaunchTemplate": self._templates_with,
            "ssm:Parameter": lambda image, _options: self._parameters.arns_naming(image),
        }
        for kind, options in resource_types.items():
            if kind in readers:
                for arn in readers[kind](image_id, options):
                    yield image_id, kind, arn

    def _instances_from(self, image_id: str, options: Mapping[str, list[str]]) -> Iterable[str]:
        states = options.get("state-name")
        for instance in self._store.instances.values():
            if instance.image.image_id == image_id and (not states or instance.state in states):
                yield self._store.arn("instance", instance.instance_id)

    def _templates_with(self, image_id: str, options: Mapping[str, list[str]]) -> Iterable[str]:
        depth = int(options.get("version-depth", [str(_VERSION_DEPTH)])[0])
        for template in self._store.templates.values():
            newest = sorted(template.versions.values(), key=lambda each: -each.number)[:depth]
            if any(version.data.get("ImageId") == image_id for version in newest):
                yield self._store.arn("launch-template", template.template_id)


def _resource_types(parameters: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Resource types with their options; given options override the defaults of "all types" (EC2 API
    reference, DescribeImageReferences).
    """
    asked, everything = parameters.get("ResourceTypes"), parameters.get("IncludeAllResourceTypes")
    if not asked and not everything:
        raise ApiError(
            "InvalidParameterCombination", "Either ResourceTypes or IncludeAllResourceTypes must be given"
        )
    resource_types: dict[str, dict[str, list[str]]] = {}
    if everything:
        resource_types = {kind: {} for kind in ("ec2:Instance", "ec2:LaunchTemplate", "ssm:Parameter")}
    for each in asked or ():
        resource_types[each["ResourceType"]] = {
            option["OptionName"]: option.get("OptionValues", [])
            for option in each.get("ResourceTypeOptions", ())
        }
    return resource_types
