"""A retired image is published again from its snapshots in the Recycle Bin, by the way of every candidate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.fakes import Call, Faulty
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Ended, Execution, converge, run
from tests.unit.steps.leftovers import findings
from tests.unit.steps.promises import Promises

from ami_lifecycle.domain.environment import merge_requests
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_BUILT_FOR,
    TAG_DIGEST,
    TAG_RELEASE,
    Image,
)
from ami_lifecycle.domain.plan import Promotion
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import parse_request
from ami_lifecycle.errors import (
    ImageCreationFailedError,
    InvalidRequestError,
    RecordNotFoundError,
    ThrottledError,
)

DAYS = 7


def account_with_bin(days: int = DAYS) -> tuple[Account, Image]:
    """Two builds, of which the first one's image was retired; and that image as it was."""
    account = Account()
    account.world.images.bin_days = days
    account.push("one")
    run(account, "e1")
    first = account.live
    account.push("two")
    run(account, "e2")
    assert [image.image_id for image in account.own_images()] == [account.latest]
    return account, first


def undelete(account: Account, image_id: str, name: str = "e3", **more: object) -> Ended:
    request = {
        "action": "undelete",
        "trigger": "rollback",
        "publish_image_id": image_id,
        "pin": True,
        "environment": "prod",
        **more,
    }
    return Execution(account, name).run(request)


def test_what_was_retired_is_live_again_with_the_same_disks_and_release() -> None:
    account, first = account_with_bin()
    second = account.live
    promises = Promises(account.world)
    ended = undelete(account, first.image_id, reason="it was needed")
    assert ended.outcome == "published", ended
    assert account.live.image_id not in {first.image_id, second.image_id}
    assert account.live.name == "comfyui-multitenant-prod"
    assert account.live.snapshot_ids == first.snapshot_ids
    assert account.live.tags[TAG_DIGEST] == first.tags[TAG_DIGEST]
    assert account.live.tags[TAG_RELEASE] == arn_of("e1")
    assert account.live.tags[TAG_BUILT_FOR] == "prod"
    assert account.metadata.release == arn_of("e1")
    assert account.metadata.promoted_from is None
    assert account.metadata.reason.endswith("is taken out of the Recycle Bin; it was needed")
    assert ended.result is not None
    assert (ended.result.action, ended.result.promoted_from) == (Action.UNDELETE, None)
    pin = account.world.environments.get("prod").pin
    assert pin is not None
    assert (pin.image_id, pin.digest) == (account.latest, first.tags[TAG_DIGEST])
    left = account.history(second.image_id)
    assert left is not None
    assert left.rolled_back, "a later rollback does not go to what was left"
    assert promises.at_rest() == []


def test_a_canary_checks_it_and_one_that_refuses_it_keeps_it_from_being_published() -> None:
    account, first = account_with_bin()
    second = account.latest
    account.verification_fails = True
    ended = undelete(account, first.image_id)
    assert (ended.outcome, ended.error) == ("failed", "VerificationFailedError")
    assert account.latest == second
    assert set(first.snapshot_ids) <= set(account.world.images.bin), "they are in the bin again"
    assert [image.image_id for image in account.own_images()] == [second]


def test_an_image_that_is_there_is_published_without_being_made_again() -> None:
    account = Account({"retirement": {"keep_previous": 1}})
    account.push("one")
    run(account, "e1")
    first = account.live
    account.push("two")
    run(account, "e2")
    assert undelete(account, first.image_id).outcome == "published"
    assert account.latest == first.image_id
    assert account.world.images.called("snapshots_in_bin") == []


def test_what_the_bin_has_let_go_cannot_come_back_and_the_remedy_is_named() -> None:
    account, first = account_with_bin()
    account.world.clock.advance(timedelta(days=DAYS).total_seconds())
    ended = undelete(account, first.image_id)
    assert (ended.outcome, ended.error) == ("failed", "RecordNotFoundError")
    assert (
        f"{first.snapshot_ids[0]} of {first.image_id} is neither there nor in the Recycle Bin" in ended.reason
    )
    assert f"ami-lifecycle rollback prod --to {first.image_id}" in ended.reason


def test_what_only_its_record_lacks_is_refused_before_anything_is_done() -> None:
    account, first = account_with_bin()
    account.change_record(first.image_id, registration=None)
    request = BuildRequest(environment="prod", action=Action.UNDELETE, publish_image_id=first.image_id)
    with pytest.raises(RecordNotFoundError, match="does not say how to register"):
        account.planner.plan_request(request, arn_of("e3"))
    account.world.parameters.all.pop(f"{account.prefix}/history/{first.image_id}")
    with pytest.raises(RecordNotFoundError, match="has no readable record of"):
        account.planner.plan_request(request, arn_of("e3"))


