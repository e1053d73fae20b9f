"""All versions of all launch templates: launchers can name an old version by its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.launchers import TemplateVersion

ACTION: Final = "ec2:DescribeLaunchTemplateVersions"
VERSIONS_PER_PAGE: Final = 200


def read_template_versions(ec2: Any, limit: TimeLimit) -> Iterator[TemplateVersion]:
    """Every version; one call for each 200 templates, and one for each template that has older versions."""
    newest: dict[str, dict[int, Mapping[str, Any]]] = {}
    with aws_errors(ACTION, "launch templates"):
        for version in _versions(ec2, limit, Versions=["$Latest", "$Default"]):
            newest.setdefault(version["LaunchTemplateId"], {})[version["VersionNumber"]] = version
    for template_id, known in newest.items():
        latest = max(known)
        versions = known
        if set(known) != set(range(1, latest + 1)):
            with aws_errors(ACTION, template_id):
                versions = _all_versions(ec2, template_id, limit) | known
        # A version that was added between the two calls is the latest one, too.
        latest_numbers = {latest, max(versions)}
        for number, version in versions.items():
            yield TemplateVersion(
                template_id=template_id,
                name=version.get("LaunchTemplateName") or template_id,
                number=number,
                is_latest=number in latest_numbers,
                is_default=bool(version.get("DefaultVersion")),
                image=version["LaunchTemplateData"].get("ImageId"),
            )


def _all_versions(ec2: Any, template_id: str, limit: TimeLimit) -> dict[int, Mapping[str, Any]]:
    try:
        return {each["VersionNumber"]: each for each in _versions(ec2, limit, LaunchTemplateId=template_id)}
    except ClientError as error:
        if code_of(error) == "InvalidLaunchTemplateId.NotFound":
            # Deleted since it was listed.
            return {}
        raise


def _versions(ec2: Any, limit: TimeLimit, **which: Any) -> Iterator[Mapping[str, Any]]:
    paginator = ec2.get_paginator("describe_launch_template_versions")
    for page in limit.pages(paginator, MaxResults=VERSIONS_PER_PAGE, **which):
        yield from page["LaunchTemplateVersions"]
