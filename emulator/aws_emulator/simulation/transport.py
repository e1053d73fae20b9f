"""How functions reach the gateway in a simulation: botocore's request and answer, without a connection."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.hooks import HierarchicalEmitter, first_non_none_response

from aws_emulator.api.disruptions import LostAnswer
from aws_emulator.gateway.gateway import Gateway

ENDPOINT_URL: Final = "http://127.0.0.1:9"
_ENDPOINT: Final = urlsplit(ENDPOINT_URL)
_KEY_FIELD: Final = "Credential="


class Callers(Protocol):
    """Who makes the calls of a simulation."""

    def calling(self) -> AbstractContextManager[str | None]:
        """Around an API call: the access key of the function that makes it, None for anybody else."""


class Transport:
    """A `before-send` handler of botocore that answers requests from the gateway.

    All but those to another emulated account of this machine: nothing must reach AWS by mistake.

    Args:
        functions: tells which invocation a call belongs to.
    """

    def __init__(self, gateway: Gateway, functions: Callers) -> None:
        self._gateway = gateway
        self._functions = functions

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        """Answer one request; None for one that goes to another account.

        Raises:
            ReadTimeoutError: the answer is lost.
        """
        url = urlsplit(request.url)
        if url.hostname == _ENDPOINT.hostname and url.port != _ENDPOINT.port:
            return None
        with self._functions.calling() as access_key_id:
            environ = _environ(request, access_key_id)
            answer: dict[str, Any] = {}

            def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
                answer["status"], answer["headers"] = int(status.split(" ", 1)[0]), dict(headers)

            try:
                body = b"".join(self._gateway(environ, start_response))
            except LostAnswer as lost:
                raise ReadTimeoutError(endpoint_url=request.url, error=lost) from lost
        return AWSResponse(request.url, answer["status"], answer["headers"], _Body(body))


class _Body:
    """Read whole by most of botocore, and as a stream where a response is data."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def stream(self) -> Iterable[bytes]:
        return [self._content.read()]

    def read(self, amount: int | None = None) -> bytes:
        return self._content.read(amount)


def _content(body: Any) -> bytes:
    """The bytes of a request's body, which for data is a stream."""
    if hasattr(body, "read"):
        return bytes(body.read())
    return body.encode() if isinstance(body, str) else bytes(body)


def _environ(request: Any, access_key_id: str | None) -> dict[str, Any]:
    url = urlsplit(request.url)
    content = _content(request.body or b"")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": url.path or "/",
        "RAW_URI": f"{url.path or '/'}?{url.query}" if url.query else url.path or "/",
        "QUERY_STRING": url.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "9",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BytesIO(content),
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        key = name.upper().replace("-", "_")
        environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    if access_key_id is not None:
        environ["HTTP_AUTHORIZATION"] = _signed_by(environ.get("HTTP_AUTHORIZATION", ""), access_key_id)
    environ.setdefault("HTTP_HOST", url.netloc)
    return environ


def _signed_by(authorization: str, access_key_id: str) -> str:
    """The header with another access key: all functions of a simulation share one process's credentials."""
    before, field, rest = authorization.partition(_KEY_FIELD)
    return f"{before}{field}{access_key_id}/{rest.partition('/')[2]}" if field else authorization


def name_credentials(request: Any, signing_name: str, region_name: str, **_: Any) -> None:
    """Say in a request that is not signed what a signature says beside it (a `before-sign` handler of botocore)."""
    scope = request.context.get("signing", {})
    name, region = scope.get("signing_name", signing_name), scope.get("region", region_name)
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 {_KEY_FIELD}simulated/20260105/{region}/{name}/aws4_request"
    )


class RetryPauses(HierarchicalEmitter):  # type: ignore[misc]  # botocore has no types
    """Event hooks of an SDK session that let the pause before a retry pass in their own way.

    botocore sleeps for as long as the handlers of `needs-retry` say. Those are asked here, the pause is made, and
    botocore is told to sleep for 0 seconds.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._pause = pause

    def emit(self, event_name: str, **parameters: Any) -> list[tuple[Any, Any]]:
        """Ask the handlers of an event; pause where they say that a call is to be made again."""
        answers: list[tuple[Any, Any]] = super().emit(event_name, **parameters)
        seconds = first_non_none_response(answers)
        if not event_name.startswith("needs-retry.") or not seconds:
            return answers
        self._pause(seconds)
        return [(self, 0)]
