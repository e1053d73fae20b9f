"""Sessions of AWS STS: what AssumeRole and its like refuse.

moto, which answers for STS here, hands out credentials to anybody.

Sources: STS API reference, AssumeRole, GetFederationToken, GetSessionToken; IAM user guide, "Passing session tags",
"Role chaining"; localstack/localstack (validated on AWS), tests/aws/services/sts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.api.strict_json import strict_json
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.gateway.passthrough import MotoResponse

_ROLE_ARN: Final = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")
_ACCESS_KEY: Final = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]+)")
_CHAINED_SECONDS: Final = 3600
_DEFAULT_MAXIMUM_SECONDS: Final = 3600
_POLICY_CHARACTERS: Final = 2048


class Sessions:
    """The gateway's check of requests to STS; it remembers which credentials are a role's session."""

    def __init__(self, moto: MotoAccount) -> None:
        self._moto = moto
        # Transitive tags by the access key of a session, as they were given.
        self._transitive: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """The middleware; raises STS's own ApiError for what it refuses."""
        if request.service != "sts":
            return proceed()
        asked = request.parameters
        _check_policy(asked.get("Policy"))
        if request.operation == "GetSessionToken" and self._session_of(request) is not None:
            raise ApiError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        if request.operation != "AssumeRole":
            return proceed()
        inherited = self._session_of(request)
        self._check_role(request, chained=inherited is not None)
        transitive = _checked_tags(asked, inherited or {})
        response = proceed()
        if isinstance(response, MotoResponse) and (key := _ACCESS_KEY.search(response.http.body)):
            with self._lock:
                self._transitive[key[1].decode()] = transitive
        return response

    def _session_of(self, request: Request) -> dict[str, str] | None:
        """The transitive tags of the session that makes a request; None for a user."""
        match = _CREDENTIAL.search(request.headers.get("authorization", ""))
        with self._lock:
            return self._transitive.get(match[1]) if match else None

    def _check_role(self, request: Request, *, chained: bool) -> None:
        arn, seconds = request.parameters["RoleArn"], request.parameters.get("DurationSeconds", 0)
        if not _ROLE_ARN.fullmatch(arn):
            raise ApiError("ValidationError", f"{arn} is invalid")
        with self._moto.backend("iam") as backend:
            role = next((each for each in backend.roles.values() if each.arn == arn), None)
            longest = getattr(role, "max_session_duration", None) or _DEFAULT_MAXIMUM_SECONDS
        if role is None:
            raise ApiError(
                "AccessDenied",
                f"User: arn:aws:iam::{request.account_id}:user/{request.caller} is not authorized to perform: "
                f"sts:AssumeRole on resource: {arn}",
                403,
            )
        if chained and seconds > _CHAINED_SECONDS:
            raise ApiError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            )
        if seconds > int(longest):
            raise ApiError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )


def _check_policy(policy: str | None) -> None:
    if policy is None:
        return
    if len(policy) > _POLICY_CHARACTERS:
        raise ApiError("PackedPolicyTooLarge", "Packed size of session policy exceeds the limit.")
    try:
        content = strict_json(policy)
    except ValueError:
        content = None
    if not isinstance(content, dict) or "Statement" not in content:
        raise ApiError("MalformedPolicyDocument", "Syntax errors in policy.")


def _checked_tags(asked: Mapping[str, Any], inherited: Mapping[str, str]) -> dict[str, str]:
    """The transitive tags of the new session; keys differ by more than their case."""
    tags: Sequence[Mapping[str, str]] = asked.get("Tags") or ()
    given = {tag["Key"].lower(): tag for tag in tags}
    if len(given) != len(tags):
        raise _invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    transitive_keys = [key.lower() for key in asked.get("TransitiveTagKeys") or ()]
    if any(key not in given for key in transitive_keys):
        raise _invalid("The specified transitive tag key must be included in the requested tags.")
    if {key.lower() for key in inherited} & set(given):
        raise _invalid(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        )
    return {**inherited, **{given[key]["Key"]: given[key]["Value"] for key in transitive_keys}}


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)
