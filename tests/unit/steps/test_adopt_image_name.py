"""The live image gets the environment's one name, or says why it keeps its own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import an_image
from tests.unit.steps.test_publishing import Build, a_copy

from ami_lifecycle.domain.execution import Adoption
from ami_lifecycle.domain.model import TAG_EXECUTION, TAG_IMAGED, TAG_RELEASE, ImageState

NAME = "comfyui-multitenant-prod"


@pytest.fixture
def build() -> Build:
    """A build whose candidate is live, and whose predecessor has gone."""
    build = Build(tags={"CostCenter": "4711"})
    build.publish()
    build.retire()
    return build


def test_the_copy_is_registered_under_the_name_with_its_candidates_tags_and_those_demanded(
    build: Build,
) -> None:
    tags = {"aws:backup:source": "x", "own": "y", "AWS": "z"}
    candidate = build.candidate.model_copy(update={"tags": {**build.candidate.tags, **tags}})
    build.account.world.images.add(candidate)
    assert candidate.creation_date is not None
    adoption = build.adopt()
    assert adoption == Adoption(adopted=True, image_id=adoption.image_id, reason="registered")
    copy = build.account.world.images.all[adoption.image_id]
    assert copy.name == NAME
    assert copy.tags == {
        **build.candidate.tags,
        "own": "y",
        "AWS": "z",
        "CostCenter": "4711",
        TAG_EXECUTION: build.execution.arn,
        TAG_IMAGED: candidate.creation_date.isoformat(),
        TAG_RELEASE: build.execution.arn,
        "ami-lifecycle:role": "canonical",
    }


def test_the_copy_of_a_candidate_from_before_releases_is_of_the_execution_that_made_it(build: Build) -> None:
    tags = {key: value for key, value in build.candidate.tags.items() if key != TAG_RELEASE}
    maker = "arn:aws:states:us-east-1:123456789012:execution:build-image:maker"
    build.account.world.images.add(
        build.candidate.model_copy(update={"tags": {**tags, TAG_EXECUTION: maker}})
    )
    copy = build.account.world.images.all[build.adopt().image_id]
    assert (copy.tags[TAG_RELEASE], copy.tags[TAG_EXECUTION]) == (maker, build.execution.arn)


def test_a_copy_that_an_earlier_attempt_registered_is_found(build: Build) -> None:
    first = build.adopt()
    assert build.adopt() == Adoption(adopted=True, image_id=first.image_id, reason="registered before")


def test_a_pending_copy_may_show_no_snapshots_yet(build: Build) -> None:
    copy = a_copy(build, snapshot_ids=(), state=ImageState.PENDING)
    assert build.adopt() == Adoption(adopted=True, image_id=copy.image_id, reason="registered before")


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshot_ids": ("snap-other",)},
        {"execution": "other"},
        {"environment": "dev", "name": NAME},
        {"environment": None, "name": NAME},
    ],
)
def test_another_image_of_the_name_keeps_it(build: Build, changes: dict[str, object]) -> None:
    other = a_copy(build, **changes)
    assert build.adopt() == Adoption(
        adopted=False,
        reason=f"{other.image_id} has the name {NAME}; `latest` stays on {build.candidate.image_id} until that image "
        "is gone",
    )


def test_a_candidate_that_is_not_live_any_more_keeps_its_name(build: Build) -> None:
    build.account.world.parameters.set(f"{build.account.prefix}/latest", build.old.image_id)
    assert build.adopt() == Adoption(
        adopted=False,
        reason=f"`latest` does not name {build.candidate.image_id} any more, so its name stays",
    )


def test_a_candidate_that_is_gone_is_not_copied(build: Build) -> None:
    build.account.world.images.hidden.add(build.candidate.image_id)
    assert not build.adopt().adopted


def test_a_live_image_that_is_not_ours_keeps_its_name(build: Build) -> None:
    build.account.world.images.add(an_image(2, name="theirs", environment="dev"))
    assert build.adopt() == Adoption(
        adopted=False,
        reason=f"{build.candidate.image_id} does not carry the tags of comfyui prod, so it keeps its own name",
    )


def test_a_copy_that_shows_between_two_looks_is_found(build: Build) -> None:
    images = build.account.world.images
    copy = a_copy(build)
    images.hidden.add(copy.image_id)
    register = images.register_copy

    def registered(*args: Any) -> str | None:
        answer = register(*args)
        images.hidden.clear()
        return answer

    images.register_copy = registered  # type: ignore[method-assign]  # EC2 shows it a moment later
    assert build.adopt() == Adoption(adopted=True, image_id=copy.image_id, reason="registered before")


def test_a_candidate_without_a_date_gives_its_copy_none(build: Build) -> None:
    build.account.world.images.add(build.candidate.model_copy(update={"creation_date": None}))
    copy = build.account.world.images.all[build.adopt().image_id]
    assert TAG_IMAGED not in copy.tags


def test_a_candidate_of_no_release_gives_its_copy_none(build: Build) -> None:
    tags = {
        key: value for key, value in build.candidate.tags.items() if key not in {TAG_RELEASE, TAG_EXECUTION}
    }
    build.account.world.images.add(build.candidate.model_copy(update={"tags": tags}))
    copy = build.account.world.images.all[build.adopt().image_id]
    assert TAG_RELEASE not in copy.tags
