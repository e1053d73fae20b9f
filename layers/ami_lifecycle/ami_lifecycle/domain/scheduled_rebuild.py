"""Scheduled rebuilds: when the live Docker image is built again to get the base's patches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple, get_args

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.planning import (
    Live,
    base_created_of,
    imaged_of,
    is_published,
    reason_of_failures,
    reason_of_pin,
)
from ami_lifecycle.domain.request import BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings, RefreshWindow, Weekday

# A window opens at least weekly, so a rebuild is done within this time, retries and other environments included.
OVERDUE_AFTER: Final = timedelta(days=8)
_WEEKDAYS: Final = get_args(Weekday)
_DAYS_AHEAD: Final = 9


class Rebuild(NamedTuple):
    """A rebuild of the live image: when it is due, and why."""

    due: datetime
    reason: str

    def start(self, window: RefreshWindow, now: datetime) -> datetime:
        """When the sweep may start it: not before it is due, not outside of the window, and not in the past."""
        return next_open(window, max(self.due, now))


def rebuild_of(live: Live, newest_base: Image | None, settings: EnvironmentSettings) -> Rebuild | None:
    """The next rebuild of the environment's own live image; None if there is none.

    Args:
        newest_base: the image that a fresh build would start from; None if unknown.
    """
    image = live.image
    if image is None or live.digest is None or not is_published(live.digest, live, settings):
        return None
    return min(_reasons(image, newest_base, settings), default=None)


def _reasons(image: Image, newest_base: Image | None, settings: EnvironmentSettings) -> Iterator[Rebuild]:
    days, imaged = settings.refresh.rebuild_after_days, imaged_of(image)
    if days is not None and imaged is not None:
        reason = f"{image.image_id} is of {imaged:%Y-%m-%d}, and rebuild_after_days is {days}"
        yield Rebuild(imaged + timedelta(days=days), reason)
    if not settings.refresh.follow_base or newest_base is None or newest_base.creation_date is None:
        return
    base, newest = base_created_of(image), newest_base.creation_date
    if base is not None and newest > base:
        newer = f"{newest_base.image_id} is of {newest:%Y-%m-%d}"
        reason = f"the base of {image.image_id} is of {base:%Y-%m-%d}, and {newer}"
        yield Rebuild(newest, reason)


def is_overdue(
    since: datetime, digest: str, record: EnvironmentRecord, settings: EnvironmentSettings, now: datetime
) -> bool:
    """Whether something keeps the rebuild of a digest from being done, and nothing changes that by itself.

    Args:
        since: when a sweep first saw it due. Of the reasons, one may be older, where the settings or a pin did not
            let it count, and the newest base may be younger than the one that should have been followed.
    """
    return now - since > OVERDUE_AFTER or reason_of_failures(digest, record, settings) is not None


def rebuild_request(
    live: Live, rebuild: Rebuild, settings: EnvironmentSettings, digest_of_tag: str | None
) -> BuildRequest:
    """The request for a rebuild: of the same digest, under the tag as long as that names it."""
    return BuildRequest(
        environment=settings.environment,
        trigger=Trigger.SCHEDULE,
        image_digest=live.digest,
        image_tag=settings.image_tag if digest_of_tag == live.digest else None,
        fresh=True,
        reason=rebuild.reason[:200],
    )


def reason_for_no_rebuild(
    digest: str,
    live: Live,
    record: EnvironmentRecord,
    settings: EnvironmentSettings,
    rebuild: Rebuild | None,
    now: datetime,
) -> str | None:
    """Why a rebuild that was asked for is not needed, or not now; None when it is."""
    if (pinned := reason_of_pin(record)) is not None:
        return pinned
    if not is_published(digest, live, settings):
        return f"{digest} is not what is live, so there is nothing to rebuild"
    if rebuild is None or rebuild.due > now:
        return f"no rebuild of {live.value} is due"
    if (start := rebuild.start(settings.refresh.window, now)) > now:
        return f"the window for rebuilds opens at {start:%Y-%m-%d %H:%M} UTC; the sweep starts it then"
    return reason_of_failures(digest, record, settings)


def next_open(window: RefreshWindow, after: datetime) -> datetime:
    """The first moment from `after` on at which the window is open, in UTC."""
    after = after.astimezone(UTC)
    if window.opens == window.closes and set(window.days) == set(_WEEKDAYS):
        return after
    # Yesterday's window may still be open after midnight, and the date may differ in the window's time zone.
    first = after.date() - timedelta(days=2)
    for day in (first + timedelta(days=number) for number in range(_DAYS_AHEAD + 3)):
        if _WEEKDAYS[day.weekday()] in window.days:
            opens, closes = opening(window, day)
            if closes > after:
                return max(opens, after)
    raise ValueError(f"{window} never opens")


def opening(window: RefreshWindow, day: date) -> tuple[datetime, datetime]:
    """From when to when the window that begins on this day is open, in UTC.

    Where clocks are set forward, a time that they skip is the one an hour later for the beginning and an hour
    earlier for the end, so that nothing starts when they do not show a time of the window. A window that they
    skip altogether is kept an hour later. Where they are set back, a time that comes twice counts at first.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only environments with a window of their own need it

    zone = ZoneInfo(window.timezone)
    begins, ends = _at(day, window.opens), _at(day, window.closes)
    if ends <= begins:
        ends += timedelta(days=1)
    opens = begins.replace(tzinfo=zone).astimezone(UTC)
    closes = ends.replace(tzinfo=zone).astimezone(UTC)
    if closes.astimezone(zone).replace(tzinfo=None) != ends:
        closes = ends.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return opens, closes if closes > opens else opens + (ends - begins)


def _at(day: date, time: str) -> datetime:
    hour, minute = time.split(":")
    return datetime(day.year, day.month, day.day, int(hour), int(minute))  # noqa: DTZ001 - local, by definition
