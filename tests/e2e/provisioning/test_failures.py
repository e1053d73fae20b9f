"""What can go wrong around a build: told in one sentence, and a second run can succeed when it has passed."""

import json
import time

import pytest
from tests.e2e.provisioning.bed import BUILD, PROVISION, Bed, Instance
from tests.e2e.provisioning.conftest import Built, Images
from tests.e2e.provisioning.oci_images import an_image

from ami_lifecycle_emulator.provisioning.ecr_endpoint import RegistryFaults


def try_again(builder: Instance, digest: str) -> None:
    """What failed before succeeds now, and leaves what an undisturbed run leaves."""
    assert builder.provision(digest).facts["image_digest"] == digest
    assert digest in builder.state()["unit"]


def test_a_registry_that_is_down(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        bed.room.faults.is_down = True
        assert "did not sign this builder in" in builder.provision(images.second.digest).failed(15)
        bed.room.faults.is_down = False
        try_again(builder, images.second.digest)


def test_a_registry_that_fails_now_and_then(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        bed.room.faults.errors_left = 2
        try_again(builder, images.second.digest)
        assert bed.room.faults.errors_left == 0


def test_a_registry_that_fails_for_long(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        bed.room.faults.errors_left = 1000
        assert "could not be pulled in 5 attempts" in builder.provision(images.second.digest).failed(16)
        bed.room.faults.errors_left = 0
        try_again(builder, images.second.digest)


def test_a_registry_that_refuses(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        bed.room.faults.refuses = True
        assert "refused the pull" in builder.provision(images.second.digest).failed(15)
        bed.room.faults.refuses = False
        try_again(builder, images.second.digest)


def test_a_role_that_may_not_sign_in(
    bed: Bed, fresh: Built, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bed.instance(fresh.disk) as builder:
        monkeypatch.setattr(bed.room.authority, "may_pull", lambda _key: False)
        assert "ecr:GetAuthorizationToken" in builder.provision(images.second.digest).failed(15)
        monkeypatch.undo()
        try_again(builder, images.second.digest)


def test_a_slow_registry_and_a_connection_that_breaks_in_the_middle(bed: Bed, fresh: Built) -> None:
    large = an_image(bed.room.base.busybox, "large", filler_layers=2, filler_bytes=3_000_000)
    digest = bed.push(large)
    faults = bed.room.faults
    with bed.instance(fresh.disk) as builder:
        faults.bytes_per_second, faults.cut_after_bytes, faults.cuts_left = 1_500_000, 1_000_000, 3
        assert builder.provision(digest).facts["image_size_bytes"] > 6_000_000
        assert faults.cuts_left == 0


def test_a_token_that_expires_during_the_pull(bed: Bed, fresh: Built) -> None:
    layered = an_image(bed.room.base.busybox, "layered", filler_layers=20, filler_bytes=1000)
    digest = bed.push(layered)
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        bed.room.faults.expire_tokens_after_requests = 6
        assert builder.provision(digest).facts["image_digest"] == digest
        assert bed.room.faults == RegistryFaults()


def test_a_digest_that_does_not_exist(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        missing = "sha256:" + "0" * 64
        assert f"{missing} is not in the registry" in builder.provision(missing).failed(16)
        assert images.first.digest in builder.state()["unit"]
        try_again(builder, images.second.digest)


def test_a_repository_that_does_not_exist(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        elsewhere = BUILD["ImageUri"].replace("comfyui", "nothing")
        builder.provision(images.second.digest, ImageUri=elsewhere).failed(16)
        try_again(builder, images.second.digest)


def test_an_image_for_another_architecture(bed: Bed, fresh: Built, images: Images) -> None:
    other = bed.push(an_image(bed.room.base.busybox, "other", architecture="arm64"))
    with bed.instance(fresh.disk) as builder:
        assert "this instance needs amd64" in builder.provision(other).failed(17)
        assert images.first.digest in builder.state()["unit"]
        try_again(builder, images.second.digest)


def test_a_manifest_that_is_not_the_one_of_its_digest(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        forged = an_image(bed.room.base.busybox, "forged")
        bed.push(forged)
        bed.room.faults.replaced_manifests[images.second.digest] = forged.manifest
        builder.provision(images.second.digest).failed(16)
        assert forged.digest not in json.dumps(builder.state())
        bed.room.faults.replaced_manifests.clear()
        try_again(builder, images.second.digest)


def test_a_disk_that_is_full(bed: Bed, fresh: Built) -> None:
    large = an_image(bed.room.base.busybox, "too large", filler_layers=1, filler_bytes=120_000_000)
    digest = bed.push(large)
    with bed.instance(fresh.disk) as builder:
        fill = "fallocate --length $(($(df --output=avail --block-size=1 / | tail -1) - 60000000)) /filler"
        builder.shell(fill)
        assert "disk became full" in builder.provision(digest).failed(14)
        builder.shell("rm /filler")
        try_again(builder, digest)


def test_too_little_space_is_seen_before_the_pull(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        ending = builder.provision(images.second.digest, MinimumFreeGiB="500")
        assert "500 GiB are needed" in ending.failed(14)
        assert "pulling" not in ending.stdout
        try_again(builder, images.second.digest)


def test_a_docker_daemon_that_does_not_start(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        builder.be_impatient()
        builder.shell("systemctl stop docker.socket docker; mv /usr/sbin/dockerd /usr/sbin/dockerd.away")
        builder.shell("printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/dockerd; chmod 755 /usr/sbin/dockerd")
        assert "Docker daemon does not start" in builder.provision(images.second.digest).failed(18)
        builder.shell("mv /usr/sbin/dockerd.away /usr/sbin/dockerd; systemctl reset-failed docker")
        try_again(builder, images.second.digest)


def test_an_apt_lock_that_is_held_for_a_while(bed: Bed, images: Images) -> None:
    with bed.instance(bed.room.base.disk) as builder:
        hold = "flock --exclusive {} sleep 8"
        files = "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"
        for file in files:
            builder.shell(f"systemd-run --quiet {hold.format(file)}")
        start = time.monotonic()
        assert builder.provision(images.first.digest, "fresh").code == 0
        assert time.monotonic() - start > 8


def test_an_apt_lock_that_is_never_released(bed: Bed, images: Images) -> None:
    with bed.instance(bed.room.base.disk) as builder:
        builder.be_impatient()
        lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)"
        builder.shell(f'systemd-run --quiet --unit holder python3 -c "{lock}"')
        builder.shell(
            "until [ -s /proc/$(systemctl show --property MainPID --value holder)/fd/3 ] || true; do sleep 0.1; done"
        )
        assert "could not install" in builder.provision(images.first.digest, "fresh").failed(13)
        builder.shell("systemctl stop holder")
        builder.environment.clear()
        assert builder.provision(images.first.digest, "fresh").code == 0


def test_an_archive_that_is_down(bed: Bed, images: Images) -> None:
    with bed.instance(bed.room.base.disk) as builder:
        builder.be_impatient()
        builder.archive.is_down = True
        builder.provision(images.first.digest, "fresh").failed(13)
        builder.archive.is_down = False
        assert builder.provision(images.first.digest, "fresh").code == 0


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
@pytest.mark.parametrize(
    "value",
    ["x; touch /pwned", "$(touch /pwned)", "`touch /pwned`", "a\ntouch /pwned", "-\n", "' || touch /pwned '"],
)
def test_shell_metacharacters_are_refused_by_the_pattern(name: str, value: str) -> None:
    values = BUILD | {"ImageDigest": "sha256:" + "0" * 64, "Mode": "update", name: value}
    with pytest.raises(ValueError, match=name):
        PROVISION.environment(values)


def test_shell_metacharacters_that_get_past_the_pattern_are_refused_by_the_script(
    bed: Bed, fresh: Built, images: Images
) -> None:
    with bed.instance(fresh.disk) as builder:
        for name in PROVISION.parameters:
            for value in ("$(touch /pwned)", "a\ntouch /pwned", "x'; touch /pwned; '"):
                builder.environment = {f"SSM_{name}": value}
                assert f"parameter {name} " in builder.provision(images.second.digest).failed(10)
        builder.environment = {}
        assert builder.shell("ls -d /pwned 2>/dev/null || true") == ""
        try_again(builder, images.second.digest)
