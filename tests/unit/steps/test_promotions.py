"""Promotions: what is found, what is refused before anything is made, what waits, and what is written."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Ended, Execution, converge
from tests.unit.steps.promises import Promises
from tests.unit.steps.promoting import of_dev, promoted, promoting
from tests.unit.steps.test_publishing import holder_of

from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.model import TAG_BASE, TAG_BUILT_FOR, TAG_DIGEST, TAG_RELEASE, Image
from ami_lifecycle.domain.plan import BuildPlan, Promotion
from ami_lifecycle.domain.publication import dump
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.errors import (
    AccessDeniedError,
    AmiLifecycleError,
    RecordNotFoundError,
    UnknownEnvironmentError,
)


class Both:
    """Dev has published an image, and prod publishes promotions."""

    def __init__(self, **settings: Any) -> None:
        self.prod = promoting(**settings)
        self.dev = Account(environment="dev", world=self.prod.world)
        self.tested: Image = self.dev.publish(of_dev(1, digest=self.dev.push("one", "dev")))

    @property
    def release(self) -> str:
        return self.tested.tags[TAG_RELEASE]

    def request(self, **changes: Any) -> BuildRequest:
        fields = {"environment": "prod", "action": Action.PROMOTE, "promote_from": "dev"}
        return BuildRequest.model_validate(fields | changes)

    def plan(self, **changes: Any) -> Any:
        return self.prod.planner.plan_request(self.request(**changes), arn_of("e1")).plan

    def promote(self, name: str = "e1", **changes: Any) -> Ended:
        return Execution(self.prod, name).run(self.request(**changes))

    def refused(self, **changes: Any) -> str:
        with pytest.raises(AmiLifecycleError) as refused:
            self.plan(**changes)
        assert self.prod.world.images.called("register_copy") == []
        return f"{type(refused.value).__name__}: {refused.value}"


@pytest.fixture
def both() -> Both:
    return Both()


# What is published.


def test_the_disks_of_the_source_are_published_with_what_their_build_said(both: Both) -> None:
    promises = Promises(both.prod.world)
    execution = Execution(both.prod, "e1")
    ended = execution.run(both.request(reason="tested"))
    assert (ended.outcome, ended.result and ended.result.release) == ("published", both.release)
    assert ended.result is not None
    assert ended.result.promoted_from == "dev"
    assert "Launch Builder" not in execution.visited
    live, tested = both.prod.live, both.tested
    assert (live.name, live.snapshot_ids) == ("comfyui-multitenant-prod", tested.snapshot_ids)
    assert (live.tags[TAG_RELEASE], live.tags[TAG_BUILT_FOR]) == (both.release, "dev")
    assert live.description == f"comfyui prod {tested.tags[TAG_DIGEST][:19]}"
    metadata, source = both.prod.metadata, both.dev.metadata
    assert (metadata.docker_image, metadata.commit_sha, metadata.branch) == (
        source.docker_image,
        source.commit_sha,
        source.branch,
    )
    assert (metadata.release, metadata.promoted_from, metadata.environment) == (both.release, "dev", "prod")
    assert metadata.workflow_run_id == "e1"
    assert metadata.reason.startswith(
        f"promoted from dev: the release {release_name(both.release, tested.tags[TAG_DIGEST])}"
    )
    assert metadata.reason.endswith("tested")
    assert both.dev.latest == tested.image_id
    assert promises.leaks() == []
    assert promises.broken == []


def test_the_canary_is_told_for_which_environment_the_disks_were_built(both: Both) -> None:
    both.promote()
    (sent,) = both.prod.world.commands.sent
    assert (sent.parameters["Environment"], sent.parameters["BuiltFor"]) == ("prod", "dev")


def test_a_build_tells_its_canary_nothing_of_the_kind(both: Both) -> None:
    both.dev.catalogue = both.prod.catalogue
    both.dev.push("two", "dev")
    Execution(both.dev, "build").run(BuildRequest(environment="dev"))
    assert [sent.parameters.get("BuiltFor") for sent in both.prod.world.commands.sent] == [None, None]


def test_what_was_promoted_goes_on_with_the_environment_that_it_was_built_for(both: Both) -> None:
    both.promote()
    back = BuildRequest(environment="dev", action=Action.PROMOTE, promote_from="prod", pin=True, force=True)
    plan = both.prod.planner.plan_request(back, arn_of("e2")).plan
    assert plan.promotion == Promotion(
        environment="prod", image_id=str(both.prod.latest), release=both.release, built_for="dev"
    )


def test_where_verification_is_off_there_is_no_canary() -> None:
    both = Both(verification={"enabled": False})
    execution = Execution(both.prod, "e1")
    assert execution.run(both.request()).outcome == "published"
    assert "Launch Canary" not in execution.visited
    assert both.prod.metadata.verified_at is None


def test_a_record_of_the_source_that_is_gone_by_then_leaves_what_the_tags_say(both: Both) -> None:
    name = f"{both.dev.prefix}/history/{both.tested.image_id}"

    class Loses:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "register_copy":
                both.prod.world.parameters.all.pop(name, None)

        def after(self, port: Any, call: Any) -> None:
            """Nothing."""

    both.prod.world.watch(Loses())
    assert both.promote().outcome == "published"
    metadata = both.prod.metadata
    assert (metadata.release, metadata.promoted_from) == (both.release, "dev")
    assert metadata.docker_image == "registry/comfyui:prod-latest"


# Which release.


@pytest.mark.parametrize("kind", ["arn", "execution", "short", "image"])
def test_a_release_goes_by_its_names(both: Both, kind: str) -> None:
    names = {
        "arn": both.release,
        "execution": both.release.rsplit(":", 1)[-1],
        "short": release_name(both.release, both.tested.tags[TAG_DIGEST]),
        "image": both.tested.image_id,
    }
    plan = both.plan(release=names[kind])
    assert plan.promotion is not None
    assert plan.promotion.image_id == both.tested.image_id
    assert plan.request.release == both.release, "what waits publishes what was asked for"


def test_an_earlier_release_is_promoted_as_long_as_its_image_is_there(both: Both) -> None:
    both.dev.record(both.tested, status=RecordStatus.SUPERSEDED)
    both.dev.publish(of_dev(2, digest=both.dev.push("two", "dev")))
    assert both.plan(release=both.release).promotion.image_id == both.tested.image_id
    assert both.plan().promotion.image_id != both.tested.image_id


def test_an_image_from_before_releases_is_promoted_under_the_one_that_is_derived(both: Both) -> None:
    tags = {key: value for key, value in both.tested.tags.items() if key != TAG_RELEASE}
    both.prod.world.images.add(both.tested.model_copy(update={"tags": tags}))
    assert both.plan().promotion.release == arn_of("dev-1")
    assert both.plan(release="dev-1").promotion.release == arn_of("dev-1")


@pytest.mark.parametrize("status", [RecordStatus.SUPERSEDED, RecordStatus.KEPT])
def test_what_has_never_been_live_is_no_release(both: Both, status: RecordStatus) -> None:
    other = both.prod.world.images.add(of_dev(5, digest="sha256:" + "5" * 64))
    assert "RecordNotFoundError: history of dev has no readable record" in both.refused(
        release=other.image_id
    )
    both.dev.record(other, status=status)
    assert both.plan(release=other.image_id).action is Action.PROMOTE


def test_a_publication_that_goes_on_is_waited_for(both: Both) -> None:
    other = both.prod.world.images.add(of_dev(5, digest="sha256:" + "5" * 64))
    both.dev.record(other, status=RecordStatus.LIVE)
    assert "PromotionRefusedError: " in (said := both.refused(release=other.image_id))
    assert "promote when it has ended" in said


def test_what_is_being_retired_is_refused(both: Both) -> None:
    other = both.prod.world.images.add(of_dev(5, digest="sha256:" + "5" * 64))
    both.dev.record(other, status=RecordStatus.RETIRED)
    assert "is being retired" in both.refused(release=other.image_id)


def test_what_somebody_has_gone_back_from_needs_force(both: Both) -> None:
    both.dev.change_record(both.tested.image_id, rolled_back=True)
    assert "PromotionRefusedError: somebody has rolled dev back" in both.refused()
    assert both.plan(force=True).action is Action.PROMOTE


def test_a_source_without_a_usable_image_is_refused(both: Both) -> None:
    assert "RecordNotFoundError: dev has no image of the release unknown" in both.refused(release="unknown")
    both.prod.world.images.disable(both.tested.image_id)
    assert "RecordNotFoundError: nothing of dev can be promoted" in both.refused()
    assert "has no image of the release" in both.refused(release=both.release)
    foreign = both.prod.world.images.add(an_image(9, name="mine", environment=None))
    both.prod.world.parameters.set(f"{both.dev.prefix}/latest", foreign.image_id)
    assert "is no image that was built or promoted there" in both.refused()
    with pytest.raises(UnknownEnvironmentError):
        both.plan(promote_from="nowhere")


def test_an_image_of_an_older_way_of_building_is_refused(both: Both) -> None:
    """What `migrate` adopts has no Docker image that anybody knows of."""
    tags = {key: value for key, value in both.tested.tags.items() if key != TAG_DIGEST}
    both.dev.publish(both.tested.model_copy(update={"tags": tags}))
    assert "PromotionRefusedError: nothing says which Docker image is in" in (said := both.refused())
    assert "build dev" in said


@pytest.mark.parametrize("name", ["nightly@2026", "feature+login", "(again)", "grün"])
def test_a_release_is_promoted_whatever_its_execution_is_called(name: str) -> None:
    """Step Functions takes these names, and the next steps read the request of the plan again."""
    both = Both()
    tags = both.tested.tags | {TAG_RELEASE: arn_of(name)}
    both.dev.publish(both.tested.model_copy(update={"tags": tags}))
    plan = both.plan(release=name)
    assert plan.promotion.release == arn_of(name)
    assert BuildPlan.model_validate_json(plan.model_dump_json()) == plan
    assert both.promote().outcome == "published"


def test_a_record_that_was_made_again_from_tags_names_no_repository(both: Both) -> None:
    """The canary's document takes no empty one."""
    record = both.dev.history(both.tested.image_id)
    assert record is not None
    known = record.model_copy(update={"docker_image": ""})
    both.prod.world.parameters.set(f"{both.dev.prefix}/history/{both.tested.image_id}", dump(known))
    source = both.plan().source
    assert source.repository_uri == both.prod.world.repository.uri("comfyui")
    assert (source.digest, source.tag) == (both.tested.tags[TAG_DIGEST], None)
    assert both.promote().outcome == "published"
    assert both.prod.metadata.docker_image == f"{source.repository_uri}@{source.digest}"


