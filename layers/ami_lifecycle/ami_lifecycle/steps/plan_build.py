"""Plan Build: everything that can be decided before any money is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.execution import BuildState, ImageRef
from ami_lifecycle.domain.model import TAG_DIGEST, Frozen, Image, ImageState, is_ami_id
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.plan import BuildMode, BuildPlan, Source
from ami_lifecycle.domain.planning import Live, base_of, choose_base, reason_for_nothing
from ami_lifecycle.domain.preflight import Problem
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import Push, parse_request
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import (
    ForeignResourceError,
    ImageDigestNotFoundError,
    ImageNotAllowedError,
    ImageNotVerifiedError,
    ImageTagNotFoundError,
    RecordNotFoundError,
    SettingsError,
)
from ami_lifecycle.ports import AllowedImages, Clock, Environments, Images, Parameters, Repository
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.observing import account_of, find_image
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.published import PublishedRecords

# Canonical, "Finding images with SSM": public parameters of the current Ubuntu images.
UBUNTU_PARAMETER: Final = (
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/{architecture}/hvm/ebs-gp2/ami-id"
)
# Canonical, "Ubuntu on AWS", Verify the owner: by partition.
CANONICAL_OWNERS: Final = {
    "aws": "099720109477",
    "aws-cn": "837727238323",
    "aws-us-gov": "513442679011",
}
# As the contract of requests bounds it.
_LONGEST_REASON: Final = 200
_UBUNTU_ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}


class PlanInput(Frozen):
    """Input of `plan_build`: the execution's own input, untouched."""

    request: Any
    execution_arn: str
    execution_name: str


