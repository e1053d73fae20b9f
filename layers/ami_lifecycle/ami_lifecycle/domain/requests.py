"""Parsing of an execution's input: an event of ECR or CloudWatch, or a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from ami_lifecycle.domain.events import AlarmDetail, Event, PushDetail
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.texts import CONTROL
from ami_lifecycle.errors import InvalidRequestError

# Source and detail type (CloudWatch user guide, Alarm events and EventBridge).
ALARM_EVENT: Final = ("aws.cloudwatch", "CloudWatch Alarm State Change")
# Free texts of a request that metadata keeps.
_LONGEST: Final = {
    "branch": 200,
    "commit_sha": 64,
    "workflow_run_id": 200,
    "reason": 200,
    "requested_by": 200,
}


class Push(Frozen):
    """A change in the repository. `tag` is None for a push by digest, which no tag follows."""

    repository: str
    digest: str | None
    tag: str | None
    is_push: bool


def explain(error: ValidationError) -> str:
    """The fields that pydantic refuses, each with its value and why, on one line."""
    problems = []
    for problem in error.errors(include_url=False):
        field = ".".join(str(part) for part in problem["loc"]) or "input"
        # Messages of our own validators contain the value.
        says_it = problem["type"] in {"missing", "value_error"}
        shown = "" if says_it else f" (got {problem['input']!r:.120})"
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{field}: {message}{shown}{_way_to_write(problem['type'], problem['input'])}")
    return "; ".join(problems)


def _way_to_write(kind: str, value: Any) -> str:
    """How to write a string or a boolean in JSON, where a value of another type was given."""
    if kind == "string_type" and isinstance(value, bool | int):
        return f", write {json.dumps(json.dumps(value))} with the quotes"
    if kind == "string_type" and isinstance(value, float):
        return ", write it in quotes, as it was before JSON took it for a number"
    return ", write true or false without quotes" if kind == "bool_type" else ""


def parse_request(raw: Any) -> Push | AlarmDetail | BuildRequest:
    """Parse the input of an execution.

    Raises:
        InvalidRequestError: for anything else, naming field, value and remedy.
    """
    if not isinstance(raw, Mapping):
        raise InvalidRequestError(
            f"the input is {type(raw).__name__}, not a JSON object; "
            'start the execution with an "ECR Image Action" event or with {"environment": "prod"}'
        )
    if "detail-type" in raw or "detail" in raw:
        return _parse_event(raw)
    return make_request(
        raw, 'the least that it needs is {"environment": "prod"}, and docs/runbook.md lists all fields'
    )


def make_request(fields: Mapping[str, Any], advice: str) -> BuildRequest:
    """Build a request from user input.

    Raises:
        InvalidRequestError: naming field and value, with the advice behind.
    """
    try:
        request = BuildRequest.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequestError(f"the request is not valid: {explain(error)}", hint=advice) from error
    # Checked here and not in the model: queued and running requests were accepted by earlier rules.
    problems = [problem for name in _LONGEST if (problem := _text_problem(name, getattr(request, name)))]
    if problems:
        raise InvalidRequestError(f"the request is not valid: {'; '.join(problems)}")
    return request


def words_for_a_request(field: str, text: str | None) -> str | None:
    """A record's text if it is valid in a request: labels of images may hold any text."""
    if text is None or len(text) > _LONGEST[field] or _text_problem(field, text):
        return None
    return text


def _text_problem(field: str, text: str | None) -> str | None:
    if text is None:
        return None
    if "{{" in text:
        return (
            f"{field} is {text!r:.120}, a template that nobody has filled in; give its value, or leave it out"
        )
    if CONTROL.search(text):
        return f"{field} is {text!r:.120}, which has line breaks or other control characters; leave them out"
    return None


def _parse_event(raw: Mapping[str, Any]) -> Push | AlarmDetail:
    what, example = "ECR image", "ecr_push"
    try:
        event = Event.model_validate(raw)
        if (event.source, event.detail_type) == ALARM_EVENT:
            what, example = "alarm", "alarm_raised"
            return AlarmDetail.model_validate(event.detail)
        if (event.source, event.detail_type) != ("aws.ecr", "ECR Image Action"):
            raise InvalidRequestError(
                f"the event is {event.detail_type!r} of {event.source!r}; only 'ECR Image Action' of 'aws.ecr' starts "
                "a build, and 'CloudWatch Alarm State Change' of 'aws.cloudwatch' a rollback, so correct the rule's "
                "pattern"
            )
        detail = PushDetail.model_validate(event.detail)
    except ValidationError as error:
        raise InvalidRequestError(
            f"the event is not an {what} event: {explain(error)}; compare it with events/{example}.json"
        ) from error
    return Push(
        repository=detail.repository_name,
        digest=detail.image_digest or None,
        tag=detail.image_tag or None,
        is_push=detail.action_type == "PUSH" and detail.result == "SUCCESS",
    )
