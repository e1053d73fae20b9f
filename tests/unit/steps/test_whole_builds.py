"""Whole executions: what an environment looks like after each, with the promises held at every call."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.steps.account import UBUNTU, Account, an_image, catalogue
from tests.unit.steps.execution import Execution, converge, run, run_started
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.environment import Claim
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_ENVIRONMENT, TAG_EXECUTION, ImageState, UsageKind
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.ports import AllowedImages
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.retire_images import RetirementReview

CANONICAL = "comfyui-multitenant-prod"


@pytest.fixture
def account() -> Account:
    return Account()


def test_the_first_build_starts_from_ubuntu_and_ends_under_the_canonical_name(account: Account) -> None:
    promises = Promises(account.world)
    digest = account.push("one")
    ended = run(account)
    assert ended.outcome == "published"
    assert account.live.name == CANONICAL
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.metadata.base_ami_id == UBUNTU
    assert account.metadata.build_mode == "fresh"
    assert account.metadata.workflow_run_number == "1"
    assert (account.metadata.branch, account.metadata.commit_sha) == ("main", "abc123")
    assert [image.image_id for image in account.own_images()] == [account.latest]
    assert promises.at_rest() == []


def test_an_update_starts_from_the_live_image_and_takes_its_place(account: Account) -> None:
    account.push("one")
    run(account, "e1")
    first = account.live
    digest = account.push("two")
    promises = Promises(account.world)
    ended = run(account, "e2")
    assert ended.result is not None
    assert ended.result.replaced == first.image_id
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.live.name == CANONICAL
    assert account.metadata.build_mode == "update"
    assert account.metadata.base_ami_id == first.image_id
    assert account.metadata.generation == 2
    assert account.metadata.workflow_run_number == "2"
    assert account.metadata.replaces == first.image_id
    assert [image.image_id for image in account.own_images()] == [account.latest]
    history = account.history(first.image_id)
    assert history is not None
    assert history.status is RecordStatus.RETIRED
    assert promises.at_rest() == []


def test_a_duplicate_push_does_nothing_and_says_why(account: Account) -> None:
    digest = account.push("one")
    run(account, "e1")
    before = dict(account.world.parameters.all)
    ended = run(account, "e2")
    assert ended.outcome == "nothing"
    assert digest in ended.reason
    assert account.world.parameters.all == before
    assert len(account.world.instances.all) == 2


def test_an_image_in_use_stays_until_it_is_free_and_then_the_name_is_adopted(account: Account) -> None:
    account.push("one")
    run(account, "e1")
    old = account.live
    account.world.usage.use(old.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    account.push("two")
    promises = Promises(account.world)
    ended = run(account, "e2")
    assert ended.result is not None
    assert [(found.image_id, found.action.value) for found in ended.result.decisions] == [
        (old.image_id, "keep")
    ]
    assert "lt-1" in ended.result.decisions[0].reason
    assert account.live.name.startswith(f"{CANONICAL}.candidate.")
    account.world.usage.free(old.image_id)
    run(account, "e3", action=Action.RETIRE)
    assert account.live.name == CANONICAL
    assert account.metadata.workflow_run_number == "2", "adopting a name publishes no new build"
    assert account.metadata.replaces == old.image_id
    assert account.metadata.verified_at is not None
    assert [image.image_id for image in account.own_images()] == [account.latest]
    assert promises.at_rest() == []


def test_use_that_cannot_be_read_keeps_every_image(account: Account) -> None:
    account.push("one")
    run(account, "e1")
    old = account.live
    account.world.usage.unreadable = "ec2:DescribeImageReferences could not be read"
    account.push("two")
    promises = Promises(account.world)
    assert run(account, "e2").outcome == "published"
    assert old.image_id in account.world.images.all
    assert promises.broken == []


def two_images_kept() -> tuple[Account, str]:
    """An environment with two published images; returns the older one's id."""
    account = Account({"retirement": {"keep_previous": 1}})
    account.push("one")
    run(account, "e1")
    assert account.latest is not None
    old = account.latest
    account.push("two")
    run(account, "e2")
    assert account.latest != old
    return account, old


def test_a_rollback_publishes_the_kept_image_and_its_pin_holds_against_pushes_and_sweeps() -> None:
    account, old = two_images_kept()
    promises = Promises(account.world)
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=old, pin=True, reason="bad model")
    assert ended.outcome == "published"
    assert account.latest == old
    assert account.metadata.ami_id == old
    assert account.metadata.reason == "bad model"
    assert account.metadata.workflow_run_number == "3"
    assert "pinned" in run(account, "e3").reason
    converge(account, rounds=2)
    assert account.latest == old
    account.world.environments.set_pin("prod", None)
    converge(account, rounds=2)
    assert account.live.tags[TAG_DIGEST] == account.world.repository.tags["comfyui"]["prod-latest"]
    assert promises.broken == []


