"""Provision Builder and Verify Image: send a document to an instance, once."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ami_lifecycle.domain.execution import CommandRef, InstanceInput
from ami_lifecycle.domain.naming import document_comment
from ami_lifecycle.domain.plan import BuildMode, BuildPlan
from ami_lifecycle.domain.settings import encoded
from ami_lifecycle.errors import AgentNotOnlineError, AgentTooOldError, CommandUndeliveredError
from ami_lifecycle.ports import Commands, Instances
from ami_lifecycle.steps.observing import require_alive

# SSM user guide, "Parameters of documents": interpolationType ENV_VAR needs this agent.
MINIMUM_AGENT: Final = (3, 3, 2746, 0)
NOTHING: Final = "-"
# An agent that updates or restarts loses what it was sent, for a minute or two; each command may wait for one.
MOST_COMMANDS: Final = 5


class CommandInput(InstanceInput):
    """Input of the steps that send a document. `undelivered` is the last one sent, which never began."""

    undelivered: CommandRef | None = None


@dataclass(frozen=True)
class DocumentRunner:
    """Sends our documents."""

    commands: Commands
    instances: Instances
    document: str
    region: str

    def provision_builder(self, step: CommandInput) -> CommandRef:
        """Send ProvisionImage to the builder.

        Raises:
            AgentNotOnlineError: SSM does not accept the instance (yet, or at this moment).
            BuilderLostError, CanaryLostError: it never will, because the instance has ended.
            AgentTooOldError: the agent of the base image does not know what our documents need.
            CommandUndeliveredError: none of several commands has reached it.
        """
        return self._send(step, "provision", provisioning_parameters(step.plan, self.region))

    def verify_image(self, step: CommandInput) -> CommandRef:
        """Send VerifyImage to the canary. Raises as `provision_builder` does."""
        return self._send(step, "verify", verification_parameters(step.plan, self.region))

    def _send(self, step: CommandInput, purpose: str, parameters: Mapping[str, str]) -> CommandRef:
        number = step.undelivered.number + 1 if step.undelivered else 1
        if number > MOST_COMMANDS:
            raise CommandUndeliveredError(
                f"none of {MOST_COMMANDS} commands has reached {step.instance_id} in its time, though its SSM agent "
                "was online: look at the instance's console output, and at the subnet's way to ssmmessages and "
                "ec2messages"
            )
        comment = document_comment(purpose, step.plan.run_id, number)
        # SendCommand has no client token, so an answer that was lost is found by its comment.
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
            wanted = ".".join(map(str, MINIMUM_AGENT))
            remedy = (
                "The next build starts from Ubuntu: the sweep starts it where a tag still names this digest; else "
                "build again"
                if step.plan.mode is BuildMode.UPDATE
                else "Ubuntu's own image is too old: build again when Canonical has published another"
            )
            raise AgentTooOldError(
                f"the SSM agent of {instance_id} is {version}; documents that pass parameters as environment "
                f"variables need {wanted}. {remedy}"
            )


def provisioning_parameters(plan: BuildPlan, region: str) -> dict[str, str]:
    """Parameters of ProvisionImage (documents/README.md)."""
    settings = plan.configured
    container = settings.container
    return {
        "ImageUri": plan.image.repository_uri,
        "ImageDigest": plan.image.digest,
        "ImageTag": plan.image.tag or NOTHING,
        "ImageSizeBytes": str(plan.image.size_bytes or 0),
        "Mode": (plan.mode or BuildMode.FRESH).value,
        "Region": region,
        "Application": settings.application,
        "Environment": settings.environment,
        "RunId": plan.run_id,
        "ContainerPorts": ",".join(container.ports) or NOTHING,
        "ContainerEnvironment": encoded(container.environment),
        "ContainerCommand": encoded(container.command),
        "ContainerVolumes": ",".join(container.volumes) or NOTHING,
        "ContainerShmMiB": str(container.shm_mib),
        "GpuEnabled": _flag(container.gpu),
        "NvidiaToolkit": _flag(container.nvidia_toolkit),
        "NvidiaDriver": container.nvidia_driver or "none",
        "MinimumFreeGiB": str(settings.builder.minimum_free_gib),
    }


def verification_parameters(plan: BuildPlan, region: str) -> dict[str, str]:
    """Parameters of VerifyImage (documents/README.md)."""
    settings = plan.configured
    health = settings.verification.health_check
    return {
        "ImageUri": plan.image.repository_uri,
        "ImageDigest": plan.image.digest,
        "Region": region,
        "Application": settings.application,
        "Environment": settings.environment,
        "RunId": plan.run_id,
        "HealthCheck": health.kind,
        "HealthPort": str(health.port),
        "HealthPath": health.path,
        "HealthCommand": base64.b64encode(health.command.encode()).decode() or NOTHING,
        "HealthTimeoutSeconds": str(health.timeout_seconds),
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"
