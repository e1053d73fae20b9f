"""Asserting that AWS refuses a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


class Refusal:
    """The error that a call gave."""

    code = ""
    message = ""
    status = 0


@contextmanager
def refused(code: str) -> Iterator[Refusal]:
    """Expect a call to be refused with an error code."""
    refusal = Refusal()
    with pytest.raises(ClientError) as caught:
        yield refusal
    error = caught.value.response
    refusal.code, refusal.message = error["Error"]["Code"], error["Error"].get("Message", "")
    refusal.status = error["ResponseMetadata"]["HTTPStatusCode"]
    assert refusal.code == code, str(caught.value)
