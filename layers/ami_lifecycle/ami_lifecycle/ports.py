"""What the steps need of AWS, as protocols. Adapters implement them with boto3, tests with fakes.

Every method may raise `ThrottledError`, `ServiceUnavailableError` or `AccessDeniedError`; others are
named where they matter. Look-ups return None or an empty sequence for what does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ami_lifecycle.domain.approval import ApprovalRecord, Decision
from ami_lifecycle.domain.command import CommandResult
from ami_lifecycle.domain.docker_image import Manifest, RegistryImage
from ami_lifecycle.domain.environment import (
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    HeldBack,
    LaunchProgress,
    Pin,
    UnusableBase,
)
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.launch import LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import (
    Image,
    Instance,
    Snapshot,
    Usage,
)
from ami_lifecycle.domain.outcomes import Outcome
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.scans import ScanReport


class Approvals(Protocol):
    """The requests for approval of each environment."""

    def get(self, environment: str) -> ApprovalRecord:
        """The record, read consistently; an empty one when there is none."""

    def put(self, record: ApprovalRecord) -> bool:
        """Store it in place of the revision before; False when that is not the stored one any more."""


class Decisions(Protocol):
    """What was decided about requests for approval."""

    def get(self, approval_id: str) -> Decision | None:
        """The last decision, read consistently."""

    def put(self, decision: Decision) -> Decision:
        """Store it, unless its request was decided before; returns the decision that stands."""


class Clock(Protocol):
    """The current time, and short pauses between reads."""

    def now(self) -> datetime:
        """The current date (UTC, aware)."""

    def pause(self, seconds: float) -> None:
        """Wait for a moment; never for a resource."""


class Instances(Protocol):
    """EC2 instances. IAM refuses changes of instances without the service's tags."""

    def get(self, instance_id: str) -> Instance | None:
        """One instance; None when EC2 does not know it (yet, or any more)."""

    def find(self, tags: Mapping[str, str]) -> list[Instance]:
        """All instances that carry all these tags, terminated ones included, as long as EC2 shows them."""

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Launch one instance, idempotent by client token."""

    def stop(self, instance_id: str) -> None:
        """Stop it, without waiting. Idempotent."""

    def terminate(self, instance_id: str) -> None:
        """Terminate it, without waiting. Idempotent. Raises `ResourceNotVisibleError` when
        EC2 does not show it yet, because NotFound does not mean that it will not run.
        """


class AllowedImages(NamedTuple):
    """EC2's setting Allowed AMIs: whether it hides images of other accounts, and who manages it."""

    restricts: bool
    is_policy: bool = False


