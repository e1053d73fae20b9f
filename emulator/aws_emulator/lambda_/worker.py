"""One function process and the Runtime API that it talks to.

The API is that of the Lambda Developer Guide, "Using the Lambda runtime API", served by a listener of
its own for each process, so that a request tells which process it comes from.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Final

from aws_emulator.lambda_.functions import Function

INIT_SECONDS: Final = 60.0
_API: Final = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an invocation: a JSON payload, and whether it is a function error."""

    payload: str
    failed: bool
    request_id: str


@dataclass
class Job:
    """One invocation, served by a process."""

    request_id: str
    payload: str
    trace_id: str
    done: asyncio.Future[Outcome]
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    def finish(self, payload: str, *, failed: bool) -> None:
        """Record the outcome, if there is none yet."""
        if not self.done.done():
            self.done.set_result(Outcome(payload, failed, self.request_id))

    def fail(self, error_type: str, message: str) -> None:
        """Record a failure of the runtime as Lambda words it."""
        text = f"RequestId: {self.request_id} Error: {message}"
        self.finish(json.dumps({"errorType": error_type, "errorMessage": text}), failed=True)


class Worker:
    """A process of a function, serving one invocation at a time."""

    def __init__(self, identifier: str, function: Function) -> None:
        self.identifier = identifier
        self.function = function
        self.address = ""
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._current: Job | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def trace_id(self) -> str | None:
        """The trace id of the invocation that it serves, which its API calls carry."""
        return self._current.trace_id if self._current is not None else None

    async def listen(self) -> None:
        """Open the Runtime API; sets `address`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    def close(self) -> None:
        """Close the Runtime API."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()

    async def run(self, job: Job) -> tuple[Outcome, bool]:
        """Have the process serve a job; the outcome, and whether the process can serve another one."""
        self._current = job
        self._jobs.put_nowait(job)
        try:
            async with asyncio.timeout(INIT_SECONDS):
                await _first(job.taken.wait(), job.done, self.exited)
        except TimeoutError:
            job.fail("Sandbox.Timedout", f"Init timed out after {INIT_SECONDS:.2f} seconds")
            return job.done.result(), False
        limit = self.function.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                await _first(job.done, self.exited)
        except TimeoutError:
            job.fail("Sandbox.Timedout", f"Task timed out after {limit:.2f} seconds")
            return job.done.result(), False
        if not job.done.done():
            job.fail("Runtime.ExitError", f"Runtime exited with error: {self.exited.result()}")
        # A job that was finished before it was taken failed while the process was starting.
        return job.done.result(), job.taken.is_set() and not self.exited.done()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of asyncio's server is always run by a task
        self._connections.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                writer.write(await self._answer(*request))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the process has ended, or the emulator stops
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, method: str, path: str, body: bytes) -> bytes:
        action = path.removeprefix(_API)
        if (method, action) == ("GET", "invocation/next"):
            return await self._next()
        job = self._current
        if method == "POST" and job is not None:
            if action == "init/error":
                job.finish(body.decode(), failed=True)
                return _response(202, b'{"status":"OK"}')
            if action in {f"invocation/{job.request_id}/response", f"invocation/{job.request_id}/error"}:
                job.finish(body.decode() or "null", failed=action.endswith("/error"))
                return _response(202, b'{"status":"OK"}')
        return _response(404, b'{"errorMessage":"unknown request","errorType":"InvalidRequestID"}')

    async def _next(self) -> bytes:
        job = await self._jobs.get()
        job.taken.set()
        deadline = int((time.time() + self.function.timeout_seconds) * 1000)
        return _response(
            200,
            job.payload.encode(),
            {
                "Lambda-Runtime-Aws-Request-Id": job.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": self.function.arn,
                "Lambda-Runtime-Trace-Id": job.trace_id,
            },
        )


async def _first(*awaitables: object) -> None:
    """Wait until one of them is done; futures stay as they are, coroutines are cancelled."""
    tasks = [asyncio.ensure_future(each) if asyncio.iscoroutine(each) else each for each in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]  # tasks and futures mixed
    finally:
        for task, each in zip(tasks, awaitables, strict=True):
            if task is not each:
                task.cancel()  # type: ignore[attr-defined]  # it was made from a coroutine


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return method, path, await _read_chunks(reader)
    return method, path, await reader.readexactly(int(headers.get("content-length", "0")))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _response(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status < 400 else 'Error'}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
