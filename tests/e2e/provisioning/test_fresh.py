"""A fresh build: from the vendor's image to one that boots into the application."""

import json

from tests.e2e.provisioning.bed import IMAGE_URI, Bed, files_with, raw_with
from tests.e2e.provisioning.conftest import LABELS, OPERATOR, Built, Images

from aws_emulator.machines.base_image import ImageStore


def test_it_installs_docker_and_reports_what_it_did(bed: Bed, fresh: Built, images: Images) -> None:
    facts = fresh.ending.facts
    assert facts["image_digest"] == images.first.digest
    assert facts["mode"] == "fresh"
    oldest_or_newest = {ImageStore.GRAPH_DRIVER: (20, 20), ImageStore.CONTAINERD: (28, 99)}[bed.store]
    assert oldest_or_newest[0] <= int(facts["docker_version"].split(".")[0]) <= oldest_or_newest[1]
    labels = {name: value for name, value in LABELS.items() if name.startswith(("org.", "ami-lifecycle."))}
    assert facts["image_labels"] == labels | {"org.opencontainers.image.version": "version one"}
    assert fresh.ending.stderr == ""


def test_the_disk_holds_the_unit_pinned_to_the_digest(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.files(fresh.disk) as root:
        unit = (root / "etc/systemd/system/comfyui.service").read_text()
        assert f" {IMAGE_URI}@{images.first.digest}\n" in unit
        assert (root / "etc/systemd/system/multi-user.target.wants/comfyui.service").is_symlink()
        # Where the layers lie tells which store was used: neither test may fall back to the other one.
        layers = {
            ImageStore.GRAPH_DRIVER: root / "var/lib/docker/overlay2",
            ImageStore.CONTAINERD: root
            / "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
        }
        assert {
            store for store, path in layers.items() if path.is_dir() and len(list(path.iterdir())) > 1
        } == {bed.store}
        settings = json.loads((root / "etc/docker/daemon.json").read_text())
        assert settings["log-opts"] == {"max-size": "10m", "max-file": "5"}


def test_no_planted_credential_is_in_any_file(bed: Bed, fresh: Built) -> None:
    assert len(fresh.secrets.planted) > 28
    with bed.files(fresh.disk) as root:
        assert files_with(root, fresh.secrets.planted) == []


def test_tokens_and_credentials_of_the_role_were_never_written_to_the_disk(bed: Bed, fresh: Built) -> None:
    secrets = fresh.secrets.planted
    issued = {name: secret for name, secret in secrets.items() if name.startswith(("token", "the role"))}
    assert len(issued) >= 4
    assert raw_with(fresh.disk, issued) == []


def test_nothing_names_the_builder_but_the_record(bed: Bed, fresh: Built) -> None:
    with bed.files(fresh.disk) as root:
        found = files_with(root, {"its id": fresh.builder.identity.instance_id})
        assert found == ["its id in etc/ami-lifecycle/build.json"]
        assert (root / "etc/machine-id").read_text() == ""
        assert list(root.glob("etc/ssh/ssh_host_*")) == []
        assert list((root / "var/log").rglob("*.journal")) == []
        assert list((root / "var/lib/amazon/ssm").iterdir()) == []
        assert [path.name for path in root.glob("var/lib/cloud/*")] == ["seed"]


def test_the_canary_gets_an_identity_of_its_own_and_is_verified(
    bed: Bed, fresh: Built, images: Images
) -> None:
    with bed.instance(fresh.disk, public_key=OPERATOR) as canary:
        facts = canary.verify(images.first.digest).facts
        assert facts["image_digest"] == images.first.digest
        assert 0 < facts["boot_to_container_seconds"] <= facts["boot_to_healthy_seconds"]
        assert facts["first_read_bytes"] > 500_000
        assert canary.shell("cat /var/lib/cloud/data/instance-id").strip() == canary.identity.instance_id
        assert canary.shell("curl -s http://127.0.0.1:8188/") == "version one\n"
