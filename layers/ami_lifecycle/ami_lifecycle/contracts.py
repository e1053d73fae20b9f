"""What crosses a boundary: requests, events, the input and output of every function, the published records.

State between the steps carries ids and the plan; every model is frozen and refuses unknown fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from ami_lifecycle.domain.model import AmiId, Digest, Frozen, VolatileDevice
from ami_lifecycle.domain.settings import EnvironmentName, EnvironmentSettings, ImageTag

SCHEMA_VERSION = 1


class Trigger(StrEnum):
    """Why an execution was started."""

    PUSH = "push"
    MANUAL = "manual"
    QUEUED = "queued"
    ROLLBACK = "rollback"
    RECONCILE = "reconcile"


class Action(StrEnum):
    """What an execution does."""

    BUILD = "build"
    PUBLISH = "publish"
    RETIRE = "retire"
    NONE = "none"


class BuildMode(StrEnum):
    """Whether a build starts from Ubuntu or from the environment's own image."""

    FRESH = "fresh"
    UPDATE = "update"


ShortText = Annotated[str, Field(max_length=200)]


class BuildRequest(Frozen):
    """What a person, a queue or the sweep asks for; also the input of a manual execution.

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


class Source(Frozen):
    """The Docker image that is built in. `size_bytes`: of its compressed layers, where the registry tells it."""

    repository_uri: str
    digest: Digest
    tag: str | None = None
    size_bytes: int | None = None

    @property
    def reference(self) -> str:
        """`registry/repository:tag`, or by digest where no tag is known."""
        return f"{self.repository_uri}:{self.tag}" if self.tag else f"{self.repository_uri}@{self.digest}"


class Base(Frozen):
    """The image that the builder boots."""

    image_id: AmiId
    root_device_name: str
    root_volume_gib: int | None = None
    volatile_devices: tuple[VolatileDevice, ...] = ()
    created: datetime | None = None


class BuildPlan(Frozen):
    """Everything that was decided before any money is spent; the same for all steps of an execution."""

    action: Action
    trigger: Trigger
    environment: str
    reasons: tuple[str, ...]
    run_id: str = ""
    settings: EnvironmentSettings | None = None
    fencing: int = 0
    source: Source | None = None
    mode: BuildMode | None = None
    base: Base | None = None
    generation: int = 1
    request: BuildRequest | None = None

    @property
    def configured(self) -> EnvironmentSettings:
        """The settings, which every plan that does something has."""
        if self.settings is None:
            raise ValueError(f"the plan for {self.environment} does nothing and has no settings")
        return self.settings

    @property
    def image(self) -> Source:
        """The Docker image, which every plan that builds has."""
        if self.source is None:
            raise ValueError(f"the plan for {self.environment} names no Docker image")
        return self.source

    @property
    def candidate_name(self) -> str:
        """Name of the image until it is adopted under the canonical one."""
        return f"{self.configured.image_name}.candidate.{self.run_id}"


class InstanceRef(Frozen):
    """A launched instance."""

    instance_id: str
    instance_type: str = ""
    subnet_id: str = ""


class CommandRef(Frozen):
    """A command sent to an instance. `number` counts those that were sent because the ones before never began."""

    command_id: str
    instance_id: str
    number: int = 1


class ImageRef(Frozen):
    """An image by id."""

    image_id: AmiId


class WaitKind(StrEnum):
    """What is waited for."""

    AGENT = "agent"
    PROVISIONING = "provisioning"
    STOPPED = "stopped"
    IMAGE = "image"
    VERIFICATION = "verification"


class Wait(Frozen):
    """One thing to wait for. `resource_id` is the id that its completion event carries."""

    kind: WaitKind
    resource_id: str
    instance_id: str | None = None


class CommandFacts(BaseModel):
    """The JSON line that a document prints last."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    kind: Literal["provision", "verify"]
    image_digest: Digest
    image_size_bytes: int | None = None
    image_labels: Mapping[str, str] = Field(default_factory=dict)
    os: Mapping[str, str] = Field(default_factory=dict)
    kernel: str | None = None
    docker_version: str | None = None
    free_bytes: int | None = None
    boot_to_healthy_seconds: float | None = None
    first_read_seconds: float | None = None


class ClaimStatus(StrEnum):
    """How an attempt to claim an environment ended."""

    CLAIMED = "claimed"
    QUEUED = "queued"
    ALREADY_BUILDING = "already_building"
    OUTDATED = "outdated"


class ClaimResult(Frozen):
    """The claim, or why there is none. `number` fences later writes."""

    status: ClaimStatus
    number: int
    reason: str


class Verification(Frozen):
    """Proof that an image has booted and passed."""

    image_id: AmiId
    verified_at: datetime
    boot_to_healthy_seconds: float | None = None
    first_read_seconds: float | None = None


class Published(Frozen):
    """What `latest` was made to say."""

    image_id: AmiId
    number: int
    replaced: AmiId | None = None


class RetireAction(StrEnum):
    """What happens to an image that is not `latest`."""

    KEEP = "keep"
    RETIRE = "retire"


class Decision(Frozen):
    """One keep or retire decision with a reason that a person can read. `blocked` tells an image that is
    kept because something uses or protects it from one that a setting keeps.
    """

    image_id: AmiId
    action: RetireAction
    reason: str
    blocked: bool = False


class Blocked(Frozen):
    """One thing that was left as it is, because AWS refused what was wanted of it.

    Attributes:
        resource: its id or name.
        error: name of the error.
        reason: what was refused, and what a person can do about it.
    """

    resource: str
    error: str
    reason: str


class Unfinished(Frozen):
    """What ended a step after the publication, as Step Functions reports it."""

    error: str = Field("", alias="Error")
    cause: str = Field("", alias="Cause")

    model_config = ConfigDict(populate_by_name=True)


