"""The state of an environment at one moment: live image, execution, queued request, drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ami_lifecycle.domain.alarms import Soak, soak_of
from ami_lifecycle.domain.approval import ApprovalState, Subject, needs_approval
from ami_lifecycle.domain.decision import Decision, RetireAction
from ami_lifecycle.domain.environment import EnvironmentRecord, FailedAttempts, HeldBack
from ami_lifecycle.domain.links import execution_link, image_link
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.planning import Live, reason_of_failures, reason_of_pin, work_of_building
from ami_lifecycle.domain.record import HistoryRecord, Metadata
from ami_lifecycle.domain.release import release_name, release_of
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.domain.retirement_limit import what_is_refused
from ami_lifecycle.domain.scheduled_rebuild import Rebuild, rebuild_of
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError, ImageNotScannedError, VulnerabilitiesFoundError
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.base_images import current_base
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle.steps.retire_images import within_limit
from ami_lifecycle.steps.scan_gate import ScanGate
from ami_lifecycle_cli.stack.approvals import ShownApproval, open_request, refusal_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date, parse_date, short_digest, short_name, utc_date
from ami_lifecycle_cli.stack.records import (
    data_type_of_latest,
    first_boot_as_json,
    published_since,
    read_environment_live,
    record_as_json,
)
from ami_lifecycle_cli.stack.runs import Runs

_THREADS = 8


class NextRebuild(NamedTuple):
    """The next scheduled rebuild: its earliest start, the reason, and what else it waits for."""

    start: datetime
    reason: str
    waits: str | None

    def __str__(self) -> str:
        waits = f"; {self.waits}" if self.waits else ""
        return f"from {utc_date(self.start)} UTC on: {self.reason}{waits}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"start": iso_date(self.start), "reason": self.reason, "waits": self.waits}


class Soaking(NamedTuple):
    """The soak of the live image that goes on, and the alarms that end it."""

    soak: Soak
    alarms: str

    def __str__(self) -> str:
        back = f"goes back to {self.soak.back_to}" if self.soak.back_to else "finds nothing to go back to"
        return f"until {utc_date(self.soak.until)} UTC: an alarm of {self.alarms} {back}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "since": iso_date(self.soak.since),
            "until": iso_date(self.soak.until),
            "alarms": self.alarms,
            "back_to": self.soak.back_to,
        }


@dataclass(frozen=True)
class Observation:
    """An environment at one moment."""

    environment: str
    live: Live
    metadata: Metadata | None
    record: EnvironmentRecord
    history: HistoryRecord | None
    state: str | None
    decisions: tuple[Decision, ...]
    drift: tuple[str, ...]
    name_explanation: str | None = None
    image_console: str | None = None
    next_rebuild: NextRebuild | None = None
    publishes: str | None = None
    approval: ShownApproval | None = None
    soak: Soaking | None = None

    @property
    def described(self) -> Metadata | None:
        """The live image's history record, else `metadata` if that describes it."""
        if self.history is not None:
            return self.history
        return self.metadata if self.metadata and self.metadata.ami_id == self.live.value else None

    @property
    def created(self) -> datetime | None:
        """When the live image was made."""
        if self.live.image and self.live.image.creation_date:
            return self.live.image.creation_date
        return parse_date(self.described.creation_date) if self.described else None

    @property
    def digest(self) -> str | None:
        """Digest of the Docker image in the live image."""
        return self.live.digest or (self.described.image_digest if self.described else None) or None

    @property
    def release(self) -> str | None:
        """The execution that made the live disks."""
        recorded = self.described.release if self.described else None
        return recorded or (release_of(self.live.image) if self.live.image else None)

    @property
    def promoted_from(self) -> str | None:
        """The environment that the live image was promoted from."""
        return self.described.promoted_from if self.described else None

    @property
    def execution_console(self) -> str | None:
        """Where the execution that holds the environment is shown."""
        return execution_link(self.record.claim.execution_arn) if self.record.claim else None

    @property
    def activity(self) -> str:
        """What happens at this moment."""
        claim, waiting = self.record.claim, self.record.queued_request
        if claim is None:
            return "queued" if waiting else "idle"
        what = {
            "build": "building",
            "publish": "publishing",
            "promote": "promoting",
            "undelete": "undeleting",
            "retire": "retiring",
        }.get(claim.action.value, "busy")
        return f"{what} {short_digest(claim.digest)}" if claim.digest else what

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        claim, image = self.record.claim, self.live.image
        return {
            "environment": self.environment,
            "latest": self.live.value,
            "problem": self.live.problem,
            "image_name": image.name if image else None,
            "image_name_explanation": self.name_explanation,
            "image_digest": self.digest,
            "release": self.release,
            "publishes": self.publishes,
            "created": iso_date(self.created),
            "live_since": iso_date(published_since(self.history)),
            "metadata": record_as_json(self.described) if self.described else None,
            "first_boot": first_boot_as_json(self.described),
            "running": claim.model_dump() | {"state": self.state} if claim else None,
            "queued": self.record.queued_request.model_dump() if self.record.queued_request else None,
            "pin": self.record.pin.model_dump() if self.record.pin else None,
            "held_back": [held.model_dump() for held in self.record.held_back],
            "failed": self.record.failed.model_dump() if self.record.failed else None,
            "other_images": [decision.model_dump() for decision in self.decisions],
            "approval": self.approval.as_json() if self.approval else None,
            "next_rebuild": self.next_rebuild.as_json() if self.next_rebuild else None,
            "soak": self.soak.as_json() if self.soak else None,
            "drift": list(self.drift),
            "console": {"image": self.image_console, "execution": self.execution_console},
        }


