"""Delivery of events to targets: retries, and the dead-letter queue (EventBridge User Guide)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aws_emulator.api.operations import ApiError
from aws_emulator.clock import Clock
from aws_emulator.gateway.api import Api

LOGGER: Final = logging.getLogger(__name__)
NO_PERMISSIONS: Final = "NO_PERMISSIONS"
# Retryable errors; others go to the dead-letter queue at once.
_TRANSIENT: Final = frozenset(
    {
        "EmulatorInternalError",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "RequestLimitExceeded",
        "SdkClientException",
        "ServiceException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_ERROR_CODES: Final = {
    "INVALID_JSON": "INVALID_JSON",
    "AccessDenied": NO_PERMISSIONS,
    "AccessDeniedException": NO_PERMISSIONS,
    "ExecutionAlreadyExists": "RESOURCE_ALREADY_EXISTS",
    "NotFound": "NO_RESOURCE",
    "ResourceNotFoundException": "NO_RESOURCE",
    "StateMachineDoesNotExist": "NO_RESOURCE",
    "AWS.SimpleQueueService.NonExistentQueue": "NO_RESOURCE",
}
_MOST_BACKOFF_SECONDS: Final = 300.0
_INTERNAL: Final = "emulator"


@dataclass(frozen=True)
class TargetInvocation:
    """One event on its way to one target.

    Attributes:
        source_arn: the rule or schedule.
        caller: who calls the target, for the call log.
        body: the target's input as JSON text.
    """

    target_arn: str
    body: str
    source_arn: str
    caller: str
    execution_name: str = field(default_factory=lambda: str(uuid.uuid4()))
    dead_letter_arn: str | None = None
    maximum_attempts: int = 185
    maximum_age_seconds: float = 86_400
    message_group: str | None = None


def retry_policy(target: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a TargetInvocation that a target's RetryPolicy and DeadLetterConfig give."""
    policy = target.get("RetryPolicy") or {}
    return {
        "maximum_attempts": policy.get("MaximumRetryAttempts", 185),
        "maximum_age_seconds": policy.get("MaximumEventAgeInSeconds", 86_400),
        "dead_letter_arn": (target.get("DeadLetterConfig") or {}).get("Arn"),
    }


