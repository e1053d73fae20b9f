"""A machine: systemd on a disk of its own, in namespaces of its own, as an EC2 instance stands alone.

It is made with unshare(1) and a script of forty lines rather than with a container engine: a machine must
boot, shut down and lose power, keep its disk between boots and own its network, and engines are made for
something else. It is no sandbox: Docker inside it is a real engine that needs mounts, networks and cgroups. So
it takes root on the host, and is for content that one would also run there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

from aws_emulator.machines.commands import run
from aws_emulator.machines.disks import MountedDisk
from aws_emulator.machines.errors import CommandError, MachineError
from aws_emulator.machines.network import NetworkNamespace, delete_namespace

logger = logging.getLogger(__name__)

AGENT_SOCKET: Final = "run/amazon-ssm-agent.sock"
_BOOT_SCRIPT: Final = Path(__file__).with_name("boot.sh")
_POWER_OFF: Final = signal.SIGRTMIN + 4  # systemd(1), "Signals"
_CGROUP_TYPE: Final = "cgroup2"


class Machine:
    """One machine on one disk.

    Args:
        name: unique on this host; also its host name.
        disk: its disk, which it changes.
        directory: for its mount point and its console.
        network: where it runs; closed with the machine.
    """

    def __init__(self, name: str, disk: Path, directory: Path, network: NetworkNamespace) -> None:
        self.name = name
        self.disk = disk
        self.network = network
        self._mounted = MountedDisk(disk, directory / f"{name}.root")
        self._cgroup = _cgroup_root() / name
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        """Boot."""
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut the power, if it is still on, and release the disk."""
        self.cut_power()
        self.network.close()

    @property
    def is_on(self) -> bool:
        """Whether its first process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def root(self) -> Path:
        """The running machine's own view of its files, memory-backed ones too."""
        return Path(f"/proc/{self._init}/root")

    def boot(self, timeout_seconds: float = 120.0) -> None:
        """Boot, and wait until the agent answers.

        Raises:
            MachineError: it does not.
            CommandError: the disk cannot be mounted.
        """
        self._mounted.mount()
        self._cgroup.mkdir(exist_ok=True)
        command = (
            f"echo $$ >{self._cgroup}/cgroup.procs; exec nsenter --net={self.network.path} "
            "unshare --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL "
            f"bash {_BOOT_SCRIPT} {self._mounted.mount_point} {self.name}"
        )
        self._process = subprocess.Popen(  # noqa: S603 - paths of ours
            ["bash", "-c", command],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout_seconds
        while not self._answers():
            if not self.is_on or time.monotonic() > deadline:
                words = self._last_words()
                self.cut_power()
                raise MachineError(f"{self.name} did not boot: {words or 'its agent does not answer'}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        self._init = self._init or self._find_init()
        if not self._init:
            return False
        try:
            return bool(self.ask({"ping": True}, timeout_seconds=5)["pong"])
        except (OSError, ValueError, KeyError):
            return False

    def _find_init(self) -> int:
        if self._process is None:
            return 0
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            found = children.read_text(encoding="ascii").split()
        except OSError:
            return 0
        return int(found[0]) if found else 0

    def _last_words(self) -> str:
        if self._process is None or self._process.stderr is None or self._process.poll() is None:
            return ""
        return self._process.stderr.read().decode(errors="replace").strip()[-1000:]

    def ask(self, question: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Ask the machine's agent, and return its answer.

        Raises:
            OSError: it does not answer in time, or not any more.
            ValueError: it hung up in the middle.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(str(self.root / AGENT_SOCKET))
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline())
        return answer

    def execute(self, *command: str, timeout_seconds: float = 120.0) -> str:
        """Run a command on the machine, and return what it prints.

        Raises:
            CommandError: it fails.
        """
        return run(*self.entering(*command), timeout_seconds=timeout_seconds)

    def entering(self, *command: str) -> tuple[str, ...]:
        """The command line on the host that runs a command on the machine."""
        return ("nsenter", "--target", str(self._init), "--all", "--", *command)

    def power_off(self, timeout_seconds: float = 90.0) -> None:
        """Shut down as EC2 does when an instance is stopped: every unit is stopped in its order.

        Raises:
            MachineError: it does not go down in time; its power is cut then.
        """
        if self._process is None or not self.is_on:
            self.cut_power()
            return
        os.kill(self._init, _POWER_OFF)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.cut_power()
            raise MachineError(f"{self.name} did not shut down in {timeout_seconds} seconds") from None
        self.cut_power()

    def cut_power(self) -> None:
        """End everything at once and release the disk; does nothing to a machine that is off."""
        if self._process is not None:
            if self.is_on:
                self._process.kill()
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None
        self._init = 0
        self._release()

    def _release(self) -> None:
        _unmount(self._mounted)
        _remove_cgroup(self._cgroup)


def discard_machine(name: str, directory: Path) -> None:
    """End what is left of a machine whose owner was killed.

    Raises:
        CommandError: its disk cannot be unmounted.
    """
    cgroup = _cgroup_root() / name
    if cgroup.is_dir():
        # Kernel documentation, "Control Group v2", cgroup.kill.
        (cgroup / "cgroup.kill").write_text("1", encoding="ascii")
    _unmount(MountedDisk(Path(), directory / f"{name}.root"))
    _remove_cgroup(cgroup)
    delete_namespace(name)


def _unmount(mounted: MountedDisk) -> None:
    # The kernel lets go of namespaces and mounts a moment after the last process has ended.
    deadline = time.monotonic() + 10
    while True:
        try:
            mounted.unmount()
        except CommandError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _cgroup_root() -> Path:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, *_ = line.split()
        if kind == _CGROUP_TYPE:
            return Path(where)
    raise MachineError("this host has no cgroup2 mount")


def _remove_cgroup(cgroup: Path) -> None:
    if not cgroup.is_dir():
        return
    deepest_first = sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=True)
    for path in [*deepest_first, cgroup]:
        for _ in range(50):
            with contextlib.suppress(OSError):
                path.rmdir()
            if not path.exists():
                break
            time.sleep(0.02)
