"""How durations and dates are shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ami_lifecycle_cli.stack.formatting import age, duration, parse_date, short_digest


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (372, "6 min 12 s"),
        (3600, "1 h"),
        (11040, "3 h 4 min"),
        (86400, "1 d"),
        (1047600, "12 d 3 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_date_in_the_future_is_no_time_ago() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert age(moment, datetime(2026, 1, 1, tzinfo=UTC)) == "0.0 s"
    assert age(None, moment) == "-"


@pytest.mark.parametrize("text", [None, "", "yesterday"])
def test_what_is_no_date_is_none(text: str | None) -> None:
    assert parse_date(text) is None


def test_a_date_without_a_zone_is_utc() -> None:
    assert parse_date("2024-01-15T10:30:00") == parse_date("2024-01-15T10:30:00Z")


def test_a_missing_digest_is_a_dash() -> None:
    assert short_digest(None) == "-"
