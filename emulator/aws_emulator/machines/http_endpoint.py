"""A small threaded HTTP server on a socket that exists already, with TLS if wanted."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """A request handler that keeps connections and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Log nothing."""

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole response; of an answer to HEAD only the headers."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class HttpEndpoint(ThreadingHTTPServer):
    """Serves a handler class on a listening socket, until it is closed.

    Args:
        listener: the socket; closed with the endpoint.
        handler: makes one handler for each connection; it finds this object as `server`.
        tls: how to speak TLS, or None for plain HTTP.
    """

    daemon_threads = True

    def __init__(
        self, listener: socket.socket, handler: type[Handler], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._tls = tls
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="http-endpoint", daemon=True
        )
        self._thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS first, on the connection's own thread."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(30)
        # The server closes the plain connection, which is detached by then.
        with self._tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up: killed machines do."""

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=5)
