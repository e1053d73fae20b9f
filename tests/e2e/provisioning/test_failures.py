"""What can go wrong around a build: told in one sentence, and a second run can succeed when it has passed."""

import json
import time
from collections.abc import Iterator

import pytest
from tests.e2e.provisioning.bed import BUILD, METACHARACTERS, PROVISION, Bed, Instance
from tests.e2e.provisioning.conftest import Built, Images
from tests.e2e.provisioning.oci_images import OciImage, a_chart, an_image

from aws_emulator.machines.base_image import ImageStore
from aws_emulator.machines.ecr_endpoint import RegistryFaults


@pytest.fixture(scope="module")
def shared(bed: Bed, fresh: Built) -> Iterator[Instance]:
    """One builder for all these failures: each must leave it so that the next run can succeed."""
    with bed.instance(fresh.disk) as instance:
        yield instance


@pytest.fixture
def builder(shared: Instance) -> Instance:
    """The builder with its patience back."""
    shared.environment.clear()
    return shared


@pytest.fixture
def wanted(builder: Instance, images: Images) -> str:
    """The digest of the version that the builder does not have."""
    present = json.loads((builder.machine.root / "etc/ami-lifecycle/build.json").read_text())["image_digest"]
    return images.second.digest if present == images.first.digest else images.first.digest


def present_digest(builder: Instance) -> str:
    """The digest that the unit starts."""
    return builder.shell("grep -o 'sha256:[0-9a-f]*' /etc/systemd/system/comfyui.service").strip()


def try_again(builder: Instance, digest: str) -> None:
    """What failed before succeeds now."""
    assert builder.provision(digest).facts["image_digest"] == digest
    assert present_digest(builder) == digest


def test_a_registry_that_is_down(builder: Instance, wanted: str, bed: Bed) -> None:
    builder.be_impatient()
    bed.machines.faults.is_down = True
    ending = builder.provision(wanted)
    assert "could not be reached to sign in" in ending.failed(16)
    assert "GetAuthorizationToken" in ending.stderr
    bed.machines.faults.is_down = False
    try_again(builder, wanted)


def test_a_registry_that_fails_now_and_then(builder: Instance, wanted: str, bed: Bed) -> None:
    builder.be_impatient()
    bed.machines.faults.errors_left = 2
    try_again(builder, wanted)
    assert bed.machines.faults.errors_left == 0


def test_a_registry_that_fails_for_long(builder: Instance, wanted: str, bed: Bed) -> None:
    builder.be_impatient()
    bed.machines.faults.errors_left = 1000
    assert "could not be pulled in 5 attempts" in builder.provision(wanted).failed(16)
    bed.machines.faults.errors_left = 0
    try_again(builder, wanted)


def test_a_registry_that_refuses(builder: Instance, wanted: str, bed: Bed) -> None:
    bed.machines.faults.refuses = True
    assert "refused the pull" in builder.provision(wanted).failed(15)
    bed.machines.faults.refuses = False
    try_again(builder, wanted)


def test_a_role_that_may_not_sign_in(
    builder: Instance, wanted: str, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bed.machines.authority, "may_pull", lambda _key: False)
    ending = builder.provision(wanted)
    assert "ecr:GetAuthorizationToken" in ending.failed(15)
    assert "AccessDeniedException" in ending.stderr
    monkeypatch.undo()
    try_again(builder, wanted)


def test_a_slow_registry_and_a_connection_that_breaks_in_the_middle(builder: Instance, bed: Bed) -> None:
    large = an_image(bed.machines.base.busybox, "large", filler_layers=2, filler_bytes=3_000_000)
    digest = bed.push(large)
    faults = bed.machines.faults
    faults.bytes_per_second, faults.cut_after_bytes, faults.cuts_left = 1_500_000, 1_000_000, 3
    assert builder.provision(digest).facts["image_size_bytes"] > 6_000_000
    assert faults.cuts_left == 0


def test_a_token_that_expires_during_the_pull(builder: Instance, bed: Bed) -> None:
    layered = an_image(bed.machines.base.busybox, "layered", filler_layers=20, filler_bytes=1000)
    digest = bed.push(layered)
    builder.be_impatient()
    bed.machines.faults.expire_tokens_after_requests = 6
    assert builder.provision(digest).facts["image_digest"] == digest
    assert bed.machines.faults == RegistryFaults()


