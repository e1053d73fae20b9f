"""The ways to name a function: its name, its ARN or a part of it, with or without a qualifier.

Sources: Lambda API reference, GetFunction and Invoke; localstack/localstack (validated on AWS),
tests/aws/services/lambda_/test_lambda_api: test_function_name_and_qualifier_validation, test_get_function_wrong_region.
"""

from __future__ import annotations

import re
from typing import Final

from aws_emulator.api.operations import ApiError, Request

LATEST: Final = "$LATEST"
_NAME: Final = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(?P<account>\d{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>[$a-zA-Z0-9_-]+))?"
)


def function_not_found(arn: str) -> ApiError:
    """The refusal of a function that does not exist."""
    return ApiError("ResourceNotFoundException", f"Function not found: {arn}", 404, Type="User")


def asked_function(request: Request) -> tuple[str, str | None]:
    """The name and the qualifier of the function that a request is for; the gateway has checked their form.

    Raises:
        ApiError: `ResourceNotFoundException` for another Region's or account's function,
            `InvalidParameterValueException` for two qualifiers that differ.
    """
    given, asked = request.parameters["FunctionName"], request.parameters.get("Qualifier")
    match = _NAME.fullmatch(given)
    if match is None:
        raise function_not_found(given)
    region, account = match["region"] or request.region, match["account"] or request.account_id
    if region != request.region:
        message = f"Functions from '{region}' are not reachable in this region ('{request.region}')"
        raise ApiError("ResourceNotFoundException", message, 404, Type="User")
    if account != request.account_id:
        raise function_not_found(given)
    derived = match["qualifier"]
    if derived and asked and derived != asked:
        raise ApiError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
            400,
            Type="User",
        )
    return match["name"], derived or asked
