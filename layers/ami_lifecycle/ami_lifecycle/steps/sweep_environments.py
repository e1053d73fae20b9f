"""Sweep Environments: every 15 minutes, compares each environment with what it should be; repairs or reports the
difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, assert_never

from ami_lifecycle.domain.approval import Subject, needs_approval
from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.environment import LONGEST_PAUSE, EnvironmentRecord, HeldBack, Pin, retry_delay
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.lineage import publication_order
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    Image,
    ImageState,
    Usage,
    is_ami_id,
)
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.domain.planning import (
    Live,
    base_created_of,
    imaged_of,
    is_published,
    reason_for_nothing,
    reason_of_failures,
    work_of_building,
)
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.result import FindingKind, SweepFinding, SweepResult
from ami_lifecycle.domain.retirement_limit import NO_LIMIT, RetirementLimit, limit_of, what_is_refused
from ami_lifecycle.domain.scheduled_rebuild import Rebuild, is_overdue, rebuild_of, rebuild_request
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.domain.texts import one_line
from ami_lifecycle.errors import (
    AmiLifecycleError,
    CleanUpIncompleteError,
    ImageNotScannedError,
    VulnerabilitiesFoundError,
    names_of,
)
from ami_lifecycle.ports import (
    Clock,
    Documents,
    Environments,
    Executions,
    Images,
    ImageUsage,
    Instances,
    PackageLists,
    Parameters,
    Repository,
)
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.approval_sweep import ApprovalSettler
from ami_lifecycle.steps.base_images import current_base
from ami_lifecycle.steps.batch import BatchResult, process_each
from ami_lifecycle.steps.claim_environment import EXECUTION_TIMEOUT, has_ended
from ami_lifecycle.steps.clean_up_build import BuildCleaner, CleanUpInput
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle.steps.lookups import account_of, find_image
from ami_lifecycle.steps.orphan_removal import OrphanRemover
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.queued_request import start_queued_request
from ami_lifecycle.steps.retire_images import RetirementReview
from ami_lifecycle.steps.scan_gate import ScanGate

# DeleteParameter is limited to 3 calls a second for the whole account (AWS General Reference, SSM quotas).
_PRUNED_AT_ONCE: Final = 20
_REASON_CHARACTERS: Final = 400
# As the contract of requests bounds them.
_COMMIT_CHARACTERS: Final = 64
_BRANCH_CHARACTERS: Final = 200
_NAMED: Final = names_of(AmiLifecycleError)
_Findings = Iterator[SweepFinding]


@dataclass(frozen=True)
class Sweeper:
    """Checks every environment, and every resource that carries the application's tag."""

    catalogue: Catalogue
    repository: Repository
    instances: Instances
    images: Images
    parameters: Parameters
    documents: Documents
    environments: Environments
    executions: Executions
    build_cleaner: BuildCleaner
    orphan_remover: OrphanRemover
    usage: ImageUsage
    preflight: Preflight
    approval: ApprovalCheck
    settler: ApprovalSettler
    clock: Clock
    state_machine_arn: str
    package_lists: PackageLists | None = None

    def sweep(self) -> SweepResult:
        """Run all checks. An error in one does not stop the others; what AWS refuses becomes a finding.

        Raises:
            CleanUpIncompleteError: a check failed with a transient or an unknown error; the others were done.
        """
        state = _SweepState()
        environments = self.catalogue.environments
        for environment in environments:
            state.run_check(environment, partial(self._end_dead_claim, environment))
        state.run_check(None, partial(self._remove_orphans, state))
        for environment in environments:
            state.run_check(environment, partial(self._observe, environment, state))
        self._look_up_uses(state)
        # Environments whose rebuild has failed before come last, so that they do not starve the others.
        for observed in sorted(state.observed, key=_failed_rebuilds):
            environment = observed.settings.environment
            # Separate checks, so that an error in one does not stop the others.
            state.run_check(environment, partial(self._record_ages, observed, state))
            state.run_check(environment, partial(self._start_what_is_due, observed, state))
            state.run_check(environment, partial(self._prune_history, observed.settings, state))
        for environment in environments:
            state.run_check(environment, partial(self._count_blocked, environment, state))
        if state.faults:
            raise CleanUpIncompleteError(
                f"the sweep found {[finding.finding for finding in state.findings]} and could not finish: "
                f"{'; '.join(state.faults)[:3000]}. It runs again by itself; if this persists, correct the cause"
            )
        return SweepResult(
            findings=tuple(state.findings),
            waiting=tuple(state.waiting),
            unpublished=tuple(state.unpublished),
            blocked=tuple(dict.fromkeys(state.blocked)),
            overdue=tuple(state.overdue),
            image_age_days=max(state.image_ages, default=None),
            base_age_days=max(state.base_ages, default=None),
        )

    def _count_blocked(self, environment: str, state: _SweepState) -> _Findings:
        held = self.environments.get(environment).held_back
        state.blocked.extend(each.what for each in held if each.is_resource)
        return iter(())

    def _end_dead_claim(self, environment: str) -> _Findings:
        claim = self.environments.get(environment).claim
        if claim is None or not has_ended(claim, self.executions, self.clock):
            return
        status = self.executions.status(claim.execution_arn)
        self.build_cleaner.clean_up(
            CleanUpInput(
                execution_arn=claim.execution_arn,
                state_machine_arn=self.state_machine_arn,
                status="TIMED_OUT" if status is ExecutionStatus.UNKNOWN else status.value,
            )
        )
        yield _repaired(
            environment,
            f"the claim of {claim.execution_arn}, which has ended, is removed",
            FindingKind.DEAD_CLAIM,
        )

    def _remove_orphans(self, state: _SweepState) -> _Findings:
        owners = self._owners(state)
        for execution_arn, owned in owners.items():
            state.run_check(owned.environment, partial(self._clean_up_after, state, execution_arn, owned))
        return iter(())

    def _clean_up_after(self, state: _SweepState, execution_arn: str, owned: _Owned) -> _Findings:
        status = self.executions.status(execution_arn)
        # While it holds a claim, a function of it may still publish an image.
        if not self._is_over(status, owned.since) or self.environments.held_by(execution_arn):
            return
        known = owned.environment in self.catalogue.environments
        record = self.environments.get(owned.environment) if known and owned.environment else None
        now = self.clock.now()
        held_back = (record.not_due(now) if record else frozenset()) | state.spared
        # An execution that Step Functions has forgotten ended 90 days ago, so an interrupted publication of it was
        # handled long since.
        has_succeeded = status in {ExecutionStatus.SUCCEEDED, ExecutionStatus.UNKNOWN}
        cleaned = self.orphan_remover.remove(execution_arn, has_succeeded=has_succeeded, held_back=held_back)
        if cleaned.removed_anything:
            yield _repaired(
                None,
                f"removed what {execution_arn} left behind: "
                f"{', '.join((*cleaned.terminated, *cleaned.deregistered, *cleaned.deleted_snapshots))}",
                FindingKind.ORPHAN,
            )
        yield from (_blocked(owned.environment, blocked) for blocked in cleaned.blocked)
        if record is not None and cleaned.blocked:
            unseen = frozenset(held.what for held in record.held_back)
            held = record.after_retry(cleaned.blocked, now, unseen=unseen)
            self.environments.hold_back(record.environment, held)

    def _owners(self, state: _SweepState) -> dict[str, _Owned]:
        """Executions that own unpublished resources, each with the environment and date of one of them."""
        owner_tags = {TAG_APPLICATION: self.catalogue.application}
        owners: dict[str, _Owned] = {}
        for instance in self.instances.find(owner_tags):
            if not instance.state.is_over and (owner := instance.tags.get(TAG_EXECUTION)):
                owners[owner] = _Owned(instance.tags.get(TAG_ENVIRONMENT), instance.launch_time)
        images = self.images.find(owner_tags)
        orphaned = self.orphan_remover.orphaned_images(
            [image for image in images if image.tags.get(TAG_EXECUTION) not in {None, "", *owners}]
        )
        state.report(None, orphaned)
        self._spare_too_many(state, images, orphaned.done)
        for image in orphaned.done:
            owned = _Owned(image.tags.get(TAG_ENVIRONMENT), image.creation_date)
            owners.setdefault(image.tags[TAG_EXECUTION], owned)
        used = {snapshot_id for image in images for snapshot_id in image.snapshot_ids}
        for snapshot in self.images.find_snapshots(owner_tags):
            if snapshot.is_copy or snapshot.snapshot_id in used:
                continue
            if owner := snapshot.tags.get(TAG_EXECUTION):
                owners.setdefault(owner, _Owned(snapshot.tags.get(TAG_ENVIRONMENT), snapshot.start_time))
        return owners

    def _spare_too_many(self, state: _SweepState, images: Sequence[Image], orphaned: Sequence[Image]) -> None:
        """Keep the unpublished images of an environment whose limit they exceed: where history is lost, published
        images look like them. What one build has left is one image.
        """
        for environment in self.catalogue.environments:
            found = [image for image in orphaned if image.tags.get(TAG_ENVIRONMENT) == environment]
            if len(found) < 2:
                continue
            limits = process_each(
                [environment],
                lambda name: f"images that {name} has not published",
                lambda name: self._limit_of_orphans(name, images),
            )
            state.report(environment, limits)
            for limit in limits.done:
                refused = limit.refused([image.image_id for image in found if self._has_ended(limit, image)])
                if refused:
                    state.spared |= set(refused)
                    state.blocked.append(what_is_refused(environment))
                    text = f"history knows nothing of them: {limit.refusal(refused)}"
                    state.findings.append(SweepFinding(environment=environment, finding=text, repaired=False))
            if not limits.done:
                # An unknown limit allows nothing.
                state.spared |= {image.image_id for image in found}

    def _limit_of_orphans(self, environment: str, images: Sequence[Image]) -> RetirementLimit:
        settings = self.catalogue.get(environment)
        owned = [image for image in images if image.belongs_to(settings.application, environment)]
        return limit_of(environment, settings.retirement, owned)

    def _has_ended(self, limit: RetirementLimit, image: Image) -> bool:
        """Whether nobody will publish an image any more; not looked up where nothing is limited."""
        if limit.at_most is None:
            return False
        owner = image.tags[TAG_EXECUTION]
        status = self.executions.status(owner)
        return self._is_over(status, image.creation_date) and not self.environments.held_by(owner)

    def _is_over(self, status: ExecutionStatus, since: datetime | None) -> bool:
        if status is ExecutionStatus.UNKNOWN:
            return since is not None and self.clock.now() - since > EXECUTION_TIMEOUT
        return status.is_over

    def _look_up_uses(self, state: _SweepState) -> None:
        """Look up the uses of previous images, in one batch for all environments that read the same parameters."""
        by_paths: dict[tuple[str, ...], list[str]] = {}
        for observed in state.observed:
            undecided = process_each(
                [observed], lambda each: f"images of {each.settings.environment}", self._undecided_images
            )
            state.report(observed.settings.environment, undecided)
            image_ids = [image_id for images in undecided.done for image_id in images]
            if image_ids:
                by_paths.setdefault(observed.settings.retirement.parameter_paths, []).extend(image_ids)
                state.undecided_images[observed.settings.environment] = image_ids
        looked_up = process_each(
            by_paths.items(),
            lambda group: f"uses of {len(group[1])} images",
            lambda group: self.usage.usage_of(group[1], group[0], with_permissions=False),
        )
        state.report(None, looked_up)
        state.usages.update({usage.image_id: usage for usages in looked_up.done for usage in usages})

    def _undecided_images(self, observed: _Observed) -> list[str]:
        """The images that can be retired if unused; without those whose retry is not due."""
        if observed.live.image is None:
            return []
        not_due = observed.record.not_due(self.clock.now())
        images = self._review(observed).previous_images(observed.live.image).undecided
        return [image.image_id for image in images if image.image_id not in not_due]

    def _review(self, observed: _Observed) -> RetirementReview:
        return RetirementReview(
            observed.settings,
            self.instances,
            self.images,
            self.usage,
            self.parameters,
            self.environments,
            self.clock,
        )

    def _observe(self, environment: str, state: _SweepState) -> _Findings:
        record = self.environments.get(environment)
        if record.queued_request is not None:
            state.waiting.append(environment)
        if record.queued_request is not None and record.claim is None:
            started = start_queued_request(record, self.environments, self.executions, self.state_machine_arn)
            yield _repaired(environment, f"a queued request waited for nobody; started {started}")
            return
        settings = self.catalogue.get(environment)
        if settings.approval.is_on:
            state.run_check(environment, partial(self.settler.settle, environment))
        if not settings.takes_promotions:
            settings = with_programs(settings, self.documents)
        live = self._records(settings).read_live(account_of(self.state_machine_arn), self.images, self.clock)
        # What is promoted to an environment has no tag.
        built = [] if settings.takes_promotions else [settings]
        digests = process_each(
            built, lambda _: f"{settings.repository}:{settings.image_tag}", self._digest_of
        )
        state.report(environment, digests)
        digest = next(iter(digests.done), None)
        is_missing = digest is not None and record.pin is None and not is_published(digest, live, settings)
        # What waits for people is no failure of the service.
        if is_missing and self._reason_to_wait(settings, digest or "") is None:
            state.unpublished.append(environment)
        if record.claim is not None:
            return
        if live.value is not None and live.image is None:
            yield SweepFinding(environment=environment, finding=live.problem or "", repaired=False)
        state.observed.append(_Observed(settings, record, live, digest))

    def _digest_of(self, settings: EnvironmentSettings) -> str | None:
        return self.repository.digest_of(settings.repository, settings.image_tag)

    def _start_what_is_due(self, observed: _Observed, state: _SweepState) -> _Findings:
        """Start the first work that is due. Work that was tried before waits for its retry, and does not block other
        work.
        """
        environment, record, now = observed.settings.environment, observed.record, self.clock.now()
        # A blocked resource that was not reported again within an hour no longer exists.
        held = [each for each in record.held_back if each.is_resource and now < each.due + LONGEST_PAUSE]
        retirement, rebuild = partial(self._due_retirement, state), partial(self._due_rebuild, state)
        # The rebuild is last, because any other work may publish another image.
        for find_due in (self._due_rollback, self._due_build, self._due_repair, retirement, rebuild):
            checked = process_each(
                [observed], lambda _: f"what is due in {environment}", partial(self._preflighted, find_due)
            )
            state.report(environment, checked)
            for work in checked.done:
                if work is None:
                    continue
                if work.request is None:
                    yield SweepFinding(environment=environment, finding=work.finding, repaired=False)
                    continue
                before = record.held(work.what)
                if before is not None and (waiting := self._pending_retry(before)) is not None:
                    held.append(waiting)
                    yield from _retry_finding(environment, work, waiting, now)
                    continue
                name, started = self._start(record, work, work.request, before)
                if work.request.trigger is Trigger.SCHEDULE:
                    state.rebuilds += 1
                yield _repaired(environment, f"{work.finding}; started {name}", _kind_of(work.request))
                # The retries of work that was not checked after this stay as they are.
                stay = [each for each in record.held_back if each.what != work.what and not each.is_resource]
                others = [each for each in stay if all(each.what != other.what for other in held)]
                self._hold_back(record, (*held, *others, started))
                return
        # Outside of the window, or while the base cannot be read, the rebuild is not checked, and its retry is kept.
        before = record.held(f"rebuild {observed.live.value}")
        if (
            before is not None
            and record.rebuild_due_since is not None
            and not any(before.what == each.what for each in held)
        ):
            held.append(before)
        self._hold_back(record, tuple(held))

    def _pending_retry(self, before: HeldBack) -> HeldBack | None:
        """The retry of work whose last execution is running, or that is not due yet; None when it is due."""
        arn = before.execution_arn or ""
        if self.executions.status(arn) in {ExecutionStatus.RUNNING, ExecutionStatus.PENDING_REDRIVE}:
            return before
        if before.is_due(self.clock.now()):
            return None
        reason = " ".join(self.executions.failure(arn).split())[:_REASON_CHARACTERS]
        return before.model_copy(update={"reason": reason})

    def _start(
        self, record: EnvironmentRecord, work: _Due, request: BuildRequest, before: HeldBack | None
    ) -> tuple[str, HeldBack]:
        now = self.clock.now()
        tries = before.tries + 1 if before else 1
        name = execution_name(
            record.environment,
            request.action.value,
            request.model_dump_json(),
            str(record.fencing),
            now.strftime("%Y%m%d%H"),
            str(tries),
        )
        started = HeldBack(
            what=work.what,
            reason=before.reason if before else "",
            since=before.since if before else now,
            tries=tries,
            due=now + retry_delay(tries),
            execution_arn=self.executions.start(self.state_machine_arn, name, request),
        )
        return name, started

    def _hold_back(self, record: EnvironmentRecord, held: tuple[HeldBack, ...]) -> None:
        if held != record.held_back:
            self.environments.hold_back(record.environment, held)

    def _preflighted(self, find_due: Callable[[_Observed], _Due | None], observed: _Observed) -> _Due | None:
        """The work that is due; without a request where the plan would refuse it."""
        work = find_due(observed)
        if work is None or work.request is None:
            return work
        settings, request = observed.settings, work.request
        live_id = observed.live.value if is_ami_id(observed.live.value) else None
        digest = request.image_digest or observed.digest
        if request.action is Action.BUILD and digest is not None:
            if (waits := self._reason_to_wait(settings, digest)) is not None:
                return _Due(work.what, f"{work.finding}; not started: {waits}")
            problems, _ = self.preflight.build_problems(settings, digest, live_id)
        else:
            problems = self.preflight.parameter_problems(settings, live_id)
        if not problems:
            return self._gated(work, request, observed, digest)
        return _Due(work.what, f"{work.finding}; not started: {'; '.join(map(str, problems))}")

    def _reason_to_wait(self, settings: EnvironmentSettings, digest: str) -> str | None:
        """Why a build of a digest is not started, where somebody has to approve it."""
        if not needs_approval(settings, Action.BUILD):
            return None
        subject = Subject(environment=settings.environment, digest=digest, recipe=settings.recipe)
        return self.approval.reason_to_wait(subject)

    def _gated(self, work: _Due, request: BuildRequest, observed: _Observed, digest: str | None) -> _Due:
        """The work; without a request as long as the vulnerability gate does not let its Docker image pass.

        Settings, waivers and findings are looked at each time, so nothing has to be remembered of a refusal.
        """
        settings = observed.settings
        if settings.scan_gate is None or request.action is not Action.BUILD or digest is None:
            return work
        try:
            ScanGate(self.repository, self.clock).check(settings, settings.repository, digest, started=None)
        except (ImageNotScannedError, VulnerabilitiesFoundError) as error:
            return _Due(work.what, f"{work.finding}; not started: {error}")
        return work

    def _due_rollback(self, observed: _Observed) -> _Due | None:
        request = self._unfinished_rollback(observed.settings, observed.record, observed.live)
        if request is None:
            return None
        what = f"publish {request.publish_image_id or request.image_digest}"
        return _Due(what, "a rollback was interrupted after it had pinned the environment", request)

    def _due_build(self, observed: _Observed) -> _Due | None:
        settings, digest, live = observed.settings, observed.digest, observed.live
        if digest is not None and not is_published(digest, live, settings):
            build = BuildRequest(
                environment=settings.environment, trigger=Trigger.RECONCILE, reason="found by the sweep"
            )
            reason = reason_for_nothing(build, digest, live, observed.record, settings)
            how = "" if live.digest != digest else " with the base and hooks of the settings"
            problem = f"{settings.image_tag} names {digest}, which is not published{how}"
            what = work_of_building(digest, settings)
            if reason is None:
                return _Due(what, problem, build)
            if observed.record.pin is None:
                return _Due(what, f"{problem}: {reason}")
        if observed.record.pin is not None and (problem := _pin_problem(observed.record.pin, live, settings)):
            return _Due("pin", problem)
        return None

    def _due_repair(self, observed: _Observed) -> _Due | None:
        live = observed.live
        wrong = self._wrong_record(observed.settings, live)
        if live.image is None or wrong is None:
            return None
        request = BuildRequest(
            environment=observed.settings.environment,
            action=Action.PUBLISH,
            trigger=Trigger.RECONCILE,
            publish_image_id=live.image.image_id,
            reason=f"{wrong} did not agree with latest",
        )
        return _Due(f"publish {live.value}", f"{wrong} does not agree with latest ({live.value})", request)

    def _due_retirement(self, state: _SweepState, observed: _Observed) -> _Due | None:
        due, refusal = self._retirable(state, observed)
        if refusal is not None:
            state.blocked.append(what_is_refused(observed.settings.environment))
        if not due:
            return refusal
        why = "an image can be retired or has to be marked, or the name be adopted"
        request = BuildRequest(
            environment=observed.settings.environment,
            action=Action.RETIRE,
            trigger=Trigger.RECONCILE,
            reason=why,
        )
        return _Due(f"retire {' '.join(due)}", why, request)

    def _record_ages(self, observed: _Observed, state: _SweepState) -> _Findings:
        """Record the ages of an environment's image and base, and since when a rebuild is due."""
        settings, live, record, now = observed.settings, observed.live, observed.record, self.clock.now()
        if settings.is_rebuilt and live.image is not None:
            state.add_ages(live.image, now)
        rebuild = self._rebuild_due(observed, state)
        since = (record.rebuild_due_since or now) if rebuild is not None else None
        if rebuild is not None and since is not None and live.digest is not None:
            state.rebuilds_due[settings.environment] = rebuild
            if is_overdue(since, live.digest, record, settings, now):
                state.overdue.append(settings.environment)
        if since != record.rebuild_due_since:
            self.environments.note_rebuild(settings.environment, since)
        return iter(())

    def _rebuild_due(self, observed: _Observed, state: _SweepState) -> Rebuild | None:
        settings = observed.settings
        # A pinned image is not rebuilt.
        if not settings.is_rebuilt or observed.live.image is None or observed.record.pin is not None:
            return None
        newest = self._newest_base(state, settings) if settings.refresh.follow_base else None
        rebuild = rebuild_of(observed.live, newest, settings)
        return rebuild if rebuild is not None and rebuild.due <= self.clock.now() else None

    def _due_rebuild(self, state: _SweepState, observed: _Observed) -> _Due | None:
        """A rebuild of the live image for the sake of the base's patches, within the window."""
        settings, image, digest = observed.settings, observed.live.image, observed.live.digest
        rebuild, now = state.rebuilds_due.get(settings.environment), self.clock.now()
        if rebuild is None or image is None or digest is None:
            return None
        if rebuild.start(settings.refresh.window, now) > now:
            return None
        what, finding = f"rebuild {image.image_id}", f"a rebuild is due: {rebuild.reason}"
        if (given_up := reason_of_failures(digest, observed.record, settings)) is not None:
            return _Due(what, f"{finding}; {given_up}")
        if state.rebuilds >= settings.refresh.max_per_sweep:
            # Left to a later sweep.
            return None
        if not self.repository.has_digest(settings.repository, digest):
            return _Due(
                what, f"{finding}; {settings.repository} has no image {digest} any more, so push it again"
            )
        # Without a visible base every hourly build would fail in its plan.
        self._newest_base(state, settings)
        return _Due(what, finding, self._rebuild_request(observed, rebuild))

    def _newest_base(self, state: _SweepState, settings: EnvironmentSettings) -> Image:
        """The base's current image, looked up once for all environments of the same base and architecture.

        Raises:
            AmiLifecycleError: it cannot be read; a finding for each environment that is to be rebuilt.
        """
        key = (settings.base, settings.builder.architecture)
        if key not in state.bases:
            try:
                state.bases[key] = current_base(
                    settings, self.state_machine_arn, self.parameters, self.images
                )
            except AmiLifecycleError as error:
                state.bases[key] = error
        known = state.bases[key]
        if isinstance(known, AmiLifecycleError):
            raise known
        return known

    def _rebuild_request(self, observed: _Observed, rebuild: Rebuild) -> BuildRequest:
        request = rebuild_request(observed.live, rebuild, observed.settings, observed.digest)
        known = self._records(observed.settings).read_metadata()
        if known is None or known.image_digest != observed.live.digest:
            return request
        # Commit and branch may have been given with the original build.
        commit = (
            known.commit_sha if known.commit_sha and len(known.commit_sha) <= _COMMIT_CHARACTERS else None
        )
        branch = known.branch if known.branch and len(known.branch) <= _BRANCH_CHARACTERS else None
        return request.model_copy(update={"commit_sha": commit, "branch": branch})

    def _unfinished_rollback(
        self, settings: EnvironmentSettings, record: EnvironmentRecord, live: Live
    ) -> BuildRequest | None:
        """The request that makes `latest` name what the environment is pinned to."""
        pin = record.pin
        if pin is None or live.value == pin.image_id:
            return None
        request = BuildRequest(
            environment=settings.environment,
            trigger=Trigger.ROLLBACK,
            force=True,
            pin=True,
            reason=one_line(pin.reason.replace("{{", "{")) or "the pinned image is published again",
        )
        image = find_image(pin.image_id, self.images, self.clock)
        is_ours = image is not None and image.belongs_to(settings.application, settings.environment)
        if image is not None and is_ours and image.state is ImageState.AVAILABLE:
            return request.model_copy(update={"action": Action.PUBLISH, "publish_image_id": image.image_id})
        # A promotion may have pinned it, and a build would be another release than was asked for.
        if settings.takes_promotions or pin.digest is None:
            return None
        if reason_of_failures(pin.digest, record, settings) is not None:
            return None
        if self.repository.has_digest(settings.repository, pin.digest):
            return request.model_copy(update={"image_digest": pin.digest})
        return None

    def _wrong_record(self, settings: EnvironmentSettings, live: Live) -> str | None:
        """Which of `metadata` and `history` contradicts `latest`; publishing the live image again repairs both."""
        if live.image is None or not live.image.belongs_to(settings.application, settings.environment):
            return None
        records = self._records(settings)
        metadata = records.read_metadata()
        if metadata is None or metadata.ami_id != live.value:
            return "metadata"
        return (
            "history" if records.contradicting_records(live.image.image_id, self.images, self.clock) else None
        )

    def _retirable(self, state: _SweepState, observed: _Observed) -> tuple[list[str], _Due | None]:
        """An image that can be retired, and the canonical name where it can be adopted; without those whose retry is
        not due. And the refusal where too many images would go.
        """
        settings, live = observed.settings, observed.live
        if live.image is None:
            return [], None
        not_due = observed.record.not_due(self.clock.now())
        review = self._review(observed)
        image_ids = state.undecided_images.get(settings.environment, [])
        usages = [state.usages[each] for each in image_ids if each in state.usages]
        limit = review.limit() if usages else NO_LIMIT
        refused = review.refused_by(limit, review.decide_from(usages)) if limit.at_most is not None else []
        refusal = _Due(what_is_refused(settings.environment), limit.refusal(refused)) if refused else None
        # One retirable image is enough to start a retirement, which decides about all.
        due = review.first_retirable(usages, refused)
        is_ours = live.image.belongs_to(settings.application, settings.environment)
        adopts = is_ours and review.can_adopt(live.image)[0]
        if adopts:
            due.append(settings.image_name)
        if is_ours and not due:
            switches = review.due_switches(live.image, is_final=not adopts)
            due = [found.image_id for found in switches if found.image_id not in not_due][:1]
        return [what for what in due if what not in not_due], refusal

    def _prune_history(self, settings: EnvironmentSettings, state: _SweepState) -> _Findings:
        """Delete the oldest records of retired images beyond the configured number."""
        records = self._records(settings)
        history = records.read_history()
        unreadable = [
            records.names.record(image_id) for image_id, record in history.items() if record is None
        ]
        if unreadable:
            text = f"history records that cannot be read: {', '.join(sorted(unreadable))}; correct or delete them"
            yield SweepFinding(environment=settings.environment, finding=text, repaired=False)
            if self.package_lists is not None:
                # Nobody knows which lists they name.
                return
        known = sorted(
            ((image_id, record) for image_id, record in history.items() if record is not None),
            key=lambda item: (publication_order(item[1]), item[0]),
            reverse=True,
        )
        surplus = [
            image_id
            for image_id, record in known[settings.publication.history_to_keep :]
            if record.status is RecordStatus.RETIRED
        ]
        forget = records.delete_record
        if self.package_lists is not None:
            # Most stacks keep no lists, and should not pay for the import.
            from ami_lifecycle.steps.package_remover import PackageRemover  # noqa: PLC0415

            forget = PackageRemover(self.package_lists, records, dict(known)).forget
        pruned = process_each(surplus[-_PRUNED_AT_ONCE:], records.names.record, forget)
        state.report(settings.environment, pruned)
        if pruned.done:
            text = f"pruned {len(pruned.done)} history records of retired images"
            yield _repaired(settings.environment, text)

    def _records(self, settings: EnvironmentSettings) -> PublishedRecords:
        return PublishedRecords(self.parameters, settings.parameter_names)


