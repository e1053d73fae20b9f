"""Runs that are killed or lose power at any point, and run again on the same builder."""

import time

import pytest
from tests.e2e.provisioning.bed import Bed, Instance
from tests.e2e.provisioning.conftest import Built, Images

from aws_emulator.machines.agent import KILLED
from aws_emulator.machines.disks import check_disk
from aws_emulator.machines.errors import MachineError

KILLS = 24
POWER_CUTS = 5


def measured(builder: Instance, digest: str) -> float:
    """How long an undisturbed update takes on this host."""
    start = time.monotonic()
    assert builder.provision(digest).code == 0
    return time.monotonic() - start


def test_an_update_killed_at_any_point_can_be_run_again(bed: Bed, fresh: Built, images: Images) -> None:
    digests = [images.first.digest, images.second.digest]
    with bed.instance(fresh.disk) as builder:
        wanted = {}
        for digest in reversed(digests):
            seconds = measured(builder, digest)
            wanted[digest] = builder.state()
        killed = 0
        for number in range(KILLS):
            digest = digests[(number + 1) % 2]
            disturbed = builder.provision(digest, timeout_seconds=seconds * (number + 0.5) / KILLS)
            killed += disturbed.code == KILLED
            assert builder.provision(digest).code == 0, f"after the kill at point {number}"
            assert builder.state() == wanted[digest], f"after the kill at point {number}"
        assert killed >= KILLS - 4
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(digest).code == 0


def test_a_fresh_build_killed_again_and_again_gets_done(bed: Bed, fresh: Built, images: Images) -> None:
    with bed.instance(bed.machines.base.disk) as builder:
        killed = 0
        for seconds in (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12):
            killed += builder.provision(images.first.digest, "fresh", timeout_seconds=seconds).code == KILLED
        assert killed >= 5
        assert builder.provision(images.first.digest, "fresh").code == 0
        assert builder.state()["packages"].count("\n") <= 5
        with bed.instance(builder.stop()) as canary:
            assert canary.verify(images.first.digest).code == 0


@pytest.fixture(scope="module")
def update_seconds(bed: Bed, fresh: Built, images: Images) -> float:
    """How long an update takes that begins right after the boot."""
    with bed.instance(fresh.disk) as builder:
        return measured(builder, images.second.digest)


@pytest.mark.parametrize("number", range(POWER_CUTS))
def test_a_builder_that_lost_power_can_finish_after_its_next_boot(
    bed: Bed, fresh: Built, images: Images, update_seconds: float, number: int
) -> None:
    after_seconds = update_seconds * (number + 0.5) / (POWER_CUTS + 1)
    while not cut_power_in_an_update(bed, fresh, images.second.digest, after_seconds):
        # The host has less to do than when the time was measured, and the update was over before the cut.
        after_seconds *= 0.7


def cut_power_in_an_update(bed: Bed, fresh: Built, digest: str, after_seconds: float) -> bool:
    """Whether the cut came in the middle of an update; if so, the next boot finishes it."""
    with bed.instance(fresh.disk) as builder:
        try:
            assert builder.provision_and_cut_power(digest, after_seconds).code == 0
        except MachineError:
            disk = builder.machine.disk
        else:
            return False
        check_disk(disk)
        with bed.instance(disk) as again:
            assert again.provision(digest).code == 0
            with bed.instance(again.stop()) as canary:
                assert canary.verify(digest).code == 0
    return True
