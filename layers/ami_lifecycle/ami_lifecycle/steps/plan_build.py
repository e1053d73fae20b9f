"""Plan Build: everything that can be decided before the build incurs costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.execution import BuildState, ImageRef, ScanWait
from ami_lifecycle.domain.model import TAG_DIGEST, Frozen, Image, ImageState, is_ami_id
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.plan import BuildMode, BuildPlan, Promotion, Source
from ami_lifecycle.domain.planning import (
    BaseChoice,
    Live,
    base_of,
    choose_base,
    generation_of,
    reason_for_nothing,
    reason_of_pin,
    reason_of_source,
)
from ami_lifecycle.domain.preflight import Problem
from ami_lifecycle.domain.recipe import hooks_part
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.registration import built_for, image_of
from ami_lifecycle.domain.release import release_of
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import Push, parse_request
from ami_lifecycle.domain.scheduled_rebuild import reason_for_no_rebuild, rebuild_of
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import (
    ForeignResourceError,
    ImageDigestNotFoundError,
    ImageNotVerifiedError,
    ImageTagNotFoundError,
    PromotionRefusedError,
    RecordNotFoundError,
    SettingsError,
)
from ami_lifecycle.ports import (
    Approvals,
    Clock,
    Decisions,
    Documents,
    Environments,
    Images,
    Parameters,
    Repository,
)
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.base_images import current_base
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle.steps.lookups import account_of, find_image
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.promotable_release import Offer, ReleaseFinder, docker_image_of
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.scan_gate import ScanGate, with_scan

# As the contract of requests bounds it.
_LONGEST_REASON: Final = 200


class PlanInput(Frozen):
    """Input of `plan_build`: the execution's own input, untouched. A scan is waited for from `started_at` on."""

    request: Any
    execution_arn: str
    execution_name: str
    started_at: datetime | None = None


@dataclass(frozen=True)
class Planner:
    """What planning reads. It writes nothing."""

    catalogue: Catalogue
    repository: Repository
    images: Images
    parameters: Parameters
    documents: Documents
    environments: Environments
    clock: Clock
    preflight: Preflight
    approvals: Approvals
    decisions: Decisions

    def plan(self, step: PlanInput) -> BuildState:
        """Plan an execution from its input.

        Raises:
            InputError: one of its subclasses, for a request that cannot be fulfilled.
        """
        parsed = parse_request(step.request)
        if isinstance(parsed, AlarmDetail):
            return self._plan_alarm(parsed, step.execution_arn)
        request = self._request_of(parsed) if isinstance(parsed, Push) else parsed
        if isinstance(request, str):
            return _nothing("", Trigger.PUSH, request)
        return self.plan_request(request, step.execution_arn, step.started_at)

    def plan_request(
        self, request: BuildRequest, execution_arn: str, started: datetime | None = None
    ) -> BuildState:
        """Plan a request; what the command line's dry run prints. Nothing is waited for without `started`."""
        return self._planning(request, execution_arn, started).plan()

    def _planning(
        self, request: BuildRequest, execution_arn: str, started: datetime | None = None
    ) -> _Planning:
        settings = self.catalogue.get(request.environment)
        # Read first: a claim or release after this read makes the plan outdated.
        record = self.environments.get(request.environment)
        records = PublishedRecords(self.parameters, settings.parameter_names)
        live = records.read_live(account_of(execution_arn), self.images, self.clock)
        return _Planning(self, request, execution_arn, settings, record, records, live, started)

    def _plan_alarm(self, alarm: AlarmDetail, execution_arn: str) -> BuildState:
        environment = self.catalogue.for_alarm(alarm.alarm_name)
        if environment is None:
            return _nothing(
                "", Trigger.ALARM, f"alarm {alarm.alarm_name} is of no environment's rollback_on_alarm"
            )
        return self._planning(BuildRequest(environment=environment), execution_arn).plan_for(alarm)

    def _request_of(self, push: Push) -> BuildRequest | str:
        if not push.is_push:
            return "the event is not a successful push"
        if push.tag is None:
            environment = self._environment_by_digest(push)
            if environment is None:
                return f"{push.digest} was pushed without a tag, and no environment's tag names it"
        else:
            environment = self.catalogue.for_tag(push.repository, push.tag)
            if environment is None:
                return f"no environment is built from {push.repository}:{push.tag}"
        return BuildRequest(environment=environment, trigger=Trigger.PUSH)

    def _environment_by_digest(self, push: Push) -> str | None:
        for name in self.catalogue.environments:
            if (
                not self.catalogue.takes_promotions(name)
                and self.catalogue.repository_of(name) == push.repository
                and push.digest is not None
                and self.repository.digest_of(push.repository, self.catalogue.tag_of(name)) == push.digest
            ):
                return name
        return None

    def source_of(self, request: BuildRequest, settings: EnvironmentSettings) -> Source:
        """The Docker image that is to be built: the digest asked for, or what the tag names now.

        Raises:
            ImageDigestNotFoundError, ImageTagNotFoundError: ECR does not have it.
        """
        name, tag, digest = settings.repository, request.image_tag, request.image_digest
        if digest is not None:
            if not self.repository.has_digest(name, digest):
                raise ImageDigestNotFoundError(
                    f"{name} has no image {digest}; push it again, restore it from ECR's archive, or name another "
                    "digest"
                )
        else:
            tag = tag or settings.image_tag
            digest = self.repository.digest_of(name, tag)
            if digest is None:
                raise ImageTagNotFoundError(
                    f"{name} has no tag {tag!r} (any more); push it again, restore it from ECR's archive, or name "
                    "another tag"
                )
        return Source(repository_uri=self.repository.uri(name), digest=digest, tag=tag)

    def older_images(self, settings: EnvironmentSettings) -> list[Image]:
        """Images of the environment's name, from before their tags. `comfyui-multitenant-prod*` finds those
        of an environment `prod-eu` as well.
        """
        names = map(self.catalogue.image_name_of, self.catalogue.environments)
        longer = tuple(
            each for each in names if each.startswith(settings.image_name) and each != settings.image_name
        )
        found = self.images.find_by_name(f"{settings.image_name}*")
        return [image for image in found if not image.name.startswith(longer)]

    def base(self, settings: EnvironmentSettings, arn: str) -> Image:
        """The image that a fresh build starts from. `current_base` says what it raises."""
        return current_base(settings, arn, self.parameters, self.images)


