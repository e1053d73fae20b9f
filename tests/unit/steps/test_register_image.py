"""The candidate of a promotion: what is registered, what is found again, and what is told where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import arn_of
from tests.unit.steps.test_claim_races import holder_of
from tests.unit.steps.test_promotions import Both
from tests.unit.steps.test_recipes import hooked

from ami_lifecycle.domain.execution import ClaimedInput, ImageRef
from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BUILT_FOR,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    TAG_GENERATION,
    TAG_IMAGED,
    TAG_RECIPE,
    TAG_RELEASE,
    TAG_ROLE,
    Image,
)
from ami_lifecycle.errors import (
    AmiLifecycleError,
    ForeignResourceError,
    ImageCreationFailedError,
    RecordNotFoundError,
    ResourceNotVisibleError,
)
from ami_lifecycle.steps.register_image import register_image

ARN = arn_of("e1")
CHECK = HookSettings.model_validate({"verify": [{"script": "config/hooks/check.sh"}]})


class Promotion(Both):
    """A promotion that was planned, and holds the environment."""

    def __init__(self, hooks: HookSettings | None = None, launch: Any = None, **tags: str) -> None:
        super().__init__(tags={"CostCenter": "4711"}, launch=launch or {})
        if hooks is not None:
            hooked(self.prod, hooks)
        self.source = self.add(self.tested, tags={**self.tested.tags, TAG_GENERATION: "3", **tags})
        self.planned = self.plan()
        claim = holder_of(self.prod, "e1", digest=self.tested.tags[TAG_DIGEST])
        self.step = ClaimedInput(plan=self.planned, execution_arn=ARN, claim_number=claim.number)

    def add(self, image: Image, **changes: Any) -> Image:
        return self.prod.world.images.add(image.model_copy(update=changes))

    def register(self) -> ImageRef:
        world = self.prod.world
        return register_image(self.step, world.images, world.environments, world.clock, self.prod.deadline)

    def refusal(self, kind: type[AmiLifecycleError]) -> str:
        with pytest.raises(AmiLifecycleError) as raised:
            self.register()
        assert type(raised.value) is kind
        return str(raised.value)

    @property
    def registered(self) -> Any:
        return [call.args for call in self.prod.world.images.called("register_copy")]


def test_the_candidate_is_made_of_the_sources_disks_with_the_tags_of_its_owner() -> None:
    promotion = Promotion(
        CHECK, **{TAG_BASE: "ubuntu-22.04", TAG_BASE_CREATED: "2025-01-01T00:00:00Z", "Team": "theirs"}
    )
    registered = promotion.register()
    source, digest = promotion.source, promotion.tested.tags[TAG_DIGEST]
    assert promotion.planned.generation == 3
    assert promotion.planned.configured.recipe is not None
    assert source.creation_date is not None
    assert promotion.registered == [
        (
            source.model_copy(update={"description": f"comfyui prod {digest[:19]}"}),
            promotion.planned.candidate_name,
            {
                "CostCenter": "4711",
                "Name": "comfyui-multitenant-prod",
                TAG_APPLICATION: "comfyui",
                TAG_ENVIRONMENT: "prod",
                TAG_EXECUTION: ARN,
                TAG_ROLE: "candidate",
                TAG_DIGEST: digest,
                TAG_GENERATION: "3",
                TAG_RELEASE: promotion.release,
                TAG_BUILT_FOR: "dev",
                TAG_IMAGED: source.creation_date.isoformat(),
                TAG_RECIPE: promotion.planned.configured.recipe,
                TAG_BASE: "ubuntu-22.04",
                TAG_BASE_CREATED: "2025-01-01T00:00:00Z",
            },
        )
    ]
    assert promotion.register() == registered, "what an earlier attempt made is found"
    assert len(promotion.registered) == 1


def test_disks_of_which_no_date_is_known_have_none() -> None:
    promotion = Promotion()
    promotion.add(promotion.source, creation_date=None)
    promotion.register()
    ((_, _, tags),) = promotion.registered
    assert TAG_IMAGED not in tags


def test_a_source_that_was_retired_is_told_with_where_to_look() -> None:
    gone = (
        "which was to be promoted from dev, was retired since the plan was made; promote what is there now, see: "
        "ami-lifecycle history dev"
    )
    promotion = Promotion()
    promotion.prod.world.images.disable(promotion.source.image_id)
    assert promotion.refusal(RecordNotFoundError) == f"{promotion.source.image_id}, {gone}"
    promotion = Promotion()
    promotion.prod.world.images.fail("register_copy", ImageCreationFailedError("no snapshot"))
    assert promotion.refusal(RecordNotFoundError) == f"{promotion.source.image_id}, {gone}"


def test_a_source_that_lost_its_tags_is_told_with_what_to_put_back() -> None:
    promotion = Promotion()
    promotion.add(promotion.source, tags={})
    assert promotion.refusal(ForeignResourceError) == (
        f"{promotion.source.image_id} does not carry the tags of comfyui dev any more, so it is not promoted; put them "
        "back, or promote another release"
    )


class Shows:
    """EC2 shows an image from the moment on at which its name is refused to another."""

    def __init__(self, promotion: Promotion, image: Image) -> None:
        self.images, self.image = promotion.prod.world.images, image
        self.images.hidden.add(image.image_id)
        promotion.prod.world.watch(self)

    def before(self, port: Any, call: Any) -> None:
        """Nothing."""

    def after(self, port: Any, call: Any) -> None:
        if call.method == "register_copy":
            self.images.hidden.discard(self.image.image_id)


def test_what_an_earlier_attempt_registered_is_found_where_ec2_shows_it_late() -> None:
    promotion = Promotion()
    first = promotion.register()
    Shows(promotion, promotion.prod.world.images.all[first.image_id])
    assert promotion.register() == first


def test_somebody_elses_image_of_the_name_is_told() -> None:
    promotion = Promotion()
    other = promotion.add(promotion.source, image_id="ami-9", name=promotion.planned.candidate_name, tags={})
    Shows(promotion, other)
    assert promotion.refusal(ForeignResourceError).startswith("ami-9 has the name ")


def test_a_name_that_nobody_is_seen_to_have_is_told_with_where_to_look() -> None:
    promotion = Promotion()
    name = promotion.planned.candidate_name
    promotion.add(promotion.source, image_id="ami-9", name=name, tags={})
    promotion.prod.world.images.hidden.add("ami-9")
    assert promotion.refusal(ResourceNotVisibleError) == (
        f"the name {name} is taken, and EC2 shows no image of that name yet; if this persists, look for it in the "
        "Recycle Bin"
    )