def history(account: Account) -> dict[str, HistoryRecord]:
    names = account.catalogue.get("prod").parameter_names
    found = PublishedRecords(account.world.parameters, names).read_history()
    return {image_id: record for image_id, record in found.items() if record is not None}


def test_after_a_rollback_and_a_fix_the_good_image_is_kept_and_not_the_bad_one() -> None:
    account, good = two_images_kept()
    bad = account.latest
    run(account, "back", action=Action.PUBLISH, trigger=Trigger.ROLLBACK, publish_image_id=good, pin=True)
    records = history(account)
    assert {image_id for image_id, record in records.items() if record.rolled_back} == {bad}
    account.world.environments.set_pin("prod", None)
    account.push("three")
    run(account, "e3")
    converge(account, rounds=2)
    assert {image.image_id for image in account.own_images()} == {good, account.latest}
    retired = history(account)[bad or ""]
    assert (retired.status, retired.rolled_back) == (RecordStatus.RETIRED, True)


def test_a_rollback_that_builds_leaves_the_image_before_and_not_its_own_candidate(account: Account) -> None:
    first = account.push("one")
    run(account, "e1")
    account.push("two")
    run(account, "e2")
    bad = account.latest
    ended = run(account, "back", trigger=Trigger.ROLLBACK, image_digest=first, force=True, pin=True)
    assert ended.outcome == "published"
    records = history(account)
    assert {image_id for image_id, record in records.items() if record.rolled_back} == {bad}


def test_the_candidate_of_a_running_build_is_no_previous_image_and_goes_not() -> None:
    account, _ = two_images_kept()
    account.push("three")
    running = Execution(account, "e3")
    candidate = an_image(
        7, tags={**account.live.tags, TAG_EXECUTION: running.arn}, name=f"{CANONICAL}.candidate.1"
    )
    account.world.images.add(candidate)
    now = account.world.clock.now()
    claim = Claim(
        execution_arn=running.arn,
        number=account.world.environments.get("prod").fencing + 1,
        action=Action.BUILD,
        claimed_at=now,
        lease_until=now + timedelta(hours=30),
    )
    assert account.world.environments.claim("prod", claim)
    world = account.world
    review = RetirementReview(
        account.catalogue.get("prod"),
        world.instances,
        world.images,
        world.usage,
        world.parameters,
        world.environments,
        world.clock,
    )
    decisions = {each.image_id: each for each in review.decide(account.live)}
    assert "still runs" in decisions.pop(candidate.image_id).reason
    assert ["previous image 1 of 1" in each.reason for each in decisions.values()] == [True]


def test_an_image_without_a_readable_record_is_not_rolled_back_to() -> None:
    account, old = two_images_kept()
    account.world.parameters.set(f"{account.prefix}/history/{old}", "{")
    live = account.latest
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=old)
    assert (ended.outcome, ended.error) == ("failed", "RecordNotFoundError")
    assert account.latest == live


def test_an_image_that_was_never_verified_is_not_rolled_back_to() -> None:
    account, old = two_images_kept()
    account.record(account.world.images.all[old], status=RecordStatus.SUPERSEDED, verified=False)
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=old)
    assert ended.error == "ImageNotVerifiedError"


@pytest.mark.parametrize("environment", ["dev", None])
def test_an_image_of_another_environment_or_of_nobody_is_not_published(
    account: Account, environment: str | None
) -> None:
    account.publish(an_image(1, digest=account.push("one")))
    other = account.world.images.add(an_image(2, environment=environment, name="other"))
    account.record(other)
    promises = Promises(account.world)
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=other.image_id)
    assert ended.error == "ForeignResourceError"
    assert account.latest == an_image(1).image_id
    assert promises.broken == []


def test_an_image_that_is_gone_cannot_be_rolled_back_to(account: Account) -> None:
    account.publish(an_image(1, digest=account.push("one")))
    ended = run(account, "back", action=Action.PUBLISH, publish_image_id=an_image(9).image_id)
    assert ended.error == "RecordNotFoundError"
    assert "build its digest instead" in ended.reason


def test_without_verification_no_canary_runs_and_the_record_says_so() -> None:
    account = Account({"verification": {"enabled": False}})
    account.push("one")
    promises = Promises(account.world, unverified={"prod"})
    assert run(account).outcome == "published"
    assert len(account.world.instances.all) == 1
    assert account.metadata.verified_at is None
    assert "verification is switched off" in account.metadata.reason
    assert promises.broken == []