def test_a_digest_that_does_not_exist(builder: Instance, wanted: str) -> None:
    missing = "sha256:" + "0" * 64
    assert f"{missing} is not in the registry" in builder.provision(missing).failed(16)
    assert present_digest(builder) != wanted
    try_again(builder, wanted)


def test_a_repository_that_does_not_exist(builder: Instance, wanted: str) -> None:
    elsewhere = BUILD["ImageUri"].replace("comfyui", "nothing")
    builder.provision(wanted, ImageUri=elsewhere).failed(16)
    try_again(builder, wanted)


def test_an_image_for_another_architecture(builder: Instance, wanted: str, bed: Bed) -> None:
    other = bed.push(an_image(bed.machines.base.busybox, "other", architecture="arm64"))
    assert "this instance needs amd64" in builder.provision(other).failed(17)
    assert present_digest(builder) != wanted
    try_again(builder, wanted)


@pytest.mark.parametrize("what", ["a chart", "of Windows", "of too many layers"])
def test_what_is_no_image_for_this_instance_is_pulled_once(
    builder: Instance, wanted: str, bed: Bed, what: str
) -> None:
    pushed: OciImage = {
        "a chart": a_chart,
        "of Windows": lambda: an_image(bed.machines.base.busybox, system="windows"),
        "of too many layers": lambda: an_image(bed.machines.base.busybox, filler_layers=130),
    }[what]()
    ending = builder.provision(bed.push(pushed))
    if what == "of too many layers" and bed.store is ImageStore.CONTAINERD:
        assert ending.code == 0
        return
    assert ending.failed(17)
    assert ending.stdout.count("pulling ") == 1
    try_again(builder, wanted)


def test_a_manifest_that_is_not_the_one_of_its_digest(builder: Instance, wanted: str, bed: Bed) -> None:
    builder.be_impatient()
    forged = an_image(bed.machines.base.busybox, "forged")
    bed.push(forged)
    bed.machines.faults.replaced_manifests[wanted] = forged.manifest
    builder.provision(wanted).failed(16)
    assert forged.digest not in json.dumps(builder.state())
    bed.machines.faults.replaced_manifests.clear()
    try_again(builder, wanted)


def test_a_disk_that_is_full(builder: Instance, bed: Bed) -> None:
    large = an_image(bed.machines.base.busybox, "too large", filler_layers=1, filler_bytes=120_000_000)
    digest = bed.push(large)
    fill = "fallocate --length $(($(df --output=avail --block-size=1 / | tail -1) - 60000000)) /filler"
    builder.shell(fill)
    assert "disk became full" in builder.provision(digest).failed(14)
    builder.shell("rm /filler")
    try_again(builder, digest)


def test_too_little_space_is_seen_before_the_pull(builder: Instance, wanted: str) -> None:
    ending = builder.provision(wanted, MinimumFreeGiB="500")
    assert "500 GiB are needed" in ending.failed(14)
    assert "pulling" not in ending.stdout
    try_again(builder, wanted)


def test_a_docker_daemon_that_does_not_start(builder: Instance, wanted: str) -> None:
    builder.be_impatient()
    builder.shell("systemctl stop docker.socket docker; mv /usr/sbin/dockerd /usr/sbin/dockerd.away")
    builder.shell("printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/dockerd; chmod 755 /usr/sbin/dockerd")
    assert "Docker daemon does not start" in builder.provision(wanted).failed(18)
    builder.shell("mv /usr/sbin/dockerd.away /usr/sbin/dockerd; systemctl reset-failed docker")
    try_again(builder, wanted)


def hold_apt_lock(builder: Instance, seconds: int) -> None:
    """Hold the lock as another apt does: fcntl(2), not flock(2)."""
    file = "/var/lib/dpkg/lock-frontend"
    code = (
        f"import fcntl, time; f = open('{file}', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep({seconds})"
    )
    builder.shell(f'systemd-run --quiet --collect --unit holder python3 -c "{code}"')
    builder.shell(f'until grep -q ":$(stat --format %i {file}) " /proc/locks; do sleep 0.1; done')


