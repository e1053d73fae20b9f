"""A base without an agent, as Debian's: a fresh build's builder gets it by its user data, and the image keeps it."""

import socket
from collections.abc import Iterator

import pytest
from tests.e2e.provisioning.bed import Bed
from tests.e2e.provisioning.oci_images import an_image

from ami_lifecycle.steps.user_data import user_data
from aws_emulator.machines.base_image import ImageStore, prepare_base_image
from aws_emulator.machines.ecr_endpoint import EcrEndpoint
from aws_emulator.machines.machine_host import MachineHost

ARN = "arn:aws:states:us-east-1:123456789012:execution:build-image:x"


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """Machines of Debian 12 without an agent, and Docker's graph drivers."""
    store = ImageStore.GRAPH_DRIVER
    base = prepare_base_image("123456789012", "us-east-1", store=store, has_agent=False)
    with MachineHost(base) as machines:
        listener = socket.create_server(("127.0.0.1", 0))
        pushes = EcrEndpoint(listener, machines.registry, machines.authority, None, pushed=lambda *_: None)
        yield Bed(machines, pushes, store)
        pushes.close()


def test_the_agent_comes_with_the_first_boot_and_stays_in_the_image(bed: Bed) -> None:
    image = an_image(bed.machines.base.busybox, "version one")
    bed.push(image, "prod-latest")
    script = user_data(180, ARN, installs_agent=True)
    with bed.instance(bed.machines.base.disk, user_data=script) as builder:
        builder.shell("cloud-init status --wait")
        assert builder.shell("systemctl is-active amazon-ssm-agent") == "active\n"
        assert "ID=debian" in builder.shell("cat /etc/os-release")
        assert builder.provision(image.digest, "fresh").facts["os"]["name"] == "Debian GNU/Linux"
        disk = bed.keep(builder.stop())
    with bed.instance(disk, user_data=user_data(180, ARN, installs_agent=False)) as canary:
        canary.shell("cloud-init status --wait")
        assert canary.shell("systemctl is-active amazon-ssm-agent") == "active\n"
        assert canary.verify(image.digest).facts["image_digest"] == image.digest


def test_an_instance_that_has_an_agent_keeps_it(bed: Bed) -> None:
    script = user_data(180, ARN, installs_agent=True)
    with bed.instance(bed.machines.base.disk, user_data=script) as builder:
        builder.shell("cloud-init status --wait")
        started = builder.shell("systemctl show --property=ActiveEnterTimestamp amazon-ssm-agent")
        builder.shell("sh /var/lib/cloud/instance/user-data.txt")
        assert builder.shell("systemctl show --property=ActiveEnterTimestamp amazon-ssm-agent") == started
