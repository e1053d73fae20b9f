"""The contract of --json: a model for each command, from which `docs/json.md` and its schema are generated.

Commands print plain values; tests hold every answer against its model. A new version only adds fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ami_lifecycle.domain import first_boot, package_list, package_summary, scans
from ami_lifecycle.domain.approval import ApprovalFacts, Ask
from ami_lifecycle.domain.decision import Blocked, Decision
from ami_lifecycle.domain.environment import Claim, FailedAttempts, HeldBack, Pin
from ami_lifecycle.domain.model import Image, ImageUse
from ami_lifecycle.domain.plan import Base, Promotion, Source
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle_cli.stack.findings import Level
from ami_lifecycle_cli.stack.publication_wait import Outcome

Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Seconds = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A part of a document."""

    model_config = ConfigDict(extra="forbid")


class Document(Part):
    """What all documents have."""

    schema_version: Literal[1]


# Shared parts.


class Record(Part):
    """A published image as history has it; the fields of the parameter `metadata`, and what became of the image."""

    ami_id: str
    docker_image: str
    environment: str
    creation_date: Moment | None
    branch: str | None
    commit_sha: str | None
    region: str
    workflow_run_id: str
    workflow_run_number: int | None
    image_digest: str
    base_ami_id: str | None
    build_mode: str | None
    generation: int
    base_created: Moment | None
    release: str | None
    recipe: str | None
    base_setting: str | None
    original_ami_id: str | None
    promoted_from: str | None
    container: str | None
    verified_at: Moment | None
    snapshot_ids: list[str]
    replaces: str | None
    reason: str
    gates: dict[str, dict[str, Any]]
    facts: dict[str, Any]
    schema_version: int
    status: str | None = None
    status_reason: str | None = None
    status_since: Moment | None = None
    superseded_by: str | None = None
    published_by: str | None = None
    rolled_back: bool | None = None
    registration: dict[str, Any] | None = None
    soaking_since: Moment | None = None


class FirstBoot(first_boot.FirstBoot):
    """What a first boot takes where volumes are initialized at a rate; null without one (docs/fleets.md)."""

    model_config = ConfigDict(extra="forbid")

    seconds_to_healthy: Seconds | None


class Scan(scans.ScanFacts):
    """What the scan of the Docker image has found; null where the environment asks for none (docs/gates.md)."""

    model_config = ConfigDict(extra="forbid")


class Running(Claim):
    """The execution that holds an environment, and the state that it is in."""

    state: str | None


class Links(Part):
    """Addresses in the AWS console."""

    image: str | None
    execution: str | None


class NextRebuild(Part):
    """When a rebuild by schedule starts at the earliest, why, and what it waits for beside that."""

    start: Moment
    reason: str
    waits: str | None


class Approval(Part):
    """A request for approval. `state`: waiting, approved, rejected, expired or superseded; `facts` and what belongs to
    them are null of one that is closed.
    """

    id: str
    environment: str
    state: str
    asked_at: Moment
    expires_at: Moment | None
    requested_by: str | None
    facts: ApprovalFacts | None
    differences: list[str]
    execution_arn: str | None
    decided_by: str | None
    decided_at: Moment | None
    reason: str | None
    superseded_by: str | None


class Soaking(Part):
    """The time after a publication in which an alarm that `alarms` names has `back_to` published again."""

    since: Moment
    until: Moment
    alarms: str
    back_to: str | None


class OneEnvironment(Part):
    """An environment: what is live, what runs and waits, and what is not as it should be (`drift`)."""

    environment: str
    latest: str | None
    problem: str | None
    image_name: str | None
    image_name_explanation: str | None
    image_digest: str | None
    release: str | None
    publishes: str | None
    created: Moment | None
    live_since: Moment | None
    metadata: Record | None
    first_boot: FirstBoot | None
    running: Running | None
    queued: BuildRequest | None
    pin: Pin | None
    held_back: list[HeldBack]
    failed: FailedAttempts | None
    other_images: list[Decision]
    next_rebuild: NextRebuild | None
    approval: Approval | None
    soak: Soaking | None
    drift: list[str]
    console: Links


class OneBuild(Part):
    """A build: how it went, where the time went, in seconds, and why it failed."""

    name: str
    execution_arn: str
    environment: str | None
    trigger: str | None
    status: str
    outcome: str
    state: str | None
    image_digest: str | None
    commit_sha: str | None
    image_id: str | None
    explanation: str
    error: str | None
    cause: str | None
    started: Moment
    stopped: Moment | None
    seconds: Seconds
    phases: dict[str, Seconds]
    states: dict[str, Seconds]
    console: str