@dataclass(frozen=True)
class _Planning:
    """One request, and what planning it has read already; it reads the rest through the planner."""

    planner: Planner
    request: BuildRequest
    execution_arn: str
    settings: EnvironmentSettings
    record: EnvironmentRecord
    records: PublishedRecords
    live: Live
    started: datetime | None = None

    def plan(self) -> BuildState:
        """Plan what the request asks for."""
        if self.request.trigger is Trigger.ALARM and (pinned := reason_of_pin(self.record)) is not None:
            # By a person, or by an alarm before: it is moved once.
            return self._nothing(pinned)
        if self.request.action is Action.RETIRE:
            return self._retirement()
        if self.request.action is Action.PROMOTE:
            return self._with_programs().promotion()
        if self.request.action is Action.UNDELETE:
            return self._with_programs().undeletion()
        if self.request.action is Action.PUBLISH or self.request.publish_image_id:
            return self._publication()
        return self._with_programs().build()

    def _with_programs(self) -> _Planning:
        return replace(self, settings=with_programs(self.settings, self.planner.documents))

    def plan_for(self, alarm: AlarmDetail) -> BuildState:
        """Plan what an alarm asks for; the request only names the environment until then."""
        # Nobody else needs it at a function's start.
        from ami_lifecycle.steps.alarm_rollback import request_of_alarm  # noqa: PLC0415

        planner = self.planner
        if (pinned := reason_of_pin(self.record)) is not None:
            return _nothing(self.settings.environment, Trigger.ALARM, pinned)
        request = request_of_alarm(
            alarm, self.settings, self.live, self.records, planner.images, planner.clock
        )
        if isinstance(request, str):
            return _nothing(self.settings.environment, Trigger.ALARM, request)
        return replace(self, request=request).plan()

    def build(self) -> BuildState:
        """Plan the build that is asked for."""
        if self.settings.takes_promotions and not self.request.force:
            return self._nothing(reason_of_source(self.settings))
        source = self.planner.source_of(self.request, self.settings)
        reason = self._reason_for_nothing(source.digest)
        if reason is not None:
            return self._nothing(reason)
        live_id = self.live.value if is_ami_id(self.live.value) else None
        problems, size = self.planner.preflight.build_problems(self.settings, source.digest, live_id)
        _refuse(problems)
        choice = choose_base(
            self.request,
            self.live,
            [] if self.live.image else self.planner.older_images(self.settings),
            lambda: self._newest_base,
            self.settings,
            self.planner.clock.now(),
            self.record.unusable_base,
        )
        _refuse_small_volume(choice, self.settings)
        plan = self._planned(
            Action.BUILD, self._reasons(choice.reason, source.digest), source.digest
        ).model_copy(
            update={
                "source": source.model_copy(update={"size_bytes": size}),
                "mode": choice.mode,
                "base": base_of(choice),
                "generation": choice.generation,
            }
        )
        return self._gated(plan)

    @cached_property
    def _newest_base(self) -> Image:
        """The image that a fresh build starts from, read once: it is judged and built from by the same look."""
        return self.planner.base(self.settings, self.execution_arn)

    def _reason_for_nothing(self, digest: str) -> str | None:
        if self.request.trigger is not Trigger.SCHEDULE:
            return reason_for_nothing(self.request, digest, self.live, self.record, self.settings)
        # Judged again: since the sweep has asked, somebody may have published, pinned or rebuilt.
        newest = self._newest_base if self.settings.refresh.follow_base else None
        rebuild, now = rebuild_of(self.live, newest, self.settings), self.planner.clock.now()
        return reason_for_no_rebuild(digest, self.live, self.record, self.settings, rebuild, now)

    def _reasons(self, of_base: str, digest: str) -> list[str]:
        reasons = [of_base]
        now, before = hooks_part(self.settings.recipe), hooks_part(self.live.recipe)
        if self.live.digest == digest and now != before:
            reasons.append(f"the hooks are {now or 'none'}, and were {before or 'none'}")
        if self.live.value is not None and self.live.image is None:
            reasons.append(self.live.problem or "")
        if not self.settings.verification.enabled:
            reasons.append("verification is switched off in the settings")
        if self.request.reason:
            reasons.append(self.request.reason)
        return reasons

    def _publication(self) -> BuildState:
        image_id = self.request.publish_image_id
        image = find_image(image_id, self.planner.images, self.planner.clock) if image_id else None
        if image is None or image.state is not ImageState.AVAILABLE:
            if self.request.image_digest is not None:
                return replace(self, request=_as_build(self.request)).plan()
            raise RecordNotFoundError(
                f"{image_id or 'no image'} cannot be published again: it is not an available image of this "
                "account; build its digest instead"
            )
        if not image.belongs_to(self.settings.application, self.settings.environment):
            raise ForeignResourceError(
                f"{image.image_id} does not carry the tags of {self.settings.application} "
                f"{self.settings.environment}; only images of the environment can be published in it"
            )
        _refuse(self.planner.preflight.parameter_problems(self.settings))
        if self.live.image is None or self.live.image.image_id != image.image_id:
            self._require_verified_record(image)
        reason = self.request.reason or f"{image.image_id} is published again"
        digest = image.tags.get(TAG_DIGEST)
        plan = self._planned(Action.PUBLISH, [reason], digest)
        if self.request.goes_back:
            plan = self._told(plan, digest)
        return BuildState(plan=plan, image=ImageRef(image_id=image.image_id))

    def _require_verified_record(self, image: Image) -> None:
        history = self.records.read_record(image.image_id)
        if history is None:
            raise RecordNotFoundError(
                f"history has no readable record of {image.image_id}, so nobody knows whether it was verified; "
                "build its digest instead"
            )
        if history.verified_at is None and self.settings.verification.enabled:
            raise ImageNotVerifiedError(
                f"{image.image_id} was published without verification; build its digest instead"
            )

    def promotion(self) -> BuildState:
        """Plan the promotion that is asked for."""
        request, settings = self.request, self.settings
        if not settings.takes_promotions and not request.pin:
            raise PromotionRefusedError(
                f"{settings.environment} is built from pushes (publishes: pushes), so the next one would undo a "
                "promotion; set publishes: promotions in its settings, or promote with pin"
            )
        if (pinned := reason_of_pin(self.record)) is not None and not (request.force or request.pin):
            return self._nothing(pinned)
        finder = ReleaseFinder(
            self.planner.images, self.planner.parameters, self.planner.clock, account_of(self.execution_arn)
        )
        source = self.planner.catalogue.get(request.promote_from or "")
        offer = finder.find(source, request.release, force=request.force)
        # By its ARN, so that what waits in a queue publishes what was asked for.
        known = replace(self, request=request.model_copy(update={"release": offer.release}))
        return known.promote(offer)

    def promote(self, offer: Offer) -> BuildState:
        """Plan the promotion of a release that was found."""
        request, settings = self.request, self.settings
        if self._is_live(offer) and self.record.claim is None and not request.force:
            live = self.live.image
            if request.pin and live is not None and self.record.pin is None:
                return replace(self, request=_as_pin(request, live.image_id)).plan()
            return self._nothing(f"the release {offer.name} is live already, in {self.live.value}")
        if misfits := list(offer.misfits(settings)):
            raise PromotionRefusedError(
                f"the release {offer.name} ({offer.image.image_id} of {offer.source.environment}) does not fit "
                f"{settings.environment}: {'; '.join(misfits)}. These are on its disks; make the settings of both "
                f"environments the same, build {offer.source.environment} again, and promote that"
            )
        live_id = self.live.value if is_ami_id(self.live.value) else None
        problems = self.planner.preflight.parameter_problems(settings, live_id)
        if settings.verification.enabled:
            problems += self.planner.preflight.network_problems(settings)
        _refuse(problems)
        reason = f"promoted from {offer.source.environment}: the release {offer.name}, {offer.image.image_id} there"
        plan = self._planned(Action.PROMOTE, self._reasons(reason, offer.digest), offer.digest).model_copy(
            update={
                "source": self._docker_image_of(offer),
                "generation": generation_of(offer.image),
                "promotion": offer.promotion,
            }
        )
        return self._gated(plan, offer.record)

    def _docker_image_of(self, offer: Offer) -> Source:
        """What the source's record says. One that was made again from an image's tags names no repository."""
        found = offer.docker_image
        if found.repository_uri:
            return found
        return found.model_copy(
            update={"repository_uri": self.planner.repository.uri(offer.source.repository)}
        )

    def undeletion(self) -> BuildState:
        """Plan to register a retired image's disks again, and to publish them once a canary has passed them."""
        settings, image_id = self.settings, self.request.publish_image_id or ""
        image = find_image(image_id, self.planner.images, self.planner.clock)
        if image is not None and image.state is ImageState.AVAILABLE:
            return replace(self, request=self.request.model_copy(update={"action": Action.PUBLISH})).plan()
        record = self.records.read_record(image_id)
        if record is None or image_of(record) is None or not record.image_digest:
            why = "has no readable record of" if record is None else "does not say how to register"
            raise RecordNotFoundError(
                f"history of {settings.environment} {why} {image_id}, so it cannot be taken out of the Recycle Bin; "
                f"build its digest instead: ami-lifecycle rollback {settings.environment} --to {image_id}"
            )
        problems = self.planner.preflight.parameter_problems(settings)
        if settings.verification.enabled:
            problems += self.planner.preflight.network_problems(settings)
        _refuse(problems)
        source = docker_image_of(record, record.image_digest)
        if not source.repository_uri:
            uri = self.planner.repository.uri(settings.repository)
            source = source.model_copy(update={"repository_uri": uri})
        reasons = self._reasons(f"{image_id} is taken out of the Recycle Bin", record.image_digest)
        plan = self._planned(Action.UNDELETE, reasons, record.image_digest).model_copy(
            update={
                "source": source,
                "generation": record.generation,
                "promotion": Promotion(
                    environment=settings.environment,
                    image_id=image_id,
                    release=record.release or image_id,
                    built_for=built_for(record),
                ),
            }
        )
        return BuildState(plan=self._told(plan, record.image_digest))

    def _is_live(self, offer: Offer) -> bool:
        live = self.live.image
        return (
            live is not None
            and live.belongs_to(self.settings.application, self.settings.environment)
            and release_of(live) == offer.release
        )

    @property
    def _scan_gate(self) -> ScanGate:
        return ScanGate(self.planner.repository, self.planner.clock)

    def _told(self, plan: BuildPlan, digest: str | None) -> BuildPlan:
        """The plan of going back to what was published, with what has been found in it since."""
        if digest is None or self.settings.scan_gate is None:
            return plan
        return with_scan(plan, self._scan_gate.told(self.settings, self.settings.repository, digest))

    def _gated(self, plan: BuildPlan, source: HistoryRecord | None = None) -> BuildState:
        """The plan, if the gates of the environment let it pass; what a scan says comes before people are asked."""
        if self.settings.scan_gate is None:
            return self._approved(plan, source)
        repository, digest = plan.image.repository_uri.partition("/")[2], plan.image.digest
        found = self._scan_gate.check(self.settings, repository, digest, started=self.started)
        if found.waits_for is None:
            return self._approved(with_scan(plan, found), source)
        reasons = (*plan.reasons, f"it waits for {found.waits_for}")
        return BuildState(
            plan=plan.model_copy(update={"reasons": reasons}), waits=ScanWait(reason=found.waits_for)
        )

    def _retirement(self) -> BuildState:
        if self.live.image is None:
            return self._nothing(f"nothing is retired while {self.live.problem}")
        # An adopted name is published, too.
        _refuse(self.planner.preflight.parameter_problems(self.settings))
        reason = self.request.reason or "previous images are looked at again"
        plan = self._planned(Action.RETIRE, [reason], self.live.digest)
        return BuildState(plan=plan, image=ImageRef(image_id=self.live.image.image_id))

    def _approved(self, plan: BuildPlan, source: HistoryRecord | None = None) -> BuildState:
        """The plan, if nobody has to approve it first, or somebody has."""
        if not self.settings.approval.is_on:
            return BuildState(plan=plan)
        planner, published = self.planner, self.records.read_record(self.live.value)
        check = ApprovalCheck(planner.approvals, planner.decisions, planner.clock)
        found = check.plan(plan, self.live, published, source)
        return self._nothing(found) if isinstance(found, str) else BuildState(plan=found)

    def _planned(self, action: Action, reasons: Sequence[str], digest: str | None) -> BuildPlan:
        """What every plan that does something holds."""
        return BuildPlan(
            action=action,
            trigger=self.request.trigger,
            environment=self.request.environment,
            reasons=tuple(reasons),
            run_id=run_id(self.execution_arn, digest),
            settings=self.settings,
            fencing=self.record.fencing,
            request=self.request,
        )

    def _nothing(self, reason: str) -> BuildState:
        return _nothing(self.request.environment, self.request.trigger, reason)


