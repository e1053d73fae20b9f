import hashlib
import json
from pathlib import Path

import pytest
from tests.unit.documents.scratch_machine import (
    BUILDER_ID,
    IMAGE_URI,
    NEW_DIGEST,
    OLD_DIGEST,
    Machine,
    an_image,
)

IDENTITY = {
    "ImageUri": IMAGE_URI,
    "ImageDigest": NEW_DIGEST,
    "Region": "us-east-1",
    "Application": "comfyui",
    "Environment": "prod",
    "RunId": "run-1",
}


@pytest.fixture
def plain(tmp_path: Path) -> Machine:
    """A builder launched from plain Ubuntu: no Docker, nothing of ours."""
    return Machine(tmp_path / "builder", IDENTITY | {"Mode": "fresh", "ImageTag": "prod-latest"})


@pytest.fixture
def builder(tmp_path: Path) -> Machine:
    """A builder launched from the environment's own image, with the old Docker image running."""
    machine = Machine(tmp_path / "builder", IDENTITY | {"Mode": "update", "ImageTag": "prod-latest"})
    machine.install("dockerd")
    machine.install("docker-credential-ecr-login")
    old = an_image(OLD_DIGEST, RepoTags=[f"{IMAGE_URI}:prod-latest"])
    machine.docker(images={old["Id"]: old}, containers={"comfyui": {"Image": old["Id"]}})
    return machine


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()


@pytest.fixture
def canary(tmp_path: Path) -> Machine:
    """A canary as it should be: freshly booted from the candidate, its application up for a minute."""
    machine = Machine(tmp_path / "canary", IDENTITY)
    machine.install("dockerd")
    reference = f"{IMAGE_URI}@{NEW_DIGEST}"
    layer = machine.write("var/lib/docker/overlay2/1/diff/model", "m" * 5000).parent
    image = an_image(RepoTags=[f"{IMAGE_URI}:prod-latest"], GraphDriver={"Data": {"UpperDir": str(layer)}})
    machine.docker(images={image["Id"]: image}, store="graph-driver")
    record = {
        "application": "comfyui",
        "environment": "prod",
        "image_digest": NEW_DIGEST,
        "builder_instance_id": BUILDER_ID,
        "machine_id_sha256": digest(machine.read("etc/machine-id")),
        "ssh_host_keys_sha256": [digest(machine.read("etc/ssh/ssh_host_ed25519_key.pub"))],
    }
    machine.write("etc/ami-lifecycle/build.json", json.dumps(record))
    machine.boot_as_canary(reference)
    machine.write(
        "run/cloud-init/instance-data.json",
        json.dumps({"v1": {"public_ssh_keys": ["ssh-ed25519 OPERATOR me"]}}),
    )
    machine.write("var/log/journal/fedcba9876543210fedcba9876543210/system.journal", "")
    return machine
