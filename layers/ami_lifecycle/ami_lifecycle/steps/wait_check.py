"""One check of the resource that a task waits for; made by the task itself and by the event that resumes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ami_lifecycle.domain.command import CommandFacts, CommandStatus
from ami_lifecycle.domain.execution import Wait, WaitKind
from ami_lifecycle.domain.failure_causes import is_interruption
from ami_lifecycle.domain.model import Frozen, ImageState, InstanceState
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.errors import (
    BuildError,
    CommandUndeliveredError,
    DocumentInterruptedError,
    ImageCreationFailedError,
    ProvisioningFailedError,
    VerificationFailedError,
)
from ami_lifecycle.ports import Commands, Images, Instances
from ami_lifecycle.steps.lookups import require_alive

_FAILED_IMAGE_STATES: Final = frozenset({ImageState.FAILED, ImageState.ERROR, ImageState.INVALID})


class WaitState(Frozen):
    """The result of a check: still pending, or done with the task's output."""

    is_done: bool
    output: Mapping[str, Any] = {}


PENDING: Final = WaitState(is_done=False)


@dataclass(frozen=True)
class WaitCheck:
    """Checks resources that tasks wait for."""

    instances: Instances
    images: Images
    commands: Commands

    def check(self, wait: Wait) -> WaitState:
        """Check a resource once.

        Raises:
            BuildError: one of its subclasses, when the awaited state can no longer be reached.
        """
        match wait.kind:
            case WaitKind.AGENT:
                return self._check_agent(wait)
            case WaitKind.STOPPED:
                return self._check_stop(wait)
            case WaitKind.IMAGE:
                return self._check_image(wait)
            case WaitKind.PROVISIONING | WaitKind.VERIFICATION:
                return self._check_command(wait)

    def _check_agent(self, wait: Wait) -> WaitState:
        if self.commands.agent_version(wait.resource_id) is not None:
            return WaitState(is_done=True)
        require_alive(wait.resource_id, self.instances)
        return PENDING

    def _check_stop(self, wait: Wait) -> WaitState:
        instance = self.instances.get(wait.resource_id)
        if instance is None:
            return PENDING
        require_alive(wait.resource_id, self.instances)
        return WaitState(is_done=True) if instance.state is InstanceState.STOPPED else PENDING

    def _check_image(self, wait: Wait) -> WaitState:
        image = self.images.get(wait.resource_id)
        if image is None:
            # One that does not show yet will; nothing else would end the wait for one that is gone.
            if self.images.is_deregistered(wait.resource_id):
                raise ImageCreationFailedError(
                    f"image {wait.resource_id} was deregistered while the build waited for it. Find out who did in "
                    "CloudTrail, and build again"
                )
            return PENDING
        if image.state in _FAILED_IMAGE_STATES:
            raise ImageCreationFailedError(
                f"image {wait.resource_id} is {image.state.value}"
                f"{': ' + image.state_reason if image.state_reason else ''}. Look at the snapshot's state and the "
                "quotas of EBS, and build again"
            )
        return WaitState(is_done=True) if image.state is ImageState.AVAILABLE else PENDING

    def _check_command(self, wait: Wait) -> WaitState:
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
            error = DocumentInterruptedError if is_interruption(result.exit_code) else error
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
        return WaitState(is_done=True, output=facts.model_dump(mode="json", exclude_none=True))


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


def _first_words(text: str) -> str:
    # Long enough for the sentence and the part of the application's log that VerifyImage prints
    # (documents/verify_image.sh).
    return text.strip()[:2400]
