"""A project that is deployed into the emulated account."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.clock import Clock
from aws_emulator.cloudformation.stack import Stack
from aws_emulator.durations import Durations
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.api import Api
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.identities import Identities
from aws_emulator.iam.enforcement import Enforcement
from aws_emulator.s3 import Buckets
from aws_emulator.ssm import ParameterStore, RunCommand
from aws_emulator.ssm.provisioner import Provisioner, ShellProvisioner


class Services(Protocol):
    """The parts of the emulator that a project may use."""

    account_id: str
    region: str
    endpoint_url: str
    durations: Durations
    clock: Clock
    bus: EventBus
    faults: Faults
    identities: Identities
    ec2: Ec2Store
    auto_scaling: AutoScaling
    registry: Registry
    buckets: Buckets
    parameter_store: ParameterStore
    run_command: RunCommand
    enforcement: Enforcement
    gateway: Gateway
    api: Api
    stack: Stack


class Project:
    """A directory with a template. Derive from it to add what a project needs besides its stack.

    Args:
        directory: directory of `template.yaml`.

    Attributes:
        stack_name: of the deployed stack.
        role_tag: the tag that says what an instance is for; durations and faults can differ by it.
    """

    stack_name = "stack"
    role_tag = "role"

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).resolve()

    def durations(self) -> Durations:
        """Default durations."""
        return Durations()

    def provisioner(self, emulator: Services, cleanup: ExitStack) -> Provisioner:  # noqa: ARG002 - for others
        """The provisioner that runs commands on instances.

        Args:
            emulator: its services up to ECR and the check of permissions have been started.
            cleanup: takes what must be closed at the end.
        """
        return ShellProvisioner()

    def prepare(self, emulator: Services) -> None:
        """Prepare the account before the stack is deployed."""

    def deployed(self, emulator: Services) -> None:
        """Called when the stack has been deployed."""

    def describe(self) -> dict[str, Any]:
        """Additional members of the ready line."""
        return {}
