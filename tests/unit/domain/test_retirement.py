"""Keep or retire: never the live image, never what may be in use, always with a reason."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import NOW, an_image, digest_of, image_id, published

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.model import Image, ImageState, ImageUse, Usage, UsageKind
from ami_lifecycle.domain.retirement import decide, previous_images
from ami_lifecycle.domain.settings import RetirementSettings

OWN_LATEST = "/comfyui/ami/prod/latest"
OWN_LATEST_ARN = f"arn:aws:ssm:us-east-1:123456789012:parameter{OWN_LATEST}"
OTHER_LATEST_ARN = "arn:aws:ssm:us-east-1:123456789012:parameter/comfyui/ami/dev/latest"
ALWAYS_PROTECTING = sorted(
    set(UsageKind)
    - {
        UsageKind.LATEST,
        UsageKind.RUNNING_INSTANCE,
        UsageKind.LAUNCH_PERMISSION,
        UsageKind.OLD_TEMPLATE_VERSION,
    }
)
POLICIES = st.builds(
    RetirementSettings,
    keep_previous=st.integers(0, 4),
    protect_launch_permissions=st.booleans(),
    protect_running_instances=st.booleans(),
)
RESOURCES = st.sampled_from(
    [OWN_LATEST_ARN, OTHER_LATEST_ARN, "lt-1", "i-1", "arn:aws:ec2:::instance/i-2", "all"]
)
USES = st.lists(st.builds(ImageUse, kind=st.sampled_from(UsageKind), resource=RESOURCES), max_size=5)
IMAGES = st.lists(st.integers(1, 12), unique=True, max_size=8).map(
    lambda numbers: [an_image(number, creation_date=NOW) for number in numbers]
)


def used(kind: UsageKind, resource: str = "it") -> Usage:
    return Usage(image_id=image_id(1), uses=(ImageUse(kind=kind, resource=resource),))


def decided(usage: Usage, **policy: bool | str) -> tuple[RetireAction, str]:
    (decision,) = decide([usage], RetirementSettings.model_validate(policy), OWN_LATEST)
    return decision.action, decision.reason


def test_an_image_that_nothing_uses_is_retired() -> None:
    assert decided(Usage(image_id=image_id(1))) == (RetireAction.RETIRE, "nothing uses it")


@pytest.mark.parametrize("kind", ALWAYS_PROTECTING)
def test_a_use_keeps_the_image_and_is_named(kind: UsageKind) -> None:
    lax = {"protect_launch_permissions": False, "protect_running_instances": False}
    assert decided(used(kind, "lt-1"), **lax) == (RetireAction.KEEP, f"in use: {kind.value} lt-1")


@pytest.mark.parametrize("protect", [True, False])
def test_a_running_instance_keeps_the_image_only_where_the_settings_say_so(protect: bool) -> None:
    action, reason = decided(used(UsageKind.RUNNING_INSTANCE, "i-1"), protect_running_instances=protect)
    assert action is (RetireAction.KEEP if protect else RetireAction.RETIRE)
    assert "running instance" in reason


@pytest.mark.parametrize("protect", [True, False])
def test_a_launch_permission_keeps_the_image_unless_the_settings_say_otherwise(protect: bool) -> None:
    action, _ = decided(used(UsageKind.LAUNCH_PERMISSION, "all"), protect_launch_permissions=protect)
    assert action is (RetireAction.KEEP if protect else RetireAction.RETIRE)


@pytest.mark.parametrize(("versions", "kept"), [("used", False), ("all", True)])
def test_an_old_version_of_a_launch_template_counts_where_the_settings_say_so(
    versions: str, kept: bool
) -> None:
    use = used(UsageKind.OLD_TEMPLATE_VERSION, "lt-1 (fleet), version 1")
    action, reason = decided(use, launch_template_versions=versions)
    assert action is (RetireAction.KEEP if kept else RetireAction.RETIRE)
    assert "old version of launch template lt-1 (fleet), version 1" in reason


def test_the_environments_own_latest_was_read_and_does_not_count() -> None:
    assert decided(used(UsageKind.LATEST, OWN_LATEST_ARN))[0] is RetireAction.RETIRE


def test_every_latest_counts_where_none_was_read() -> None:
    (decision,) = decide([used(UsageKind.LATEST, OWN_LATEST_ARN)], RetirementSettings(), None)
    assert decision.action is RetireAction.KEEP


def test_another_environments_latest_keeps_the_image() -> None:
    assert decided(used(UsageKind.LATEST, OTHER_LATEST_ARN))[0] is RetireAction.KEEP


def test_many_uses_are_counted_instead_of_listed() -> None:
    uses = tuple(ImageUse(kind=UsageKind.LAUNCH_TEMPLATE, resource=f"lt-{n}") for n in range(50))
    action, reason = decided(Usage(image_id=image_id(1), uses=uses))
    assert action is RetireAction.KEEP
    assert reason.endswith("and 47 more")
    assert len(reason) < 300


@pytest.mark.parametrize("resource", ["i-1", "arn:aws:ec2:us-east-1:123456789012:instance/i-1"])
def test_our_own_builders_and_canaries_are_no_use(resource: str) -> None:
    policy = RetirementSettings(protect_running_instances=True)
    usage = used(UsageKind.RUNNING_INSTANCE, resource)
    (kept,) = decide([usage], policy, OWN_LATEST)
    (retired,) = decide([usage], policy, OWN_LATEST, frozenset({"i-1"}))
    assert (kept.action, retired.action) == (RetireAction.KEEP, RetireAction.RETIRE)


@given(USES, POLICIES, st.frozensets(RESOURCES))
def test_what_could_not_be_read_always_keeps(
    uses: list[ImageUse], policy: RetirementSettings, temporary: frozenset[str]
) -> None:
    unknown = ImageUse(kind=UsageKind.UNKNOWN, resource="ec2:DescribeInstances could not be read")
    for position in range(len(uses) + 1):
        usage = Usage(image_id=image_id(1), uses=(*uses[:position], unknown, *uses[position:]))
        (decision,) = decide([usage], policy, OWN_LATEST, temporary)
        assert decision.action is RetireAction.KEEP


@given(st.lists(USES, max_size=5), POLICIES)
def test_every_image_gets_one_decision_with_a_reason_in_the_order_asked(
    uses: list[list[ImageUse]], policy: RetirementSettings
) -> None:
    usages = [Usage(image_id=image_id(n + 1), uses=tuple(found)) for n, found in enumerate(uses)]
    decisions = decide(usages, policy, OWN_LATEST)
    assert [decision.image_id for decision in decisions] == [usage.image_id for usage in usages]
    assert all(decision.reason for decision in decisions)


@given(USES, USES, POLICIES)
def test_one_more_use_never_turns_keep_into_retire(
    uses: list[ImageUse], more: list[ImageUse], policy: RetirementSettings
) -> None:
    (before,) = decide([Usage(image_id=image_id(1), uses=tuple(uses))], policy, OWN_LATEST)
    (after,) = decide([Usage(image_id=image_id(1), uses=(*uses, *more))], policy, OWN_LATEST)
    if before.action is RetireAction.KEEP:
        assert after.action is RetireAction.KEEP


@given(st.permutations(["a", "b", "c"]), POLICIES)
def test_the_order_of_uses_does_not_matter(names: list[str], policy: RetirementSettings) -> None:
    kinds = {"a": UsageKind.LATEST, "b": UsageKind.RUNNING_INSTANCE, "c": UsageKind.LAUNCH_PERMISSION}
    uses = tuple(ImageUse(kind=kinds[name], resource=name) for name in names)
    (decision,) = decide([Usage(image_id=image_id(1), uses=uses)], policy, OWN_LATEST)
    (ordered,) = decide(
        [Usage(image_id=image_id(1), uses=tuple(sorted(uses, key=lambda use: use.resource)))],
        policy,
        OWN_LATEST,
    )
    assert decision.action is ordered.action


# Which images are looked at.


@given(IMAGES, st.integers(0, 5), st.randoms())
def test_the_live_image_is_never_sorted_out_and_no_other_is_forgotten(
    images: list[Image], keep_previous: int, random: Random
) -> None:
    live = an_image(20)
    owned = [*images, live]
    random.shuffle(owned)
    kept, opened = previous_images(live, owned, keep_previous)
    assert {found.image_id for found in images} == {
        *(decision.image_id for decision in kept),
        *(image.image_id for image in opened),
    }
    assert len(kept) == min(keep_previous, len(images))
    assert all(decision.action is RetireAction.KEEP and decision.reason for decision in kept)
    assert previous_images(live, sorted(owned, key=lambda image: image.image_id), keep_previous) == (
        kept,
        opened,
    )


def test_the_newest_previous_images_are_kept() -> None:
    images = [an_image(number, creation_date=NOW.replace(day=number)) for number in (2, 4, 1, 3)]
    kept, opened = previous_images(an_image(9), images, 2)
    assert [decision.image_id for decision in kept] == [image_id(4), image_id(3)]
    assert [image.image_id for image in opened] == [image_id(2), image_id(1)]
    assert "previous image 1 of 2" in kept[0].reason


def test_the_live_disks_under_another_name_do_not_count_as_a_previous_image() -> None:
    candidate = an_image(2, name="comfyui-multitenant-prod.candidate.x", snapshot_ids=("snap-1",))
    live, previous = an_image(3, snapshot_ids=("snap-1",)), an_image(1)
    kept, opened = previous_images(live, [candidate, previous, live], 1)
    assert [decision.image_id for decision in kept] == [previous.image_id]
    assert opened == [candidate]


@pytest.mark.parametrize("state", sorted(set(ImageState) - {ImageState.AVAILABLE}))
def test_an_image_that_cannot_be_launched_is_no_previous_image(state: ImageState) -> None:
    kept, opened = previous_images(an_image(9), [an_image(2, state=state), an_image(1)], 1)
    assert [decision.image_id for decision in kept] == [image_id(1)]
    assert [image.image_id for image in opened] == [image_id(2)]


def test_an_image_without_a_date_is_the_oldest() -> None:
    kept, _ = previous_images(an_image(9), [an_image(5, creation_date=None), an_image(1)], 1)
    assert [decision.image_id for decision in kept] == [image_id(1)]


def test_somebodys_copy_with_our_tags_is_kept_and_does_not_count() -> None:
    copy = an_image(8, name="AwsBackup_copy", creation_date=NOW.replace(day=20))
    kept, opened = previous_images(an_image(9), [copy, an_image(1)], 1)
    assert {decision.image_id for decision in kept} == {copy.image_id, image_id(1)}
    assert opened == []


# By publication.


def built(number: int) -> Image:
    return an_image(number, digest=digest_of(number), creation_date=NOW.replace(day=number))


def test_the_image_that_was_live_before_is_kept_and_not_the_newer_one_that_was_left() -> None:
    # One, two (bad), one again, three.
    history = [published(3, 4), published(2, 2, rolled_back=True), published(1, 3)]
    kept, opened = previous_images(built(3), [built(1), built(2)], 1, history=history)
    assert [decision.image_id for decision in kept] == [image_id(1)]
    assert [image.image_id for image in opened] == [image_id(2)]


def test_what_a_person_left_is_kept_only_where_a_place_is_free() -> None:
    history = [published(3, 4), published(2, 2, rolled_back=True), published(1, 3)]
    kept, _ = previous_images(built(3), [built(1), built(2)], 2, history=history)
    assert [decision.image_id for decision in kept] == [image_id(1), image_id(2)]
    assert "somebody has rolled back from it" in kept[1].reason


def test_a_second_image_of_one_docker_image_takes_no_others_place() -> None:
    twice = an_image(4, digest=digest_of(3), creation_date=NOW.replace(day=4))
    kept, opened = previous_images(built(5), [built(1), built(3), twice], 2)
    assert [decision.image_id for decision in kept] == [twice.image_id, image_id(1)]
    assert [image.image_id for image in opened] == [image_id(3)]


def test_a_second_image_of_the_live_docker_image_takes_no_others_place() -> None:
    live, again = built(3), an_image(4, digest=digest_of(3), creation_date=NOW.replace(day=4))
    kept, opened = previous_images(live, [live, again, built(1)], 1)
    assert [decision.image_id for decision in kept] == [image_id(1)]
    assert [image.image_id for image in opened] == [again.image_id]


def test_what_a_person_left_goes_before_a_second_image() -> None:
    twice = an_image(5, digest=digest_of(1), creation_date=NOW.replace(day=5))
    history = [published(3, 4), published(4, 2, rolled_back=True), published(1, 3)]
    kept, opened = previous_images(built(3), [built(1), built(4), twice], 2, history=history)
    assert [decision.image_id for decision in kept] == [image_id(1), image_id(5)]
    assert [image.image_id for image in opened] == [image_id(4)]


def test_an_image_from_before_records_is_older_than_one_with_published() -> None:
    kept, _ = previous_images(built(9), [built(1), built(5)], 1, history=[published(1, 1)])
    assert [decision.image_id for decision in kept] == [image_id(1)]


@pytest.mark.parametrize(
    ("changes", "reserved", "reason"),
    [
        (
            {"name": "AwsBackup_copy"},
            None,
            "carries our tags under the name AwsBackup_copy, so it is somebody's copy; remove its tags",
        ),
        (
            {"deregistration_protection": "enabled-with-cooldown"},
            None,
            "deregistration protection is enabled-with-cooldown; switch it off to let it go",
        ),
        (
            {},
            {image_id(2): "the environment is pinned to it"},
            "the environment is pinned to it",
        ),
    ],
)
def test_what_must_not_go_is_kept_with_the_reason_and_takes_no_place(
    changes: dict[str, Any], reserved: dict[str, str] | None, reason: str
) -> None:
    special = an_image(2, **changes)
    kept, opened = previous_images(an_image(9), [special, an_image(1, creation_date=None)], 1, reserved)
    assert opened == []
    assert kept == [
        Decision(image_id=special.image_id, action=RetireAction.KEEP, reason=reason),
        Decision(
            image_id=image_id(1),
            action=RetireAction.KEEP,
            reason="previous image 1 of 1 that the settings keep",
        ),
    ]


def test_a_kept_image_that_a_person_left_says_that_it_goes_first() -> None:
    kept, _ = previous_images(
        built(3), [built(1)], 1, history=[published(3, 3), published(1, 1, rolled_back=True)]
    )
    assert kept[0].reason == (
        "previous image 1 of 1 that the settings keep; somebody has rolled back from it, "
        "so it goes before any other"
    )


@pytest.mark.parametrize(
    ("uses", "reason"),
    [
        (
            [(UsageKind.RUNNING_INSTANCE, "i-1")],
            "not needed to launch again; 1 running instances keep running",
        ),
        (
            [(UsageKind.RUNNING_INSTANCE, "i-1"), (UsageKind.RUNNING_INSTANCE, "i-2")],
            "not needed to launch again; 2 running instances keep running",
        ),
        (
            [(UsageKind.OLD_TEMPLATE_VERSION, "lt-1, version 2")],
            "nothing uses it; named by an old version of launch template lt-1, version 2",
        ),
    ],
)
def test_a_retired_image_says_what_still_names_it(uses: list[tuple[UsageKind, str]], reason: str) -> None:
    found = tuple(ImageUse(kind=kind, resource=resource) for kind, resource in uses)
    assert decided(Usage(image_id=image_id(1), uses=found)) == (RetireAction.RETIRE, reason)


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (1, "launch template lt-0"),
        (2, "launch template lt-0, launch template lt-1"),
        (3, "launch template lt-0, launch template lt-1, launch template lt-2"),
        (4, "launch template lt-0, launch template lt-1, launch template lt-2 and 1 more"),
    ],
)
def test_an_image_in_use_is_blocked_and_names_three_of_its_uses(count: int, named: str) -> None:
    uses = tuple(ImageUse(kind=UsageKind.LAUNCH_TEMPLATE, resource=f"lt-{n}") for n in range(count))
    (decision,) = decide([Usage(image_id=image_id(1), uses=uses)], RetirementSettings(), OWN_LATEST)
    assert decision == Decision(
        image_id=image_id(1), action=RetireAction.KEEP, reason=f"in use: {named}", blocked=True
    )
