"""The parts of EventBridge events that are read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class PushDetail(BaseModel):
    """`detail` of an `ECR Image Action` event (Amazon ECR user guide, EventBridge events)."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    action_type: str = Field(alias="action-type")
    result: str
    repository_name: str = Field(alias="repository-name")
    image_digest: str | None = Field(None, alias="image-digest")
    image_tag: str | None = Field(None, alias="image-tag")


class Event(BaseModel):
    """The envelope of an EventBridge event."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    source: str
    detail_type: str = Field(alias="detail-type")
    detail: Mapping[str, Any]
    resources: tuple[str, ...] = ()
    time: datetime | None = None
