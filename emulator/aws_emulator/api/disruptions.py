"""What can happen to a call beside an answer: nobody hears it, or the process that made it ends.

These are no Exceptions: nothing on the way to the caller's connection may handle them.
"""

from __future__ import annotations


class Disruption(BaseException):
    """A call that is not answered.

    Attributes:
        outcome: what the call log says.
    """

    outcome = "disrupted"


class LostAnswer(Disruption):
    """The connection breaks before the answer has come through."""

    outcome = "answer lost"


class ProcessKilled(Disruption):
    """The process that made the call is gone, as when Lambda's host fails."""

    outcome = "caller killed"


class ProcessHangs(Disruption):
    """The process makes no progress until Lambda ends it at its timeout."""

    outcome = "caller hangs"