class LogLine(Part):
    """A line of a log. `level` is that of a function's logger, or `stdout` or `stderr` of a command."""

    time: Moment
    source: str
    level: str
    message: str


class StateVisit(Part):
    """A state that an execution went through, with the errors that it was tried again for."""

    name: str
    seconds: Seconds
    errors: list[str]


class Change(Part):
    """What differs between two images; null where one does not say it."""

    name: str
    old: Any
    new: Any


class Packages(package_summary.PackageSummary):
    """What is in an image, counted, and where its list is; or why it has none. Null where nothing is recorded."""

    model_config = ConfigDict(extra="forbid")


class PackageChange(Part):
    """A package in two versions: `old` is null for a new one, `new` for one that is gone."""

    kind: Literal["component", "deb", "rpm", "snap"]
    name: str
    architecture: str
    old: str | None
    new: str | None


class PackageDifference(Part):
    """What differs between two package lists; `problem` says why they cannot be compared."""

    summary: str | None
    problem: str | None
    components: list[PackageChange]
    updated: list[PackageChange]
    new: list[PackageChange]
    removed: list[PackageChange]
    new_layers: list[str]
    removed_layers: list[str]


class Package(package_list.Package):
    """A package of the image's system."""

    model_config = ConfigDict(extra="forbid")


class ListedPackages(Part):
    """The package list of a release, as it is in the bucket; null without `--packages`."""

    schema_version: Literal[1]
    environment: str
    release: str
    image_digest: str
    components: dict[str, str]
    packages: list[Package]
    layers: list[str]


class ExaminationFinding(Part):
    """What an examination found."""

    level: Level
    area: str
    message: str
    remedy: str


class AdoptedImage(Part):
    """An image of an older way of building, and what becomes of it."""

    image_id: str
    name: str
    created: Moment | None
    next: str
    reason: str


class RollbackPlan(Part):
    """Where a rollback goes, and how: `at once`, or by a `build`."""

    environment: str
    live: str | None
    to: str
    image_digest: str
    commit_sha: str | None
    how: Literal["build", "at once"]
    why: str


class BinnedSnapshot(Part):
    """A snapshot of a retired image; null for one that is not in the Recycle Bin."""

    snapshot_id: str
    in_bin_until: Moment | None


# A document for each command.


class Status(Document):
    """`status`, of one environment or of all."""

    environments: list[OneEnvironment]


class Started(Document):
    """What was started and is not followed: `--detach`; `status` is NOT_FOLLOWED where following was interrupted."""

    execution_arn: str
    environment: str
    status: Literal["RUNNING", "NOT_FOLLOWED"]
    started_execution_arn: str | None = None


class Ended(Document):
    """An execution that was followed to its end. `rollback` also has what was planned, and the pin."""

    execution_arn: str
    environment: str | None
    status: str
    outcome: str
    explanation: str
    error: str | None
    cause: str | None
    started: Moment
    seconds: Seconds
    output: dict[str, Any]
    states: list[StateVisit]
    log: list[str]
    rollback: RollbackPlan | None = None
    pin: Pin | None = None


class PlannedBuild(Document):
    """`build --dry-run` and `promote --dry-run`, and either of what is published already (`action` is none)."""

    dry_run: Literal[True]
    action: str
    trigger: str
    environment: str
    reasons: list[str]
    settings: EnvironmentSettings | None
    source: Source | None
    mode: str | None
    base: Base | None
    generation: int
    promotion: Promotion | None
    scan: Scan | None
    request: BuildRequest | None
    ask: Ask | None
    warning: str | None


class Approvals(Document):
    """`approvals`; with `--all`, also what became of the last ones."""

    approvals: list[Approval]


class Decided(Document):
    """`approve` and `reject`: what was decided, by whom, and the execution that an approval has started. `untold`: the
    notifications that could not be sent.
    """

    id: str
    environment: str
    decision: Literal["approved", "rejected"]
    by: str
    at: Moment
    reason: str
    started_execution: str | None
    untold: list[Blocked]


class Waited(Document):
    """`wait`."""

    environment: str
    outcome: Outcome
    exit_code: int
    image_id: str | None
    image_name: str | None
    image_digest: str | None
    commit_sha: str | None
    explanation: str
    seconds: Seconds


class Stop(Document):
    """`stop`. `status`: NOTHING_RUNS, STOPPING (`--detach`), or how the execution ended; `left` is not removed yet."""

    environment: str
    execution_arn: str | None
    status: str
    dry_run: bool = False
    action: str | None = None
    image_digest: str | None = None
    state: str | None = None
    left: list[str] = []
    next_execution_arn: str | None = None


class Builds(Document):
    """`builds`, and `history --timeline`, the newest first."""

    environment: str
    builds: list[OneBuild]


