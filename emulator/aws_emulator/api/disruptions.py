"""Ends of a call other than a response: the response is lost, or the calling process ends.

These are not `Exception`s, so that no code between service and connection handles them.
"""

from __future__ import annotations


class Disruption(BaseException):
    """A call without a response.

    Attributes:
        outcome: what the call log says.
    """

    outcome = "disrupted"


class LostAnswer(Disruption):
    """The connection breaks before the response arrives."""

    outcome = "answer lost"


class ProcessKilled(Disruption):
    """The calling process ends, as when Lambda's host fails."""

    outcome = "caller killed"


class ProcessHangs(Disruption):
    """The calling process hangs until its Lambda timeout."""

    outcome = "caller hangs"
