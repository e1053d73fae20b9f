"""How a function begins and ends: the contract in, the contract out, errors by their own names."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from logging import StreamHandler
from typing import Any

import pytest

from ami_lifecycle.domain.execution import ImageRef, StepInput
from ami_lifecycle.entry import environment, lambda_handler, logger, parsed_by
from ami_lifecycle.errors import InvalidRequestError, ThrottledError
from ami_lifecycle.steps.clean_up_build import CleanUpInput

ARN = "arn:aws:states:us-east-1:123456789012:execution:build-image:e1"


class Context:
    """What Lambda hands to a handler."""

    aws_request_id = "request-1"

    def __init__(self, milliseconds: int = 60_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture(autouse=True)
def log() -> Iterator[StringIO]:
    """What the function's logger writes."""
    written = StringIO()
    handler = logger.registered_handler
    assert isinstance(handler, StreamHandler)
    before = handler.setStream(written)
    yield written
    logger.clear_state()
    if before is not None:
        handler.setStream(before)


def an_event(**changes: Any) -> dict[str, Any]:
    return {"execution_arn": ARN, "state_machine_arn": "arn:machine"} | changes


def logged(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_handler_parses_calls_and_dumps() -> None:
    @lambda_handler(parsed_by(CleanUpInput))
    def handler(step: CleanUpInput, deadline: datetime) -> ImageRef:
        assert step.execution_arn == ARN
        return ImageRef(image_id="ami-0123456789abcdef0")

    assert handler(an_event(), Context()) == {"image_id": "ami-0123456789abcdef0"}


def test_a_step_that_returns_nothing_answers_nothing() -> None:
    @lambda_handler(parsed_by(CleanUpInput))
    def handler(step: CleanUpInput, deadline: datetime) -> None:
        """Do nothing."""

    assert handler(an_event(), Context()) is None


def test_the_deadline_is_when_lambda_ends_the_invocation() -> None:
    deadlines = []

    @lambda_handler(parsed_by(CleanUpInput))
    def handler(step: CleanUpInput, deadline: datetime) -> None:
        deadlines.append(deadline)

    before = datetime.now(UTC)
    handler(an_event(), Context(30_000))
    after = datetime.now(UTC)
    assert before + timedelta(seconds=30) <= deadlines[0] <= after + timedelta(seconds=30)


@pytest.mark.parametrize("event", [None, 5, "text", [], {}, {"execution_arn": 5}, an_event(colour="blue")])
def test_an_event_of_another_shape_is_refused_by_contract_and_field(event: object) -> None:
    @lambda_handler(parsed_by(CleanUpInput))
    def handler(step: CleanUpInput, deadline: datetime) -> None:
        raise AssertionError("a wrong event must not reach the step")

    with pytest.raises(InvalidRequestError, match=r"not a CleanUpInput: .*events/ has a valid one"):
        handler(event, Context())


@pytest.mark.parametrize("error", [ThrottledError("slower"), RuntimeError("a defect")])
def test_an_error_goes_on_to_step_functions_as_it_is(error: Exception, log: StringIO) -> None:
    @lambda_handler(parsed_by(CleanUpInput))
    def handler(step: CleanUpInput, deadline: datetime) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        handler(an_event(), Context())
    assert raised.value is error
    (line,) = logged(log)
    assert line["level"] == ("WARNING" if isinstance(error, ThrottledError) else "ERROR")
    assert line["execution_arn"] == ARN
    assert line["request_id"] == "request-1"


@pytest.mark.parametrize(
    ("event", "arn", "name"),
    [
        ({"execution_arn": ARN, "plan": {"environment": "prod"}}, ARN, "prod"),
        ({"execution_arn": ARN}, ARN, None),
        ({"detail": {"executionArn": ARN}}, ARN, None),
        ({"detail": "text", "plan": "text"}, None, None),
        ([1], None, None),
    ],
)
def test_what_is_logged_leads_to_the_execution(
    event: object, arn: str | None, name: str | None, log: StringIO
) -> None:
    @lambda_handler(lambda raw: raw)
    def handler(step: object, deadline: datetime) -> None:
        """Do nothing."""

    handler(event, Context())
    (line,) = logged(log)
    assert (line.get("execution_arn"), line.get("environment")) == (arn, name)


def test_ids_of_one_invocation_are_not_logged_with_the_next(log: StringIO) -> None:
    @lambda_handler(lambda raw: raw)
    def handler(step: object, deadline: datetime) -> None:
        """Do nothing."""

    handler({"execution_arn": ARN, "plan": {"environment": "prod"}}, Context())
    handler({}, Context())
    second = logged(log)[1]
    assert (second.get("execution_arn"), second.get("environment")) == (None, None)


def test_the_environment_is_read_when_asked_for_and_not_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "one")
    assert environment().TABLE_NAME == "one"
    monkeypatch.setenv("TABLE_NAME", "two")
    assert environment().TABLE_NAME == "two"


def test_a_plan_in_an_event_is_parsed_with_its_fields_named() -> None:
    event = {"plan": {"action": "build"}, "execution_arn": ARN}
    with pytest.raises(InvalidRequestError, match=r"plan\.environment: Field required"):
        parsed_by(StepInput)(event)


@pytest.mark.parametrize("name", ["boto3", "botocore.endpoint", "botocore.auth", "urllib3.connectionpool"])
def test_the_sdk_does_not_log_signed_requests_whatever_the_root_logger_logs(name: str) -> None:
    """At DEBUG botocore logs headers, and with them the session token."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
    finally:
        root.setLevel(before)


def test_a_failure_that_nobody_explained_is_cleaned_up() -> None:
    """SendTaskFailure without error and cause: Catch gets nulls (recorded on AWS)."""
    step = CleanUpInput.model_validate(
        {"execution_arn": ARN, "state_machine_arn": ARN, "error": None, "cause": None}
    )
    assert (step.error, step.cause) == ("", "")
