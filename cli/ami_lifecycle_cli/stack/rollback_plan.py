"""The target of a rollback, and whether it needs a build."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ami_lifecycle.domain.lineage import live_before
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_RELEASE,
    is_ami_id,
)
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import make_request, words_for_a_request
from ami_lifecycle.domain.rollback import can_be_published_again
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import InvalidRequestError, RecordNotFoundError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import short_digest
from ami_lifecycle_cli.stack.records import (
    is_launchable,
    read_environment_live,
    read_history,
)

_REASON_LENGTH = 200
_SEE_HELP = "see --help"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Rollback:
    """A planned rollback; `request` is the input of the execution."""

    environment: str
    live_id: str | None
    record: HistoryRecord
    request: BuildRequest
    why: str

    @property
    def needs_build(self) -> bool:
        """Whether the image has to be built again."""
        return self.request.action is Action.BUILD

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "environment": self.environment,
            "live": self.live_id,
            "to": self.request.publish_image_id or self.record.image_digest,
            "image_digest": self.record.image_digest,
            "commit_sha": self.record.commit_sha,
            "how": "build" if self.needs_build else "at once",
            "why": self.why,
        }


def plan_rollback(
    stack: Stack, environment: str, *, to: str | None, steps: int, reason: str | None, fresh: bool
) -> Rollback:
    """Plan a rollback.

    Raises:
        RecordNotFoundError: there is no such image, or not that many steps back.
        InvalidRequestError: neither the image nor its Docker image exists any more.
    """
    settings = stack.catalogue.get(environment)
    records = read_history(stack, environment).records
    live = read_environment_live(stack, environment)
    live_digest = live.digest or next(
        (each.image_digest for each in records if each.ami_id == live.value), None
    )
    chosen = (
        _named(records, to, environment)
        if to
        else _back(records, live.value, live_digest, steps, environment)
    )
    before = live.value if is_ami_id(live.value) else "nothing"
    text = (reason or f"rollback from {before} to {chosen.ami_id}")[:_REASON_LENGTH]
    common: dict[str, Any] = {
        "environment": environment,
        "trigger": Trigger.ROLLBACK,
        "pin": True,
        "reason": text,
    }
    image_id = None if fresh else _existing(stack, settings, chosen, records, is_named=to is not None)
    if image_id is not None:
        digest = chosen.image_digest if _DIGEST.fullmatch(chosen.image_digest) else None
        fields = {"action": Action.PUBLISH, "publish_image_id": image_id, "image_digest": digest, **common}
        request = make_request(fields, _SEE_HELP)
        why = "it is live already, and is only pinned" if image_id == live.value else "the image still exists"
        return Rollback(environment, live.value, chosen, request, why)
    holder = None if fresh else _who_has_the_release(stack, settings, chosen)
    if holder is not None:
        fields = {
            "action": Action.PROMOTE,
            "promote_from": holder,
            "release": chosen.release,
            "force": True,
            **common,
        }
        why = f"the image is gone, and {holder} has its release still, which is promoted"
        return Rollback(environment, live.value, chosen, make_request(fields, _SEE_HELP), why)
    if not chosen.image_digest:
        raise InvalidRequestError(
            f"{chosen.ami_id} does not exist any more, and its record names no Docker image",
            hint=f"choose another: ami-lifecycle history {environment}",
        )
    if not stack.repository.has_digest(settings.repository, chosen.image_digest):
        raise InvalidRequestError(
            f"{chosen.ami_id} does not exist any more, and {settings.repository} has no image {chosen.image_digest} "
            "any more",
            hint=f"push it again, or choose another: ami-lifecycle history {environment}",
        )
    fields = {
        "image_digest": chosen.image_digest,
        "force": True,
        "fresh": fresh,
        "branch": words_for_a_request("branch", chosen.branch),
        "commit_sha": words_for_a_request("commit_sha", chosen.commit_sha),
        **common,
    }
    request = make_request(fields, _SEE_HELP)
    return Rollback(
        environment,
        live.value,
        chosen,
        request,
        "a fresh build was asked for" if fresh else "the image is gone",
    )


def _named(records: Sequence[HistoryRecord], image_id: str, environment: str) -> HistoryRecord:
    record = next((each for each in records if each.ami_id == image_id), None)
    if record is None:
        raise RecordNotFoundError(
            f"history of {environment} has no record of {image_id}",
            hint=f"choose one of: ami-lifecycle history {environment}",
        )
    return record


def _back(
    records: Sequence[HistoryRecord],
    live_id: str | None,
    live_digest: str | None,
    steps: int,
    environment: str,
) -> HistoryRecord:
    """The record that was live `steps` publications ago. Without a live image, the newest counts as one step back."""
    earlier = live_before(records, live_id, live_digest)
    if steps > len(earlier):
        left = any(record.rolled_back for record in records)
        raise RecordNotFoundError(
            f"history of {environment} has {len(earlier)} earlier builds than "
            f"{short_digest(live_digest) if live_digest else 'the live one'}"
            f"{' that nobody has rolled back from' if left else ''}, not {steps}",
            hint=f"name one with --to, see: ami-lifecycle history {environment}",
        )
    return earlier[steps - 1]


def _existing(
    stack: Stack,
    settings: EnvironmentSettings,
    chosen: HistoryRecord,
    records: Sequence[HistoryRecord],
    *,
    is_named: bool,
) -> str | None:
    """An image that can be published without a build: the chosen one, or another of the same Docker image."""
    same = [
        each
        for each in records
        if not is_named and each.image_digest and each.image_digest == chosen.image_digest
    ]
    for record in (chosen, *same):
        image = stack.images.get(record.ami_id)
        if can_be_published_again(image, record, settings):
            return record.ami_id
    return None


def _who_has_the_release(stack: Stack, settings: EnvironmentSettings, chosen: HistoryRecord) -> str | None:
    """Another environment with an image of the release, for one that publishes what is promoted to it."""
    if not settings.takes_promotions or chosen.release is None:
        return None
    wanted = {TAG_APPLICATION: settings.application, TAG_RELEASE: chosen.release}
    others = {
        image.tags.get(TAG_ENVIRONMENT, "")
        for image in stack.images.find(wanted)
        if is_launchable(image) and not image.is_copy
    }
    known = others & set(stack.catalogue.environments) - {settings.environment}
    return next(
        (
            name
            for name in sorted(known, key=lambda name: (name != chosen.promoted_from, name))
            if _has_published(stack, name, chosen.release)
        ),
        None,
    )


def _has_published(stack: Stack, environment: str, release: str) -> bool:
    return any(
        record.release == release and is_launchable(stack.images.get(record.ami_id))
        for record in read_history(stack, environment).records
    )
