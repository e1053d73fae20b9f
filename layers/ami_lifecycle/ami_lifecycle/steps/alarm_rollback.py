"""What an alarm asks for: the rollback that a person would ask for, or nothing."""

from __future__ import annotations

from ami_lifecycle.domain.alarms import reason_not_to_undo, reason_to_ignore, soak_of, undoing
from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.rollback import can_be_published_again
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import NoPreviousImageError
from ami_lifecycle.ports import Clock, Images
from ami_lifecycle.steps.lookups import find_image
from ami_lifecycle.steps.published_records import PublishedRecords


def request_of_alarm(
    alarm: AlarmDetail,
    settings: EnvironmentSettings,
    live: Live,
    records: PublishedRecords,
    images: Images,
    clock: Clock,
) -> BuildRequest | str:
    """The request that undoes the publication of the live image, or why nothing is done.

    Raises:
        NoPreviousImageError: it should be undone, and what it replaced cannot be published again.
    """
    environment = settings.environment
    ignored = reason_to_ignore(alarm)
    if ignored is not None:
        return ignored
    if live.image is None:
        return f"alarm {alarm.alarm_name} undoes nothing: {live.problem}"
    soak = soak_of(records.read_record(live.image.image_id), settings)
    if (why := reason_not_to_undo(alarm, soak, live.image.image_id, clock.now())) is not None:
        return why
    back_to = soak.back_to if soak is not None else None
    told = f"alarm {alarm.alarm_name} is in ALARM since {live.image.image_id} was published in {environment}"
    if back_to is None:
        raise NoPreviousImageError(
            f"{told}, which is the first image there, so there is nothing to go back to and it stays live; push a "
            f"corrected Docker image ({alarm.state.reason:.200})"
        )
    if not can_be_published_again(find_image(back_to, images, clock), records.read_record(back_to), settings):
        raise NoPreviousImageError(
            f"{told}, and {back_to}, which it has replaced, is gone or cannot be published again, so it stays live; "
            f"see what there is: ami-lifecycle rollback {environment} --dry-run ({alarm.state.reason:.200})"
        )
    return undoing(alarm, environment, back_to)
