"""Verify Image: check on the canary that the application starts and serves."""

from __future__ import annotations

import base64

from ami_lifecycle.domain.execution import CommandRef
from ami_lifecycle.domain.hooks import encoded_hooks
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.steps.document_runner import NOTHING, CommandInput, DocumentRunner


def verify_image(
    step: CommandInput, runner: DocumentRunner, region: str, *, lists_packages: bool = False
) -> CommandRef:
    """Send VerifyImage to the canary. Raises as `DocumentRunner.send` does."""
    parameters = verification_parameters(step.plan, region, lists_packages=lists_packages)
    return runner.send(step, "verify", parameters)


def verification_parameters(plan: BuildPlan, region: str, *, lists_packages: bool = False) -> dict[str, str]:
    """Parameters of VerifyImage (documents/README.md)."""
    settings = plan.configured
    health = settings.verification.health_check
    promotion = plan.promotion
    # What the disks say of themselves is of the environment that they were built for.
    built_for = {"BuiltFor": promotion.built_for} if promotion is not None else {}
    packages = {"PackageList": "true"} if lists_packages else {}
    return {
        **built_for,
        **packages,
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
        "Hooks": encoded_hooks(
            settings.hooks, settings.hook_scripts, "verify", programs=settings.hook_programs
        ),
    }
