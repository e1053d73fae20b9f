"""What the function of approvals refuses, as the commands tell it."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.samples import an_answer

from ami_lifecycle.domain.approval import Subject
from ami_lifecycle.errors import AmiLifecycleError, ApprovalDecidedError, ServiceUnavailableError
from ami_lifecycle_cli.stack.approvals import decide

REJECTED = an_answer(Subject(environment="prod", release="arn:release"), reason="too old; and too large").text


@pytest.mark.parametrize(
    ("kind", "text", "expected", "message", "hint"),
    [
        (
            "ApprovalDecidedError",
            f"{REJECTED}; a decision is final, so ask again",
            ApprovalDecidedError,
            REJECTED,
            "a decision is final, so ask again",
        ),
        ("Sandbox.Timedout", "Task timed out", ServiceUnavailableError, "Task timed out", None),
    ],
)
def test_what_to_do_is_told_apart_from_the_reason_that_somebody_gave(
    kind: str, text: str, expected: type[AmiLifecycleError], message: str, hint: str | None
) -> None:
    payload = json.dumps({"errorType": kind, "errorMessage": text}).encode()
    answer = {"FunctionError": "Unhandled", "Payload": io.BytesIO(payload)}
    client = SimpleNamespace(invoke=lambda **_: answer)
    stack: Any = SimpleNamespace(output=lambda _: "decide", client=lambda _: client)
    with pytest.raises(expected) as told:
        decide(stack, "prod-1", "approve", "ann", None)
    assert str(told.value).startswith(message)
    assert told.value.hint == hint
