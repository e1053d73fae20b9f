"""Many images at once: one look for all, one more at each, and none goes for a look that is too old."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import Call, Faulty
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.leftovers import a_clean_up, findings
from tests.unit.steps.promises import Promises
from tests.unit.steps.test_publishing import LATEST, Build
from tests.unit.steps.test_refusals import DENIED, lock

from ami_lifecycle.domain.decision import Retirement
from ami_lifecycle.domain.model import Image, UsageKind
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.errors import CleanUpIncompleteError, ThrottledError
from ami_lifecycle.steps.image_removal import MAX_REVIEW_AGE, TIME_RESERVE
from ami_lifecycle.steps.retire_images import RetireInput

NAME = "comfyui-multitenant-prod"


class Slow:
    """Lets time pass with each call of a method, and may do something else before it."""

    def __init__(self, account: Account, method: str, seconds: float) -> None:
        self.clock, self.method, self.seconds = account.world.clock, method, seconds
        self.then: Callable[[Call], None] = lambda _: None

    def before(self, port: Faulty, call: Call) -> None:
        if call.method == self.method:
            self.clock.advance(self.seconds)
            self.then(call)

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing happens after the call."""


class Ages:
    """How old the newest look at an image's uses is when the image goes."""

    def __init__(self, account: Account) -> None:
        self.clock = account.world.clock
        self.looked: dict[str, datetime] = {}
        self.ages: list[timedelta] = []

    def before(self, port: Faulty, call: Call) -> None:
        if call.method == "deregister":
            self.ages.append(self.clock.now() - self.looked[call.args[0]])

    def after(self, port: Faulty, call: Call) -> None:
        if call.method == "usage_of":
            self.looked |= dict.fromkeys(call.args[0], self.clock.now())


def a_pile(account: Account, number: int, *, recorded: bool = True) -> list[Image]:
    """Previous images that nobody uses, beside the live one."""
    pile = []
    for index in range(number):
        image = an_image(100 + index, name=f"{NAME}.candidate.{index}", digest=f"sha256:{index:064x}")
        account.world.images.add(image)
        if recorded:
            account.record(image, status=RecordStatus.SUPERSEDED)
        pile.append(image)
    return pile


class Pile(Build):
    """A build that has published, in an environment with many previous images."""

    def __init__(self, number: int, *, recorded: bool = True, **defaults: object) -> None:
        super().__init__(**defaults)
        self.pile = [self.old, *a_pile(self.account, number - 1, recorded=recorded)]
        self.publish()

    def retire_for(self, seconds: float) -> Retirement:
        """One attempt of the step, in a function that may take so long."""
        retirer = self.account.retirer(RetireInput(**self.held))
        deadline = self.account.world.clock.now() + timedelta(seconds=seconds)
        return dataclasses.replace(retirer, deadline=deadline).retire()

    @property
    def left(self) -> list[str]:
        return [each.image_id for each in self.pile if each.image_id in self.account.world.images.all]

    def count(self, method: str) -> int:
        return sum(call.method == method for port in self.account.world.ports for call in port.calls)


def test_what_can_be_asked_for_many_images_is_asked_once() -> None:
    build = Pile(30)
    before = {method: build.count(method) for method in ("get", "overwrite", "put")}
    build.retire_for(180)
    assert build.left == []
    assert build.count("usage_of") == build.count("find_snapshots") == 1
    assert build.count("deregister") == build.count("permissions_of") == 30
    assert build.count("overwrite") - before["overwrite"] == 30
    assert build.count("put") == before["put"]
    # `latest` twice, and no record by itself.
    assert build.count("get") - before["get"] < 10
    assert set(build.account.world.images.snapshots) == set(build.candidate.snapshot_ids)


def test_a_snapshot_that_went_with_its_image_is_not_asked_for_again() -> None:
    build = Pile(3)
    gone = {each for image in build.pile for each in image.snapshot_ids}
    build.retire_for(180)
    images = build.account.world.images
    assert not gone & set(images.snapshots)
    assert not gone & {each for call in images.called("images_of_snapshots") for each in call.args[0]}


def test_images_without_records_cost_two_calls_each() -> None:
    costs = []
    for number in (10, 30):
        build = Pile(number, recorded=False)
        before = sum(len(port.calls) for port in build.account.world.ports)
        build.retire_for(180)
        # The fake EC2 deletes a snapshot with its image by a call that nobody else makes.
        within = build.count("delete_snapshot")
        costs.append(sum(len(port.calls) for port in build.account.world.ports) - before - within)
    assert costs[1] - costs[0] == 2 * (30 - 10)


