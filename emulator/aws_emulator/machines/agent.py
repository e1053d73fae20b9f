"""Commands on machines: a document's step, run and reported as the SSM agent and Systems Manager do."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from aws_emulator.machines.errors import MachineError
from aws_emulator.machines.machine import Machine

# SSM API reference, GetCommandInvocation: the first characters of each output are kept.
STDOUT_CHARACTERS: Final = 24_000
STDERR_CHARACTERS: Final = 8_000
KILLED: Final = 137


@dataclass(frozen=True)
class DocumentStep:
    """What the agent needs of a Command document with one `aws:runShellScript` step.

    Attributes:
        name: of the step.
        script: its lines, joined as the agent does.
        timeout_seconds: after which the agent kills it.
        parameters: declared ones, each with its declaration.
    """

    name: str
    script: str
    timeout_seconds: int
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> DocumentStep:
        """Read a document."""
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        (step,) = document["mainSteps"]
        inputs = step["inputs"]
        return cls(
            step["name"],
            "\n".join(inputs["runCommand"]),
            int(inputs["timeoutSeconds"]),
            document["parameters"],
        )

    def environment(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """The variables that carry parameters: values given, else defaults.

        Raises:
            ValueError: a value is missing, not declared, or not as its pattern demands. Systems Manager
                refuses the command then (SSM API reference, SendCommand, InvalidParameters).
        """
        values = {}
        if unknown := sorted(set(parameters) - set(self.parameters)):
            raise ValueError(f"the document has no parameter {unknown[0]}")
        for name, declared in self.parameters.items():
            value = parameters.get(name, declared.get("default"))
            if value is None:
                raise ValueError(f"parameter {name} is missing")
            if not re.fullmatch(declared.get("allowedPattern", ".*"), value):
                raise ValueError(f"parameter {name} does not match {declared['allowedPattern']}")
            values[f"SSM_{name}"] = value
        return values


@dataclass(frozen=True)
class StepResult:
    """How a step ended, as Systems Manager shows it."""

    exit_code: int
    stdout: str
    stderr: str


def run_step(
    machine: Machine,
    step: DocumentStep,
    environment: Mapping[str, str],
    *,
    timeout_seconds: float | None = None,
    command_id: str = "",
) -> StepResult:
    """Have a machine's agent run a step, and wait for its end.

    Args:
        machine: a machine that is on.
        step: what to run.
        environment: variables for the script.
        timeout_seconds: in the place of the step's own.
        command_id: of Systems Manager; made up if empty.

    Raises:
        MachineError: the machine went away in the middle, so nobody reports.
    """
    limit = step.timeout_seconds if timeout_seconds is None else timeout_seconds
    question = {
        "command_id": command_id or str(uuid.uuid4()),
        "step": step.name,
        "script": step.script,
        "environment": dict(environment),
        "timeout_seconds": limit,
    }
    try:
        answer = machine.ask(question, timeout_seconds=limit + 60)
    except (OSError, ValueError) as error:
        raise MachineError(f"{machine.name} did not report how the command ended: {error}") from error
    return StepResult(
        answer["exit_code"], answer["stdout"][:STDOUT_CHARACTERS], answer["stderr"][:STDERR_CHARACTERS]
    )
