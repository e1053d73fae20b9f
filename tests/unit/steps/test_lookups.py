"""What is live, as EC2 shows it: looked for again before anything is done about what it does not show."""

from __future__ import annotations

import pytest
from tests.fakes import FakeClock, FakeImages, FakeInstances
from tests.unit.steps.account import an_image, arn_of, image_id_of

from ami_lifecycle.domain.model import Instance, InstanceState
from ami_lifecycle.errors import BuilderLostError, BuildError, CanaryLostError
from ami_lifecycle.steps.lookups import (
    account_of,
    find_image,
    missing_images,
    require_alive,
    unseen_holder,
)


class Late(FakeImages):
    """Shows its images only from the so-and-so-manieth look on."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks
        self.add(an_image(1))
        self.hidden.add(image_id_of(1))

    def seen(self) -> None:
        self.looks -= 1
        if self.looks <= 0:
            self.hidden.clear()

    def get(self, image_id: str):  # type: ignore[no-untyped-def,override]  # a look more
        self.seen()
        return super().get(image_id)

    def find_each(self, image_ids):  # type: ignore[no-untyped-def,override]  # a look more
        self.seen()
        return super().find_each(image_ids)


@pytest.mark.parametrize(
    ("looks", "found", "pauses"), [(1, True, 0), (2, True, 1), (5, True, 4), (6, False, 4)]
)
def test_an_image_is_looked_for_for_two_seconds(looks: int, found: bool, pauses: int) -> None:
    clock = FakeClock()
    image = find_image(image_id_of(1), Late(looks), clock)
    assert (image is not None, clock.pauses) == (found, [0.5] * pauses)


@pytest.mark.parametrize(
    ("looks", "missing", "pauses"), [(1, False, 0), (2, False, 1), (5, False, 4), (6, False, 4), (7, True, 4)]
)
def test_missing_images_are_looked_for_for_two_seconds_together(
    looks: int, missing: bool, pauses: int
) -> None:
    clock = FakeClock()
    found = missing_images([image_id_of(1)], Late(looks), clock)
    assert (found == {image_id_of(1)}, clock.pauses) == (missing, [0.5] * pauses)


def test_of_several_images_those_that_are_gone_are_told() -> None:
    images, clock = FakeImages(), FakeClock()
    images.add(an_image(1))
    theirs = images.add(an_image(2, owner_id="099720109477"))
    gone = [image_id_of(4), image_id_of(3)]
    assert missing_images([image_id_of(1), theirs.image_id, *gone], images, clock) == set(gone)
    assert [call.args for call in images.called("get")] == [
        (each,) for each in sorted([theirs.image_id, *gone])
    ]
    assert images.called("find_each")[1].args == (sorted([theirs.image_id, *gone]),)


def test_nothing_is_asked_of_nothing() -> None:
    images, clock = FakeImages(), FakeClock()
    assert missing_images([], images, clock) == set()
    assert (images.calls, clock.pauses) == ([], [])


def test_a_name_that_nobody_is_seen_to_have_is_told_with_where_to_look() -> None:
    assert str(unseen_holder("prod")) == (
        "the name prod is taken, and EC2 shows no image of that name yet; if this persists, look for it in the "
        "Recycle Bin"
    )


def test_the_account_is_read_from_the_arn() -> None:
    assert account_of(arn_of("e1")) == "123456789012"


@pytest.mark.parametrize(
    ("role", "error", "name"),
    [
        ({"ami-lifecycle:role": "canary"}, CanaryLostError, "canary"),
        ({"ami-lifecycle:role": "builder"}, BuilderLostError, "builder"),
        ({}, BuilderLostError, "builder"),
    ],
)
@pytest.mark.parametrize(
    ("reason", "words", "remedy"),
    [
        (None, "", "Look for a quota or a person that ended it, and build again"),
        (
            "Client.UserInitiatedShutdown",
            ": Client.UserInitiatedShutdown",
            "Look for a quota or a person that ended it, and build again",
        ),
        *(
            (
                f"{code}: Client error on launch",
                f": {code}: Client error on launch",
                (
                    "The key that encrypts its volumes cannot be used: deploy the stack with the key's ARN as "
                    "VolumeKeyArn, see that the key is enabled and that its policy admits the launching roles "
                    "(docs/deploy.md, 10), and build again"
                ),
            )
            for code in ("Client.InternalError", "Client.InvalidKMSKey.InvalidState")
        ),
    ],
)
def test_an_instance_that_has_ended_is_told_with_its_reason_and_what_helps(
    role: dict[str, str], error: type[BuildError], name: str, reason: str | None, words: str, remedy: str
) -> None:
    instances = FakeInstances()
    instances.add(Instance(instance_id="i-1", state=InstanceState.TERMINATED, state_reason=reason, tags=role))
    with pytest.raises(BuildError) as raised:
        require_alive("i-1", instances)
    assert type(raised.value) is error
    assert str(raised.value) == f"the {name} i-1 is terminated{words}. {remedy}"


@pytest.mark.parametrize("state", [InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPED])
def test_an_instance_that_lives_or_is_not_shown_yet_counts_as_alive(state: InstanceState) -> None:
    instances = FakeInstances()
    instances.add(Instance(instance_id="i-1", state=state))
    require_alive("i-1", instances)
    require_alive("i-2", instances)
