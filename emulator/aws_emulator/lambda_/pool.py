"""Pools of function processes: kept warm, several for a function, a queue beyond."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final

from aws_emulator.clock import Clock
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.processes import Zygote, ZygoteError
from aws_emulator.lambda_.worker import Job, Outcome, Worker
from aws_emulator.logs.store import Line

LOGGER: Final = logging.getLogger(__name__)
CONCURRENCY: Final = 4
_LOG_LINES: Final = 20_000


class _Pool:
    """The processes of one function."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.idle: list[Worker] = []
        self.slots = asyncio.Semaphore(min(function.reserved_concurrency or CONCURRENCY, CONCURRENCY))


class Runtime:
    """Runs functions. All state belongs to an event loop on a thread of its own.

    Args:
        region: the emulated Region.
        endpoint_url: what the functions use as AWS endpoint.
        clock: says when a line was written.
    """

    def __init__(self, region: str, endpoint_url: str, clock: Clock) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=_LOG_LINES)
        self._region = region
        self._endpoint_url = endpoint_url
        self._pools: dict[str, _Pool] = {}
        self._workers: dict[str, Worker] = {}
        self._logs: dict[str, deque[str]] = {}
        self._zygote = Zygote(self._on_exit, self._on_output)
        self._loop = asyncio.new_event_loop()
        self._zygote.attach(self._loop)
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulator-runtime", daemon=True)
        self._thread.start()
        self._closing = False

    @property
    def zygote_pid(self) -> int:
        """Process id of the parent of all function processes."""
        return self._zygote.pid

    def invoke(self, function: Function, payload: str) -> Future[Outcome]:
        """Invoke a function with a JSON payload; safe to call from any thread."""
        return self._submit(self._invoke(function, payload))

    def forget(self, name: str) -> None:
        """End a function's idle processes, after its configuration has changed."""
        self._submit(self._forget(name)).result(timeout=10)

    def signal(self, trace_id: str, number: int) -> bool:
        """Send a signal to the process that serves the invocation with a trace id; False without one."""
        return bool(self._submit(self._signal(trace_id, number)).result(timeout=10))

    def logs(self, logical_id: str) -> list[str]:
        """The last lines that a function's processes wrote, oldest first."""
        return list(self._logs.get(logical_id, ()))

    def take_lines(self) -> list[Line]:
        """The lines that functions wrote since they were taken the last time, oldest first."""
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken

    def close(self) -> None:
        """End all processes and the thread."""
        if self._closing:
            return
        self._closing = True
        self._submit(self._close()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _close(self) -> None:
        self._zygote.close(self._loop)
        for worker in self._workers.values():
            worker.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _invoke(self, function: Function, payload: str) -> Outcome:
        pool = self._pools.get(function.name)
        if pool is None:
            pool = self._pools[function.name] = _Pool(function)
        loop = asyncio.get_running_loop()
        identifier = str(uuid.uuid4())
        job = Job(
            identifier,
            payload,
            f"Root=1-{identifier[:8]}-{uuid.uuid4().hex[:24]};Sampled=0",
            loop.create_future(),
        )
        async with pool.slots:
            try:
                worker = pool.idle.pop() if pool.idle else await self._start(function)
            except ZygoteError as error:
                job.fail("Runtime.ExitError", str(error))
                return job.done.result()
            outcome, usable = await worker.run(job)
            if usable and self._pools.get(function.name) is pool:
                pool.idle.append(worker)
            else:
                await self._retire(worker)
            return outcome

    async def _forget(self, name: str) -> None:
        pool = self._pools.pop(name, None)
        for worker in pool.idle if pool else []:
            await self._retire(worker)

    async def _signal(self, trace_id: str, number: int) -> bool:
        found = [worker for worker in self._workers.values() if worker.trace_id == trace_id]
        for worker in found:
            await self._zygote.kill(worker.identifier, number)
        return bool(found)

    async def _start(self, function: Function) -> Worker:
        worker = Worker(uuid.uuid4().hex, function)
        await worker.listen()
        self._workers[worker.identifier] = worker
        environment = function.environment_variables(self._region, self._endpoint_url)
        environment["AWS_LAMBDA_RUNTIME_API"] = worker.address
        await self._zygote.start(worker.identifier, function, environment)
        return worker

    async def _retire(self, worker: Worker) -> None:
        if not worker.exited.done():
            await self._zygote.kill(worker.identifier)
        worker.close()

    def _on_exit(self, identifier: str, status: str) -> None:
        worker = self._workers.pop(identifier, None)
        if worker is None:
            return
        if not worker.exited.done():
            worker.exited.set_result(status)
        worker.close()
        pool = self._pools.get(worker.function.name)
        if pool is not None and worker in pool.idle:
            pool.idle.remove(worker)

    def _on_output(self, logical_id: str, line: str) -> None:
        self._logs.setdefault(logical_id, deque(maxlen=_LOG_LINES)).append(line)
        self._lines.append(Line(logical_id, self._clock.now(), line))
        LOGGER.debug("%s: %s", logical_id, line)