class Log(Document):
    """`logs`; `notes` say what could not be read, and what is shown instead. With `--follow`, each line of output is a
    document of its own, with the fields of one line, and notes are on standard error.
    """

    build: str | None
    lines: list[LogLine]
    notes: list[str]


class FollowedLine(Document, LogLine):
    """A line of `logs --follow`."""


class History(Document):
    """`history`, the newest publication first; `unreadable` are names of parameters."""

    environment: str
    images: list[Record]
    unreadable: list[str]


class ShownImage(Document):
    """`show` of an image."""

    kind: Literal["image"]
    image_id: str
    environment: str
    release: str | None
    exists: bool
    image: Image | None
    record: Record | None
    first_boot: FirstBoot | None
    uses: list[ImageUse]
    console: str | None
    packages: Packages | None
    package_list: ListedPackages | None


class ShownBuild(Document, OneBuild):
    """`show` of a build."""

    kind: Literal["build"]


class Diff(Document):
    """`diff`."""

    old: str
    new: str
    changes: list[Change]
    packages: PackageDifference | None


class PlannedRollback(Document, RollbackPlan):
    """`rollback --dry-run`."""

    dry_run: Literal[True]


class StartedRollback(Started, RollbackPlan):
    """`rollback --detach`."""


class Unpinned(Document):
    """`unpin --dry-run`, and where nothing is to be built: `next` is the digest that would be, or null."""

    environment: str
    was_pinned: bool
    dry_run: bool
    pin: Pin | None
    next: str | None


class PlannedUndeletion(Document):
    """`undelete --dry-run`: the image that was retired, and where its snapshots are."""

    dry_run: Literal[True]
    environment: str
    live: str | None
    to: str
    release: str | None
    image_digest: str
    commit_sha: str | None
    snapshots: list[BinnedSnapshot]


class Retire(Document):
    """`retire --dry-run`, and where nothing is to be retired. `at_most`: how many images may go at once, null for any
    number; `refused`: those that are too many.
    """

    dry_run: bool
    decisions: list[Decision]
    at_most: int | None
    refused: list[str]


class Migrate(Document):
    """`migrate`."""

    dry_run: bool
    images: list[AdoptedImage]
    tagged: list[str]
    blocked: list[Blocked]


class Doctor(Document):
    """`doctor`."""

    findings: list[ExaminationFinding]


class Outputs(Document):
    """`outputs`, all or the one that is named."""

    outputs: dict[str, str]


class Report(Document):
    """`report`."""

    html: str
    environments: list[str]


class Pushed(Document):
    """`emulator push`."""

    environment: str
    repository: str
    tag: str
    image_digest: str
    commit_sha: str
    branch: str


class Ready(Document):
    """The line that `emulator start` prints once it serves, with and without `--json`; one line, and the only one."""

    endpoint_url: str
    region: str
    account_id: str
    stack_name: str
    state_machine_arn: str
    environments: list[str]


class SceneState(Part):
    """A state that an execution went through, in emulated seconds."""

    name: str
    seconds: Seconds


class SceneExecution(Part):
    """An execution of a scene; its times are emulated seconds."""

    name: str
    status: str
    error: str | None
    cause: str | None
    phases: dict[str, Seconds]
    states: list[SceneState]


class DemoScene(Part):
    """A scene of the demonstration; `latest` is what the parameter named when it was over."""

    title: str
    outcome: str
    latest: str | None
    executions: list[SceneExecution]


class NamedImage(Part):
    """An image and its name."""

    image_id: str
    name: str


class DemoAccount(Part):
    """What the account holds in the end; `metadata` is the parameter's own JSON, as consumers read it."""

    images: list[NamedImage]
    snapshots: list[str]
    instances: list[str]
    metadata: dict[str, Any]
    history: list[Record]


class Demo(Document):
    """`demo`: its scenes, and what they left. `seconds` is the time on this machine."""

    seconds: Seconds
    scenes: list[DemoScene]
    final: DemoAccount


class ConfigValue(Part):
    """A value: as JSON has it, masked where it is sensitive; or what is wrong with it (`error`)."""

    path: str
    environment: str | None = None
    value: Any
    source: str
    name: str | None = None
    version: int | None = None
    error: str | None = None


class ConfigShow(Document):
    """`config show`."""

    values: list[ConfigValue]


class ConfigFinding(Part):
    """What is wrong in a file, or with a value; `location` is file and line."""

    level: Literal["error", "warning"]
    path: str | None
    message: str
    remedy: str
    location: str | None


class ConfigValidate(Document):
    """`config validate`."""

    findings: list[ConfigFinding]


