"""Canaries that are not as they must be: VerifyImage refuses each, in one sentence."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.provisioning.bed import CHECK, METACHARACTERS, VERIFY, Bed, Instance, encoded
from tests.e2e.provisioning.conftest import OPERATOR, Built, Images
from tests.e2e.provisioning.oci_images import an_image

SOMEBODY = "ssh-ed25519 AAAAsomebody"
JOURNAL = "/var/log/journal/0123456789abcdef0123456789abcdef"
DROP_IN = "/etc/systemd/system/comfyui.service.d"


@pytest.fixture(scope="module")
def canary(bed: Bed, fresh: Built) -> Iterator[Instance]:
    """A canary from the fresh build's disk. Each test undoes what it did to it."""
    with bed.instance(fresh.disk, public_key=OPERATOR) as instance:
        yield instance


def test_every_kind_of_health_check_passes(canary: Instance, images: Images) -> None:
    fetch = encoded("busybox wget -q -O - http://127.0.0.1:8080/")
    for changes in (
        {"HealthCheck": "none"},
        {"HealthCheck": "http", "HealthPath": "/index.html"},
        {"HealthCheck": "command", "HealthCommand": fetch},
    ):
        assert canary.verify(images.first.digest, **changes).facts["health_check"] == changes["HealthCheck"]


def test_it_changes_nothing(canary: Instance, images: Images) -> None:
    services = ("/var/lib/amazon", "/var/log", "/var/lib/docker", "/var/lib/containerd")
    excluded = " ".join(f"! -path '{each}/*'" for each in services)
    canary.shell("cloud-init status --wait; sleep 1; touch /run/mark; sleep 0.1")
    assert canary.verify(images.first.digest).code == 0
    assert canary.shell(f"find / -xdev -newer /run/mark -type f {excluded}") == ""


