"""What VerifyImage says of what is in the image."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from typing import Any

import pytest
from tests.unit.documents.scratch_machine import Machine

from ami_lifecycle.domain.package_list import told_packages
from ami_lifecycle.domain.packing import packed

LAYER = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64
DPKG = (
    "installed\\tbash\\t5.1-6ubuntu1\\tamd64\\nconfig-files\\tgone\\t1\\tamd64\\n"
    "installed\\tamazon-ssm-agent\\t3.3.987\\tamd64\\nnot-installed\\tnever\\t1\\tall"
)
RPM = (
    "bash\\t0:5.2.15-1.amzn2023.0.2\\tx86_64\\ngpg-pubkey\\t0:d832c631-6515c85e\\t(none)\\n"
    "openssl\\t1:3.0.8-1.amzn2023.0.18\\tx86_64"
)
SNAPS = """Name              Version        Rev    Tracking         Publisher   Notes
amazon-ssm-agent  3.3.2299.0     11797  latest/stable/…  aws✓        classic
snapd             2.67.1         23771  latest/stable    canonical✓  snapd
odd"""


@pytest.fixture
def ubuntu(canary: Machine) -> Machine:
    canary.install("dpkg-query", f"printf '{DPKG}\\n'")
    return canary


def listed(machine: Machine, **parameters: str) -> dict[str, Any]:
    result = machine.verify(PackageList="true", **parameters)
    assert result.code == 0, result.stderr
    assert "packages_problem" not in result.facts, result.facts
    content = json.loads(zlib.decompress(base64.b64decode(result.facts["packages"])))
    assert isinstance(content, dict)
    return content


def problem_of(machine: Machine, **parameters: str) -> str:
    result = machine.verify(PackageList="true", **parameters)
    assert result.code == 0, result.stderr
    assert "packages" not in result.facts
    return str(result.facts["packages_problem"])


def test_nothing_is_listed_unless_it_is_asked_for(ubuntu: Machine) -> None:
    for parameters in ({}, {"PackageList": "false"}):
        assert not {"packages", "packages_problem"} & set(ubuntu.verify(**parameters).facts)
    assert ubuntu.called("dpkg-query") == []


def test_packages_of_dpkg_are_listed_that_are_installed(ubuntu: Machine) -> None:
    found = listed(ubuntu)
    assert found["packages"] == {"deb": "amazon-ssm-agent\t3.3.987\tamd64\nbash\t5.1-6ubuntu1\tamd64"}
    kernel = found["components"].pop("kernel")
    assert kernel
    assert found["components"] == {
        "system": "Ubuntu 22.04",
        "docker": "27.5.1",
        "amazon-ssm-agent": "3.3.987",
    }
    assert found["layers"] == []


def test_packages_of_rpm_are_listed_without_the_keys_of_publishers(canary: Machine) -> None:
    canary.become_amazon_linux()
    canary.install("rpm", f"printf '{RPM}\\n'")
    found = listed(canary)
    assert found["packages"] == {
        "rpm": "bash\t5.2.15-1.amzn2023.0.2\tx86_64\nopenssl\t1:3.0.8-1.amzn2023.0.18\tx86_64"
    }
    assert found["components"]["system"] == "Amazon Linux 2023"


def test_snaps_have_their_revision_and_the_agent_is_one(canary: Machine) -> None:
    canary.install("dpkg-query", "printf 'installed\\tbash\\t5\\tamd64\\n'")
    canary.install("snap", f"cat <<'END'\n{SNAPS}\nEND")
    found = listed(canary)
    rows = [row.split("\t")[:2] for row in found["packages"]["snap"].splitlines()]
    assert rows == [["amazon-ssm-agent", "3.3.2299.0-11797"], ["snapd", "2.67.1-23771"]]
    assert found["components"]["amazon-ssm-agent"] == "3.3.2299.0-11797"


def test_what_runs_containers_on_gpus_is_listed(ubuntu: Machine) -> None:
    ubuntu.install(
        "containerd", "echo 'containerd containerd.io v1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da'"
    )
    ubuntu.install("nvidia-ctk", "printf 'NVIDIA Container Toolkit CLI version 1.17.8\\ncommit: f2023\\n'")
    ubuntu.install("modinfo", "echo 570.133.20")
    components = listed(ubuntu)["components"]
    assert components["containerd"] == "1.7.27"
    assert components["nvidia-container-toolkit"] == "1.17.8"
    assert components["nvidia-driver"] == "570.133.20"
    ubuntu.write(
        "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul\n"
    )
    assert listed(ubuntu)["components"]["nvidia-driver"] == "580.65.06"


def test_the_layers_of_the_docker_image_are_listed(ubuntu: Machine) -> None:
    images = ubuntu.docker_state["images"]
    (image,) = images.values()
    image["RootFS"] = {"Type": "layers", "Layers": [LAYER]}
    ubuntu.docker(images=images)
    assert listed(ubuntu)["layers"] == [LAYER]


def test_what_the_canary_tells_is_what_the_service_reads(ubuntu: Machine) -> None:
    result = ubuntu.verify(PackageList="true")
    found = told_packages(result.facts["packages"], environment="prod", release="r", digest=DIGEST)
    assert [(each.kind, each.name, each.version, each.architecture) for each in found.packages] == [
        ("deb", "amazon-ssm-agent", "3.3.987", "amd64"),
        ("deb", "bash", "5.1-6ubuntu1", "amd64"),
    ]


@pytest.mark.parametrize("body", ["exit 1", "printf ''"])
def test_a_system_that_names_no_package_is_verified_and_says_so(canary: Machine, body: str) -> None:
    canary.install("dpkg-query", body)
    assert problem_of(canary) == "neither dpkg-query nor rpm names a package on the canary"


def test_a_program_that_fails_is_no_reason_to_refuse_an_image(ubuntu: Machine) -> None:
    images = ubuntu.docker_state["images"]
    next(iter(images.values()))["RootFS"] = "not what Docker says"
    ubuntu.docker(images=images)
    assert problem_of(ubuntu) == "its program ended with status 1"


def many(machine: Machine, count: int) -> None:
    """Packages of which each takes some 27 characters, because nothing in them repeats."""
    letters = random.Random(1)  # noqa: S311 - data of a test
    rows = ("".join(letters.choices(string.ascii_lowercase, k=32)) for _ in range(count))
    text = "\n".join(f"installed\t{row}\t1\tamd64" for row in rows)
    machine.set("many", f"{text}\n")
    machine.install("dpkg-query", 'cat "$FAKE_DIR/many"')


def test_a_list_that_the_output_cannot_take_is_left_out_and_counted(canary: Machine) -> None:
    many(canary, 2000)
    assert "the list of 2000 packages takes " in problem_of(canary)
    assert problem_of(canary).endswith(" characters of the command's output, 21500 are left")


def test_hooks_leave_less_room_for_it(canary: Machine) -> None:
    many(canary, 640)
    assert len(canary.verify(PackageList="true").facts["packages"]) > 17300
    hook = {"name": "hooks/a.sh", "parameters": {}, "timeout_seconds": 60, "script": "#!/bin/bash\ntrue\n"}
    assert "packages" in canary.verify(PackageList="true", Hooks=packed({"verify": [hook]})).facts
    assert problem_of(canary, Hooks=packed({"verify": [hook] * 2})).endswith(" output, 17300 are left")
