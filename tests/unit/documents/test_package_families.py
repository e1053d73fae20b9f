"""The same document on bases of other families: Debian, and Amazon Linux 2023 with dnf."""

from __future__ import annotations

import pytest
from tests.unit.documents.scratch_machine import BUILDER_ID, NEW_DIGEST, UPGRADE, Machine, an_image

DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n'
REPOSITORY_FILE = "etc/yum.repos.d/ami-lifecycle-nvidia.repo"


@pytest.fixture
def amazon(plain: Machine) -> Machine:
    """A builder launched from Amazon Linux 2023."""
    plain.become_amazon_linux()
    return plain


def test_amazon_linux_gets_docker_of_its_own_archive(amazon: Machine) -> None:
    result = amazon.provision()
    assert result.code == 0, result.stderr
    (install,) = [call for call in amazon.called("dnf") if " install " in call]
    assert install.endswith(" install docker pigz amazon-ecr-credential-helper")
    assert "--setopt=install_weak_deps=False" in install
    assert result.facts["os"] == {"name": "Amazon Linux", "version": "2023"}
    assert list(amazon.docker_state["images"]) == [an_image()["Id"]]
    assert not [call for call in amazon.calls if call.startswith(("apt", "dpkg"))]
    assert "dnf --quiet clean all" in amazon.calls


def test_an_update_of_amazon_linux_installs_nothing(amazon: Machine) -> None:
    assert amazon.provision().code == 0
    before = len(amazon.calls)
    assert amazon.provision(Mode="update").code == 0
    assert not [call for call in amazon.calls[before:] if " install " in call]


def test_dnf_is_asked_again_and_then_named_with_what_it_could_not_install(amazon: Machine) -> None:
    amazon.set("no-network", "")
    result = amazon.provision()
    assert result.code == 13
    assert "dnf could not install docker pigz amazon-ecr-credential-helper" in result.sentence
    assert len([call for call in amazon.calls if " install " in call]) == 5
    assert amazon.called("sleep") == [f"sleep {seconds}" for seconds in (10, 20, 30, 40, 50)]


def test_the_timers_of_dnf_are_quiet_and_what_they_started_is_waited_for(amazon: Machine) -> None:
    amazon.set("upgrades", UPGRADE)
    result = amazon.provision()
    assert result.code == 13
    assert "dnf-automatic-install.service has not ended in 900 seconds" in result.sentence
    assert any(call.startswith("systemctl stop dnf-automatic.timer ") for call in amazon.calls)
    assert not [call for call in amazon.calls if "apt-daily" in call]


def test_a_package_in_two_versions_does_not_become_part_of_an_image(amazon: Machine) -> None:
    amazon.set("dnf-check", "glibc-2.34-1 is a duplicate with glibc-2.34-2\n")
    result = amazon.provision()
    assert result.code == 13
    assert "dnf check says that packages are not wholly installed" in result.sentence
    assert "glibc-2.34-1 is a duplicate" in result.stderr
    assert not amazon.called("cloud-init clean")


def test_lists_and_packages_of_dnf_are_removed(amazon: Machine) -> None:
    cached = amazon.write("var/cache/dnf/amazonlinux-1/repodata/repomd.xml", "x")
    assert amazon.provision().code == 0
    assert not cached.exists()
    assert amazon.read("etc/machine-id") == ""
    assert BUILDER_ID not in amazon.read("etc/systemd/system/comfyui.service")


def test_the_toolkit_comes_from_nvidias_archive_with_the_key_that_is_pinned(amazon: Machine) -> None:
    assert amazon.provision(NvidiaToolkit="true").code == 0
    text = amazon.read(REPOSITORY_FILE)
    assert "baseurl=https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch\n" in text
    assert "repo_gpgcheck=1\n" in text
    assert "gpgkey=file:///etc/pki/rpm-gpg/ami-lifecycle-nvidia.asc\n" in text
    (install,) = [call for call in amazon.called("dnf") if " install " in call]
    assert install.endswith(" nvidia-container-toolkit")
    assert amazon.called("nvidia-ctk runtime configure --runtime=docker")


def test_another_key_of_nvidias_archive_is_refused(amazon: Machine) -> None:
    amazon.set("gpg-output", "fpr:::::::::0000000000000000000000000000000000000000:\n")
    result = amazon.provision(NvidiaToolkit="true")
    assert (result.code, "signing key" in result.sentence) == (13, True)
    assert not (amazon.root / REPOSITORY_FILE).exists()


@pytest.mark.parametrize("system", ["amazon", "debian"])
def test_a_driver_of_ubuntus_archive_is_refused_where_there_is_none(plain: Machine, system: str) -> None:
    if system == "amazon":
        plain.become_amazon_linux()
    else:
        plain.write("etc/os-release", DEBIAN)
    result = plain.provision(NvidiaDriver="580-server")
    assert result.code == 10
    assert (
        "NvidiaDriver is 580-server, a branch of Ubuntu's packages, and the base is no Ubuntu"
        in result.sentence
    )
    assert not [call for call in plain.calls if " install " in call]


def test_debian_gets_what_docker_needs_where_the_kernel_has_apparmor(plain: Machine) -> None:
    plain.write("etc/os-release", DEBIAN)
    plain.write("sys/module/apparmor/parameters/enabled", "Y\n")
    assert plain.provision().code == 0
    (install,) = [call for call in plain.called("apt-get") if " install " in call]
    assert install.endswith("docker.io pigz apparmor amazon-ecr-credential-helper")


def test_apparmor_is_not_installed_where_it_is_there(plain: Machine) -> None:
    plain.write("sys/module/apparmor/parameters/enabled", "Y\n")
    plain.install("apparmor_parser", "")
    assert plain.provision().code == 0
    (install,) = [call for call in plain.called("apt-get") if " install " in call]
    assert "apparmor" not in install


def test_a_missing_gpg_is_installed_before_it_is_needed(plain: Machine) -> None:
    (plain.bin / "gpg").rename(plain.bin / "gpg-later")
    plain.install(
        "apt-get",
        """
[[ " $* " != *" gpg" && " $* " != *" gpg "* ]] || cp "$FAKE_BIN/gpg-later" "$FAKE_BIN/gpg"
[[ " $* " != *" install "* ]] || for command in dockerd docker-credential-ecr-login nvidia-ctk; do
  cp "$FAKE_DIR/installable/$command" "$FAKE_BIN/"
done
""",
    )
    assert plain.provision(NvidiaToolkit="true").code == 0
    installs = [call.split(" --no-install-recommends ")[1] for call in plain.calls if " install " in call]
    assert installs[0] == "gpg"
    assert installs[1].endswith("nvidia-container-toolkit")


def test_a_base_of_no_known_family_is_refused(plain: Machine) -> None:
    (plain.bin / "apt-get").unlink()
    result = plain.provision()
    assert result.code == 12
    assert (
        "has neither apt-get nor dnf; name a base of Ubuntu, Debian or Amazon Linux 2023" in result.sentence
    )


def test_a_canary_of_amazon_linux_is_verified_like_any(amazon: Machine) -> None:
    assert amazon.provision().code == 0
    reference = amazon.docker_state["images"][an_image()["Id"]]["RepoDigests"][0]
    assert reference.endswith(NEW_DIGEST)
    assert amazon.run_finish() == 0
    amazon.boot_as_canary(reference)
    assert amazon.verify().code == 0
