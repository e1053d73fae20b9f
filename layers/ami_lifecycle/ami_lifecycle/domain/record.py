"""Published records: the metadata of an image, and its history."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ami_lifecycle.domain.model import AmiId
from ami_lifecycle.domain.plan import BuildMode

SCHEMA_VERSION = 1


class Metadata(BaseModel):
    """The value of `metadata`: the keys of the published schema, and ours. At most 4,096 characters as JSON.

    Consumers ignore keys that they do not know, and so does this reader.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    ami_id: AmiId
    docker_image: str
    environment: str
    creation_date: str
    branch: str | None
    commit_sha: str | None
    region: str
    workflow_run_id: str
    workflow_run_number: str
    image_digest: str
    base_ami_id: str | None = None
    build_mode: BuildMode | None = None
    generation: int = 1
    base_created: str | None = None
    release: str | None = None
    recipe: str | None = None
    base_setting: str | None = None
    original_ami_id: str | None = None
    promoted_from: str | None = None
    container: str | None = None
    verified_at: str | None = None
    snapshot_ids: tuple[str, ...] = ()
    replaces: str | None = None
    reason: str = ""
    gates: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    facts: Mapping[str, Any] = Field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


class RecordStatus(StrEnum):
    """Status of an image that `latest` has named."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    KEPT = "kept"
    RETIRED = "retired"


class HistoryRecord(Metadata):
    """The value of `history/{ami-id}`: the metadata, and what became of the image.

    `published_by` is the ARN of the execution that made `latest` name it, or was about to. `rolled_back` says that
    somebody has gone back from it since; its next publication says no again. `registration` is what it takes to
    register its snapshots again. `soaking_since` is the date of a publication that alarms may undo; an image that gets
    the constant name takes it over, and a rollback has none.
    """

    status: RecordStatus = RecordStatus.LIVE
    status_reason: str = ""
    status_since: str = ""
    superseded_by: str | None = None
    published_by: str | None = None
    rolled_back: bool = False
    registration: Mapping[str, Any] | None = None
    soaking_since: str | None = None
