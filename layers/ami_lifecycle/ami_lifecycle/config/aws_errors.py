"""The one place where botocore's errors become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ami_lifecycle.config.errors import (
    AccessDeniedError,
    ConfigError,
    CredentialsError,
    ServiceUnavailableError,
    StoreRequestError,
    ThrottledError,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

THROTTLES: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
_ACCESS_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
    }
)
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

    try:
        yield
    except boto.ClientError as error:
        if hidden is not None:
            raise _from_response(error, action, resource, text="the value is refused") from None
        raise _from_response(error, action, resource) from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise ServiceUnavailableError(
            f"{action} on {resource}: no answer from AWS ({type(error).__name__}).",
            remedy="Check the network, the Region and the endpoint, and try again.",
        ) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound) as error:
        raise CredentialsError(
            f"{action}: {error}.", remedy="Run `aws configure`, or set AWS_PROFILE."
        ) from error
    except boto.NoRegionError as error:
        raise CredentialsError(f"{action}: {error}", remedy="Set AWS_REGION, or pass --region.") from error


def error_code(error: ClientError) -> str:
    """The AWS error code of a response."""
    return str(error.response.get("Error", {}).get("Code", ""))


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
    if code in _ACCESS_DENIED:
        found = _DENIED_MESSAGE.search(message)
        denied = found["action"] if found else action
        return AccessDeniedError(denied, (found and found["resource"]) or resource)
    if code in _CREDENTIALS:
        return CredentialsError(
            f"{action}: AWS does not accept the credentials ({code}).",
            remedy="Refresh them: `aws configure`, or `aws sso login`.",
        )
    if status >= 500:
        return ServiceUnavailableError(
            f"{action} on {resource}: AWS answered with a server error ({code}).", remedy="Try again."
        )
    return StoreRequestError(code, f"{action} on {resource}: {code}: {message}")
