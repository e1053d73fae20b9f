"""Simulation of the documents `ProvisionImage` and `VerifyImage` on emulated instances.

No shell script runs; parameters, facts and exit codes are those of `documents/README.md`.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.packages import told_packages
from aws_emulator.ec2.model import Content, Instance
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.faults import Faults
from aws_emulator.ssm.provisioner import CommandResult, PendingResult, ShellProvisioner

_OS: Final = {"name": "Ubuntu", "version": "22.04"}
_KERNEL: Final = "6.8.0-1021-aws"
_DOCKER: Final = "27.5.1"
_SYSTEM_BYTES: Final = 6 * 2**30
# Systems Manager user guide, Troubleshooting parameter handling: interpolationType ENV_VAR needs this agent.
_KNOWS_VARIABLES: Final = (3, 3, 2746, 0)
# Exit codes of the documents (documents/README.md, Failures).
_BAD_PARAMETER: Final = 10
_NOT_SIGNED_IN: Final = 15
_NOT_PULLED: Final = 16
_WRONG_IMAGE: Final = 17
_WRONG_UNIT: Final = 19
_LEFTOVERS: Final = 20
_HOOK_FAILED: Final = 26
_DOCKER_ARCHITECTURES: Final = {"x86_64": "amd64"}
RefusedPull = Callable[[Mapping[str, str] | None, str], str | None]


class SimulatedProvisioner(ShellProvisioner):
    """Provisions and verifies by looking at the emulated ECR and at the content of disks.

    Args:
        refused_pull: what the registry says to an instance that may not pull from a repository; None if it may.
    """

    def __init__(
        self,
        durations: BuildDurations,
        ec2: Ec2Store,
        registry: Registry,
        faults: Faults,
        refused_pull: RefusedPull = lambda _profile, _repository: None,
    ) -> None:
        self._durations = durations
        self._ec2 = ec2
        self._registry = registry
        self._faults = faults
        self._refused_pull = refused_pull

    def run(
        self, document_name: str, parameters: Mapping[str, Any], instance: Instance
    ) -> CommandResult | PendingResult:
        """The result of a document: known ones are simulated, of others only `exit N` has a meaning."""
        provisions = "ProvisionImage" in document_name
        verifies = "VerifyImage" in document_name
        if not provisions and not verifies:
            return super().run(document_name, parameters, instance)
        if _version(instance.agent_version) < _KNOWS_VARIABLES:
            # Our documents pass every parameter as an environment variable, and such an agent sets none.
            parameters = {}
        fault = self._faults.command(
            document_name, parameters.get("Environment"), parameters.get("ImageDigest")
        )
        missing = sorted({"ImageUri", "ImageDigest", *(["Mode"] if provisions else [])} - set(parameters))
        if missing:
            sentence = f"ami-lifecycle: {missing[0]} is not set; send the command with all parameters\n"
            return CommandResult(1.0, _BAD_PARAMETER, "", sentence)
        seconds = self._durations.provision if provisions else self._durations.verify
        if fault is not None:
            return CommandResult(seconds, fault.exit_code, "", fault.stderr)
        result = self._provision(parameters, instance) if provisions else self._verify(parameters, instance)
        return _after_hooks(result, parameters.get("Hooks", "-"))

    def _provision(self, parameters: Mapping[str, str], instance: Instance) -> CommandResult | PendingResult:
        seconds = self._durations.provision
        repository, digest = _repository(parameters["ImageUri"]), parameters["ImageDigest"]
        reference = f"{parameters['ImageUri']}@{digest}"
        if refusal := self._refused_pull(instance.profile, repository):
            sentence = f"ami-lifecycle: the registry refused the builder; let its role pull\n{refusal}\n"
            return CommandResult(seconds, _NOT_SIGNED_IN, "", sentence)
        if not self._registry.has_image(repository, digest):
            sentence = (
                f"ami-lifecycle: the image {reference} could not be pulled; check that ECR still has it\n"
            )
            return CommandResult(seconds, _NOT_PULLED, f"pulling {reference}\n", sentence)
        architecture = _DOCKER_ARCHITECTURES.get(instance.image.architecture, instance.image.architecture)
        if refusal := self._registry.refusal_of_pull(repository, digest, architecture):
            sentence = (
                f"ami-lifecycle: {reference} cannot be used: {refusal}; push an image for this instance\n"
            )
            return CommandResult(seconds, _WRONG_IMAGE, f"pulling {reference}\n", sentence)
        variant = self._registry.variant_for(repository, digest, architecture)
        size = self._registry.image_size(repository, variant)
        facts = {
            **self._facts("provision", digest, size, instance),
            "image_labels": self._registry.labels(repository, variant),
            "mode": parameters["Mode"],
            "duration_seconds": _phases(
                seconds,
                {"cloud_init": 0.02, "packages": 0.2, "pull": 0.7, "configure": 0.03, "cleanup": 0.05},
            ),
        }
        content = provisioned_content(parameters, size)
        lines = (
            f"{parameters['Mode']} build of {content['application']} for {content['environment']}",
            f"pulling {reference}, attempt 1",
            "removing what belongs to the builder",
            _line(facts),
        )
        stdout = "".join(f"{line}\n" for line in lines)
        return CommandResult(seconds, 0, stdout, "", content)

    def _verify(self, parameters: Mapping[str, str], instance: Instance) -> CommandResult | PendingResult:
        seconds = self._durations.verify
        content = self._ec2.content_of(instance)
        digest, present = parameters["ImageDigest"], content.get("image_digest")
        if present != digest:
            sentence = f"ami-lifecycle: the image holds {present or 'no Docker image'}, not {digest}; build it again\n"
            return CommandResult(seconds, _WRONG_IMAGE, "", sentence)
        if not content.get("unit_enabled"):
            sentence = "ami-lifecycle: the unit is not enabled; build the image again\n"
            return CommandResult(seconds, _WRONG_UNIT, "", sentence)
        built_for = parameters.get("BuiltFor", "-")
        wanted = parameters.get("Environment", "") if built_for == "-" else built_for
        if content.get("environment") != wanted:
            sentence = f"ami-lifecycle: build.json names the environment {content.get('environment')}; build it again\n"
            return CommandResult(seconds, _LEFTOVERS, "", sentence)
        rate = self._ec2.root_volume(instance).device.initialization_rate
        boot = self._durations.canary_online + self._durations.first_read(rate)
        facts = {
            **self._facts("verify", digest, int(content.get("image_size_bytes", 0)), instance),
            "health_check": parameters.get("HealthCheck", "none"),
            "boot_to_container_seconds": round(boot * 0.9, 1),
            "boot_to_healthy_seconds": round(boot + seconds * 0.5, 1),
            "first_read_bytes": 2**28,
            "first_read_seconds": round(seconds * 0.3, 1),
            "duration_seconds": _phases(
                seconds,
                {
                    "cloud_init": 0.05,
                    "image": 0.05,
                    "start": 0.0,
                    "health": 0.6,
                    "read": 0.25,
                    "cleanliness": 0.05,
                },
            ),
        }
        if parameters.get("PackageList") == "true":
            facts["packages"] = told_packages(digest, _OS, {"docker": _DOCKER, "kernel": _KERNEL})
        check = f"waiting for {content.get('application', '')} to be healthy: {facts['health_check']}"
        lines = (check, "looking for what must not be in an image", _line(facts))
        return CommandResult(seconds, 0, "".join(f"{line}\n" for line in lines), "")

    def _facts(self, kind: str, digest: str, size: int, instance: Instance) -> dict[str, Any]:
        disk = self._ec2.root_volume(instance).device.volume_size * 2**30
        return {
            "schema": 1,
            "kind": kind,
            "image_digest": digest,
            "image_size_bytes": size,
            "os": _OS,
            "kernel": _KERNEL,
            "docker_version": _DOCKER,
            "free_bytes": max(0, disk - _SYSTEM_BYTES - size),
        }


def provisioned_content(parameters: Mapping[str, str], size: int) -> Content:
    """The emulated content of a disk after `ProvisionImage`."""
    return {
        "image_uri": parameters["ImageUri"],
        "image_digest": parameters["ImageDigest"],
        "image_tag": parameters.get("ImageTag", "-"),
        "image_size_bytes": size,
        "data_bytes": _SYSTEM_BYTES + size,
        "unit_enabled": True,
        "application": parameters.get("Application", ""),
        "environment": parameters.get("Environment", ""),
        "run_id": parameters.get("RunId", ""),
        "mode": parameters["Mode"],
    }


def _after_hooks(result: CommandResult | PendingResult, hooks: str) -> CommandResult | PendingResult:
    """A document's result with its hooks: of a script, only `exit N` in a line of its own has a meaning."""
    if hooks == "-" or not isinstance(result, CommandResult) or result.exit_code:
        return result
    for stage, listed in json.loads(zlib.decompress(base64.b64decode(hooks))).items():
        for number, hook in enumerate(listed, 1):
            scripts = "".join(step["script"] for step in hook.get("steps", [hook]))
            ends = re.findall(r"^exit ([0-9]+)$", scripts, re.MULTILINE)
            if ends and int(ends[-1]):
                what = f"hook {number} of {stage}, {hook['name']}, ended with exit code {ends[-1]}"
                sentence = (
                    f"ami-lifecycle: {what}; read its last lines below, correct the hook and deploy it\n"
                )
                return CommandResult(result.duration_seconds, _HOOK_FAILED, "", sentence)
    return result


def _version(agent: str) -> tuple[int, ...]:
    return tuple(int(part) for part in agent.split("."))


def _repository(uri: str) -> str:
    return uri.partition("/")[2]


def _phases(seconds: float, shares: Mapping[str, float]) -> dict[str, int]:
    return {name: int(seconds * share) for name, share in shares.items()} | {"total": int(seconds)}


def _line(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, separators=(",", ":"))