class ConfigDifference(Part):
    """`kind`: missing, differs, invalid, attributes, orphaned. Values are texts, as Parameter Store keeps them."""

    kind: str
    name: str
    path: str | None
    default: str | None
    stored: str | None
    ours: bool
    detail: str


class ConfigDiff(Document):
    """`config diff`."""

    differences: list[ConfigDifference]


class PlannedParameter(Part):
    """A parameter that `config init` would write, or that a person has to set."""

    action: str
    name: str
    path: str
    environment: str | None
    value: str | None
    reason: str
    command: str | None


class ConfigInitPlan(Document):
    """`config init --dry-run`."""

    dry_run: Literal[True]
    plan: list[PlannedParameter]


class Refused(Part):
    """A parameter that could not be written, and why."""

    name: str
    error: str


class ConfigInit(Document):
    """`config init`: names of parameters."""

    created: list[str]
    adopted: list[str]
    updated: list[str]
    kept: list[str]
    left_unset: list[str]
    set_by_hand: list[PlannedParameter]
    failed: list[Refused]


class ParameterChange(Part):
    """A change of a parameter. Values are texts, as Parameter Store keeps them; sensitive ones are masked."""

    name: str
    path: str
    changed: bool
    before: str | None
    after: str
    attributes: list[str]
    version: int | None
    dry_run: bool
    error: str | None = None


class ConfigChange(Document, ParameterChange):
    """`config set` and `config rollback`."""


class ConfigImport(Document):
    """`config import`."""

    changes: list[ParameterChange]


class NotCopied(Part):
    """A value that `config copy` leaves out, and why."""

    path: str
    reason: str


class ConfigCopy(Document):
    """`config copy`: what changed, or would, for the other environment; `same` are paths of equal values."""

    changes: list[ParameterChange]
    same: list[str]
    left_out: list[NotCopied]


class ParameterVersion(Part):
    """A version that Parameter Store has; the value is a text, masked where it is sensitive."""

    version: int
    value: str
    changed_at: Moment | None
    changed_by: str


class ConfigHistory(Document):
    """`config history`."""

    name: str
    versions: list[ParameterVersion]


class ConfigExport(Document):
    """`config export --output FILE`; without `--output` the values themselves are printed."""

    output: str
    format: str
    left_out: list[str]


class ConfigPrune(Document):
    """`config prune`: names of parameters."""

    dry_run: bool
    orphans: list[str]
    deleted: list[str]
    failed: list[Refused]


class ErrorFields(Part):
    """`code` is the name of the error, `UsageError` for wrong use; `hint` is what to do next, where it can be told."""

    code: str
    message: str
    hint: str | None
    exit_code: int


class ErrorDocument(Document):
    """An error: the last line of standard error. Standard output is empty, or has what was done before."""

    error: ErrorFields


DOCUMENTS: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {
    "demo": (Demo,),
    "status": (Status,),
    "build": (Ended, Started, PlannedBuild),
    "wait": (Waited,),
    "stop": (Stop,),
    "builds": (Builds,),
    "logs": (Log, FollowedLine),
    "history": (History, Builds),
    "show": (ShownImage, ShownBuild),
    "diff": (Diff,),
    "promote": (Ended, Started, PlannedBuild),
    "approvals": (Approvals,),
    "approve": (Decided,),
    "reject": (Decided,),
    "rollback": (Ended, Started, StartedRollback, PlannedRollback),
    "undelete": (Ended, Started, PlannedUndeletion),
    "unpin": (Unpinned, Ended, Started),
    "retire": (Retire, Ended, Started),
    "migrate": (Migrate,),
    "doctor": (Doctor,),
    "outputs": (Outputs,),
    "report": (Report,),
    "emulator start": (Ready,),
    "emulator push": (Pushed,),
    "config init": (ConfigInit, ConfigInitPlan),
    "config show": (ConfigShow,),
    "config validate": (ConfigValidate,),
    "config diff": (ConfigDiff,),
    "config set": (ConfigChange,),
    "config history": (ConfigHistory,),
    "config rollback": (ConfigChange,),
    "config export": (ConfigExport,),
    "config import": (ConfigImport,),
    "config copy": (ConfigCopy,),
    "config prune": (ConfigPrune,),
}
# Commands whose output is another's, and why; their errors are as all others'.
WITHOUT: Final[Mapping[str, str]] = {
    "config schema": "prints a JSON Schema (2020-12), whose form that standard sets, with or without `--json`",
    "config exec": "has the output and, once it was started, the exit code of the command that it runs; "
    "`--json` is for errors before that",
}


def any_of(models: Sequence[type[BaseModel]]) -> Any:
    """The type of a document that is one of these."""
    found: Any = models[0]
    for model in models[1:]:
        found = found | model
    return found