def test_a_canary_that_refuses_the_image_leaves_the_old_one_and_nothing_else(account: Account) -> None:
    account.push("one")
    run(account, "e1")
    old, metadata = account.live, account.metadata
    account.push("two")
    account.verification_fails = True
    promises = Promises(account.world)
    ended = run(account, "e2")
    assert (ended.outcome, ended.error) == ("failed", "VerificationFailedError")
    assert "no container runs" in ended.reason
    assert account.live == old
    assert account.metadata == metadata
    assert promises.leaks() == []
    assert promises.broken == []


def test_unique_names_skip_the_adoption() -> None:
    account = Account({"publication": {"image_naming": "unique", "grace_period_seconds": 0}})
    for number, content in enumerate(("one", "two")):
        account.push(content)
        execution = Execution(account, f"e{number}")
        assert execution.run({"environment": "prod"}).outcome == "published"
        assert "Adopt Image Name" not in execution.visited
    assert account.live.name.startswith(f"{CANONICAL}.candidate.")
    assert [image.image_id for image in account.own_images()] == [account.latest]


def test_two_previous_images_are_kept_and_the_third_goes() -> None:
    account = Account({"retirement": {"keep_previous": 2}})
    promises = Promises(account.world)
    digests = []
    for number, content in enumerate(("one", "two", "three", "four")):
        digests.append(account.push(content))
        assert run(account, f"e{number}").outcome == "published"
    kept = sorted(account.own_images(), key=lambda image: image.image_id)
    assert {image.tags[TAG_DIGEST] for image in kept} == set(digests[1:])
    assert account.live.tags[TAG_DIGEST] == digests[-1]
    assert promises.at_rest() == []


def test_migration_starts_from_the_newest_untagged_image_and_leaves_all_of_them_alone(
    account: Account,
) -> None:
    for number in (1, 3, 2):
        account.world.images.add(
            an_image(
                number, name=f"{CANONICAL}-2024-0{number}", environment=None, snapshot_ids=(f"snap-{number}",)
            )
        )
    account.push("one")
    promises = Promises(account.world)
    assert run(account).outcome == "published"
    assert account.metadata.base_ami_id == an_image(3).image_id
    assert account.metadata.build_mode == "update"
    assert account.live.name == CANONICAL
    assert promises.broken == []


def test_migration_leaves_out_the_images_of_an_environment_with_a_longer_name(account: Account) -> None:
    account.catalogue = catalogue(environments={"prod": {}, "prod-eu": {}})
    account.world.images.add(an_image(1, name=f"{CANONICAL}-2024-01", environment=None))
    account.world.images.add(an_image(2, name=f"{CANONICAL}-eu-2024-02", environment=None))
    account.push("one")
    assert run(account).outcome == "published"
    assert account.metadata.base_ami_id == an_image(1).image_id


def test_migration_goes_on_where_latest_names_an_untagged_image(account: Account) -> None:
    old = an_image(1, name=f"{CANONICAL}-2024", environment=None)
    account.publish(old)
    account.push("one")
    promises = Promises(account.world)
    assert run(account).outcome == "published"
    assert account.metadata.base_ami_id == old.image_id
    assert account.metadata.replaces == old.image_id
    assert account.world.images.all[old.image_id] == old
    history = account.history(old.image_id)
    assert history is not None
    assert history.status is RecordStatus.SUPERSEDED
    assert promises.broken == []


def test_an_untagged_image_that_holds_the_canonical_name_keeps_it(account: Account) -> None:
    holder = account.world.images.add(
        an_image(1, name=CANONICAL, environment=None, state=ImageState.DISABLED)
    )
    account.push("one")
    promises = Promises(account.world)
    ended = run(account)
    assert ended.outcome == "published"
    assert account.live.name.startswith(f"{CANONICAL}.candidate.")
    assert account.world.images.all[holder.image_id] == holder
    assert promises.broken == []


def test_a_text_that_is_no_image_in_latest_is_replaced_and_not_named_as_replaced(account: Account) -> None:
    account.world.parameters.set(f"{account.prefix}/latest", "ami-placeholder")
    account.push("one")
    ended = run(account)
    assert ended.outcome == "published"
    assert ended.result is not None
    assert ended.result.replaced is None


