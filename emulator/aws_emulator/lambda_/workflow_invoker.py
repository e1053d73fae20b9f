"""How state machines invoke functions: through the gateway's middlewares, without HTTP."""

from __future__ import annotations

import uuid
from concurrent.futures import Future

from aws_emulator.clock import Clock
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.step_functions.tasks import Invocation


class WorkflowInvoker:
    """Invokes functions for the interpreter, each on a thread of its own so that a task can be left."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def __call__(self, function: str, payload: str, *, caller: str, asynchronous: bool) -> Future[Invocation]:
        """Begin an invocation; the future holds its result or the ApiError."""
        future: Future[Invocation] = Future()
        self._clock.spawn("emulator-invocation", self._run, future, function, payload, caller, asynchronous)
        return future

    def _run(
        self, future: Future[Invocation], function: str, payload: str, caller: str, asynchronous: bool
    ) -> None:
        parameters = {
            "FunctionName": function,
            "Payload": payload.encode(),
            "InvocationType": "Event" if asynchronous else "RequestResponse",
        }
        try:
            response = self._gateway.call("lambda", "Invoke", parameters, caller)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
            future.set_exception(error)
            return
        payload_out = response.get("Payload") or b"{}"
        text = payload_out.decode() if isinstance(payload_out, bytes) else str(payload_out)
        future.set_result(Invocation(text, response.get("FunctionError"), str(uuid.uuid4())))
