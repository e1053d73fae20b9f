"""The candidate: its name, its words and its tags, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import an_image
from tests.unit.steps.test_publishing import Build

from ami_lifecycle.domain.execution import ImageRef
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_BASE_CREATED,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    TAG_GENERATION,
    TAG_RELEASE,
    TAG_ROLE,
    Instance,
    InstanceState,
    Role,
)
from ami_lifecycle.errors import ForeignResourceError
from ami_lifecycle.steps.create_image import image_tags

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture
def build() -> Build:
    build = Build(tags={"CostCenter": "4711"})
    build.account.world.instances.add(Instance(instance_id=INSTANCE, state=InstanceState.STOPPED))
    return build


def test_the_candidate_is_made_of_the_builder_with_the_tags_of_its_owner(build: Build) -> None:
    made = build.create()
    assert build.plan.base is not None
    assert build.plan.base.created is not None
    (call,) = build.account.world.images.called("create")
    assert call.args == (
        INSTANCE,
        build.plan.candidate_name,
        f"comfyui prod {build.digest[:19]}",
        {
            "CostCenter": "4711",
            "Name": "comfyui-multitenant-prod",
            TAG_APPLICATION: "comfyui",
            TAG_ENVIRONMENT: "prod",
            TAG_EXECUTION: build.execution.arn,
            TAG_ROLE: "candidate",
            TAG_DIGEST: build.digest,
            TAG_RELEASE: build.execution.arn,
            TAG_GENERATION: "2",
            TAG_BASE_CREATED: build.plan.base.created.isoformat(),
        },
    )
    assert build.create() == made
    assert len(build.account.world.images.called("create")) == 1


@pytest.mark.parametrize("base", [None, {"created": None}])
def test_a_base_without_a_date_is_none_that_a_tag_tells(build: Build, base: dict[str, Any] | None) -> None:
    assert build.plan.base is not None
    changed = build.plan.base.model_copy(update=base) if base else None
    plan = build.plan.model_copy(update={"base": changed})
    tags = image_tags(plan, "arn", Role.CANDIDATE)
    assert TAG_BASE_CREATED not in tags
    assert tags[TAG_GENERATION] == "2"


def test_somebody_elses_image_of_the_name_is_told(build: Build) -> None:
    other = build.account.world.images.add(an_image(8, name=build.plan.candidate_name, execution="other"))
    with pytest.raises(ForeignResourceError) as raised:
        build.create()
    assert str(raised.value) == (
        f"{other.image_id} has the name {build.plan.candidate_name} and does not belong to this execution; rename or "
        "deregister it, and build again"
    )


def test_a_candidate_that_shows_between_two_looks_is_ours(build: Build) -> None:
    images = build.account.world.images
    there = images.add(an_image(8, name=build.plan.candidate_name, execution="e1"))
    images.hidden.add(there.image_id)
    create = images.create

    def created(*args: Any) -> str | None:
        answer = create(*args)
        images.hidden.clear()
        return answer

    images.create = created  # type: ignore[method-assign]  # EC2 shows it a moment later
    assert build.create() == ImageRef(image_id=there.image_id)
