"""The vendor's image that a fresh build starts from: a Debian root file system with what an Ubuntu cloud image has.

systemd, cloud-init with the data source of EC2, an SSH server, rsyslog, Python, curl and an agent; no Docker.
Beside the image lie the packages that a build installs, as an archive, and the registry's program. It is
made once from the archive that the host's own debootstrap knows, and kept.

There are two of them, because Docker has two stores for images: its own graph drivers, and since Docker 29 by default
containerd's (Docker documentation, "containerd image store"). They differ in what the archive offers.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from aws_emulator.machines import rpm_packages
from aws_emulator.machines.archive import write_index
from aws_emulator.machines.certificates import create_authority
from aws_emulator.machines.commands import run
from aws_emulator.machines.disks import create_disk
from aws_emulator.machines.network import CLOUD_ADDRESS

logger = logging.getLogger(__name__)

SUITE: Final = "bookworm"
BASE_DISK_MIB: Final = 1536
ECR_API: Final = "api.ecr.{region}.amazonaws.com"
S3: Final = "s3.{region}.amazonaws.com"
ECR_REGISTRY: Final = "{account_id}.dkr.ecr.{region}.amazonaws.com"
# Services that programs on an instance call beside ECR, with the credentials of the instance's role.
API_HOSTS: Final = ("ssm.{region}.amazonaws.com", "secretsmanager.{region}.amazonaws.com")
_ARCHIVE_HOST: Final = "archive.internal"
_IN_IMAGE: Final = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "gpg",
    "iproute2",
    "kmod",
    "openssh-server",
    "procps",
    "python3",
    "rsyslog",
    "systemd",
    "systemd-sysv",
    "udev",
)
_TO_INSTALL: Final = ("pigz", "amazon-ecr-credential-helper")
_BESIDE: Final = ("docker-registry", "busybox-static")
_CLOUD_CONFIG: Final = """\
# The metadata service of the emulator is not EC2's own, and a machine in a container has no network interface.
datasource_list: [Ec2]
datasource:
  Ec2:
    strict_id: false
    metadata_urls: ["http://169.254.169.254"]
network: {config: disabled}
apt: {preserve_sources_list: true}
growpart: {mode: "off"}
resize_rootfs: false
locale: false
system_info:
  default_user: {name: ubuntu, lock_passwd: true, shell: /bin/bash}
"""
_AGENT_UNIT: Final = """\
[Unit]
Description=amazon-ssm-agent
After=local-fs.target

[Service]
ExecStart=/usr/bin/amazon-ssm-agent
KillMode=process
Restart=always

[Install]
WantedBy=multi-user.target
"""


_AGENT_CONTROL: Final = """\
Package: amazon-ssm-agent
Version: 3.3.4793.0
Architecture: all
Maintainer: nobody <nobody@example.com>
Description: The emulator's agent
"""


class ImageStore(StrEnum):
    """Where the Docker of an archive keeps images."""

    GRAPH_DRIVER = "graph-driver"
    CONTAINERD = "containerd"


class PackageFamily(StrEnum):
    """What installs packages on a machine: apt as on Ubuntu and Debian, or dnf as on Amazon Linux 2023."""

    APT = "apt"
    DNF = "dnf"


# The suite's own Docker has graph drivers. The newest that the distribution has is in its suite for development; only
# these packages come from there, and what they need from the image's own suite.
_NEWEST_SUITE: Final = "sid"
_DOCKER: Final = {
    ImageStore.GRAPH_DRIVER: ("docker.io",),
    ImageStore.CONTAINERD: ("docker.io/sid", "docker-cli/sid", "containerd/sid"),
}
# Docker before 29 has containerd's store, but not by default.
_DAEMON_SETTINGS: Final = '{"features": {"containerd-snapshotter": true}}\n'


class BaseImage:
    """Where the parts of the base image lie.

    Attributes:
        disk: the image's disk; copied, never changed.
        archive: directory with the packages and their index.
        certificates: directory with the certificate of what plays AWS.
        registry_program: the registry.
        agent: directory with the agent as a package, for machines whose image has none.
        busybox: a program without libraries, for small Docker images.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk = directory / "base.ext4"
        self.archive = directory / "archive"
        self.certificates = directory / "certificates"
        self.agent = directory / "agent"
        self.registry_program = directory / "programs/usr/bin/docker-registry"
        self.busybox = directory / "programs/bin/busybox"


