"""The states of a build: which take time, and under which name it is shown. The table is the state machine's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

FUNCTIONS: Final = "functions"
_STATES: Final[Mapping[str, Mapping[str, str]]] = json.loads(
    files(__package__).joinpath("states.json").read_text(encoding="utf-8")
)
# What is waited for, by state; what functions take is a phase of its own.
WAITS: Final[Mapping[str, str]] = {
    name: state["phase"] for name, state in _STATES.items() if "phase" in state
}
# Choices and ends take no time, and say nothing that the states around them do not say.
SILENT: Final = frozenset(name for name, state in _STATES.items() if state["type"] in {"Choice", "Succeed"})
# Where a command on an instance fails; its last lines say why.
COMMAND_OF: Final[Mapping[str, str]] = {
    "Provision Builder": "provision",
    "Await Provisioning": "provision",
    "Verify Image": "verify",
    "Await Verification": "verify",
}
OF_COMMANDS: Final = frozenset(COMMAND_OF)
