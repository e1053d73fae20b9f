"""The documents on a machine with dnf: a fresh build, its canary, and an update."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.provisioning.bed import Bed, Ending
from tests.e2e.provisioning.oci_images import OciImage, an_image

from aws_emulator.machines.base_image import ImageStore, PackageFamily, prepare_base_image
from aws_emulator.machines.ecr_endpoint import EcrEndpoint
from aws_emulator.machines.machine_host import MachineHost


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """Machines with dnf, and Docker's graph drivers."""
    store = ImageStore.GRAPH_DRIVER
    base = prepare_base_image("123456789012", "us-east-1", store=store, family=PackageFamily.DNF)
    with MachineHost(base) as machines:
        listener = socket.create_server(("127.0.0.1", 0))
        pushes = EcrEndpoint(listener, machines.registry, machines.authority, None, pushed=lambda *_: None)
        yield Bed(machines, pushes, store)
        pushes.close()


@dataclass
class Built:
    """What a fresh build left: its disk, and how it ended."""

    disk: Path
    ending: Ending
    second: Ending
    image: OciImage


@pytest.fixture(scope="module")
def built(bed: Bed) -> Built:
    """A builder from the vendor's image, provisioned twice and shut down."""
    image = an_image(bed.machines.base.busybox, "version one")
    bed.push(image, "prod-latest")
    with bed.instance(bed.machines.base.disk) as builder:
        assert "apt-get" not in builder.shell("compgen -c")
        ending = builder.provision(image.digest, "fresh")
        second = builder.provision(image.digest, "fresh")
        return Built(bed.keep(builder.stop()), ending, second, image)


def test_dnf_installs_docker_and_the_image_is_there(built: Built) -> None:
    facts = built.ending.facts
    assert facts["os"] == {"name": "Amazon Linux", "version": "2023"}
    assert facts["image_digest"] == built.image.digest
    assert "installing docker pigz amazon-ecr-credential-helper" in built.ending.stdout
    assert built.ending.stderr == ""


def test_a_second_run_installs_nothing(built: Built) -> None:
    assert built.second.facts["image_digest"] == built.image.digest
    assert "installing" not in built.second.stdout


def test_nothing_of_the_builder_and_no_list_is_left(bed: Bed, built: Built) -> None:
    with bed.files(built.disk) as root:
        assert (root / "etc/machine-id").read_text() == ""
        assert list(root.glob("etc/ssh/ssh_host_*")) == []
        assert list(root.glob("var/cache/dnf/*")) == []
        record = json.loads((root / "etc/ami-lifecycle/build.json").read_text())
        assert record["image_digest"] == built.image.digest


def test_the_canary_is_verified_and_an_update_replaces_the_image(bed: Bed, built: Built) -> None:
    other = an_image(bed.machines.base.busybox, "version two")
    bed.push(other, "prod-latest")
    with bed.instance(built.disk) as canary:
        assert canary.verify(built.image.digest).facts["image_digest"] == built.image.digest
        assert canary.shell("curl -s http://127.0.0.1:8188/") == "version one\n"
    with bed.instance(built.disk) as builder:
        ending = builder.provision(other.digest, "update")
        assert ending.facts["image_digest"] == other.digest
        assert "installing" not in ending.stdout


def test_an_archive_that_is_down_is_told(bed: Bed, built: Built) -> None:
    with bed.instance(bed.machines.base.disk) as builder:
        builder.be_impatient()
        builder.archive.is_down = True
        assert "dnf could not install docker pigz" in builder.provision(built.image.digest, "fresh").failed(
            13
        )
