"""The services' errors for denied calls."""

from __future__ import annotations

from typing import Final

from aws_emulator.api.operations import ApiError
from aws_emulator.iam.policies import EVERYTHING, Check, Decision

# Error code and HTTP status; the JSON services say AccessDeniedException with 400 (each service's API reference,
# Common errors).
_CODES: Final = {
    "autoscaling": ("AccessDenied", 403),
    "cloudformation": ("AccessDenied", 403),
    "cloudwatch": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "lambda": ("AccessDeniedException", 403),
    "s3": ("AccessDenied", 403),
    "scheduler": ("AccessDeniedException", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
}


def denial(service: str, principal_arn: str, denied: Check, decision: Decision) -> ApiError:
    """The error of a service for a call that is denied (IAM user guide, Troubleshoot access denied errors)."""
    code, status = _CODES.get(service, ("AccessDeniedException", 400))
    reason = {
        Decision.DENIED_BY_ORGANIZATION: "with an explicit deny in a service control policy",
        Decision.DENIED_EXPLICITLY: (
            f"with an explicit deny in an identity-based policy for the {denied.action} action"
        ),
    }.get(decision, f"because no identity-based policy allows the {denied.action} action")
    where = "" if denied.resource == EVERYTHING else f" on resource: {denied.resource}"
    sentence = f"User: {principal_arn} is not authorized to perform: {denied.action}{where} {reason}"
    if service == "ec2":
        sentence = f"You are not authorized to perform this operation. {sentence}"
    return ApiError(code, sentence, status)
