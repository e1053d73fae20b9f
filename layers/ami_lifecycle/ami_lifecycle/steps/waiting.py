"""Await ... and resume: a task waits for an event, and looks for itself when none comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from ami_lifecycle.domain.attempts import is_an_interruption
from ami_lifecycle.domain.command import CommandFacts, CommandStatus
from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import Wait, WaitKind
from ami_lifecycle.domain.model import Frozen, ImageState, InstanceState
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.errors import (
    AgentNotOnlineError,
    BuildError,
    CommandUndeliveredError,
    DocumentInterruptedError,
    ImageCreationFailedError,
    InvalidRequestError,
    ProvisioningFailedError,
    ResourceNotVisibleError,
    VerificationFailedError,
)
from ami_lifecycle.ports import Clock, Commands, Executions, Images, Instances, StoredWait, Waits
from ami_lifecycle.steps.observing import require_alive

# Longer than the longest wait, an image's; DynamoDB deletes the item some time after.
_KEEP_WAITS_FOR: Final = timedelta(days=3)
_FAILED_IMAGE_STATES: Final = frozenset(
    {ImageState.FAILED, ImageState.ERROR, ImageState.INVALID, ImageState.DEREGISTERED}
)
_EVENT_RESOURCE: Final = {
    "EC2 AMI State Change": "ImageId",
    "EC2 Instance State-change Notification": "instance-id",
    "EC2 Command Invocation Status-change Notification": "command-id",
}


class AwaitInput(Frozen):
    """Input of `await_resource`; without a token the function answers or raises at once."""

    wait: Wait
    execution_arn: str
    task_token: str | None = None


class Resumed(Frozen):
    """Output of `resume_build`: what a completion event led to.

    Attributes:
        kind: what the task waited for, where one did.
        waited_seconds: since the task began to wait for it.
    """

    resource_id: str
    resumed: bool
    reason: str
    kind: WaitKind | None = None
    waited_seconds: float | None = None


class Seen(Frozen):
    """What one look saw: still pending, or done with the task's output."""

    is_done: bool
    output: Mapping[str, Any] = {}


PENDING: Final = Seen(is_done=False)


