"""Sweep Environments: the last net. Repairs what it may, and reports what it may not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, assert_never

from ami_lifecycle.contracts import (
    Action,
    BuildRequest,
    CleanUpInput,
    FindingKind,
    HistoryRecord,
    Metadata,
    RecordStatus,
    RetireAction,
    SweepFinding,
    SweepResult,
    Trigger,
)
from ami_lifecycle.domain.environment import EnvironmentRecord, Pin
from ami_lifecycle.domain.model import TAG_APPLICATION, TAG_EXECUTION, ImageState
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.domain.planning import Live, is_published, reason_for_nothing
from ami_lifecycle.domain.publication import load
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError, CleanUpIncompleteError
from ami_lifecycle.ports import (
    Clock,
    Environments,
    Executions,
    ExecutionStatus,
    Images,
    Instances,
    Parameters,
    Repository,
)
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.claim_environment import EXECUTION_TIMEOUT, has_ended
from ami_lifecycle.steps.clean_up_build import BuildCleaner
from ami_lifecycle.steps.cleaning import Cleaner
from ami_lifecycle.steps.handing_over import start_wanted
from ami_lifecycle.steps.observing import account_of, parameter_name, read_live
from ami_lifecycle.steps.retire_images import Retirer

# DeleteParameter is limited to 3 calls a second for the whole account (AWS General Reference, SSM quotas).
_PRUNED_AT_ONCE: Final = 20
_LOGGER = logging.getLogger(__name__)
_Findings = Iterator[SweepFinding]


@dataclass(frozen=True)
class Sweeper:
    """Looks at every environment, and at everything that carries the application's tag."""

    catalogue: Catalogue
    repository: Repository
    instances: Instances
    images: Images
    parameters: Parameters
    environments: Environments
    executions: Executions
    build_cleaner: BuildCleaner
    cleaner: Cleaner
    retirer: Retirer
    clock: Clock
    state_machine_arn: str

    def sweep(self) -> SweepResult:
        """Sweep once. A fault in one place does not keep the sweep from the others.

        Raises:
            CleanUpIncompleteError: something could not be looked at or repaired; all else was done.
        """
        findings: list[SweepFinding] = []
        faults: list[str] = []
        waiting: list[str] = []
        unpublished: list[str] = []
        for environment in self.catalogue.environments:
            self._try(environment, partial(self._end_dead_claim, environment), findings, faults)
        self._try(None, self._remove_orphans, findings, faults)
        for environment in self.catalogue.environments:
            self._try(
                environment, partial(self._reconcile, environment, waiting, unpublished), findings, faults
            )
        if faults:
            raise CleanUpIncompleteError(
                f"the sweep found {[finding.finding for finding in findings]} and could not finish: "
                f"{'; '.join(faults)[:3000]}. It runs again by itself; if this persists, correct the cause"
            )
        return SweepResult(findings=tuple(findings), waiting=tuple(waiting), unpublished=tuple(unpublished))

    def _try(
        self,
        environment: str | None,
        look: Callable[[], _Findings],
        findings: list[SweepFinding],
        faults: list[str],
    ) -> None:
        try:
            findings.extend(look())
        except Exception as error:  # one environment's fault of any kind must not cost the others their sweep
            if not isinstance(error, AmiLifecycleError):
                _LOGGER.exception("the sweep of %s failed", environment or "orphans")
            faults.append(f"{environment or 'orphans'}: {type(error).__name__}: {error}")

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

    def _remove_orphans(self) -> _Findings:
        for execution_arn, oldest in self._owners().items():
            status = self.executions.status(execution_arn)
            if not self._is_over(status, oldest):
                continue
            # What was left in the midst is gone long before Step Functions forgets an execution.
            went_well = status in {ExecutionStatus.SUCCEEDED, ExecutionStatus.UNKNOWN}
            cleaned = self.cleaner.clean(execution_arn, went_well=went_well)
            if cleaned.removed_anything:
                yield _repaired(
                    None,
                    f"removed what {execution_arn} left behind: "
                    f"{', '.join((*cleaned.terminated, *cleaned.deregistered, *cleaned.deleted_snapshots))}",
                    FindingKind.ORPHAN,
                )

    def _owners(self) -> dict[str, datetime | None]:
        """Executions that own something unpublished, each with the date of one such thing."""
        ours = {TAG_APPLICATION: self.catalogue.application}
        owners: dict[str, datetime | None] = {}
        for instance in self.instances.find(ours):
            if not instance.state.is_over and (owner := instance.tags.get(TAG_EXECUTION)):
                owners[owner] = instance.launch_time
        used: set[str] = set()
        for image in self.images.find(ours):
            used.update(image.snapshot_ids)
            owner = image.tags.get(TAG_EXECUTION)
            if owner and owner not in owners and not self.cleaner.is_settled(image):
                owners[owner] = image.creation_date
        for snapshot in self.images.find_snapshots(ours):
            if snapshot.is_copy or snapshot.snapshot_id in used:
                continue
            if owner := snapshot.tags.get(TAG_EXECUTION):
                owners.setdefault(owner, snapshot.start_time)
        return owners

    def _is_over(self, status: ExecutionStatus, since: datetime | None) -> bool:
        if status is ExecutionStatus.UNKNOWN:
            return since is not None and self.clock.now() - since > EXECUTION_TIMEOUT
        return status.is_over

    def _reconcile(self, environment: str, waiting: list[str], unpublished: list[str]) -> _Findings:
        record = self.environments.get(environment)
        if record.wanted is not None:
            waiting.append(environment)
        if record.wanted is not None and record.claim is None:
            started = start_wanted(record, self.environments, self.executions, self.state_machine_arn)
            yield _repaired(environment, f"a queued request waited for nobody; started {started}")
            return
        settings = self.catalogue.get(environment)
        live = read_live(
            settings.parameter_prefix, account_of(self.state_machine_arn), self.parameters, self.images
        )
        digest = self.repository.digest_of(settings.repository, settings.image_tag)
        if digest is not None and record.pin is None and not is_published(digest, live, settings):
            unpublished.append(environment)
        if record.claim is not None:
            return
        if live.value is not None and live.image is None:
            yield SweepFinding(environment=environment, finding=live.problem or "", repaired=False)
        yield from self._start_what_is_due(settings, record, live, digest)
        yield from self._prune_history(settings)

    def _start_what_is_due(
        self, settings: EnvironmentSettings, record: EnvironmentRecord, live: Live, digest: str | None
    ) -> _Findings:
        request, finding = self._due(settings, record, live, digest)
        if request is None:
            if finding:
                yield SweepFinding(environment=settings.environment, finding=finding, repaired=False)
            return
        hour = self.clock.now().strftime("%Y%m%d%H")
        name = execution_name(
            settings.environment, request.action.value, request.model_dump_json(), str(record.fencing), hour
        )
        self.executions.start(self.state_machine_arn, name, request)
        yield _repaired(settings.environment, f"{finding}; started {name}", _kind_of(request))

    def _due(
        self, settings: EnvironmentSettings, record: EnvironmentRecord, live: Live, digest: str | None
    ) -> tuple[BuildRequest | None, str]:
        """What is to be started and why; or nothing, and what a person should know."""
        environment = settings.environment
        if (rollback := self._unfinished_rollback(settings, record, live)) is not None:
            return rollback, "a rollback was interrupted after it had pinned the environment"
        build = BuildRequest(environment=environment, trigger=Trigger.RECONCILE, reason="found by the sweep")
        problem = ""
        if digest is not None and not is_published(digest, live, settings):
            reason = reason_for_nothing(build, digest, live, record, settings)
            problem = f"{settings.image_tag} names {digest}, which is not published"
            if reason is None:
                return build, problem
            problem = f"{problem}: {reason}"
        if record.pin is not None:
            problem = _pin_problem(record.pin, live)
        if live.image is None:
            return None, problem
        if not self._is_metadata_right(settings, live):
            request = BuildRequest(
                environment=environment,
                action=Action.PUBLISH,
                trigger=Trigger.RECONCILE,
                publish_image_id=live.image.image_id,
                reason="metadata did not agree with latest",
            )
            return request, f"metadata does not agree with latest ({live.value})"
        if self._is_retirement_due(settings, live):
            request = BuildRequest(
                environment=environment,
                action=Action.RETIRE,
                trigger=Trigger.RECONCILE,
                reason="an image can be retired, or the name be adopted",
            )
            return request, "an image can be retired, or the name be adopted"
        return None, problem

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
            reason=pin.reason or "the pinned image is published again",
        )
        image = self.images.get(pin.image_id)
        is_ours = image is not None and image.is_ours(settings.application, settings.environment)
        if image is not None and is_ours and image.state is ImageState.AVAILABLE:
            return request.model_copy(update={"action": Action.PUBLISH, "publish_image_id": image.image_id})
        failed = record.failed
        if failed is not None and failed.digest == pin.digest and failed.count >= settings.reconcile_attempts:
            return None
        if pin.digest is not None and self.repository.has_digest(settings.repository, pin.digest):
            return request.model_copy(update={"image_digest": pin.digest})
        return None

    def _is_metadata_right(self, settings: EnvironmentSettings, live: Live) -> bool:
        if live.image is None or not live.image.is_ours(settings.application, settings.environment):
            return True
        stored = self.parameters.get(parameter_name(settings.parameter_prefix, "metadata"))
        metadata = load(Metadata, stored.value if stored else None)
        return metadata is not None and metadata.ami_id == live.value

    def _is_retirement_due(self, settings: EnvironmentSettings, live: Live) -> bool:
        if live.image is None:
            return False
        decisions = self.retirer.decide(settings, live.image)
        if any(decision.action is RetireAction.RETIRE for decision in decisions):
            return True
        is_ours = live.image.is_ours(settings.application, settings.environment)
        return is_ours and self.retirer.can_adopt(settings, live.image)[0]

    def _prune_history(self, settings: EnvironmentSettings) -> _Findings:
        """Delete the oldest records of retired images beyond the configured number."""
        stored = self.parameters.list_below(parameter_name(settings.parameter_prefix, "history"))
        records = [(name, load(HistoryRecord, parameter.value)) for name, parameter in stored.items()]
        unreadable = [name for name, record in records if record is None]
        if unreadable:
            text = f"history records that cannot be read: {', '.join(sorted(unreadable))}; correct or delete them"
            yield SweepFinding(environment=settings.environment, finding=text, repaired=False)
        known = sorted(
            ((name, record) for name, record in records if record is not None),
            key=lambda item: (item[1].creation_date, item[0]),
            reverse=True,
        )
        surplus = [
            name
            for name, record in known[settings.publication.history_to_keep :]
            if record.status is RecordStatus.RETIRED
        ]
        for name in surplus[-_PRUNED_AT_ONCE:]:
            self.parameters.delete(name)
        if surplus:
            count = min(len(surplus), _PRUNED_AT_ONCE)
            yield _repaired(settings.environment, f"pruned {count} history records of retired images")


def _pin_problem(pin: Pin, live: Live) -> str:
    """What a person should know of a pin that the sweep cannot make good."""
    if live.value == pin.image_id:
        return ""
    return (
        f"pinned to {pin.image_id}, which is not live, is gone, and cannot be built again; unpin the environment, or "
        "roll it back to another image"
    )


def parse_sweep(raw: object) -> None:
    """The schedule's input says nothing that the sweep needs, so whatever came is fine."""


def _repaired(environment: str | None, finding: str, kind: FindingKind = FindingKind.OTHER) -> SweepFinding:
    return SweepFinding(environment=environment, finding=finding, repaired=True, kind=kind)


def _kind_of(request: BuildRequest) -> FindingKind:
    """What it means that the sweep has to ask for this."""
    if request.trigger is not Trigger.RECONCILE:
        return FindingKind.OTHER
    match request.action:
        case Action.BUILD:
            return FindingKind.OTHER
        case Action.PUBLISH:
            return FindingKind.METADATA
        case Action.RETIRE:
            return FindingKind.RETIREMENT_DUE
        case _:
            assert_never(request.action)
