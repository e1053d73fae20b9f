"""The emulated account with this service deployed: served, or in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ami_lifecycle_testbed.observers import Observers
from ami_lifecycle_testbed.product import stand_ins
from ami_lifecycle_testbed.project import REPOSITORY, LifecycleProject
from aws_emulator.server import Emulator as AwsEmulator
from aws_emulator.simulation.account import Simulation as AwsSimulation


class _Lifecycle:
    lifecycle: LifecycleProject

    @property
    def observers(self) -> Observers:
        """Who holds the promises against the account."""
        return self.lifecycle.observers

    @property
    def environments(self) -> list[str]:
        """The environments that the configuration declares."""
        return self.lifecycle.environments


class Emulator(_Lifecycle, AwsEmulator):
    """The served account; arguments beside those of `LifecycleProject` are the emulator's.

    Args:
        project_dir: the checkout of this service.
    """

    def __init__(
        self,
        project_dir: Path | str,
        *,
        config_dir: Path | str | None = None,
        builder: str = "simulated",
        repository: str = REPOSITORY,
        **settings: Any,
    ) -> None:
        self.lifecycle = LifecycleProject(project_dir, config_dir, builder, repository)
        super().__init__(self.lifecycle, config_dir=config_dir, **settings)


class Simulation(_Lifecycle, AwsSimulation):
    """The account in virtual time; arguments beside those of `LifecycleProject` are the simulation's.

    Args:
        project_dir: the checkout of this service.
    """

    def __init__(
        self, project_dir: Path | str, *, config_dir: Path | str | None = None, **settings: Any
    ) -> None:
        self.lifecycle = LifecycleProject(project_dir, config_dir)
        super().__init__(self.lifecycle, config_dir=config_dir, stand_ins=stand_ins, **settings)
