from __future__ import annotations

import inspect
from typing import Any

import pytest

from ami_lifecycle import ports
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.adapters.package_lists import S3PackageLists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.permissions import actions_of, calls
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.adapters.waits import DynamoWaits
from tests import fakes

AWS: list[tuple[type, type, type]] = [
    (ports.Instances, Ec2Instances, fakes.FakeInstances),
    (ports.Images, Ec2Images, fakes.FakeImages),
    (ports.ImageUsage, AwsImageUsage, fakes.FakeImageUsage),
    (ports.Commands, SsmCommands, fakes.FakeCommands),
    (ports.Documents, SsmDocuments, fakes.FakeDocuments),
    (ports.Parameters, SsmParameters, fakes.FakeParameters),
    (ports.Repository, EcrRepository, fakes.FakeRepository),
    (ports.Network, Ec2Network, fakes.FakeNetwork),
    (ports.Environments, DynamoEnvironments, fakes.FakeEnvironments),
    (ports.Waits, DynamoWaits, fakes.FakeWaits),
    (ports.Executions, StepFunctionsExecutions, fakes.FakeExecutions),
    (ports.Notifier, AwsNotifier, fakes.FakeNotifier),
    (ports.PackageLists, S3PackageLists, fakes.FakePackageLists),
]
METHODS = [
    (port, adapter, fake, name)
    for port, adapter, fake in [*AWS, (ports.Clock, SystemClock, fakes.FakeClock)]
    for name, _ in inspect.getmembers(port, inspect.isfunction)
    if not name.startswith("_")
]


def parameters_of(owner: type, name: str) -> list[tuple[str, Any]]:
    signature = inspect.signature(getattr(owner, name))
    return [(parameter.name, parameter.kind) for parameter in signature.parameters.values()]


@pytest.mark.parametrize(("port", "adapter", "fake", "name"), METHODS, ids=str)
def test_adapter_and_fake_have_each_method_of_their_port(
    port: type, adapter: type, fake: type, name: str
) -> None:
    assert parameters_of(adapter, name) == parameters_of(port, name)
    assert parameters_of(fake, name) == parameters_of(port, name)


@pytest.mark.parametrize(("port", "adapter"), [(port, adapter) for port, adapter, _ in AWS])
def test_each_adapter_method_declares_the_actions_that_it_needs(port: type, adapter: type) -> None:
    names = [name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]
    assert names
    assert all(actions_of(getattr(adapter, name)) for name in names)


def test_actions_are_read_from_bound_and_unbound_methods() -> None:
    assert actions_of(Ec2Instances.terminate) == {"ec2:TerminateInstances"}
    assert actions_of(Ec2Instances(None).terminate) == {"ec2:TerminateInstances"}


def test_a_method_without_a_declaration_is_an_error_and_not_an_empty_set() -> None:
    with pytest.raises(LookupError, match=r"SystemClock\.now"):
        actions_of(SystemClock.now)


@pytest.mark.parametrize("action", ["RunInstances", "ec2:", "EC2:RunInstances", ""])
def test_what_is_no_action_cannot_be_declared(action: str) -> None:
    with pytest.raises(ValueError, match="no IAM action"):
        calls(action)
