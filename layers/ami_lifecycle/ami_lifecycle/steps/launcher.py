"""An instance of a build, builder or canary, launched in the first subnet that has capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ami_lifecycle.domain.environment import Claim, LaunchProgress
from ami_lifecycle.domain.execution import ClaimedInput, InstanceRef
from ami_lifecycle.domain.first_boot import QUOTA_CODE
from ami_lifecycle.domain.launch import LaunchRefusal, LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import (
    TAG_EXECUTION,
    TAG_ROLE,
    Instance,
    Role,
    VolatileDevice,
    owner_tags,
)
from ami_lifecycle.domain.naming import client_token
from ami_lifecycle.domain.plan import BuildMode, BuildPlan
from ami_lifecycle.domain.quotas import quota_of
from ami_lifecycle.domain.recipe import recipe_tags
from ami_lifecycle.errors import (
    AmiLifecycleError,
    CapacityUnavailableError,
    LaunchUnfinishedError,
    QuotaExceededError,
    SettingsError,
    ThrottledError,
)
from ami_lifecycle.ports import Clock, Environments, Instances
from ami_lifecycle.steps.fencing import writing
from ami_lifecycle.steps.user_data import user_data

# Time for one more attempt: RunInstances and DescribeInstanceTypes once each with the client's connect and read
# timeouts, and saving the progress in the claim.
LONGEST_CALL: Final = timedelta(seconds=29)
# EC2 API reference, Request throttling: RunInstances may be called 5 times at once, then twice a second.
_THROTTLED_PAUSE_SECONDS: Final = 2.0
_PAIRS_SHOWN: Final = 1_500
_WORDS_SHOWN: Final = 1_200
_QUOTAS_PAGE: Final = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"


@dataclass(frozen=True)
class Infrastructure:
    """The stack's resources for the instances of a build."""

    subnet_ids: tuple[str, ...]
    security_group_id: str
    instance_profile_arn: str
    volume_key_arn: str = ""


class _Pair(NamedTuple):
    instance_type: str
    subnet_id: str


class _Refused(NamedTuple):
    pair: _Pair
    refusal: LaunchRefusal
    message: str


@dataclass(frozen=True)
class Launcher:
    """Launches the instances of a build."""

    instances: Instances
    environments: Environments
    infrastructure: Infrastructure
    clock: Clock
    deadline: datetime

    def launch(
        self,
        step: ClaimedInput,
        role: Role,
        *,
        image_id: str,
        root_device_name: str,
        volatile_devices: tuple[VolatileDevice, ...],
    ) -> InstanceRef:
        """Launch the instance of this role from the image, or find the one that an earlier attempt launched.

        Raises:
            CapacityUnavailableError: no type in any subnet at this moment.
            LaunchUnfinishedError: the time is over; another attempt goes on where this one ended.
            QuotaExceededError: the account's quotas have no room for any of the types.
            SettingsError: none of the types can ever be launched from the image.
            ClaimLostError: the environment is not held any more.
        """
        with writing(self.environments, step, self.deadline) as claim:
            return self._launch(
                step,
                claim,
                role,
                image_id=image_id,
                root_device_name=root_device_name,
                volatile_devices=volatile_devices,
            )

    def _launch(
        self,
        step: ClaimedInput,
        claim: Claim,
        role: Role,
        *,
        image_id: str,
        root_device_name: str,
        volatile_devices: tuple[VolatileDevice, ...],
    ) -> InstanceRef:
        launched = self.instances.find({TAG_EXECUTION: step.execution_arn, TAG_ROLE: role.value})
        alive = sorted(
            (instance for instance in launched if not instance.state.is_over),
            key=lambda found: found.instance_id,
        )
        if alive:
            return _reference(alive[0])

        def request_for(pair: _Pair) -> LaunchRequest:
            return self._request(
                step,
                role,
                pair,
                attempt=len(launched),
                image_id=image_id,
                root_device_name=root_device_name,
                volatile_devices=volatile_devices,
            )

        settings = step.plan.configured.builder
        pairs = [
            _Pair(instance_type, subnet_id)
            for instance_type in settings.instance_types
            for subnet_id in self._subnets(step.plan)
        ]
        progress = claim.launching if claim.launching and claim.launching.role is role else None
        first = progress.position if progress and progress.position < len(pairs) else 0
        refusals: list[_Refused] = []
        for position in range(first, len(pairs)):
            pair = pairs[position]
            if _is_refused_everywhere(pair.instance_type, refusals):
                continue
            if self._is_time_over():
                self._save_progress(step, role, position)
                raise LaunchUnfinishedError(
                    f"the time is over after {position} of {len(pairs)} pairs of instance type and subnet for the "
                    f"{role.value} of {step.plan.environment}; the next attempt goes on with {pair.instance_type} in "
                    f"{pair.subnet_id}"
                )
            try:
                result = self._try(request_for(pair))
            except AmiLifecycleError:
                # The answer may be lost and the instance be there: the same pair has the same client token.
                self._save_progress(step, role, position)
                raise
            if result.instance is not None:
                return _reference(result.instance)
            refusals.append(_Refused(pair, result.refusal or LaunchRefusal.CAPACITY, result.message))
        if first:
            self._save_progress(step, role, 0)
        raise _nothing_launched(step.plan, role, refusals, skipped=first)

    def _try(self, request: LaunchRequest) -> LaunchResult:
        """One launch, again after a pause while EC2 asks for fewer calls and time is left."""
        while True:
            try:
                return self.instances.launch(request)
            except ThrottledError:
                if self._is_time_over():
                    raise
                self.clock.pause(_THROTTLED_PAUSE_SECONDS)

    def _is_time_over(self) -> bool:
        return self.clock.now() + LONGEST_CALL > self.deadline

    def _save_progress(self, step: ClaimedInput, role: Role, position: int) -> None:
        progress = LaunchProgress(role=role, position=position)
        self.environments.remember_launch(
            step.plan.environment, step.execution_arn, step.claim_number, progress
        )

    def _request(
        self,
        step: ClaimedInput,
        role: Role,
        pair: _Pair,
        *,
        attempt: int,
        image_id: str,
        root_device_name: str,
        volatile_devices: tuple[VolatileDevice, ...],
    ) -> LaunchRequest:
        configured = step.plan.configured
        settings = configured.builder
        canary = role is Role.CANARY
        return LaunchRequest(
            client_token=client_token(step.execution_arn, role, pair.instance_type, pair.subnet_id, attempt),
            image_id=image_id,
            instance_type=pair.instance_type,
            subnet_id=pair.subnet_id,
            security_group_ids=(self.infrastructure.security_group_id,),
            instance_profile_arn=self.infrastructure.instance_profile_arn,
            root_device_name=root_device_name,
            root_volume_gib=settings.root_volume_gib,
            volume_type=settings.volume_type,
            iops=settings.iops,
            throughput=settings.throughput,
            volatile_devices=volatile_devices,
            volume_key_arn=self.infrastructure.volume_key_arn,
            # A builder's disk is written more than it is read, so it would pay for nothing.
            initialization_rate=configured.launch.initialization_rate if canary else 0,
            # The builder runs no container, so nothing on it is further away than 1.
            metadata_hop_limit=configured.verification.metadata_hop_limit if canary else 1,
            has_tags_in_metadata=canary and configured.container.reads_tags,
            user_data=user_data(
                role,
                settings.self_destruct_minutes,
                step.execution_arn,
                # Every image that we have made has an agent.
                installs_agent=not canary
                and step.plan.mode is BuildMode.FRESH
                and configured.base.may_lack_agent,
            ),
            tags=owner_tags(
                configured.application,
                step.plan.environment,
                step.execution_arn,
                role,
                step.plan.image.digest,
                f"{configured.image_name} {role.value}",
                configured.tags,
            )
            | recipe_tags(configured.recipe),
        )

    def _subnets(self, plan: BuildPlan) -> tuple[str, ...]:
        subnets = plan.configured.builder.subnet_ids or self.infrastructure.subnet_ids
        if not subnets:
            raise SettingsError(
                f"no subnet is known for {plan.environment}; give the stack's parameter SubnetIds a value, or set the "
                f"parameter of aws.builder.subnet_ids"
            )
        return subnets


