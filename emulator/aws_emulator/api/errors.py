"""Errors that more than one emulated service reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError

UNSUPPORTED_OPERATION: Final = "EmulatorUnsupportedOperation"
UNSUPPORTED_PARAMETER: Final = "EmulatorUnsupportedParameter"


def unsupported_operation(service: str, operation: str) -> ApiError:
    """The error for an operation that is not emulated."""
    return ApiError(
        UNSUPPORTED_OPERATION,
        f"the emulator does not emulate {service}:{operation}; add it to a strict service, "
        "or to the operations passed on to moto if moto's behaviour is good enough",
        501,
    )


def refuse_unsupported_parameters(
    service: str, operation: str, parameters: Mapping[str, Any], supported: Iterable[str]
) -> None:
    """Refuse parameters that the handler would ignore.

    Raises:
        ApiError: `EmulatorUnsupportedParameter`, naming the parameters.
    """
    ignored = sorted(set(parameters) - set(supported))
    if ignored:
        names = ", ".join(ignored)
        raise ApiError(
            UNSUPPORTED_PARAMETER, f"the emulator does not emulate {service}:{operation} with {names}", 501
        )


def validation(message: str) -> ApiError:
    """The `ValidationException` of the JSON services."""
    return ApiError("ValidationException", message)


def throttled() -> ApiError:
    """The `ThrottlingException` of the JSON services, with their text."""
    return ApiError("ThrottlingException", "Rate exceeded")