@settings(max_examples=25, deadline=None)
@given(seconds=st.floats(0.1, 50), number=st.integers(1, 12))
def test_no_image_goes_for_a_look_that_is_too_old(seconds: float, number: int) -> None:
    build = Pile(number)
    ages = Ages(build.account)
    # Time passes before the age is read, as it does in a call that takes so long.
    build.account.world.usage.hooks.append(Slow(build.account, "permissions_of", seconds))
    build.account.world.watch(ages)
    build.retire_for(3600)
    assert build.left == []
    assert max(ages.ages) <= MAX_REVIEW_AGE + timedelta(seconds=seconds)


def used_meanwhile(build: Pile, seconds: float, kind: UsageKind, resource: str) -> str:
    """Have the oldest image used once another has gone, each of which takes so long; its id."""
    slow, usage, last = (
        Slow(build.account, "deregister", seconds),
        build.account.world.usage,
        build.old.image_id,
    )
    slow.then = lambda _: usage.uses or usage.use(last, kind, resource)
    build.account.world.images.hooks.append(slow)
    return last


def test_nothing_takes_the_name_when_latest_changes_while_images_go() -> None:
    build = Pile(10)
    images = build.account.world.images
    images.deregister(build.old.image_id, with_snapshots=True)
    slow = Slow(build.account, "deregister", 16)
    images.hooks.append(slow)
    slow.then = lambda _: build.account.world.parameters.set(LATEST, "ami-0ffffffffffffffff", "aws:ec2:image")
    result = build.retire_for(3600)
    assert 0 < len(build.left) < 9
    assert not result.adopt_name
    assert result.adopt_reason == (
        f"nothing is retired while `latest` reads {build.candidate.image_id}, and then ami-0ffffffffffffffff; the "
        "sweep decides again"
    )


def test_a_use_that_begins_while_others_go_is_seen_by_the_next_look() -> None:
    build = Pile(10)
    promises = Promises(build.account.world)
    # The look that began this is older than its bound when the turn of the last image comes.
    last = used_meanwhile(build, 16, UsageKind.LAUNCH_TEMPLATE, "lt-1")
    result = build.retire_for(3600)
    assert build.left == [last]
    assert [each.image_id for each in result.decisions if each.blocked] == [last]
    assert build.count("usage_of") == 3
    assert promises.broken == []


def test_who_may_launch_an_image_is_asked_right_before_it_goes() -> None:
    build = Pile(5)
    last = used_meanwhile(build, 1, UsageKind.LAUNCH_PERMISSION, "210987654321")
    result = build.retire_for(180)
    assert build.left == [last]
    (kept,) = [each for each in result.decisions if each.image_id == last]
    assert kept.reason == "in use: launch permission 210987654321"
    record = build.account.history(last)
    assert record is not None
    assert record.status is RecordStatus.KEPT


def test_launch_permissions_are_not_asked_for_where_they_protect_nothing() -> None:
    build = Pile(3, retirement={"protect_launch_permissions": False})
    build.account.world.usage.use(build.old.image_id, UsageKind.LAUNCH_PERMISSION, "210987654321")
    build.retire_for(180)
    assert (build.left, build.count("permissions_of")) == ([], 0)


def test_permissions_that_cannot_be_read_keep_the_image() -> None:
    build = Pile(3)
    usage = build.account.world.usage
    honest = usage.usage_of
    usage.usage_of = lambda *arguments, **options: [  # type: ignore[method-assign]
        each.model_copy(update={"uses": ()}) for each in honest(*arguments, **options)
    ]
    usage.unreadable = "ec2:DescribeImageAttribute could not be read"
    result = build.retire_for(180)
    assert len(build.left) == 3
    assert all("could not be read" in each.reason for each in result.decisions)


def test_many_images_take_several_attempts_and_each_goes_on_where_the_last_one_stopped() -> None:
    build = Pile(200)
    with pytest.raises(CleanUpIncompleteError, match="the next attempt goes on with the other 200"):
        build.retire_for(10)
    promises = Promises(build.account.world)
    # As long as a thousand take with three calls to AWS for each.
    build.account.world.images.hooks.append(Slow(build.account, "deregister", 2))
    attempts, counts = 0, [200]
    while build.left and attempts < 10:
        attempts += 1
        begun = build.account.world.clock.now()
        with contextlib.suppress(CleanUpIncompleteError):
            build.retire_for(180)
        assert build.account.world.clock.now() - begun <= timedelta(seconds=181) - TIME_RESERVE
        counts.append(len(build.left))
    assert (attempts, build.left) == (4, [])
    assert counts == sorted(counts, reverse=True)
    assert build.count("deregister") == 200
    assert set(build.account.world.images.snapshots) == set(build.candidate.snapshot_ids)
    assert promises.broken == []


