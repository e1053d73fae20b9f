"""The request of an execution."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictBool

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


class Action(StrEnum):
    """What an execution does."""

    BUILD = "build"
    PUBLISH = "publish"
    RETIRE = "retire"
    NONE = "none"


ShortText = Annotated[str, Field(max_length=200)]


class BuildRequest(Frozen):
    """A request by a person, the queue or the sweep; also the input of a manual execution.

    With neither `image_tag` nor `image_digest`, the environment's own tag is built. `publish_image_id`
    makes an existing image `latest` again, without a build; with `image_digest` beside it, that is built
    where the image is gone by then.
    """

    environment: EnvironmentName
    action: Literal[Action.BUILD, Action.PUBLISH, Action.RETIRE] = Action.BUILD
    trigger: Trigger = Trigger.MANUAL
    image_tag: ImageTag | None = None
    image_digest: Digest | None = None
    publish_image_id: AmiId | None = None
    fresh: StrictBool = False
    force: StrictBool = False
    pin: StrictBool = False
    branch: ShortText | None = None
    commit_sha: Annotated[str, Field(max_length=64)] | None = None
    workflow_run_id: ShortText | None = None
    reason: ShortText | None = None

    @property
    def goes_back(self) -> bool:
        """Whether it is a rollback by a person; the sweep publishes an image again only as a repair."""
        if self.trigger is Trigger.RECONCILE:
            return False
        return self.trigger is Trigger.ROLLBACK or self.action is Action.PUBLISH
