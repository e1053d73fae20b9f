from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig, available_image, launch_request, running_instance, tags

from ami_lifecycle.domain.model import ImageState
from ami_lifecycle.errors import (
    BuilderLostError,
    RefusedError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
)

UNKNOWN = "ami-0ffffffffffffffff"


def registered_copy(rig: Rig, image_id: str, name: str) -> str | None:
    image = rig.images.get(image_id)
    assert image is not None
    return rig.images.register_copy(image, name, tags(rig, role="canonical"))


def test_an_image_of_another_owner_can_be_read(rig: Rig) -> None:
    image = rig.images.get(rig.base_image_id)
    assert image is not None
    assert image.state is ImageState.AVAILABLE
    assert image.root_volume_gib == 8
    assert image.owner_id == "099720109477"


def test_an_unknown_image_is_none(rig: Rig) -> None:
    assert rig.images.get(UNKNOWN) is None


def test_a_new_image_is_pending_and_then_available_with_its_snapshots(rig: Rig) -> None:
    instance = running_instance(rig)
    image_id = rig.images.create(instance.instance_id, rig.name, "an image", tags(rig))
    assert image_id is not None
    pending = rig.images.get(image_id)
    assert pending is not None
    assert pending.state is ImageState.PENDING
    assert pending.snapshot_ids == ()
    rig.settle()
    available = rig.images.get(image_id)
    assert available is not None
    assert available.state is ImageState.AVAILABLE
    assert available.root_volume_gib == 12
    assert dict(available.tags) == tags(rig)
    (snapshot,) = rig.images.find_snapshots(tags(rig))
    assert available.snapshot_ids == (snapshot.snapshot_id,)
    assert snapshot.state == "completed"


def test_a_name_that_is_taken_makes_no_second_image(rig: Rig) -> None:
    image_id = available_image(rig)
    instance = running_instance(rig)
    assert rig.images.create(instance.instance_id, rig.name, "again", tags(rig)) is None
    assert registered_copy(rig, image_id, rig.name) is None
    assert [found.image_id for found in rig.images.find_by_name(rig.name)] == [image_id]


def test_images_are_found_by_tags_and_by_name_with_wildcards(rig: Rig) -> None:
    candidate = available_image(rig, f"{rig.name}.candidate.1", role="candidate")
    assert [image.image_id for image in rig.images.find(tags(rig, role="candidate"))] == [candidate]
    assert rig.images.find(tags(rig, role="canonical")) == []
    assert [image.image_id for image in rig.images.find_by_name(f"{rig.name}.*")] == [candidate]
    assert rig.images.find_by_name(rig.name) == []


def test_the_newest_of_an_owner_and_a_name_is_found_with_wildcards(rig: Rig) -> None:
    assert rig.images.newest("self", f"{rig.name}-*", "x86_64") is None
    ids = [available_image(rig, f"{rig.name}-1"), available_image(rig, f"{rig.name}-2")]
    # Both may be of the same second.
    newest = max(rig.images.find_each(ids), key=lambda image: (str(image.creation_date), image.image_id))
    disabled = available_image(rig, f"{rig.name}-3")
    rig.disable(disabled)
    for owner in ("self", "123456789012"):
        found = rig.images.newest(owner, f"{rig.name}-?", "x86_64")
        assert found == newest
    assert rig.images.newest("self", f"{rig.name}-*", "arm64") is None
    assert rig.images.newest("999999999999", f"{rig.name}-*", "x86_64") is None
    assert rig.images.newest("amazon", f"{rig.name}-*", "x86_64") is None


def test_the_newest_image_of_another_owner_is_found_by_its_account(rig: Rig) -> None:
    found = rig.images.newest("099720109477", "ubuntu*", "x86_64")
    assert found is not None
    assert found.owner_id == "099720109477"


def test_a_disabled_image_is_still_found(rig: Rig) -> None:
    image_id = available_image(rig)
    rig.disable(image_id)
    image = rig.images.get(image_id)
    assert image is not None
    assert image.state is ImageState.DISABLED
    assert [found.image_id for found in rig.images.find(tags(rig))] == [image_id]
    assert [found.image_id for found in rig.images.find_by_name(rig.name)] == [image_id]


def test_no_image_is_made_of_a_terminated_instance(rig: Rig) -> None:
    instance = running_instance(rig)
    rig.instances.terminate(instance.instance_id)
    rig.settle()
    with pytest.raises(BuilderLostError, match=instance.instance_id):
        rig.images.create(instance.instance_id, rig.name, "an image", tags(rig))


