"""What is live, whether a build is needed, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import (
    ACCOUNT_ID,
    DIGEST,
    NAME,
    NOW,
    OTHER_DIGEST,
    a_claim,
    a_pin,
    a_record,
    a_request,
    an_image,
    failures,
    image_id,
    live,
    settings,
)

from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.environment import STOPPED_BY_A_PERSON, Claim, UnusableBase
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_ENVIRONMENT,
    TAG_GENERATION,
    TAG_ROLE,
    Image,
    ImageState,
)
from ami_lifecycle.domain.plan import Base, BuildMode
from ami_lifecycle.domain.planning import (
    BaseChoice,
    Live,
    base_of,
    choose_base,
    is_named_for,
    judge_live,
    newest_usable,
    reason_for_nothing,
    work_of_building,
)
from ami_lifecycle.domain.recipe import recipe_tags
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings, RefreshSettings

UBUNTU = an_image(99, name="ubuntu", tags={}, owner_id="099720109477", creation_date=NOW)


def choose(
    own: Image | None = None,
    *,
    older: tuple[Image, ...] = (),
    fresh: bool = False,
    trigger: Trigger = Trigger.PUSH,
    max_generations: int | None = None,
    max_base_age_days: int | None = None,
) -> BaseChoice:
    refresh = RefreshSettings(max_generations=max_generations, max_base_age_days=max_base_age_days)
    return choose_base(
        a_request(fresh=fresh, trigger=trigger),
        live(own),
        older,
        lambda: UBUNTU,
        settings(refresh=refresh),
        NOW,
    )


# What `latest` says.


def test_an_available_image_of_the_account_is_live() -> None:
    judged = judge_live(image_id(1), an_image(1), ACCOUNT_ID)
    assert (judged.image, judged.problem, judged.digest) == (an_image(1), None, DIGEST)


@pytest.mark.parametrize(
    ("value", "image", "words"),
    [
        (None, None, "does not exist yet"),
        ("garbage", None, "says 'garbage', which is no id of an image"),
        (image_id(1), None, "does not exist any more"),
        (image_id(1), an_image(1, owner_id="999999999999"), "account 999999999999 owns"),
        *[
            (image_id(1), an_image(1, state=state), f"whose state is {state.value}")
            for state in ImageState
            if state is not ImageState.AVAILABLE
        ],
    ],
)
def test_what_cannot_be_launched_is_not_live_and_says_why(
    value: str | None, image: Image | None, words: str
) -> None:
    judged = judge_live(value, image, ACCOUNT_ID)
    assert judged.image is None
    assert judged.digest is None
    assert judged.problem is not None
    assert words in judged.problem


# Whether a build is needed.


def test_a_digest_that_is_published_needs_no_build() -> None:
    reason = reason_for_nothing(a_request(), DIGEST, live(an_image(1)), a_record(), settings())
    assert reason == f"{DIGEST} is published already, in {image_id(1)}"


def test_a_new_digest_needs_a_build() -> None:
    assert reason_for_nothing(a_request(), OTHER_DIGEST, live(an_image(1)), a_record(), settings()) is None


def test_a_digest_in_another_environments_image_needs_a_build() -> None:
    foreign = live(an_image(1, environment="staging"))
    assert reason_for_nothing(a_request(), DIGEST, foreign, a_record(), settings()) is None


@pytest.mark.parametrize(
    ("claim", "needed"),
    [
        (a_claim(digest=DIGEST), False),
        (a_claim(digest=OTHER_DIGEST), True),
        (a_claim(digest=None, action=Action.PUBLISH), True),
        (a_claim(digest=None, action=Action.RETIRE), False),
    ],
    ids=["builds-the-same", "builds-another", "publishes-another", "retires"],
)
def test_a_tag_that_moves_back_during_a_build_is_not_forgotten(claim: Claim, needed: bool) -> None:
    reason = reason_for_nothing(
        a_request(), DIGEST, live(an_image(1)), a_record(claim=claim, fencing=1), settings()
    )
    assert (reason is None) == needed


def test_a_pin_stops_builds_and_says_which_since_when_and_why() -> None:
    reason = reason_for_nothing(
        a_request(), OTHER_DIGEST, live(an_image(1)), a_record(pin=a_pin()), settings()
    )
    assert reason == (
        f"prod is pinned to {image_id(1)} since 2026-01-15 12:00 UTC: bad model; unpin it, or ask with force"
    )


@pytest.mark.parametrize("wish", ["force", "fresh"])
def test_force_and_fresh_overcome_everything(wish: str) -> None:
    record = a_record(pin=a_pin(), failed=failures(1_000_000))
    request = a_request(**{wish: True}, trigger=Trigger.RECONCILE)
    assert reason_for_nothing(request, DIGEST, live(an_image(1)), record, settings()) is None


@pytest.mark.parametrize("attempts", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_a_failed_digest_is_reconciled_only_so_often(attempts: int, count: int) -> None:
    request = a_request(trigger=Trigger.RECONCILE)
    record = a_record(failed=failures(count, OTHER_DIGEST))
    reason = reason_for_nothing(
        request, OTHER_DIGEST, live(an_image(1)), record, settings(reconcile_attempts=attempts)
    )
    assert (reason is None) == (count < attempts)
    assert reason is None or "push a corrected image" in reason


@pytest.mark.parametrize("trigger", [Trigger.PUSH, Trigger.MANUAL, Trigger.QUEUED])
def test_whoever_asks_for_a_failed_digest_gets_another_build(trigger: Trigger) -> None:
    record = a_record(failed=failures(99, OTHER_DIGEST))
    request = a_request(trigger=trigger)
    assert reason_for_nothing(request, OTHER_DIGEST, live(an_image(1)), record, settings()) is None


def test_the_failure_of_another_digest_does_not_count() -> None:
    request = a_request(trigger=Trigger.RECONCILE)
    record = a_record(failed=failures(99, DIGEST))
    assert reason_for_nothing(request, OTHER_DIGEST, live(an_image(1)), record, settings()) is None


# What a build starts from.


def test_the_first_build_starts_from_ubuntu() -> None:
    chosen = choose()
    assert (chosen.mode, chosen.image, chosen.generation, chosen.created) == (
        BuildMode.FRESH,
        UBUNTU,
        1,
        NOW,
    )
    assert "there is no older image" in chosen.reason


def test_an_update_starts_from_the_live_image_and_counts_generations() -> None:
    own = an_image(1, tags={TAG_GENERATION: "4", TAG_BASE_CREATED: "2025-01-01T00:00:00+00:00"})
    chosen = choose(own, older=(an_image(2, creation_date=NOW + timedelta(days=1)),))
    assert (chosen.mode, chosen.image, chosen.generation) == (BuildMode.UPDATE, own, 5)
    assert chosen.created is not None
    assert chosen.created.year == 2025


@pytest.mark.parametrize("text", ["", "four", "-1", "4.5", "²"])
def test_a_generation_that_cannot_be_read_counts_as_the_first(text: str) -> None:
    assert choose(an_image(1, tags={TAG_GENERATION: text})).generation == 2


@pytest.mark.parametrize("text", ["", "yesterday"])
def test_a_base_date_that_cannot_be_read_is_the_images_own(text: str) -> None:
    assert choose(an_image(1, tags={TAG_BASE_CREATED: text})).created == NOW


def test_a_fresh_build_that_is_asked_for_starts_from_ubuntu() -> None:
    assert choose(an_image(1), fresh=True).mode is BuildMode.FRESH


def test_another_architecture_starts_from_ubuntu() -> None:
    chosen = choose(an_image(1, architecture="arm64"))
    assert chosen.mode is BuildMode.FRESH
    assert "arm64" in chosen.reason


@pytest.mark.parametrize(("generation", "mode"), [(1, "update"), (2, "update"), (3, "fresh"), (9, "fresh")])
def test_at_most_so_many_generations_are_built_on_each_other(generation: int, mode: str) -> None:
    own = an_image(1, tags={TAG_GENERATION: str(generation)})
    chosen = choose(own, max_generations=3)
    assert chosen.mode.value == mode
    assert chosen.generation == (generation + 1 if mode == "update" else 1)


@pytest.mark.parametrize(("days", "mode"), [(29, "update"), (30, "update"), (31, "fresh")])
def test_a_base_is_used_for_so_many_days(days: int, mode: str) -> None:
    own = an_image(1, tags={TAG_BASE_CREATED: (NOW - timedelta(days=days)).isoformat()})
    assert choose(own, max_base_age_days=30).mode.value == mode


def test_a_base_date_without_a_time_zone_is_compared_all_the_same() -> None:
    own = an_image(1, tags={TAG_BASE_CREATED: "2020-01-01T00:00:00"})
    assert choose(own, max_base_age_days=30).mode is BuildMode.FRESH


def test_without_latest_the_newest_older_image_is_the_base() -> None:
    images = tuple(
        an_image(number, name=f"{NAME}-2024-0{number}", tags={}, creation_date=NOW - timedelta(days=number))
        for number in (3, 1, 2)
    )
    chosen = choose(older=images)
    assert (chosen.mode, chosen.image.image_id) == (BuildMode.UPDATE, image_id(1))
    assert "newest older image" in chosen.reason


@pytest.mark.parametrize(
    "image",
    [
        an_image(1, state=ImageState.PENDING),
        an_image(1, state=ImageState.DISABLED),
        an_image(1, creation_date=None),
        an_image(1, tags={TAG_ROLE: "candidate"}),
        an_image(1, name=f"{NAME}.candidate.abc", tags={}),
        an_image(1, environment="prod-eu", name=f"{NAME}-eu"),
        an_image(1, tags={TAG_APPLICATION: "other", TAG_ENVIRONMENT: "prod"}),
    ],
    ids=["pending", "disabled", "undated", "candidate", "candidate-by-name", "environment", "application"],
)
def test_an_image_that_is_not_known_to_be_good_is_no_base(image: Image) -> None:
    assert newest_usable([image], settings()) is None


@given(st.permutations([an_image(number, creation_date=NOW) for number in range(1, 6)]))
def test_of_images_of_one_date_the_choice_does_not_depend_on_their_order(images: list[Image]) -> None:
    assert newest_usable(images, settings()) == an_image(5)


def test_all_disks_of_the_base_but_its_root_are_thrown_away_with_the_builder() -> None:
    image = an_image(1, snapshot_ids=("snap-1", "snap-2", "snap-3"), root_device_name="/dev/sda1")
    base = base_of(BaseChoice(BuildMode.UPDATE, image, 2, None, ""))
    assert [device.device_name for device in base.volatile_devices] == ["/dev/sdb1", "/dev/sdc1"]
    assert base.root_volume_gib == 40


# The setting `base`.


@pytest.mark.parametrize(
    ("tag", "base", "reason"),
    [
        (None, "ubuntu-22.04", None),
        ("ubuntu-22.04", "ubuntu-22.04", None),
        (None, "ubuntu-24.04", "was built from ubuntu-22.04, and base is ubuntu-24.04"),
        ("ubuntu-24.04", "ubuntu-22.04", "was built from ubuntu-24.04, and base is ubuntu-22.04"),
    ],
)
def test_another_base_makes_the_next_build_fresh(tag: str | None, base: str, reason: str | None) -> None:
    own = an_image(1, tags={**an_image(1).tags, **({TAG_BASE: tag} if tag else {})})
    wanted = settings(base=BaseSettings(preset=base))
    choice = choose_base(a_request(), live(own), (), lambda: UBUNTU, wanted, NOW)
    if reason is None:
        assert (choice.mode, choice.image, choice.setting) == (BuildMode.UPDATE, own, tag)
        return
    assert (choice.mode, choice.image) == (BuildMode.FRESH, UBUNTU)
    assert choice.reason == f"fresh from {UBUNTU.image_id}: {own.image_id} {reason}"
    assert (choice.setting, choice.original_id) == (base, UBUNTU.image_id)


def test_an_update_passes_on_what_is_below_all_images() -> None:
    tags = {**an_image(1).tags, TAG_BASE: "ubuntu-22.04", TAG_BASE_IMAGE: image_id(7)}
    base = base_of(choose(an_image(1, tags=tags)))
    assert (base.image_id, base.setting, base.original_id) == (image_id(1), "ubuntu-22.04", image_id(7))


# The words of it, which stand in the execution, in `latest`'s metadata and in what `status` says.


@pytest.mark.parametrize(
    ("value", "image", "problem"),
    [
        (None, None, "`latest` does not exist yet"),
        ("garbage", None, "`latest` says 'garbage', which is no id of an image"),
        (image_id(1), None, f"`latest` names {image_id(1)}, which does not exist any more"),
        (
            image_id(1),
            an_image(1, owner_id="999999999999"),
            f"`latest` names {image_id(1)}, which account 999999999999 owns",
        ),
        (
            image_id(1),
            an_image(1, state=ImageState.PENDING),
            f"`latest` names {image_id(1)}, whose state is pending",
        ),
    ],
)
def test_what_is_not_live_keeps_the_value_of_latest_and_says_why(
    value: str | None, image: Image | None, problem: str
) -> None:
    assert judge_live(value, image, ACCOUNT_ID) == Live(value=value, problem=problem)


def test_a_long_value_of_latest_is_cut() -> None:
    assert len(judge_live("x" * 4_096, None, ACCOUNT_ID).problem or "") < 150


def test_an_image_of_whom_ec2_names_no_owner_is_live() -> None:
    assert judge_live(image_id(1), an_image(1, owner_id=""), ACCOUNT_ID) == live(an_image(1, owner_id=""))


def test_a_pin_without_a_reason_is_told_without_one() -> None:
    record = a_record(pin=a_pin(reason=""))
    reason = reason_for_nothing(a_request(), OTHER_DIGEST, live(an_image(1)), record, settings())
    assert reason == (
        f"prod is pinned to {image_id(1)} since 2026-01-15 12:00 UTC; unpin it, or ask with force"
    )


@pytest.mark.parametrize(
    ("count", "why"),
    [(3, "its build has failed 3 times"), (STOPPED_BY_A_PERSON, "its build was stopped by a person")],
)
def test_a_digest_that_is_given_up_says_why_and_what_helps(count: int, why: str) -> None:
    record = a_record(failed=failures(count, OTHER_DIGEST))
    request = a_request(trigger=Trigger.RECONCILE)
    reason = reason_for_nothing(request, OTHER_DIGEST, live(an_image(1)), record, settings())
    assert reason == f"{why}; push a corrected image, or start a build by hand"


OLDER = (an_image(3, name=f"{NAME}-2024"),)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (lambda: choose(an_image(1), fresh=True), f"fresh from {image_id(99)}: a fresh build was asked for"),
        (
            lambda: choose(an_image(1), fresh=True, trigger=Trigger.SCHEDULE),
            f"fresh from {image_id(99)}: a rebuild was due",
        ),
        (
            choose,
            f"fresh from {image_id(99)}: `latest` does not exist yet, and there is no older image",
        ),
        (lambda: choose(an_image(1)), f"update from {image_id(1)}: the environment's own image"),
        (
            lambda: choose(older=OLDER),
            f"update from {image_id(3)}: `latest` does not exist yet; this is the newest older image",
        ),
        (
            lambda: choose(an_image(1, tags={TAG_GENERATION: "3"}), max_generations=3),
            f"fresh from {image_id(99)}: {image_id(1)} is generation 3, and max_generations is 3",
        ),
        (
            lambda: choose(
                an_image(1, tags={TAG_BASE_CREATED: "2025-11-02T00:00:00Z"}), max_base_age_days=30
            ),
            f"fresh from {image_id(99)}: the base of {image_id(1)} is of 2025-11-02, and max_base_age_days is 30",
        ),
        (
            lambda: choose(an_image(1, architecture="arm64")),
            f"fresh from {image_id(99)}: {image_id(1)} is arm64, the settings want another architecture",
        ),
    ],
)
def test_the_choice_of_the_base_says_why(chosen: Callable[[], BaseChoice], reason: str) -> None:
    assert chosen().reason == reason


@pytest.mark.parametrize(("number", "mode"), [(1, BuildMode.FRESH), (2, BuildMode.UPDATE)])
def test_an_image_from_which_no_build_could_start_is_no_base_again(number: int, mode: BuildMode) -> None:
    unusable = UnusableBase(image_id=image_id(1), reason="its SSM agent is too old", is_certain=True)
    chosen = choose_base(
        a_request(), live(an_image(number)), (), lambda: UBUNTU, settings(), NOW, unusable=unusable
    )
    assert chosen.mode is mode
    if mode is BuildMode.FRESH:
        assert chosen.reason.endswith(f"no build can start from {image_id(1)}: its SSM agent is too old")


def test_a_base_date_keeps_its_time_zone() -> None:
    tags = {TAG_BASE_CREATED: "2025-12-16T13:30:00+02:00"}
    assert choose(an_image(1, tags=tags)).created == datetime(2025, 12, 16, 11, 30, tzinfo=UTC)


def test_a_base_carries_the_date_of_the_first_of_its_kind() -> None:
    created = NOW - timedelta(days=9)
    choice = BaseChoice(BuildMode.UPDATE, an_image(1, root_device_name="/dev/sda1"), 2, created, "")
    assert base_of(choice) == Base(
        image_id=image_id(1), root_device_name="/dev/sda1", root_volume_gib=40, created=created
    )


@pytest.mark.parametrize(
    ("name", "is_named"),
    [
        (NAME, True),
        (f"{NAME}-2024", True),
        (f"{NAME}2", True),
        (f"{NAME}1x", True),
        (f"{NAME}uction", False),
        (f"{NAME}x-2", False),
        (f"{NAME}.candidate.x", True),
        ("another", False),
    ],
)
def test_a_name_may_go_on_with_a_date_but_not_with_a_letter(name: str, is_named: bool) -> None:
    assert is_named_for(an_image(1, name=name), NAME) is is_named


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.booleans())))
def test_what_becomes_of_one_digest_changes_nothing_for_the_others(steps: list[tuple[str, bool]]) -> None:
    record, counts = a_record(), dict[str, int]()
    for name, is_published in steps:
        digest = "sha256:" + name * 64
        before = record.failure_of(digest, None)
        if is_published:
            found = record.without_failure_of(digest)
            counts.pop(digest, None)
        else:
            found = record.with_failure(failures((before.count if before else 0) + 1, digest))
            counts[digest] = counts.pop(digest, 0) + 1
        record = a_record(failed=next(iter(found), None), failed_before=found[1:])
        # The oldest are forgotten, so that the record stays small.
        counts = dict(list(counts.items())[-8:])
        assert {each.digest: each.count for each in record.failures} == counts


# Hooks.

_HOOK = {"script": "config/hooks/a.sh"}
_SCRIPTS = {"config/hooks/a.sh": "#!/bin/bash\n"}


def hooked(*stages: str) -> EnvironmentSettings:
    return settings(hooks={stage: [_HOOK] for stage in stages}, hook_scripts=_SCRIPTS)


def made_with(number: int, wanted: EnvironmentSettings) -> Image:
    image = an_image(number)
    return image.model_copy(update={"tags": {**image.tags, **recipe_tags(wanted.recipe)}})


@pytest.mark.parametrize("before", [(), ("verify",), ("provision",), ("provision", "verify")])
@pytest.mark.parametrize("now", [(), ("verify",), ("provision",), ("provision", "verify")])
def test_other_hooks_are_a_reason_to_build_and_the_same_are_none(
    before: tuple[str, ...], now: tuple[str, ...]
) -> None:
    image = made_with(1, hooked(*before))
    reason = reason_for_nothing(a_request(), DIGEST, live(image), a_record(), hooked(*now))
    assert (reason is None) == (before != now)


@pytest.mark.parametrize(
    ("before", "now", "mode"),
    [
        (("verify",), ("verify",), BuildMode.UPDATE),
        ((), ("verify",), BuildMode.UPDATE),
        ((), ("provision",), BuildMode.FRESH),
        (("provision",), (), BuildMode.FRESH),
        (("provision",), ("provision_after",), BuildMode.FRESH),
        (("provision",), ("provision", "verify"), BuildMode.UPDATE),
    ],
)
def test_a_disk_that_other_hooks_have_changed_is_no_base(
    before: tuple[str, ...], now: tuple[str, ...], mode: BuildMode
) -> None:
    image = made_with(1, hooked(*before))
    choice = choose_base(a_request(), live(image), [], lambda: an_image(9), hooked(*now), NOW)
    assert choice.mode is mode
    assert ("other provision hooks" in choice.reason) == (mode is BuildMode.FRESH)


def test_a_digest_that_was_given_up_is_built_with_other_hooks() -> None:
    request = a_request(trigger=Trigger.RECONCILE)
    record = a_record(failed=failures(9, OTHER_DIGEST))
    assert reason_for_nothing(request, OTHER_DIGEST, live(an_image(1)), record, settings()) is not None
    assert reason_for_nothing(request, OTHER_DIGEST, live(an_image(1)), record, hooked("verify")) is None


def test_a_build_with_other_hooks_is_other_work() -> None:
    plain = settings()
    assert work_of_building(DIGEST, plain) == f"build {DIGEST}"
    hooks = {"verify": [{"script": "config/hooks/a.sh"}]}
    hooked = settings(hooks=hooks, hook_scripts={"config/hooks/a.sh": "#!/bin/sh\n"})
    assert hooked.recipe is not None
    assert work_of_building(DIGEST, hooked) == f"build {DIGEST} {hooked.recipe}"
