"""What ProvisionImage is told: every setting under its parameter's name, and a word for what is not set."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.steps.test_instances_and_waits import INSTANCE, Build, at_instance

from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.plan import BuildMode, BuildPlan
from ami_lifecycle.domain.start_programs import START_PROGRAMS
from ami_lifecycle.steps.provision_builder import provisioning_parameters

CONTAINER = {
    "ports": ["80:8188", "443:8443"],
    "environment": {"MODE": "a b"},
    "command": ["--listen"],
    "volumes": ["/data:/data:ro", "/models:/models"],
    "shm_mib": 2048,
    "ipc": "shareable",
    "network": "bridge",
    "ulimits": ["memlock=-1", "nofile=1024:2048"],
    "devices": ["/dev/fuse", "/dev/snd"],
    "restart": "on-failure",
    "secrets": {"TOKEN": "ssm:/app/token"},
    "instance_variables": {"SHARD": "tag:Shard|1"},
    "gpu": True,
    "nvidia_toolkit": True,
    "nvidia_driver": "535-server",
}


def told(plan: BuildPlan, expected: dict[str, str]) -> None:
    parameters = provisioning_parameters(plan, "eu-west-1")
    assert {name: parameters.get(name) for name in expected} == expected


def test_every_setting_of_the_container_has_its_parameter() -> None:
    build = Build(container=CONTAINER, builder={"minimum_free_gib": 7})
    source = build.plan.image.model_copy(update={"size_bytes": 5_000_000_000, "tag": "prod-latest"})
    plan = build.plan.model_copy(update={"mode": BuildMode.UPDATE, "source": source})
    told(
        plan,
        {
            "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui",
            "ImageDigest": build.digest,
            "ImageTag": "prod-latest",
            "ImageSizeBytes": "5000000000",
            "Mode": "update",
            "Region": "eu-west-1",
            "Application": "comfyui",
            "Environment": "prod",
            "RunId": plan.run_id,
            "ContainerPorts": "80:8188,443:8443",
            "ContainerEnvironment": base64.b64encode(b'{"MODE": "a b"}').decode(),
            "ContainerCommand": base64.b64encode(b'["--listen"]').decode(),
            "ContainerVolumes": "/data:/data:ro,/models:/models",
            "ContainerShmMiB": "2048",
            "ContainerIpc": "shareable",
            "ContainerNetwork": "bridge",
            "ContainerUlimits": "memlock=-1,nofile=1024:2048",
            "ContainerDevices": "/dev/fuse,/dev/snd",
            "ContainerRestart": "on-failure",
            "ContainerValues": base64.b64encode(
                b'{"secrets": {"TOKEN": "ssm:/app/token"}, "instance_variables": {"SHARD": "tag:Shard|1"}}'
            ).decode(),
            "ContainerPrograms": packed(START_PROGRAMS),
            "GpuEnabled": "true",
            "NvidiaToolkit": "true",
            "NvidiaDriver": "535-server",
            "MinimumFreeGiB": "7",
        },
    )


def test_what_is_not_set_is_said_by_a_word_of_its_own() -> None:
    build = Build(container={"ports": []})
    source = build.plan.image.model_copy(update={"size_bytes": None, "tag": None})
    told(
        build.plan.model_copy(update={"mode": None, "source": source}),
        {
            "ImageTag": "-",
            "ImageSizeBytes": "0",
            "Mode": "fresh",
            "ContainerPorts": "-",
            "ContainerEnvironment": "-",
            "ContainerCommand": "-",
            "ContainerVolumes": "-",
            "ContainerShmMiB": "0",
            "ContainerIpc": "-",
            "ContainerNetwork": "-",
            "ContainerUlimits": "-",
            "ContainerDevices": "-",
            "ContainerRestart": "always",
            "ContainerValues": "-",
            "ContainerPrograms": "-",
            "GpuEnabled": "false",
            "NvidiaToolkit": "false",
            "NvidiaDriver": "none",
            "MinimumFreeGiB": "10",
        },
    )


@pytest.mark.parametrize(
    ("gpu", "toolkit"), [({"gpu": True}, "false"), ({"gpu": True, "nvidia_toolkit": True}, "true")]
)
def test_a_gpu_may_come_with_its_toolkit_in_the_base(gpu: dict[str, Any], toolkit: str) -> None:
    told(Build(container=gpu).plan, {"GpuEnabled": "true", "NvidiaToolkit": toolkit})


def test_the_builder_is_sent_the_document_with_its_parameters() -> None:
    build = Build()
    sent = build.execution.provision_builder(at_instance(build))
    (command,) = build.account.world.commands.sent
    assert (sent.command_id, sent.instance_id, sent.number) == (command.command_id, INSTANCE, 1)
    assert command.comment == f"ami-lifecycle provision {build.plan.run_id}"
    assert (command.instance_id, command.document) == (INSTANCE, "Document")
    assert command.parameters == provisioning_parameters(build.plan, "us-east-1")
