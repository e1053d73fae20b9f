"""The one place where botocore's errors become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from parameter_config.errors import (
    AccessDeniedError,
    ConfigError,
    CredentialsError,
    ServiceUnavailableError,
    StoreRequestError,
    ThrottledError,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

THROTTLES: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
ACCESS_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_RENEW: Final = (
    "Renew the credentials: `aws sso login --profile PROFILE`, `aws configure`, or what the profile's "
    "credential_process asks for."
)
# botocore raises a plain RuntimeError where a credential_process gives credentials that have expired.
_STILL_EXPIRED: Final = "refreshed credentials are still expired"
_DENIED_MESSAGE = re.compile(r"perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>\S+))?")


@contextmanager
def translated(action: str, resource: str, *, hidden: str | None = None) -> Iterator[None]:
    """Turn botocore's errors into `ConfigError`s.

    Args:
        action: the IAM action of the call inside, such as `ssm:GetParameters`.
        resource: what it is called for, in words a person recognises.
        hidden: a sensitive value of the request. AWS repeats values that it refuses, so the text of its
            answer is kept from the message and from the traceback.

    Raises:
        ConfigError: of the class that the AWS error code stands for; see `errors`.
    """
    import botocore.exceptions as boto  # noqa: PLC0415  # slow to import, and plain YAML needs none
    from botocore.parsers import ResponseParserError  # noqa: PLC0415  # as above

    try:
        yield
    except boto.ClientError as error:
        if hidden is not None:
            raise _from_response(error, action, resource, text="the value is refused") from None
        raise _from_response(error, action, resource) from error
    except boto.BotoCoreError as error:
        if hidden is not None:
            raise _from_botocore(error, action, resource, text="the value is refused") from None
        raise _from_botocore(error, action, resource) from error
    except (ResponseParserError, LookupError, TypeError) as error:
        # The answer is parsed within: it lacks a member, or was cut off on its way.
        raise ServiceUnavailableError(
            f"{action} on {resource}: the answer is not what the API reference describes ({type(error).__name__}).",
            remedy="Try again; if it lasts, look for a proxy or an endpoint that changes answers of AWS.",
        ) from (None if hidden is not None else error)
    except RuntimeError as error:
        if _STILL_EXPIRED not in str(error):
            raise
        raise CredentialsError(f"{action}: {error}", remedy=_RENEW) from error


def error_code(error: ClientError) -> str:
    """The AWS error code of a response."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _from_botocore(
    error: BotoCoreError, action: str, resource: str, *, text: str | None = None
) -> ConfigError:
    import botocore.exceptions as boto  # noqa: PLC0415  # as above

    message = " ".join(str(error).split()).rstrip(".")
    match error:
        case boto.ConnectionError() | boto.HTTPClientError():
            return ServiceUnavailableError(
                f"{action} on {resource}: no answer from AWS ({type(error).__name__}).",
                remedy="Check the network, the Region and the endpoint, and try again.",
            )
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.ProfileNotFound():
            return CredentialsError(
                f"{action}: {message}.", remedy="Run `aws configure`, or set AWS_PROFILE."
            )
        case boto.NoRegionError():
            return CredentialsError(f"{action}: {message}.", remedy="Set AWS_REGION, or pass --region.")
        case boto.SSOError() | boto.TokenRetrievalError() | boto.CredentialRetrievalError():
            return CredentialsError(f"{action}: {message}.", remedy=_RENEW)
        case _ if isinstance(error, getattr(boto, "LoginError", ())):  # of `aws login`; older boto3 has none
            return CredentialsError(f"{action}: {message}.", remedy=_RENEW)
        case _:
            kind = type(error).__name__
            return StoreRequestError(
                kind,
                f"{action} on {resource}: {kind}: {text or message}.",
                remedy="Check the request, the credentials, the Region and the endpoint.",
            )


def _from_response(error: ClientError, action: str, resource: str, *, text: str | None = None) -> ConfigError:
    code = error_code(error)
    message = text or str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in THROTTLES:
        return ThrottledError(
            f"{action} on {resource}: throttled by AWS ({message or code}), also after waiting.",
            remedy="Other callers use up the account's request rate. Try again later, "
            "or ask for higher Parameter Store throughput.",
        )
    if code in ACCESS_DENIED:
        found = _DENIED_MESSAGE.search(message)
        denied = found["action"] if found else action
        return AccessDeniedError(denied, (found and found["resource"]) or resource)
    if code in CREDENTIALS:
        return CredentialsError(
            f"{action}: AWS does not accept the credentials ({code}).",
            remedy=_RENEW,
        )
    # Every error of AWS has a code; where an answer has none, botocore puts the HTTP status in its place.
    if status >= 500 or code in {"", "400"}:
        return ServiceUnavailableError(
            f"{action} on {resource}: AWS answered with a server error ({code}).", remedy="Try again."
        )
    return StoreRequestError(code, f"{action} on {resource}: {code}: {message}")
