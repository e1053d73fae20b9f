"""All fakes of one account, joined as AWS joins them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fakes.approvals import FakeApprovals, FakeDecisions
from tests.fakes.clock import FakeClock
from tests.fakes.commands import FakeCommands
from tests.fakes.documents import FakeDocuments
from tests.fakes.environments import FakeEnvironments
from tests.fakes.executions import FakeExecutions
from tests.fakes.faults import Faulty, Hook
from tests.fakes.images import FakeImages
from tests.fakes.instances import FakeInstances
from tests.fakes.network import FakeNetwork
from tests.fakes.notifier import FakeNotifier
from tests.fakes.package_lists import FakePackageLists
from tests.fakes.parameters import FakeParameters
from tests.fakes.repository import FakeRepository
from tests.fakes.usage import FakeImageUsage
from tests.fakes.waits import FakeWaits


@dataclass
class World:
    """One account and Region: one clock; what knows of what in AWS does so here."""

    clock: FakeClock = field(default_factory=FakeClock)
    instances: FakeInstances = field(init=False)
    images: FakeImages = field(init=False)
    parameters: FakeParameters = field(init=False)
    waits: FakeWaits = field(init=False)
    usage: FakeImageUsage = field(init=False)
    commands: FakeCommands = field(default_factory=FakeCommands)
    documents: FakeDocuments = field(default_factory=FakeDocuments)
    network: FakeNetwork = field(default_factory=FakeNetwork)
    repository: FakeRepository = field(default_factory=FakeRepository)
    environments: FakeEnvironments = field(default_factory=FakeEnvironments)
    approvals: FakeApprovals = field(default_factory=FakeApprovals)
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    executions: FakeExecutions = field(default_factory=FakeExecutions)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    package_lists: FakePackageLists = field(default_factory=FakePackageLists)

    def __post_init__(self) -> None:
        self.instances = FakeInstances(self.clock)
        self.images = FakeImages(self.instances, self.clock)
        self.parameters = FakeParameters(self.images)
        self.waits = FakeWaits(self.clock)
        self.usage = FakeImageUsage(self.instances, self.parameters)

    def settle(self) -> None:
        """Finish every transition of instances and images."""
        self.instances.settle()
        self.images.settle()

    @property
    def ports(self) -> tuple[Faulty, ...]:
        """All fakes that suffer faults."""
        return (
            self.instances,
            self.images,
            self.parameters,
            self.waits,
            self.usage,
            self.commands,
            self.documents,
            self.network,
            self.repository,
            self.environments,
            self.approvals,
            self.decisions,
            self.executions,
            self.notifier,
            self.package_lists,
        )

    def watch(self, hook: Hook) -> None:
        """Put a hook around every call of every port. Hooks run in the order in which they came."""
        for port in self.ports:
            port.hooks.append(hook)