def test_no_image_is_made_of_an_instance_that_never_was(rig: Rig) -> None:
    with pytest.raises(BuilderLostError, match="i-0ffffffffffffffff"):
        rig.images.create("i-0ffffffffffffffff", rig.name, "an image", tags(rig))


def test_an_image_of_an_instance_that_is_stopping_has_to_wait(rig: Rig) -> None:
    instance = running_instance(rig)
    rig.instances.stop(instance.instance_id)
    with pytest.raises(ResourceNotVisibleError, match=instance.instance_id):
        rig.images.create(instance.instance_id, rig.name, "an image", tags(rig))


def test_a_registered_copy_is_the_same_image_under_another_name(rig: Rig) -> None:
    original_id = available_image(rig)
    copy_id = registered_copy(rig, original_id, f"{rig.name}-canonical")
    assert copy_id is not None
    rig.settle()
    original, copy = rig.images.get(original_id), rig.images.get(copy_id)
    assert original is not None
    assert copy is not None
    assert copy.name == f"{rig.name}-canonical"
    assert dict(copy.tags) == tags(rig, role="canonical")
    own = {"image_id", "name", "creation_date", "tags"}
    assert copy.model_dump(exclude=own) == original.model_dump(exclude=own)


def test_a_pending_image_is_not_copied(rig: Rig) -> None:
    instance = running_instance(rig)
    image_id = rig.images.create(instance.instance_id, rig.name, "an image", tags(rig))
    assert image_id is not None
    with pytest.raises(ResourceNotVisibleError, match=image_id):
        registered_copy(rig, image_id, f"{rig.name}-canonical")


def test_deregistering_frees_the_name_and_keeps_the_snapshots(rig: Rig) -> None:
    original = available_image(rig)
    snapshots = rig.images.find_snapshots(tags(rig))
    rig.images.deregister(original)
    rig.images.deregister(original)
    assert rig.images.get(original) is None
    assert rig.images.find_by_name(rig.name) == []
    assert rig.images.find_snapshots(tags(rig)) == snapshots


def test_an_image_that_is_gone_is_told_from_one_that_does_not_show_yet(rig: Rig) -> None:
    image_id = available_image(rig)
    assert not rig.images.is_deregistered(image_id)
    rig.images.deregister(image_id)
    assert rig.images.is_deregistered(image_id)
    assert not rig.images.is_deregistered(UNKNOWN)


def test_deregistering_an_unknown_image_is_fine(rig: Rig) -> None:
    rig.images.deregister(UNKNOWN)
    assert rig.images.get(UNKNOWN) is None


def test_a_protected_image_is_not_deregistered(rig: Rig) -> None:
    image_id = available_image(rig)
    rig.protect(image_id)
    with pytest.raises(RefusedError, match=image_id):
        rig.images.deregister(image_id)
    assert rig.images.get(image_id) is not None


def test_a_snapshot_is_deleted_when_no_image_is_made_of_it_any_more(rig: Rig) -> None:
    original = available_image(rig)
    copy = registered_copy(rig, original, f"{rig.name}-canonical")
    assert copy is not None
    rig.settle()
    (snapshot,) = rig.images.find_snapshots(tags(rig))
    users = rig.images.images_of_snapshots([snapshot.snapshot_id])
    assert sorted(users[snapshot.snapshot_id]) == sorted([original, copy])
    rig.images.deregister(original)
    assert rig.images.delete_snapshot(snapshot.snapshot_id) is False
    assert rig.images.images_of_snapshots([snapshot.snapshot_id]) == {snapshot.snapshot_id: [copy]}
    rig.images.deregister(copy)
    assert rig.images.delete_snapshot(snapshot.snapshot_id) is True
    assert rig.images.delete_snapshot(snapshot.snapshot_id) is True
    assert rig.images.find_snapshots(tags(rig)) == []


def test_snapshots_go_with_their_image_in_one_call(rig: Rig) -> None:
    image_id = available_image(rig)
    (snapshot,) = rig.images.find_snapshots(tags(rig))
    assert rig.images.deregister(image_id, with_snapshots=True) == [snapshot.snapshot_id]
    assert rig.images.find_snapshots(tags(rig)) == []
    assert rig.images.deregister(image_id, with_snapshots=True) == []


