"""A machine with dnf in the place of apt, and an rpm repository of what a build installs.

No archive of rpm packages can be counted on where these machines are made. But Debian has dnf, rpm and createrepo_c,
and an rpm package is a tree of files with a name: so the files of Debian's packages are packed again, under the names
that Amazon Linux 2023 has for them (Amazon Linux 2023 package list: docker, pigz, amazon-ecr-credential-helper).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from aws_emulator.machines.commands import run

TOOLS: Final = ("dnf", "rpm", "createrepo-c")
_OWN_PACKAGES: Final = ("pigz", "amazon-ecr-credential-helper")
_DOCKER: Final = "docker"
_WORK: Final = "root/rpm"
# What Debian has in one of two places, since its directories in / are links (UsrMerge).
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
_SPECIFICATION: Final = """\
Name: {name}
Version: 1
Release: 1
Summary: {name} of Debian's packages
License: see the packages
AutoReqProv: no
Provides: /bin/sh
%description
{name} of Debian's packages.
%install
cp --archive /{work}/{name}/. %{{buildroot}}/
{after}%files
{files}
"""
# What Debian's own scripts do after they are unpacked: the group of Docker's socket, and the alternatives of iptables.
# The shell for it is of no rpm package, so that the packages say that they bring it.
_AFTER_DOCKER: Final = """\
%post -p /bin/sh
getent group docker >/dev/null || groupadd --system docker
ln --symbolic --force iptables-nft /usr/sbin/iptables
ln --symbolic --force ip6tables-nft /usr/sbin/ip6tables
ldconfig
systemctl daemon-reload || :
"""
_BUILD: Final = (
    "rpmbuild",
    "-bb",
    "--quiet",
    "--define=_build_id_links none",
    "--define=debug_package %{nil}",
    "--define=__os_install_post %{nil}",
    "--define=_binary_payload w0.gzdio",
)
_FILES: Final = {
    "etc/os-release": 'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n',
    "etc/yum.repos.d/emulator.repo": "[emulator]\nname=emulator\nbaseurl=http://{host}/\nenabled=1\ngpgcheck=0\n",
}


def pack(packages: Path, root: Path) -> None:
    """Replace the Debian packages in a directory by an rpm repository of the same programs.

    Args:
        root: a root directory in which `TOOLS` are installed.

    Raises:
        CommandError: a tool fails.
    """
    work = root / _WORK
    for package in sorted(packages.glob("*.deb")):
        name = next((own for own in _OWN_PACKAGES if package.name.startswith(f"{own}_")), _DOCKER)
        (work / name).mkdir(parents=True, exist_ok=True)
        run("dpkg-deb", "--extract", str(package), str(work / name))
    for name in (_DOCKER, *_OWN_PACKAGES):
        _merge(work / name)
        files = [path for path in sorted((work / name).rglob("*")) if path.is_symlink() or not path.is_dir()]
        listed = "\n".join(f'"/{path.relative_to(work / name)}"' for path in files)
        after = _AFTER_DOCKER if name == _DOCKER else ""
        text = _SPECIFICATION.format(name=name, work=_WORK, after=after, files=listed)
        (work / f"{name}.spec").write_text(text, encoding="utf-8")
        run("chroot", str(root), *_BUILD, f"--define=_rpmdir /{_WORK}/built", f"/{_WORK}/{name}.spec")
    built = work / "repository"
    built.mkdir()
    for package in (work / "built").rglob("*.rpm"):
        shutil.move(package, built / package.name)
    run("chroot", str(root), "createrepo_c", "--quiet", f"/{_WORK}/repository")
    shutil.rmtree(packages)
    packages.mkdir()
    # Whatever serves it knows files by their last names alone, and no two here have the same.
    for file in built.rglob("*"):
        if file.is_file():
            shutil.copy(file, packages / file.name)
    shutil.rmtree(work)


def _merge(tree: Path) -> None:
    for name in _MERGED:
        if (tree / name).is_dir():
            shutil.copytree(tree / name, tree / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(tree / name)
    for name in ("doc", "man", "lintian"):
        shutil.rmtree(tree / "usr/share" / name, ignore_errors=True)


def take_over(root: Path, archive_host: str) -> None:
    """Let dnf be what installs packages, and nothing of apt be found."""
    for name in ("apt", "apt-get"):
        (root / "usr/bin" / name).unlink()
    for path, text in _FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        target.write_text(text.format(host=archive_host), encoding="utf-8")
