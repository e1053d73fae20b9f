"""The emulated Systems Manager: documents, Run Command, Parameter Store."""

from __future__ import annotations

from aws_emulator.ssm.parameter_store import ParameterStore
from aws_emulator.ssm.provisioner import CommandResult, Provisioner, ShellProvisioner
from aws_emulator.ssm.run_command import RunCommand
from aws_emulator.ssm.tags import ResourceTags

__all__ = [
    "CommandResult",
    "ParameterStore",
    "Provisioner",
    "ResourceTags",
    "RunCommand",
    "ShellProvisioner",
]