def observe_all(stack: Stack, environments: list[str]) -> list[Observation]:
    """Observe several environments concurrently."""
    # Shared objects are created before the threads start.
    _ = (
        stack.environments,
        stack.parameters,
        stack.images,
        stack.usage,
        stack.repository,
        stack.has_configuration,
    )
    for service in ("stepfunctions", "dynamodb", "ecr"):
        stack.client(service)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda environment: observe(stack, environment), environments))


def observe(stack: Stack, environment: str) -> Observation:
    """Observe one environment."""
    live = read_environment_live(stack, environment)
    metadata = stack.published(environment).read_metadata()
    record = stack.environments.get(environment)
    history = stack.published(environment).read_record(live.value)
    state = Runs(stack).current_state(record.claim.execution_arn) if record.claim else None
    settings = stack.catalogue.get(environment) if stack.has_configuration else None
    decisions: tuple[Decision, ...] = ()
    refusal: str | None = None
    unread: list[str] = []
    if settings is not None and live.image is not None:
        try:
            decisions, refusal = _decide(stack, settings, live.image)
        except AmiLifecycleError as error:
            unread.append(f"other images could not be looked at: {error}")
    next_rebuild = None
    if settings is not None and settings.is_rebuilt:
        try:
            settings = with_programs(settings, stack.documents)
            next_rebuild = _next_rebuild(stack, settings, live, record)
        except AmiLifecycleError as error:
            unread.append(f"when it is rebuilt next could not be looked at: {error}")
    approval = open_request(stack, environment) if settings is not None and settings.approval.is_on else None
    name_explanation = None
    if settings is not None and live.image is not None and live.image.name != settings.image_name:
        named = [image.image_id for image in stack.images.find_by_name(settings.image_name)]
        name_explanation = explain_name(settings, live, named, decisions)
    drift = [
        *([data_type] if (data_type := data_type_of_latest(stack, environment)) else []),
        *_live_drift(live, metadata, record, stack.clock.now(), settings, approval),
        *_source_drift(stack, settings, live, record),
        *_blocked_drift(record, stack.clock.now()),
        *([refusal] if refusal and record.held(what_is_refused(environment)) is None else []),
        *_pin_drift(record, live),
        *_retirement_drift(
            stack, settings, live, decisions, record, is_explained=name_explanation is not None
        ),
        *unread,
    ]
    return Observation(
        environment,
        live,
        metadata,
        record,
        history,
        state,
        decisions,
        tuple(drift),
        name_explanation,
        image_link(stack.state_machine_arn, live.image.image_id) if live.image else None,
        next_rebuild,
        settings.publishes if settings else None,
        approval,
        soaking_of(history, settings, record, stack.clock.now()) if settings else None,
    )