# What does not fit.


@pytest.mark.parametrize(
    ("prod", "words"),
    [
        (
            {"container": {"ports": ["80:8188"]}},
            'container.ports is ["8188:8188"] in dev and ["80:8188"] in prod',
        ),
        ({"container": {"environment": {"KEY": "very-secret"}}}, "container.environment differs in KEY"),
        ({"builder": {"architecture": "arm64"}}, "it is x86_64, and builder.architecture of prod is arm64"),
        (
            {"base": "ubuntu-24.04"},
            "its base is ubuntu-22.04, and base of prod is ubuntu-24.04",
        ),
        (
            {"builder": {"root_volume_gib": 30}},
            "its root volume has 40 GiB, and builder.root_volume_gib of prod is 30",
        ),
    ],
)
def test_what_is_on_the_disks_and_not_as_the_settings_want_it_is_refused(prod: Any, words: str) -> None:
    said = Both(prod=prod).refused()
    assert said.startswith("PromotionRefusedError: ")
    assert words in said
    assert "very-secret" not in said
    assert "build dev again, and promote that" in said


@pytest.mark.parametrize(
    "base",
    [
        {"newest": {"owner": "123456789012", "name": "golden-base-*"}},
        {"parameter": "/golden/{architecture}", "owners": ["self"]},
        {"image_id": "ami-0123456789abcdef0", "owners": ["123456789012"]},
    ],
)
def test_a_base_is_the_same_however_it_is_written(base: Any) -> None:
    """Its tag cannot have the wildcards and braces of the setting."""
    both = Both(base=base)
    named = both.prod.catalogue.get("prod").base
    built = both.tested.model_copy(update={"tags": both.tested.tags | {TAG_BASE: named.tag}})
    both.prod.world.images.add(built)
    assert both.plan().promotion.image_id == built.image_id
    built = built.model_copy(update={"tags": both.tested.tags | {TAG_BASE: "debian-12"}})
    both.prod.world.images.add(built)
    assert f"its base is debian-12, and base of prod is {named.text}" in both.refused()


