"""Decisions to keep or retire images, each with a readable reason."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import ConfigDict, Field

from ami_lifecycle.domain.model import AmiId, Frozen

# A state's output has at most 256 KiB, and what exceeds them fails the execution without any Catch (Step Functions
# developer guide, Service quotas; Error names, States.DataLimitExceeded). An execution carries two retirements.
MAX_REPORTED: Final = 60
_REASON_CHARACTERS: Final = 500


class RetireAction(StrEnum):
    """What happens to an image that is not `latest`."""

    KEEP = "keep"
    RETIRE = "retire"


class Decision(Frozen):
    """One keep or retire decision with a reason that a person can read. `blocked` is true for an image that something
    uses or protects, false for one that a setting keeps.
    """

    image_id: AmiId
    action: RetireAction
    reason: str
    blocked: bool = False


class Retirement(Frozen):
    """The decisions of one retirement, what was left undone, and whether the canonical name can be adopted now.

    Of many decisions and blocked resources it lists some; `omitted` is the number of the others.
    """

    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    omitted: int | None = None
    adopt_name: bool = False
    adopt_reason: str = ""


class Blocked(Frozen):
    """One thing that was left as it is, because AWS refused what was wanted of it.

    Attributes:
        resource: its id or name.
        error: name of the error.
        reason: what was refused, and what a person can do about it.
    """

    resource: str
    error: str
    reason: str


class Unfinished(Frozen):
    """The error of a step after the publication, as Step Functions reports it."""

    error: str = Field("", alias="Error")
    cause: str = Field("", alias="Cause")

    model_config = ConfigDict(populate_by_name=True)


_Reported = TypeVar("_Reported", Decision, Blocked)


def most_relevant(
    decisions: Sequence[Decision], blocked: Sequence[Blocked]
) -> tuple[tuple[Decision, ...], tuple[Blocked, ...], int | None]:
    """As many decisions and blocked resources as a result can hold, and how many are omitted; None if none.

    Ordered by relevance: what somebody has to act on, then retired images, then images that a setting keeps.
    """
    by_weight = sorted(decisions, key=lambda each: (not each.blocked, each.action is RetireAction.KEEP))
    chosen = {each.image_id for each in by_weight[:MAX_REPORTED]}
    reported = tuple(_shortened(each) for each in decisions if each.image_id in chosen)
    omitted = len(decisions) - len(reported) + max(0, len(blocked) - MAX_REPORTED)
    return reported, tuple(_shortened(each) for each in blocked[:MAX_REPORTED]), omitted or None


def _shortened(each: _Reported) -> _Reported:
    if len(each.reason) <= _REASON_CHARACTERS:
        return each
    return each.model_copy(update={"reason": f"{each.reason[:_REASON_CHARACTERS]}..."})
