"""What a retirement says of each image, and when it keeps its hands off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of, image_id_of
from tests.unit.steps.leftovers import tags_of
from tests.unit.steps.test_claim_races import holder_of
from tests.unit.steps.test_publishing import CANDIDATE, Build

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.execution import Published
from ami_lifecycle.domain.image_switches import DueSwitch, Switch
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    ImageUse,
    Instance,
    InstanceState,
    UsageKind,
)
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AccessDeniedError, CleanUpIncompleteError, ThrottledError
from ami_lifecycle.steps.retire_images import RetireInput, RetirementReview

OTHER = "ami-0ffffffffffffffff"


@pytest.fixture
def build() -> Build:
    """A build whose candidate is published, so that the old image may go."""
    build = Build()
    build.publish()
    return build


def review(account: Account) -> RetirementReview:
    world = account.world
    return RetirementReview(
        account.catalogue.get("prod"),
        world.instances,
        world.images,
        world.usage,
        world.parameters,
        world.environments,
        world.clock,
    )


def kept(number: int, reason: str, *, blocked: bool = False) -> Decision:
    return Decision(image_id=image_id_of(number), action=RetireAction.KEEP, reason=reason, blocked=blocked)


def gone(number: int) -> Decision:
    return Decision(image_id=image_id_of(number), action=RetireAction.RETIRE, reason="nothing uses it")


def test_an_old_image_that_nobody_uses_goes_and_history_says_so(build: Build) -> None:
    retired = build.retire()
    assert retired.decisions == (gone(1),)
    assert (retired.blocked, retired.omitted) == ((), None)
    assert (retired.adopt_name, retired.adopt_reason) == (True, "the name comfyui-multitenant-prod is free")
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert (record.status, record.status_reason) == (RecordStatus.RETIRED, "nothing uses it")
    assert record.superseded_by == build.candidate.image_id
    assert record.published_by == arn_of("long-ago")


def test_an_image_that_is_kept_says_why_in_history(build: Build) -> None:
    build.account.world.usage.uses[build.old.image_id] = [ImageUse(kind=UsageKind.FLEET, resource="fleet-1")]
    retired = build.retire()
    assert retired.decisions == (kept(1, "in use: EC2 Fleet fleet-1", blocked=True),)
    assert retired.adopt_reason == f"{build.old.image_id} still has the name comfyui-multitenant-prod"
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert (record.status, record.status_reason) == (RecordStatus.KEPT, "in use: EC2 Fleet fleet-1")


def test_an_image_that_aws_refuses_to_let_go_is_blocked_with_its_reason(build: Build) -> None:
    build.account.world.images.fail("deregister", AccessDeniedError("denied. Grant it."), times=9)
    retired = build.retire()
    assert retired.decisions == (kept(1, "denied. Grant it.", blocked=True),)
    assert [(each.resource, each.error) for each in retired.blocked] == [
        (build.old.image_id, "AccessDeniedError")
    ]
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert (record.status, record.status_reason) == (RecordStatus.KEPT, "denied. Grant it.")


# What is awaited.


def test_what_a_request_or_a_pin_will_publish_again_is_kept(build: Build) -> None:
    environments = build.account.world.environments
    third = build.account.world.images.add(an_image(3, name=CANDIDATE + "3", digest="sha256:3"))
    wanted = BuildRequest(environment="prod", action=Action.PUBLISH, publish_image_id=build.old.image_id)
    assert environments.queue("prod", wanted, behind=build.claim, revision=0)
    environments.set_pin("prod", Pin(image_id=third.image_id, at=build.account.world.clock.now()))
    assert sorted(build.retire().decisions, key=lambda found: found.image_id) == [
        kept(1, "a request that waits publishes it again"),
        kept(3, "the environment is pinned to it"),
    ]


def test_what_the_holder_of_the_environment_has_made_is_no_previous_image(build: Build) -> None:
    """Asked by a person, while the build still runs."""
    live = build.account.live
    made = build.account.world.images.add(
        an_image(3, name=CANDIDATE + "3", digest="sha256:3", execution="e1")
    )
    decisions = {each.image_id: each for each in review(build.account).decide(live)}
    assert decisions[made.image_id] == kept(3, "e1 has made it and still runs")
    own = {each.image_id: each for each in review(build.account).decide(live, arn_of("e1"))}
    assert own[made.image_id] == gone(3)


def test_a_person_who_asks_is_told_of_permissions_too(build: Build) -> None:
    build.account.world.usage.use(build.old.image_id, UsageKind.LAUNCH_PERMISSION, "111122223333")
    (decision,) = review(build.account).decide(build.account.live)
    assert decision.action is RetireAction.KEEP
    assert "launch permission 111122223333" in decision.reason


def test_our_own_canary_is_no_use_of_an_image() -> None:
    build = Build(retirement={"protect_running_instances": True})
    build.publish()
    canary = Instance(instance_id="i-1", state=InstanceState.RUNNING, tags=tags_of("e1"))
    build.account.world.instances.add(canary)
    running = ImageUse(kind=UsageKind.RUNNING_INSTANCE, resource="i-1")
    build.account.world.usage.uses[build.old.image_id] = [running]
    assert [each.action for each in build.retire().decisions] == [RetireAction.RETIRE]


@pytest.mark.parametrize(("keep", "reads"), [(0, 0), (1, 1)])
def test_history_is_read_only_where_previous_images_are_kept(keep: int, reads: int) -> None:
    build = Build(retirement={"keep_previous": keep})
    build.publish()
    before = len(build.account.world.parameters.called("list_below"))
    review(build.account).decide(build.account.live)
    assert len(build.account.world.parameters.called("list_below")) - before == reads


def test_of_previous_images_that_one_is_kept_which_was_live_last() -> None:
    build = Build(retirement={"keep_previous": 1})
    build.account.world.images.add(an_image(7, name=CANDIDATE + "7", digest="sha256:7"))
    build.publish()
    decisions = {each.image_id: each for each in build.retire().decisions}
    assert decisions[build.old.image_id] == kept(1, "previous image 1 of 1 that the settings keep")
    assert decisions[image_id_of(7)] == gone(7)


# Whether the name can be adopted.


def test_a_setting_may_keep_every_images_own_name() -> None:
    build = Build(publication={"image_naming": "unique"})
    build.publish()
    retired = build.retire()
    assert (retired.adopt_name, retired.adopt_reason) == (
        False,
        "image_naming is unique, so the image keeps its own name",
    )


def test_an_image_that_has_the_name_needs_no_copy(build: Build) -> None:
    build.account.world.images.add(build.account.live.model_copy(update={"name": "comfyui-multitenant-prod"}))
    assert review(build.account).can_adopt(build.account.live) == (
        False,
        "the image has the canonical name already",
    )


# When nothing is done.


@pytest.mark.parametrize(
    ("latest", "reason"),
    [
        (OTHER, f"nothing is retired while `latest` names {OTHER}, which does not exist any more"),
        (
            "x",
            "nothing is retired while `latest` says 'x', which is no id of an image",
        ),
    ],
)
def test_nothing_goes_while_latest_cannot_be_launched(build: Build, latest: str, reason: str) -> None:
    build.account.world.parameters.set(f"{build.account.prefix}/latest", latest)
    retired = build.retire()
    assert (retired.decisions, retired.adopt_name, retired.adopt_reason) == ((), False, reason)


def test_nothing_goes_while_latest_is_not_what_this_execution_published(build: Build) -> None:
    published = Published(image_id=OTHER, number=1)
    retired = build.retire(published)
    assert retired.decisions == ()
    assert retired.adopt_reason == (
        f"nothing is retired while `latest` names {build.candidate.image_id}, and not {OTHER}, which this execution "
        "published: somebody has changed it since, and the sweep decides"
    )
    assert build.account.world.clock.now() > build.claim.claimed_at, "it has looked again for a while"


@pytest.mark.parametrize("again", [OTHER, None])
def test_nothing_goes_when_latest_changes_during_the_look(build: Build, again: str | None) -> None:
    name = f"{build.account.prefix}/latest"

    class Changed:
        """Somebody changes `latest` while the uses are looked up."""

        def before(self, _: object, call: Any) -> None:
            if again is None:
                build.account.world.parameters.all.pop(name, None)
            else:
                build.account.world.parameters.set(name, again)

        def after(self, _: object, call: Any) -> None:
            """Nothing more."""

    build.account.world.usage.hooks.append(Changed())
    retired = build.retire()
    assert retired.decisions == ()
    assert retired.adopt_reason == (
        f"nothing is retired while `latest` reads {build.candidate.image_id}, and then {again or 'nothing'}; the sweep "
        "decides again"
    )
    assert build.old.image_id in build.account.world.images.all


# The sweep's question: which image would go?


def test_the_first_image_that_may_go_is_named_and_no_other_is_asked_for(build: Build) -> None:
    usage = build.account.world.usage
    usage.use(image_id_of(3), UsageKind.FLEET, "fleet-1")
    usage.use(image_id_of(4), UsageKind.LAUNCH_PERMISSION, "111122223333")
    ids = [image_id_of(number) for number in (3, 4, 5, 6)]
    usages = usage.usage_of(ids, with_permissions=False)
    assert review(build.account).first_retirable(usages) == [image_id_of(5)]
    asked = [call.args[0] for call in usage.called("permissions_of")]
    assert asked[-2:] == [image_id_of(4), image_id_of(5)]
    assert image_id_of(6) not in asked


def test_where_nothing_may_go_none_is_named(build: Build) -> None:
    usage = build.account.world.usage
    usage.use(image_id_of(3), UsageKind.FLEET, "fleet-1")
    looks = len(build.account.world.instances.called("find"))
    assert review(build.account).first_retirable([]) == []
    assert len(build.account.world.instances.called("find")) == looks, "nothing is looked up for nothing"
    assert review(build.account).first_retirable(usage.usage_of([image_id_of(3)])) == []


def test_permissions_are_not_asked_for_where_they_protect_nothing() -> None:
    build = Build(retirement={"protect_launch_permissions": False})
    usage = build.account.world.usage
    usage.use(image_id_of(4), UsageKind.LAUNCH_PERMISSION, "111122223333")
    usages = usage.usage_of([image_id_of(4)], with_permissions=False)
    assert review(build.account).first_retirable(usages) == [image_id_of(4)]
    assert usage.called("permissions_of") == []


def test_all_that_have_the_name_are_told(build: Build) -> None:
    build.retire()
    for number in (5, 6):
        build.account.world.images.add(an_image(number, environment=None))
    assert review(build.account).can_adopt(build.account.live) == (
        False,
        f"{image_id_of(5)}, {image_id_of(6)} still has the name comfyui-multitenant-prod",
    )


def test_what_a_result_leaves_out_is_counted(build: Build) -> None:
    """A state carries 256 KiB."""
    for number in range(100, 161):
        build.account.world.images.add(an_image(number, name=f"{CANDIDATE}{number}"))
        build.account.world.usage.use(image_id_of(number), UsageKind.FLEET, "fleet-1")
    retired = build.retire()
    assert len(retired.decisions) == 60
    assert retired.omitted == 2


# What is marked.


def marks(
    account: Account, gone: tuple[str, ...] = (), arn: str | None = None, **final: Any
) -> list[DueSwitch]:
    return review(account).due_switches(account.live, gone, arn, **{"is_final": True} | final)


def marking(**retirement: Any) -> Account:
    """A live image and three that stay for now."""
    account = Account({"retirement": retirement})
    for number in (3, 4, 5):
        account.world.images.add(an_image(number, name=f"{CANDIDATE}{number}", execution=f"e{number}"))
    account.publish(an_image(1, digest=account.push("one")))
    return account


def dated(*numbers: int) -> list[DueSwitch]:
    return [DueSwitch(image_id_of(number), Switch.DEPRECATE) for number in numbers]


def test_what_stays_is_marked_and_what_has_just_gone_is_not() -> None:
    account = marking(deprecate_kept=True)
    assert marks(account) == dated(3, 4, 5)
    assert marks(account, gone=(image_id_of(4),)) == dated(3, 5)
    account.world.images.add(an_image(6, name="backup", tags={"Name": "x"}))
    assert marks(account) == dated(3, 4, 5), "somebody's copy is his"


def test_what_will_be_live_again_is_not_marked() -> None:
    account = marking(deprecate_kept=True)
    account.world.environments.set_pin("prod", Pin(image_id=image_id_of(3), at=account.world.clock.now()))
    assert marks(account) == dated(4, 5)


def test_what_the_holder_has_made_is_marked_by_nobody_else() -> None:
    account = marking(deprecate_kept=True)
    holder = holder_of(account, "e4")
    assert marks(account) == dated(3, 5)
    assert marks(account, arn=holder.execution_arn) == dated(3, 4, 5)


def test_each_mark_has_a_setting_of_its_own() -> None:
    protected = [DueSwitch(image_id_of(1), Switch.PROTECT)]
    assert marks(marking()) == []
    account = marking(deregistration_protection=True)
    looks = len(account.world.images.called("find"))
    assert marks(account) == protected
    assert len(account.world.images.called("find")) == looks, "no other image is looked at"
    assert marks(account, is_final=False) == []
    both = marking(deprecate_kept=True, deregistration_protection=True)
    assert marks(both) == [*dated(3, 4, 5), *protected]


@pytest.mark.parametrize("tags", [{TAG_ENVIRONMENT: "dev"}, {TAG_APPLICATION: "other"}])
def test_an_image_that_is_not_ours_is_not_marked(tags: dict[str, str]) -> None:
    account = marking(deprecate_kept=True, deregistration_protection=True)
    account.world.images.add(account.live.model_copy(update={"tags": account.live.tags | tags}))
    assert marks(account) == []


@pytest.mark.parametrize("unprotects", [True, False])
def test_who_protects_images_may_take_the_protection_away(unprotects: bool) -> None:
    account = marking(deregistration_protection=unprotects)
    account.world.images.protect(image_id_of(3))
    undecided = review(account).previous_images(account.live).undecided
    assert (image_id_of(3) in {each.image_id for each in undecided}) is unprotects


@pytest.mark.parametrize("seconds", [0, 180])
def test_images_go_while_there_is_time(build: Build, seconds: float) -> None:
    deadline = build.account.world.clock.now() + timedelta(seconds=seconds)
    retirer = replace(build.account.retirer(RetireInput(**build.held)), deadline=deadline)
    if seconds:
        assert retirer.retire().decisions == (gone(1),)
    else:
        with pytest.raises(CleanUpIncompleteError):
            retirer.retire()


def test_marks_that_fail_for_now_repeat_the_retirement() -> None:
    build = Build(retirement={"deprecate_kept": True})
    build.publish()
    build.account.world.usage.use(image_id_of(1), UsageKind.FLEET, "fleet-1")
    build.account.world.images.fail("deprecate", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        build.retire()
    build.account.world.images.add(an_image(9, name=f"{CANDIDATE}9", execution="e1"))
    build.account.world.usage.use(image_id_of(9), UsageKind.FLEET, "fleet-1")
    build.retire()
    marked = [call.args[0] for call in build.account.world.images.called("deprecate")]
    assert marked[1:] == [image_id_of(1), image_id_of(9)], "what this execution has made, too"


@pytest.mark.parametrize("adopts", [True, False])
def test_an_image_is_protected_under_the_name_that_it_keeps(adopts: bool) -> None:
    naming = {} if adopts else {"image_naming": "unique"}
    build = Build(retirement={"deregistration_protection": True}, publication=naming)
    build.publish()
    assert build.retire().adopt_name is adopts
    assert build.account.live.is_protected is not adopts


# What history is told.


def a_use_of_the_old_image(build: Build, resource: str = "fleet-1") -> str:
    build.account.world.usage.use(build.old.image_id, UsageKind.FLEET, resource)
    return f"{build.account.prefix}/history/{build.old.image_id}"


def test_a_record_that_says_so_already_is_not_written_again(build: Build) -> None:
    name = a_use_of_the_old_image(build, "x" * 400)
    build.retire()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert record.status_reason == f"in use: EC2 Fleet {'x' * 400}"[:300]
    written = len(build.account.world.parameters.history)
    build.account.world.clock.advance(3_600)
    build.retire()
    assert build.account.world.parameters.history[written:] == []
    assert name in build.account.world.parameters.all


@pytest.mark.parametrize("text", [None, "not a record"])
def test_an_image_without_a_readable_record_is_kept_without_one(build: Build, text: str | None) -> None:
    name = a_use_of_the_old_image(build)
    if text is None:
        del build.account.world.parameters.all[name]
    else:
        build.account.world.parameters.set(name, text)
    assert build.retire().decisions == (kept(1, "in use: EC2 Fleet fleet-1", blocked=True),)
    stored = build.account.world.parameters.all.get(name)
    assert (stored.value if stored else None) == text


def test_records_are_read_together_and_a_write_needs_no_other_look(build: Build) -> None:
    name = a_use_of_the_old_image(build)
    before = len(build.account.world.parameters.calls)
    build.retire()
    calls = build.account.world.parameters.calls[before:]
    assert [call.method for call in calls if name in str(call.args) and call.method != "get_each"] == [
        "overwrite"
    ]


def test_a_record_that_cannot_be_written_is_told_by_its_name(build: Build) -> None:
    name = a_use_of_the_old_image(build)
    build.account.world.parameters.fail("overwrite", AccessDeniedError("denied. Grant ssm:PutParameter."))
    retired = build.retire()
    assert [(each.resource, each.error) for each in retired.blocked] == [(name, "AccessDeniedError")]


def test_records_that_cannot_be_read_together_are_read_one_by_one(build: Build) -> None:
    a_use_of_the_old_image(build)
    build.account.world.parameters.fail("get_each", AccessDeniedError("denied."))
    build.retire()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert record.status is RecordStatus.KEPT


# What is asked for, and what repeats the step.


def test_uses_are_looked_up_where_the_settings_say_and_permissions_right_before() -> None:
    build = Build(retirement={"parameter_paths": ["/comfyui", "/fleets"]})
    build.publish()
    build.retire()
    (call,) = build.account.world.usage.called("usage_of")
    assert call.args == ([build.old.image_id], ("/comfyui", "/fleets"))
    assert call.kwargs == {"with_permissions": False}


def test_who_asks_without_removing_gets_the_permissions_too(build: Build) -> None:
    review(build.account).decide(build.account.live)
    assert build.account.world.usage.called("usage_of")[-1].kwargs == {"with_permissions": True}


def test_the_environments_own_latest_is_no_use(build: Build) -> None:
    """EC2's index of references may be behind."""
    latest = "arn:aws:ssm:us-east-1:123456789012:parameter/comfyui/ami/prod/latest"
    build.account.world.usage.use(build.old.image_id, UsageKind.LATEST, latest)
    assert build.retire().decisions == (gone(1),)


