"""Settings of gates: what has to pass before an environment publishes it."""

from __future__ import annotations

from pydantic import Field, StrictBool, StrictInt

from ami_lifecycle.domain.model import Frozen


class ApprovalSettings(Frozen):
    """Which publications a person has to approve first, and how long a request for that stands.

    `pushes` are all builds, whatever asks for them. An environment's usual way of publishing counts for the other
    way, too, so that nothing goes around the approval.
    """

    pushes: StrictBool = False
    promotions: StrictBool = False
    expires_hours: StrictInt = Field(72, ge=1, le=720)

    @property
    def is_on(self) -> bool:
        """Whether anything has to be approved."""
        return self.pushes or self.promotions