class _Owned(NamedTuple):
    """A resource that an execution owns: its environment and date."""

    environment: str | None
    since: datetime | None


class _Observed(NamedTuple):
    """The state of an environment without a claim."""

    settings: EnvironmentSettings
    record: EnvironmentRecord
    live: Live
    digest: str | None


class _Due(NamedTuple):
    """Work that is due, and why; without a request, a problem that only a person can solve."""

    what: str
    finding: str
    request: BuildRequest | None = None


@dataclass
class _SweepState:
    """What the checks of one sweep have found."""

    findings: list[SweepFinding] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unpublished: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    observed: list[_Observed] = field(default_factory=list)
    spared: set[str] = field(default_factory=set)
    undecided_images: dict[str, list[str]] = field(default_factory=dict)
    usages: dict[str, Usage] = field(default_factory=dict)
    bases: dict[tuple[BaseSettings, str], Image | AmiLifecycleError] = field(default_factory=dict)
    rebuilds_due: dict[str, Rebuild] = field(default_factory=dict)
    rebuilds: int = 0
    overdue: list[str] = field(default_factory=list)
    image_ages: list[float] = field(default_factory=list)
    base_ages: list[float] = field(default_factory=list)

    def add_ages(self, image: Image, now: datetime) -> None:
        """Add the ages of an environment's image and base, in days."""
        for ages, since in ((self.image_ages, imaged_of(image)), (self.base_ages, base_created_of(image))):
            if since is not None:
                ages.append(round((now - since) / timedelta(days=1), 2))

    def run_check(self, environment: str | None, check: Callable[[], _Findings]) -> None:
        """Add the findings of one check, whose errors do not stop other checks."""
        checked = process_each([check], lambda _: environment or "orphans", self._add_findings)
        self.report(environment, checked)
        # An error without a name of ours may be a defect of this service, so the sweep fails for it after all other
        # checks.
        self.faults.extend(
            f"{blocked.resource}: {blocked.error}: {blocked.reason}"
            for blocked in checked.blocked
            if blocked.error not in _NAMED
        )

    def report(self, environment: str | None, result: BatchResult[Any]) -> None:
        """Add what was refused as findings, and transient errors as faults."""
        self.findings.extend(_blocked(environment, blocked) for blocked in result.blocked)
        self.blocked.extend(blocked.resource for blocked in result.blocked)
        self.faults.extend(
            f"{environment or 'orphans'}: {type(error).__name__}: {error}" for error in result.transient
        )

    def _add_findings(self, check: Callable[[], _Findings]) -> None:
        for finding in check():
            self.findings.append(finding)


