"""The one table from AWS error code to error class, and the one place that applies it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from ami_lifecycle.errors import (
    AccessDeniedError,
    AgentNotOnlineError,
    AmiLifecycleError,
    ImageCreationFailedError,
    QuotaExceededError,
    RefusedError,
    RepositoryNotFoundError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
    TransientError,
)

MESSAGE_LIMIT: Final = 600  # EC2 appends an encoded authorization message of several thousand characters.
TRANSIENT_STATUSES: Final = frozenset({500, 502, 503, 504})


class Rule(NamedTuple):
    """The error class of an AWS error code, and its hint: what to do next. `{action}` in the hint is the IAM
    action.
    """

    error: type[AmiLifecycleError]
    hint: str


_DENIED: Final = Rule(
    AccessDeniedError,
    "Grant {action} to the role that made the call; if it is granted, the resource lacks the tags that "
    "the grant demands.",
)
# IAM user guide, Troubleshoot access denied error messages: the kind of policy that denied the call. These denials
# cannot be solved by a grant to the role.
_OTHER_POLICIES: Final[Mapping[str, str]] = {
    # ECR asks it in the caller's name (ECR user guide, IAM permissions required for enhanced scanning).
    "perform: inspector2:": (
        "The registry has enhanced scanning: deploy the stack with EnhancedScanning=true, which grants what its "
        "findings need (docs/gates.md)."
    ),
    "service control policy": (
        "A service control policy of the organization refuses it, so no grant of this account helps. If the policy "
        "demands tags, set them as `tags` in config/build_config.yml (docs/deploy.md) and deploy; otherwise ask its "
        "owner to admit the role."
    ),
    "resource control policy": (
        "A resource control policy of the organization refuses it: ask its owner to admit the role."
    ),
    "permissions boundary": "The boundary of the role refuses it: have {action} added to the boundary.",
    "VPC endpoint policy": "The policy of the VPC endpoint refuses it: have {action} added to it.",
    "session policy": "The session of the caller refuses it: begin one whose policy allows {action}.",
    "resource-based policy": "The policy of the resource itself refuses it: have the role admitted there.",
}
_UNKNOWN_CALLER: Final = Rule(
    AccessDeniedError, "Renew the credentials: they have expired, or AWS does not know them."
)
_THROTTLED: Final = Rule(ThrottledError, "It is tried again after a pause.")
_UNAVAILABLE: Final = Rule(
    ServiceUnavailableError, "It is tried again after a pause; if it lasts, look at the AWS Health Dashboard."
)
_GARBLED: Final = Rule(
    ServiceUnavailableError,
    "It is tried again after a pause; if it lasts, look for a proxy or an endpoint that changes answers of AWS.",
)
_PROTECTED: Final = Rule(RefusedError, "Remove its protection if it should go; it is tried again later.")
_INVISIBLE: Final = Rule(
    ResourceNotVisibleError, "If it was made a moment ago it appears soon; it is tried again."
)
_WRONG_NETWORK: Final = Rule(SettingsError, "Correct the subnets or security groups in the settings.")
# EC2 API reference, Error codes: CustomerKeyHasBeenRevoked. The second name is the state reason of instances, in
# either spelling; the last is the code of RDS and DMS.
_UNUSABLE_KEY: Final = Rule(
    RefusedError,
    "EBS cannot use the key that encrypts the volumes: enable the key, cancel its deletion, or deploy with another one "
    "as VolumeKeyArn (docs/deploy.md, 10); then build again.",
)
_SWITCHED_OFF: Final = Rule(
    RefusedError,
    "A setting of the account or a declarative policy of the organization rules it out: ask its owner, in AWS "
    "Organizations, Declarative policies, or EC2, Account attributes, to admit it; then build again.",
)
_WRONG_DOCUMENT: Final = Rule(
    SettingsError,
    "Deploy the stack again: its functions and its documents are of different versions.",
)

RULES: Final[Mapping[str, Rule]] = {
    # Permissions: EC2 says UnauthorizedOperation, most others AccessDeniedException.
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "AuthorizationError",
            "AuthorizationErrorException",
            "KMSAccessDenied",
            "KMSAccessDeniedException",
            "UnauthorizedOperation",
        ),
        _DENIED,
    ),
    **dict.fromkeys(
        (
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
        ),
        _UNKNOWN_CALLER,
    ),
    # Throttling.
    **dict.fromkeys(
        (
            "ConcurrentCreateImageNoRebootLimitExceeded",
            "ConcurrentSnapshotLimitExceeded",
            "ConcurrentTagAccess",
            "EC2ThrottledException",
            "ExecutionLimitExceeded",
            "KMSThrottlingException",
            "PendingSnapshotLimitExceeded",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "SnapshotCreationPerVolumeRateExceeded",
            "Throttled",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "TooManyUpdates",
            "TransactionInProgressException",
        ),
        _THROTTLED,
    ),
    # Server errors; besides these, any answer with one of `TRANSIENT_STATUSES`.
    **dict.fromkeys(
        (
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "RequestTimeout",
            "RequestTimeoutException",
            "RetryableError",
            "ServerException",
            "ServerInternal",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
        ),
        _UNAVAILABLE,
    ),
    # EC2 API reference, Error codes.
    "InvalidInstanceID.NotFound": _INVISIBLE,
    "InvalidAMIID.NotFound": _INVISIBLE,
    "InvalidAMIID.Unavailable": Rule(
        RefusedError, "The image was deregistered or is disabled; start a new execution, which plans anew."
    ),
    "InvalidAMIName.Malformed": Rule(SettingsError, "Correct image_name in the settings."),
    "InvalidSnapshotID.NotFound": Rule(
        ImageCreationFailedError, "The snapshots of the image are gone; start a new build."
    ),
    **dict.fromkeys(
        (
            "CustomerKeyHasBeenRevoked",
            "InvalidKMSKey.InvalidState",
            "InvalidKmsKey.InvalidState",
            "KMSKeyNotAccessibleFault",
        ),
        _UNUSABLE_KEY,
    ),
    **dict.fromkeys(
        ("AccountDisabled", "DeclarativePolicyViolation"),
        _SWITCHED_OFF,
    ),
    "TagPolicyViolation": Rule(
        RefusedError,
        "A tag policy of the organization does not admit a tag's key or value: correct `tags` in "
        "config/build_config.yml (docs/deploy.md) and deploy, or ask the policy's owner.",
    ),
    "IdempotentInstanceTerminated": Rule(
        RefusedError,
        "The instance of this attempt was terminated, so its client token launches no other; start a new execution.",
    ),
    "IdempotentParameterMismatch": Rule(
        RefusedError, "An earlier call with this client token had other parameters; start a new execution."
    ),
    "OperationNotPermitted": _PROTECTED,
    "SnapshotLocked": _PROTECTED,
    "InvalidSubnet": _WRONG_NETWORK,
    "InvalidSubnetID.Malformed": _WRONG_NETWORK,
    "InvalidSubnetID.NotFound": _WRONG_NETWORK,
    "InvalidGroup.NotFound": _WRONG_NETWORK,
    "InvalidGroupId.Malformed": _WRONG_NETWORK,
    "InvalidSecurityGroupID.NotFound": _WRONG_NETWORK,
    # Of RunInstances: what concerns the account, whatever the type and the subnet.
    "Blocked": Rule(
        RefusedError, "AWS has blocked the account in this Region: ask AWS Support, then build again."
    ),
    "OptInRequired": Rule(
        RefusedError,
        "The account is not signed up for EC2 here: complete its registration, or enable the Region "
        "(aws account enable-region), then build again.",
    ),
    "PendingVerification": Rule(
        RefusedError,
        "AWS still verifies the account, which mostly takes minutes and at most 24 hours: build again then, or "
        "ask AWS Support.",
    ),
    **dict.fromkeys(
        (
            "MaxIOPSLimitExceeded",
            "NetworkInterfaceLimitExceeded",
            "ResourceLimitExceeded",
            "SecurityGroupLimitExceeded",
            "SecurityGroupsPerInstanceLimitExceeded",
            "SecurityGroupsPerInterfaceLimitExceeded",
            "SnapshotLimitExceeded",
            "TagLimitExceeded",
            "VolumeLimitExceeded",
        ),
        Rule(
            QuotaExceededError,
            "Delete what is not needed, or ask for more in Service Quotas (EC2, EBS or VPC), then build again.",
        ),
    ),
    # Systems Manager API reference.
    "InvalidInstanceId": Rule(
        AgentNotOnlineError, "Its agent has to register first; it is tried again after a pause."
    ),
    "InvalidDocument": _WRONG_DOCUMENT,
    "InvalidDocumentVersion": _WRONG_DOCUMENT,
    "InvalidParameters": _WRONG_DOCUMENT,
    "UnsupportedPlatformType": _WRONG_DOCUMENT,
    "ParameterMaxVersionLimitExceeded": Rule(
        RefusedError,
        "Its oldest version carries a label, so Parameter Store cannot drop it: remove the label "
        "(UnlabelParameterVersion).",
    ),
    "ParameterLimitExceeded": Rule(
        RefusedError, "The account has 10,000 standard parameters: lower history_to_keep or delete some."
    ),
    # S3 API reference, Error responses.
    "NoSuchBucket": Rule(
        RefusedError,
        "The stack's bucket of package lists was deleted: deploy with KeepPackageLists=false, and with true again if "
        "lists should be kept.",
    ),
    # ECR API reference.
    "RepositoryNotFoundException": Rule(
        RepositoryNotFoundError, "Create the repository in this account and Region, or correct the settings."
    ),
}


def code_of(error: ClientError) -> str:
    """The error code of an AWS answer, `InvalidAMIID.NotFound`."""
    return str(error.response.get("Error", {}).get("Code") or "")


def message_of(error: ClientError) -> str:
    """AWS's message without the encoded authorization message (DecodeAuthorizationMessage)."""
    message = str(error.response.get("Error", {}).get("Message", ""))
    words = message.partition("Encoded authorization failure message:")[0].strip()
    return words[:MESSAGE_LIMIT]


