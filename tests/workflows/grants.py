"""What functions may call by template.yaml, held against what they called.

A second opinion beside the emulator's own enforcement, which evaluates policies: a function that takes a refusal for
an answer would go unnoticed there.
"""

from __future__ import annotations

from tests.template.stack import functions

from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.gateway.calls import Call

_SERVICES = {"stepfunctions": "states", "cloudwatch": "monitoring"}
_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}


class Grants:
    """Reads the emulator's log of calls, each of them once."""

    def __init__(self, emulator: Emulator) -> None:
        self._calls = emulator.calls
        self._actions = {function.logical_id: function.actions for function in functions().values()}
        self._read = 0

    def take(self) -> list[str]:
        """The calls of functions since the last time that their roles do not grant."""
        calls = self._calls.since(self._read)
        if calls:
            self._read = calls[-1].number
        return [
            f"{call.caller}: {_action_of(call)} is not granted"
            for call in calls
            if _action_of(call) not in self._actions.get(call.caller, {_action_of(call)})
        ]


def _action_of(call: Call) -> str:
    """The IAM action of a call."""
    action = f"{_SERVICES.get(call.service, call.service)}:{call.operation}"
    return _ACTIONS.get(action, action)
