"""A plan, field by field, and the words for what cannot be planned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.repository import REGISTRY
from tests.unit.steps.account import INFRASTRUCTURE, UBUNTU, Account, an_image, arn_of, catalogue, image_id_of
from tests.unit.steps.promoting import promoted
from tests.unit.steps.test_promotions import Both
from tests.unit.steps.test_recipes import hooked

from ami_lifecycle.domain.environment import EnvironmentRecord, FailedAttempts, Pin, UnusableBase
from ami_lifecycle.domain.execution import BuildState, ImageRef
from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.model import TAG_DIGEST, TAG_GENERATION, TAG_RECIPE, ImageState
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.plan import BuildMode, BuildPlan, Promotion, Source
from ami_lifecycle.domain.planning import Live, base_of, choose_base, reason_of_source
from ami_lifecycle.domain.recipe import hooks_part, recipe_tags
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import (
    AmiLifecycleError,
    ForeignResourceError,
    ImageDigestNotFoundError,
    ImageNotVerifiedError,
    ImageTagNotFoundError,
    ParameterUnusableError,
    RecordNotFoundError,
    SettingsError,
)
from ami_lifecycle.steps.plan_build import PlanInput

ARN = arn_of("e1")
OTHER = "sha256:" + "0" * 64


def plan(account: Account, **fields: Any) -> BuildState:
    return account.planner.plan_request(BuildRequest(**{"environment": "prod", **fields}), ARN)


def plan_event(account: Account, **detail: Any) -> BuildState:
    whole = {
        "action-type": "PUSH",
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": OTHER,
        "image-tag": "prod-latest",
    }
    event = {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": whole | detail}
    return account.planner.plan(PlanInput(request=event, execution_arn=ARN, execution_name="e1"))


def refusal(account: Account, kind: type[AmiLifecycleError], **fields: Any) -> str:
    with pytest.raises(AmiLifecycleError) as raised:
        plan(account, **fields)
    assert type(raised.value) is kind
    return str(raised.value)


def two_images(account: Account, **changes: Any) -> str:
    """An older image that history knows, beside the live one; its id."""
    old = account.world.images.add(an_image(7, name="comfyui-multitenant-prod.candidate.7", **changes))
    account.record(old, status=RecordStatus.SUPERSEDED)
    return old.image_id


# Builds.


def test_an_update_says_all_that_the_build_will_use(account: Account) -> None:
    digest = account.push("two")
    account.world.environments.set(EnvironmentRecord(environment="prod", fencing=4))
    state = plan(account, reason="because", trigger=Trigger.MANUAL)
    live = account.live
    choice = choose_base(
        BuildRequest(environment="prod"),
        Live(value=account.latest, image=live),
        [],
        lambda: live,
        account.catalogue.get("prod"),
        account.world.clock.now(),
    )
    assert state == BuildState(
        plan=BuildPlan(
            action=Action.BUILD,
            trigger=Trigger.MANUAL,
            environment="prod",
            reasons=(f"update from {live.image_id}: the environment's own image", "because"),
            run_id=run_id(ARN, digest),
            settings=account.catalogue.get("prod"),
            fencing=4,
            request=BuildRequest(environment="prod", reason="because"),
            source=Source(
                repository_uri=f"{REGISTRY}/comfyui",
                digest=digest,
                tag="prod-latest",
                size_bytes=2 * 1024**3,
            ),
            mode=BuildMode.UPDATE,
            base=base_of(choice),
            generation=2,
        )
    )


def test_a_digest_that_is_asked_for_is_planned_with_the_tag_that_was_named() -> None:
    account = Account()
    digest = account.push("one", "dev")
    account.push("other")
    source = plan(account, image_digest=digest, image_tag="v1").plan.source
    assert source is not None
    assert (source.digest, source.tag) == (digest, "v1")


def test_a_tag_that_is_asked_for_is_looked_up() -> None:
    account = Account()
    account.push("one")
    digest = account.world.repository.push("v7", "seven")
    source = plan(account, image_tag="v7").plan.source
    assert source is not None
    assert (source.digest, source.tag) == (digest, "v7")


def test_what_ecr_does_not_have_is_told_with_what_to_do() -> None:
    account = Account()
    assert refusal(account, ImageDigestNotFoundError, image_digest=OTHER) == (
        f"comfyui has no image {OTHER}; push it again, restore it from ECR's archive, or name another digest"
    )
    assert refusal(account, ImageTagNotFoundError) == (
        "comfyui has no tag 'prod-latest' (any more); push it again, restore it from ECR's archive, or name another tag"
    )


def test_a_first_build_says_why_it_is_fresh() -> None:
    account = Account({"verification": {"enabled": False}})
    account.push("one")
    state = plan(account)
    assert state.plan.reasons == (
        f"fresh from {UBUNTU}: `latest` does not exist yet, and there is no older image",
        "verification is switched off in the settings",
    )
    assert (state.plan.mode, state.plan.generation) == (BuildMode.FRESH, 1)


def test_a_problem_with_latest_is_a_reason_of_its_own(account: Account) -> None:
    account.world.images.hidden.add(account.latest or "")
    account.push("two")
    assert plan(account).plan.reasons[1:] == (
        f"`latest` names {account.latest}, which does not exist any more",
    )


def test_an_image_of_a_longer_name_is_no_older_image_of_the_environment() -> None:
    account = Account()
    account.catalogue = catalogue(environments={"prod": {}, "prod-eu": {}, "dev": {}})
    for number, name in enumerate(("prod", "prod-2024", "prod-eu", "prod-eu-2024", "dev")):
        account.world.images.add(an_image(number, name=f"comfyui-multitenant-{name}", environment=None))
    found = account.planner.older_images(account.catalogue.get("prod"))
    assert [each.name.removeprefix("comfyui-multitenant-") for each in found] == ["prod", "prod-2024"]


def test_older_images_are_looked_for_only_where_latest_names_none(account: Account) -> None:
    account.push("two")
    plan(account)
    assert account.world.images.called("find_by_name") == []


@pytest.mark.parametrize(("gib", "refused"), [(39, True), (40, False), (41, False)])
def test_a_disk_smaller_than_that_of_the_live_image_is_refused_with_both_sizes(
    gib: int, refused: bool
) -> None:
    account = Account({"builder": {"root_volume_gib": gib}})
    account.publish(an_image(1, root_device_name="/dev/sda1"))
    account.push("two")
    if refused:
        assert refusal(account, SettingsError) == (
            f"builder.root_volume_gib is 39, but {account.latest} has a root volume of 40 GiB; raise it, or ask for a "
            "fresh build"
        )
    else:
        assert plan(account).plan.mode is BuildMode.UPDATE
        assert plan(account, fresh=True).plan.mode is BuildMode.FRESH


def test_all_problems_are_told_at_once(account: Account) -> None:
    account.push("two")
    account.world.parameters.set(f"{account.prefix}/metadata", "x", kind="SecureString")
    account.world.parameters.set(f"{account.prefix}/history/{account.latest}", "x", kind="StringList")
    words = refusal(account, ParameterUnusableError)
    first, second = words.split("; also: ")
    assert first.startswith(f"{account.prefix}/metadata is a SecureString")
    assert second.startswith(f"{account.prefix}/history/{account.latest} is a StringList")


# Nothing to do.


def test_a_digest_that_is_live_is_not_built_again(account: Account) -> None:
    digest = account.push("one")
    assert plan(account, trigger=Trigger.PUSH) == BuildState(
        plan=BuildPlan(
            action=Action.NONE,
            trigger=Trigger.PUSH,
            environment="prod",
            reasons=(f"{digest} is published already, in {account.latest}",),
        )
    )


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ({"action-type": "DELETE"}, "the event is not a successful push"),
        ({"image-tag": ""}, f"{OTHER} was pushed without a tag, and no environment's tag names it"),
        ({"image-tag": "v1"}, "no environment is built from comfyui:v1"),
    ],
)
def test_a_push_that_concerns_nobody_is_told_why(detail: dict[str, Any], reason: str) -> None:
    account = Account()
    account.push("one")
    assert plan_event(account, **detail) == BuildState(
        plan=BuildPlan(action=Action.NONE, trigger=Trigger.PUSH, environment="", reasons=(reason,))
    )


def test_a_push_is_planned_as_one() -> None:
    account = Account()
    digest = account.push("one", "dev")
    for event in (
        plan_event(account, **{"image-digest": digest, "image-tag": "dev-latest"}),
        plan_event(account, **{"image-digest": digest, "image-tag": ""}),
    ):
        assert (event.plan.environment, event.plan.trigger, event.plan.image.digest) == (
            "dev",
            "push",
            digest,
        )
        assert event.plan.request == BuildRequest(environment="dev", trigger=Trigger.PUSH)


def test_a_push_without_a_tag_to_another_repository_concerns_nobody() -> None:
    account = Account()
    digest = account.push("one")
    state = plan_event(account, **{"repository-name": "other", "image-digest": digest, "image-tag": ""})
    assert state.plan.action is Action.NONE


def test_a_pinned_environment_says_why_nothing_is_built(account: Account) -> None:
    account.push("two")
    pin = Pin(image_id=account.latest or "", at=account.world.clock.now(), reason="it is good")
    account.world.environments.set(EnvironmentRecord(environment="prod", pin=pin))
    state = plan(account)
    assert (state.plan.action, state.plan.environment) == (Action.NONE, "prod")
    assert state.plan.reasons == (
        f"prod is pinned to {account.latest} since 2026-01-15 12:00 UTC: it is good; unpin it, or ask with force",
    )


# Scheduled rebuilds.


def scheduled(account: Account, **fields: Any) -> BuildPlan:
    digest = account.live.tags[TAG_DIGEST]
    return plan(account, trigger=Trigger.SCHEDULE, fresh=True, **{"image_digest": digest, **fields}).plan


def live_since(days: float, **refresh: Any) -> Account:
    account = Account({"refresh": refresh})
    created = account.world.clock.now() - timedelta(days=days)
    account.publish(an_image(1, created=created, digest=account.push("one")))
    return account


@pytest.mark.parametrize(("days", "action"), [(29, Action.NONE), (31, Action.BUILD)])
def test_a_rebuild_is_judged_again_by_its_age(days: float, action: Action) -> None:
    account = live_since(days, rebuild_after_days=30)
    found = scheduled(account)
    assert found.action is action
    if action is Action.NONE:
        assert found.reasons == (f"no rebuild of {account.latest} is due",)


@pytest.mark.parametrize("follows", [True, False])
def test_a_rebuild_is_judged_again_by_its_base_where_that_is_followed(follows: bool) -> None:
    account = live_since(31, **({"follow_base": True} if follows else {"rebuild_after_days": 99}))
    newer = account.world.images.all[UBUNTU].model_copy(update={"creation_date": account.world.clock.now()})
    account.world.images.add(newer)
    assert scheduled(account).action is (Action.BUILD if follows else Action.NONE)
    asked = [call for call in account.world.images.called("get") if call.args == (UBUNTU,)]
    assert len(asked) == follows


def test_a_rebuild_is_none_of_what_is_not_live_is_pinned_or_given_up() -> None:
    account = live_since(31, rebuild_after_days=30)
    digest = account.live.tags[TAG_DIGEST]
    account.world.repository.digests["comfyui"].add(OTHER)
    assert scheduled(account, image_digest=OTHER).reasons == (
        f"{OTHER} is not what is live, so there is nothing to rebuild",
    )
    environments = account.world.environments
    environments.record_failures("prod", [FailedAttempts(digest=digest, count=3)])
    assert scheduled(account).reasons == (
        "its build has failed 3 times; push a corrected image, or start a build by hand",
    )
    environments.set_pin("prod", Pin(image_id=account.latest or "", at=account.world.clock.now()))
    assert scheduled(account).reasons[0].startswith("prod is pinned to")


# What an update starts from.


def test_a_base_that_is_too_old_is_none() -> None:
    account = Account({"refresh": {"max_base_age_days": 30}})
    account.publish(an_image(1, digest=account.push("one")))
    account.push("two")
    found = plan(account).plan
    assert found.mode is BuildMode.FRESH
    assert "max_base_age_days is 30" in found.reasons[0]


def test_a_base_from_which_no_build_can_start_is_none(account: Account) -> None:
    account.push("two")
    unusable = UnusableBase(image_id=account.latest or "", reason="it is too old", is_certain=True)
    account.world.environments.record_unusable_base("prod", unusable)
    found = plan(account).plan
    assert found.mode is BuildMode.FRESH
    assert found.reasons[0].endswith(f"no build can start from {account.latest}: it is too old")


def test_the_newest_older_image_is_one_where_latest_names_none() -> None:
    account = Account()
    account.push("one")
    old = account.world.images.add(an_image(1, name="comfyui-multitenant-prod-2024", environment=None))
    found = plan(account).plan
    assert found.mode is BuildMode.UPDATE
    assert found.reasons[0].startswith(f"update from {old.image_id}: ")


def test_a_text_that_is_no_id_in_latest_has_no_record_to_look_at() -> None:
    account = Account()
    account.push("one")
    account.world.parameters.set(f"{account.prefix}/latest", "no id")
    plan(account)
    assert not [call for call in account.world.parameters.called("get") if "/history/" in call.args[0]]


# Hooks.


def with_recipe(account: Account, recipe: str | None) -> Account:
    """The account, whose live image was made with a recipe."""
    live = account.live
    tags = {key: value for key, value in live.tags.items() if key != TAG_RECIPE}
    account.world.images.add(live.model_copy(update={"tags": tags | recipe_tags(recipe)}))
    return account


@pytest.mark.parametrize("recipe", [None, "base:0123456789ab", "verify:0123456789ab"])
def test_hooks_that_have_changed_are_a_reason_of_their_own(account: Account, recipe: str | None) -> None:
    now = hooked(account).catalogue.get("prod").recipe
    before = hooks_part(recipe) or "none"
    assert plan(with_recipe(account, recipe)).plan.reasons[1:] == (f"the hooks are {now}, and were {before}",)


def test_hooks_that_are_gone_are_a_reason_too(account: Account) -> None:
    found = plan(with_recipe(account, "verify:0123456789ab")).plan
    assert found.reasons[1:] == ("the hooks are none, and were verify:0123456789ab",)


@pytest.mark.parametrize("digest", ["one", "two"])
def test_hooks_are_no_reason_where_they_are_the_same_or_the_digest_is_another(
    account: Account, digest: str
) -> None:
    account.push(digest)
    recipe = hooked(account).catalogue.get("prod").recipe if digest == "one" else None
    found = plan(with_recipe(account, recipe), force=True).plan
    assert found.action is Action.BUILD
    assert not [reason for reason in found.reasons if reason.startswith("the hooks")]


# Promotions.


@pytest.fixture
def both() -> Both:
    return Both()


def test_where_promotions_are_published_nothing_is_built_without_force(both: Both) -> None:
    both.prod.push("three")
    assert plan(both.prod).plan.reasons == (reason_of_source(both.prod.catalogue.get("prod")),)
    assert plan(both.prod).plan.action is Action.NONE
    assert plan(both.prod, force=True).plan.action is Action.BUILD


def test_where_pushes_are_published_a_promotion_is_told_what_to_do() -> None:
    assert Both(prod={"publishes": "pushes"}).refused() == (
        "PromotionRefusedError: prod is built from pushes (publishes: pushes), so the next one would undo a promotion; "
        "set publishes: promotions in its settings, or promote with pin"
    )


def test_a_promotion_says_all_that_the_next_steps_will_use(both: Both) -> None:
    tested = both.tested
    tags = tested.tags | {TAG_GENERATION: "3"}
    both.prod.world.images.add(tested.model_copy(update={"tags": tags}))
    both.prod.world.environments.set(EnvironmentRecord(environment="prod", fencing=4))
    digest = tested.tags[TAG_DIGEST]
    name = release_name(both.release, digest)
    assert plan(both.prod, action=Action.PROMOTE, promote_from="dev", reason="tested") == BuildState(
        plan=BuildPlan(
            action=Action.PROMOTE,
            trigger=Trigger.MANUAL,
            environment="prod",
            reasons=(f"promoted from dev: the release {name}, {tested.image_id} there", "tested"),
            run_id=run_id(ARN, digest),
            settings=both.prod.catalogue.get("prod"),
            fencing=4,
            source=Source(
                repository_uri=both.dev.metadata.docker_image.partition(":")[0],
                digest=digest,
                tag=both.dev.metadata.docker_image.partition(":")[2],
            ),
            generation=3,
            promotion=Promotion(
                environment="dev", image_id=tested.image_id, release=both.release, built_for="dev"
            ),
            request=both.request(reason="tested", release=both.release),
        )
    )


def test_the_hooks_of_a_promotion_that_was_built_again_are_a_reason(both: Both) -> None:
    """The canary runs the verify hooks of the environment that publishes it."""
    hooked(both.prod, HookSettings.model_validate({"verify": [{"script": "config/hooks/check.sh"}]}))
    both.prod.publish(promoted(2, both.tested))
    reasons = both.plan(force=True).reasons
    assert reasons[1] == f"the hooks are {both.prod.catalogue.get('prod').recipe}, and were none"


def test_all_that_does_not_fit_is_told_at_once() -> None:
    both = Both(prod={"builder": {"architecture": "arm64", "root_volume_gib": 30}})
    assert (
        "does not fit prod: it is x86_64, and builder.architecture of prod is arm64; its root volume has 40 GiB, and "
        "builder.root_volume_gib of prod is 30. These are on its disks;"
    ) in both.refused()


def test_parameters_that_a_promotion_cannot_write_are_told_beside_the_network(both: Both) -> None:
    account = both.prod
    account.publish(an_image(7, digest=OTHER))
    account.world.parameters.set(f"{account.prefix}/metadata", "x", kind="SecureString")
    account.world.parameters.set(f"{account.prefix}/history/{account.latest}", "x", kind="StringList")
    account.world.network.missing.update(INFRASTRUCTURE.subnet_ids)
    kind, *told = both.refused().replace(": ", "; also: ", 1).split("; also: ")
    assert kind == "ParameterUnusableError"
    assert [words.split(" ")[0] for words in told[:2]] == [
        f"{account.prefix}/metadata",
        f"{account.prefix}/history/{account.latest}",
    ]
    assert len(told) > 2, "what the network lacks"


def test_a_promotion_looks_for_no_record_of_a_text_that_is_no_id(both: Both) -> None:
    both.prod.world.parameters.set(f"{both.prod.prefix}/latest", "no id")
    both.plan()
    asked = [call.args[0] for call in both.prod.world.parameters.called("get")]
    assert not [name for name in asked if name.startswith(f"{both.prod.prefix}/history/")]


def test_a_release_that_ec2_shows_late_is_planned(both: Both) -> None:
    images = both.prod.world.images
    images.hidden.add(both.tested.image_id)

    class Shows:
        def before(self, port: Any, call: Any) -> None:
            """Nothing."""

        def after(self, port: Any, call: Any) -> None:
            if call.args == (both.tested.image_id,):
                images.hidden.discard(both.tested.image_id)

    both.prod.world.watch(Shows())
    assert both.plan().promotion.image_id == both.tested.image_id


# Publishing again.


def test_a_publication_names_the_image_its_digest_and_why(account: Account) -> None:
    old = two_images(account, digest=OTHER)
    state = plan(
        account, action=Action.PUBLISH, publish_image_id=old, trigger=Trigger.ROLLBACK, reason="back"
    )
    assert state == BuildState(
        plan=BuildPlan(
            action=Action.PUBLISH,
            trigger=Trigger.ROLLBACK,
            environment="prod",
            reasons=("back",),
            run_id=run_id(ARN, OTHER),
            settings=account.catalogue.get("prod"),
            fencing=0,
            request=BuildRequest(
                environment="prod",
                action=Action.PUBLISH,
                publish_image_id=old,
                trigger=Trigger.ROLLBACK,
                reason="back",
            ),
        ),
        image=ImageRef(image_id=old),
    )
    assert plan(account, publish_image_id=old).plan.reasons == (f"{old} is published again",)


@pytest.mark.parametrize("digest", [None, OTHER])
def test_an_image_that_is_not_available_is_built_where_its_digest_is_named(
    account: Account, digest: str | None
) -> None:
    old = two_images(account, state=ImageState.DISABLED)
    account.world.repository.digests["comfyui"].add(OTHER)
    if digest is None:
        assert refusal(account, RecordNotFoundError, publish_image_id=old) == (
            f"{old} cannot be published again: it is not an available image of this account; build its digest instead"
        )
        return
    state = plan(account, action=Action.PUBLISH, publish_image_id=old, image_digest=digest, reason="x" * 200)
    assert (state.plan.action, state.plan.image.digest) == (Action.BUILD, OTHER)
    reason = f"{old} is gone, so its Docker image is built; {'x' * 200}"[:200]
    assert state.plan.reasons[-1] == reason
    assert state.plan.request == BuildRequest(
        environment="prod", action=Action.BUILD, force=True, image_digest=OTHER, reason=reason
    )


def test_a_build_in_the_place_of_an_image_may_have_no_other_reason(account: Account) -> None:
    account.world.repository.digests["comfyui"].add(OTHER)
    state = plan(account, publish_image_id=image_id_of(9), image_digest=OTHER)
    assert state.plan.reasons[-1] == f"{image_id_of(9)} is gone, so its Docker image is built"
    state = plan(account, publish_image_id=image_id_of(9), image_digest=OTHER, reason="fix X")
    assert state.plan.reasons[-1] == f"{image_id_of(9)} is gone, so its Docker image is built; fix X"


def test_a_publication_without_an_image_is_refused(account: Account) -> None:
    assert refusal(account, RecordNotFoundError, action=Action.PUBLISH) == (
        "no image cannot be published again: it is not an available image of this account; build its digest instead"
    )
    assert account.world.clock.pauses == []


def test_an_image_of_another_environment_is_not_published(account: Account) -> None:
    other = account.world.images.add(an_image(7, name="x", environment="dev")).image_id
    assert refusal(account, ForeignResourceError, publish_image_id=other) == (
        f"{other} does not carry the tags of comfyui prod; only images of the environment can be published in it"
    )


def test_an_image_without_a_record_or_verification_is_not_published(account: Account) -> None:
    old = two_images(account)
    name = f"{account.prefix}/history/{old}"
    account.record(account.world.images.all[old], status=RecordStatus.SUPERSEDED, verified=False)
    assert refusal(account, ImageNotVerifiedError, publish_image_id=old) == (
        f"{old} was published without verification; build its digest instead"
    )
    account.world.parameters.delete(name)
    assert refusal(account, RecordNotFoundError, publish_image_id=old) == (
        f"history has no readable record of {old}, so nobody knows whether it was verified; build its digest instead"
    )


def test_where_verification_is_off_an_unverified_image_is_published_again() -> None:
    account = Account({"verification": {"enabled": False}})
    account.publish(an_image(1))
    old = two_images(account)
    account.record(account.world.images.all[old], status=RecordStatus.SUPERSEDED, verified=False)
    assert plan(account, publish_image_id=old).plan.action is Action.PUBLISH


def test_the_live_image_is_published_again_without_a_record(account: Account) -> None:
    account.world.parameters.delete(f"{account.prefix}/history/{account.latest}")
    assert plan(account, publish_image_id=account.latest).image == ImageRef(image_id=account.latest)


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.RETIRE])
def test_parameters_that_cannot_be_written_are_found_before_anything_is_changed(
    account: Account, action: Action
) -> None:
    old = two_images(account)
    account.world.parameters.set(f"{account.prefix}/metadata", "x", kind="SecureString")
    fields = {"publish_image_id": old} if action is Action.PUBLISH else {}
    words = refusal(account, ParameterUnusableError, action=action, **fields)
    assert words.startswith(f"{account.prefix}/metadata is a SecureString")


# Retirement.


def test_a_retirement_names_the_live_image(account: Account) -> None:
    state = plan(account, action=Action.RETIRE, trigger=Trigger.RECONCILE)
    assert state == BuildState(
        plan=BuildPlan(
            action=Action.RETIRE,
            trigger=Trigger.RECONCILE,
            environment="prod",
            reasons=("previous images are looked at again",),
            run_id=run_id(ARN, account.push("one")),
            settings=account.catalogue.get("prod"),
            fencing=0,
            request=BuildRequest(environment="prod", action=Action.RETIRE, trigger=Trigger.RECONCILE),
        ),
        image=ImageRef(image_id=account.latest),
    )
    assert plan(account, action=Action.RETIRE, reason="now").plan.reasons == ("now",)


def test_nothing_is_retired_while_latest_names_no_image() -> None:
    state = plan(Account(), action=Action.RETIRE, trigger=Trigger.RECONCILE)
    assert state == BuildState(
        plan=BuildPlan(
            action=Action.NONE,
            trigger=Trigger.RECONCILE,
            environment="prod",
            reasons=("nothing is retired while `latest` does not exist yet",),
        )
    )
