"""Whose fault a failed build is: only an image's own failures are a reason to give its digest up."""

from __future__ import annotations

import pytest

from ami_lifecycle.domain.failure_causes import is_image_failure, is_interruption


@pytest.mark.parametrize("error", ["ProvisioningFailedError", "VerificationFailedError"])
def test_a_failed_installation_or_verification_is_the_images_fault(error: str) -> None:
    assert is_image_failure(error)


@pytest.mark.parametrize(
    "error",
    ["CapacityError", "States.Timeout", "ExecutionAborted", "AgentNotOnlineError", "SettingsError", ""],
)
def test_a_shortage_an_outage_and_a_stop_say_nothing_of_the_image(error: str) -> None:
    assert not is_image_failure(error)


@pytest.mark.parametrize(
    ("exit_code", "interrupted"),
    [
        (11, True),
        (13, True),
        (15, True),
        (16, True),
        (18, True),
        (22, True),
        (23, True),
        (0, False),
        (1, False),
        (12, False),
        (14, False),
        (17, False),
        (None, False),
    ],
)
def test_a_document_is_kept_from_its_work_by_what_lies_outside_of_the_image(
    exit_code: int | None, interrupted: bool
) -> None:
    assert is_interruption(exit_code) is interrupted
