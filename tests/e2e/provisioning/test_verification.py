"""Canaries that are not as they must be: VerifyImage refuses each, in one sentence."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.provisioning.bed import Bed, Instance, encoded
from tests.e2e.provisioning.conftest import OPERATOR, Built, Images
from tests.e2e.provisioning.oci_images import an_image


@pytest.fixture
def canary(bed: Bed, fresh: Built) -> Iterator[Instance]:
    """A canary from the fresh build's disk."""
    with bed.instance(fresh.disk, public_key=OPERATOR) as instance:
        yield instance


def test_every_kind_of_health_check_passes(canary: Instance, images: Images) -> None:
    command = {
        "HealthCheck": "command",
        "HealthCommand": encoded("busybox wget -q -O - http://127.0.0.1:8080/"),
    }
    for changes in ({"HealthCheck": "none"}, {"HealthCheck": "http", "HealthPath": "/index.html"}, command):
        assert canary.verify(images.first.digest, **changes).facts["health_check"] == changes["HealthCheck"]


def test_it_changes_nothing(canary: Instance, images: Images) -> None:
    listing = "find / -xdev -newer /run/mark -type f ! -path '/var/lib/amazon/*' ! -path '/var/log/*' ! -path '/var/lib/docker/*'"
    canary.shell("cloud-init status --wait; sleep 1; touch /run/mark; sleep 0.1")
    assert canary.verify(images.first.digest).code == 0
    assert canary.shell(listing) == ""


def test_another_digest_is_refused(canary: Instance, images: Images) -> None:
    assert images.second.digest in canary.verify(images.second.digest).failed(17)


def test_a_second_image_is_refused(canary: Instance, images: Images) -> None:
    canary.shell("printf 'FROM scratch\\nLABEL a=b\\n' | docker build --quiet -")
    assert "other images" in canary.verify(images.first.digest).failed(17)


def test_a_unit_that_is_not_enabled_is_refused(canary: Instance, images: Images) -> None:
    canary.shell("systemctl disable comfyui")
    assert "not enabled" in canary.verify(images.first.digest).failed(19)


def test_a_drop_in_that_starts_something_else_is_refused(canary: Instance, images: Images) -> None:
    folder = "/etc/systemd/system/comfyui.service.d"
    canary.shell(
        f"mkdir {folder}; printf '[Service]\\nExecStart=\\nExecStart=/bin/true\\n' >{folder}/x.conf; systemctl daemon-reload"
    )
    assert "does not start" in canary.verify(images.first.digest).failed(19)


def test_an_application_that_ends_at_once_is_refused(bed: Bed, fresh: Built, images: Images) -> None:
    talkative = ["/bin/sh", "-c", "echo password=hunter2 the reason; exit 3"]
    with bed.instance(fresh.disk) as builder:
        builder.provision(images.first.digest, ContainerCommand=encoded(talkative))
        with bed.instance(builder.stop()) as canary:
            for kind in ("none", "http"):
                ending = canary.verify(images.first.digest, HealthCheck=kind)
                assert "is not healthy" in ending.failed(21)
                assert "hunter2" not in ending.stderr


def test_an_application_that_does_not_answer_is_refused(canary: Instance, images: Images) -> None:
    ending = canary.verify(images.first.digest, HealthPath="/missing", HealthTimeoutSeconds="5")
    assert "/missing said: " in ending.failed(21)
    failing = canary.verify(
        images.first.digest, HealthCheck="command", HealthCommand=encoded("exit 7"), HealthTimeoutSeconds="5"
    )
    assert "its health command ended with status 7" in failing.failed(21)


def test_a_dead_docker_daemon_is_refused(canary: Instance, images: Images) -> None:
    canary.be_impatient()
    canary.shell("systemctl stop docker.socket docker; systemctl mask --runtime docker docker.socket")
    assert "does not answer" in canary.verify(images.first.digest).failed(18)


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        ("mkdir /root/.docker; echo '{}' >/root/.docker/config.json", ".docker/config.json is there"),
        ("mkdir /home/ubuntu/.aws; echo key >/home/ubuntu/.aws/credentials", ".aws/credentials is there"),
        ("echo 'curl -u me:secret' >/root/.bash_history", ".bash_history is there"),
        ("echo 'ssh-ed25519 AAAAsomebody' >>/home/ubuntu/.ssh/authorized_keys", "a key that this launch did not inject"),
        ("mkdir -p /root/.ssh; echo key >/root/.ssh/id_ed25519", "id_ed25519 is there"),
        ("mkdir -p /var/log/journal/0123456789abcdef0123456789abcdef; : >/var/log/journal/0123456789abcdef0123456789abcdef/x", "another machine's journal"),
        ("mkdir -p /var/lib/amazon/ssm/BUILDER", "is the builder's"),
        ("echo 'BUILDER was here' >>/var/log/app.log", "names the builder"),
        ("rm /etc/ami-lifecycle/build.json", "is missing or not JSON"),
    ],
)  # fmt: skip
def test_a_leftover_is_refused(canary: Instance, fresh: Built, images: Images, leave: str, told: str) -> None:
    canary.shell(leave.replace("BUILDER", fresh.builder.identity.instance_id))
    assert told in canary.verify(images.first.digest).failed(20)


def test_the_builder_s_own_identity_is_refused(
    bed: Bed, fresh: Built, canary: Instance, images: Images
) -> None:
    record = json.loads((canary.machine.root / "etc/ami-lifecycle/build.json").read_text())
    for name, command in {
        "machine_id_sha256": "tr -d '\\n' </etc/machine-id | sha256sum | cut -c1-64",
        "ssh_host_keys_sha256": 'printf %s "$(cat /etc/ssh/ssh_host_ed25519_key.pub)" | sha256sum | cut -c1-64',
    }.items():
        value = canary.shell(command).strip()
        changed = record | {name: [value] if name.startswith("ssh") else value}
        (canary.machine.root / "etc/ami-lifecycle/build.json").write_text(json.dumps(changed))
        assert "is the builder's" in canary.verify(images.first.digest).failed(20)


def test_too_little_space_is_refused(canary: Instance, images: Images) -> None:
    assert "are free" in canary.verify(images.first.digest, MinimumFreeGiB="500").failed(14)


def test_an_image_without_the_application_is_refused(bed: Bed, images: Images) -> None:
    with bed.instance(bed.room.base.disk) as canary:
        canary.be_impatient()
        canary.verify(images.first.digest).failed(18)


def test_a_large_image_is_read_at_most_in_part(bed: Bed, fresh: Built) -> None:
    large = bed.push(an_image(bed.room.base.busybox, "read", filler_layers=3, filler_bytes=100_000_000))
    with bed.instance(fresh.disk) as builder:
        builder.provision(large)
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(large).facts["first_read_bytes"] == 256 * 1024**2
