"""What first boots cost and allow: the arithmetic, and the settings behind it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ami_lifecycle.domain.first_boot import FACT, FirstBoot, first_boot_of, recorded_first_boot
from ami_lifecycle.domain.settings import LaunchSettings

GIB = 2**30


def at(rate: int, *sizes: int | None, **settings: object) -> FirstBoot | None:
    return first_boot_of(
        LaunchSettings.model_validate({"initialization_rate": rate, **settings}), list(sizes)
    )


def test_time_price_and_number_follow_from_the_data_and_the_rate() -> None:
    """EBS user guide, Initialize volumes: 10 GiB at 300 MiB/s are 34.1 seconds, 5,000 MiB/s are 50 launches at 100."""
    found = at(300, 10 * GIB)
    assert found == FirstBoot(
        initialization_rate=300,
        data_bytes=10 * GIB,
        initialization_seconds=35,
        cents_per_launch=3.6,
        launches_at_once=16,
    )
    cheap = at(100, 20 * GIB)
    assert cheap is not None
    assert (cheap.launches_at_once, cheap.cents_per_launch, cheap.initialization_seconds) == (50, 2.4, 205)


def test_volumes_are_read_at_the_same_time_and_each_counts() -> None:
    found = at(200, 10 * GIB, 30 * GIB)
    assert found is not None
    assert (found.initialization_seconds, found.launches_at_once, found.data_bytes) == (154, 12, 40 * GIB)


def test_a_regions_own_price_and_quota_take_the_place_of_the_documented_ones() -> None:
    found = at(300, 10 * GIB, initialization_usd_per_gib=0.005, initialization_quota=20_000)
    assert found is not None
    assert (found.cents_per_launch, found.launches_at_once) == (5.0, 66)


def test_a_price_is_told_in_hundredths_of_a_cent() -> None:
    found = at(300, GIB, initialization_usd_per_gib=0.012345)
    assert found is not None
    assert found.cents_per_launch == 1.23


@pytest.mark.parametrize("sizes", [(), (None,), (GIB, None), (0,)])
def test_what_is_not_known_is_not_guessed(sizes: tuple[int | None, ...]) -> None:
    assert at(300, *sizes) is None


def test_without_a_rate_there_is_nothing_to_say() -> None:
    assert at(0, GIB) is None


@pytest.mark.parametrize("rate", [-1, 1, 99, 301, True, "100", 150.5])
def test_a_rate_that_ebs_does_not_take_is_refused_early(rate: object) -> None:
    with pytest.raises(ValidationError, match="initialization_rate"):
        LaunchSettings.model_validate({"initialization_rate": rate})


def test_a_record_is_read_whatever_else_it_holds() -> None:
    found = at(300, GIB)
    assert found is not None
    assert recorded_first_boot({FACT: {**found.model_dump(), "later": 1}}) == found
    assert recorded_first_boot({}) is None
    assert recorded_first_boot({FACT: "a person wrote this"}) is None


def test_a_quota_that_no_volume_fits_in_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"initialization_quota is 299, .* initialization_rate of 300"):
        LaunchSettings(initialization_rate=300, initialization_quota=299)
    assert LaunchSettings(initialization_rate=300, initialization_quota=300).initialization_quota == 300
    assert LaunchSettings(initialization_quota=100).initialization_rate == 0