def test_a_snapshot_that_another_image_is_made_of_stays_when_one_goes(rig: Rig) -> None:
    original = available_image(rig)
    copy = registered_copy(rig, original, f"{rig.name}-copy")
    assert copy is not None
    rig.settle()
    (snapshot,) = rig.images.find_snapshots(tags(rig))
    assert rig.images.deregister(original, with_snapshots=True) == []
    assert rig.images.find_snapshots(tags(rig)) == [snapshot]
    assert rig.images.deregister(copy, with_snapshots=True) == [snapshot.snapshot_id]


def test_images_are_found_by_their_ids_and_those_that_are_gone_are_left_out(rig: Rig) -> None:
    image_id = available_image(rig)
    gone = registered_copy(rig, image_id, f"{rig.name}-gone")
    assert gone is not None
    rig.settle()
    rig.images.deregister(gone)
    found = rig.images.find_each([UNKNOWN, image_id, gone])
    assert [image.image_id for image in found] == [image_id]
    assert rig.images.images_of_snapshots(["snap-0ffffffffffffffff"]) == {"snap-0ffffffffffffffff": []}


@pytest.mark.parametrize("code", ["SnapshotLocked", "InternalError"])
def test_an_image_goes_even_if_ec2_cannot_delete_its_snapshot(emulated: EmulatedRig, code: str) -> None:
    image_id = available_image(emulated)
    status = 500 if code == "InternalError" else 400
    emulated.account.faults.add(
        {"kind": "error", "operation": "DeleteSnapshot", "code": code, "status": status}
    )
    assert emulated.images.deregister(image_id, with_snapshots=True) == []
    assert emulated.images.get(image_id) is None
    (snapshot,) = emulated.images.find_snapshots(tags(emulated))
    assert emulated.images.delete_snapshot(snapshot.snapshot_id) is True


def test_an_image_that_nobody_shares_has_no_launch_permissions(rig: Rig) -> None:
    assert rig.images.launch_permissions(available_image(rig)) == []


def test_who_may_launch_an_image_that_is_not_found_is_unknown_and_not_nobody(rig: Rig) -> None:
    with pytest.raises(ResourceNotVisibleError):
        rig.images.launch_permissions(UNKNOWN)


def test_a_lost_response_to_create_image_is_found_by_its_name(emulated: EmulatedRig) -> None:
    instance = running_instance(emulated)
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "CreateImage",
            "code": "InternalError",
            "status": 500,
            "when": "after",
        }
    )
    with pytest.raises(ServiceUnavailableError):
        emulated.images.create(instance.instance_id, emulated.name, "an image", tags(emulated))
    assert emulated.images.create(instance.instance_id, emulated.name, "an image", tags(emulated)) is None
    (found,) = emulated.images.find_by_name(emulated.name)
    assert dict(found.tags) == tags(emulated)


def test_more_images_than_a_page_holds_are_all_found(
    emulated: EmulatedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami_lifecycle.adapters.images.MAXIMUM_PER_PAGE", 5)
    original = available_image(emulated)
    copies = [registered_copy(emulated, original, f"{emulated.name}-{number}") for number in range(7)]
    emulated.settle()
    found = {image.image_id for image in emulated.images.find_by_name(f"{emulated.name}*")}
    assert found == {original, *copies}
    (snapshot,) = emulated.images.find_snapshots(tags(emulated))
    (users,) = emulated.images.images_of_snapshots([snapshot.snapshot_id]).values()
    assert len(users) == 8
    monkeypatch.setattr("ami_lifecycle.adapters.images.VALUES_PER_FILTER", 3)
    assert {image.image_id for image in emulated.images.find_each([*sorted(found), UNKNOWN])} == found


def test_an_account_allows_itself_every_image_at_first(rig: Rig) -> None:
    assert rig.images.allowed_images().restricts is False


@pytest.fixture
def restricted(emulated: EmulatedRig) -> Iterator[EmulatedRig]:
    """An account whose setting Allowed AMIs names one provider, which is not the base image's."""
    ec2 = emulated.account.client("ec2")
    ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["amazon"]}])
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    yield emulated
    ec2.disable_allowed_images_settings()


def test_an_image_that_is_not_allowed_is_none_and_the_setting_says_why(restricted: EmulatedRig) -> None:
    assert restricted.images.get(restricted.base_image_id) is None
    assert restricted.images.allowed_images() == (True, False)
    restricted.account.client("ec2").enable_allowed_images_settings(AllowedImagesSettingsState="audit-mode")
    assert restricted.images.get(restricted.base_image_id) is not None
    assert restricted.images.allowed_images() == (False, False)


