"""What instances run at their first boot, run for real with the commands of the system as stubs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.steps.account import Account, arn_of
from tests.unit.steps.execution import run

from ami_lifecycle.domain.launch import LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import Role
from ami_lifecycle.steps.user_data import user_data

CHINA = "arn:aws-cn:states:cn-north-1:123456789012:execution:build-image:x"
GOLDEN = "ami-0aaaaaaaaaaaaaaa1"
DOWNLOAD = "https://s3.us-east-1.amazonaws.com/amazon-ssm-us-east-1/latest/debian_amd64/amazon-ssm-agent.deb"


@dataclass
class Boot:
    """How the script ended, and what it called."""

    code: int
    calls: list[str]


class Boots:
    """Runs user data with these commands and no others, beside those of any system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "calls"
        for name in ("shutdown", "systemctl", "sleep", "python3"):
            self.stub(name)
        self.stub("timeout", 'shift 2; exec "$@"')
        self.stub("uname", "echo x86_64")
        (directory / "rm").symlink_to(shutil.which("rm") or "/bin/rm")

    def stub(self, name: str, body: str = "") -> None:
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def run(self, text: str) -> Boot:
        ended = subprocess.run(  # noqa: S603 - our own script
            ["/bin/sh", "-c", text], env={"PATH": str(self.directory)}, check=False, capture_output=True
        )
        return Boot(ended.returncode, self.log.read_text().splitlines())


@pytest.fixture
def boots(tmp_path: Path) -> Boots:
    return Boots(tmp_path)


def script(arn: str = arn_of("x"), *, installs_agent: bool = True) -> str:
    return user_data(Role.BUILDER, 180, arn, installs_agent=installs_agent)


def test_an_image_with_an_agent_gets_what_it_always_got(boots: Boots) -> None:
    boot = boots.run(script(installs_agent=False))
    assert (boot.code, [call.split()[0] for call in boot.calls]) == (0, ["shutdown", "timeout"])
    assert boot.calls[0].startswith("shutdown -P +180 ")


def test_debian_gets_the_agent_from_the_regions_own_bucket(boots: Boots) -> None:
    boots.stub("apt-get")
    boot = boots.run(script())
    assert boot.code == 0
    assert next(call for call in boot.calls if call.startswith("python3")).split()[-2:] == [
        DOWNLOAD,
        "/run/amazon-ssm-agent.deb",
    ]
    assert "apt-get --quiet --yes -o DPkg::Lock::Timeout=300 install /run/amazon-ssm-agent.deb" in boot.calls
    assert boot.calls[-1] == "systemctl enable --now amazon-ssm-agent"


def test_a_base_with_dnf_gets_the_agents_rpm_for_its_architecture(boots: Boots) -> None:
    boots.stub("dnf")
    boots.stub("uname", "echo aarch64")
    boot = boots.run(script())
    assert boot.code == 0
    assert any("/latest/linux_arm64/amazon-ssm-agent.rpm" in call for call in boot.calls)
    assert "dnf --quiet --assumeyes install /run/amazon-ssm-agent.rpm" in boot.calls


def test_china_has_a_domain_of_its_own() -> None:
    assert "https://s3.cn-north-1.amazonaws.com.cn/amazon-ssm-cn-north-1/latest/" in script(CHINA)


@pytest.mark.parametrize("command", ["amazon-ssm-agent", "snap"])
def test_an_agent_that_is_there_is_left_as_it_is(boots: Boots, command: str) -> None:
    boots.stub(command)
    boot = boots.run(script())
    assert boot.code == 0
    assert not [call for call in boot.calls if call.startswith(("python3", "systemctl"))]


def test_a_download_that_fails_is_tried_again_and_ends_the_user_data_with_an_error(boots: Boots) -> None:
    boots.stub("apt-get")
    boots.stub("python3", "exit 1")
    boot = boots.run(script())
    assert boot.code == 1
    assert [call for call in boot.calls if call.startswith("sleep")] == [
        f"sleep {n}" for n in (5, 10, 20, 40, 0)
    ]
    assert not [call for call in boot.calls if call.startswith("systemctl")]


def test_a_download_that_stands_still_is_ended(boots: Boots) -> None:
    boots.stub("apt-get")
    boots.stub("timeout", '[ "$3" != python3 ] || exit 124')
    boot = boots.run(script())
    assert boot.code == 1
    assert [call.split()[2] for call in boot.calls if " python3 " in call] == ["120"] * 5
    assert not [call for call in boot.calls if call.startswith("python3")]


# Which instances get it.


@pytest.mark.parametrize(
    ("base", "asks"),
    [
        ("ubuntu-22.04", False),
        ("debian-12", True),
        ("amazon-linux-2023", False),
        ({"image_id": GOLDEN, "owners": ["self"]}, True),
    ],
)
def test_only_the_builder_of_a_fresh_build_can_lack_an_agent(base: Any, asks: bool) -> None:
    account = Account(defaults={"base": base})
    presets = {"debian-12": "/aws/service/debian/release/12/latest/amd64"}
    presets["amazon-linux-2023"] = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    (ubuntu,) = account.world.images.all.values()
    owner = {"debian-12": "136693071363", "amazon-linux-2023": "137112412989"}.get(str(base), "123456789012")
    golden = ubuntu.model_copy(update={"image_id": GOLDEN, "owner_id": owner, "owner_alias": "amazon"})
    account.world.images.add(golden)
    if str(base) in presets:
        account.world.parameters.set(presets[str(base)], GOLDEN, "text")
    requests: list[LaunchRequest] = []
    launch = account.world.instances.launch

    def noting(request: LaunchRequest) -> LaunchResult:
        requests.append(request)
        return launch(request)

    account.world.instances.launch = noting  # type: ignore[method-assign]  # what is asked for
    for name in ("first", "second"):
        account.push(name)
        assert run(account, name=name).outcome == "published"
    told = ["amazon-ssm-agent.deb" in request.user_data for request in requests]
    assert told == [asks, False, False, False]


def test_the_script_is_one_for_any_shell(tmp_path: Path) -> None:
    checker = shutil.which("shellcheck") or str(Path(sys.executable).with_name("shellcheck"))
    file = tmp_path / "user_data.sh"
    file.write_text(script())
    ended = subprocess.run([checker, str(file)], check=False, capture_output=True, text=True)  # noqa: S603
    assert ended.returncode == 0, ended.stdout
