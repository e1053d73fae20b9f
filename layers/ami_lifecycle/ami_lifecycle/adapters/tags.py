"""Tags and filters in EC2's request and response shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def to_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as AWS's list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """AWS's list of keys and values as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def specifications(tags: Mapping[str, str], *resource_types: str) -> list[dict[str, Any]]:
    """`TagSpecifications` that put the same tags on each resource type of a call."""
    return [{"ResourceType": resource_type, "Tags": to_tags(tags)} for resource_type in resource_types]


def filters(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Filters for resources that carry all these tags. EC2 reads `*` and `?` in them as wildcards."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def has_tags(found: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    """Whether all expected tags are present, compared literally: EC2's filters treat `*` and `?` as wildcards."""
    return all(found.get(key) == value for key, value in expected.items())
