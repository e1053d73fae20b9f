"""In-memory AWS behind every port, with the true semantics: what a test does not name behaves like AWS."""

from __future__ import annotations

from tests.fakes.approvals import FakeApprovals, FakeDecisions
from tests.fakes.clock import FakeClock
from tests.fakes.commands import FakeCommands, SentCommand
from tests.fakes.documents import FakeDocuments
from tests.fakes.environments import FakeEnvironments
from tests.fakes.executions import FakeExecutions, StartedExecution
from tests.fakes.faults import Call, Faulty, Hook
from tests.fakes.images import FakeImages
from tests.fakes.instances import FakeInstances
from tests.fakes.network import FakeNetwork
from tests.fakes.notifier import FakeNotifier
from tests.fakes.package_lists import FakePackageLists
from tests.fakes.parameters import FakeParameters
from tests.fakes.repository import FakeRepository
from tests.fakes.usage import FakeImageUsage
from tests.fakes.waits import FakeWaits
from tests.fakes.world import World

__all__ = [
    "Call",
    "FakeApprovals",
    "FakeClock",
    "FakeCommands",
    "FakeDecisions",
    "FakeDocuments",
    "FakeEnvironments",
    "FakeExecutions",
    "FakeImageUsage",
    "FakeImages",
    "FakeInstances",
    "FakeNetwork",
    "FakeNotifier",
    "FakePackageLists",
    "FakeParameters",
    "FakeRepository",
    "FakeWaits",
    "Faulty",
    "Hook",
    "SentCommand",
    "StartedExecution",
    "World",
]