def test_own_images_are_allowed_whatever_the_criteria(emulated: EmulatedRig) -> None:
    image_id = available_image(emulated)
    ec2 = emulated.account.client("ec2")
    ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["amazon"]}])
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    try:
        assert emulated.images.get(image_id) is not None
        launched = emulated.instances.launch(
            launch_request(emulated, image_id=image_id, client_token=f"own-{emulated.name}"[:64])
        )
        assert launched.instance is not None
    finally:
        ec2.disable_allowed_images_settings()


def test_snapshots_are_found_by_their_ids_and_unknown_ones_are_left_out(rig: Rig) -> None:
    image = rig.images.get(available_image(rig))
    assert image is not None
    found = rig.images.find_each_snapshot([*image.snapshot_ids, "snap-0ffffffffffffffff"])
    assert [each.snapshot_id for each in found] == list(image.snapshot_ids)


def test_a_snapshot_tells_the_size_of_its_data(emulated: EmulatedRig) -> None:
    image = emulated.images.get(available_image(emulated))
    assert image is not None
    (snapshot,) = emulated.images.find_each_snapshot(image.snapshot_ids)
    assert snapshot.data_bytes == 12 * 2**30


def test_an_image_is_deprecated_from_a_date_on_until_that_is_taken_away(rig: Rig) -> None:
    image_id = available_image(rig)
    at = (rig.now() + timedelta(minutes=2)).replace(second=0, microsecond=0)
    for _ in range(2):
        rig.images.deprecate(image_id, at)
    found = rig.images.get(image_id)
    assert found is not None
    assert found.deprecated_at == at
    for _ in range(2):
        rig.images.undeprecate(image_id)
    found = rig.images.get(image_id)
    assert found is not None
    assert found.deprecated_at is None


def test_a_protected_image_goes_as_soon_as_the_protection_is_taken_away(rig: Rig) -> None:
    image_id = available_image(rig)
    for _ in range(2):
        rig.images.protect(image_id)
    found = rig.images.get(image_id)
    assert found is not None
    assert found.is_protected_at_will
    with pytest.raises(RefusedError):
        rig.images.deregister(image_id)
    for _ in range(2):
        rig.images.unprotect(image_id)
    found = rig.images.get(image_id)
    assert found is not None
    assert not found.is_protected
    rig.images.deregister(image_id)
    assert rig.images.get(image_id) is None


def test_nothing_is_switched_at_an_image_that_is_gone(rig: Rig) -> None:
    image_id = available_image(rig)
    rig.images.deregister(image_id)
    rig.images.deprecate(image_id, rig.now() + timedelta(minutes=2))
    rig.images.undeprecate(image_id)
    rig.images.protect(image_id)
    rig.images.unprotect(image_id)
    assert rig.images.get(image_id) is None


def test_a_snapshot_comes_out_of_the_bin_again(rig: Rig) -> None:
    rig.keep_deleted(7)
    image_id = available_image(rig)
    image = rig.images.get(image_id)
    assert image is not None
    (snapshot_id,) = image.snapshot_ids
    assert rig.images.snapshots_in_bin([snapshot_id]) == {}
    rig.images.deregister(image_id, with_snapshots=True)
    assert rig.images.find_each_snapshot([snapshot_id]) == []
    binned = rig.images.snapshots_in_bin([snapshot_id, "snap-0ffffffffffffffff"])
    assert binned == {snapshot_id: pytest.approx(rig.now() + timedelta(days=7), abs=timedelta(minutes=5))}
    for _ in range(2):
        rig.images.restore_snapshot(snapshot_id)
    rig.pass_time(5)
    (restored,) = rig.images.find_each_snapshot([snapshot_id])
    assert restored.state == "completed"
    assert dict(restored.tags) == tags(rig)
    assert rig.images.snapshots_in_bin([snapshot_id]) == {}
    copy_id = rig.images.register_copy(image, f"{rig.name}-again", tags(rig, role="canonical"))
    rig.settle()
    copy = rig.images.get(copy_id or "")
    assert copy is not None
    assert copy.snapshot_ids == (snapshot_id,)


def test_what_was_never_in_the_bin_is_restored_by_nobody(rig: Rig) -> None:
    rig.images.restore_snapshot("snap-0ffffffffffffffff")
    assert rig.images.find_each_snapshot(["snap-0ffffffffffffffff"]) == []