def _rule_for(error: ClientError) -> Rule | None:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in RULES:
        return RULES[code]
    if status in TRANSIENT_STATUSES:
        return _UNAVAILABLE
    # Without an error code in the response, botocore uses the HTTP status as code.
    return _GARBLED if not code or code.isdecimal() else None


def is_of_the_request(error: ClientError) -> bool:
    """Whether the error is about the request itself: neither transient nor a missing permission."""
    rule = _rule_for(error)
    return rule is None or not issubclass(rule.error, TransientError | AccessDeniedError)


def _error(rule: Rule, action: str, resource: str, what: str) -> AmiLifecycleError:
    message = f"{action} on {resource} failed: {what.rstrip('. ')}"
    return rule.error(message, hint=_hint(rule, what).format(action=action))


def _hint(rule: Rule, what: str) -> str:
    if rule is _DENIED:
        for policy, hint in _OTHER_POLICIES.items():
            if policy in what:
                return hint
    return rule.hint


def garbled(action: str, resource: str, what: str) -> AmiLifecycleError:
    """The error for a response that contradicts the API reference."""
    text = f"the answer lacks a member, or holds another one than it can ({what})"
    return _error(_GARBLED, action, resource, text)


@contextmanager
def aws_errors(action: str, resource: str) -> Iterator[None]:
    """Translate errors of AWS or the network for `action` on `resource` into this service's errors.

    The response is parsed inside the block: one that lacks a member or has a value of a wrong type was damaged in
    transit. An unknown error code is raised unchanged.
    """
    try:
        yield
    except ClientError as error:
        rule = _rule_for(error)
        if rule is None:
            raise
        what = f"{code_of(error) or 'an error without its code'}: {message_of(error)}"
        raise _error(rule, action, resource, what) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        first = next(iter(str(error).splitlines()), "")[:MESSAGE_LIMIT]
        raise garbled(action, resource, f"{type(error).__name__}: {first}") from error
    except (BotoConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError) as error:
        raise _error(_UNAVAILABLE, action, resource, str(error)) from error