class Delivery:
    """Delivers target invocations on background threads.

    Args:
        permits: whether (function or queue ARN, service principal, source ARN) is allowed by the policy of
            the function or queue.
    """

    def __init__(self, clock: Clock, api: Api, permits: Callable[[str, str, str], bool]) -> None:
        self._clock = clock
        self._api = api
        self._permits = permits
        self._threads = clock.workers("emulator-delivery", 8)

    def close(self) -> None:
        """Drop pending deliveries."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def invoke(self, invocation: TargetInvocation, principal: str | None = None) -> None:
        """Deliver, with retries; returns at once.

        Args:
            invocation: what and whereto.
            principal: the service whose right to invoke a function its policy must grant; None when
                the caller's role grants it.
        """
        self._submit(invocation, principal, 1, self._clock.elapsed())

    def refuse(self, invocation: TargetInvocation, principal: str | None, error: ApiError) -> None:
        """Send an undeliverable event to the dead-letter queue; returns at once."""
        try:
            self._threads.submit(self._send_to_dead_letter_queue, invocation, principal, error, 1, "")
        except RuntimeError:
            LOGGER.debug("the emulator stops; %s gets no event", invocation.target_arn)

    def send(self, caller: str, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send to a queue, topic or function as a caller, once; failures are logged."""
        try:
            self._deliver(
                TargetInvocation(target_arn=arn, body=body, source_arn="", caller=caller), attributes
            )
        except ApiError as error:
            LOGGER.warning("nothing was sent to %s: %s", arn, error)

    def _submit(
        self, invocation: TargetInvocation, principal: str | None, attempt: int, begun: float
    ) -> None:
        try:
            self._threads.submit(self._attempt, invocation, principal, attempt, begun)
        except RuntimeError:
            LOGGER.debug("the emulator stops; %s gets no event", invocation.target_arn)

    def _attempt(
        self, invocation: TargetInvocation, principal: str | None, attempt: int, begun: float
    ) -> None:
        try:
            self._check_permission(invocation, principal)
            self._deliver(invocation, {})
        except ApiError as error:
            delay = min(2.0 ** (attempt - 1), _MOST_BACKOFF_SECONDS)
            late = self._clock.elapsed() + delay - begun > invocation.maximum_age_seconds
            if error.code in _TRANSIENT and attempt <= invocation.maximum_attempts and not late:
                self._clock.call_later(delay, lambda: self._submit(invocation, principal, attempt + 1, begun))
                return
            exhausted = "MaximumEventAgeInSeconds" if late else "MaximumRetryAttempts"
            self._send_to_dead_letter_queue(invocation, principal, error, attempt, exhausted)
        except Exception:
            LOGGER.exception("delivery to %s failed inside the emulator", invocation.target_arn)

    def _check_permission(self, invocation: TargetInvocation, principal: str | None) -> None:
        """Functions and queues admit a rule by their own policies (EventBridge user guide, Resource-based policies)."""
        arn = invocation.target_arn
        if principal is None or not (":function:" in arn or arn.startswith("arn:aws:sqs:")):
            return
        if not self._permits(arn, principal, invocation.source_arn):
            raise ApiError("AccessDeniedException", f"{principal} may not use {arn}", 403)

    def _deliver(self, invocation: TargetInvocation, attributes: Mapping[str, str]) -> None:
        arn, service = invocation.target_arn, invocation.target_arn.split(":")[2]
        values = {key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()}
        parameters: dict[str, Any]
        match service:
            case "states":
                parameters = {
                    "stateMachineArn": arn,
                    "name": invocation.execution_name,
                    "input": invocation.body,
                }
                call = ("stepfunctions", "StartExecution")
            case "lambda":
                call = ("lambda", "Invoke")
                parameters = {
                    "FunctionName": arn,
                    "InvocationType": "Event",
                    "Payload": invocation.body.encode(),
                }
            case "sns":
                call = ("sns", "Publish")
                parameters = {"TopicArn": arn, "Message": invocation.body, "MessageAttributes": values}
            case "sqs":
                call = ("sqs", "SendMessage")
                queue = self._queue_url(arn)
                parameters = {"QueueUrl": queue, "MessageBody": invocation.body, "MessageAttributes": values}
                if invocation.message_group:
                    parameters["MessageGroupId"] = invocation.message_group
            case _:
                raise ApiError("EmulatorUnsupportedOperation", f"the emulator cannot deliver to {arn}", 501)
        self._api.call(invocation.caller, *call, parameters)

    def _queue_url(self, arn: str) -> str:
        # AWS needs no such call: the services know the queue by its ARN.
        response = self._api.call(_INTERNAL, "sqs", "GetQueueUrl", {"QueueName": arn.rsplit(":", 1)[1]})
        return str(response["QueueUrl"])

    def _send_to_dead_letter_queue(
        self,
        invocation: TargetInvocation,
        principal: str | None,
        error: ApiError,
        attempt: int,
        exhausted: str,
    ) -> None:
        """Send to the dead-letter queue: a rule by the queue's policy, a schedule by its role."""
        LOGGER.warning("%s did not reach %s: %s", invocation.source_arn, invocation.target_arn, error)
        if invocation.dead_letter_arn is None:
            return
        attributes = {
            "RULE_ARN": invocation.source_arn,
            "TARGET_ARN": invocation.target_arn,
            "ERROR_CODE": _ERROR_CODES.get(error.code, "SDK_CLIENT_ERROR"),
            "ERROR_MESSAGE": error.message or error.code,
        }
        # What is not tried again has neither (recorded in radkawar/stackd, eventbridge/inputs.json).
        if error.code in _TRANSIENT:
            attributes |= {"RETRY_ATTEMPTS": str(attempt - 1), "EXHAUSTED_RETRY_CONDITION": exhausted}
        letter = replace(invocation, target_arn=invocation.dead_letter_arn, dead_letter_arn=None)
        try:
            self._check_permission(letter, principal)
            self._deliver(letter, attributes)
        except ApiError as failure:
            LOGGER.warning("the dead-letter queue %s: %s", invocation.dead_letter_arn, failure)
