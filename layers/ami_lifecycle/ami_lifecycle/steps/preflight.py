"""Preflight checks: what would fail a build after it has incurred costs. Read-only."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle.domain.docker_image import Manifest
from ami_lifecycle.domain.preflight import (
    ParameterShape,
    Problem,
    disk_space_problem,
    manifest_problem,
    parameter_problem,
    platform_of,
    registry_problem,
    subnet_problems,
)
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.ports import Network, Parameters, Repository


@dataclass(frozen=True)
class Preflight:
    """The checks and their ports. `subnet_ids` and `security_group_id` are the stack's."""

    repository: Repository
    parameters: Parameters
    network: Network
    subnet_ids: tuple[str, ...] = ()
    security_group_id: str = ""

    def parameter_problems(self, settings: EnvironmentSettings, live_id: str | None = None) -> list[Problem]:
        """What keeps the parameters of an environment from being written; `live_id` names a history record."""
        published = settings.parameter_names
        names = [published.latest, published.metadata, *([published.record(live_id)] if live_id else [])]
        problems = []
        for name in names:
            stored = self.parameters.get(name)
            if stored is not None:
                shape = ParameterShape(name, stored.type, stored.data_type)
                problems.append(parameter_problem(shape, settings.environment))
        return [problem for problem in problems if problem is not None]

    def image_problems(self, settings: EnvironmentSettings, digest: str) -> tuple[list[Problem], int | None]:
        """What keeps a digest from being built in, and the bytes of its compressed layers where they are known."""
        reference = f"{settings.repository}@{digest}"
        image = self.repository.describe(settings.repository, digest)
        if image is not None and (problem := registry_problem(reference, image)):
            return [problem], None
        manifest = self.repository.manifest(settings.repository, digest)
        if manifest is None:
            return [], None
        if problem := manifest_problem(reference, manifest, settings):
            return [problem], None
        if manifest.is_index:
            manifest = self._child(manifest, settings)
            if manifest is None:
                return [], None
            if problem := manifest_problem(reference, manifest, settings):
                return [problem], None
        size = manifest.size_bytes or None
        problem = disk_space_problem(reference, size, settings)
        return ([problem] if problem else []), size

    def _child(self, index: Manifest, settings: EnvironmentSettings) -> Manifest | None:
        child = index.child_for(platform_of(settings))
        return self.repository.manifest(settings.repository, child.digest) if child else None

    def network_problems(self, settings: EnvironmentSettings) -> list[Problem]:
        """Subnets that do not exist, or are not in the VPC of the stack's security group."""
        subnet_ids = settings.builder.subnet_ids or self.subnet_ids
        vpcs = self.network.vpcs_of_subnets(subnet_ids)
        group = self.network.vpc_of_group(self.security_group_id) if self.security_group_id else None
        return subnet_problems(settings.environment, subnet_ids, vpcs, group)

    def build_problems(
        self, settings: EnvironmentSettings, digest: str, live_id: str | None = None
    ) -> tuple[list[Problem], int | None]:
        """All checks for a build of a digest, and the size of its compressed layers."""
        of_image, size = self.image_problems(settings, digest)
        problems = [
            *self.parameter_problems(settings, live_id),
            *of_image,
            *self.network_problems(settings),
        ]
        return problems, size
