"""The emulated account of the emulator's own contract tests, with this service's documents in it."""

from __future__ import annotations

from emulator.tests.contract.account import Account, Server

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.provisioner import SimulatedProvisioner
from aws_emulator.ssm import Provisioner

DURATIONS = BuildDurations()


class LifecycleAccount(Account):
    """An account whose instances know what ProvisionImage and VerifyImage do."""

    def __init__(self, server: Server, durations: BuildDurations = DURATIONS) -> None:
        self.builds = durations
        super().__init__(server, durations)

    def make_provisioner(self) -> Provisioner:
        return SimulatedProvisioner(self.builds, self.state, self.registry, self.faults)
