"""The registry of operations that the emulator implements itself, stricter than moto.

A strict service is a class whose methods carry `@operation("ec2", "CreateImage")`. The gateway parses
the request with botocore's service model, so a method gets the parameters as boto3 users write them,
and returns the response in the same shape, or raises `ApiError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Parameters = Mapping[str, Any]
Response = dict[str, Any]
Handler = Callable[["Request"], Response]
_Method = TypeVar("_Method", bound=Callable[..., Any])


class ApiError(Exception):
    """An error as the emulated service reports it.

    Args:
        code: the service's error code, as botocore shows it (`InvalidAMIName.Duplicate`).
        message: the service's text.
        status: HTTP status.
        fields: further members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class Members(dict[str, Any]):
    """The members of a structure in a request; reading one that is not given is the service's refusal.

    Some members are required by the services though the models do not say so.
    """

    def __init__(self, code: str, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._code = code

    def __missing__(self, name: str) -> Any:
        """Refuse the request.

        Raises:
            ApiError: with the service's code.
        """
        raise ApiError(self._code, f"The request must contain the parameter {name}")


@dataclass(frozen=True)
class Request:
    """One API call as it arrived at the emulator.

    `caller` is the name of the function, execution role or client that signed it: the emulator hands
    each Lambda, each state machine and each rule an access key of its own.
    """

    service: str
    operation: str
    parameters: Parameters
    region: str
    account_id: str
    caller: str
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


def operation(service: str, name: str) -> Callable[[_Method], _Method]:
    """Mark a method as the handler of a service's operation."""

    def mark(method: _Method) -> _Method:
        method.emulated_operation = (service, name)  # type: ignore[attr-defined]
        return method

    return mark


def handlers_of(*services: object) -> dict[tuple[str, str], Handler]:
    """Collect the marked methods of service objects by (service, operation)."""
    found: dict[tuple[str, str], Handler] = {}
    for service in services:
        for name in dir(service):
            method = getattr(service, name)
            key = getattr(method, "emulated_operation", None)
            if key is None:
                continue
            if key in found:
                raise ValueError(f"{key[0]}:{key[1]} has two handlers")
            found[key] = method
    return found
