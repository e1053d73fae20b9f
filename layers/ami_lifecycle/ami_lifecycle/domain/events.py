"""The parts of EventBridge events that are read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class PushDetail(BaseModel):
    """`detail` of an `ECR Image Action` event (Amazon ECR user guide, EventBridge events)."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    action_type: str = Field(alias="action-type")
    result: str
    repository_name: str = Field(alias="repository-name")
    image_digest: str | None = Field(None, alias="image-digest")
    image_tag: str | None = Field(None, alias="image-tag")


class AlarmState(BaseModel):
    """State of an alarm, since when, and why. Actions of a composite alarm may be suppressed, and none of it is due."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    value: str
    timestamp: AwareDatetime
    reason: str = ""
    suppressed_by: str | None = Field(None, alias="actionsSuppressedBy")


class AlarmDetail(BaseModel):
    """`detail` of a `CloudWatch Alarm State Change` event (CloudWatch user guide, Alarm events and EventBridge).

    It has `muteDetail` while an alarm mute rule keeps the alarm's actions from being done.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    alarm_name: str = Field(alias="alarmName", min_length=1, max_length=255)
    state: AlarmState
    previous: AlarmState | None = Field(None, alias="previousState")
    mute: Mapping[str, Any] | None = Field(None, alias="muteDetail")


class Event(BaseModel):
    """The envelope of an EventBridge event."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    source: str
    detail_type: str = Field(alias="detail-type")
    detail: Mapping[str, Any]
    resources: tuple[str, ...] = ()
    time: datetime | None = None