@pytest.mark.parametrize("name", sorted(VERIFY.parameters))
@pytest.mark.parametrize("value", METACHARACTERS)
def test_shell_metacharacters_are_refused_by_the_pattern(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        VERIFY.environment(CHECK | {"ImageDigest": "sha256:" + "0" * 64, name: value})


def test_shell_metacharacters_that_get_past_the_pattern_are_refused_by_the_script(
    canary: Instance, images: Images
) -> None:
    for name in VERIFY.parameters:
        for value in METACHARACTERS:
            canary.environment = {f"SSM_{name}": value}
            assert f"parameter {name} " in canary.verify(images.first.digest).failed(10)
    canary.environment = {}
    assert canary.shell("ls -d /pwned 2>/dev/null || true") == ""
    assert canary.verify(images.first.digest).code == 0


def test_another_digest_is_refused(canary: Instance, images: Images) -> None:
    assert images.second.digest in canary.verify(images.second.digest).failed(17)


def test_a_second_image_is_refused(canary: Instance, images: Images) -> None:
    canary.shell("printf 'FROM scratch\\nLABEL a=b\\n' | docker build --quiet --tag other -")
    assert "other images" in canary.verify(images.first.digest).failed(17)
    canary.shell("docker image rm other")


def test_a_unit_that_is_not_enabled_is_refused(canary: Instance, images: Images) -> None:
    canary.shell("systemctl disable comfyui")
    assert "not enabled" in canary.verify(images.first.digest).failed(19)
    canary.shell("systemctl enable comfyui")


def test_a_drop_in_that_starts_something_else_is_refused(canary: Instance, images: Images) -> None:
    lines = "[Service]\\nExecStart=\\nExecStart=/bin/true\\n"
    canary.shell(f"mkdir {DROP_IN}; printf '{lines}' >{DROP_IN}/x.conf; systemctl daemon-reload")
    assert "does not start" in canary.verify(images.first.digest).failed(19)
    canary.shell(f"rm -r {DROP_IN}; systemctl daemon-reload")


def test_an_application_that_ends_at_once_is_refused(bed: Bed, fresh: Built, images: Images) -> None:
    talkative = ["/bin/sh", "-c", "echo why it ended; echo password=hunter2 >&2; exit 3"]
    with bed.instance(fresh.disk) as builder:
        builder.provision(images.first.digest, ContainerCommand=encoded(talkative))
        with bed.instance(builder.stop()) as broken:
            for kind in ("none", "http"):
                ending = broken.verify(images.first.digest, HealthCheck=kind)
                assert "is not healthy" in ending.failed(21)
                assert "exit code 3" in ending.stderr.splitlines()[0]
                assert "why it ended" in ending.stderr
                assert "hunter2" not in ending.stderr
            assert "why it ended" in broken.shell("journalctl --unit comfyui --no-pager")


def test_a_container_that_docker_cannot_start_is_refused_with_docker_s_reason(
    bed: Bed, fresh: Built, images: Images
) -> None:
    reason = "could not select device driver"
    with bed.instance(fresh.disk) as builder:
        builder.provision(images.first.digest, GpuEnabled="true")
        with bed.instance(builder.stop()) as broken:
            ending = broken.verify(images.first.digest)
            assert "is not healthy" in ending.failed(21)
            assert reason in ending.stderr
            assert reason in broken.shell("journalctl --unit comfyui --no-pager")


def test_an_application_that_does_not_answer_is_refused(canary: Instance, images: Images) -> None:
    ending = canary.verify(images.first.digest, HealthPath="/missing", HealthTimeoutSeconds="5")
    assert "/missing said: " in ending.failed(21)
    failing = {"HealthCheck": "command", "HealthCommand": encoded("exit 7"), "HealthTimeoutSeconds": "5"}
    assert "its health command ended with status 7" in canary.verify(images.first.digest, **failing).failed(
        21
    )


@pytest.mark.parametrize(
    ("leave", "undo", "told"),
    [
        (
            "mkdir /root/.docker; echo '{}' >/root/.docker/config.json",
            "rm -r /root/.docker",
            "config.json is there",
        ),
        (
            "mkdir ~ubuntu/.aws; echo k >~ubuntu/.aws/credentials",
            "rm -r ~ubuntu/.aws",
            "credentials is there",
        ),
        ("echo 'curl -u me:secret' >/root/.bash_history", "rm /root/.bash_history", ".bash_history is there"),
        (
            f"echo '{SOMEBODY}' >>~ubuntu/.ssh/authorized_keys",
            "sed -i /somebody/d ~ubuntu/.ssh/authorized_keys",
            "a key that this launch did not inject",
        ),
        ("mkdir -p /root/.ssh; echo key >/root/.ssh/id_rsa", "rm /root/.ssh/id_rsa", "id_rsa is there"),
        (f"mkdir -p {JOURNAL}; : >{JOURNAL}/x", f"rm -r {JOURNAL}", "another machine's journal"),
        ("mkdir -p /var/lib/amazon/ssm/BUILDER", "rm -r /var/lib/amazon/ssm/BUILDER", "is the builder's"),
        ("echo 'BUILDER was here' >>/var/log/app.log", "rm /var/log/app.log", "names the builder"),
        (
            "mv /etc/ami-lifecycle/build.json /run/",
            "mv /run/build.json /etc/ami-lifecycle/",
            "is missing or not JSON",
        ),
    ],
)
def test_a_leftover_is_refused(
    canary: Instance, fresh: Built, images: Images, leave: str, undo: str, told: str
) -> None:
    builder = fresh.builder.identity.instance_id
    canary.shell(leave.replace("BUILDER", builder))
    assert told in canary.verify(images.first.digest).failed(20)
    canary.shell(undo.replace("BUILDER", builder))


def test_the_identity_of_the_builder_is_refused(canary: Instance, images: Images) -> None:
    path = canary.machine.root / "etc/ami-lifecycle/build.json"
    original = path.read_text()
    key = 'printf %s "$(cat /etc/ssh/ssh_host_ed25519_key.pub)" | sha256sum | cut -c1-64'
    machine_id = canary.shell("tr -d '\\n' </etc/machine-id | sha256sum | cut -c1-64").strip()
    for changes in ({"machine_id_sha256": machine_id}, {"ssh_host_keys_sha256": [canary.shell(key).strip()]}):
        path.write_text(json.dumps(json.loads(original) | changes))
        assert "is the builder's" in canary.verify(images.first.digest).failed(20)
    path.write_text(original)


def test_too_little_space_is_refused(canary: Instance, images: Images) -> None:
    assert "are free" in canary.verify(images.first.digest, MinimumFreeGiB="500").failed(14)


def test_a_large_image_is_read_at_most_in_part(bed: Bed, fresh: Built) -> None:
    large = bed.push(an_image(bed.machines.base.busybox, "read", filler_layers=3, filler_bytes=100_000_000))
    with bed.instance(fresh.disk) as builder:
        builder.provision(large)
        with bed.instance(builder.stop()) as reader:
            assert reader.verify(large).facts["first_read_bytes"] == 256 * 1024**2


def test_a_dead_docker_daemon_is_refused(canary: Instance, images: Images) -> None:
    canary.be_impatient()
    canary.shell("systemctl stop docker.socket docker; systemctl mask --runtime docker.socket docker")
    assert "does not answer" in canary.verify(images.first.digest).failed(18)


def test_an_image_without_docker_is_refused(bed: Bed, images: Images) -> None:
    with bed.instance(bed.machines.base.disk) as plain:
        plain.be_impatient()
        plain.verify(images.first.digest).failed(18)
