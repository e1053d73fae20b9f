"""Kept images are deprecated, the live one is protected; and neither stops what a build does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, arn_of, image_id_of
from tests.unit.steps.leftovers import started
from tests.unit.steps.test_publishing import CANDIDATE, Build

from ami_lifecycle.domain.environment import Pin
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.image_switches import DueSwitch, Switch
from ami_lifecycle.domain.model import Image, UsageKind
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AccessDeniedError, ThrottledError
from ami_lifecycle.steps.image_switches import ImageSwitcher

SWITCHES = ("deprecate", "undeprecate", "protect", "unprotect")


def published(**retirement: Any) -> Build:
    build = Build(retirement=retirement)
    build.publish()
    return build


def image(build: Build, number: int) -> Image:
    return build.account.world.images.all[image_id_of(number)]


def switched(account: Account) -> list[tuple[str, str]]:
    return [(call.method, call.args[0]) for call in account.world.images.calls if call.method in SWITCHES]


def test_off_switches_nothing() -> None:
    build = published(keep_previous=1)
    build.retire()
    assert switched(build.account) == []


def test_kept_images_are_deprecated_from_the_next_minutes_on() -> None:
    build = published(keep_previous=1, deprecate_kept=True)
    build.account.world.clock.advance(12.345)
    before = build.account.world.clock.now()
    build.retire()
    at = image(build, 1).deprecated_at
    assert at is not None
    assert (at.second, at.microsecond) == (0, 0)
    assert timedelta(minutes=1) <= at - before <= timedelta(minutes=2, seconds=5)
    assert image(build, 2).deprecated_at is None
    build.retire()
    assert switched(build.account) == [("deprecate", image_id_of(1))]


def test_images_in_use_are_kept_and_so_deprecated() -> None:
    build = published(deprecate_kept=True)
    build.account.world.usage.use(image_id_of(1), UsageKind.LAUNCH_PERMISSION, "111122223333")
    build.retire()
    assert image(build, 1).deprecated_at is not None


def test_what_goes_is_not_deprecated() -> None:
    build = published(deprecate_kept=True)
    build.retire()
    assert switched(build.account) == []


def test_what_will_be_live_again_and_what_others_have_copied_is_not_deprecated() -> None:
    build = published(deprecate_kept=True)
    images, environments = build.account.world.images, build.account.world.environments
    for number in (3, 4):
        images.add(an_image(number, name=f"{CANDIDATE}{number}", digest=f"sha256:{number}"))
    images.add(an_image(5, name="backup", tags={"Name": "x"}))
    environments.set_pin("prod", Pin(image_id=image_id_of(3), at=build.account.world.clock.now()))
    wanted = BuildRequest(environment="prod", action=Action.PUBLISH, publish_image_id=image_id_of(4))
    assert environments.queue("prod", wanted, behind=build.claim, revision=0)
    build.retire()
    assert switched(build.account) == []


def test_an_image_that_becomes_live_again_loses_its_date() -> None:
    build = published(keep_previous=1, deprecate_kept=True)
    at = build.account.world.clock.now()
    build.account.world.images.deprecate(image_id_of(2), at)
    build.retire()
    assert image(build, 2).deprecated_at is None


def test_the_candidate_is_not_protected_while_its_name_is_to_change() -> None:
    build = published(deregistration_protection=True)
    assert build.retire().adopt_name
    assert switched(build.account) == []


def test_the_live_image_is_protected_and_an_old_one_goes_all_the_same() -> None:
    build = published(deregistration_protection=True, max_images=5)
    build.account.world.images.protect(image_id_of(1))
    retired = build.retire()
    assert not retired.blocked
    assert image_id_of(1) not in build.account.world.images.all
    assert switched(build.account)[1:] == [("unprotect", image_id_of(1))]
    record = build.account.history(image_id_of(1))
    assert record is not None
    assert record.status.value == "retired"


def test_the_canonical_image_is_protected_at_the_end_and_the_candidate_goes() -> None:
    build = published(deregistration_protection=True)
    build.retire()
    adopted = build.adopt()
    build.account.world.images.settle()
    canonical = build.account.world.images.all[adopted.image_id]
    build.publish(canonical, copy_of=build.candidate.image_id)
    build.retire()
    assert build.candidate.image_id not in build.account.world.images.all
    assert build.account.world.images.all[adopted.image_id].is_protected
    assert switched(build.account) == [("protect", adopted.image_id)]


def test_an_old_image_that_is_used_stays_protected() -> None:
    build = published(deregistration_protection=True)
    build.account.world.images.protect(image_id_of(1))
    build.account.world.usage.use(image_id_of(1), UsageKind.FLEET, "fleet-1")
    build.retire()
    assert image(build, 1).is_protected
    # It has the constant name, so the candidate keeps its own, and is what must not go.
    assert switched(build.account)[1:] == [("protect", image_id_of(2))]


def test_an_image_of_others_is_not_switched() -> None:
    build = Build(retirement={"deregistration_protection": True, "deprecate_kept": True})
    other = build.account.world.images.add(an_image(9, environment="dev"))
    build.account.world.parameters.set(f"{build.account.prefix}/latest", other.image_id)
    build.retire()
    assert switched(build.account) == []


def test_a_refusal_is_told_and_stops_nothing() -> None:
    build = published(keep_previous=1, deprecate_kept=True)
    build.account.world.images.fail("deprecate", AccessDeniedError("denied. Grant it."), times=9)
    retired = build.retire()
    assert [(each.resource, each.error) for each in retired.blocked] == [
        (image_id_of(1), "AccessDeniedError")
    ]


def test_a_passing_error_has_the_step_repeated() -> None:
    build = published(keep_previous=1, deprecate_kept=True)
    build.account.world.images.fail("deprecate", ThrottledError("slower"), times=1)
    with pytest.raises(ThrottledError):
        build.retire()
    build.retire()
    assert image(build, 1).deprecated_at is not None


def test_nothing_is_switched_while_latest_changes() -> None:
    build = published(keep_previous=1, deprecate_kept=True)
    name = f"{build.account.prefix}/latest"
    build.account.world.images.add(an_image(3, name=f"{CANDIDATE}3", digest="sha256:3"))

    class Changed:
        """Somebody changes `latest` while the uses are looked up."""

        def before(self, _: object, call: Any) -> None:
            build.account.world.parameters.set(name, image_id_of(1))

        def after(self, _: object, call: Any) -> None:
            """Nothing more."""

    build.account.world.usage.hooks.append(Changed())
    build.retire()
    assert switched(build.account) == []


def test_what_is_switched_is_what_is_due() -> None:
    build = published()
    images, clock = build.account.world.images, build.account.world.clock
    due = [DueSwitch(image_id_of(2), switch) for switch in Switch]
    done = ImageSwitcher(images, clock).switch(due)
    assert (done.done, done.blocked, done.transient) == ([None, None, None], [], [])
    assert [method for method, _ in switched(build.account)] == ["deprecate", "undeprecate", "protect"]


# The sweep.


@pytest.mark.parametrize(
    ("retirement", "due"),
    [
        ({"keep_previous": 1, "deprecate_kept": True}, f"retire {image_id_of(3)}"),
        ({"keep_previous": 1, "deregistration_protection": True}, f"retire {image_id_of(1)}"),
        ({"keep_previous": 1}, None),
    ],
)
def test_the_sweep_has_it_done_where_it_is_not(retirement: dict[str, Any], due: str | None) -> None:
    account = Account({"retirement": retirement})
    account.publish(an_image(1, digest=account.push("one")))
    account.world.images.add(an_image(3, name=f"{CANDIDATE}3", digest="sha256:3"))
    account.world.executions.end(arn_of("long-ago"), ExecutionStatus.SUCCEEDED)
    history = account.history(image_id_of(1))
    assert history is not None
    old = history.model_copy(update={"ami_id": image_id_of(3), "status": RecordStatus.SUPERSEDED})
    account.world.parameters.set(f"{account.prefix}/history/{image_id_of(3)}", old.model_dump_json())
    account.sweeper.sweep()
    held = account.world.environments.get("prod").held_back
    assert [each.what for each in held] == ([due] if due else [])
    assert [each.action for each in started(account)] == ([Action.RETIRE] if due else [])