@dataclass(frozen=True)
class Planner:
    """What planning reads. It writes nothing."""

    catalogue: Catalogue
    repository: Repository
    images: Images
    parameters: Parameters
    environments: Environments
    clock: Clock
    preflight: Preflight

    def plan(self, step: PlanInput) -> BuildState:
        """Plan an execution from its input.

        Raises:
            InputError: in its kinds, for a request that cannot be fulfilled.
        """
        parsed = parse_request(step.request)
        request = self._request_of(parsed) if isinstance(parsed, Push) else parsed
        if isinstance(request, str):
            return _nothing("", Trigger.PUSH, request)
        return self.plan_request(request, step.execution_arn)

    def plan_request(self, request: BuildRequest, execution_arn: str) -> BuildState:
        """Plan a request; what the command line's dry run prints."""
        settings = self.catalogue.get(request.environment)
        # Read before anything else: whoever claims or releases from here on makes this plan outdated.
        record = self.environments.get(request.environment)
        records = PublishedRecords(self.parameters, settings.parameter_names)
        live = records.read_live(account_of(execution_arn), self.images, self.clock)
        if request.action is Action.RETIRE:
            return self._plan_retirement(request, execution_arn, settings, record, live)
        if request.action is Action.PUBLISH or request.publish_image_id:
            return self._plan_publication(request, execution_arn, settings, record, live)
        return self._plan_build(request, execution_arn, settings, record, live)

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
                self.catalogue.repository_of(name) == push.repository
                and push.digest is not None
                and self.repository.digest_of(push.repository, self.catalogue.tag_of(name)) == push.digest
            ):
                return name
        return None

    def _plan_build(
        self,
        request: BuildRequest,
        execution_arn: str,
        settings: EnvironmentSettings,
        record: EnvironmentRecord,
        live: Live,
    ) -> BuildState:
        source = self._resolve_source(request, settings)
        reason = reason_for_nothing(request, source.digest, live, record, settings)
        if reason is not None:
            return _nothing(request.environment, request.trigger, reason)
        older = [] if live.image else self._older_images(settings)
        live_id = live.value if is_ami_id(live.value) else None
        problems, size = self.preflight.build_problems(settings, source.digest, live_id)
        _refuse(problems)
        source = source.model_copy(update={"size_bytes": size})
        choice = choose_base(
            request,
            live,
            older,
            lambda: self.ubuntu(settings, execution_arn),
            settings,
            self.clock.now(),
            record.unusable_base,
        )
        if choice.mode is BuildMode.UPDATE:
            _refuse_small_volume(choice.image, settings)
        reasons = [choice.reason]
        if live.value is not None and live.image is None:
            reasons.append(live.problem or "")
        if not settings.verification.enabled:
            reasons.append("verification is switched off in the settings")
        if request.reason:
            reasons.append(request.reason)
        plan = BuildPlan(
            action=Action.BUILD,
            trigger=request.trigger,
            environment=request.environment,
            reasons=tuple(reasons),
            run_id=run_id(execution_arn, source.digest),
            settings=settings,
            fencing=record.fencing,
            source=source,
            mode=choice.mode,
            base=base_of(choice),
            generation=choice.generation,
            request=request,
        )
        return BuildState(plan=plan)

    def _resolve_source(self, request: BuildRequest, settings: EnvironmentSettings) -> Source:
        uri = self.repository.uri(settings.repository)
        if request.image_digest is not None:
            if not self.repository.has_digest(settings.repository, request.image_digest):
                raise ImageDigestNotFoundError(
                    f"{settings.repository} has no image {request.image_digest}; push it again, restore it from ECR's "
                    "archive, or name another digest"
                )
            return Source(repository_uri=uri, digest=request.image_digest, tag=request.image_tag)
        tag = request.image_tag or settings.image_tag
        digest = self.repository.digest_of(settings.repository, tag)
        if digest is None:
            raise ImageTagNotFoundError(
                f"{settings.repository} has no tag {tag!r} (any more); push it again, restore it from ECR's "
                "archive, or name another tag"
            )
        return Source(repository_uri=uri, digest=digest, tag=tag)

    def _older_images(self, settings: EnvironmentSettings) -> list[Image]:
        """Images of the environment's name, from before their tags. `comfyui-multitenant-prod*` finds those
        of an environment `prod-eu` as well.
        """
        names = [self.catalogue.image_name_of(name) for name in self.catalogue.environments]
        longer = tuple(
            name for name in names if name.startswith(settings.image_name) and name != settings.image_name
        )
        found = self.images.find_by_name(f"{settings.image_name}*")
        return [image for image in found if not image.name.startswith(longer)]

    def ubuntu(self, settings: EnvironmentSettings, arn: str) -> Image:
        """The current Ubuntu image of the settings' architecture.

        Args:
            arn: any ARN of the account, for its partition.

        Raises:
            ImageNotAllowedError: the account hides it from itself.
            SettingsError: the Region has none.
        """
        name = UBUNTU_PARAMETER.format(architecture=_UBUNTU_ARCHITECTURES[settings.builder.architecture])
        stored = self.parameters.get(name)
        image = self.images.get(stored.value) if stored else None
        if image is not None:
            return image
        if stored is None:
            raise SettingsError(
                f"the public parameter {name} does not exist in this Region; choose a Region that Ubuntu 22.04 is "
                "published in"
            )
        allowed = self.images.allowed_images()
        if allowed.restricts:
            raise ImageNotAllowedError(not_allowed(stored.value, arn, allowed))
        raise SettingsError(
            f"{stored.value}, which the public parameter {name} names, does not exist in this Region; look again "
            "in a few minutes, and else ask Canonical"
        )

    def _plan_publication(
        self,
        request: BuildRequest,
        execution_arn: str,
        settings: EnvironmentSettings,
        record: EnvironmentRecord,
        live: Live,
    ) -> BuildState:
        image_id = request.publish_image_id
        image = find_image(image_id, self.images, self.clock) if image_id else None
        if image is None or image.state is not ImageState.AVAILABLE:
            if request.image_digest is not None:
                again = _as_build(request)
                return self._plan_build(again, execution_arn, settings, record, live)
            raise RecordNotFoundError(
                f"{image_id or 'no image'} cannot be published again: it is not an available image of this "
                "account; build its digest instead"
            )
        if not image.is_ours(settings.application, settings.environment):
            raise ForeignResourceError(
                f"{image.image_id} does not carry the tags of {settings.application} {settings.environment}; "
                "only images of the environment can be published in it"
            )
        _refuse(self.preflight.parameter_problems(settings))
        if live.image is None or live.image.image_id != image.image_id:
            self._require_verified_record(image, settings)
        plan = BuildPlan(
            action=Action.PUBLISH,
            trigger=request.trigger,
            environment=request.environment,
            reasons=(request.reason or f"{image.image_id} is published again",),
            run_id=run_id(execution_arn, image.tags.get(TAG_DIGEST)),
            settings=settings,
            fencing=record.fencing,
            request=request,
        )
        return BuildState(plan=plan, image=ImageRef(image_id=image.image_id))

    def _require_verified_record(self, image: Image, settings: EnvironmentSettings) -> None:
        records = PublishedRecords(self.parameters, settings.parameter_names)
        history = records.read_record(image.image_id)
        if history is None:
            raise RecordNotFoundError(
                f"history has no readable record of {image.image_id}, so nobody knows whether it was verified; "
                "build its digest instead"
            )
        if history.verified_at is None and settings.verification.enabled:
            raise ImageNotVerifiedError(
                f"{image.image_id} was published without verification; build its digest instead"
            )

    def _plan_retirement(
        self,
        request: BuildRequest,
        execution_arn: str,
        settings: EnvironmentSettings,
        record: EnvironmentRecord,
        live: Live,
    ) -> BuildState:
        if live.image is None:
            return _nothing(request.environment, request.trigger, f"nothing is retired while {live.problem}")
        # An adopted name is published, too.
        _refuse(self.preflight.parameter_problems(settings))
        plan = BuildPlan(
            action=Action.RETIRE,
            trigger=request.trigger,
            environment=request.environment,
            reasons=(request.reason or "previous images are looked at again",),
            run_id=run_id(execution_arn, live.digest),
            settings=settings,
            fencing=record.fencing,
            request=request,
        )
        return BuildState(plan=plan, image=ImageRef(image_id=live.image.image_id))