def soaking_of(
    history: HistoryRecord | None, settings: EnvironmentSettings, record: EnvironmentRecord, now: datetime
) -> Soaking | None:
    """The soak that an alarm would end at this moment; a pinned environment has none."""
    soak, alarms = soak_of(history, settings), settings.rollback_on_alarm.alarms
    if soak is None or alarms is None or now > soak.until or record.pin is not None:
        return None
    return Soaking(soak, alarms)


def _decide(
    stack: Stack, settings: EnvironmentSettings, live: Image
) -> tuple[tuple[Decision, ...], str | None]:
    """What becomes of the other images, and why too many of them would go."""
    review = stack.retirement_review(settings)
    decisions, limit = review.decide(live), review.limit()
    refused = limit.refused([each.image_id for each in decisions if each.action is RetireAction.RETIRE])
    return tuple(within_limit(decisions, refused)), limit.refusal(refused) if refused else None


def _next_rebuild(
    stack: Stack, settings: EnvironmentSettings, live: Live, record: EnvironmentRecord
) -> NextRebuild | None:
    follows = settings.refresh.follow_base
    newest = (
        current_base(settings, stack.state_machine_arn, stack.parameters, stack.images) if follows else None
    )
    rebuild = rebuild_of(live, newest, settings)
    if rebuild is None or live.digest is None:
        return None
    has_image = stack.repository.has_digest(settings.repository, live.digest)
    return explain_rebuild(settings, live, record, rebuild, stack.clock.now(), has_image=has_image)


def explain_rebuild(
    settings: EnvironmentSettings,
    live: Live,
    record: EnvironmentRecord,
    rebuild: Rebuild,
    now: datetime,
    *,
    has_image: bool,
) -> NextRebuild:
    """When a rebuild is started, and what it waits for beside its window; `has_image`: whether ECR has the live one's
    Docker image still.
    """
    start = rebuild.start(settings.refresh.window, now)
    waits = reason_of_pin(record) or reason_of_failures(live.digest or "", record, settings)
    if waits is None and not has_image:
        waits = f"{settings.repository} has no image {live.digest} any more, so push it again"
    if waits is None and record.claim is not None:
        waits = "an execution holds the environment"
    if waits is None and start <= now:
        waits = _next_try(record.held(f"rebuild {live.value}"), now) or "the sweep starts it, in its turn"
    return NextRebuild(start, rebuild.reason, waits)


def explain_name(
    settings: EnvironmentSettings | None, live: Live, holders: Sequence[str], decisions: Sequence[Decision]
) -> str | None:
    """Why the live image does not have the canonical name: the settings keep an image that has it."""
    if settings is None or live.image is None or live.image.name == settings.image_name:
        return None
    kept = {
        each.image_id: each for each in decisions if each.action is RetireAction.KEEP and not each.blocked
    }
    holder = next((kept[image_id] for image_id in holders if image_id in kept), None)
    if holder is None or settings.publication.image_naming != "canonical":
        return None
    return (
        f"{holder.image_id} has the name {settings.image_name} and stays: {holder.reason}. EC2 has no two images of "
        "one name, so look the live image up by `latest`"
    )


def _live_drift(
    live: Live,
    metadata: Metadata | None,
    record: EnvironmentRecord,
    now: datetime,
    settings: EnvironmentSettings | None,
    approval: ShownApproval | None = None,
) -> Iterator[str]:
    if live.value is None:
        waits = approval is not None and approval.state is ApprovalState.WAITING and record.claim is None
        yield f"nothing is published yet; {approval if waits else _first_image(record, settings)}"
        return
    if live.problem:
        yield live.problem
    if metadata is None:
        problem = "metadata is missing or cannot be read"
    elif metadata.ami_id != live.value:
        problem = f"metadata describes {metadata.ami_id}, not {live.value}"
    else:
        return
    yield f"{problem}; {_next_try(record.held(f'publish {live.value}'), now) or 'the sweep repairs that'}"


