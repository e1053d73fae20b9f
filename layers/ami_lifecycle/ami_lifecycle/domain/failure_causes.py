"""Causes of failed builds: only failures of the Docker image itself are a reason to stop building its digest."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.errors import ProvisioningFailedError, VerificationFailedError

# Lack of capacity, refusals, outages, lost instances and wrong settings are not the image's failures: the digest is
# built once they are over.
_FAULTS_OF_THE_IMAGE: Final = frozenset(
    error.__name__ for error in (ProvisioningFailedError, VerificationFailedError)
)
# documents/README.md, Failures: another run has the lock, Ubuntu's archive, the registry refuses or is out of reach,
# Docker's daemon, S3 refuses the layers, the registry throttles.
_INTERRUPTIONS: Final = frozenset({11, 13, 15, 16, 18, 22, 23})


def is_interruption(exit_code: int | None) -> bool:
    """Whether this exit code of a document has a cause outside of the image."""
    return exit_code in _INTERRUPTIONS


def is_image_failure(error: str) -> bool:
    """Whether the error is the image's own, so that another build would fail the same way."""
    return error in _FAULTS_OF_THE_IMAGE
