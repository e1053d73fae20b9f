"""Schedule expressions: rate(), cron() and at().

Sources: EventBridge Scheduler user guide, "Schedule types"; EventBridge user guide, "Cron expressions".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from aws_emulator.clock import Clock, Timer

_DIGITS: Final = re.compile("[0-9]{1,4}")
_RATE: Final = re.compile(r"rate\(([0-9]+) (minute|minutes|hour|hours|day|days)\)")
_AT: Final = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
_CRON: Final = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNIT_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = ("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST_WEEKDAY: Final = 7
_SATURDAY, _SUNDAY = 6, 7  # date.isoweekday
_MOST_DAYS: Final = 366 * 5

DayRule = Callable[[date], bool]


class ExpressionError(ValueError):
    """The schedule expression is not one that AWS takes."""


@dataclass(frozen=True)
class Rate:
    """Every so many seconds."""

    seconds: int

    def next_after(self, moment: datetime) -> datetime | None:
        """The next time; None for one after the last year that a date can have."""
        try:
            return moment + timedelta(seconds=self.seconds)
        except OverflowError:
            return None


@dataclass(frozen=True)
class Once:
    """At one time."""

    moment: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """The time, if it is still to come."""
        return self.moment if self.moment > moment else None


@dataclass(frozen=True)
class Cron:
    """At the minutes that six fields describe, in UTC.

    Attributes:
        days: those of the month; with `?` all.
        day_rules: `L`, `L-n`, `nW` and `LW` of the field of days.
        weekday_rules: `nL` and `n#m` of the field of weekdays.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]
    day_rules: tuple[DayRule, ...] = ()
    weekday_rules: tuple[DayRule, ...] = ()

    def next_after(self, moment: datetime) -> datetime | None:
        """The next matching minute within five years."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(_MOST_DAYS):
            day = start.date() + timedelta(days=offset)
            if not self._is_on(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= start:
                        return found
        return None

    def _is_on(self, day: date) -> bool:
        return (
            day.month in self.months
            and day.year in self.years
            and (day.day in self.days or any(rule(day) for rule in self.day_rules))
            and (_weekday(day) in self.weekdays or any(rule(day) for rule in self.weekday_rules))
        )


def _weekday(day: date) -> int:
    """1 for Sunday to 7 for Saturday."""
    return day.isoweekday() % 7 + 1


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _before_the_last(days: int) -> DayRule:
    return lambda day: day.day == _last_day(day) - days


def _nearest_weekday(target_day: int | None) -> DayRule:
    """On the weekday nearest to a day of the month, or to its last for None; never in another month."""

    def is_on(day: date) -> bool:
        last = _last_day(day)
        if target_day is not None and target_day > last:
            return False
        nearest = day.replace(day=target_day or last)
        if nearest.isoweekday() == _SATURDAY:
            nearest += timedelta(days=-1 if nearest.day > 1 else 2)
        elif nearest.isoweekday() == _SUNDAY:
            nearest += timedelta(days=1 if nearest.day < last else -2)
        return day == nearest

    return is_on


def _last_weekday(weekday: int) -> DayRule:
    return lambda day: _weekday(day) == weekday and day.day > _last_day(day) - 7


def _nth_weekday(weekday: int, number: int) -> DayRule:
    return lambda day: _weekday(day) == weekday and (day.day - 1) // 7 + 1 == number


Recurrence = Rate | Once | Cron


def parse_recurrence(text: str) -> Recurrence:
    """Parse an expression.

    Raises:
        ExpressionError: with EventBridge Scheduler's words.
    """
    try:
        return _parse(text)
    except ValueError as error:
        raise ExpressionError(f"Invalid Schedule Expression {text}.") from error


def _parse(text: str) -> Recurrence:
    if match := _RATE.fullmatch(text):
        number, unit = int(match[1]), match[2]
        # "rate(1 minutes)" and "rate(5 minute)" are refused by AWS, too.
        if number < 1 or (number == 1) == unit.endswith("s"):
            raise ValueError(text)
        return Rate(number * _UNIT_SECONDS[unit.removesuffix("s")])
    if match := _AT.fullmatch(text):
        return Once(datetime.fromisoformat(match[1]).replace(tzinfo=UTC))
    if match := _CRON.fullmatch(text):
        return _cron(*match.groups())
    raise ValueError(text)


def _cron(minutes: str, hours: str, days: str, months: str, weekdays: str, years: str) -> Cron:
    if (days == "?") == (weekdays == "?"):
        raise ValueError("one of the two fields of days must be ?")
    if "#" in weekdays and "," in weekdays:
        raise ValueError("with # there is one expression in the field")
    plain_days, day_rules = _split("*" if days == "?" else days, _day_rule)
    plain_weekdays, weekday_rules = _split("*" if weekdays == "?" else weekdays, _weekday_rule)
    return Cron(
        _field(minutes, 0, 59),
        _field(hours, 0, 23),
        _field(plain_days, 1, 31) if plain_days else frozenset(),
        _field(months, 1, 12, _MONTHS),
        _field(plain_weekdays, 1, 7, _WEEKDAYS) if plain_weekdays else frozenset(),
        _field(years, 1970, 2199),
        day_rules,
        weekday_rules,
    )


def _split(text: str, rule_of: Callable[[str], DayRule | None]) -> tuple[str, tuple[DayRule, ...]]:
    """The plain parts of a field, and the rules of the others (user guide: the wildcards L, W and #)."""
    parts = [(part, rule_of(part)) for part in text.split(",")]
    plain = ",".join(part for part, rule in parts if rule is None)
    return plain, tuple(rule for _, rule in parts if rule is not None)


def _day_rule(part: str) -> DayRule | None:
    if match := re.fullmatch(r"L(?:-(\d+))?", part):
        days = _number(match[1] or "0")
        if days > 30:
            raise ValueError(part)
        return _before_the_last(days)
    if match := re.fullmatch(r"(L|\d+)W", part):
        target_day = None if match[1] == "L" else _number(match[1])
        if target_day is not None and not 1 <= target_day <= 31:
            raise ValueError(part)
        return _nearest_weekday(target_day)
    return None


def _weekday_rule(part: str) -> DayRule | None:
    if part == "L":
        return lambda day: _weekday(day) == _LAST_WEEKDAY
    if match := re.fullmatch(r"(\w+?)L", part):
        return _last_weekday(_weekday_number(match[1]))
    if match := re.fullmatch(r"(\w+)#([1-5])", part):
        return _nth_weekday(_weekday_number(match[1]), int(match[2]))
    return None


def _weekday_number(text: str) -> int:
    number = _number(text, _WEEKDAYS)
    if not 1 <= number <= _LAST_WEEKDAY:
        raise ValueError(text)
    return number


def _field(text: str, least: int, most: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = least, most
        else:
            low = _number(first, names)
            high = _number(last, names) if dash else (most if slash else low)
        if slash and not 1 <= _number(step) <= most:
            raise ValueError(part)
        if not least <= low <= high <= most:
            raise ValueError(part)
        values.update(range(low, high + 1, _number(step) if slash else 1))
    return frozenset(values)


def _number(text: str, names: tuple[str, ...] = ()) -> int:
    """A number of digits alone, which int() is not content with, or that of a name."""
    if text and text.upper() in names:
        return names.index(text.upper())
    if not _DIGITS.fullmatch(text):
        raise ValueError(text)
    return int(text)


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
