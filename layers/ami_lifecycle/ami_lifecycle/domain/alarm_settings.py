"""Which alarms an environment listens to, and for how long after a publication."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from ami_lifecycle.domain.forms import FORMS
from ami_lifecycle.domain.model import Frozen

AlarmPattern = Annotated[StrictStr, AfterValidator(FORMS["alarm_pattern"].check)]


class RollbackOnAlarm(Frozen):
    """What has a publication undone: [rollout.md](rollout.md). Without `alarms`, nothing has. The stack's
    `RollbackAlarms` lets the events through.
    """

    alarms: AlarmPattern | None = None
    soak_minutes: StrictInt = Field(60, ge=1, le=10_080)

    @property
    def soak(self) -> timedelta | None:
        """For how long an alarm undoes a publication; None where none does."""
        return timedelta(minutes=self.soak_minutes) if self.alarms is not None else None


def no_alarms() -> RollbackOnAlarm:
    """Nothing has a publication undone."""
    return RollbackOnAlarm()


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern, in which `*` stands for any characters, is of this name."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def overlap(one: str, other: str) -> bool:
    """Whether some name is of both patterns."""
    # For each beginning of `other`, whether some text is of it and of the beginning of `one` so far.
    row = [True]
    for b in other:
        row.append(row[-1] and b == "*")
    for a in one:
        above, row = row, [row[0] and a == "*"]
        for position, b in enumerate(other, start=1):
            is_open = a == "*" or b == "*"
            row.append(above[position] or row[position - 1] if is_open else above[position - 1] and a == b)
    return row[-1]
