"""The host of machines: base image, registry behind ECR's API, package archive, network."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote

from aws_emulator.machines.base_image import BaseImage
from aws_emulator.machines.certificates import server_context
from aws_emulator.machines.disks import copy_disk, grow_disk
from aws_emulator.machines.ecr_endpoint import EcrAuthority, EcrEndpoint, RegistryFaults, ServiceApi
from aws_emulator.machines.http_endpoint import Handler, HttpEndpoint
from aws_emulator.machines.instance_metadata import Identity, MetadataService
from aws_emulator.machines.machine import Machine, discard_machine
from aws_emulator.machines.network import CLOUD_ADDRESS, METADATA_ADDRESS, NetworkNamespace
from aws_emulator.machines.registry_process import RegistryProcess

_HOST_PREFIX: Final = "room-"
_OWNER: Final = "owner"
_REGISTRY: Final = "registry"


class Archive(HttpEndpoint):
    """Serves the files of one directory; `is_down` makes every answer an error."""

    directory: Path
    is_down = False


class _ArchiveHandler(Handler):
    server: Archive

    def do_GET(self) -> None:  # noqa: N802 - the standard library's name
        path = self.server.directory / Path(unquote(self.path)).name
        if self.server.is_down:
            self.reply(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        elif path.is_file():
            self.reply(HTTPStatus.OK, path.read_bytes())
        else:
            self.reply(HTTPStatus.NOT_FOUND, b"")


class MachineHost:
    """Launches and ends machines; a context manager that cleans up everything.

    Args:
        base: the base image.

    Attributes:
        directory: scratch space for disks; removed at the end.
        registry: the registry behind every machine's ECR.
        authority: who may sign in to it.
        faults: what is wrong with it.
        api: answers machines that call other services of AWS than ECR; None without any.
        archives: of packages, by the name of the machine that reaches it.
    """

    def __init__(self, base: BaseImage) -> None:
        self.base = base
        self.faults = RegistryFaults()
        self.authority = EcrAuthority()
        self.api: ServiceApi | None = None
        self.archives: dict[str, Archive] = {}
        self._cleanup = ExitStack()
        self._launched: dict[str, ExitStack] = {}
        discard_abandoned_hosts(base.directory.parent)
        self.directory = Path(tempfile.mkdtemp(prefix=_HOST_PREFIX, dir=base.directory.parent))
        (self.directory / _OWNER).write_text(str(os.getpid()), encoding="ascii")
        self._cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._tls = server_context(base.certificates)

    def __enter__(self) -> Self:
        """Start the registry."""
        try:
            socket_directory = Path(
                self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ami-lifecycle-"))
            )
            self.registry = RegistryProcess(self.base.registry_program, socket_directory)
            self._cleanup.enter_context(self.registry)
            note = f"{self.registry.pid}\n{self.registry.config}"
            (self.directory / _REGISTRY).write_text(note, encoding="utf-8")
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all machines, and remove their disks."""
        for name in list(self._launched):
            self.end(name)
        self._cleanup.close()

    def new_disk(self, source: Path, size_mib: int = 0) -> Path:
        """A disk of its own with the content of another, which nothing may write to now; larger if asked."""
        disk = self.directory / f"{secrets.token_hex(4)}.ext4"
        copy_disk(source, disk)
        if size_mib:
            grow_disk(disk, size_mib)
        return disk

    def launch(self, identity: Identity, disk: Path) -> Machine:
        """Boot a machine with an identity on a disk, which becomes its own.

        Raises:
            MachineError: it does not boot.
        """
        name = f"ami-lc-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            network = NetworkNamespace(name)
            stack.callback(network.close)
            metadata = MetadataService(network.listen(METADATA_ADDRESS, 80), identity)
            stack.callback(metadata.close)
            archive = Archive(network.listen(CLOUD_ADDRESS, 80), _ArchiveHandler)
            archive.directory = self.base.archive
            stack.callback(archive.close)
            self.archives[name] = archive
            listener = network.listen(CLOUD_ADDRESS, 443)
            ecr = EcrEndpoint(
                listener,
                self.registry,
                self.authority,
                self._tls,
                faults=self.faults,
                api=self._call_service,
                packages=self.base.agent,
            )
            stack.callback(ecr.close)
            if identity.credentials is not None:
                self.authority.admit(identity.credentials)
            machine = Machine(name, disk, self.directory, network)
            stack.callback(machine.cut_power)
            machine.boot()
            self._launched[name] = stack.pop_all()
        return machine

    def _call_service(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        return self.api(headers, body) if self.api is not None else (HTTPStatus.SERVICE_UNAVAILABLE, b"")

    def end(self, name: str) -> None:
        """End a machine at once; its disk stays until the host is closed or the disk is removed."""
        stack = self._launched.pop(name, None)
        if stack is not None:
            stack.close()


def discard_abandoned_hosts(cache: Path) -> None:
    """Remove the machines and disks of hosts whose process was killed before it could."""
    for owner in cache.glob(f"{_HOST_PREFIX}*/{_OWNER}"):
        if Path(f"/proc/{owner.read_text(encoding='ascii')}").exists():
            continue
        for mount_point in owner.parent.glob("*.root"):
            discard_machine(mount_point.stem, owner.parent)
        _discard_registry(owner.parent / _REGISTRY)
        shutil.rmtree(owner.parent)


def _discard_registry(note: Path) -> None:
    if not note.exists():
        return
    pid, config = note.read_text(encoding="utf-8").split("\n")
    command = Path(f"/proc/{pid}/cmdline")
    # The number may be another process's by now.
    if command.exists() and config.encode() in command.read_bytes():
        os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(Path(config).parent, ignore_errors=True)