def test_latest_that_changes_while_images_go_stops_the_rest() -> None:
    build = Pile(10)
    slow = Slow(build.account, "deregister", 16)
    build.account.world.images.hooks.append(slow)
    chosen = build.pile[0].image_id
    order = [image.image_id for image in reversed(build.pile)]
    slow.then = lambda call: (
        None
        if call.args[0] != order[2]
        else build.account.world.parameters.set(LATEST, chosen, "aws:ec2:image")
    )
    result = build.retire_for(3600)
    assert chosen in build.left
    assert len(build.left) < 10
    assert {each.image_id for each in result.decisions} == {each.image_id for each in build.pile} - set(
        build.left
    )


def test_no_look_is_begun_that_would_be_cut_off() -> None:
    build = Pile(60)
    build.account.world.images.hooks.append(Slow(build.account, "deregister", 2))
    build.account.world.usage.hooks.append(Slow(build.account, "usage_of", 30))
    with pytest.raises(CleanUpIncompleteError):
        build.retire_for(180)
    # 30 seconds for the look, 60 in which it was used; another look would have had 90 less what it keeps free.
    assert build.count("usage_of") == 1
    assert len(build.left) == 60 - 31


def test_a_result_tells_what_it_can_carry_and_how_much_it_leaves_out() -> None:
    build = Pile(400)
    arn = "arn:aws:ec2:us-east-1:123456789012:launch-template/lt-0123456789abcdef0"
    for image in build.pile[:350]:
        for number in range(20):
            build.account.world.usage.use(image.image_id, UsageKind.LAUNCH_TEMPLATE, f"{arn}{number:03}" * 3)
    lock(build.account, *(build.pile[360 + index].image_id for index in range(3)), method="deregister")
    result = build.retire_for(180)
    assert len(result.decisions) == 60
    assert all(each.blocked for each in result.decisions)
    assert result.omitted == 400 - 60
    assert len(result.blocked) == 3
    # Two of them, the plan and what else a state carries.
    assert len(result.model_dump_json()) < 100_000


def test_what_one_look_led_to_is_not_forgotten_for_the_next() -> None:
    build = Pile(10)
    build.account.world.images.hooks.append(Slow(build.account, "deregister", 16))
    locked = [build.pile[number].image_id for number in (0, 5, 9)]
    lock(build.account, *locked, method="deregister")
    result = build.retire_for(3600)
    assert {each.resource for each in result.blocked} == set(locked)
    assert build.count("usage_of") > 1