def _blocked(environment: str | None, blocked: Blocked) -> SweepFinding:
    text = f"{blocked.resource} is left as it is: {blocked.reason}"
    return SweepFinding(environment=environment, finding=text, repaired=False, kind=FindingKind.BLOCKED)


def _retry_finding(environment: str, work: _Due, held: HeldBack, now: datetime) -> _Findings:
    """A finding with the next retry of work; none while its execution is running."""
    if work.request is None or held.is_due(now):
        return
    text = f"{work.finding}; {held.explanation}"
    kind = _kind_of(work.request)
    yield SweepFinding(environment=environment, finding=text, repaired=False, kind=kind)


def _failed_rebuilds(observed: _Observed) -> int:
    """How often the due rebuild has been tried."""
    held = observed.record.held(f"rebuild {observed.live.value}")
    return held.tries if held else 0


def _pin_problem(pin: Pin, live: Live, settings: EnvironmentSettings) -> str:
    """The problem with a pin that the sweep cannot restore; empty where there is none."""
    if live.value == pin.image_id:
        return ""
    why = "cannot be built again; "
    if settings.takes_promotions:
        why = f"is not built again, because {settings.environment} publishes promotions; promote again, "
    return (
        f"pinned to {pin.image_id}, which is not live, is gone, and {why}unpin the environment, or roll it back to "
        "another image"
    )


def parse_sweep(raw: object) -> None:
    """Ignore the schedule's input."""


def _repaired(environment: str | None, finding: str, kind: FindingKind = FindingKind.OTHER) -> SweepFinding:
    return SweepFinding(environment=environment, finding=finding, repaired=True, kind=kind)


def _kind_of(request: BuildRequest) -> FindingKind:
    """The kind of finding that a request of the sweep stands for."""
    if request.trigger is not Trigger.RECONCILE:
        return FindingKind.OTHER
    match request.action:
        case Action.BUILD | Action.PROMOTE | Action.UNDELETE:
            return FindingKind.OTHER
        case Action.PUBLISH:
            return FindingKind.METADATA
        case Action.RETIRE:
            return FindingKind.RETIREMENT_DUE
        case _:
            assert_never(request.action)