@pytest.mark.parametrize(
    ("port", "method"),
    [("images", "deregister"), ("parameters", "overwrite"), ("images", "images_of_snapshots")],
)
def test_what_fails_for_now_repeats_the_retirement(build: Build, port: str, method: str) -> None:
    world = build.account.world
    third = world.images.add(an_image(3, name=CANDIDATE + "3", digest="sha256:3"))
    build.account.record(third, status=RecordStatus.SUPERSEDED)
    world.usage.use(third.image_id, UsageKind.FLEET, "fleet-1")
    getattr(world, port).fail(method, ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        build.retire()


def test_a_record_that_cannot_be_written_for_now_repeats_the_retirement(build: Build) -> None:
    build.account.world.usage.use(build.old.image_id, UsageKind.FLEET, "fleet-1")
    build.account.world.parameters.fail("overwrite", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        build.retire()


@pytest.mark.parametrize("resource", ["fleet-1", "fleet-" + "1" * 400])
def test_a_record_that_says_it_already_is_not_written_again(build: Build, resource: str) -> None:
    build.account.world.usage.use(build.old.image_id, UsageKind.FLEET, resource)
    build.retire()
    record = build.account.history(build.old.image_id)
    assert record is not None
    assert record.status_reason == f"in use: EC2 Fleet {resource}"[:300]
    build.retire()
    assert len(build.account.world.parameters.called("overwrite")) == 1


def test_a_record_that_cannot_be_read_is_left_to_a_person(build: Build) -> None:
    name = f"{build.account.prefix}/history/{build.old.image_id}"
    build.account.world.parameters.set(name, "{")
    build.account.world.usage.use(build.old.image_id, UsageKind.FLEET, "fleet-1")
    assert build.retire().blocked == ()
    assert build.account.world.parameters.all[name].value == "{"