def test_what_failed_for_now_in_one_look_repeats_the_step_after_the_next() -> None:
    build = Pile(10)
    build.account.world.images.hooks.append(Slow(build.account, "deregister", 16))
    build.account.world.images.fail("deregister", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        build.retire_for(3600)
    assert build.count("usage_of") > 1
    assert len(build.left) == 1


# Snapshots.


def test_a_snapshot_that_another_environments_image_is_made_of_stays_until_that_one_goes() -> None:
    build = Pile(3)
    world = build.account.world
    other = world.images.add(
        an_image(900, name="comfyui-multitenant-dev", environment="dev", snapshot_ids=build.old.snapshot_ids)
    )
    result = build.retire_for(180)
    assert build.left == []
    assert set(build.old.snapshot_ids) <= set(world.images.snapshots)
    assert result.blocked == ()
    world.images.deregister(other.image_id)
    build.retire_for(180)
    assert not set(build.old.snapshot_ids) & set(world.images.snapshots)


def test_a_snapshot_that_two_candidates_share_goes_with_neither_and_after_both() -> None:
    build = Pile(2)
    twin = an_image(901, name=f"{NAME}.candidate.twin", snapshot_ids=build.old.snapshot_ids)
    build.account.world.images.add(twin)
    build.retire_for(180)
    asked = [
        call for call in build.account.world.images.called("deregister") if call.kwargs["with_snapshots"]
    ]
    assert not {call.args[0] for call in asked} & {twin.image_id, build.old.image_id}
    assert not set(build.old.snapshot_ids) & set(build.account.world.images.snapshots)


def test_an_image_whose_snapshot_is_not_ours_goes_without_it() -> None:
    build = Pile(3)
    snapshots = build.account.world.images.snapshots
    (theirs,) = build.old.snapshot_ids
    snapshots[theirs] = snapshots[theirs].model_copy(update={"tags": {}})
    (copied,) = build.pile[1].snapshot_ids
    snapshots[copied] = snapshots[copied].model_copy(
        update={"description": "Copied for DestinationAmi ami-1"}
    )
    build.retire_for(180)
    assert build.left == []
    assert {theirs, copied} <= set(snapshots)


def test_one_snapshot_that_is_refused_and_one_image_are_reported_and_the_others_go() -> None:
    build = Pile(6)
    locked, kept = build.pile[1], build.pile[2]
    lock(build.account, *locked.snapshot_ids)
    lock(build.account, kept.image_id, method="deregister")
    result = build.retire_for(180)
    assert build.left == [kept.image_id]
    assert {blocked.resource for blocked in result.blocked} == {*locked.snapshot_ids, kept.image_id}
    assert set(build.account.world.images.snapshots) == {
        *locked.snapshot_ids,
        *kept.snapshot_ids,
        *build.candidate.snapshot_ids,
    }
    record = build.account.history(kept.image_id)
    assert record is not None
    assert record.status is RecordStatus.KEPT


def test_records_that_cannot_be_read_together_are_read_one_by_one() -> None:
    build = Pile(4)
    build.account.world.parameters.fail("get_each", DENIED, times=100)
    build.retire_for(180)
    assert build.left == []
    records = [build.account.history(image.image_id) for image in build.pile]
    assert {record.status for record in records if record} == {RecordStatus.RETIRED}


# What executions left.


def orphans(account: Account, number: int, execution: str = "gone") -> list[Image]:
    return [
        account.world.images.add(
            an_image(500 + index, name=f"{NAME}.candidate.{index}", execution=execution, role="candidate")
        )
        for index in range(number)
    ]


def test_orphans_are_looked_at_together(account: Account) -> None:
    left = orphans(account, 25)
    account.world.parameters.calls.clear()
    result = account.build_cleaner.clean_up(a_clean_up())
    assert set(result.deregistered) == {image.image_id for image in left}
    assert set(result.deleted_snapshots) == {each for image in left for each in image.snapshot_ids}
    assert len(account.world.usage.called("usage_of")) == 1
    assert len(account.world.parameters.called("get_each")) == 1
    assert len(account.world.parameters.called("get")) == 2


def test_orphans_that_take_longer_than_the_function_are_gone_after_some_attempts(account: Account) -> None:
    orphans(account, 25)
    account.world.images.hooks.append(Slow(account, "deregister", 5))
    attempts = 0
    while True:
        attempts += 1
        orphan_remover = dataclasses.replace(account.orphan_remover, deadline=account.deadline)
        try:
            orphan_remover.remove(arn_of("gone"))
            break
        except CleanUpIncompleteError:
            assert attempts < 10
    assert attempts == 4
    assert [image for image in account.own_images() if "candidate" in image.name] == []


def test_an_environment_whose_records_are_throttled_holds_up_no_others_orphans(account: Account) -> None:
    orphans(account, 3)
    for image in [an_image(700 + index, environment="dev", execution="gone") for index in range(2)]:
        account.world.images.add(image)
    account.world.parameters.fail("get_each", ThrottledError("slower"))
    with pytest.raises(ThrottledError):
        account.build_cleaner.clean_up(a_clean_up())
    remaining = [
        each
        for each in account.world.images.all.values()
        if each.tags.get("ami-lifecycle:execution") == arn_of("gone")
    ]
    assert len(remaining) in {2, 3}
    account.build_cleaner.clean_up(a_clean_up())
    assert not [
        each
        for each in account.world.images.all.values()
        if each.tags.get("ami-lifecycle:execution") == arn_of("gone")
    ]


# The sweep.


def test_the_sweep_looks_for_one_image_that_can_go_and_leaves_the_rest_to_the_retirement(
    account: Account,
) -> None:
    pile = a_pile(account, 12)
    account.world.usage.use(pile[-1].image_id, UsageKind.LAUNCH_PERMISSION, "all")
    found = findings(account.sweeper.sweep())
    assert len([text for text in found if "can be retired" in text]) == 1
    assert len(account.world.usage.called("permissions_of")) == 2


def test_the_sweep_looks_up_the_images_of_all_environments_together(account: Account) -> None:
    a_pile(account, 3)
    other = Account(world=account.world, environment="dev")
    live = an_image(950, name="comfyui-multitenant-dev", environment="dev", digest=other.push("dev"))
    other.publish(live)
    old = an_image(951, name="comfyui-multitenant-dev.candidate.1", environment="dev")
    account.world.images.add(old)
    other.record(old, status=RecordStatus.SUPERSEDED)
    found = findings(account.sweeper.sweep())
    assert len([text for text in found if "can be retired" in text]) == 2
    (asked,) = account.world.usage.called("usage_of")
    assert len(asked.args[0]) == 4


def test_images_that_are_shared_start_no_retirement(account: Account) -> None:
    for image in a_pile(account, 3):
        account.world.usage.use(image.image_id, UsageKind.LAUNCH_PERMISSION, "all")
    assert not [text for text in findings(account.sweeper.sweep()) if "retired" in text]
