"""The state of an execution between its steps. It carries ids, not documents."""

from __future__ import annotations

from enum import StrEnum

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.decision import Retirement, Unfinished
from ami_lifecycle.domain.model import AmiId, Frozen
from ami_lifecycle.domain.package_summary import PackageSummary
from ami_lifecycle.domain.plan import BuildPlan


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


class Published(Frozen):
    """What `latest` was made to say, and which release that is."""

    image_id: AmiId
    number: int
    replaced: AmiId | None = None
    release: str | None = None
    packages: PackageSummary | None = None


class Adoption(Frozen):
    """The image under the canonical name, or why there is none."""

    adopted: bool
    image_id: AmiId | None = None
    reason: str = ""


class ScanWait(Frozen):
    """What a plan waits for before it is made again."""

    reason: str


class BuildState(Frozen):
    """The state of an execution as `plan_build` starts it; each later step fills in its part. A plan that `waits` is
    not carried out: it is made again.
    """

    plan: BuildPlan
    waits: ScanWait | None = None
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


class StepInput(Frozen):
    """Input of every step after the plan."""

    plan: BuildPlan
    execution_arn: str


class ClaimedInput(StepInput):
    """Input of a step that changes something shared, for which it must hold the claim."""

    claim_number: int


class InstanceInput(StepInput):
    """Input of the steps that act on an instance."""

    instance_id: str


class ExecutionStatus(StrEnum):
    """Status of an execution; UNKNOWN when Step Functions has forgotten it (90 days after its end)."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    PENDING_REDRIVE = "PENDING_REDRIVE"
    UNKNOWN = "UNKNOWN"

    @property
    def is_over(self) -> bool:
        """Whether the execution can change nothing any more."""
        return self not in {ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE}
