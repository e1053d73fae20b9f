"""The real registry: Debian's `docker-registry`, reached over a Unix socket that only this user can open."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from aws_emulator.machines.errors import RegistryError

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{net: unix, addr: {socket}}}
"""


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("registry", timeout=300)
        self._path = path

    def connect(self) -> None:
        """Open the socket; `close` closes it, also when this fails."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class RegistryProcess:
    """A registry that keeps what is pushed in a directory.

    Args:
        program: the executable.
        directory: for its socket and its storage; its path must be short, as Unix sockets demand.
    """

    def __init__(self, program: Path, directory: Path) -> None:
        self.socket = directory / "registry.sock"
        self.storage = directory / "registry"
        self.config = config = directory / "registry.yml"
        config.write_text(_CONFIG.format(storage=self.storage, socket=self.socket), encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours
            [str(program), "serve", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
        self._wait()

    def __enter__(self) -> Self:
        """The registry runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = self.connect()
            try:
                connection.request("GET", "/v2/")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        self.close()
        raise RegistryError("docker-registry did not start")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def connect(self) -> UnixConnection:
        """A new connection to it."""
        return UnixConnection(self.socket)

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(timeout=10)