def cache_directory() -> Path:
    """Where the base image is kept (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ami-lifecycle"


def prepare_base_image(
    account_id: str,
    region: str,
    cache: Path | None = None,
    *,
    store: ImageStore = ImageStore.CONTAINERD,
    family: PackageFamily = PackageFamily.APT,
    has_agent: bool = True,
) -> BaseImage:
    """Return the base image, made now if it is not there or was made by other code than this.

    Args:
        store: where the archive's Docker keeps images.
        family: what installs packages.
        has_agent: whether the agent is in it, as in Ubuntu's images, or not, as in Debian's.

    Raises:
        CommandError: the packages could not be fetched, or a tool is missing.
    """
    folder = cache or cache_directory()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = [] if family is PackageFamily.APT else [family.value]
        own += [] if has_agent else ["bare"]
        kind = "-".join(["base", *own, store])
        image = BaseImage(folder / f"{kind}-{_recipe(account_id, region)}")
        if not image.directory.is_dir():
            logger.warning("making the base image in %s; this takes a few minutes, once", image.directory)
            for old in folder.glob(f"{kind}-*"):
                shutil.rmtree(old)
            new = BaseImage(image.directory.with_name("new-" + image.directory.name))
            shutil.rmtree(new.directory, ignore_errors=True)
            _build(new, account_id, region, store, family, has_agent=has_agent)
            new.directory.replace(image.directory)
    return image


def _recipe(account_id: str, region: str) -> str:
    parts = ("base_image.py", "guest_agent.py", "archive.py", "certificates.py", "rpm_packages.py")
    text = (
        b"".join(Path(__file__).with_name(name).read_bytes() for name in parts)
        + f"{account_id} {region}".encode()
    )
    return hashlib.sha256(text).hexdigest()[:12]


def _build(
    image: BaseImage,
    account_id: str,
    region: str,
    store: ImageStore,
    family: PackageFamily,
    *,
    has_agent: bool,
) -> None:
    hosts = [ECR_API.format(region=region), ECR_REGISTRY.format(account_id=account_id, region=region)]
    hosts += [host.format(region=region) for host in (*API_HOSTS, S3)]
    for directory in (image.directory, image.archive, image.certificates, image.agent):
        directory.mkdir(parents=True)
    image.directory.chmod(0o700)
    create_authority(image.certificates, hosts)
    with tempfile.TemporaryDirectory(dir=image.directory) as scratch:
        root = Path(scratch) / "root"
        run("debootstrap", "--variant=minbase", SUITE, str(root))
        _install_packages(root)
        _fetch_packages(image, root, store)
        if family is PackageFamily.DNF:
            _apt(root, "install", *rpm_packages.TOOLS)
            _apt(root, "clean")
            rpm_packages.pack(image.archive, root)
        _configure(image, root, hosts, store)
        _install_agent(root, image, has_agent=has_agent)
        if family is PackageFamily.DNF:
            rpm_packages.take_over(root, _ARCHIVE_HOST)
        create_disk(image.disk, root, BASE_DISK_MIB)


def _install_packages(root: Path) -> None:
    """Install what the image has; debootstrap itself does not get the order of so many packages right."""
    for name in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy(Path("/") / name, root / name)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    _apt(root, "update")
    _apt(root, "install", *_IN_IMAGE)
    _apt(root, "clean")


def _fetch_packages(image: BaseImage, root: Path, store: ImageStore) -> None:
    archives = root / "var/cache/apt/archives"
    if store is ImageStore.CONTAINERD:
        _add_newest_suite(root)
    _apt(root, "install", "--download-only", *_DOCKER[store], *_TO_INSTALL)
    for package in archives.glob("*.deb"):
        shutil.move(package, image.archive)
    write_index(image.archive)
    _apt(root, "install", "--download-only", *_BESIDE)
    for name in _BESIDE:
        (package,) = archives.glob(f"{name}_*.deb")
        run("dpkg-deb", "--extract", str(package), str(image.directory / "programs"))
    _apt(root, "clean")


def _add_newest_suite(root: Path) -> None:
    """Let packages be named from the newest suite; none is taken from there otherwise (apt_preferences(5))."""
    sources = root / "etc/apt/sources.list"
    text = sources.read_text(encoding="utf-8")
    sources.write_text(f"{text}\n{text.replace(SUITE, _NEWEST_SUITE)}\n", encoding="utf-8")
    preferences = root / "etc/apt/preferences.d/newest"
    preferences.write_text(
        f"Package: *\nPin: release n={_NEWEST_SUITE}\nPin-Priority: 50\n", encoding="utf-8"
    )
    # Its index is valid for a week only; a mirror that keeps still serves an older one.
    _apt(root, "-o", "Acquire::Check-Valid-Until=false", "update")


def _apt(root: Path, *arguments: str) -> None:
    # Of the host's environment nothing: it may name an interpreter, a locale or a certificate that is not in there.
    environment = (
        "env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C",
    )
    apt = ("apt-get", "--quiet", "--yes", "--no-install-recommends")
    run(*environment, "chroot", str(root), *apt, *arguments)


def _configure(image: BaseImage, root: Path, hosts: list[str], store: ImageStore) -> None:
    files = {
        "etc/hosts": f"127.0.0.1 localhost\n{CLOUD_ADDRESS} {_ARCHIVE_HOST} {' '.join(hosts)}\n",
        "etc/resolv.conf": "",
        "etc/hostname": "localhost\n",
        "etc/fstab": "",
        "etc/apt/sources.list": f"deb [trusted=yes] http://{_ARCHIVE_HOST}/ ./\n",
        "etc/cloud/cloud.cfg.d/90-emulator.cfg": _CLOUD_CONFIG,
        "usr/local/share/ca-certificates/emulator.crt": (image.certificates / "ca.crt").read_text(
            encoding="ascii"
        ),
        "etc/machine-id": "",
    }
    if store is ImageStore.CONTAINERD:
        files["etc/docker/daemon.json"] = _DAEMON_SETTINGS
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    inside = ("chroot", str(root))
    run(*inside, "update-ca-certificates")
    run(*inside, "systemctl", "mask", "console-getty")
    (root / "usr/sbin/policy-rc.d").unlink()
    # As in a cloud image: no identity, no logs of the installation, no package lists.
    for pattern in (
        "etc/ssh/ssh_host_*",
        "var/log/*.log",
        "var/log/apt/*",
        "var/lib/apt/lists/*_*",
        "var/lib/dbus/machine-id",
        "etc/apt/preferences.d/newest",
    ):
        for leftover in root.glob(pattern):
            leftover.unlink()


def _install_agent(root: Path, image: BaseImage, *, has_agent: bool) -> None:
    """Make the agent's package, and install it where the vendor has."""
    with tempfile.TemporaryDirectory(dir=image.directory) as scratch:
        tree = Path(scratch)
        files = {
            "DEBIAN/control": _AGENT_CONTROL,
            "usr/lib/systemd/system/amazon-ssm-agent.service": _AGENT_UNIT,
            "usr/bin/amazon-ssm-agent": Path(__file__)
            .with_name("guest_agent.py")
            .read_text(encoding="utf-8"),
        }
        for path, text in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        tree.chmod(0o755)
        (tree / "usr/bin/amazon-ssm-agent").chmod(0o755)
        run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(image.agent / "amazon-ssm-agent.deb"))
    if has_agent:
        run("dpkg-deb", "--extract", str(image.agent / "amazon-ssm-agent.deb"), str(root))
        run("chroot", str(root), "systemctl", "enable", "amazon-ssm-agent")
