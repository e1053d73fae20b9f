"""Which release is offered for promotion, and the words for one that is none or does not fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.steps.account import LONG_AGO, MACHINE, arn_of
from tests.unit.steps.promoting import NAMES, of_dev
from tests.unit.steps.test_promotions import Both
from tests.unit.steps.test_recipes import SCRIPTS

from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.model import (
    TAG_DIGEST,
    TAG_EXECUTION,
    TAG_IMAGED,
    TAG_RECIPE,
    TAG_RELEASE,
    Image,
)
from ami_lifecycle.domain.plan import Source
from ami_lifecycle.domain.publication import dump
from ami_lifecycle.domain.recipe import baked_part
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError, PromotionRefusedError, RecordNotFoundError
from ami_lifecycle.steps.lookups import account_of
from ami_lifecycle.steps.promotable_release import Offer, ReleaseFinder, docker_image_of

SEE = "see: ami-lifecycle history dev"
OTHER_DIGEST = "sha256:" + "5" * 64
BEFORE = {"provision": [{"script": "config/hooks/before.sh"}]}


@pytest.fixture
def both() -> Both:
    return Both()


def find(both: Both, wanted: str | None = None, *, force: bool = False) -> Offer:
    world = both.prod.world
    finder = ReleaseFinder(world.images, world.parameters, world.clock, account_of(MACHINE))
    return finder.find(both.prod.catalogue.get("dev"), wanted, force=force)


def refusal(both: Both, kind: type[AmiLifecycleError], wanted: str | None = None) -> str:
    with pytest.raises(AmiLifecycleError) as raised:
        find(both, wanted)
    assert type(raised.value) is kind
    return str(raised.value)


def rewrite(both: Both, image: Image, **changes: Any) -> None:
    """Let the record of an image in dev say something else."""
    record = both.dev.history(image.image_id)
    assert record is not None
    name = f"{both.dev.prefix}/history/{image.image_id}"
    both.prod.world.parameters.set(name, dump(record.model_copy(update=changes)))


def retagged(image: Image, *without: str, **tags: str) -> Image:
    kept = {key: value for key, value in image.tags.items() if key not in without}
    return image.model_copy(update={"tags": kept | tags})


def another(both: Both, number: int, *, imaged: int | None = 0, **tags: str) -> Image:
    """Another image of the tested release, with a record; `imaged`: days after the first one."""
    image = of_dev(number, digest=both.tested.tags[TAG_DIGEST])
    image = retagged(image, **{TAG_RELEASE: both.release} | tags).model_copy(
        update={"name": f"{NAMES['dev']}.candidate.{number}", "creation_date": None}
    )
    if imaged is not None:
        image = retagged(image, **{TAG_IMAGED: (LONG_AGO + timedelta(days=imaged)).isoformat()})
    both.prod.world.images.add(image)
    both.dev.record(image, status=RecordStatus.SUPERSEDED)
    return image


# Which image shows a release.


def test_of_several_images_of_a_release_the_live_one_is_offered(both: Both) -> None:
    another(both, 5, imaged=9)
    assert find(both, both.release).image.image_id == both.tested.image_id


def test_and_else_the_one_that_was_imaged_last(both: Both) -> None:
    both.dev.publish(of_dev(9, digest=both.dev.push("two", "dev")))
    both.dev.record(both.tested, status=RecordStatus.SUPERSEDED)
    for number, imaged in ((7, 1), (5, 3), (6, 2), (8, None)):
        another(both, number, imaged=imaged)
    assert find(both, both.release).image.image_id == of_dev(5, digest="").image_id
    same = another(both, 3, imaged=3)
    assert find(both, both.release).image.image_id != same.image_id, "of the same moment, by id"


def test_an_image_without_a_date_is_offered_last(both: Both) -> None:
    both.dev.publish(of_dev(9, digest=both.dev.push("two", "dev")))
    both.prod.world.images.deregister(both.tested.image_id)
    undated, dated = another(both, 8, imaged=None), another(both, 5)
    assert find(both, both.release).image.image_id == dated.image_id
    both.prod.world.images.deregister(dated.image_id)
    assert find(both, both.release).image.image_id == undated.image_id


def test_one_answer_without_what_is_live_proves_nothing(both: Both) -> None:
    """EC2 API reference, Eventual consistency."""
    images = both.prod.world.images
    images.hidden.add(both.tested.image_id)

    class Shows:
        def before(self, port: Any, call: Any) -> None:
            """Nothing."""

        def after(self, port: Any, call: Any) -> None:
            if call.args == (both.tested.image_id,):
                images.hidden.discard(both.tested.image_id)

    both.prod.world.watch(Shows())
    assert find(both).image.image_id == both.tested.image_id


# Which release an image is of.


def test_the_tag_says_it_before_the_record_and_the_record_before_the_execution(both: Both) -> None:
    rewrite(both, both.tested, release="arn:recorded")
    assert find(both).release == both.release
    both.prod.world.images.add(retagged(both.tested, TAG_RELEASE))
    assert find(both).release == "arn:recorded"
    rewrite(both, both.tested, release=None)
    assert find(both).release == arn_of("dev-1")


def test_an_image_that_nothing_tells_of_is_a_release_of_its_own(both: Both) -> None:
    image = retagged(both.tested, TAG_RELEASE, TAG_EXECUTION)
    both.prod.world.images.add(image)
    assert find(both, image.image_id).release == image.image_id
    assert refusal(both, RecordNotFoundError, "unknown") == (
        "dev has no image of the release unknown (any more), so it cannot be promoted from there; name another one, "
        f"{SEE}"
    )


@pytest.mark.parametrize("told", ["tag", "record"])
def test_either_the_tag_or_the_record_tells_the_docker_image(both: Both, told: str) -> None:
    if told == "tag":
        rewrite(both, both.tested, image_digest="")
    else:
        both.prod.world.images.add(retagged(both.tested, TAG_DIGEST))
    assert find(both).digest == both.tested.tags[TAG_DIGEST]


# What is no release.


def test_a_live_image_of_somebody_else_is_none(both: Both) -> None:
    both.prod.world.images.add(both.tested.model_copy(update={"tags": {}}))
    assert refusal(both, RecordNotFoundError) == (
        f"{both.tested.image_id}, which is live in dev, is no image that was built or promoted there; publish one "
        "there first"
    )


def test_where_nothing_is_live_there_is_none(both: Both) -> None:
    both.prod.world.parameters.set(f"{both.dev.prefix}/latest", "")
    assert refusal(both, RecordNotFoundError).endswith("; publish an image there first")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"status": RecordStatus.LIVE},
            PromotionRefusedError,
            (
                "is no longer or not yet live in dev, though its record says so: a publication goes on or was "
                "interrupted; promote when it has ended, the sweep sees to that"
            ),
        ),
        (
            {"status": RecordStatus.RETIRED},
            RecordNotFoundError,
            f"of dev is being retired; promote a release that stays, {SEE}",
        ),
    ],
)
def test_what_is_not_published_for_good_is_none(
    both: Both, changes: dict[str, Any], kind: type[AmiLifecycleError], words: str
) -> None:
    image = another(both, 5, **{TAG_RELEASE: "arn:5"})
    rewrite(both, image, **changes)
    assert refusal(both, kind, image.image_id) == f"{image.image_id} {words}"


def test_what_somebody_went_back_from_is_one_with_force_alone(both: Both) -> None:
    rewrite(both, both.tested, rolled_back=True)
    assert refusal(both, PromotionRefusedError) == (
        f"somebody has rolled dev back from {both.tested.image_id}; promote another release, or ask with force"
    )
    assert find(both, force=True).image.image_id == both.tested.image_id


# What does not fit.


def with_hooks(settings: EnvironmentSettings) -> EnvironmentSettings:
    changes = {"hooks": HookSettings.model_validate(BEFORE), "hook_scripts": SCRIPTS}
    return settings.model_copy(update=changes)


def test_hooks_that_differ_are_told_with_both(both: Both) -> None:
    prod = both.prod.catalogue.get("prod")
    hooked = with_hooks(prod)
    made = baked_part(hooked.recipe)
    assert made is not None
    settings = "hooks.provision and hooks.provision_after of prod make"
    offer = find(both)
    assert list(offer.misfits(prod)) == []
    assert list(offer.misfits(hooked)) == [f"its hooks are none, and {settings} {made}"]
    both.prod.world.images.add(retagged(both.tested, **{TAG_RECIPE: f"base:0 {made} verify:1"}))
    offer = find(both)
    assert list(offer.misfits(hooked)) == []
    assert list(offer.misfits(prod)) == [f"its hooks are {made}, and {settings} none"]


def test_settings_that_are_neither_the_builds_nor_the_targets_are_told_with_what_differs_now() -> None:
    neither = "the container settings that it was built with are not those of prod, nor what dev has now"
    both = Both(prod={"container": {"ports": ["80:8188"], "gpu": True}})
    rewrite(both, both.tested, container="0123456789ab")
    assert list(find(both).misfits(both.prod.catalogue.get("prod"))) == [
        (
            f'{neither}; container.ports is ["8188:8188"] in dev and ["80:8188"] in prod; container.gpu is false '
            "in dev and true in prod"
        )
    ]
    both = Both()
    rewrite(both, both.tested, container="0123456789ab")
    assert list(find(both).misfits(both.prod.catalogue.get("prod"))) == [
        f"{neither}, which has been changed since as it has there"
    ]


@pytest.mark.parametrize(
    ("written", "repository", "tag"),
    [
        ("host/app:v1", "host/app", "v1"),
        ("host/app", "host/app", None),
        ("host:5000/app", "host:5000/app", None),
        ("host:5000/app:v1", "host:5000/app", "v1"),
        (f"host/app@{OTHER_DIGEST}", "host/app", None),
        (f"host/app:v1@{OTHER_DIGEST}", "host/app", "v1"),
        ("host/app:", "host/app", None),
        ("", "", None),
    ],
)
def test_a_docker_image_is_read_as_it_was_written(
    both: Both, written: str, repository: str, tag: str | None
) -> None:
    record = both.dev.history(both.tested.image_id)
    assert record is not None
    source = docker_image_of(record.model_copy(update={"docker_image": written}), OTHER_DIGEST)
    assert source == Source(repository_uri=repository, digest=OTHER_DIGEST, tag=tag)
