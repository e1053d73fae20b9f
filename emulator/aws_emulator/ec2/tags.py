"""Tags of EC2 resources (EC2 API reference: CreateTags, DeleteTags, DescribeTags)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.model import Resource
from aws_emulator.ec2.requests import (
    read_tags,
    refuse_dry_run,
    require_id,
    require_tag_count,
    supported,
)
from aws_emulator.ec2.store import Ec2Store

# Prefix of the id: resource type, error code, and how the message calls it.
_KINDS: Final = {
    "i": ("instance", "InvalidInstanceID", "The instance ID '{}' does not exist"),
    "ami": ("image", "InvalidAMIID", "The image id '[{}]' does not exist"),
    "snap": ("snapshot", "InvalidSnapshot", "The snapshot '{}' does not exist."),
    "vol": ("volume", "InvalidVolume", "The volume '{}' does not exist."),
    "lt": ("launch-template", "InvalidLaunchTemplateId", "The launch template ID '{}' does not exist"),
}
_FILTERS: Final[Mapping[str, Values]] = {
    "key": lambda each: [each.key],
    "resource-id": lambda each: [each.resource_id],
    "resource-type": lambda each: [each.resource_type],
    "value": lambda each: [each.value],
}


@dataclass(frozen=True)
class _Tag:
    sequence: int
    resource_id: str
    resource_type: str
    key: str
    value: str


class ResourceTags:
    """Tagging what EC2 keeps here, and what moto keeps."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("ec2", "CreateTags")
    def create_tags(self, request: Request) -> Response:
        """Add or overwrite tags of all the resources, or of none."""
        with self._store.lock:
            parameters = supported(request, "Resources", "Tags")
            tags = read_tags(parameters["Tags"])
            resources = {each: self._taggable(each) for each in parameters["Resources"]}
            refuse_dry_run(request)
            for resource in resources.values():
                if resource is not None:
                    require_tag_count(resource.tags | tags)
            for resource_id, resource in resources.items():
                if resource is None:
                    self._store.moto.create_tags(resource_id, tags)
                else:
                    resource.tags.update(tags)
            return {}

    @operation("ec2", "DeleteTags")
    def delete_tags(self, request: Request) -> Response:
        """Remove tags by key, or by key and value; all of them if none is named."""
        with self._store.lock:
            parameters = supported(request, "Resources", "Tags")
            resources = {each: self._taggable(each) for each in parameters["Resources"]}
            refuse_dry_run(request)
            tags_to_delete = {tag["Key"]: tag.get("Value") for tag in parameters.get("Tags", ())}
            for resource_id, resource in resources.items():
                if resource is None:
                    self._store.moto.delete_tags(resource_id, tags_to_delete)
                else:
                    resource.tags = {
                        key: value
                        for key, value in resource.tags.items()
                        if tags_to_delete
                        and not (key in tags_to_delete and tags_to_delete[key] in {None, value})
                    }
            return {}

    @operation("ec2", "DescribeTags")
    def describe_tags(self, request: Request) -> Response:
        """List tags by resource, type, key and value, in pages."""
        with self._store.lock:
            parameters = supported(request, "Filters", "MaxResults", "NextToken")
            tags = self._all_tags()
            shown, token = page(select(tags, parameters.get("Filters"), _FILTERS), parameters)
            return {
                "Tags": [
                    {
                        "ResourceId": tag.resource_id,
                        "ResourceType": tag.resource_type,
                        "Key": tag.key,
                        "Value": tag.value,
                    }
                    for tag in shown
                ],
                "NextToken": token,
            }

    def _all_tags(self) -> list[_Tag]:
        rows = [
            (resource_id, _KINDS[prefix][0], key, value)
            for prefix, table in self._tables().items()
            for resource_id, resource in table.items()
            for key, value in resource.tags.items()
        ]
        rows += [
            (tag["ResourceId"], tag["ResourceType"], tag["Key"], tag["Value"])
            for tag in self._store.moto.tags()
        ]
        return [_Tag(index, *row) for index, row in enumerate(rows, 1)]

    def _tables(self) -> dict[str, Mapping[str, Resource]]:
        return {
            "i": self._store.instances,
            "ami": self._store.images,
            "snap": self._store.snapshots,
            "vol": self._store.volumes,
            "lt": self._store.templates,
        }

    def _taggable(self, resource_id: str) -> Resource | None:
        """The resource if it is kept here, None if moto keeps it."""
        prefix = resource_id.partition("-")[0]
        if prefix not in _KINDS:
            return None
        _, code, message = _KINDS[prefix]
        require_id(prefix, resource_id, code)
        resource = self._tables()[prefix].get(resource_id)
        is_deregistered = getattr(resource, "state", None) == "deregistered"
        if resource is None or is_deregistered or not self._store.settled(resource):
            raise ApiError(f"{code}.NotFound", message.format(resource_id))
        return resource
