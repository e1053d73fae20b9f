"""Functions in containers, behind `sam local start-lambda`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol

from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.worker import Outcome

# `sam local` starts a container before the function's own time begins.
_START_SECONDS: Final = 120.0


class FunctionRuntime(Protocol):
    """Runs functions."""

    def invoke(self, function: Function, payload: str) -> Future[Outcome]:
        """Begin an invocation with a JSON payload; the future holds its outcome."""

    def forget(self, name: str) -> None:
        """Note that a function's configuration has changed."""


class Containers:
    """Functions in the containers of a running `sam local start-lambda`.

    Args:
        endpoint_url: where that listens.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="emulator-container")

    def close(self) -> None:
        """Wait for invocations that are under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def invoke(self, function: Function, payload: str) -> Future[Outcome]:
        """Begin an invocation; `sam local` knows functions by their logical ids."""
        try:
            return self._threads.submit(self._invoke, function, payload)
        except RuntimeError:
            # After `close`: as from a process that has ended.
            ended: Future[Outcome] = Future()
            ended.set_result(outcome_of('{"errorType": "Runtime.ExitError", "errorMessage": "closed"}', ""))
            return ended

    def forget(self, name: str) -> None:
        """Nothing: `sam local` reads its template and its variables when it starts."""

    def _invoke(self, function: Function, payload: str) -> Outcome:
        request_id = str(uuid.uuid4())
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            f"{self._endpoint_url}/2015-03-31/functions/{function.logical_id}/invocations",
            data=payload.encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            limit = _START_SECONDS + function.timeout_seconds
            with urllib.request.urlopen(request, timeout=limit) as answer:  # noqa: S310
                text = answer.read().decode()
        except (urllib.error.URLError, TimeoutError) as error:
            text = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": f"sam local: {error}"})
        return outcome_of(text, request_id)


def outcome_of(text: str, request_id: str) -> Outcome:
    """What `sam local` answered, which says 200 to everything and marks errors by their form alone."""
    try:
        payload: Any = json.loads(text or "null")
    except ValueError:
        # A time-out is told in plain words.
        payload = {"errorType": "Sandbox.Timedout", "errorMessage": text.strip()}
        return Outcome(json.dumps(payload), failed=True, request_id=request_id)
    failed = isinstance(payload, dict) and {"errorType", "errorMessage"} <= payload.keys()
    return Outcome(json.dumps(payload), failed=failed, request_id=request_id)
