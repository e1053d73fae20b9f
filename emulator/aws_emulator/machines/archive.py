"""An apt archive of a few packages, made from the packages themselves (sources.list(5), repository format)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from aws_emulator.machines.commands import run


def write_index(directory: Path) -> None:
    """Write `Packages` and `Release` for the packages that lie in a directory.

    Raises:
        CommandError: one of them is no Debian package.
    """
    packages = "\n".join(_entry(path) for path in sorted(directory.glob("*.deb"))).encode()
    (directory / "Packages").write_bytes(packages)
    listed = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
    release = f"Suite: stable\nDate: {format_datetime(datetime.now(UTC))}\nSHA256:\n{listed}"
    (directory / "Release").write_text(release, encoding="ascii")


def _entry(path: Path) -> str:
    control = run("dpkg-deb", "--field", str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{control.rstrip()}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
