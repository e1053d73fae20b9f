"""When what is live is built again: windows by local clocks, and what makes a rebuild due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.domain.builders import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    a_pin,
    a_record,
    an_image,
    failures,
    live,
    settings,
)

from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_BASE_CREATED, TAG_ENVIRONMENT, TAG_IMAGED, Image
from ami_lifecycle.domain.scheduled_rebuild import (
    OVERDUE_AFTER,
    Rebuild,
    is_overdue,
    next_open,
    opening,
    reason_for_no_rebuild,
    rebuild_of,
    rebuild_request,
)
from ami_lifecycle.domain.settings import EnvironmentSettings, RefreshWindow

BERLIN = "Europe/Berlin"
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = [
    "UTC",
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/Sao_Paulo",
]
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
windows = st.builds(
    lambda days, opens, closes, zone: window(days=days, opens=opens, closes=closes, zone=zone),
    st.lists(st.sampled_from(WEEK), min_size=1, unique=True),
    times,
    times,
    st.sampled_from(ZONES),
)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def window(
    *, days: Any = WEEK, opens: str = "00:00", closes: str = "00:00", zone: str = "UTC"
) -> RefreshWindow:
    return RefreshWindow.model_validate({"days": days, "from": opens, "to": closes, "timezone": zone})


def with_refresh(**refresh: Any) -> EnvironmentSettings:
    return settings(refresh=refresh)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


# Windows.


def test_a_window_is_read_and_written_under_the_names_of_the_file() -> None:
    written = {"days": ["sat"], "from": "22:00", "to": "04:00", "timezone": BERLIN}
    found = with_refresh(window=written)
    assert found.model_dump(mode="json")["refresh"]["window"] == written
    assert EnvironmentSettings.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"from": "2:00"}, "write a time of day from 00:00 to 23:59"),
        ({"to": "24:00"}, "write a time of day from 00:00 to 23:59"),
        ({"timezone": "Europe/Bonn"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "Europe"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "../etc/passwd"}, "write the name of a time zone of the IANA database"),
        # Names of one machine's own files, which another may not have.
        ({"timezone": "localtime"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "posixrules"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "posix/Europe/Berlin"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "right/Europe/Berlin"}, "write the name of a time zone of the IANA database"),
        ({"timezone": "europe/berlin"}, "write the name of a time zone of the IANA database"),
        ({"days": []}, "at least 1"),
        ({"days": ["monday"]}, "mon"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        with_refresh(window=wrong)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # 2026-01-16 is a Friday; Berlin is an hour ahead.
        (utc(2026, 1, 15, 12), utc(2026, 1, 16, 21)),
        (utc(2026, 1, 16, 21), utc(2026, 1, 16, 21)),
        (utc(2026, 1, 17, 2, 59), utc(2026, 1, 17, 2, 59)),
        (utc(2026, 1, 17, 3), utc(2026, 1, 23, 21)),
    ],
)
def test_a_window_that_crosses_midnight_belongs_to_the_day_on_which_it_begins(
    after: datetime, expected: datetime
) -> None:
    assert next_open(window(days=["fri"], opens="22:00", closes="04:00", zone=BERLIN), after) == expected


@pytest.mark.parametrize(
    ("day", "opens", "closes", "expected"),
    [
        # 2026-03-29: from 02:00 on, clocks show 03:00.
        (date(2026, 3, 29), "01:00", "04:00", (utc(2026, 3, 29, 0), utc(2026, 3, 29, 2))),
        (date(2026, 3, 29), "02:30", "05:00", (utc(2026, 3, 29, 1, 30), utc(2026, 3, 29, 3))),
        (date(2026, 3, 29), "01:00", "02:30", (utc(2026, 3, 29, 0), utc(2026, 3, 29, 0, 30))),
        (date(2026, 3, 29), "02:15", "02:45", (utc(2026, 3, 29, 1, 15), utc(2026, 3, 29, 1, 45))),
        (date(2026, 3, 29), "02:00", "03:00", (utc(2026, 3, 29, 1), utc(2026, 3, 29, 2))),
        (date(2026, 3, 28), "23:00", "03:30", (utc(2026, 3, 28, 22), utc(2026, 3, 29, 1, 30))),
        # 2026-10-25: at 03:00, clocks show 02:00 again.
        (date(2026, 10, 25), "01:00", "04:00", (utc(2026, 10, 24, 23), utc(2026, 10, 25, 3))),
        (date(2026, 10, 25), "02:30", "05:00", (utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 4))),
        (date(2026, 10, 25), "01:00", "02:30", (utc(2026, 10, 24, 23), utc(2026, 10, 25, 0, 30))),
    ],
)
def test_a_window_follows_the_clocks_when_they_are_changed(
    day: date, opens: str, closes: str, expected: tuple[datetime, datetime]
) -> None:
    assert opening(window(opens=opens, closes=closes, zone=BERLIN), day) == expected


@pytest.mark.parametrize(("opens", "closes"), [("00:00", "00:00"), ("12:00", "14:00"), ("01:00", "02:30")])
def test_moments_are_told_in_utc_whatever_the_zones_and_the_machines(opens: str, closes: str) -> None:
    found = window(opens=opens, closes=closes, zone=BERLIN)
    for each in opening(found, date(2026, 3, 29)):
        assert each.tzinfo is UTC
    for hour in (0, 13):
        after = datetime(2026, 3, 29, hour, tzinfo=ZoneInfo(BERLIN))
        assert next_open(found, after).tzinfo is UTC


@given(windows, st.dates(date(2025, 1, 1), date(2029, 12, 31)))
def test_a_window_is_never_empty_and_about_as_long_as_it_says(found: RefreshWindow, day: date) -> None:
    opens, closes = opening(found, day)
    hours, minutes = (
        int(b) - int(a) for a, b in zip(found.opens.split(":"), found.closes.split(":"), strict=True)
    )
    nominal = timedelta(hours=hours, minutes=minutes)
    nominal += timedelta(days=1) if nominal <= timedelta(0) else timedelta(0)
    assert timedelta(0) < closes - opens
    assert abs(closes - opens - nominal) <= timedelta(hours=2)


@given(windows, moments)
def test_the_next_opening_is_within_a_window_and_not_in_the_past(
    found: RefreshWindow, after: datetime
) -> None:
    start = next_open(found, after)
    assert after <= start <= after + timedelta(days=8, hours=1)
    day = start.astimezone(ZoneInfo(found.timezone)).date()
    if found.opens != found.closes or len(found.days) < len(WEEK):
        near = [
            opening(found, each)
            for each in (day - timedelta(days=1), day)
            if WEEK[each.weekday()] in found.days
        ]
        assert any(opens <= start < closes for opens, closes in near)
    assert next_open(found, start) == start


@given(windows, moments, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_who_looks_later_never_starts_earlier(
    found: RefreshWindow, after: datetime, later: timedelta
) -> None:
    assert next_open(found, after) <= next_open(found, after + later)


# What makes a rebuild due.


def aged(days: float, **tags: str) -> Image:
    image = an_image(1, creation_date=NOW - timedelta(days=days))
    return image.model_copy(update={"tags": {**image.tags, **tags}})


def newer_base(days: float) -> Image:
    return an_image(9, creation_date=NOW - timedelta(days=days), tags={})


def test_nothing_is_due_where_nobody_asks_for_it() -> None:
    assert rebuild_of(live(aged(4_000)), newer_base(0), settings()) is None


def test_an_image_is_due_when_it_is_old_enough() -> None:
    found = rebuild_of(live(aged(29)), None, with_refresh(rebuild_after_days=30))
    assert found is not None
    assert found.due == NOW + timedelta(days=1)
    assert "is of 2025-12-17, and rebuild_after_days is 30" in found.reason


def test_the_age_is_that_of_the_disks_and_not_of_the_name() -> None:
    imaged = NOW - timedelta(days=40)
    found = rebuild_of(
        live(aged(1, **{TAG_IMAGED: imaged.isoformat()})), None, with_refresh(rebuild_after_days=30)
    )
    assert found is not None
    assert found.due == imaged + timedelta(days=30)


@pytest.mark.parametrize(
    ("base_days", "newest_days", "is_due"), [(20, 10, True), (20, 20, False), (20, 30, False)]
)
def test_a_newer_base_is_followed(base_days: int, newest_days: int, *, is_due: bool) -> None:
    base = (NOW - timedelta(days=base_days)).isoformat()
    found = rebuild_of(
        live(aged(1, **{TAG_BASE_CREATED: base})), newer_base(newest_days), with_refresh(follow_base=True)
    )
    assert (found is not None) is is_due
    if found is not None:
        assert found.due == NOW - timedelta(days=10)
        assert "the base of" in found.reason


def test_both_bases_are_told_with_their_dates() -> None:
    image = aged(1, **{TAG_BASE_CREATED: (NOW - timedelta(days=20)).isoformat()})
    found = rebuild_of(live(image), newer_base(10), with_refresh(follow_base=True))
    assert found is not None
    assert found.reason == (
        f"the base of {image.image_id} is of 2025-12-26, and {newer_base(10).image_id} is of 2026-01-05"
    )


@pytest.mark.parametrize("newest", [None, an_image(9, creation_date=None, tags={})])
def test_a_base_of_which_no_date_is_known_is_not_followed(newest: Image | None) -> None:
    image = aged(1, **{TAG_BASE_CREATED: (NOW - timedelta(days=20)).isoformat()})
    assert rebuild_of(live(image), newest, with_refresh(follow_base=True)) is None


def test_what_is_due_first_is_the_reason() -> None:
    image = aged(29, **{TAG_BASE_CREATED: (NOW - timedelta(days=60)).isoformat()})
    found = rebuild_of(live(image), newer_base(3), with_refresh(rebuild_after_days=30, follow_base=True))
    assert found is not None
    assert "the base of" in found.reason


@pytest.mark.parametrize(
    "image",
    [
        None,
        an_image(1, environment="dev"),
        an_image(1, tags={}),
        an_image(1, tags={TAG_APPLICATION: "comfyui", TAG_ENVIRONMENT: "prod"}),
        an_image(1, creation_date=None),
    ],
)
def test_only_an_image_of_the_environment_is_rebuilt(image: Image | None) -> None:
    assert rebuild_of(live(image), None, with_refresh(rebuild_after_days=1)) is None


def test_a_rebuild_is_of_the_same_digest_and_fresh() -> None:
    rebuild = Rebuild(NOW, "r" * 300)
    request = rebuild_request(live(aged(1)), rebuild, settings(), DIGEST)
    assert (request.trigger.value, request.image_digest, request.fresh) == ("schedule", DIGEST, True)
    assert (request.image_tag, len(request.reason or "")) == ("prod-latest", 200)
    assert rebuild_request(live(aged(1)), rebuild, settings(), OTHER_DIGEST).image_tag is None


@pytest.mark.parametrize(
    ("digest", "record", "rebuild", "refresh", "words"),
    [
        (DIGEST, a_record(), Rebuild(NOW, "old"), {}, None),
        (DIGEST, a_record(pin=a_pin()), Rebuild(NOW, "old"), {}, "pinned"),
        (OTHER_DIGEST, a_record(), Rebuild(NOW, "old"), {}, "not what is live"),
        (DIGEST, a_record(), None, {}, "no rebuild of"),
        (DIGEST, a_record(), Rebuild(NOW + timedelta(minutes=1), "old"), {}, "no rebuild of"),
        (DIGEST, a_record(failed=failures(3)), Rebuild(NOW, "old"), {}, "has failed 3 times"),
        (DIGEST, a_record(failed=failures(2)), Rebuild(NOW, "old"), {}, None),
        (
            DIGEST,
            a_record(),
            Rebuild(NOW, "old"),
            {"window": {"from": "13:00", "to": "14:00"}},
            "opens at 2026-01-15 13:00 UTC",
        ),
    ],
)
def test_whether_a_rebuild_is_needed_is_judged_again(
    digest: str, record: Any, rebuild: Rebuild | None, refresh: dict[str, Any], words: str | None
) -> None:
    found = reason_for_no_rebuild(digest, live(aged(40)), record, with_refresh(**refresh), rebuild, NOW)
    assert found is None if words is None else words in (found or "")


def test_a_rebuild_is_overdue_when_every_window_has_passed() -> None:
    late = NOW + OVERDUE_AFTER
    assert not is_overdue(NOW, DIGEST, a_record(), settings(), late)
    assert is_overdue(NOW, DIGEST, a_record(), settings(), late + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("count", "digest", "is_late"), [(2, DIGEST, False), (3, DIGEST, True), (9, OTHER_DIGEST, False)]
)
def test_a_rebuild_that_is_given_up_is_overdue_at_once(count: int, digest: str, *, is_late: bool) -> None:
    record = a_record(failed=failures(count, digest))
    assert is_overdue(NOW, DIGEST, record, settings(), NOW) is is_late
