"""The notification of how an execution ended. A failure to send it does not fail the execution, which is over by
then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.outcomes import Outcome
from ami_lifecycle.ports import Clock, Notifier
from ami_lifecycle.steps.batch import blocked_by, process_each

# On top of the attempts that the SDK makes for each.
_PAUSES: Final = (1, 2, 4)
_LOGGER = logging.getLogger(__name__)


def send_notification(
    notifier: Notifier, clock: Clock, subject: str, message: Mapping[str, Any], outcomes: Sequence[Outcome]
) -> tuple[Blocked, ...]:
    """Send the notification and the events; what cannot be sent is logged, returned and counted, never raised."""
    ways: dict[str, Callable[[], None]] = {
        "notification": lambda: notifier.notify(subject, message),
        "events": lambda: notifier.announce(outcomes),
    }
    return tuple(blocked for way, send in ways.items() if (blocked := _send(way, send, clock)) is not None)


def _send(way: str, send: Callable[[], None], clock: Clock) -> Blocked | None:
    for pause in (*_PAUSES, None):
        sent = process_each([way], str, lambda _: send())
        if not sent.transient or pause is None:
            break
        clock.pause(pause)
    failed = [*sent.blocked, *(blocked_by(error, way) for error in sent.transient)]
    for blocked in failed:
        _LOGGER.error("%s could not be sent: %s: %s", way, blocked.error, blocked.reason)
    return failed[0] if failed else None