def test_the_tag_that_moves_back_during_a_build_wins_in_the_end(account: Account) -> None:
    first = account.push("one")
    run(account, "e1")
    account.push("two")
    execution = Execution(account, "e2")
    others: list[str] = []

    class MovesBack:
        def before(self, port: object, call: object) -> None:
            if "Create Image" in execution.visited and not others:
                account.push("one")
                others.append("started")
                others.append(run(account, "e3").outcome)

        def after(self, port: object, call: object) -> None:
            """Nothing."""

    account.world.watch(MovesBack())
    assert execution.run({"environment": "prod"}).outcome == "published"
    assert others == ["started", "queued"]
    run_started(account)
    assert account.live.tags[TAG_DIGEST] == first


def test_pushes_during_a_build_end_in_one_more_build_of_the_newest(account: Account) -> None:
    account.push("one")
    execution = Execution(account, "e1")
    seen: list[str] = []

    class Pushes:
        def before(self, port: object, call: object) -> None:
            if "Create Image" in execution.visited and not seen:
                seen.append("begun")
                for number in range(3):
                    account.push(f"later-{number}")
                    seen.append(run(account, f"push-{number}").outcome)

        def after(self, port: object, call: object) -> None:
            """Nothing."""

    account.world.watch(Pushes())
    execution.run({"environment": "prod"})
    assert seen[1:] == ["queued", "queued", "queued"]
    ended = run_started(account)
    assert [found.outcome for found in ended] == ["published"]
    assert account.live.tags[TAG_DIGEST] == account.world.repository.tags["comfyui"]["prod-latest"]
    assert account.metadata.workflow_run_number == "2"


def test_environments_are_built_beside_each_other(account: Account) -> None:
    account.push("one")
    account.push("one", "dev")
    dev = Account(world=account.world, environment="dev")
    run(account, "e1")
    run(dev, "e2")
    assert account.live.tags[TAG_ENVIRONMENT] == "prod"
    assert dev.live.tags[TAG_ENVIRONMENT] == "dev"
    assert dev.live.name == "comfyui-multitenant-dev"


def a_way(action: str) -> tuple[Account, dict[str, object]]:
    """An account, and a request that takes the longest way of its action."""
    request: dict[str, object] = {"environment": "prod", "action": action}
    if action == "publish":
        account, old = two_images_kept()
        return account, request | {"publish_image_id": old}
    account = Account()
    account.push("one")
    if action == "retire":
        old_image = account.publish(an_image(1))
        account.world.usage.use(old_image.image_id, UsageKind.LAUNCH_TEMPLATE, "lt-1")
        run(account)
        account.world.usage.free(old_image.image_id)
    return account, request


@pytest.mark.parametrize(
    ("action", "longest"),
    [
        ("build", {"Launch Builder", "Launch Canary", "Adopt Image Name", "Retire Candidate"}),
        ("publish", {"Publish Image", "Grace Period", "Retire Previous Images"}),
        ("retire", {"Retire Previous Images", "Adopt Image Name", "Retire Candidate"}),
    ],
)
def test_each_action_has_a_way_of_its_own_and_all_end_in_a_publication(
    action: str, longest: set[str]
) -> None:
    account, request = a_way(action)
    execution = Execution(account, "way")
    assert execution.run(request).outcome == "published"
    assert longest <= set(execution.visited)
    assert execution.visited[-2:] == ["Release Environment", "Published"]
    assert ("Launch Builder" in execution.visited) == (action == "build")
    assert ("Publish Image" in execution.visited) == (action != "retire")


# An account that restricts its AMIs.


def test_an_account_that_does_not_allow_ubuntu_is_told_so_before_anything_is_launched() -> None:
    account = Account()
    account.world.images.allowed = AllowedImages(restricts=True)
    account.push("one")
    ended = run(account)
    assert ended.error == "ImageNotAllowedError"
    for words in ("Allowed AMIs", UBUNTU, "099720109477", "replace-image-criteria"):
        assert words in ended.reason
    assert account.world.instances.all == {}


def test_a_declarative_policy_is_named_as_the_place_to_allow_ubuntu() -> None:
    account = Account()
    account.world.images.allowed = AllowedImages(restricts=True, is_policy=True)
    account.push("one")
    assert "declarative policy" in run(account).reason


def test_an_update_needs_no_ubuntu_image(account: Account) -> None:
    account.push("one")
    assert run(account).outcome == "published"
    account.world.images.allowed = AllowedImages(restricts=True)
    account.push("two")
    assert run(account, name="e2").outcome == "published"
    account.push("three")
    assert run(account, name="e3", fresh=True).error == "ImageNotAllowedError"


def test_a_region_without_ubuntu_is_told_from_an_image_that_is_hidden() -> None:
    account = Account()
    account.world.parameters.all.clear()
    account.push("one")
    ended = run(account)
    assert (ended.error, "choose a Region" in ended.reason) == ("SettingsError", True)
