"""Disks that several environments publish: nobody's to delete while one of them needs them, and then gone."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import an_image, arn_of
from tests.unit.steps.test_publishing import Build

from ami_lifecycle.domain.model import TAG_BUILT_FOR, Image
from ami_lifecycle.errors import AccessDeniedError, ServiceUnavailableError

DISKS = ("snap-0aaaaaaaaaaaaaaa1",)


def shared(build: Build, *, with_source: bool) -> Image:
    """Have prod's old image be made of dev's disks; dev's own image may be there still."""
    images = build.account.world.images
    source = images.add(
        an_image(8, name="comfyui-multitenant-dev", environment="dev", execution="dev-1", snapshot_ids=DISKS)
    )
    promoted = images.add(
        an_image(
            7, name="comfyui-multitenant-prod.candidate.7", snapshot_ids=DISKS, tags={TAG_BUILT_FOR: "dev"}
        )
    )
    if not with_source:
        images.deregister(source.image_id)
    return promoted


@pytest.fixture
def build() -> Build:
    """A build whose candidate is published, so that previous images may go."""
    build = Build()
    build.publish()
    return build


def test_disks_that_another_environment_needs_stay(build: Build) -> None:
    promoted = shared(build, with_source=True)
    retired = build.retire()
    assert promoted.image_id not in build.account.world.images.all
    assert set(DISKS) <= build.account.world.images.snapshots.keys()
    assert retired.blocked == ()


def test_who_removes_the_last_image_removes_its_disks(build: Build) -> None:
    promoted = shared(build, with_source=False)
    retired = build.retire()
    assert promoted.image_id not in build.account.world.images.all
    assert not set(DISKS) & build.account.world.images.snapshots.keys()
    assert retired.blocked == ()


def test_disks_without_our_tags_are_not_ours_to_delete(build: Build) -> None:
    shared(build, with_source=False)
    snapshots = build.account.world.images.snapshots
    snapshots[DISKS[0]] = snapshots[DISKS[0]].model_copy(update={"tags": {}})
    build.retire()
    assert set(DISKS) <= snapshots.keys()


@pytest.mark.parametrize("error", [AccessDeniedError("denied. Grant it."), ServiceUnavailableError("later")])
def test_nothing_goes_while_nobody_can_say_whose_the_disks_are(build: Build, error: Exception) -> None:
    promoted = shared(build, with_source=False)
    build.account.world.images.fail("find_each_snapshot", error, times=9)
    with pytest.raises(type(error)):
        build.retire()
    assert promoted.image_id in build.account.world.images.all
    assert set(DISKS) <= build.account.world.images.snapshots.keys()


def test_disks_are_kept_while_their_users_cannot_be_asked_for(build: Build) -> None:
    shared(build, with_source=True)
    images = build.account.world.images
    images.fail("images_of_snapshots", AccessDeniedError("denied. Grant it."), times=9)
    assert build.retire().blocked
    assert set(DISKS) <= images.snapshots.keys()


def test_no_call_is_made_for_images_that_were_not_promoted(build: Build) -> None:
    build.retire()
    assert build.account.world.images.called("find_each_snapshot") == []


@pytest.mark.parametrize("with_source", [True, False])
def test_a_promotion_that_failed_leaves_nothing_and_takes_nothing(build: Build, with_source: bool) -> None:
    images = build.account.world.images
    shared(build, with_source=with_source)
    failed = images.add(
        an_image(
            9,
            name="comfyui-multitenant-prod.candidate.9",
            role="candidate",
            execution="failed",
            snapshot_ids=DISKS,
            tags={TAG_BUILT_FOR: "dev"},
        )
    )
    if not with_source:
        images.deregister(an_image(7).image_id)
    cleaned = build.account.orphan_remover.remove(arn_of("failed"))
    assert cleaned.deregistered == (failed.image_id,)
    assert (DISKS[0] in images.snapshots) is with_source
    assert cleaned.blocked == ()
