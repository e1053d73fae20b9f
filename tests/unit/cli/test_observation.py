"""Why the live image does not have the constant name, and what a rebuild by schedule waits for."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.samples import NOW, a_live, an_answer, an_asking_stack, digest, image_id
from tests.unit.domain.builders import an_image, published, settings

from ami_lifecycle.domain.approval import Subject
from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.environment import EnvironmentRecord, Pin
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.scheduled_rebuild import Rebuild
from ami_lifecycle_cli.stack.formatting import short_digest, utc_date
from ami_lifecycle_cli.stack.observation import _source_drift, explain_name, explain_rebuild, soaking_of

REBUILD = Rebuild(NOW - timedelta(days=1), "its base is old")
PINNED = EnvironmentRecord(environment="prod", pin=Pin(image_id=image_id(3), at=NOW))
FREE = EnvironmentRecord(environment="prod")
KEPT = Decision(
    image_id=image_id(1), action=RetireAction.KEEP, reason="previous image 1 of 1 that the settings keep"
)


def explained(live_name: str, decision: Decision) -> str | None:
    image = an_image(2, name=live_name)
    live = Live(value=image.image_id, image=image)
    return explain_name(settings(), live, [image_id(1)], [decision])


def test_a_kept_image_that_has_the_name_is_explained_and_nothing_to_mend() -> None:
    text = explained("comfyui-multitenant-prod.candidate.x", KEPT)
    assert text is not None
    assert text.startswith(
        f"{image_id(1)} has the name comfyui-multitenant-prod and stays: previous image 1 of 1"
    )


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("comfyui-multitenant-prod", KEPT),
        ("candidate", KEPT.model_copy(update={"blocked": True, "reason": "in use: launch template lt-1"})),
        ("candidate", KEPT.model_copy(update={"action": RetireAction.RETIRE})),
    ],
)
def test_what_will_pass_is_no_price_of_a_setting(name: str, decision: Decision) -> None:
    assert explained(name, decision) is None


@pytest.mark.parametrize(
    ("record", "has_image", "waits"),
    [
        (EnvironmentRecord(environment="prod"), True, "the sweep starts it, in its turn"),
        (
            EnvironmentRecord(environment="prod"),
            False,
            f"comfyui has no image {digest(3)} any more, so push it again",
        ),
        (PINNED, False, f"prod is pinned to {image_id(3)}"),
    ],
)
def test_a_rebuild_that_cannot_start_says_what_it_waits_for(
    record: EnvironmentRecord, has_image: bool, waits: str
) -> None:
    found = explain_rebuild(settings(), a_live(3), record, REBUILD, NOW, has_image=has_image)
    assert found.waits is not None
    assert found.waits.startswith(waits)


def test_a_base_that_has_changed_is_not_taken_for_hooks() -> None:
    live = a_live(3)
    repository = SimpleNamespace(digest_of=lambda *_: live.digest)
    stack: Any = SimpleNamespace(
        repository=repository, documents=None, clock=SimpleNamespace(now=lambda: NOW)
    )
    wanted = settings(base=BaseSettings(preset="debian-12"))
    (finding,) = _source_drift(stack, wanted, live, EnvironmentRecord(environment="prod"))
    assert finding == (
        f"the recipe, of base and hooks, is {wanted.recipe}, and the live image's is none: the sweep starts a build "
        "within 15 minutes"
    )


ASKS = settings(approval={"pushes": True}, base=BaseSettings(preset="debian-12"))


OTHER_BASE = Subject(environment="prod", digest=digest(3), recipe=ASKS.recipe)
BY_HAND = Subject(environment="prod", digest=digest(9), recipe=ASKS.recipe)


@pytest.mark.parametrize(
    ("stack", "why"),
    [
        (an_asking_stack(digest(3), asked=OTHER_BASE), f"it waits for approval, {OTHER_BASE.id} waits until"),
        (an_asking_stack(digest(3), decided=an_answer(OTHER_BASE)), f"{OTHER_BASE.id} was rejected by ann"),
        (
            an_asking_stack(digest(3), asked=BY_HAND),
            "another request waits first; see: ami-lifecycle approvals",
        ),
    ],
)
def test_another_base_that_waits_for_people_is_not_said_to_be_built(stack: Any, why: str) -> None:
    (finding,) = _source_drift(stack, ASKS, a_live(3), FREE)
    assert finding.startswith(
        f"the recipe, of base and hooks, is {ASKS.recipe}, and the live image's is none: {why}"
    )


def test_what_keeps_the_first_image_from_being_built_is_said() -> None:
    nothing = Live(value=None, problem="`latest` does not exist yet")
    rejected = an_asking_stack(digest(3), decided=an_answer(OTHER_BASE))
    (finding,) = _source_drift(rejected, ASKS, nothing, FREE)
    assert finding.startswith(
        f"prod-latest is {short_digest(digest(3))}: {OTHER_BASE.id} was rejected by ann"
    )
    waits = an_asking_stack(digest(3), asked=OTHER_BASE)
    assert not list(_source_drift(waits, ASKS, nothing, FREE)), "that is said with what is live"


WATCHED = settings(rollback_on_alarm={"alarms": "prod-*", "soak_minutes": 60})


def test_a_soak_is_shown_to_its_last_moment() -> None:
    since = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    record = published(2, 2).model_copy(update={"soaking_since": since, "replaces": image_id(1)})
    end = NOW + timedelta(hours=1)
    found = soaking_of(record, WATCHED, FREE, end)
    assert found is not None
    assert str(found) == f"until {utc_date(end)} UTC: an alarm of prod-* goes back to {image_id(1)}"
    assert (found.as_json()["alarms"], found.as_json()["back_to"]) == ("prod-*", image_id(1))
    first = soaking_of(record.model_copy(update={"replaces": None}), WATCHED, FREE, end)
    assert str(first).endswith("an alarm of prod-* finds nothing to go back to")
    assert soaking_of(record, WATCHED, FREE, end + timedelta(seconds=1)) is None
    assert soaking_of(record, WATCHED, PINNED, NOW) is None
    assert soaking_of(record, settings(), FREE, NOW) is None