def _reference(instance: Instance) -> InstanceRef:
    return InstanceRef(
        instance_id=instance.instance_id,
        instance_type=instance.instance_type,
        subnet_id=instance.subnet_id,
    )


def _is_refused_everywhere(instance_type: str, refusals: Sequence[_Refused]) -> bool:
    return any(
        refused.refusal.concerns_every_type
        or (refused.pair.instance_type == instance_type and refused.refusal.concerns_every_subnet)
        for refused in refusals
    )


def _summary(refusals: Sequence[_Refused]) -> str:
    """Every pair with the kind of its refusal, and EC2's own words for the first of each type and kind."""
    every = ", ".join(
        f"{refused.pair.instance_type} in {refused.pair.subnet_id}: {refused.refusal.value}"
        for refused in refusals
    )
    first: dict[tuple[str, LaunchRefusal], str] = {}
    for refused in refusals:
        first.setdefault((refused.pair.instance_type, refused.refusal), refused.message)
    return f"{every[:_PAIRS_SHOWN]}. EC2 says: {'; '.join(first.values())[:_WORDS_SHOWN].rstrip('. ')}"


def _nothing_launched(
    plan: BuildPlan, role: Role, refusals: Sequence[_Refused], *, skipped: int
) -> AmiLifecycleError:
    """The error for a launch that every type and subnet refused.

    Args:
        skipped: how many pairs an earlier attempt has tried; that had time to run out, so it was slow answers
            of the kind that passes, and not a refusal for good.
    """
    what = f"EC2 launches no {role.value} for {plan.environment}: {_summary(refusals)}"
    if skipped:
        what = f"{what} (and before these, {skipped} pairs in the attempt before)"
    if any(refused.refusal is LaunchRefusal.INITIALIZATION_IN_USE for refused in refusals):
        return CapacityUnavailableError(
            f"{what}. Other volumes of the Region use up the quota of concurrent volume initialization, so a launch at "
            f"{plan.configured.launch.initialization_rate} MiB/s has to wait. Ask for more of {QUOTA_CODE}: aws "
            f"service-quotas request-service-quota-increase --service-code ebs --quota-code {QUOTA_CODE} "
            "--desired-value N; or lower launch.initialization_rate; or build again later"
        )
    if skipped or any(refused.refusal.passes for refused in refusals):
        return CapacityUnavailableError(
            f"{what}. Add instance types or subnets to the settings (builder.instance_types, builder.subnet_ids), or "
            "build again later"
        )
    too_small = [
        refused.pair.instance_type for refused in refusals if refused.refusal is LaunchRefusal.QUOTA_TOO_SMALL
    ]
    if too_small:
        remedies = "; ".join(dict.fromkeys(quota_of(each).request for each in too_small))
        return QuotaExceededError(
            f"the account's quota has no room for one instance of {', '.join(dict.fromkeys(too_small))}: {remedies} "
            f"({_QUOTAS_PAGE}); or name types of another quota in builder.instance_types. {what}"
        )
    return SettingsError(
        f"{what}. None of builder.instance_types can be launched there: name types that the account, the zones and "
        "the image allow (ami-lifecycle doctor examines them)"
    )
