"""All strict services of one emulated account, put together."""

from __future__ import annotations

from dataclasses import dataclass

from ami_lifecycle_emulator.clock import Clock
from ami_lifecycle_emulator.durations import Durations
from ami_lifecycle_emulator.ec2 import Ec2
from ami_lifecycle_emulator.ecr import Registry
from ami_lifecycle_emulator.events import EventBus
from ami_lifecycle_emulator.faults import Faults
from ami_lifecycle_emulator.operations import Handler, handlers_of
from ami_lifecycle_emulator.ssm import ParameterStore, ResourceTags, RunCommand, SimulatedProvisioner


@dataclass(frozen=True)
class Services:
    """The strict services of one account and Region, and the handlers for the gateway."""

    faults: Faults
    ec2: Ec2
    registry: Registry
    run_command: RunCommand
    parameter_store: ParameterStore
    resource_tags: ResourceTags

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """The handlers of all services by (service, operation)."""
        return handlers_of(
            self.ec2, self.registry, self.run_command, self.parameter_store, self.resource_tags
        )


def build_services(
    clock: Clock, bus: EventBus, durations: Durations, *, account_id: str, region: str
) -> Services:
    """Build the services of an account, connected with each other."""
    faults = Faults(clock)
    ec2 = Ec2(clock, bus, durations, account_id=account_id, region=region, faults=faults)
    registry = Registry(clock, bus, account_id=account_id, region=region)
    provisioner = SimulatedProvisioner(durations, ec2, registry, faults)
    run_command = RunCommand(clock, bus, durations, ec2, provisioner, account_id=account_id, region=region)
    store = ParameterStore(clock, bus, durations, ec2, account_id=account_id, region=region)
    return Services(faults, ec2, registry, run_command, store, ResourceTags(store, run_command))
