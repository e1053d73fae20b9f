"""Keep or retire, each with a reason that a person can read."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict, Field

from ami_lifecycle.domain.model import AmiId, Frozen


class RetireAction(StrEnum):
    """What happens to an image that is not `latest`."""

    KEEP = "keep"
    RETIRE = "retire"


class Decision(Frozen):
    """One keep or retire decision with a reason that a person can read. `blocked` tells an image that is
    kept because something uses or protects it from one that a setting keeps.
    """

    image_id: AmiId
    action: RetireAction
    reason: str
    blocked: bool = False


class Retirement(Frozen):
    """All decisions of one look, what was left undone, and whether the canonical name can be adopted now."""

    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
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
    """What ended a step after the publication, as Step Functions reports it."""

    error: str = Field("", alias="Error")
    cause: str = Field("", alias="Cause")

    model_config = ConfigDict(populate_by_name=True)
