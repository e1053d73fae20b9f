"""The phases of a build's states, from a table that is generated from the state machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

FUNCTIONS: Final = "functions"
_STATES: Final[Mapping[str, Mapping[str, str]]] = json.loads(
    files(__package__).joinpath("states.json").read_text(encoding="utf-8")
)
# Phase by waiting state; the time of functions is a separate phase.
WAITS: Final[Mapping[str, str]] = {
    name: state["phase"] for name, state in _STATES.items() if "phase" in state
}
# Choice, Succeed and Fail states are not shown.
SILENT: Final = frozenset(name for name, state in _STATES.items() if state["type"] in {"Choice", "Succeed"})
# States in which a command on an instance can fail; its last lines are shown.
COMMAND_OF: Final[Mapping[str, str]] = {
    "Provision Builder": "provision",
    "Await Provisioning": "provision",
    "Verify Image": "verify",
    "Await Verification": "verify",
}
OF_COMMANDS: Final = frozenset(COMMAND_OF)
