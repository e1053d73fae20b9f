"""Gates: what disks have to pass before an environment publishes them for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ami_lifecycle.domain.model import Frozen


class GateName(StrEnum):
    """What metadata and history call a gate."""

    APPROVAL = "approval"
    SCAN = "scan"


class GateResult(Frozen):
    """A gate that something has passed, and what metadata and history keep of it: a few short texts and numbers.

    What has not passed has no result: its gate raises an error that says what to do.
    """

    gate: GateName
    facts: Mapping[str, Any]
