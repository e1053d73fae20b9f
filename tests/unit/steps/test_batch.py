"""Several things, one after the other: what becomes of each, and what is told."""

from __future__ import annotations

import logging

import pytest

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.errors import AccessDeniedError, ClaimLostError, ThrottledError
from ami_lifecycle.steps.batch import BatchResult, blocked_by, process_each, raise_transient


def act(item: object) -> str:
    if isinstance(item, Exception):
        raise item
    return f"did {item}"


def name_of(item: object) -> str:
    return f"thing {item}"


def test_each_thing_ends_where_it_belongs(caplog: pytest.LogCaptureFixture) -> None:
    slow, unknown = ThrottledError("slower"), KeyError("Whatever")
    found = process_each(["a", AccessDeniedError("no. Ask."), slow, unknown, "b"], name_of, act)
    assert found.done == ["did a", "did b"]
    assert found.transient == [slow]
    assert found.blocked == [
        Blocked(resource="thing no. Ask.", error="AccessDeniedError", reason="no. Ask."),
        Blocked(
            resource="thing 'Whatever'",
            error="KeyError",
            reason="'Whatever'. AWS answers with what this service does not know: look the error up, and put right "
            "what it names; it is tried again later.",
        ),
    ]
    (record,) = caplog.records
    assert record.getMessage() == "thing 'Whatever': an error that this service does not name"
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


def test_the_words_of_an_unknown_error_end_with_one_full_stop() -> None:
    assert blocked_by(RuntimeError("No X. "), "x").reason.startswith("No X. AWS answers with")


def test_a_claim_that_is_lost_ends_the_rest() -> None:
    done: list[object] = []
    with pytest.raises(ClaimLostError):
        process_each([1, ClaimLostError("gone"), 2], name_of, lambda item: done.append(act(item)))
    assert done == ["did 1"]


def test_the_first_that_failed_for_now_is_raised() -> None:
    first, second = ThrottledError("1"), ThrottledError("2")
    several = (
        BatchResult[str](),
        BatchResult[str](transient=[first, second]),
        BatchResult[str](transient=[second]),
    )
    with pytest.raises(ThrottledError) as raised:
        raise_transient(*several)
    assert raised.value is first
    raise_transient(BatchResult[str](), BatchResult[str]())
