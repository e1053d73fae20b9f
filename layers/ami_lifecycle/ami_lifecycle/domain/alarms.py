"""Rollback on alarm: when an alarm undoes a publication, and until when that is possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.model import is_ami_id
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.domain.texts import one_line

_IN_ALARM: Final = "ALARM"
# For how long the event of an alarm is delivered: RetryPolicy of AlarmRaisedRule in template.yaml. The image to go back
# to is kept as much longer.
LATE: Final = timedelta(minutes=15)
# As the contract of requests bounds it.
_LONGEST_REASON: Final = 200


class Soak(NamedTuple):
    """The time after a publication within which an alarm undoes it.

    Attributes:
        image_id: what was published.
        back_to: what it has replaced; None for the first image of an environment.
    """

    image_id: str
    since: datetime
    until: datetime
    back_to: str | None

    @property
    def kept_until(self) -> datetime:
        """Until when the image to go back to is kept."""
        return self.until + LATE


def soak_of(record: HistoryRecord | None, settings: EnvironmentSettings) -> Soak | None:
    """The soak of the live image, which may be over; None where no alarm undoes its publication.

    Args:
        record: of the live image.
    """
    length = settings.rollback_on_alarm.soak
    if record is None or length is None or (since := _moment(record.soaking_since)) is None:
        return None
    back_to = record.replaces if is_ami_id(record.replaces) else None
    return Soak(record.ami_id, since, since + length, back_to)


def reason_to_ignore(alarm: AlarmDetail) -> str | None:
    """Why a change of an alarm's state is no cause to act; None when it is.

    Only a transition into ALARM is: not an alarm that has been there before, nor one whose actions somebody keeps from
    being done. A composite alarm whose suppression ends goes from ALARM to ALARM, and is in alarm from then on.
    """
    state, before, name = alarm.state, alarm.previous, f"alarm {alarm.alarm_name}"
    if state.value != _IN_ALARM:
        return f"{name} is {state.value}, and only ALARM has a publication undone"
    if alarm.mute is not None:
        return f"{name} is muted, so that nothing is done"
    if state.suppressed_by is not None:
        return f"actions of {name} are suppressed ({state.suppressed_by}), so that nothing is done"
    if before is not None and before.value == _IN_ALARM and before.suppressed_by is None:
        return f"{name} was in ALARM before, since {_shown(before.timestamp)}"
    return None


def began(alarm: AlarmDetail) -> datetime:
    """Since when an alarm is in ALARM, suppressed or not."""
    before = alarm.previous
    moment = before.timestamp if before is not None and before.value == _IN_ALARM else alarm.state.timestamp
    return moment.astimezone(UTC)


def reason_not_to_undo(alarm: AlarmDetail, soak: Soak | None, live: str, now: datetime) -> str | None:
    """Why an alarm does not undo the publication of the live image; None when it does."""
    name, moment = f"alarm {alarm.alarm_name}", began(alarm)
    if soak is None:
        return (
            f"{name} undoes nothing: {live} does not soak, because it was published again or before "
            "rollback_on_alarm was set"
        )
    if moment < soak.since:
        return (
            f"{name} is in ALARM since {_shown(moment)}, before {live} was published at {_shown(soak.since)}, "
            "so another image is no remedy"
        )
    if moment > soak.until or now > soak.kept_until:
        return (
            f"{name} is in ALARM since {_shown(moment)}, and {live} has soaked until {_shown(soak.until)}; to go back "
            "all the same: ami-lifecycle rollback"
        )
    return None


def undoing(alarm: AlarmDetail, environment: str, back_to: str) -> BuildRequest:
    """The request that undoes a publication: a rollback at once that pins."""
    # Another execution may be started with it, whose plan takes neither control characters nor a template.
    why = one_line(f"alarm {alarm.alarm_name}: {alarm.state.reason}").replace("{{", "{ {")
    return BuildRequest(
        environment=environment,
        action=Action.PUBLISH,
        trigger=Trigger.ALARM,
        publish_image_id=back_to,
        pin=True,
        reason=why[:_LONGEST_REASON].rstrip(": "),
        alarm=alarm.alarm_name,
    )


def reason_to_keep(soak: Soak, alarms: str) -> str:
    """Why the image to go back to is kept."""
    return f"an alarm ({alarms}) would have it published again until {_shown(soak.until)}"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # A record that somebody has edited may lack the time zone.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