def test_settings_that_changed_after_the_build_are_told_apart(both: Both) -> None:
    """The image says what it was built with, whatever the settings of its environment are now."""
    both.dev.change_record(both.tested.image_id, container="0123456789ab")
    assert "which has been changed since as it has there" in both.refused()


def test_a_build_leaves_in_its_record_what_a_promotion_compares(both: Both) -> None:
    both.dev.catalogue = both.prod.catalogue
    both.dev.push("two", "dev")
    Execution(both.dev, "build").run(BuildRequest(environment="dev"))
    assert both.dev.metadata.container is not None
    assert both.promote("e2").outcome == "published"
    assert both.prod.metadata.container == both.dev.metadata.container


# Pins, forces, and an environment that is built from pushes.


def test_an_environment_that_is_built_from_pushes_takes_it_with_a_pin_alone() -> None:
    both = Both(prod={"publishes": "pushes"})
    assert "publishes: pushes" in both.refused()
    assert both.promote(pin=True).outcome == "published"
    pin = both.prod.world.environments.get("prod").pin
    assert pin is not None
    assert pin.image_id == both.prod.latest


def test_a_pinned_environment_needs_force_which_lifts_the_pin(both: Both) -> None:
    old = both.prod.publish(an_image(7, digest="sha256:" + "7" * 64))
    both.prod.world.environments.set_pin("prod", Pin(image_id=old.image_id, at=both.prod.world.clock.now()))
    assert both.promote().outcome == "nothing"
    assert both.promote("e2", force=True).outcome == "published"
    assert both.prod.world.environments.get("prod").pin is None


