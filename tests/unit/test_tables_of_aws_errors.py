"""Three distributions translate AWS errors, each into its own tree; they agree on what a code means."""

from __future__ import annotations

import pytest

import ami_lifecycle_client as client
from ami_lifecycle.adapters.translation import RULES
from ami_lifecycle.errors import AccessDeniedError, ThrottledError
from parameter_config import aws_errors

# Every service may answer these (AWS general reference, Common errors; SSM API reference, Errors of GetParameters).
THROTTLES = aws_errors.THROTTLES | client.THROTTLES
CREDENTIALS = aws_errors.CREDENTIALS | client.NOT_ACCEPTED
DENIALS = aws_errors.ACCESS_DENIED | client.DENIED


def test_client_and_configuration_library_know_the_same_codes() -> None:
    assert client.THROTTLES == aws_errors.THROTTLES
    assert client.NOT_ACCEPTED == aws_errors.CREDENTIALS
    assert client.DENIED >= aws_errors.ACCESS_DENIED


@pytest.mark.parametrize("code", sorted(THROTTLES))
def test_the_functions_retry_what_the_others_call_throttling(code: str) -> None:
    assert RULES[code].error is ThrottledError


@pytest.mark.parametrize("code", sorted(CREDENTIALS | DENIALS))
def test_what_the_others_call_refused_is_refused_for_the_functions(code: str) -> None:
    assert RULES[code].error is AccessDeniedError
