"""ECR for machines: its API for authorization tokens, and a proxy in front of a real registry.

As ECR does, it takes the user `AWS` with a token for which somebody signed in with credentials, and refuses
a token that has expired (ECR User Guide, "Private registry authentication"). Faults can be set at any time.
It does not check the signature of the API call, only whose credentials signed it.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aws_emulator.machines.http_endpoint import Handler, HttpEndpoint
from aws_emulator.machines.instance_metadata import RoleCredentials
from aws_emulator.machines.registry_process import RegistryProcess

TOKEN_LIFETIME_SECONDS: Final = 12 * 3600.0
_BLOCK: Final = 64 * 1024
_KEY_ID: Final = re.compile(r"Credential=([A-Z0-9]+)/")
_MANIFEST: Final = re.compile(r"^/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)$")
_BLOB: Final = re.compile(r"^/v2/.+/blobs/sha256:[0-9a-f]{64}$")
_EXPIRED: Final = "Your authorization token has expired. Reauthenticate and try again."
_HOP_BY_HOP: Final = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


# Headers and body of a call, to status and body of its answer.
ServiceApi = Callable[[dict[str, str], bytes], tuple[int, bytes]]


@dataclass
class RegistryFaults:
    """The active faults of the registry.

    Attributes:
        is_down: connections are closed without an answer.
        refuses: every request for content is denied.
        errors_left: so many requests for content are answered with status 500.
        bytes_per_second: how fast content comes, or None for as fast as it can.
        cut_after_bytes: a connection breaks after so many bytes of a blob.
        cuts_left: how often.
        expire_tokens_after_requests: after so many more requests for content, the tokens known then expire.
        replaced_manifests: what is served in the place of a manifest's own bytes, by digest.
    """

    is_down: bool = False
    refuses: bool = False
    errors_left: int = 0
    bytes_per_second: float | None = None
    cut_after_bytes: int = 0
    cuts_left: int = 0
    expire_tokens_after_requests: int | None = None
    replaced_manifests: dict[str, bytes] = field(default_factory=dict)

    def clear(self) -> None:
        """Clear all faults."""
        vars(self).update(vars(RegistryFaults()))


class EcrAuthority:
    """Credentials that may sign in, and valid tokens."""

    def __init__(self, lifetime_seconds: float = TOKEN_LIFETIME_SECONDS) -> None:
        self.lifetime_seconds = lifetime_seconds
        self.may_pull: Callable[[str], bool] = lambda _access_key_id: True
        self.issued = 0
        self._credentials: dict[str, RoleCredentials] = {}
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()

    def admit(self, credentials: RoleCredentials) -> None:
        """Let the holder of credentials sign in from now on."""
        self._credentials[credentials.access_key_id] = credentials

    def sign_in(self, authorization: str, session_token: str) -> str | None:
        """A new token for whoever signed a request, or None."""
        match = _KEY_ID.search(authorization)
        known = self._credentials.get(match[1]) if match else None
        if known is None or known.session_token != session_token or not self.may_pull(known.access_key_id):
            return None
        return self.issue()

    def issue(self) -> str:
        """A new token."""
        token = "eyJ" + secrets.token_hex(200)
        with self._lock:
            self.issued += 1
            self._tokens[token] = time.monotonic() + self.lifetime_seconds
        return token

    def all_tokens(self) -> list[str]:
        """Every token that was issued."""
        with self._lock:
            return list(self._tokens)

    def is_known(self, token: str) -> bool:
        """Whether a token was issued, expired or not."""
        return token in self._tokens

    def is_valid(self, token: str) -> bool:
        """Whether a token was issued and has not expired."""
        return self._tokens.get(token, 0.0) > time.monotonic()

    def expire_all(self) -> None:
        """Let every token that exists expire now."""
        with self._lock:
            self._tokens = dict.fromkeys(self._tokens, 0.0)


class EcrEndpoint(HttpEndpoint):
    """ECR as a machine sees it, on one socket.

    Args:
        listener: the socket.
        registry: what keeps the images.
        authority: who may sign in.
        tls: how to speak TLS, or None for plain HTTP on the loopback interface.
        faults: what is wrong, shared by those who set it.
        api: answers what is called of other services than ECR; without it there are none.
        pushed: called with repository, reference, media type and manifest after each manifest that came in;
            returns why it is refused, or None. A registry without it cannot be pushed to.
        packages: directory of what S3 has, on the same socket under its own name.
    """

    def __init__(
        self,
        listener: socket.socket,
        registry: RegistryProcess,
        authority: EcrAuthority,
        tls: ssl.SSLContext | None,
        *,
        faults: RegistryFaults | None = None,
        api: ServiceApi | None = None,
        pushed: Callable[[str, str, str, bytes], str | None] | None = None,
        packages: Path | None = None,
    ) -> None:
        self.registry = registry
        self.authority = authority
        self.faults = faults or RegistryFaults()
        self.api = api
        self.pushed = pushed
        self.packages = packages
        super().__init__(listener, _EcrHandler, tls)


class _EcrHandler(Handler):
    server: EcrEndpoint

    def do_GET(self) -> None:  # noqa: N802 - the standard library's names
        if self.server.packages is not None and self.headers.get("Host", "").startswith("s3."):
            self._package(self.server.packages)
        else:
            self._content()

    do_HEAD = do_GET  # noqa: N815

    def _package(self, directory: Path) -> None:
        path = directory / Path(self.path).name
        if path.is_file():
            self.reply(HTTPStatus.OK, path.read_bytes())
        else:
            self.reply(HTTPStatus.NOT_FOUND, b"")

    def do_PUT(self) -> None:  # noqa: N802
        self._push()

    do_PATCH = do_PUT  # noqa: N815

    def do_POST(self) -> None:  # noqa: N802
        if self.headers.get("X-Amz-Target", "").endswith(".GetAuthorizationToken"):
            self._give_token()
        elif "X-Amz-Target" in self.headers:
            self._call_service()
        else:
            self._push()

    def _give_token(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self._hangs_up():
            return
        token = self.server.authority.sign_in(
            self.headers.get("Authorization", ""), self.headers.get("X-Amz-Security-Token", "")
        )
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        if token is None:
            message = "is not authorized to perform: ecr:GetAuthorizationToken on resource: *"
            body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
            self.reply(HTTPStatus.BAD_REQUEST, body, headers)
            return
        registry = self.headers.get("Host", "").replace("api.ecr", "123456789012.dkr.ecr")
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{token}".encode()).decode(),
            "expiresAt": time.time() + self.server.authority.lifetime_seconds,
            "proxyEndpoint": f"https://{registry}",
        }
        self.reply(HTTPStatus.OK, json.dumps({"authorizationData": [data]}).encode(), headers)

    def _call_service(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.server.api is None:
            self.reply(HTTPStatus.SERVICE_UNAVAILABLE, b"")
            return
        status, answer = self.server.api(dict(self.headers.items()), body)
        self.reply(status, answer, {"Content-Type": "application/x-amz-json-1.1"})

    def _hangs_up(self) -> bool:
        if self.server.faults.is_down:
            self.close_connection = True
        return self.server.faults.is_down

    def _refusal(self) -> tuple[int, str, str] | None:
        """Status, code and message for a request that must not pass."""
        faults, authority = self.server.faults, self.server.authority
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        user, _, token = base64.b64decode(encoded or "").decode(errors="replace").partition(":")
        if scheme != "Basic" or user != "AWS" or not authority.is_known(token):
            return HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "authentication required"
        if self.path != "/v2/" and faults.expire_tokens_after_requests is not None:
            faults.expire_tokens_after_requests -= 1
            if faults.expire_tokens_after_requests < 0:
                faults.expire_tokens_after_requests = None
                authority.expire_all()
        if not authority.is_valid(token):
            return HTTPStatus.FORBIDDEN, "DENIED", _EXPIRED
        if self.path == "/v2/":
            return None
        if faults.refuses:
            return HTTPStatus.FORBIDDEN, "DENIED", "User is not authorized to perform: ecr:BatchGetImage"
        if faults.errors_left > 0:
            faults.errors_left -= 1
            return HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", "Service Unavailable"
        return None

    def _stop_here(self) -> bool:
        if self._hangs_up():
            return True
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(*refusal)
        return refusal is not None

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
        if status == HTTPStatus.UNAUTHORIZED:
            realm = f"https://{self.headers.get('Host')}/"
            headers["Www-Authenticate"] = f'Basic realm="{realm}",service="ecr.amazonaws.com"'
        # What the client is still sending was not read.
        self.close_connection = self.command not in {"GET", "HEAD"}
        self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def _content(self) -> None:
        if self._stop_here():
            return
        match = _MANIFEST.match(self.path)
        replaced = self.server.faults.replaced_manifests.get(match["reference"]) if match else None
        if replaced is not None:
            content = {
                "Content-Type": json.loads(replaced).get("mediaType", ""),
                "Docker-Content-Digest": match["reference"] if match else "",
            }
            self.reply(HTTPStatus.OK, replaced, content)
            return
        with self._forward(None) as answer:
            self._relay(answer, limited=bool(_BLOB.match(self.path)) and self.command == "GET")

    def _push(self) -> None:
        if self._stop_here():
            return
        if self.server.pushed is None:
            self.close_connection = True
            self.reply(HTTPStatus.METHOD_NOT_ALLOWED, b"")
            return
        match = _MANIFEST.match(self.path)
        manifest = self.rfile.read(int(self.headers.get("Content-Length", "0"))) if match else None
        with self._forward(manifest if match else self._body()) as answer:
            if match and manifest is not None and answer.status == HTTPStatus.CREATED:
                kind = self.headers.get("Content-Type", "")
                refusal = self.server.pushed(match["repository"], match["reference"], kind, manifest)
                if refusal:
                    self._refuse(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", refusal)
                    return
            self._relay(answer, limited=False)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left and (block := self.rfile.read(min(left, _BLOCK))):
            left -= len(block)
            yield block

    def _forward(self, body: bytes | Iterator[bytes] | None) -> _Exchange:
        # Clients repeat Accept, so headers are pairs here and not a mapping.
        headers = [
            (name, value)
            for name, value in self.headers.items()
            if name.lower() not in {"authorization", "connection", "content-length"}
        ]
        length = self.headers.get("Content-Length")
        return _Exchange(self.server.registry, (self.command, self.path), headers, body, length)

    def _relay(self, answer: http.client.HTTPResponse, *, limited: bool) -> None:
        length = answer.getheader("Content-Length")
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if length is None:
            self.send_header("Content-Length", "0")
        self.end_headers()
        sent = 0
        while self.command != "HEAD" and (block := answer.read(_BLOCK)):
            if limited and self._breaks(sent + len(block)):
                return
            self.wfile.write(block)
            sent += len(block)
            if limited and self.server.faults.bytes_per_second:
                time.sleep(len(block) / self.server.faults.bytes_per_second)

    def _breaks(self, sent: int) -> bool:
        faults = self.server.faults
        if faults.is_down or (faults.cuts_left > 0 and sent > faults.cut_after_bytes):
            faults.cuts_left = max(0, faults.cuts_left - 1)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return True
        return False


class _Exchange:
    """One request to the registry behind; a context manager that gives the response."""

    def __init__(
        self,
        registry: RegistryProcess,
        line: tuple[str, str],
        headers: list[tuple[str, str]],
        body: bytes | Iterator[bytes] | None,
        length: str | None,
    ) -> None:
        self._connection = registry.connect()
        self._connection.putrequest(*line, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            self._connection.putheader(name, value)
        if length is not None:
            self._connection.putheader("Content-Length", length)
        self._connection.endheaders(body, encode_chunked=length is None)

    def __enter__(self) -> http.client.HTTPResponse:
        return self._connection.getresponse()

    def __exit__(self, *_: object) -> None:
        self._connection.close()
