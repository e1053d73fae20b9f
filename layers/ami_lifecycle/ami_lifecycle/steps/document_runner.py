"""Sends one of the stack's documents to an instance, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ami_lifecycle.domain.execution import CommandRef, InstanceInput
from ami_lifecycle.domain.naming import document_comment
from ami_lifecycle.domain.plan import BuildMode
from ami_lifecycle.errors import AgentNotOnlineError, AgentTooOldError, CommandUndeliveredError
from ami_lifecycle.ports import Commands, Instances
from ami_lifecycle.steps.lookups import require_alive

# SSM user guide, "Parameters of documents": interpolationType ENV_VAR needs this agent.
MINIMUM_AGENT: Final = (3, 3, 2746, 0)
# The documents' placeholder for an empty parameter.
NOTHING: Final = "-"
# An agent that updates or restarts loses commands sent to it, for a minute or two.
MOST_COMMANDS: Final = 5


class CommandInput(InstanceInput):
    """Input of the steps that send a document. `undelivered` is the last one sent, which never began."""

    undelivered: CommandRef | None = None


@dataclass(frozen=True)
class DocumentRunner:
    """Sends one document."""

    commands: Commands
    instances: Instances
    document: str

    def send(self, step: CommandInput, purpose: str, parameters: Mapping[str, str]) -> CommandRef:
        """Send the document to the step's instance, or find the command that an earlier attempt sent.

        Raises:
            AgentNotOnlineError: SSM does not accept the instance (yet, or at this moment).
            BuilderLostError, CanaryLostError: it never will, because the instance has ended.
            AgentTooOldError: the agent of the base image lacks what the documents need.
            CommandUndeliveredError: none of several commands has reached it.
        """
        number = step.undelivered.number + 1 if step.undelivered else 1
        if number > MOST_COMMANDS:
            raise CommandUndeliveredError(
                f"none of {MOST_COMMANDS} commands has reached {step.instance_id} in its time, though its SSM agent "
                "was online: look at the instance's console output, and at the subnet's way to ssmmessages and "
                "ec2messages"
            )
        comment = document_comment(purpose, step.plan.run_id, number)
        # SendCommand has no client token; a command whose response was lost is found by its comment.
        command_id = self.commands.find(step.instance_id, comment)
        if command_id is None:
            self._require_agent(step)
            command_id = self.commands.send(step.instance_id, self.document, parameters, comment)
        return CommandRef(command_id=command_id, instance_id=step.instance_id, number=number)

    def _require_agent(self, step: CommandInput) -> None:
        instance_id = step.instance_id
        version = self.commands.agent_version(instance_id)
        if version is None:
            require_alive(instance_id, self.instances)
            raise AgentNotOnlineError(
                f"the SSM agent of {instance_id} is not online at this moment. If it never is again: look at the "
                "instance's console output, and build again"
            )
        numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
        if numbers < MINIMUM_AGENT:
            minimum = ".".join(map(str, MINIMUM_AGENT))
            remedy = (
                "The next build starts from the base: the sweep starts it where a tag still names this digest; else "
                "build again"
                if step.plan.mode is BuildMode.UPDATE
                else "The base's own image is too old: build when its publisher has made another, or name another base"
            )
            raise AgentTooOldError(
                f"the SSM agent of {instance_id} is {version}; documents that pass parameters as environment "
                f"variables need {minimum}. {remedy}"
            )
