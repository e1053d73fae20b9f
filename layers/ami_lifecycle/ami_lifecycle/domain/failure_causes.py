"""Whose fault a failed build is: only an image's own failures are a reason to give its digest up."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.errors import ProvisioningFailedError, VerificationFailedError

# A shortage, a refusal, an outage, a lost instance and wrong settings say nothing of the image: each is over some
# time, and the digest is built then.
_FAULTS_OF_THE_IMAGE: Final = frozenset(
    error.__name__ for error in (ProvisioningFailedError, VerificationFailedError)
)
# documents/README.md, Failures: another run has the lock, Ubuntu's archive, the registry refuses or is out of reach,
# Docker's daemon, S3 refuses the layers, the registry throttles.
_INTERRUPTIONS: Final = frozenset({11, 13, 15, 16, 18, 22, 23})


def is_interruption(exit_code: int | None) -> bool:
    """Whether a document that ended with this code was kept from its work by what lies outside of the image."""
    return exit_code in _INTERRUPTIONS


def is_image_failure(error: str) -> bool:
    """Whether an execution that ended with this error would end with it again, whatever the account is like."""
    return error in _FAULTS_OF_THE_IMAGE
