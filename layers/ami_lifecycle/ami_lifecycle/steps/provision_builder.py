"""Provision Builder: pull the Docker image onto the builder, and install what runs it."""

from __future__ import annotations

from ami_lifecycle.domain.execution import CommandRef
from ami_lifecycle.domain.hooks import encoded_hooks
from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.plan import BuildMode, BuildPlan
from ami_lifecycle.domain.settings import encoded
from ami_lifecycle.domain.start_programs import START_PROGRAMS
from ami_lifecycle.steps.document_runner import NOTHING, CommandInput, DocumentRunner


def provision_builder(step: CommandInput, runner: DocumentRunner, region: str) -> CommandRef:
    """Send ProvisionImage to the builder. Raises as `DocumentRunner.send` does."""
    return runner.send(step, "provision", provisioning_parameters(step.plan, region))


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
        "ContainerIpc": container.ipc or NOTHING,
        "ContainerNetwork": container.network or NOTHING,
        "ContainerUlimits": ",".join(container.ulimits) or NOTHING,
        "ContainerDevices": ",".join(container.devices) or NOTHING,
        "ContainerRestart": container.restart,
        "ContainerValues": encoded(container.values_at_start),
        "ContainerPrograms": packed(START_PROGRAMS) if container.values_at_start else NOTHING,
        "GpuEnabled": _flag(container.gpu),
        "NvidiaToolkit": _flag(container.nvidia_toolkit),
        "NvidiaDriver": container.nvidia_driver or "none",
        "MinimumFreeGiB": str(settings.builder.minimum_free_gib),
        "Hooks": encoded_hooks(
            settings.hooks,
            settings.hook_scripts,
            "provision",
            "provision_after",
            programs=settings.hook_programs,
        ),
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"
