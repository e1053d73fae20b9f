"""Schedule expressions: rate(), cron() and at() (EventBridge Scheduler User Guide, Schedule types)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aws_emulator.clock import Clock, Timer

_RATE: Final = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_AT: Final = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_CRON: Final = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNIT_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = ("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MOST_DAYS: Final = 366 * 5


class ExpressionError(ValueError):
    """The schedule expression is wrong, or uses what the emulator does not support."""


@dataclass(frozen=True)
class Rate:
    """Every so many seconds."""

    seconds: int

    def next_after(self, moment: datetime) -> datetime | None:
        """The next time."""
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Once:
    """At one time."""

    moment: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """The time, if it is still to come."""
        return self.moment if self.moment > moment else None


@dataclass(frozen=True)
class Cron:
    """At the minutes that six fields describe, in UTC."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def next_after(self, moment: datetime) -> datetime | None:
        """The next matching minute within five years."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(_MOST_DAYS):
            day = start.date() + timedelta(days=offset)
            weekday = day.isoweekday() % 7 + 1
            if not (
                day.month in self.months
                and day.day in self.days
                and day.year in self.years
                and weekday in self.weekdays
            ):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= start:
                        return found
        return None


Recurrence = Rate | Once | Cron


def parse_recurrence(text: str) -> Recurrence:
    """Parse an expression; raises ExpressionError."""
    if match := _RATE.fullmatch(text):
        number, unit = int(match[1]), match[2]
        # "rate(1 minutes)" and "rate(5 minute)" are refused by AWS, too.
        if number < 1 or (number == 1) == unit.endswith("s"):
            raise ExpressionError(f"Invalid Schedule Expression {text}.")
        return Rate(number * _UNIT_SECONDS[unit.removesuffix("s")])
    if match := _AT.fullmatch(text):
        return Once(datetime.fromisoformat(match[1]).replace(tzinfo=UTC))
    if match := _CRON.fullmatch(text):
        minutes, hours, days, months, weekdays, years = match.groups()
        if (days == "?") == (weekdays == "?"):
            raise ExpressionError(f"Invalid Schedule Expression {text}: one of the two day fields must be ?")
        return Cron(
            _field(minutes, 0, 59),
            _field(hours, 0, 23),
            _field(days, 1, 31),
            _field(months, 1, 12, _MONTHS),
            _field(weekdays, 1, 7, _WEEKDAYS),
            _field(years, 1970, 2199),
        )
    raise ExpressionError(f"Invalid Schedule Expression {text}.")


def _field(text: str, least: int, most: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            if span in {"*", "?"}:
                low, high = least, most
            else:
                low = _number(first, names)
                high = _number(last, names) if last else (most if step else low)
            values.update(range(low, high + 1, int(step or 1)))
        except ValueError as error:
            raise ExpressionError(f"the emulator does not support '{part}' in a cron expression") from error
    if not values or min(values) < least or max(values) > most:
        raise ExpressionError(f"'{text}' is not within {least} to {most}")
    return frozenset(values)


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text.upper()) if text.upper() in names else int(text)


class Ticker:
    """Calls back at the times of a recurrence, by the emulated clock."""

    def __init__(self, clock: Clock, recurrence: Recurrence, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._recurrence = recurrence
        self._callback = callback
        self._origin = clock.now() - timedelta(seconds=clock.elapsed())
        self._timer: Timer | None = None
        self._last = self._emulated_now()
        self._arm()

    def cancel(self) -> None:
        """Stop calling back."""
        if self._timer is not None:
            self._timer.cancel()

    def _emulated_now(self) -> datetime:
        """The date if every second since the start had been an emulated one."""
        return self._origin + timedelta(seconds=self._clock.elapsed())

    def _arm(self) -> None:
        following = self._recurrence.next_after(self._last)
        if following is None:
            return
        self._last = following
        delay = (following - self._emulated_now()).total_seconds()
        self._timer = self._clock.call_later(delay, self._fire)

    def _fire(self) -> None:
        self._arm()
        self._callback()
