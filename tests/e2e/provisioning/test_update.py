"""An update: from the environment's own image to one with another Docker image and nothing else changed."""

import json
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.provisioning.bed import IMAGE_URI, Bed, as_seen, encoded, files_with, raw_with
from tests.e2e.provisioning.conftest import Built, Images
from tests.e2e.provisioning.oci_images import an_image


def test_an_update_replaces_the_image_and_touches_no_package(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        packages = "dpkg-query --show | sha256sum"
        before, used = builder.shell(packages), builder.shell("df --output=used / | tail -1")
        builder.archive.is_down = True
        facts = builder.provision(images.second.digest).facts
        assert facts["image_digest"] == images.second.digest
        assert facts["image_labels"]["org.opencontainers.image.version"] == "version two"
        assert builder.shell(packages) == before
        state = builder.state()
        assert state["containers"] == ""
        assert f"{IMAGE_URI}@{images.second.digest}" in state["unit"]
        assert images.first.digest not in json.dumps(state)
        assert abs(int(builder.shell("df --output=used / | tail -1")) - int(used)) < 20_000
        tokens = dict(enumerate(bed.machines.authority.all_tokens()))
        secrets = as_seen(builder.identity) | {f"token {number}": token for number, token in tokens.items()}
        disk = builder.stop()
        with bed.files(disk) as root:
            assert files_with(root, secrets) == []
        assert raw_with(disk, secrets) == []
        with bed.instance(disk) as canary:
            assert canary.verify(images.second.digest).facts["image_digest"] == images.second.digest
            assert canary.shell("curl -s http://127.0.0.1:8188/") == "version two\n"


def test_an_update_to_the_same_digest_pulls_nothing(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        bed.machines.faults.is_down = True
        ending = builder.provision(images.first.digest)
        assert ending.facts["image_digest"] == images.first.digest
        assert "the image is already here" in ending.stdout
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(images.first.digest).code == 0


def test_a_build_of_the_earlier_digest_goes_back(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder:
        for image in (images.second, images.first):
            assert builder.provision(image.digest).facts["image_digest"] == image.digest
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(images.first.digest).code == 0
            assert canary.shell("curl -s http://127.0.0.1:8188/") == "version one\n"


def test_an_update_gets_the_room_of_the_old_image(bed: Bed, fresh: Built) -> None:
    size = 200_000_000
    large = [
        bed.push(an_image(bed.machines.base.busybox, page, filler_layers=2, filler_bytes=size // 2))
        for page in ("large one", "large two", "large three")
    ]
    with bed.instance(fresh.disk) as builder:
        assert builder.provision(large[0]).facts["image_store"] == bed.store
        # Until the old one is gone: less than a pull takes at its height, when downloads and layers are both there.
        free = f"$(($(df --output=avail --block-size=1 / | tail -1) - {size * 13 // 10}))"
        builder.shell(f"fallocate --length {free} /filler")
        by_surprise = builder.provision(large[1])
        assert by_surprise.facts["image_digest"] == large[1]
        assert "the disk became full: removing the old image" in by_surprise.stdout
        known = builder.provision(large[2], ImageSizeBytes=str(size))
        assert known.facts["image_digest"] == large[2]
        assert "removing the old image before the pull" in known.stdout
        assert "the disk became full" not in known.stdout
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(large[2]).code == 0


def test_two_runs_at_once_end_alike(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(fresh.disk) as builder, ThreadPoolExecutor() as pool:
        runs = [pool.submit(builder.provision, images.second.digest) for _ in range(2)]
        facts = [run.result().facts for run in runs]
        assert {each["image_digest"] for each in facts} == {images.second.digest}
        ends = sorted(run.result().stdout.count("pulling ") for run in runs)
        assert ends == [0, 1]


def test_the_application_starts_with_exactly_what_the_settings_say(
    bed: Bed, fresh: Built, images: Images
) -> None:
    nasty = "$(touch /pwned) `touch /pwned` ; touch /pwned; ${HOME} $$ %n %% \\ \" ' && | > <"
    command = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www", "-r", nasty]
    variables = {"PLAIN": "1", "NASTY": nasty, "SPACES": "  two  "}
    with bed.instance(fresh.disk) as builder:
        builder.provision(
            images.first.digest,
            ContainerCommand=encoded(command),
            ContainerEnvironment=encoded(variables),
            ContainerVolumes="/srv/models:/models:ro,/srv/out:/out",
            ContainerShmMiB="64",
        )
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(images.first.digest).code == 0
            container = json.loads(canary.shell("docker inspect comfyui"))[0]
            assert container["Config"]["Cmd"] == command
            assert {f"{name}={value}" for name, value in variables.items()} <= set(container["Config"]["Env"])
            assert sorted(container["HostConfig"]["Binds"]) == ["/srv/models:/models:ro", "/srv/out:/out"]
            assert container["HostConfig"]["ShmSize"] == 64 * 1024**2
            assert canary.shell("ls -d /pwned 2>/dev/null || true") == ""
