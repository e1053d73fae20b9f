"""The template's resources with the values that a partition gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.loaders import Loader
from tests.template.stack import ROOT

from aws_emulator.cloudformation.intrinsics import Resolver
from aws_emulator.cloudformation.template import Template, load_template

ACCOUNT = "123456789012"
PARTITIONS = {row["id"]: row for row in Loader().load_data("partitions")["partitions"]}


def regions(partition: str) -> list[str]:
    return [name for name in PARTITIONS[partition]["regions"] if not name.endswith("-global")]


class Anywhere(dict[str, Any]):
    """Attributes of resources that do not exist: each is an ARN of the partition."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, key: str) -> Any:
        return Anywhere(f"{self._prefix}:{key}") if ":" not in self._prefix[4:] else self._prefix


def read_template() -> Template:
    """The template, translated as SAM does."""
    return load_template(ROOT / "template.yaml", "us-east-1")


def resolved(
    partition: str = "aws", values: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The properties of all resources as a stack of this partition gets them, each with its logical id."""
    template = read_template()
    prefix = f"arn:{partition}"
    references = {
        **{name: parameter.get("Default", "given") for name, parameter in template.parameters.items()},
        **dict.fromkeys(template.resources, prefix),
        "SubnetIds": ["subnet-1"],
        **(values or {}),
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": partition,
        "AWS::Region": regions(partition)[0],
        "AWS::StackName": "ami-lifecycle",
        "AWS::URLSuffix": PARTITIONS[partition]["outputs"]["dnsSuffix"],
    }
    resolver = Resolver(template, references, Anywhere(prefix), [])
    for name, resource in template.resources.items():
        if "Condition" not in resource or resolver.condition(resource["Condition"]):
            yield name, resolver.resolve(resource.get("Properties", {}))