def test_the_plan_says_which_image_and_what_it_was_built_with() -> None:
    account, first = account_with_bin()
    account.change_record(first.image_id, generation=4)
    request = BuildRequest(environment="prod", action=Action.UNDELETE, publish_image_id=first.image_id)
    plan = account.planner.plan_request(request, arn_of("e3")).plan
    assert plan.action is Action.UNDELETE
    assert (plan.generation, plan.image.digest) == (4, first.tags[TAG_DIGEST])
    assert plan.promotion == Promotion(
        environment="prod", image_id=first.image_id, release=arn_of("e1"), built_for="prod"
    )
    account.change_record(first.image_id, release=None, docker_image="")
    plan = account.planner.plan_request(request, arn_of("e3")).plan
    assert plan.promoted.release == first.image_id
    assert plan.image.repository_uri == account.world.repository.uri("comfyui")


def test_snapshots_that_are_there_are_not_restored() -> None:
    """As after an attempt that went no further, or where an image of another environment needs them."""
    account, first = account_with_bin()
    for snapshot_id in first.snapshot_ids:
        account.world.images.restore_snapshot(snapshot_id)
    account.world.clock.advance(5)
    restored = len(account.world.images.called("restore_snapshot"))
    assert undelete(account, first.image_id).outcome == "published"
    assert len(account.world.images.called("restore_snapshot")) == restored


def test_snapshots_without_our_tag_are_left_alone() -> None:
    account, first = account_with_bin()
    snapshot_id = first.snapshot_ids[0]
    account.world.images.restore_snapshot(snapshot_id)
    known = account.world.images.snapshots[snapshot_id]
    account.world.images.snapshots[snapshot_id] = known.model_copy(
        update={"tags": {**known.tags, TAG_APPLICATION: "other"}}
    )
    account.world.clock.advance(5)
    ended = undelete(account, first.image_id)
    assert (ended.outcome, ended.error) == ("failed", "ForeignResourceError")
    assert snapshot_id in account.world.images.snapshots


def test_snapshots_that_the_sweep_took_meanwhile_are_taken_out_again() -> None:
    account, first = account_with_bin()
    account.world.images.fail("register_copy", ImageCreationFailedError("a snapshot is gone"), times=1)
    assert undelete(account, first.image_id).outcome == "published"


def test_an_attempt_whose_answer_was_lost_registers_no_second_image() -> None:
    account, first = account_with_bin()

    class Lost:
        """The first registration works, and nobody hears of it."""

        def __init__(self) -> None:
            self.once = True

        def before(self, port: Faulty, call: Call) -> None:
            """Nothing."""

        def after(self, port: Faulty, call: Call) -> None:
            if call.method == "register_copy" and self.once:
                self.once = False
                raise ThrottledError("lost")

    before = len(account.world.images.called("register_copy"))
    account.world.images.hooks.append(Lost())
    assert undelete(account, first.image_id).outcome == "published"
    made = account.world.images.called("register_copy")[before:]
    assert [".candidate." in call.args[1] for call in made] == [True, False]
    assert [image.image_id for image in account.own_images()] == [account.latest]


def test_a_promoted_release_keeps_whose_it_is() -> None:
    account, first = account_with_bin()
    account.change_record(first.image_id, promoted_from="dev")
    assert undelete(account, first.image_id).outcome == "published"
    assert account.metadata.promoted_from == "dev"


def test_the_sweep_lets_a_pinned_undeletion_be() -> None:
    account, first = account_with_bin()
    undelete(account, first.image_id)
    live = account.latest
    converge(account)
    assert account.latest == live
    assert not findings(account.sweeper.sweep())


def test_what_was_made_with_other_hooks_says_so() -> None:
    account, first = account_with_bin()
    account.change_record(first.image_id, recipe="abc.def")
    assert undelete(account, first.image_id).outcome == "published"
    assert account.metadata.recipe == "abc.def"


def test_history_still_says_that_the_image_itself_was_retired() -> None:
    account, first = account_with_bin()
    undelete(account, first.image_id)
    record = account.history(first.image_id)
    assert record is not None
    assert record.status is RecordStatus.RETIRED


# The request.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "publish_image_id is missing"),
        ({"publish_image_id": "ami-0123456789abcdef0", "fresh": True}, "knows no fresh"),
        ({"publish_image_id": "ami-0123456789abcdef0", "image_tag": "x"}, "knows no image_tag"),
        (
            {
                "publish_image_id": "ami-0123456789abcdef0",
                "image_digest": "sha256:" + "a" * 64,
                "image_tag": "x",
            },
            "knows no image_tag, image_digest",
        ),
        ({"publish_image_id": "ami-0123456789abcdef0", "release": "r"}, "belong to action promote"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        parse_request({"environment": "prod", "action": "undelete", **fields})


def test_it_goes_back_and_is_not_displaced_by_a_push() -> None:
    wanted = BuildRequest(
        environment="prod",
        action=Action.UNDELETE,
        trigger=Trigger.ROLLBACK,
        publish_image_id=an_image(1).image_id,
        pin=True,
    )
    assert wanted.goes_back
    push = BuildRequest(environment="prod", trigger=Trigger.PUSH)
    assert merge_requests(wanted, push) == wanted
    assert merge_requests(wanted, BuildRequest(environment="prod", action=Action.RETIRE)) == wanted
