"""What a project brings to its emulated account."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_emulator.durations import Durations
from aws_emulator.ssm.provisioner import Provisioner, ShellProvisioner

if TYPE_CHECKING:
    from aws_emulator.server import Emulator


class Project:
    """A directory with a template, and nothing else; derive from it what a project needs beside its stack.

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
        """How long things take where nobody says so."""
        return Durations()

    def provisioner(self, emulator: Emulator, cleanup: ExitStack) -> Provisioner:  # noqa: ARG002 - for others
        """What Run Command does on instances.

        Args:
            emulator: its services up to ECR and the check of permissions have been started.
            cleanup: takes what must be closed at the end.
        """
        return ShellProvisioner()

    def prepare(self, emulator: Emulator) -> None:
        """Make what the account has before the stack is deployed."""

    def deployed(self, emulator: Emulator) -> None:
        """Act on the account, whose stack has been deployed."""

    def describe(self) -> dict[str, Any]:
        """What a client needs to know beside the emulator's own."""
        return {}
