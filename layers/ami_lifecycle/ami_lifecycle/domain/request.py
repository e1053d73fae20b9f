"""The request of an execution."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from ami_lifecycle.domain.model import AmiId, Digest, Frozen
from ami_lifecycle.domain.settings import EnvironmentName, ImageTag


class Trigger(StrEnum):
    """Why an execution was started."""

    PUSH = "push"
    MANUAL = "manual"
    QUEUED = "queued"
    ROLLBACK = "rollback"
    RECONCILE = "reconcile"
    SCHEDULE = "schedule"
    ALARM = "alarm"


class Action(StrEnum):
    """What an execution does."""

    BUILD = "build"
    PUBLISH = "publish"
    PROMOTE = "promote"
    UNDELETE = "undelete"
    RETIRE = "retire"
    NONE = "none"
    ASK = "ask"


# CloudWatch API reference, PutMetricAlarm, AlarmName.
AlarmName = Annotated[str, Field(min_length=1, max_length=255)]
ShortText = Annotated[str, Field(max_length=200)]
# An execution's ARN or name, or the short name that people read. Whoever starts an execution names it, with any but
# these characters (Step Functions API reference, StartExecution).
ReleaseName = Annotated[str, Field(pattern=r"""^[^\s<>{}\[\]?*"#%\\^|~`$&,;/\x00-\x1f\x7f-\x9f]{1,256}$""")]


class BuildRequest(Frozen):
    """A request by a person, the queue or the sweep; also the input of a manual execution.

    With neither `image_tag` nor `image_digest`, the environment's own tag is built. `publish_image_id`
    makes an existing image `latest` again, without a build; with `image_digest` beside it, that is built
    where the image is gone by then. `promote_from` names the environment whose release is promoted: the `release`,
    or what is live there. With `action` undelete, `publish_image_id` is an image that was retired. `retire_at_most`
    takes the place of the settings' limits on how many images may go at once. `requested_by` is who asks, as he says
    himself. `alarm` is the name of the alarm that has a publication undone.
    """

    environment: EnvironmentName
    action: Literal[Action.BUILD, Action.PUBLISH, Action.PROMOTE, Action.UNDELETE, Action.RETIRE] = (
        Action.BUILD
    )
    trigger: Trigger = Trigger.MANUAL
    image_tag: ImageTag | None = None
    image_digest: Digest | None = None
    publish_image_id: AmiId | None = None
    promote_from: EnvironmentName | None = None
    release: ReleaseName | None = None
    fresh: StrictBool = False
    force: StrictBool = False
    pin: StrictBool = False
    retire_at_most: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    branch: ShortText | None = None
    commit_sha: Annotated[str, Field(max_length=64)] | None = None
    workflow_run_id: ShortText | None = None
    reason: ShortText | None = None
    requested_by: ShortText | None = None
    alarm: AlarmName | None = None

    @model_validator(mode="after")
    def _alarm_goes_back(self) -> Self:
        if self.trigger is Trigger.ALARM and (self.action is not Action.PUBLISH or not self.publish_image_id):
            raise ValueError(
                'trigger is alarm, which publishes an earlier image again; write "action": "publish" and '
                "publish_image_id, or leave trigger out"
            )
        if self.alarm is not None and self.trigger is not Trigger.ALARM:
            raise ValueError(
                f"alarm belongs to trigger alarm, and trigger is {self.trigger.value}; leave it out, and name it in "
                "reason"
            )
        return self

    @model_validator(mode="after")
    def _promotes_or_does_not(self) -> Self:
        if self.action is not Action.PROMOTE:
            if self.promote_from is not None or self.release is not None:
                raise ValueError(
                    f"promote_from and release belong to action promote, and action is {self.action.value}; write "
                    '"action": "promote", or leave them out'
                )
            return self
        if self.promote_from is None:
            raise ValueError(
                "action is promote, but promote_from is missing; name the environment to promote from"
            )
        if self.promote_from == self.environment:
            raise ValueError(
                f"promote_from is {self.promote_from!r}, the environment itself; name another one"
            )
        given = [name for name in ("image_tag", "image_digest", "publish_image_id") if getattr(self, name)]
        if given or self.fresh:
            raise ValueError(
                f"action is promote, which builds nothing and knows no {', '.join(given or ['fresh'])}; leave it out, "
                "and name a release"
            )
        return self

    @model_validator(mode="after")
    def _undeletes_one_image(self) -> Self:
        if self.action is not Action.UNDELETE:
            return self
        if self.publish_image_id is None:
            raise ValueError(
                "action is undelete, but publish_image_id is missing; name the image that was retired"
            )
        given = [name for name in ("image_tag", "image_digest", "fresh") if getattr(self, name)]
        if given:
            raise ValueError(
                f"action is undelete, which builds nothing and knows no {', '.join(given)}; leave it out"
            )
        return self

    @property
    def goes_back(self) -> bool:
        """Whether it is a rollback, by a person or an alarm; the sweep publishes an image again only as a repair."""
        if self.trigger is Trigger.RECONCILE:
            return False
        return self.trigger is Trigger.ROLLBACK or self.action is Action.PUBLISH
