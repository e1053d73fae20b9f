"""How values are read: in tens, once, paced, from any number of threads, and stale where that is allowed."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import pytest

from parameter_config import load_config
from parameter_config.errors import AccessDeniedError, ServiceUnavailableError, ThrottledError
from parameter_config.parameter_store import ParameterStore
from parameter_config.rate_limit import READS_PER_SECOND, Pacer

from .conftest import WriteConfig
from .fake_aws import (
    THROTTLED,
    UNREACHABLE,
    FakeClock,
    FakeSsm,
    client_error,
    declared_names,
)


def large_config(count: int) -> str:
    return "\n".join(
        f"v{index}: {{ssm_param: {name}, type: int}}" for index, name in enumerate(declared_names(count))
    )


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100, 101, 3000])
def test_n_values_cost_a_tenth_of_n_calls_once(write_config: WriteConfig, ssm: FakeSsm, count: int) -> None:
    for index, name in enumerate(declared_names(count)):
        ssm.put(name, str(index))
    config = load_config(write_config(aws=large_config(count)), ssm, clock=ssm.clock)
    assert ssm.calls == []
    assert config.get("aws.v0") == 0
    assert ssm.count("GetParameters") == ceil(count / 10)
    assert config.resolve() == {"aws": {f"v{index}": index for index in range(count)}}
    assert ssm.count("GetParameters") == len(ssm.calls) == ceil(count / 10)


def test_duplicates_are_asked_for_once(ssm: FakeSsm) -> None:
    ssm.put("/p/a", "1")
    found = ParameterStore(lambda: ssm, ssm.clock).read(["/p/a", "/p/b", "/p/a"])
    assert list(found) == ["/p/a"]
    assert ssm.calls[0][1]["Names"] == ["/p/a", "/p/b"]


def test_absent_values_are_remembered_too(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(write_config(aws=large_config(3)), ssm, clock=ssm.clock)
    assert [config.get(f"aws.v{index}") for index in range(3)] == [None] * 3
    assert len(ssm.calls) == 1


def test_values_are_read_again_after_their_time(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/large/group-0/value-0000", "1")
    config = load_config(write_config(aws=large_config(12)), ssm, clock=ssm.clock, ttl_seconds=60)
    assert config.get("aws.v0") == 1
    ssm.put("/large/group-0/value-0000", "2")
    ssm.clock.sleep(59)
    assert config.get("aws.v0") == 1
    ssm.clock.sleep(1)
    assert config.get("aws.v0") == 2
    assert len(ssm.calls) == 4


def test_refresh_reads_at_once(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(write_config(aws=large_config(1)), ssm, clock=ssm.clock)
    assert config.get("aws.v0") is None
    ssm.put("/large/group-0/value-0000", "5")
    config.refresh()
    assert config.get("aws.v0") == 5


def test_environments_share_the_cache(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/p/shared", "s")
    config = load_config(
        write_config(aws="a: {ssm_param: /p/shared}\nb: {ssm_param: '/p/{environment}/b'}"),
        ssm,
        clock=ssm.clock,
    )
    assert config.get("aws.a") == "s"
    assert config.for_environment("prod").get("aws.b") is None
    assert [request["Names"] for _, request in ssm.calls] == [["/p/shared"], ["/p/prod/b"]]


def test_many_threads_read_once(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(write_config(aws=large_config(25)), ssm, clock=ssm.clock)
    with ThreadPoolExecutor(16) as pool:
        values = list(pool.map(lambda index: config.get(f"aws.v{index % 25}"), range(400)))
    assert values == [None] * 400
    assert len(ssm.calls) == 3


def test_a_pacer_spaces_calls_without_a_burst(clock: FakeClock) -> None:
    pacer = Pacer(40, clock)
    start = clock.now()
    for _ in range(300):
        pacer.wait()
    assert clock.now() - start == pytest.approx(299 / 40)


def test_reading_3000_values_takes_no_longer_than_the_rate_allows(ssm: FakeSsm) -> None:
    store = ParameterStore(lambda: ssm, ssm.clock)
    start = ssm.clock.now()
    for batch in range(300):
        store.read([f"/p/{batch}"])
    assert len(ssm.calls) == 300
    assert ssm.clock.now() - start <= 300 / 40 * 1.1
    assert READS_PER_SECOND < 40


def test_a_store_at_its_limit_never_throttles_a_paced_reader(clock: FakeClock) -> None:
    ssm = FakeSsm(clock, per_second=40)
    store = ParameterStore(lambda: ssm, clock)
    for batch in range(200):
        store.read([f"/p/{batch}"])
    assert len(ssm.calls) == 200


def test_throttles_are_waited_out(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/large/group-0/value-0000", "1")
    ssm.faults = [THROTTLED] * 5
    start = ssm.clock.now()
    config = load_config(write_config(aws=large_config(1)), ssm, clock=ssm.clock)
    assert config.get("aws.v0") == 1
    assert len(ssm.calls) == 6
    assert ssm.clock.now() - start >= 0.25 + 0.5 + 1 + 2 + 4


def test_a_pacer_recovers_from_throttling(clock: FakeClock) -> None:
    pacer = Pacer(40, clock)
    pacer.wait()
    pacer.throttled(1.0)
    for _ in range(10):
        pacer.succeeded()
    start = clock.now()
    for _ in range(41):
        pacer.wait()
    assert clock.now() - start == pytest.approx(1.0 + 1.0)


def test_a_reader_that_is_throttled_to_the_end_gives_up(ssm: FakeSsm) -> None:
    ssm.faults = [THROTTLED] * 1000
    with pytest.raises(ThrottledError):
        ParameterStore(lambda: ssm, ssm.clock).read(["/p/a"])
    assert len(ssm.calls) == 8


def test_one_refused_call_of_many_fails_the_whole_read(ssm: FakeSsm) -> None:
    ssm.faults = [None] * 3 + [client_error("AccessDeniedException")]
    with pytest.raises(AccessDeniedError):
        ParameterStore(lambda: ssm, ssm.clock).read(declared_names(100))


def test_a_stale_value_is_served_with_a_warning_where_that_is_allowed(
    write_config: WriteConfig, ssm: FakeSsm, caplog: pytest.LogCaptureFixture
) -> None:
    ssm.put("/large/group-0/value-0000", "1")
    config = load_config(
        write_config(aws=large_config(1)), ssm, clock=ssm.clock, ttl_seconds=10, allow_stale=True
    )
    assert config.get("aws.v0") == 1
    ssm.clock.sleep(11)
    ssm.faults = [UNREACHABLE]
    with caplog.at_level(logging.WARNING):
        assert config.get("aws.v0") == 1
        assert config.source("aws.v0").stale
    assert "past their time" in caplog.text
    assert len(ssm.calls) == 2
    ssm.clock.sleep(6)
    assert config.get("aws.v0") == 1
    assert not config.source("aws.v0").stale
    assert len(ssm.calls) == 3


def test_nothing_stale_is_served_unasked(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(write_config(aws=large_config(1)), ssm, clock=ssm.clock, ttl_seconds=10)
    config.get("aws.v0")
    ssm.clock.sleep(11)
    ssm.faults = [UNREACHABLE]
    with pytest.raises(ServiceUnavailableError):
        config.get("aws.v0")


def test_a_value_never_read_cannot_be_stale(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.faults = [UNREACHABLE]
    config = load_config(write_config(aws=large_config(1)), ssm, clock=ssm.clock, allow_stale=True)
    with pytest.raises(ServiceUnavailableError):
        config.get("aws.v0")


def test_a_permission_that_was_taken_away_is_no_reason_for_stale_values(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load_config(
        write_config(aws=large_config(1)), ssm, clock=ssm.clock, ttl_seconds=10, allow_stale=True
    )
    config.get("aws.v0")
    ssm.clock.sleep(11)
    ssm.faults = [client_error("AccessDeniedException")]
    with pytest.raises(AccessDeniedError):
        config.get("aws.v0")