def _first_image(record: EnvironmentRecord, settings: EnvironmentSettings | None) -> str:
    """The status of the first build or promotion of an environment."""
    takes_promotions = settings is not None and settings.takes_promotions
    if record.claim is not None:
        does = "promotes" if takes_promotions else "builds"
        return f"{short_name(record.claim.execution_arn)} {does} the first image"
    if takes_promotions:
        return f"promote the first release: ami-lifecycle promote FROM {record.environment}"
    if record.failed is not None:
        return f"{_failure(record, record.failed)}, then push a corrected image, or start a build by hand"
    return "push the first image, or start a build"


def _failure(record: EnvironmentRecord, failed: FailedAttempts) -> str:
    """A build's error, and where its log is."""
    why = f" ({failed.error.rstrip('. ')})" if failed.error else ""
    return f"{failed.explanation}{why}; see ami-lifecycle logs {record.environment} --failed"


def _source_drift(
    stack: Stack, settings: EnvironmentSettings | None, live: Live, record: EnvironmentRecord
) -> Iterator[str]:
    if settings is None or settings.takes_promotions:
        return
    try:
        settings = with_programs(settings, stack.documents)
        digest = stack.repository.digest_of(settings.repository, settings.image_tag)
    except AmiLifecycleError as error:
        yield f"what is to be built could not be looked at: {error}"
        return
    if digest is None:
        yield f"{settings.repository} has no tag {settings.image_tag}; push it"
        return
    is_new = digest != live.digest
    if not is_new and (live.image is None or live.recipe == settings.recipe):
        return
    why = _held_by_gate(stack, digest, record, settings)
    if live.value is None:
        # What else the first image waits for is said with "nothing is published yet".
        if why is None and _is_for_approval(settings, record):
            why = refusal_of(stack, settings, digest)
        if why is not None:
            yield f"{settings.image_tag} is {short_digest(digest)}: {why}"
        return
    why = (
        why
        or _why_not_approved(stack, settings, digest, record)
        or _why_not_built(digest, record, settings, stack.clock.now())
    )
    if is_new:
        yield f"{settings.image_tag} has moved on to {short_digest(digest)}: {why}"
    else:
        yield (
            f"the recipe, of base and hooks, is {settings.recipe or 'none'}, and the live image's is "
            f"{live.recipe or 'none'}: {why}"
        )


def _why_not_approved(
    stack: Stack, settings: EnvironmentSettings, digest: str, record: EnvironmentRecord
) -> str | None:
    """What is to be approved before a digest is built; None where that is not what it waits for."""
    if not _is_for_approval(settings, record):
        return None
    found = open_request(stack, settings.environment)
    subject = Subject(environment=settings.environment, digest=digest, recipe=settings.recipe)
    if found is not None and found.request.id == subject.id and found.state is ApprovalState.WAITING:
        return f"it waits for approval, {found}"
    check = ApprovalCheck(stack.approvals, stack.decisions, stack.clock)
    return refusal_of(stack, settings, digest) or check.reason_to_wait(subject)


def _is_for_approval(settings: EnvironmentSettings, record: EnvironmentRecord) -> bool:
    return needs_approval(settings, Action.BUILD) and record.claim is None and record.pin is None


def _held_by_gate(
    stack: Stack, digest: str, record: EnvironmentRecord, settings: EnvironmentSettings
) -> str | None:
    """Why the vulnerability gate does not let a digest pass; None where it does, or something else comes before."""
    if settings.scan_gate is None or record.claim is not None or record.pin is not None:
        return None
    try:
        ScanGate(stack.repository, stack.clock).check(settings, settings.repository, digest, started=None)
    except (ImageNotScannedError, VulnerabilitiesFoundError) as error:
        return str(error)
    except AmiLifecycleError as error:
        return f"its scan could not be looked at: {error}"
    return None