class Images(Protocol):
    """AMIs and their snapshots in this account and Region."""

    def get(self, image_id: str) -> Image | None:
        """One image of any owner; None when it does not exist or is deregistered."""

    def is_deregistered(self, image_id: str) -> bool:
        """Whether EC2 knows the id, and of no image any more; one that does not show yet it does not know."""

    def find(self, tags: Mapping[str, str]) -> list[Image]:
        """All own images that carry all these tags, disabled ones included, in any state."""

    def find_by_name(self, pattern: str) -> list[Image]:
        """All own images whose name matches (`*` as in EC2's filters), disabled ones included."""

    def newest(self, owner: str, name: str, architecture: str) -> Image | None:
        """The newest available image of an account or an alias (`self`, `amazon`) whose name matches, with an EBS root
        volume and hvm; None when there is none, or none that this account allows itself.
        """

    def create(self, instance_id: str, name: str, description: str, tags: Mapping[str, str]) -> str | None:
        """CreateImage with tags on image and snapshots; returns its id.

        None when the name is taken: the caller looks for its own image, since CreateImage has no
        client token. Raises `BuilderLostError` when the instance cannot be imaged.
        """

    def register_copy(self, image: Image, name: str, tags: Mapping[str, str]) -> str | None:
        """RegisterImage from the image's own snapshots with every attribute copied; returns its id.

        None when the name is taken.
        """

    def deregister(self, image_id: str, *, with_snapshots: bool = False) -> list[str]:
        """Deregister it. Idempotent. Raises `RefusedError` when EC2 protects it.

        Args:
            with_snapshots: have EC2 delete those of its snapshots that no other image uses.

        Returns the snapshots that EC2 reports as deleted; the others may still exist.
        """

    def deprecate(self, image_id: str, at: datetime) -> None:
        """Set the date from which other accounts do not find it. Idempotent."""

    def undeprecate(self, image_id: str) -> None:
        """Take that date away. Idempotent."""

    def protect(self, image_id: str) -> None:
        """Have EC2 refuse its deregistration, until `unprotect`. Idempotent."""

    def unprotect(self, image_id: str) -> None:
        """Take the protection away, at once. Idempotent."""

    def launch_permissions(self, image_id: str) -> list[str]:
        """Account ids, groups (`all`), organizations and units that may launch it.

        Raises if EC2 does not find the image: unknown permissions are not the same as none.
        """

    def allowed_images(self) -> AllowedImages:
        """The setting Allowed AMIs; the account's own images are always allowed."""

    def find_snapshots(self, tags: Mapping[str, str]) -> list[Snapshot]:
        """All own snapshots that carry all these tags."""

    def find_each_snapshot(self, snapshot_ids: Sequence[str]) -> list[Snapshot]:
        """Those of the snapshots that this account owns and that exist."""

    def find_each(self, image_ids: Sequence[str]) -> list[Image]:
        """Those of the images that this account owns and that exist, disabled ones included, in any state."""

    def snapshots_in_bin(self, snapshot_ids: Sequence[str]) -> dict[str, datetime]:
        """Those of the snapshots that are in the Recycle Bin, each with the date when it goes for good."""

    def restore_snapshot(self, snapshot_id: str) -> None:
        """Take it out of the Recycle Bin; it can be used a little later. Idempotent."""

    def images_of_snapshots(self, snapshot_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of own images that use each snapshot; an empty list for an unused one."""

    def delete_snapshot(self, snapshot_id: str) -> bool:
        """Delete it; True when it no longer exists, False when an image still uses it."""


class ImageUsage(Protocol):
    """Uses of images."""

    def usage_of(
        self,
        image_ids: Sequence[str],
        parameter_paths: Sequence[str] = ("/",),
        *,
        with_permissions: bool = True,
    ) -> list[Usage]:
        """All uses of each image, in the given order. A look-up that fails becomes an UNKNOWN use of every image that
        it could concern; it does not raise.

        Args:
            parameter_paths: below which paths parameters are read for image ids, whatever their data type.
            with_permissions: False leaves out launch permissions, which take a call for each image and are read right
                before a deregistration.
        """

    def permissions_of(self, image_id: str) -> Usage:
        """The launch permissions of other accounts, as uses; UNKNOWN if they cannot be read."""


class Commands(Protocol):
    """SSM Run Command."""

    def agent_version(self, instance_id: str) -> str | None:
        """Version of the instance's agent when it is online; else None."""

    def find(self, instance_id: str, comment: str) -> str | None:
        """Id of a command sent to the instance with this comment; else None."""

    def send(self, instance_id: str, document: str, parameters: Mapping[str, str], comment: str) -> str:
        """Send a document; returns the command's id. SendCommand has no client token, so look first.

        Raises `AgentNotOnlineError` when SSM does not accept the instance.
        """

    def result(self, command_id: str, instance_id: str) -> CommandResult | None:
        """The invocation; None when SSM does not show it yet."""


class StoredDocument(NamedTuple):
    """A version of a document as read: its number, type (`Command`), state (`Active`), and content as JSON."""

    version: int
    type: str
    status: str
    content: str


class Documents(Protocol):
    """The account's own documents of Systems Manager, and those that it is shared."""

    def get(self, name: str, version: int | None) -> StoredDocument | None:
        """A version of a document by name or ARN, the default one without a number; None when it does not exist."""


class StoredParameter(NamedTuple):
    """A parameter as read: value, version, data type (`text` or `aws:ec2:image`), and type. The value of a
    SecureString is what it is encrypted as.
    """

    value: str
    version: int
    data_type: str
    type: str = "String"


class Parameters(Protocol):
    """SSM Parameter Store."""

    def get(self, name: str) -> StoredParameter | None:
        """One parameter; None when it does not exist."""

    def get_each(self, names: Sequence[str]) -> dict[str, StoredParameter]:
        """Those of the parameters that exist, by name."""

    def overwrite(self, name: str, value: str, *, data_type: str, description: str) -> int:
        """Overwrite one that exists and has this data type; otherwise as `put`."""

    def put(self, name: str, value: str, *, data_type: str, description: str, tags: Mapping[str, str]) -> int:
        """Create (with tags) or overwrite it; returns the version that the write was given. For
        `aws:ec2:image` the write may still be dropped (SSM API reference, PutParameter), so read back.
        """

    def list_below(self, path: str) -> dict[str, StoredParameter]:
        """All parameters below a path, by name."""

    def delete(self, name: str) -> None:
        """Delete it. Idempotent."""


class PackageLists(Protocol):
    """What is in the images: objects of one bucket."""

    @property
    def bucket(self) -> str:
        """Its name."""

    def read(self, key: str) -> str | None:
        """A list; None when there is none."""

    def write(self, key: str, text: str) -> None:
        """Write a list. Idempotent."""

    def delete(self, key: str) -> None:
        """Delete it. Idempotent."""


class Repository(Protocol):
    """ECR in this account and Region."""

    def uri(self, repository: str) -> str:
        """`registry/repository`. Raises `RepositoryNotFoundError`."""

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Digest that the tag names now; None when the tag is not there."""

    def has_digest(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the digest."""

    def describe(self, repository: str, digest: str) -> RegistryImage | None:
        """The registry's description of a digest; None if it does not exist."""

    def manifest(self, repository: str, digest: str) -> Manifest | None:
        """The manifest of a digest; None when it is not there or cannot be read."""

    def scan(self, repository: str, digest: str) -> ScanReport:
        """What the scan of a manifest has found, or why there is none."""


class Network(Protocol):
    """Subnets and security groups of this account and Region."""

    def vpcs_of_subnets(self, subnet_ids: Sequence[str]) -> dict[str, str]:
        """The VPC of each of these subnets that exists."""

    def vpc_of_group(self, group_id: str) -> str | None:
        """The VPC of a security group; None where it does not exist."""


class Environments(Protocol):
    """The environments' records; every write is conditional."""

    def get(self, environment: str) -> EnvironmentRecord:
        """The record, read consistently; an empty one when there is none."""

    def claim(self, environment: str, claim: Claim) -> bool:
        """Claim a free environment; `claim.number` must be one more than the record's `fencing`, and
        becomes it. False when the record has changed meanwhile or somebody holds it.
        """

    def queue(self, environment: str, request: BuildRequest, *, behind: Claim, revision: int) -> bool:
        """Queue a request behind this holder, and add one to `revision`; False when the holder's
        claim or the revision is not as it was read.
        """

    def enter(self, environment: str, execution_arn: str, number: int, busy_until: datetime) -> Claim:
        """Begin writing under the claim. Raises `ClaimLostError` when it is not held.

        Returns the claim as it was: its `busy_until` is set if an earlier invocation has not called `leave`.
        """

    def leave(
        self, environment: str, execution_arn: str, number: int, *, still_busy_until: datetime | None = None
    ) -> None:
        """End writing under the claim; no effect when it is no longer held.

        `still_busy_until` is what `enter` returned: an earlier invocation may still be running.
        """

    def remember_launch(
        self, environment: str, execution_arn: str, number: int, progress: LaunchProgress
    ) -> None:
        """Store the progress of a launch in the claim. Raises `ClaimLostError` when it is not held."""

    def release(self, environment: str, claim: Claim, *, revision: int) -> bool:
        """Remove the claim and add one to `fencing`, so that a plan made before is outdated.

        The queued request stays. False when the claim or the revision is not as it was read; True when an earlier
        attempt has released it.
        """

    def clear_queued_request(self, environment: str, *, revision: int) -> None:
        """Remove the queued request, unless another was queued since."""

    def count_publication(self, environment: str, execution_arn: str) -> int:
        """Number of this execution's publication: one more than the last, and the same on a retry."""

    def record_failures(self, environment: str, failures: Sequence[FailedAttempts]) -> None:
        """Store the failures, the latest first, in place of the previous ones."""

    def note_rebuild(self, environment: str, since: datetime | None) -> None:
        """Store since when a rebuild is due; None when none is."""

    def hold_back(self, environment: str, held: Sequence[HeldBack]) -> None:
        """Store the pending retries."""

    def record_unusable_base(self, environment: str, base: UnusableBase | None) -> None:
        """Store or remove the base image that no build can start from."""

    def set_pin(self, environment: str, pin: Pin | None) -> None:
        """Pin or unpin."""

    def held_by(self, execution_arn: str) -> list[EnvironmentRecord]:
        """The records whose claim belongs to the execution."""


class StoredWait(NamedTuple):
    """A task that waits for a resource, since a moment."""

    resource_id: str
    token: str
    wait: Mapping[str, Any]
    execution_arn: str
    since: datetime


class Waits(Protocol):
    """Task tokens by the resource they wait for."""

    def put(self, wait: StoredWait, expires: datetime) -> None:
        """Store the token, replacing an expired one of the same resource."""

    def get(self, resource_id: str) -> StoredWait | None:
        """The token for a resource."""

    def delete(self, resource_id: str, token: str) -> None:
        """Delete the token, unless another one has been stored since."""


class Executions(Protocol):
    """Step Functions."""

    def status(self, execution_arn: str) -> ExecutionStatus:
        """Status of an execution."""

    def failure(self, execution_arn: str) -> str:
        """Error and cause of a failed execution, on one line; empty if it has not failed or is unknown."""

    def start(self, state_machine_arn: str, name: str, request: BuildRequest) -> str:
        """Start an execution; returns its ARN. The same name again is the same execution."""

    def send_success(self, token: str, output: Mapping[str, Any]) -> bool:
        """Complete a waiting task; False when the task no longer waits."""

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """Fail a waiting task; False when the task no longer waits."""


class Notifier(Protocol):
    """Notifications for people, events for other systems."""

    def notify(self, subject: str, message: Mapping[str, Any]) -> None:
        """Publish one outcome. `subject` has at most 100 characters (SNS API reference, Publish)."""

    def announce(self, outcomes: Sequence[Outcome]) -> None:
        """Put the events on the event bus, in order."""
