"""The host's requirements for machines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

# Tool, and the Debian package that has it.
_TOOLS: Final = {
    "debootstrap": "debootstrap",
    "dpkg-deb": "dpkg",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "unshare": "util-linux",
}


def missing_packages() -> list[str]:
    """The Debian packages whose tools are missing here."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None})


def missing_requirements() -> list[str]:
    """Why machines cannot run here, one sentence each; empty if they can."""
    reasons = []
    if os.geteuid() != 0:
        reasons.append("root is needed, for mounts and namespaces")
    if packages := missing_packages():
        reasons.append(f"these packages are missing: {', '.join(packages)}")
    if not Path("/dev/loop-control").exists():
        reasons.append("the kernel gives no loop devices")
    mounts = Path("/proc/self/mounts")
    kinds = (
        {line.split()[2] for line in mounts.read_text(encoding="utf-8").splitlines()}
        if mounts.exists()
        else set()
    )
    if "cgroup2" not in kinds:
        reasons.append("no cgroup2 hierarchy is mounted")
    return reasons