class Retirement(Frozen):
    """All decisions of one look, what was left undone, and whether the canonical name can be adopted now."""

    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    adopt_name: bool = False
    adopt_reason: str = ""


class Adoption(Frozen):
    """The image under the canonical name, or why there is none."""

    adopted: bool
    image_id: AmiId | None = None
    reason: str = ""


class BuildState(Frozen):
    """The state of an execution as `plan_build` starts it; each later step fills in its part."""

    plan: BuildPlan
    claim: ClaimResult | None = None
    builder: InstanceRef | None = None
    provisioning: CommandRef | None = None
    provisioned: CommandFacts | None = None
    image: ImageRef | None = None
    canary: InstanceRef | None = None
    verifying: CommandRef | None = None
    verified: CommandFacts | None = None
    published: Published | None = None
    retirement: Retirement | None = None
    candidate_retirement: Retirement | None = None
    unfinished: Unfinished | None = None


class PlanInput(Frozen):
    """Input of `plan_build`: the execution's own input, untouched."""

    request: Any
    execution_arn: str
    execution_name: str


class StepInput(Frozen):
    """What every step after the plan gets."""

    plan: BuildPlan
    execution_arn: str


class ClaimedInput(StepInput):
    """What a step gets that makes or changes something others see: it must still hold the claim."""

    claim_number: int


class CanaryInput(ClaimedInput):
    """Input of `launch_canary`."""

    image_id: AmiId


class InstanceInput(StepInput):
    """Input of the steps that act on an instance."""

    instance_id: str


class CommandInput(InstanceInput):
    """Input of the steps that send a document. `undelivered` is the last one sent, which never began."""

    undelivered: CommandRef | None = None


class CreateImageInput(ClaimedInput):
    """Input of `create_image`."""

    instance_id: str


class AwaitInput(Frozen):
    """Input of `await_resource`; without a token the function answers or raises at once."""

    wait: Wait
    execution_arn: str
    task_token: str | None = None


class PublishInput(ClaimedInput):
    """Input of `publish_image`. `copy_of` names the verified candidate when a canonical copy is published."""

    image_id: AmiId
    provisioned: CommandFacts | None = None
    verified: CommandFacts | None = None
    copy_of: AmiId | None = None


class AdoptInput(ClaimedInput):
    """Input of `adopt_image_name`: the candidate that `latest` names."""

    image_id: AmiId


class Resumed(Frozen):
    """Output of `resume_build`: what a completion event led to.

    Attributes:
        kind: what the task waited for, where one did.
        waited_seconds: since the task began to wait for it.
    """

    resource_id: str
    resumed: bool
    reason: str
    kind: WaitKind | None = None
    waited_seconds: float | None = None


class RetireInput(ClaimedInput):
    """Input of `retire_images`. `published` is what this execution has made `latest` say, if it has."""

    published: Published | None = None


class ReleaseInput(ClaimedInput):
    """Input of `release_environment`. `unfinished` is what ended a step after the publication, if one was."""

    state_machine_arn: str
    published: Published | None = None
    retirement: Retirement | None = None
    candidate_retirement: Retirement | None = None
    unfinished: Unfinished | None = None


class ReleaseResult(Frozen):
    """Output of an execution that went well. `blocked` is what was left undone beside the publication, `untold`
    which notifications could not be sent.
    """

    environment: str
    action: Action
    image_id: AmiId | None = None
    image_digest: str | None = None
    replaced: AmiId | None = None
    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    untold: tuple[Blocked, ...] = ()
    started_execution: str | None = None


class CleanUpInput(Frozen):
    """Input of `clean_up_build`, from the state machine; or made from an execution's status event."""

    execution_arn: str
    state_machine_arn: str
    error: str = ""
    cause: str = ""
    status: str = "RUNNING"


class CleanUpResult(Frozen):
    """What failed, in words for a person, and what was removed."""

    error: str
    cause: str
    terminated: tuple[str, ...] = ()
    deregistered: tuple[str, ...] = ()
    deleted_snapshots: tuple[str, ...] = ()
    kept: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    released: tuple[str, ...] = ()
    untold: tuple[Blocked, ...] = ()
    started_execution: str | None = None


class FindingKind(StrEnum):
    """What a finding is about, as far as an alarm asks."""

    BLOCKED = "blocked"
    DEAD_CLAIM = "dead_claim"
    METADATA = "metadata"
    ORPHAN = "orphan"
    OTHER = "other"
    RETIREMENT_DUE = "retirement_due"


class SweepFinding(Frozen):
    """One thing that the sweep saw; `repaired` tells whether it was set right or only reported."""

    environment: str | None
    finding: str
    repaired: bool
    kind: FindingKind = FindingKind.OTHER


class SweepResult(Frozen):
    """All findings of one sweep, the environments for which a request waits, those that do not publish the
    digest that their tag names, whatever the reason, and all that AWS refuses to let go.
    """

    findings: tuple[SweepFinding, ...] = ()
    waiting: tuple[str, ...] = ()
    unpublished: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


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
    verified_at: str | None = None
    snapshot_ids: tuple[str, ...] = ()
    replaces: str | None = None
    reason: str = ""
    facts: Mapping[str, Any] = Field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


class RecordStatus(StrEnum):
    """What became of an image that `latest` has named."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    KEPT = "kept"
    RETIRED = "retired"


class HistoryRecord(Metadata):
    """The value of `history/{ami-id}`: the metadata, and what became of the image.

    `published_by` is the ARN of the execution that made `latest` name it, or was about to.
    """

    status: RecordStatus = RecordStatus.LIVE
    status_reason: str = ""
    status_since: str = ""
    superseded_by: str | None = None
    published_by: str | None = None