def test_a_promotion_that_was_interrupted_after_its_pin_is_not_made_good_by_a_build(both: Both) -> None:
    old = both.prod.publish(promoted(2, both.tested))
    newer = both.dev.publish(of_dev(3, digest=both.dev.push("two", "dev")))
    name, world = f"{both.prod.prefix}/latest", both.prod.world

    class Denies:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "put" and call.args[0] == name:
                raise AccessDeniedError("denied. Grant it.")

        def after(self, port: Any, call: Any) -> None:
            """Nothing."""

    world.watch(Denies())
    assert both.promote(pin=True).outcome == "failed"
    pin = world.environments.get("prod").pin
    assert pin is not None
    assert pin.digest == newer.tags[TAG_DIGEST]
    findings = {found.finding for found in both.prod.sweeper.sweep().findings if found.environment == "prod"}
    told = (
        f"pinned to {pin.image_id}, which is not live, is gone, and is not built again, because prod publishes "
        "promotions; promote again, unpin the environment, or roll it back to another image"
    )
    assert told in findings
    started = [each.request for each in world.executions.started if each.request.environment == "prod"]
    assert Action.BUILD not in {each.action for each in started}
    assert both.prod.latest == old.image_id


def test_what_is_live_already_is_only_pinned(both: Both) -> None:
    both.prod.publish(promoted(2, both.tested))
    assert "is live already" in both.promote().reason
    plan = both.plan(pin=True)
    assert (plan.action, plan.promotion) == (Action.PUBLISH, None)
    assert both.plan(force=True).action is Action.PROMOTE


def test_pushes_schedules_and_the_sweep_build_nothing_where_promotions_are_published() -> None:
    both = Both(refresh={"rebuild_after_days": 1})
    both.promote()
    live = both.prod.latest
    both.prod.push("three")
    planned = both.prod.planner.plan_request(BuildRequest(environment="prod"), arn_of("e9")).plan
    assert planned.action is Action.NONE
    assert "(publishes: promotions)" in planned.reasons[0]
    before = len(both.prod.world.executions.started)
    converge(both.prod, rounds=30)
    started = both.prod.world.executions.started[before:]
    assert [each.request.environment for each in started if each.request.environment == "prod"] == []
    assert both.prod.latest == live
    forced = BuildRequest(environment="prod", force=True)
    assert both.prod.planner.plan_request(forced, arn_of("e9")).plan.action is Action.BUILD


