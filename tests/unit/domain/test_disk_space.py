import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.disk_space import (
    GIB,
    ImageStore,
    expected_bytes,
    least_bytes,
    least_root_volume_gib,
    root_volume_gib_to_set,
)

sizes = st.integers(0, 200 * 10**9)
stores = st.sampled_from(ImageStore)


@given(sizes, stores)
def test_what_is_certain_is_never_more_than_what_is_expected(size: int, store: ImageStore) -> None:
    assert size <= least_bytes(size, store) <= expected_bytes(size)
    assert least_root_volume_gib(size, store) <= root_volume_gib_to_set(size)


@given(sizes, sizes, stores)
def test_a_larger_image_never_needs_less(one: int, two: int, store: ImageStore) -> None:
    smaller, larger = sorted((one, two))
    assert least_bytes(smaller, store) <= least_bytes(larger, store)
    assert root_volume_gib_to_set(smaller) <= root_volume_gib_to_set(larger)
    assert least_root_volume_gib(smaller, store) <= least_root_volume_gib(larger, store)


@given(sizes)
def test_the_number_to_set_holds_the_image_with_room_left(size: int) -> None:
    assert root_volume_gib_to_set(size) * GIB >= expected_bytes(size) + GIB


@given(sizes)
def test_containerd_keeps_the_compressed_layers_too(size: int) -> None:
    both = [least_bytes(size, store) for store in (ImageStore.GRAPH_DRIVER, ImageStore.CONTAINERD)]
    assert both == [size, 2 * size]


def test_an_unknown_size_refuses_nothing() -> None:
    assert least_root_volume_gib(0) == 0


@pytest.mark.parametrize(
    ("compressed_bytes", "to_set"),
    [(2_300_000_000, 14), (7_000_000_000, 28), (14_000_000_000, 49)],
)
def test_the_sizes_that_the_documentation_names(compressed_bytes: int, to_set: int) -> None:
    assert root_volume_gib_to_set(compressed_bytes) == to_set


def test_an_image_of_fifteen_gigabytes_fits_the_default_volume() -> None:
    assert root_volume_gib_to_set(7_000_000_000) <= 40
    assert least_root_volume_gib(7_000_000_000) < 40


@pytest.mark.parametrize(
    ("compressed_bytes", "store", "least"),
    [
        (1, ImageStore.CONTAINERD, 4),
        (GIB, ImageStore.CONTAINERD, 5),
        (GIB, ImageStore.GRAPH_DRIVER, 4),
        (GIB + 1, ImageStore.GRAPH_DRIVER, 5),
    ],
)
def test_no_image_fits_a_volume_without_a_bare_system_of_three_gib(
    compressed_bytes: int, store: ImageStore, least: int
) -> None:
    found = least_root_volume_gib(compressed_bytes, store)
    assert found == least
    assert isinstance(found, int), "CreateVolume takes whole GiB"


def test_a_size_is_in_whole_bytes() -> None:
    assert expected_bytes(1_000_001) == 3_200_003
    assert isinstance(expected_bytes(1_000_001), int)
