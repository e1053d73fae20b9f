import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.provisioning.bed import Bed, Ending, Instance, Secrets, as_seen
from tests.e2e.provisioning.oci_images import OciImage, an_image, an_index

from aws_emulator.machines.base_image import ImageStore, prepare_base_image
from aws_emulator.machines.ecr_endpoint import EcrEndpoint
from aws_emulator.machines.machine_host import MachineHost
from aws_emulator.machines.requirements import missing_requirements

LABELS = {
    "ami-lifecycle.commit": "0a1b2c3d",
    "ami-lifecycle.branch": "main",
    "maintainer": "nobody",
}
MARKER = "e2e_provisioning"
OPERATOR = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOperatorsKey operator@example.com"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what needs machines only when it is asked for: it takes minutes, root and packages."""
    asked = MARKER in config.getoption("markexpr")
    reasons = missing_requirements() if asked else []
    left_out = []
    for item in list(items):
        if Path(__file__).parent in item.path.parents and "bed" in getattr(item, "fixturenames", ()):
            item.add_marker(MARKER)
            if reasons:
                item.add_marker(pytest.mark.skip(reason="; ".join(reasons)))
            if not asked:
                items.remove(item)
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session", params=list(ImageStore))
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """Machines for each of Docker's stores for images: all these tests hold on both."""
    base = prepare_base_image("123456789012", "us-east-1", store=request.param)
    with MachineHost(base) as machines:
        listener = socket.create_server(("127.0.0.1", 0))
        pushes = EcrEndpoint(listener, machines.registry, machines.authority, None, pushed=lambda *_: None)
        yield Bed(machines, pushes, request.param)
        pushes.close()


@pytest.fixture(autouse=True)
def sound_registry(request: pytest.FixtureRequest) -> None:
    """Nothing is wrong with the registry when a test begins."""
    if "bed" in request.fixturenames:
        request.getfixturevalue("bed").machines.faults.clear()


@dataclass
class Images:
    """Images of the application: two versions, as a build service pushes them."""

    first: OciImage
    second: OciImage


@pytest.fixture(scope="session")
def images(bed: Bed) -> Images:
    """Two versions, each an index of two architectures with labels and attestations."""
    pushed = []
    for page in ("version one", "version two"):
        busybox = bed.machines.base.busybox
        labels = LABELS | {"org.opencontainers.image.version": page}
        variants = [an_image(busybox, page, labels=labels, architecture=each) for each in ("amd64", "arm64")]
        index = an_index(*variants)
        bed.push(index, "prod-latest")
        pushed.append(index)
    return Images(*pushed)


@dataclass
class Built:
    """What a fresh build left: its disk, how it ended, and what was on the builder before."""

    disk: Path
    ending: Ending
    secrets: Secrets
    builder: Instance


@pytest.fixture(scope="session")
def fresh(bed: Bed, images: Images) -> Built:
    """A builder from the vendor's image with credentials planted all over, provisioned and shut down."""
    planted = Secrets()
    with bed.instance(bed.machines.base.disk, public_key=OPERATOR) as builder:
        builder.shell("cloud-init status --wait")
        planted.plant(builder)
        ending = builder.provision(images.first.digest, "fresh")
        planted.planted |= as_seen(builder.identity)
        planted.planted |= {
            f"token {n}": token for n, token in enumerate(bed.machines.authority.all_tokens())
        }
        return Built(bed.keep(builder.stop()), ending, planted, builder)
