"""A network namespace of its own for each machine, with all that the machine can reach inside it.

A socket belongs to the namespace in which it was made. So a server of this process can listen on
169.254.169.254 as the machine sees it, and nothing is reachable, or listens, outside of the namespace.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Final

# Where a machine finds what AWS provides; link-local, as the instance metadata service's own address is.
METADATA_ADDRESS: Final = "169.254.169.254"
CLOUD_ADDRESS: Final = "169.254.200.1"
_CLONE_NEWNET: Final = 0x40000000
_NAMESPACES: Final = Path("/run/netns")


class NetworkNamespace:
    """A new network namespace with a loopback interface that has the two addresses, and nothing else.

    Args:
        name: unique on this host.

    Raises:
        CalledProcessError: the kernel or the user's rights do not allow it.
    """

    def __init__(self, name: str) -> None:
        self.path = _NAMESPACES / name
        self._name = name
        _ip("netns", "add", name)
        _ip("-netns", name, "link", "set", "lo", "up")
        for address in (METADATA_ADDRESS, CLOUD_ADDRESS):
            _ip("-netns", name, "address", "add", f"{address}/32", "dev", "lo")

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening socket in the namespace.

        Raises:
            OSError: the address is taken.
        """
        made: list[socket.socket] = []
        errors: list[OSError] = []

        def enter() -> None:
            # setns(2) changes the calling thread alone, and this one ends at once.
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
                try:
                    _set_namespace(descriptor)
                finally:
                    os.close(descriptor)
                made.append(socket.create_server((address, port), backlog=128))
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=enter, name="network-namespace")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return made[0]

    def close(self) -> None:
        """Forget the namespace; it goes when its last process and socket have gone."""
        delete_namespace(self._name)


def delete_namespace(name: str) -> None:
    """Forget a namespace, if it is there."""
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)  # noqa: S603, S607 - fixed words


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True, text=True)  # noqa: S603, S607 - fixed words
