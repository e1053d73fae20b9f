"""Decisions which images to retire, each with a reason. Unknown use means keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.lineage import lineage, lineage_key, publication_number
from ami_lifecycle.domain.model import TAG_DIGEST, Image, ImageState, ImageUse, Usage, UsageKind
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.settings import RetirementSettings

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PreviousImages(NamedTuple):
    """The environment's other images: those kept by number, and those whose use has to be looked up."""

    kept: list[Decision]
    undecided: list[Image]


def previous_images(
    live: Image,
    owned: Sequence[Image],
    keep_previous: int,
    reserved: Mapping[str, str] | None = None,
    history: Sequence[HistoryRecord] = (),
    *,
    unprotects: bool = False,
) -> PreviousImages:
    """Keep the previous images that the settings keep, those that were live last before others; the rest is open.

    An image that shares snapshots with the live one is the same disk under another name, so it does not
    count as a previous image.

    Args:
        awaited: images that are kept beside that number, by id, and why.
        history: the environment's records, which tell when an image was live, and who left it.
        unprotects: the service protects live images itself, and takes that back when they go.
    """
    rolled_back = {lineage_key(record) for record in lineage(history) if record.rolled_back}
    result = PreviousImages([], [])
    number = 1
    for image in _by_rollback_order(live, owned, history, rolled_back):
        is_same_disk = bool(set(image.snapshot_ids) & set(live.snapshot_ids))
        if image.is_copy:
            reason = (
                f"carries our tags under the name {image.name}, so it is somebody's copy; remove its tags"
            )
            result.kept.append(Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason))
        elif image.is_protected and not (unprotects and image.is_protected_at_will):
            reason = (
                f"deregistration protection is {image.deregistration_protection}; switch it off to let it go"
            )
            result.kept.append(Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason))
        elif image.image_id in (reserved or {}):
            reason = (reserved or {})[image.image_id]
            result.kept.append(Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason))
        elif number <= keep_previous and not is_same_disk and image.state is ImageState.AVAILABLE:
            reason = f"previous image {number} of {keep_previous} that the settings keep"
            if _docker_image(image) in rolled_back:
                reason += "; somebody has rolled back from it, so it goes before any other"
            result.kept.append(Decision(image_id=image.image_id, action=RetireAction.KEEP, reason=reason))
            number += 1
        else:
            result.undecided.append(image)
    return result


def _by_rollback_order(
    live: Image, owned: Sequence[Image], history: Sequence[HistoryRecord], rolled_back: Collection[str]
) -> list[Image]:
    """The images except the live one, in the order in which rollbacks would choose them.

    Behind those are second images of one Docker image, and then what somebody has rolled back from: it takes no
    other's place, and as long as there is a place, the rollback can be taken back.
    """
    numbers = {record.ami_id: publication_number(record) for record in history}
    newest_first = sorted(
        (image for image in owned if image.image_id != live.image_id),
        key=lambda image: (
            numbers.get(image.image_id, 0),
            image.creation_date or _LONG_AGO,
            image.image_id,
        ),
        reverse=True,
    )
    first: list[Image] = []
    second: list[Image] = []
    last: list[Image] = []
    seen = {_docker_image(live)}
    for image in newest_first:
        docker_image = _docker_image(image)
        group = last if docker_image in rolled_back else second if docker_image in seen else first
        group.append(image)
        seen.add(docker_image)
    return [*first, *second, *last]


def _docker_image(image: Image) -> str:
    return image.tags.get(TAG_DIGEST) or image.image_id


def decide(
    usages: Sequence[Usage],
    policy: RetirementSettings,
    own_latest: str | None,
    temporary: frozenset[str] = frozenset(),
) -> list[Decision]:
    """Decide for each image from its uses.

    Args:
        temporary: ids of our own builders and canaries, which are no use of an image.
        own_latest: name of the environment's `latest`. It was read and names another image, so an
            index that still shows the image behind it is late. None where every `latest` protects.
    """
    return [_decide_one(_without(usage, temporary), policy, own_latest) for usage in usages]


def _without(usage: Usage, temporary: frozenset[str]) -> Usage:
    uses = tuple(
        use
        for use in usage.uses
        if use.kind is not UsageKind.RUNNING_INSTANCE or use.resource.rpartition("/")[2] not in temporary
    )
    return usage.model_copy(update={"uses": uses})


def _decide_one(usage: Usage, policy: RetirementSettings, own_latest: str | None) -> Decision:
    protecting = [use for use in usage.uses if _protects(use, policy, own_latest)]
    if protecting:
        return Decision(
            image_id=usage.image_id,
            action=RetireAction.KEEP,
            reason=f"in use: {_listed(protecting)}",
            blocked=True,
        )
    running = [use for use in usage.uses if use.kind is UsageKind.RUNNING_INSTANCE]
    old = [use for use in usage.uses if use.kind is UsageKind.OLD_TEMPLATE_VERSION]
    reason = "nothing uses it"
    if running:
        reason = f"not needed to launch again; {len(running)} running instances keep running"
    if old:
        reason += f"; named by an {_listed(old)}"
    return Decision(image_id=usage.image_id, action=RetireAction.RETIRE, reason=reason)


def _protects(use: ImageUse, policy: RetirementSettings, own_latest: str | None) -> bool:
    match use.kind:
        case UsageKind.RUNNING_INSTANCE:
            return policy.protect_running_instances
        case UsageKind.LAUNCH_PERMISSION:
            return policy.protect_launch_permissions
        case UsageKind.LATEST:
            return own_latest is None or not use.resource.endswith(own_latest)
        case UsageKind.OLD_TEMPLATE_VERSION:
            return policy.launch_template_versions == "all"
        case _:
            return True


def _listed(uses: Sequence[ImageUse]) -> str:
    shown = [f"{use.kind.value} {use.resource}" for use in uses[:3]]
    more = f" and {len(uses) - 3} more" if len(uses) > 3 else ""
    return f"{', '.join(shown)}{more}"
