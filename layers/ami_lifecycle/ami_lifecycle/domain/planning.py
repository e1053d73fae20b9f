"""Which image a build starts from, and whether a build is needed at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ami_lifecycle.domain.bases import DEFAULT_PRESET
from ami_lifecycle.domain.environment import EnvironmentRecord, UnusableBase
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    TAG_GENERATION,
    TAG_IMAGED,
    TAG_RECIPE,
    TAG_ROLE,
    Frozen,
    Image,
    ImageState,
    Role,
    is_ami_id,
)
from ami_lifecycle.domain.plan import Base, BuildMode
from ami_lifecycle.domain.recipe import baked_part
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings


class Live(Frozen):
    """The live image: what `latest` names, or the problem with it."""

    value: str | None
    image: Image | None = None
    problem: str | None = None

    @property
    def digest(self) -> str | None:
        """Digest of the Docker image in the live image."""
        return self.image.tags.get(TAG_DIGEST) if self.image else None

    @property
    def recipe(self) -> str | None:
        """What the live image was made with beside its Docker image."""
        return self.image.tags.get(TAG_RECIPE) if self.image else None


def judge_live(value: str | None, image: Image | None, account_id: str) -> Live:
    """Decide whether the image that `latest` names is available and can be used."""
    if value is None:
        return Live(value=None, problem="`latest` does not exist yet")
    if not is_ami_id(value):
        return Live(value=value, problem=f"`latest` says {value!r:.80}, which is no id of an image")
    if image is None:
        return Live(value=value, problem=f"`latest` names {value}, which does not exist any more")
    if image.owner_id and image.owner_id != account_id:
        return Live(value=value, problem=f"`latest` names {value}, which account {image.owner_id} owns")
    if image.state is not ImageState.AVAILABLE:
        return Live(value=value, problem=f"`latest` names {value}, whose state is {image.state.value}")
    return Live(value=value, image=image)


def reason_for_nothing(
    request: BuildRequest,
    digest: str,
    live: Live,
    record: EnvironmentRecord,
    settings: EnvironmentSettings,
) -> str | None:
    """Why no build is needed; None when one is."""
    if request.force or request.fresh:
        return None
    if (pinned := reason_of_pin(record)) is not None:
        return pinned
    if is_published(digest, live, settings) and not _is_about_to_change(digest, record):
        return f"{digest} is published already, in {live.value}"
    return reason_of_failures(digest, record, settings) if request.trigger is Trigger.RECONCILE else None


def reason_of_pin(record: EnvironmentRecord) -> str | None:
    """Why a pinned environment is not built; None where nothing pins it."""
    if record.pin is None:
        return None
    return (
        f"{record.environment} is pinned to {record.pin.image_id} since {record.pin.at:%Y-%m-%d %H:%M} UTC"
        f"{': ' + record.pin.reason if record.pin.reason else ''}; unpin it, or ask with force"
    )


def reason_of_source(settings: EnvironmentSettings) -> str:
    """Why an environment that takes promotions is not built."""
    return (
        f"{settings.environment} publishes what is promoted to it (publishes: promotions), so pushes and tags build "
        f"nothing; promote a release (ami-lifecycle promote FROM {settings.environment}), or ask with force"
    )


def reason_of_failures(digest: str, record: EnvironmentRecord, settings: EnvironmentSettings) -> str | None:
    """Why a digest is no longer built; None while it is."""
    failed = record.failure_of(digest, settings.recipe)
    if failed is None or failed.count < settings.reconcile_attempts:
        return None
    return f"{failed.explanation}; push a corrected image, or start a build by hand"


def is_published(digest: str, live: Live, settings: EnvironmentSettings) -> bool:
    """Whether the environment's own image holds the digest, made with the hooks of the settings; another environment's
    image does not count.
    """
    return (
        live.image is not None
        and live.digest == digest
        and live.recipe == settings.recipe
        and live.image.belongs_to(settings.application, settings.environment)
    )


def work_of_building(digest: str, settings: EnvironmentSettings) -> str:
    """What the sweep calls the build of a digest, by which it knows what it has tried: other hooks are other work."""
    return " ".join(("build", digest, settings.recipe or "")).rstrip()


def _is_about_to_change(digest: str, record: EnvironmentRecord) -> bool:
    """Whether the holder of the environment is publishing another digest: the tag may have moved back."""
    holder = record.claim
    return holder is not None and holder.action is not Action.RETIRE and holder.digest != digest


class BaseChoice(NamedTuple):
    """The base image, and what the next image inherits from it."""

    mode: BuildMode
    image: Image
    generation: int
    created: datetime | None
    reason: str
    setting: str | None = None
    original_id: str | None = None


def choose_base(
    request: BuildRequest,
    live: Live,
    older: Sequence[Image],
    newest_base: Callable[[], Image],
    settings: EnvironmentSettings,
    now: datetime,
    unusable: UnusableBase | None = None,
) -> BaseChoice:
    """Choose between the environment's own image and the base of the settings.

    Args:
        older: own images of the environment's name, for an environment that has no usable `latest`.
        newest_base: looks for the image that the base names now. An update needs none, and goes on where there is
            none.
        unusable: an own image from which an earlier build could not start.
    """
    own = live.image or newest_usable(older, settings)
    if request.fresh:
        is_scheduled = request.trigger is Trigger.SCHEDULE
        return _fresh(
            newest_base(), settings, "a rebuild was due" if is_scheduled else "a fresh build was asked for"
        )
    if own is None:
        return _fresh(newest_base(), settings, f"{live.problem}, and there is no older image")
    problem = _problem_of(own, settings, now, unusable)
    if problem is not None:
        return _fresh(newest_base(), settings, problem)
    why = "the environment's own image" if live.image else f"{live.problem}; this is the newest older image"
    return BaseChoice(
        BuildMode.UPDATE,
        own,
        generation_of(own) + 1,
        base_created_of(own),
        f"update from {own.image_id}: {why}",
        own.tags.get(TAG_BASE),
        own.tags.get(TAG_BASE_IMAGE),
    )


def _problem_of(
    own: Image, settings: EnvironmentSettings, now: datetime, unusable: UnusableBase | None
) -> str | None:
    """Why the environment's own image is no base of a build; None when it is one."""
    if own.architecture != settings.builder.architecture:
        return f"{own.image_id} is {own.architecture}, the settings want another architecture"
    if (other := _other_making_of(own, settings)) is not None:
        return other
    if unusable is not None and own.image_id == unusable.image_id:
        return f"no build can start from {own.image_id}: {unusable.reason}"
    generation, limit = generation_of(own), settings.refresh.max_generations
    if limit is not None and generation >= limit:
        return f"{own.image_id} is generation {generation}, and max_generations is {limit}"
    created, days = base_created_of(own), settings.refresh.max_base_age_days
    if days is not None and created is not None and now - created > timedelta(days=days):
        return f"the base of {own.image_id} is of {created:%Y-%m-%d}, and max_base_age_days is {days}"
    return None


