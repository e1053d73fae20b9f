"""The rules of faults as their users write them; see the package."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Moment = Literal["before", "after"]


class Rule(BaseModel):
    """What all rules have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: int | None = Field(default=1, ge=1, description="how often it applies; null for always")
    skip: int = Field(default=0, ge=0, description="how many matching occasions pass first")
    probability: float = Field(default=1.0, gt=0, le=1)


class CallRule(Rule):
    """A rule for API calls."""

    service: str = "*"
    operation: str = "*"
    caller: str = "*"
    match: dict[str, Any] = Field(default_factory=dict)


class ErrorFault(CallRule):
    """A call that answers with an error, before or after it takes effect; with code "", one without its code."""

    kind: Literal["error"]
    code: str
    message: str = "An emulated fault."
    status: int = Field(default=400, ge=400, le=599)
    when: Moment = "before"


class CapacityFault(Rule):
    """RunInstances finds no capacity for a type in a subnet's zone (EC2 API reference, Error codes)."""

    kind: Literal["capacity"]
    subnet: str = "*"
    instance_type: str = "*"
    code: str = "InsufficientInstanceCapacity"


class QuotaFault(Rule):
    """The account's vCPUs for some instance types are limited (EC2 user guide, On-Demand Instance quotas)."""

    kind: Literal["quota"]
    instance_type: str = "*"
    limit: int = Field(ge=0)
    times: int | None = Field(default=None, ge=1, description="how many launches it refuses; null for all")


class InitializationFault(Rule):
    """The Region's quota of concurrent volume initialization (EBS user guide, Initialize Amazon EBS volumes)."""

    kind: Literal["initialization"]
    limit: int = Field(default=5_000, ge=0, description="MiB/s of all volumes that are initialized at a rate")
    code: str = "ResourceLimitExceeded"
    times: int | None = Field(default=None, ge=1, description="how many launches it refuses; null for all")


class SlowFault(CallRule):
    """A call whose answer takes longer, in emulated seconds."""

    kind: Literal["slow"]
    seconds: float = Field(gt=0)


class LostFault(CallRule):
    """A connection that breaks before the answer."""

    kind: Literal["lost"]
    when: Moment = "after"


class LacksFault(CallRule):
    """An answer that lacks a member, or all of them."""

    kind: Literal["lacks"]
    member: str | None = Field(default=None, description="at the top level; null for all")


class CutFault(CallRule):
    """An answer that is cut off in the middle of its body."""

    kind: Literal["cut"]


class KilledFault(CallRule):
    """The calling function's process is gone at this call."""

    kind: Literal["killed"]
    when: Moment = "after"


class HangsFault(CallRule):
    """The calling function stands still at this call until Lambda ends it."""

    kind: Literal["hangs"]
    when: Moment = "after"


class StaleFault(CallRule):
    """A read that answers what the same read answered before the last change."""

    kind: Literal["stale"]


class RepeatedFault(CallRule):
    """A call made twice: the second one at once, or `apart` emulated seconds after the first began."""

    kind: Literal["repeated"]
    apart: float | None = Field(default=None, ge=0)


class CommandFault(Rule):
    """A Run Command document that fails on the instance."""

    kind: Literal["command_fails"]
    document: str
    environment: str | None = None
    digest: str | None = None
    stderr: str = "the emulated command failed"
    exit_code: int = Field(default=1, ge=1, le=255)


class LostCommandFault(Rule):
    """A command that never reaches its instance."""

    kind: Literal["command_lost"]
    document: str = ""


class EventFault(Rule):
    """An event that is lost, delivered twice, late by `seconds`, or a push without its tag.

    ECR says nothing about whether a push by digest has the member `image-tag` or an empty one, so an
    untagged push is delivered in both forms.
    """

    kind: Literal["event"]
    source: str = "*"
    detail_type: str = "*"
    match: dict[str, Any] = Field(default_factory=dict)
    effect: Literal["lose", "repeat", "delay", "untag"]
    seconds: float = Field(default=60.0, ge=0)


class ImageFault(Rule):
    """An image that ends in the state `failed`."""

    kind: Literal["image_fails"]
    name: str = "*"
    reason: str = "Server.InternalError: Internal error on launch"


class SnapshotFault(Rule):
    """A snapshot of an image that ends in the state `error`; the image fails with it."""

    kind: Literal["snapshot_fails"]
    name: str = "*"


class DroppedValueFault(Rule):
    """A value of type `aws:ec2:image` that is accepted and never applied."""

    kind: Literal["value_dropped"]
    parameter: str = "*"


class AgentFault(Rule):
    """An instance whose SSM agent never reports."""

    kind: Literal["agent_never_online"]
    role: str = "*"


class VanishingAgentFault(Rule):
    """An instance whose SSM agent reports, and is not heard of again `after` emulated seconds."""

    kind: Literal["agent_vanishes"]
    role: str = "*"
    after: float = Field(default=1.0, ge=0)


class InstanceFault(Rule):
    """An instance that goes from `pending` to `terminated`, or ends `after` emulated seconds."""

    kind: Literal["instance_dies"]
    role: str = "*"
    after: float | None = Field(default=None, ge=0)
    reason: str = "Client.VolumeLimitExceeded: Volume limit exceeded"


class ExecutionFault(Rule):
    """An execution that ends `after` emulated seconds in a state, without any state seeing it."""

    kind: Literal["execution_ends"]
    state: str
    execution: str = "*"
    status: Literal["ABORTED", "TIMED_OUT"] = "ABORTED"
    after: float = Field(default=0.0, ge=0)


Fault = Annotated[
    ErrorFault
    | CapacityFault
    | QuotaFault
    | InitializationFault
    | SlowFault
    | LostFault
    | LacksFault
    | CutFault
    | KilledFault
    | HangsFault
    | StaleFault
    | RepeatedFault
    | CommandFault
    | LostCommandFault
    | EventFault
    | ImageFault
    | SnapshotFault
    | DroppedValueFault
    | AgentFault
    | VanishingAgentFault
    | InstanceFault
    | ExecutionFault,
    Field(discriminator="kind"),
]
FAULTS: TypeAdapter[Any] = TypeAdapter(Fault)