# Queueing.


def test_a_promotion_waits_and_then_publishes_the_release_that_was_asked_for(both: Both) -> None:
    holder_of(both.prod, "running", digest="sha256:" + "9" * 64)
    assert both.promote().outcome == "queued"
    wanted = both.prod.world.environments.get("prod").queued_request
    assert wanted is not None
    assert (wanted.trigger, wanted.action, wanted.release) == (Trigger.QUEUED, Action.PROMOTE, both.release)


def test_a_promotion_is_no_duplicate_of_a_build_of_its_digest(both: Both) -> None:
    holder_of(both.prod, "running", digest=both.tested.tags[TAG_DIGEST])
    assert both.promote().outcome == "queued"


# The source goes, or changes.


def interfere(both: Both, change: Any) -> None:
    class Meddles:
        def before(self, port: Any, call: Any) -> None:
            if call.method == "claim":
                change()

        def after(self, port: Any, call: Any) -> None:
            """Nothing."""

    both.prod.world.watch(Meddles())


def test_a_source_that_goes_after_the_plan_ends_the_promotion_with_what_to_do(both: Both) -> None:
    images = both.prod.world.images
    interfere(both, lambda: images.deregister(both.tested.image_id, with_snapshots=True))
    ended = both.promote()
    assert (ended.outcome, ended.error) == ("failed", RecordNotFoundError.__name__)
    assert "promote what is there now" in ended.reason
    assert both.prod.latest is None
    assert both.prod.own_images() == []


def test_one_answer_without_the_source_proves_nothing(both: Both) -> None:
    """EC2 API reference, Eventual consistency."""
    images = both.prod.world.images
    interfere(both, lambda: images.hidden.add(both.tested.image_id))

    class Shows:
        def before(self, port: Any, call: Any) -> None:
            """Nothing."""

        def after(self, port: Any, call: Any) -> None:
            if call.method == "get" and call.args == (both.tested.image_id,):
                images.hidden.discard(both.tested.image_id)

    both.prod.world.watch(Shows())
    assert both.promote().outcome == "published"


def test_a_candidates_name_that_nobody_is_seen_to_have_is_asked_for_again_and_told(both: Both) -> None:
    name, images = both.plan().candidate_name, both.prod.world.images
    images.hidden.add(images.add(an_image(8, name=name, environment=None)).image_id)
    ended = both.promote()
    assert (ended.outcome, ended.error) == ("failed", "ResourceNotVisibleError")
    assert f"the name {name} is taken" in ended.reason
    assert len(images.called("register_copy")) == 11


def test_a_source_that_loses_its_tags_is_nobodys_to_promote(both: Both) -> None:
    images = both.prod.world.images
    interfere(both, lambda: images.add(both.tested.model_copy(update={"tags": {}})))
    ended = both.promote()
    assert (ended.outcome, ended.error) == ("failed", "ForeignResourceError")


def test_a_refused_release_takes_nothing_with_it(both: Both) -> None:
    both.prod.publish(promoted(2, both.tested))
    live = both.prod.latest
    newer = both.dev.publish(of_dev(3, digest=both.dev.push("two", "dev")))
    both.prod.verification_fails = True
    both.prod.world.commands.answer = both.prod._answer
    ended = both.promote()
    assert (ended.outcome, ended.error) == ("failed", "VerificationFailedError")
    assert both.prod.latest == live
    assert set(newer.snapshot_ids) <= both.prod.world.images.snapshots.keys()
    assert [image.image_id for image in both.prod.own_images()] == [live]
    assert both.prod.world.environments.get("prod").failures == ()
    converge(both.prod, rounds=3)
    started = [each.request.action for each in both.prod.world.executions.started]
    assert Action.PROMOTE not in started, "who asked for it asks again"
