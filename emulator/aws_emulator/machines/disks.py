"""Disks of machines: sparse files with an ext4 file system, as an EBS volume is a block device with one.

A real file system of a fixed size is what makes a full disk, an overlay of Docker and a snapshot real.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from aws_emulator.machines.commands import run
from aws_emulator.machines.errors import CommandError


def create_disk(path: Path, content: Path, size_mib: int) -> None:
    """Make a disk of a size with what is in a directory.

    Raises:
        CommandError: the content does not fit, or a tool is missing.
    """
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    # Without a journal's worth of writes at creation; no blocks are kept for root, so that full means full.
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
        "-d", str(content), str(new), f"{size_mib}m")  # fmt: skip
    new.replace(path)


def copy_disk(source: Path, target: Path) -> None:
    """Copy a disk that nothing writes to: a snapshot, or a volume made from one."""
    new = target.with_name(target.name + ".new")
    run("cp", "--sparse=always", "--reflink=auto", str(source), str(new))
    new.replace(target)


def grow_disk(path: Path, size_mib: int) -> None:
    """Make a disk larger, as cloud-init does at the first boot on a larger volume; never smaller."""
    size = size_mib * 1024 * 1024
    if path.stat().st_size >= size:
        return
    check_disk(path)
    with path.open("r+b") as stream:
        stream.truncate(size)
    run("resize2fs", str(path))


def check_disk(disk: Path) -> None:
    """Repair what a cut of power leaves on a disk that is not mounted.

    Raises:
        CommandError: the file system is damaged beyond that.
    """
    checked = subprocess.run(["e2fsck", "-f", "-p", str(disk)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - a path of ours
    if checked.returncode > 1:
        raise CommandError(f"the file system on {disk} is damaged: {checked.stdout}")


class MountedDisk:
    """A disk mounted on a directory for the time of a `with` block; raises `CommandError` if it cannot be."""

    def __init__(self, disk: Path, mount_point: Path) -> None:
        self.disk = disk
        self.mount_point = mount_point

    def __enter__(self) -> Path:
        """Mount the disk and return where."""
        self.mount()
        return self.mount_point

    def __exit__(self, *_: object) -> None:
        """Unmount."""
        self.unmount()

    def mount(self) -> None:
        """Mount the disk; its loop device goes with the mount."""
        self.mount_point.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop,noatime", str(self.disk), str(self.mount_point))

    def unmount(self) -> None:
        """Unmount; what was written is in the file then."""
        if self.mount_point.is_mount():
            run("umount", str(self.mount_point))
        if self.mount_point.is_dir():
            self.mount_point.rmdir()
