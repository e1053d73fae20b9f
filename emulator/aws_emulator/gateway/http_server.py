"""The HTTP server in front of the gateway: 127.0.0.1 only, a thread for each connection."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

HOST = "127.0.0.1"


class PortInUseError(OSError):
    """Something else listens on the port."""


class _Handler(WSGIRequestHandler):
    """Keeps connections open, and leaves logging to the gateway's call log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Close the connection, so that its other end does not wait for an answer."""
        super().connection_dropped(error, environ)
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing: the call log has it."""


class _Server(ThreadedWSGIServer):
    """Knows its connections, so that stopping does not wait for idle ones."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listener: socket.socket, application: Any) -> None:
        host, port = listener.getsockname()[:2]
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(host, port, application, handler=_Handler, fd=listener.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by the other side


class HttpServer:
    """Serves a WSGI application on a port of 127.0.0.1.

    The port is taken at once, so that its number is known before the application exists.

    Args:
        port: 0 for any free one.

    Raises:
        PortInUseError: the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((HOST, port))
        except OSError as error:
            self._listener.close()
            if error.errno == errno.EADDRINUSE:
                message = f"port {port} is in use; choose another one, or 0 for any free port"
                raise PortInUseError(error.errno, message) from error
            raise
        self._listener.listen(128)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    def serve(self, application: Callable[..., Iterable[bytes]]) -> None:
        """Serve on a thread."""
        self._server = _Server(self._listener, application)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="emulator-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and close all connections."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            self._thread.join(timeout=5)
        self._listener.close()
