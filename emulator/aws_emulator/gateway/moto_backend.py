"""moto, which serves the operations that are not implemented here.

moto keeps its state in dictionaries of its modules, one set for the whole process. Here each emulated account owns
its part of that state: it is swapped in before a call of the account, and swapped out before another account's.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aws_emulator.gateway.moto_items import answer_item_call
from aws_emulator.gateway.passthrough import WsgiApp

_SETTINGS: Final = {
    # The 1,300 images that moto knows are not this account's: EC2's images are emulated here.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "AWS_DEFAULT_REGION": "us-east-1",
}
# moto keeps IAM and STS once for each partition.
_GLOBAL_SERVICES: Final = {"iam", "sts"}
_LONGEST_POLL_SECONDS: Final = 20
# A message may arrive without waking whoever waits: one that was delayed, or is visible again. And moto wakes whoever
# waits for messages that he may not have yet.
_POLL_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.01


class _Turns:
    """Which account's state is swapped into moto: calls of one account run concurrently, those of others wait.

    Whoever comes first goes first, so that no account waits for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._running = 0
        self._owner: MotoAccount | None = None
        self._local = threading.local()

    @contextmanager
    def of(self, account: MotoAccount) -> Iterator[None]:
        """Swap in an account's state; reentrant."""
        inside = getattr(self._local, "account", None)
        if inside is not None:
            if inside is not account:
                raise RuntimeError("a call of an emulated account reaches into another account")
            yield
            return
        self._enter(account)
        self._local.account = account
        try:
            yield
        finally:
            self._local.account = None
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _enter(self, account: MotoAccount) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and (self._owner is account or self._running == 0)
                )
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            if self._owner is not account:
                if self._owner is not None:
                    self._owner.put_aside()
                account.put_in_place()
                self._owner = account
            self._running += 1

    def forget(self, account: MotoAccount) -> None:
        """Remove an account's state from moto."""
        with self._changed:
            self._changed.wait_for(lambda: self._owner is not account or self._running == 0)
            if self._owner is account:
                account.put_aside()
                self._owner = None


_TURNS: Final = _Turns()


class MotoAccount:
    """moto's state of one emulated account; a WSGI application.

    Args:
        account_id: as moto knows the account; several accounts of a process may have the same one.
        region: of the backends.
    """

    def __init__(self, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region
        self._content: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._application = _application()
        _forget_models()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        body = environ["wsgi.input"].read()
        if _is_receiving(environ, body):
            return self._receive(environ, body, start_response)
        return self._answer(environ, body, start_response)

    @contextmanager
    def backend(self, service: str) -> Iterator[Any]:
        """moto's backend of a service, for as long as it is read or changed.

        Calls of other accounts wait meanwhile.
        """
        from moto.backends import get_backend  # noqa: PLC0415 - slow to import

        with _TURNS.of(self):
            yield get_backend(service)[self._account_id][
                "aws" if service in _GLOBAL_SERVICES else self._region
            ]

    def close(self) -> None:
        """Forget everything."""
        _TURNS.forget(self)
        self._content.clear()

    def put_aside(self) -> None:
        """Swap this account's state out."""
        instances = _used_dictionaries()
        self._content = {id(each): (each, dict(each)) for each in instances}
        for each in instances:
            each.clear()
        instances.clear()

    def put_in_place(self) -> None:
        """Swap this account's state in."""
        instances = _used_dictionaries()
        for each in instances:  # of somebody who used moto without an account
            each.clear()
        instances.clear()
        for each, content in self._content.values():
            each.update(content)
            instances.append(each)
        self._content = {}

    def _answer(
        self, environ: Mapping[str, Any], body: bytes, start_response: Callable[..., Any]
    ) -> list[bytes]:
        inner = dict(environ) | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        with _TURNS.of(self):
            at_once = answer_item_call(environ, body, self._account_id, self._region)
            if at_once is not None:
                start_response(at_once.status, at_once.headers)
                return [at_once.body]
            return list(self._application(inner, start_response))

    def _receive(
        self, environ: Mapping[str, Any], body: bytes, start_response: Callable[..., Any]
    ) -> list[bytes]:
        """Receive from a queue; a long poll waits outside of the account's turn, so that it keeps nobody."""
        form = "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", "")
        parameters: dict[str, Any] = (
            dict(parse_qsl(body.decode(), keep_blank_values=True)) if form else json.loads(body)
        )
        queue = self._queue(str(parameters.get("QueueUrl") or environ.get("PATH_INFO", "")))
        seconds = parameters.get("WaitTimeSeconds", queue.receive_message_wait_time_seconds if queue else 0)
        if queue is None or not str(seconds).isdecimal() or int(seconds) > _LONGEST_POLL_SECONDS:
            return self._answer(environ, body, start_response)  # moto refuses it
        parameters["WaitTimeSeconds"] = "0" if form else 0
        body = (urlencode(parameters) if form else json.dumps(parameters)).encode()
        limit = time.monotonic() + int(seconds)
        while True:
            answer: dict[str, Any] = {}
            parts = self._answer(environ, body, lambda *said, told=answer: told.update(said=said))
            content = b"".join(parts)
            left = limit - time.monotonic()
            empty = b"ReceiptHandle" not in content and str(answer["said"][0]).startswith("200")
            if not empty or left <= 0:
                start_response(*answer["said"])
                return parts
            queue.wait_for_messages(min(left, _POLL_SECONDS))
            time.sleep(_PAUSE_SECONDS)

    def _queue(self, url: str) -> Any:
        with self.backend("sqs") as backend:
            return backend.queues.get(url.rpartition("/")[2])


def _is_receiving(environ: Mapping[str, Any], body: bytes) -> bool:
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    return target == "AmazonSQS.ReceiveMessage" or (not target and b"Action=ReceiveMessage" in body)


@cache
def _application() -> WsgiApp:
    """moto's WSGI application: it has no state of its own, so there is one for all accounts."""
    # moto reads its settings when it is imported, so they come first.
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )

    application: WsgiApp = DomainDispatcherApplication(create_backend_app)
    return application


def _used_dictionaries() -> list[Any]:
    """moto's own list of its dictionaries that hold something."""
    from moto.core.base_backend import BackendDict  # noqa: PLC0415 - slow to import

    instances: list[Any] = BackendDict._instances  # noqa: SLF001 - moto has no other way to tell
    return instances


def _forget_models() -> None:
    """Have moto's dashboard, which nobody sees, keep no account alive."""
    from moto.core.model_instances import reset_model_data  # noqa: PLC0415 - slow to import

    reset_model_data()