def _why_not_built(
    digest: str, record: EnvironmentRecord, settings: EnvironmentSettings, now: datetime
) -> str:
    if record.claim is not None and record.claim.digest == digest:
        return "it is being built"
    if record.queued_request is not None:
        return "it waits for the running execution"
    if record.pin is not None:
        return "the environment is pinned"
    failed = record.failure_of(digest, settings.recipe)
    if failed is not None and failed.count >= settings.reconcile_attempts:
        return f"{_failure(record, failed)}, then push a corrected image, or start a build by hand"
    last = ""
    if failed is not None and failed.error:
        last = f"{failed.error.rstrip('. ')}; see ami-lifecycle logs {record.environment} --failed; "
    waits = _next_try(record.held(work_of_building(digest, settings)), now, with_reason=not last)
    return f"{last}{waits or 'the sweep starts a build within 15 minutes'}"


def _next_try(held: HeldBack | None, now: datetime, *, with_reason: bool = True) -> str | None:
    """The next retry of work, in words; None where there is none."""
    if held is None:
        return None
    known = held if with_reason else held.model_copy(update={"reason": ""})
    return (
        known.explanation
        if not held.is_due(now)
        else f"{known.tried}; the sweep tries again within 15 minutes"
    )


def _blocked_drift(record: EnvironmentRecord, now: datetime) -> Iterator[str]:
    """Resources that AWS refused to remove, each with its remedy."""
    for held in record.held_back:
        if held.is_resource:
            yield f"{held.what} is left as it is, {_next_try(held, now)}"


def _pin_drift(record: EnvironmentRecord, live: Live) -> Iterator[str]:
    pin = record.pin
    if pin is not None and live.value not in {None, pin.image_id} and live.digest != pin.digest:
        yield f"pinned to {pin.image_id}, but {live.value} is live; unpin it"


def _retirement_drift(
    stack: Stack,
    settings: EnvironmentSettings | None,
    live: Live,
    decisions: tuple[Decision, ...],
    record: EnvironmentRecord,
    *,
    is_explained: bool,
) -> Iterator[str]:
    for decision in decisions:
        if record.held(decision.image_id) is not None:
            continue
        if decision.action is RetireAction.RETIRE and record.claim is None:
            yield f"{decision.image_id} can be retired: {decision.reason}; the sweep does it within 15 minutes"
        elif decision.reason.startswith("in use"):
            yield f"retirement of {decision.image_id} is pending, {decision.reason}"
    if settings is None or live.image is None or record.claim is not None:
        return
    if live.image.belongs_to(settings.application, settings.environment):
        can_adopt, why = stack.retirement_review(settings).can_adopt(live.image)
        is_canonical = settings.publication.image_naming == "canonical"
        if live.image.name != settings.image_name and is_canonical and not is_explained:
            yield (
                f"{live.value} is not named {settings.image_name} yet: {why}"
                if not can_adopt
                else f"{live.value} can be named {settings.image_name}; {_when_named(settings, record, stack)}"
            )


def _when_named(settings: EnvironmentSettings, record: EnvironmentRecord, stack: Stack) -> str:
    waits = _next_try(record.held(f"retire {settings.image_name}"), stack.clock.now())
    return waits or "the sweep does it within 15 minutes"


def release_of_live(live: Live) -> str | None:
    """The release of a live image, by its short name."""
    return release_name(release_of(live.image), live.digest) if live.image else None


def describe_request(request: BuildRequest) -> str:
    """A request in words."""
    if request.promote_from is not None:
        release = f", {short_name(request.release)}" if request.release else ""
        return f"{request.trigger.value} promotion from {request.promote_from}{release}"
    what = request.publish_image_id or short_digest(request.image_digest) or request.image_tag
    return f"{request.trigger.value} {request.action.value}{f' of {what}' if what and what != '-' else ''}"