def test_packages_that_cannot_be_installed_until_they_can(bed: Bed, images: Images) -> None:
    with bed.instance(bed.machines.base.disk) as builder:
        builder.be_impatient()
        builder.archive.is_down = True
        builder.provision(images.first.digest, "fresh").failed(13)
        builder.archive.is_down = False
        hold_apt_lock(builder, 600)
        assert "could not install" in builder.provision(images.first.digest, "fresh").failed(13)
        builder.shell("systemctl stop holder")
        builder.environment.clear()
        hold_apt_lock(builder, 8)
        start = time.monotonic()
        assert builder.provision(images.first.digest, "fresh").code == 0
        assert time.monotonic() - start > 8


def start_upgrade(builder: Instance, command: str) -> None:
    """Let Ubuntu's own upgrade run in the background, as its timer starts it."""
    folder = "/run/systemd/system/apt-daily-upgrade.service.d"
    lines = f"[Unit]\\nConditionACPower=\\n[Service]\\nExecStartPre=\\nExecStart=\\nExecStart={command}\\n"
    builder.shell(f"mkdir -p {folder}; printf '{lines}' >{folder}/x.conf; systemctl daemon-reload")
    builder.shell("systemctl start --no-block apt-daily-upgrade.service")


def test_an_upgrade_that_runs_in_the_background(builder: Instance, wanted: str) -> None:
    builder.be_impatient()
    start_upgrade(builder, "/bin/sleep infinity")
    assert "apt-daily-upgrade.service has not ended" in builder.provision(wanted).failed(13)
    builder.shell("systemctl stop apt-daily-upgrade.service")
    builder.environment.clear()
    start_upgrade(builder, "/bin/sh -c 'sleep 8; touch /run/upgraded'".replace("'", '"'))
    ending = builder.provision(wanted)
    assert ending.facts["image_digest"] == wanted
    assert "waiting for the system's own upgrade" in ending.stdout
    assert builder.shell("ls /run/upgraded").strip() == "/run/upgraded"


def test_an_upgrade_that_waits_for_another_is_seen(builder: Instance, wanted: str) -> None:
    builder.shell("systemd-run --quiet --collect --unit first --property Type=oneshot --no-block sleep 15")
    folder = "/run/systemd/system/apt-daily-upgrade.service.d"
    builder.shell(f"mkdir -p {folder}; printf '[Unit]\\nAfter=first.service\\n' >{folder}/after.conf")
    start_upgrade(builder, "/bin/true")
    assert builder.shell("systemctl is-active apt-daily-upgrade.service || true").strip() == "inactive"
    ending = builder.provision(wanted)
    assert ending.code == 0
    assert "waiting for the system's own upgrade" in ending.stdout


def test_a_package_that_is_half_installed(builder: Instance, wanted: str) -> None:
    status = "/var/lib/dpkg/status"
    builder.shell(
        f"cp {status} /run/status; sed -i '/^Package: pigz$/,/^$/s/^Status: .*/Status: install reinstreq "
        f"half-installed/' {status}"
    )
    assert "pigz are not wholly installed" in builder.provision(wanted).failed(13)
    builder.shell(f"cp /run/status {status}")
    try_again(builder, wanted)


def test_a_base_image_without_cloud_init(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.shell("mv /usr/bin/cloud-init /usr/bin/cloud-init.away")
        assert "has no cloud-init" in builder.provision(images.second.digest).failed(12)
        builder.shell("mv /usr/bin/cloud-init.away /usr/bin/cloud-init")
        try_again(builder, images.second.digest)


def test_user_data_that_fails(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk, user_data="#!/bin/sh\nexit 1\n") as builder:
        assert "cloud-init ended with an error" in builder.provision(images.second.digest).failed(12)


@pytest.mark.parametrize("name", sorted(PROVISION.parameters))
@pytest.mark.parametrize("value", METACHARACTERS)
def test_shell_metacharacters_are_refused_by_the_pattern(name: str, value: str) -> None:
    values = BUILD | {"ImageDigest": "sha256:" + "0" * 64, "Mode": "update", name: value}
    with pytest.raises(ValueError, match=name):
        PROVISION.environment(values)


def test_shell_metacharacters_that_get_past_the_pattern_are_refused_by_the_script(
    builder: Instance, wanted: str
) -> None:
    for name in PROVISION.parameters:
        for value in METACHARACTERS:
            builder.environment = {f"SSM_{name}": value}
            assert f"parameter {name} " in builder.provision(wanted).failed(10)
    builder.environment = {}
    assert builder.shell("ls -d /pwned 2>/dev/null || true") == ""
    try_again(builder, wanted)
