"""This service as a project of the emulator: its repository, its provisioner, and its observers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.provisioner import SimulatedProvisioner
from aws_emulator.gateway.identities import CLIENT
from aws_emulator.project import Project, Services
from aws_emulator.ssm.provisioner import Provisioner

if TYPE_CHECKING:
    from ami_lifecycle_testbed.machines.builders import ContainerBuilders
    from ami_lifecycle_testbed.observers import Observers

REPOSITORY: Final = "comfyui"
_BUILD_CONFIG: Final = "build_config.yml"


class LifecycleProject(Project):
    """The checkout of this service.

    Args:
        directory: directory of `template.yaml`.
        config_dir: the configuration of the functions, where it is not the checkout's.
        builder: `simulated`, or `container` to run the documents for real, on machines (needs root).
        repository: the ECR repository that the account has.

    Attributes:
        observers: hold the promises against the account; `GET /_emulator/violations` shows what was broken.
        builders: the machines, with the builder `container`.
    """

    stack_name = "ami-lifecycle"
    role_tag = "ami-lifecycle:role"
    observers: Observers

    def __init__(
        self,
        directory: Path | str,
        config_dir: Path | str | None = None,
        builder: str = "simulated",
        repository: str = REPOSITORY,
    ) -> None:
        super().__init__(directory)
        config = Path(config_dir).resolve() if config_dir is not None else self.directory / "config"
        self.build_config = config / _BUILD_CONFIG
        self.repository = repository
        self.builders: ContainerBuilders | None = None
        self._builder = builder

    @property
    def environments(self) -> list[str]:
        """The environments that the configuration declares."""
        if not self.build_config.is_file():
            return []
        content = yaml.safe_load(self.build_config.read_text(encoding="utf-8")) or {}
        return list(content.get("environments") or {})

    def durations(self) -> BuildDurations:
        """Default durations."""
        return BuildDurations()

    def provisioner(self, emulator: Services, cleanup: ExitStack) -> Provisioner:
        """The provisioner of builds: simulated, or on machines.

        Raises:
            TypeError: the emulator's durations say nothing of builds.
        """
        durations = emulator.durations
        if not isinstance(durations, BuildDurations):
            raise TypeError("a build needs BuildDurations, not Durations")
        parts = (durations, emulator.ec2, emulator.registry, emulator.faults)
        refused_pull = emulator.enforcement.refused_pull
        if self._builder == "simulated":
            return SimulatedProvisioner(*parts, refused_pull)
        # Imported only for machines, which need root and packages of the host.
        from ami_lifecycle_testbed.machines.builders import ContainerBuilders  # noqa: PLC0415

        self.builders = ContainerBuilders(cleanup, emulator.account_id, emulator.region)
        documents, key_of = self.directory / "documents", emulator.enforcement.access_key_of
        return self.builders.provisioner(*parts, refused_pull, documents, key_of)

    def prepare(self, emulator: Services) -> None:
        """Create the repository, and serve it where machines pull from it."""
        emulator.api.call("operator", "ecr", "CreateRepository", {"repositoryName": self.repository})
        if self.builders is not None:
            self.builders.serve_registry(partial(emulator.api.call, CLIENT, "ecr"))
            self.builders.serve_services(emulator.endpoint_url)

    def deployed(self, emulator: Services) -> None:
        """Attach the observers."""
        # The observers look at the emulator, which is being put together here.
        from ami_lifecycle_testbed.observers.setup import observe  # noqa: PLC0415

        self.observers = observe(emulator, self.build_config, self.repository)

    def describe(self) -> dict[str, Any]:
        """The environments, and the address of the registry to push to."""
        address = {"registry": self.builders.registry_address} if self.builders else {}
        return {"environments": self.environments, **address}
