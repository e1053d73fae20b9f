"""The published records: metadata of the live image, history records of all images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from ami_lifecycle.domain.baked_settings import fingerprint
from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.first_boot import FACT, FirstBoot
from ami_lifecycle.domain.model import (
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_DIGEST,
    TAG_GENERATION,
    TAG_RECIPE,
    Image,
)
from ami_lifecycle.domain.package_summary import FACT as PACKAGES
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.recipe import named_hooks
from ami_lifecycle.domain.record import HistoryRecord, Metadata, RecordStatus
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action

# SSM user guide, Parameter Store tiers: a standard parameter holds at most 4,096 characters.
MAXIMUM_CHARACTERS: Final = 4_096
# Free texts, and the lengths to which they are cut.
_WORDS: Final = ("status_reason", "reason", "branch", "commit_sha", "workflow_run_id")
_SHORTER: Final = (200, 100, 40)
_LONGEST_VALUE: Final = 256
_LONGEST_REFERENCE: Final = 512
# Labels of our own, which only the build of the image sets. An image inherits the OCI labels of its base: every one
# FROM ubuntu has org.opencontainers.image.ref.name=ubuntu, which is nobody's branch.
COMMIT_LABEL: Final = "ami-lifecycle.commit"
BRANCH_LABEL: Final = "ami-lifecycle.branch"
# What a promotion says for itself.
_OWN_FACTS: Final = frozenset({FACT, PACKAGES, "hooks"})
_Record = TypeVar("_Record", bound=Metadata)


def timestamp(moment: datetime) -> str:
    """A date as the metadata schema writes it: `2024-01-15T10:30:00Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def dump(record: BaseModel) -> str:
    """JSON of a record that fits a standard parameter.

    To fit, values are left out or cut in this order: facts, the largest first; free texts; what it takes to register
    the image again; snapshot ids, which the image itself has; overlong values.
    """
    values = record.model_dump(mode="json")
    facts = dict(values.get("facts") or {})
    while facts and not _fits(values):
        del facts[max(facts, key=lambda key: len(_compact(facts[key])))]
        values["facts"] = facts
    for length in _SHORTER:
        if not _fits(values):
            values |= {key: _shortened(values[key], length) for key in _WORDS if values.get(key)}
    if not _fits(values) and values.get("registration") is not None:
        # An image of many disks: it is published all the same, and can be built again.
        values["registration"] = None
    if not _fits(values):
        values["snapshot_ids"] = []
    if not _fits(values):
        for key, value in values.items():
            longest = _LONGEST_REFERENCE if key == "docker_image" else _LONGEST_VALUE
            values[key] = _with_short_texts(value, longest)
    return _compact(values)


def _fits(values: Mapping[str, Any]) -> bool:
    return len(_compact(values)) <= MAXIMUM_CHARACTERS


def _with_short_texts(value: Any, length: int) -> Any:
    """A value whose texts are short: itself, or those that it has by names, as what gates have said."""
    if isinstance(value, Mapping):
        return {key: _with_short_texts(each, length) for key, each in value.items()}
    return _shortened(value, length) if isinstance(value, str) else value


def _shortened(text: str, length: int) -> str:
    """The text so that it takes at most `length` characters in JSON, where one beyond ASCII takes 6 or 12."""
    text = text[:length]
    while len(_compact(text)) > length + len('""'):
        text = text[:-1]
    return text


def load(record: type[_Record], text: str | None) -> _Record | None:
    """Parse a stored record; None when there is none or it is invalid."""
    if not text:
        return None
    try:
        return record.model_validate_json(text)
    except ValidationError:
        return None


def metadata_of(
    plan: BuildPlan,
    image: Image,
    *,
    region: str,
    number: int,
    replaces: str | None,
    provisioned: CommandFacts | None,
    verified_at: str | None,
    verified: CommandFacts | None,
    run_name: str,
    first_boot: FirstBoot | None = None,
) -> Metadata:
    """Metadata of an image that was just built, or of its canonical copy."""
    request = plan.request
    labels = provisioned.image_labels if provisioned else {}
    return Metadata(
        ami_id=image.image_id,
        docker_image=plan.image.reference,
        environment=plan.environment,
        creation_date=timestamp(image.creation_date) if image.creation_date else "",
        branch=(request.branch if request else None) or labels.get(BRANCH_LABEL) or None,
        commit_sha=(request.commit_sha if request else None) or labels.get(COMMIT_LABEL) or None,
        region=region,
        workflow_run_id=(request.workflow_run_id if request else None) or run_name,
        workflow_run_number=str(number),
        image_digest=plan.image.digest,
        base_ami_id=plan.base.image_id if plan.base else None,
        build_mode=plan.mode,
        generation=plan.generation,
        base_created=timestamp(plan.base.created) if plan.base and plan.base.created else None,
        release=release_of(image),
        recipe=image.tags.get(TAG_RECIPE),
        base_setting=plan.base.setting if plan.base else None,
        original_ami_id=plan.base.original_id if plan.base else None,
        container=fingerprint(plan.configured.container),
        verified_at=verified_at,
        snapshot_ids=image.snapshot_ids,
        replaces=replaces,
        reason="; ".join(plan.reasons)[:400],
        facts=_facts(plan, provisioned, verified, first_boot),
    )


def metadata_from(record: HistoryRecord, *, number: int, replaces: str | None, reason: str) -> Metadata:
    """Metadata of an image that is published again, from its history record."""
    return Metadata.model_validate(
        {
            **record.model_dump(),
            "workflow_run_number": str(number),
            "replaces": replaces,
            "reason": reason[:400],
        }
    )


def metadata_of_promotion(
    plan: BuildPlan,
    image: Image,
    source: Metadata | None,
    *,
    region: str,
    number: int,
    replaces: str | None,
    verified_at: str | None,
    verified: CommandFacts | None,
    run_name: str,
    first_boot: FirstBoot | None = None,
) -> Metadata:
    """Metadata of an image that was promoted or undeleted: what its build said, and what is of this environment.

    Args:
        source: the record of the image that it was promoted from; None where that cannot be read any more.
    """
    request, promotion = plan.request, plan.promoted
    known = source or metadata_from_tags(image, plan.environment, region, "")
    facts = {key: value for key, value in known.facts.items() if key not in _OWN_FACTS}
    return Metadata.model_validate(
        {
            **known.model_dump(),
            "ami_id": image.image_id,
            "docker_image": known.docker_image or plan.image.reference,
            "environment": plan.environment,
            "creation_date": timestamp(image.creation_date) if image.creation_date else "",
            "branch": (request.branch if request else None) or known.branch,
            "commit_sha": (request.commit_sha if request else None) or known.commit_sha,
            "region": region,
            "workflow_run_id": (request.workflow_run_id if request else None) or run_name,
            "workflow_run_number": str(number),
            "release": promotion.release,
            "promoted_from": promotion.environment if plan.action is Action.PROMOTE else known.promoted_from,
            "recipe": image.tags.get(TAG_RECIPE),
            "verified_at": verified_at,
            "snapshot_ids": image.snapshot_ids,
            "replaces": replaces,
            "reason": "; ".join(plan.reasons)[:400],
            "facts": {**facts, **_facts(plan, None, verified, first_boot)},
        }
    )


def metadata_from_tags(image: Image, environment: str, region: str, reason: str) -> Metadata:
    """Minimal metadata from an image's tags, for an image without a record."""
    generation = image.tags.get(TAG_GENERATION, "")
    return Metadata(
        ami_id=image.image_id,
        docker_image=image.tags.get("docker_image", ""),
        environment=environment,
        creation_date=timestamp(image.creation_date) if image.creation_date else "",
        branch=None,
        commit_sha=None,
        region=region,
        workflow_run_id="",
        workflow_run_number="0",
        image_digest=image.tags.get(TAG_DIGEST, ""),
        generation=int(generation) if generation.isdecimal() else 1,
        base_created=image.tags.get(TAG_BASE_CREATED),
        release=release_of(image),
        recipe=image.tags.get(TAG_RECIPE),
        base_setting=image.tags.get(TAG_BASE),
        original_ami_id=image.tags.get(TAG_BASE_IMAGE),
        snapshot_ids=image.snapshot_ids,
        reason=reason,
    )


def history_of(
    metadata: Metadata,
    status: RecordStatus,
    reason: str,
    now: datetime,
    superseded_by: str | None = None,
    published_by: str | None = None,
    *,
    rolled_back: bool = False,
    registration: Mapping[str, Any] | None = None,
    soaking_since: str | None = None,
) -> HistoryRecord:
    """The history record of an image; the mark of a rollback, the registration and since when it soaks are kept."""
    before = metadata if isinstance(metadata, HistoryRecord) else None
    return HistoryRecord.model_validate(
        {
            **metadata.model_dump(include=set(Metadata.model_fields)),
            "status": status,
            "status_reason": reason[:300],
            "status_since": timestamp(now),
            "superseded_by": superseded_by,
            "published_by": published_by,
            "rolled_back": rolled_back or (before is not None and before.rolled_back),
            "registration": registration or (before.registration if before is not None else None),
            "soaking_since": soaking_since or (before.soaking_since if before is not None else None),
        }
    )


def _facts(
    plan: BuildPlan,
    provisioned: CommandFacts | None,
    verified: CommandFacts | None,
    first_boot: FirstBoot | None,
) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if provisioned:
        facts = provisioned.model_dump(exclude={"kind", "image_digest"}, exclude_defaults=True)
    if verified:
        facts |= verified.model_dump(
            include={"boot_to_healthy_seconds", "first_read_seconds"}, exclude_none=True
        )
    if first_boot:
        facts[FACT] = first_boot.model_dump()
    made = plan.settings
    if made and (hooks := named_hooks(made.hooks, made.hook_scripts, made.hook_programs)):
        facts["hooks"] = hooks
    return facts


def _compact(value: Mapping[str, Any] | Any) -> str:
    """JSON in ASCII, so that characters are bytes, and without `{{`, where Parameter Store expects another
    parameter's name (SSM API reference, PutParameter, Value). Only a text has it, and whoever parses it reads the same.
    """
    return json.dumps(value, separators=(",", ":")).replace("{{", "{\\u007b")
