"""Starting and ending function processes by way of the zygote."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aws_emulator.lambda_.functions import Function

_SCRIPT: Final = Path(__file__).with_name("zygote.py")
_MESSAGE_BYTES: Final = 1 << 20


class ZygoteError(RuntimeError):
    """The zygote has ended: no function can be started any longer."""


class Zygote:
    """The zygote process, seen from the emulator.

    Args:
        on_exit: called on the event loop with a worker's id and how its process ended.
        on_output: called on the event loop with a function's logical id and a line of its output.
    """

    def __init__(self, on_exit: Callable[[str, str], None], on_output: Callable[[str, str], None]) -> None:
        self._on_exit = on_exit
        self._on_output = on_output
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # In a session of its own: an interrupt from the terminal must reach the emulator only.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
                [sys.executable, "-I", str(_SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,
            )
        self._channel.setblocking(False)
        self._outputs: set[asyncio.ReadTransport] = set()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen for ended processes on an event loop."""
        loop.add_reader(self._channel.fileno(), self._receive, loop)

    async def start(self, worker_id: str, function: Function, environment: dict[str, str]) -> None:
        """Fork a process for a function; raises ZygoteError."""
        reader, writer = os.pipe()
        request = {
            "start": worker_id,
            "environment": environment,
            "path": [str(function.task_root), *(str(layer) for layer in function.layers)],
            "directory": str(function.task_root),
            "handler": function.handler,
        }
        try:
            await self._send(request, [writer])
        except OSError as error:
            os.close(reader)
            raise ZygoteError(f"the zygote process does not answer: {error}") from error
        finally:
            os.close(writer)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Output(function.logical_id, self._on_output), os.fdopen(reader, "rb", buffering=0)
        )
        self._outputs.add(transport)

    async def kill(self, worker_id: str, number: int = signal.SIGKILL) -> None:
        """Send a process a signal; `on_exit` follows if it ends."""
        await self._send({"kill": worker_id, "signal": int(number)}, [])

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the zygote and with it all function processes."""
        loop.remove_reader(self._channel.fileno())
        for transport in self._outputs:
            transport.close()
        self._channel.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        data = json.dumps(message).encode()
        while True:
            try:
                socket.send_fds(self._channel, [data], descriptors)
            except BlockingIOError:
                await asyncio.sleep(0.01)
            else:
                return

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            data = self._channel.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(self._channel.fileno())
            return
        message = json.loads(data)
        self._on_exit(message["exited"], message["status"])


class _Output(asyncio.Protocol):
    """Cuts a process's output into lines."""

    def __init__(self, logical_id: str, on_output: Callable[[str, str], None]) -> None:
        self._logical_id = logical_id
        self._on_output = on_output
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_output(self._logical_id, line.decode(errors="replace"))

    def connection_lost(self, _error: Exception | None) -> None:
        if self._rest:
            self._on_output(self._logical_id, self._rest.decode(errors="replace"))
