"""The uses of images in this account and Region: all look-ups together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from ami_lifecycle.adapters.clients import client
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.usage import fleets, groups, instances, parameters, references, templates
from ami_lifecycle.adapters.usage.references import Reference
from ami_lifecycle.adapters.usage.usage_query import Reader, TimeLimit, UsageQuery
from ami_lifecycle.domain.launchers import Launcher, TemplateVersion, aliases_in, uses_by_launchers
from ami_lifecycle.domain.model import ImageUse, Usage, UsageKind
from ami_lifecycle.ports import Clock

PERMISSIONS_ACTION: Final = "ec2:DescribeImageAttribute"
# Time limits of the look-ups. Most take a second; the limits are for accounts with thousands of resources.
SECONDS: Final = 60.0
# 10,000 parameters, as many as an account has at its standard limit, take about 1,200 calls.
PARAMETER_SECONDS: Final = 120.0


class AwsImageUsage:
    """Uses of images in this account and Region, and launch permissions given to others.

    Args:
        references: an EC2 client with a longer read timeout.
        deadline: when the function ends; look-ups that are not done by then count as uses.
    """

    def __init__(
        self,
        ec2: Any,
        autoscaling: Any,
        ssm: Any,
        *,
        references: Any = None,
        clock: Clock | None = None,
        deadline: datetime | None = None,
    ) -> None:
        self._ec2 = ec2
        self._autoscaling = autoscaling
        self._ssm = ssm
        self._references = references or ec2
        self._clock = clock or SystemClock()
        self._deadline = deadline
        self._images = Ec2Images(ec2)

    # EC2 looks the references up with the caller's own permissions (EC2 user guide, Identify your
    # resources referencing specified AMIs).
    @calls(
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribeLaunchConfigurations",
        "ec2:DescribeFleets",
        "ec2:DescribeImageAttribute",
        "ec2:DescribeImageReferences",
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeSpotFleetRequests",
        "ec2:DescribeSpotInstanceRequests",
        "imagebuilder:GetContainerRecipe",
        "imagebuilder:GetImageRecipe",
        "imagebuilder:ListContainerRecipes",
        "imagebuilder:ListImageRecipes",
        "ssm:DescribeParameters",
        "ssm:GetParameters",
    )
    def usage_of(
        self,
        image_ids: Sequence[str],
        parameter_paths: Sequence[str] = ("/",),
        *,
        with_permissions: bool = True,
    ) -> list[Usage]:
        """All uses of each image, in the order asked. What cannot be read becomes an UNKNOWN use.

        The number of calls grows with what the account has, not with the images, but for one call for each
        ten images (references) and, if they are wanted, one for each image (launch permissions).
        """
        if not image_ids:
            return []
        query = UsageQuery(image_ids, self._clock, self._deadline)
        ids = query.image_ids
        # The slowest look-ups come first, so that the sources that change most often are read last.
        if parameter_paths:
            reader = partial(parameters.read_parameters, self._ssm, ids, parameter_paths)
            query.add(query.read(parameters.LIST_ACTION, reader, PARAMETER_SECONDS))
        found = self._read_references(query)
        query.add(query.read(instances.ACTION, partial(instances.read_instances, self._ec2, ids), SECONDS))
        # Launchers before templates, so that the versions that launchers name are among those that are read.
        launchers = self._launchers(query)
        versions = query.read(templates.ACTION, partial(templates.read_template_versions, self._ec2), SECONDS)
        query.add(_uses_of(found, versions or []))
        self._add_uses_by_launchers(query, launchers, versions or [])
        for image_id in ids if with_permissions else ():
            query.add(
                query.read(PERMISSIONS_ACTION, partial(self._permissions, image_id), SECONDS, [image_id])
            )
        return [Usage(image_id=image_id, uses=query.uses_of(image_id)) for image_id in image_ids]

    @calls("ec2:DescribeImageAttribute")
    def permissions_of(self, image_id: str) -> Usage:
        """The launch permissions that others have for the image, as uses."""
        # A single call right before a deregistration: no time limit is needed.
        query = UsageQuery([image_id], self._clock, None)
        query.add(query.read(PERMISSIONS_ACTION, partial(self._permissions, image_id), SECONDS))
        return Usage(image_id=image_id, uses=query.uses_of(image_id))

    def _launchers(self, query: UsageQuery) -> list[Launcher]:
        ec2, autoscaling = self._ec2, self._autoscaling
        found = query.read(groups.GROUPS_ACTION, partial(groups.read_groups, autoscaling), SECONDS) or []
        readers: Sequence[tuple[str, Reader[Launcher]]] = (
            (groups.REFRESHES_ACTION, partial(groups.read_refreshes, autoscaling, tuple(found))),
            (groups.CONFIGURATIONS_ACTION, partial(groups.read_launch_configurations, autoscaling)),
            (fleets.FLEETS_ACTION, partial(fleets.read_fleets, ec2)),
            (fleets.SPOT_FLEETS_ACTION, partial(fleets.read_spot_fleets, ec2)),
            (fleets.SPOT_REQUESTS_ACTION, partial(fleets.read_spot_requests, ec2)),
        )
        for action, reader in readers:
            found += query.read(action, reader, SECONDS) or []
        return found

    def _read_references(self, query: UsageQuery) -> list[Reference]:
        ids, found = query.image_ids, []
        for start in range(0, len(ids), references.IDS_PER_CALL):
            chunk = ids[start : start + references.IDS_PER_CALL]
            reader = partial(references.read_references, self._references, chunk)
            found += query.read(references.ACTION, reader, references.SECONDS, chunk) or []
        return found

    def _add_uses_by_launchers(
        self, query: UsageQuery, launchers: Sequence[Launcher], versions: Sequence[TemplateVersion]
    ) -> None:
        aliases = aliases_in(launchers, versions)
        reader = partial(parameters.resolve_aliases, self._ssm, aliases)
        resolutions = query.read(parameters.GET_ACTION, reader, SECONDS) if aliases else []
        query.add(uses_by_launchers(query.image_ids, launchers, versions, dict(resolutions or ())))

    def _permissions(self, image_id: str, limit: TimeLimit) -> Iterator[tuple[str, ImageUse]]:
        limit.check()
        for who in self._images.launch_permissions(image_id):
            yield image_id, ImageUse(kind=UsageKind.LAUNCH_PERMISSION, resource=who)


def _uses_of(
    found: Iterable[Reference], versions: Sequence[TemplateVersion]
) -> Iterator[tuple[str, ImageUse]]:
    """The uses of the image by references. A launch template counts by its versions that name the image; without one,
    as EC2 reports it.
    """
    known = {(version.template_id, version.image) for version in versions}
    for reference in found:
        use = reference.use
        if use is not None and (reference.template_id, reference.image_id) not in known:
            yield reference.image_id, use


def usage_in_account(deadline: datetime | None = None) -> AwsImageUsage:
    """The look-ups with this process's clients."""
    return AwsImageUsage(
        client("ec2"),
        client("autoscaling"),
        client("ssm"),
        references=client("ec2", attempts=references.ATTEMPTS, read_timeout=references.READ_TIMEOUT_SECONDS),
        deadline=deadline,
    )