def _as_build(request: BuildRequest) -> BuildRequest:
    """A build request for the Docker image of an AMI that was to be published again but no longer exists."""
    reason = f"{request.publish_image_id} is gone, so its Docker image is built; {request.reason or ''}"
    changes = {
        "action": Action.BUILD,
        "publish_image_id": None,
        "force": True,
        "reason": reason[:_LONGEST_REASON].rstrip("; "),
    }
    return request.model_copy(update=changes)


def _as_pin(request: BuildRequest, image_id: str) -> BuildRequest:
    """A pin of what is live, where it was to be promoted and pinned."""
    changes = {"action": Action.PUBLISH, "publish_image_id": image_id, "promote_from": None, "release": None}
    return request.model_copy(update=changes)


def _refuse_small_volume(choice: BaseChoice, settings: EnvironmentSettings) -> None:
    """EC2 makes no volume that is smaller than its snapshot (EC2 API reference, EbsBlockDevice, VolumeSize)."""
    size, configured = choice.image.root_volume_gib, settings.builder.root_volume_gib
    if size is not None and size > configured:
        other = "ask for a fresh build" if choice.mode is BuildMode.UPDATE else "name another base"
        raise SettingsError(
            f"builder.root_volume_gib is {configured}, but {choice.image.image_id} has a root volume of {size} GiB; "
            f"raise it, or {other}"
        )


def _refuse(problems: Sequence[Problem]) -> None:
    """Raise the first problem's error, with the text of all problems."""
    if problems:
        raise problems[0].error("; also: ".join(map(str, problems)))


def _nothing(environment: str, trigger: Trigger, reason: str) -> BuildState:
    plan = BuildPlan(action=Action.NONE, trigger=trigger, environment=environment, reasons=(reason,))
    return BuildState(plan=plan)