def _other_making_of(own: Image, settings: EnvironmentSettings) -> str | None:
    """What of an image's making the settings say otherwise now, and no update can change."""
    if (was := base_setting_of(own)) != settings.base.tag:
        return f"{own.image_id} was built from {was}, and base is {settings.base.text}"
    if baked_part(own.tags.get(TAG_RECIPE)) != baked_part(settings.recipe):
        return f"{own.image_id} was made with other provision hooks than the settings have now"
    return None


def newest_usable(images: Sequence[Image], settings: EnvironmentSettings) -> Image | None:
    """The newest available image that is not somebody's unverified candidate, nor another environment's.

    `comfyui-multitenant-prod*` finds the images of an environment `prod-eu` as well; their tags tell. Images
    without tags of ours, such as those of `production`, are told by their names.
    """
    usable = [
        image
        for image in images
        if image.state is ImageState.AVAILABLE
        and image.creation_date is not None
        and is_named_for(image, settings.image_name)
        and image.tags.get(TAG_APPLICATION, settings.application) == settings.application
        and image.tags.get(TAG_ENVIRONMENT, settings.environment) == settings.environment
        and image.tags.get(TAG_ROLE) != Role.CANDIDATE.value
        and (
            image.name == settings.image_name
            or not image.name.startswith(f"{settings.image_name}.candidate.")
        )
    ]
    return max(usable, key=lambda image: (image.creation_date, image.image_id), default=None)


def is_named_for(image: Image, image_name: str) -> bool:
    """Whether an image has this name, alone or followed by a date or a number; a letter makes it another name."""
    return image.name.startswith(image_name) and not image.name.removeprefix(image_name)[:1].isalpha()


def base_of(choice: BaseChoice) -> Base:
    """The part of a choice that the launch and the records need."""
    return Base(
        image_id=choice.image.image_id,
        root_device_name=choice.image.root_device_name,
        root_volume_gib=choice.image.root_volume_gib,
        volatile_devices=choice.image.volatile_devices,
        created=choice.created,
        setting=choice.setting,
        original_id=choice.original_id,
    )


def _fresh(base: Image, settings: EnvironmentSettings, why: str) -> BaseChoice:
    return BaseChoice(
        BuildMode.FRESH,
        base,
        1,
        base.creation_date,
        f"fresh from {base.image_id}: {why}",
        settings.base.tag,
        base.image_id,
    )


def base_setting_of(image: Image) -> str:
    """What `base` said when an image's disks were made; before there was a choice, it was the default."""
    return image.tags.get(TAG_BASE, DEFAULT_PRESET)


def generation_of(image: Image) -> int:
    """How many builds are below an image, its own included; one that does not say is the first."""
    text = image.tags.get(TAG_GENERATION, "")
    return int(text) if text.isdecimal() else 1


def base_created_of(image: Image) -> datetime | None:
    """Date of the base below an image; its own where it does not say."""
    return _date_of(image, TAG_BASE_CREATED)


def imaged_of(image: Image) -> datetime | None:
    """When an image's disks were imaged, whenever it was registered under its present name."""
    return _date_of(image, TAG_IMAGED)


def _date_of(image: Image, tag: str) -> datetime | None:
    try:
        created = datetime.fromisoformat(image.tags.get(tag, ""))
    except ValueError:
        return image.creation_date
    # A manually changed tag may lack the time zone.
    return created if created.tzinfo else created.replace(tzinfo=UTC)