def not_allowed(image_id: str, arn: str, allowed: AllowedImages) -> str:
    """That the setting Allowed AMIs hides Ubuntu's image, and how to let it in."""
    owner = CANONICAL_OWNERS.get(arn.split(":")[1], "Canonical's account")
    how = (
        "in the organization's declarative policy for EC2"
        if allowed.is_policy
        else "with aws ec2 replace-image-criteria-in-allowed-images-settings, which replaces all criteria"
    )
    return (
        f"EC2's setting Allowed AMIs of this account and Region hides {image_id}, the Ubuntu image that fresh builds "
        f"start from: allow the image provider {owner} (Canonical) {how}, then build again"
    )


def _as_build(request: BuildRequest) -> BuildRequest:
    """A build of the Docker image whose image was to be published again, and is gone."""
    reason = f"{request.publish_image_id} is gone, so its Docker image is built; {request.reason or ''}"
    changes = {
        "action": Action.BUILD,
        "publish_image_id": None,
        "force": True,
        "reason": reason[:_LONGEST_REASON].rstrip("; "),
    }
    return request.model_copy(update=changes)


def _refuse_small_volume(image: Image, settings: EnvironmentSettings) -> None:
    if image.root_volume_gib is not None and image.root_volume_gib > settings.builder.root_volume_gib:
        raise SettingsError(
            f"builder.root_volume_gib is {settings.builder.root_volume_gib}, but {image.image_id} has a root "
            f"volume of {image.root_volume_gib} GiB; raise it, or ask for a fresh build"
        )


def _refuse(problems: Sequence[Problem]) -> None:
    """Refuse the first problem; its error says all of them, so that one correction is enough."""
    if problems:
        raise problems[0].error("; also: ".join(map(str, problems)))


def _nothing(environment: str, trigger: Trigger, reason: str) -> BuildState:
    plan = BuildPlan(action=Action.NONE, trigger=trigger, environment=environment, reasons=(reason,))
    return BuildState(plan=plan)