@dataclass(frozen=True)
class Watcher:
    """Looks at resources, and completes the tasks that wait for them."""

    instances: Instances
    images: Images
    commands: Commands
    waits: Waits
    executions: Executions
    clock: Clock

    def await_resource(self, step: AwaitInput) -> Seen:
        """Look once. With a task token, store it first, so that no event falls between.

        Raises:
            AgentNotOnlineError: there is no token to wait with, and it is not done.
            BuildError: in its kinds, when it can never be done.
        """
        if step.task_token is None:
            seen = self.look(step.wait)
            if not seen.is_done:
                raise AgentNotOnlineError(
                    f"the SSM agent of {step.wait.resource_id} is not online yet. If it never is: check the subnet's "
                    "route to ssm, ssmmessages and ec2messages, and the instance profile"
                )
            return seen
        stored = StoredWait(
            resource_id=step.wait.resource_id,
            token=step.task_token,
            wait=step.wait.model_dump(mode="json"),
            execution_arn=step.execution_arn,
            since=self.clock.now(),
        )
        self.waits.put(stored, stored.since + _KEEP_WAITS_FOR)
        seen = self.look(step.wait)
        if seen.is_done:
            self.executions.send_success(step.task_token, seen.output)
            self.waits.delete(stored.resource_id, stored.token)
        return seen

    def resume(self, event: Event) -> Resumed:
        """Complete the task that waits for an event's resource, if one does.

        Raises:
            InvalidRequestError: not a completion event.
            ResourceNotVisibleError: the event says that it is over, and EC2 or SSM do not show it yet.
        """
        resource_id = _resource_of(event)
        stored = self.waits.get(resource_id)
        if stored is None:
            return Resumed(resource_id=resource_id, resumed=False, reason="nothing waits for it")
        wait = Wait.model_validate(stored.wait)
        try:
            _refuse_deregistered(event)
            seen = self.look(wait)
        except BuildError as error:
            told = self.executions.send_failure(stored.token, type(error).__name__, str(error))
        else:
            if not seen.is_done:
                raise ResourceNotVisibleError(
                    f"an event says that {resource_id} is done, and it does not show yet; "
                    "the event is handled again, and the task looks by itself"
                )
            told = self.executions.send_success(stored.token, seen.output)
        self.waits.delete(resource_id, stored.token)
        reason = "the task goes on" if told else "the task had stopped waiting"
        waited = (self.clock.now() - stored.since).total_seconds()
        return Resumed(
            resource_id=resource_id, resumed=told, reason=reason, kind=wait.kind, waited_seconds=waited
        )

    def look(self, wait: Wait) -> Seen:
        """Look at a resource once."""
        match wait.kind:
            case WaitKind.AGENT:
                return self._look_at_agent(wait)
            case WaitKind.STOPPED:
                return self._look_at_stop(wait)
            case WaitKind.IMAGE:
                return self._look_at_image(wait)
            case WaitKind.PROVISIONING | WaitKind.VERIFICATION:
                return self._look_at_command(wait)

    def _look_at_agent(self, wait: Wait) -> Seen:
        if self.commands.agent_version(wait.resource_id) is not None:
            return Seen(is_done=True)
        require_alive(wait.resource_id, self.instances)
        return PENDING

    def _look_at_stop(self, wait: Wait) -> Seen:
        instance = self.instances.get(wait.resource_id)
        if instance is None:
            return PENDING
        require_alive(wait.resource_id, self.instances)
        return Seen(is_done=True) if instance.state is InstanceState.STOPPED else PENDING

    def _look_at_image(self, wait: Wait) -> Seen:
        image = self.images.get(wait.resource_id)
        if image is None:
            return PENDING
        if image.state in _FAILED_IMAGE_STATES:
            raise ImageCreationFailedError(
                f"image {wait.resource_id} is {image.state.value}"
                f"{': ' + image.state_reason if image.state_reason else ''}. Look at the snapshot's state and the "
                "quotas of EBS, and build again"
            )
        return Seen(is_done=True) if image.state is ImageState.AVAILABLE else PENDING

    def _look_at_command(self, wait: Wait) -> Seen:
        instance_id = wait.instance_id or ""
        result = self.commands.result(wait.resource_id, instance_id)
        if result is None or result.status is CommandStatus.RUNNING:
            require_alive(instance_id, self.instances)
            return PENDING
        provisioning = wait.kind is WaitKind.PROVISIONING
        error: type[BuildError] = ProvisioningFailedError if provisioning else VerificationFailedError
        document = "provisioning" if provisioning else "verification"
        if result.status is CommandStatus.UNDELIVERED:
            require_alive(instance_id, self.instances)
            raise CommandUndeliveredError(
                f"the {document} command {wait.resource_id} never began on {instance_id} ({result.status_details}); "
                "it is sent again"
            )
        if result.status is not CommandStatus.SUCCESS:
            error = DocumentInterruptedError if is_an_interruption(result.exit_code) else error
            raise error(
                f"the {document} command {wait.resource_id} on {instance_id} is "
                f"{result.status_details or result.status}"
                f"{'' if result.exit_code is None else f' (exit code {result.exit_code})'}: "
                f"{_first_words(result.stderr) or 'it wrote nothing to standard error'}. "
                "Correct what it says and push again; the whole output is in the command log group"
            )
        try:
            facts = parse_facts(result.stdout)
        except ValueError as problem:
            raise error(
                f"the {document} command {wait.resource_id} on {instance_id} succeeded without saying what it did: "
                f"{problem}. The document and the functions are of different versions; deploy the stack again"
            ) from problem
        return Seen(is_done=True, output=facts.model_dump(mode="json", exclude_none=True))


def parse_facts(stdout: str) -> CommandFacts:
    """Parse the last line of a document's output.

    Raises:
        ValueError: it is not a line of facts.
    """
    lines = stdout.strip().splitlines()
    if not lines:
        raise ValueError("the output is empty")
    try:
        return CommandFacts.model_validate(json.loads(lines[-1]))
    except ValidationError as error:
        raise ValueError(explain(error)) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the last line is not JSON ({error})") from error


def _resource_of(event: Event) -> str:
    key = _EVENT_RESOURCE.get(event.detail_type)
    resource_id = event.detail.get(key) if key else None
    if not isinstance(resource_id, str) or not resource_id:
        raise InvalidRequestError(
            f"an event of type {event.detail_type!r} with no resource that a task waits for; "
            "correct the pattern of the rule"
        )
    return resource_id


def _refuse_deregistered(event: Event) -> None:
    # EC2 no longer shows such an image, so only its event tells it from one that is not shown yet.
    if event.detail.get("State") == ImageState.DEREGISTERED:
        raise ImageCreationFailedError(
            f"image {event.detail.get('ImageId')} was deregistered while the build waited for it. Find out who did "
            "in CloudTrail, and build again"
        )


def _first_words(text: str) -> str:
    # The sentence, and all that VerifyImage shows of the application's log (documents/verify_image.sh).
    return text.strip()[:2400]
