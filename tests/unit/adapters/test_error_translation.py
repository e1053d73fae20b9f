from __future__ import annotations

import string
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from ami_lifecycle.adapters.translation import RULES, aws_errors, code_of, message_of
from ami_lifecycle.domain.failure_causes import is_image_failure
from ami_lifecycle.errors import (
    AccessDeniedError,
    AgentNotOnlineError,
    AmiLifecycleError,
    QuotaExceededError,
    RefusedError,
    RepositoryNotFoundError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
)


def client_error(code: str, message: str = "AWS's own words.", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "RunInstances",
    )


def translated(error: Exception) -> AmiLifecycleError:
    with pytest.raises(AmiLifecycleError) as caught, aws_errors("ec2:RunInstances", "m5.large in subnet-1"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("UnauthorizedOperation", AccessDeniedError),
        ("AccessDeniedException", AccessDeniedError),
        ("AuthorizationError", AccessDeniedError),
        ("RequestLimitExceeded", ThrottledError),
        ("ThrottlingException", ThrottledError),
        ("TooManyUpdates", ThrottledError),
        ("PendingSnapshotLimitExceeded", ThrottledError),
        ("SnapshotLimitExceeded", QuotaExceededError),
        ("InvalidSubnetID.Malformed", SettingsError),
        ("ProvisionedThroughputExceededException", ThrottledError),
        ("InternalError", ServiceUnavailableError),
        ("ServiceUnavailable", ServiceUnavailableError),
        ("InvalidInstanceID.NotFound", ResourceNotVisibleError),
        ("InvalidInstanceId", AgentNotOnlineError),
        ("RepositoryNotFoundException", RepositoryNotFoundError),
        ("IdempotentParameterMismatch", RefusedError),
        ("OperationNotPermitted", RefusedError),
        ("CustomerKeyHasBeenRevoked", RefusedError),
        ("InvalidKmsKey.InvalidState", RefusedError),
        ("InvalidKMSKey.InvalidState", RefusedError),
        ("KMSKeyNotAccessibleFault", RefusedError),
        ("AccountDisabled", RefusedError),
        ("DeclarativePolicyViolation", RefusedError),
        ("TagPolicyViolation", RefusedError),
        ("IdempotentInstanceTerminated", RefusedError),
        ("ResourceLimitExceeded", QuotaExceededError),
        ("SecurityGroupsPerInterfaceLimitExceeded", QuotaExceededError),
        ("ConcurrentCreateImageNoRebootLimitExceeded", ThrottledError),
        ("ConcurrentTagAccess", ThrottledError),
        ("RetryableError", ServiceUnavailableError),
    ],
)
def test_an_error_code_becomes_the_error_that_it_means(code: str, expected: type[AmiLifecycleError]) -> None:
    assert type(translated(client_error(code))) is expected


@pytest.mark.parametrize("code", sorted(RULES))
def test_each_message_says_what_happened_to_what_and_what_to_do_next(code: str) -> None:
    message = str(translated(client_error(code)))
    assert message.startswith(f"ec2:RunInstances on m5.large in subnet-1 failed: {code}: AWS's own words. ")
    assert message.endswith(".")
    assert "{" not in message


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("InvalidKmsKey.InvalidState", "enable the key"),
        ("CustomerKeyHasBeenRevoked", "VolumeKeyArn"),
        ("DeclarativePolicyViolation", "ask its owner"),
        ("TagPolicyViolation", "correct `tags`"),
    ],
)
def test_what_the_account_rules_out_says_who_can_admit_it_and_is_no_fault_of_the_image(
    code: str, told: str
) -> None:
    error = translated(client_error(code))
    assert told in str(error)
    assert not is_image_failure(type(error).__name__)


def test_access_denied_names_the_action_to_grant() -> None:
    assert "Grant ec2:RunInstances" in str(translated(client_error("UnauthorizedOperation", status=403)))


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ("with an explicit deny in a service control policy", "`tags` in config/build_config.yml"),
        ("because no service control policy allows the ec2:RunInstances action", "ask its owner"),
        ("with an explicit deny in a resource control policy", "ask its owner"),
        ("because no permissions boundary allows the ec2:RunInstances action", "added to the boundary"),
        ("with an explicit deny in a VPC endpoint policy", "VPC endpoint"),
        ("because no session policy allows the ec2:RunInstances action", "session"),
        ("with an explicit deny in a resource-based policy", "the resource itself"),
    ],
)
def test_what_no_grant_helps_against_is_told_with_its_own_remedy(refused: str, told: str) -> None:
    words = f"User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: ec2:RunInstances {refused}"
    message = str(translated(client_error("UnauthorizedOperation", words, 403)))
    assert told in message
    assert "Grant ec2:RunInstances" not in message
    assert "{" not in message


def test_the_encoded_part_of_an_authorization_message_is_left_out() -> None:
    encoded = string.ascii_letters * 50
    error = client_error(
        "UnauthorizedOperation", f"Not you. Encoded authorization failure message: {encoded}"
    )
    assert message_of(error) == "Not you."
    assert encoded not in str(translated(error))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_without_a_known_code_is_unavailability(status: int) -> None:
    assert type(translated(client_error("SomethingNew", status=status))) is ServiceUnavailableError


@pytest.mark.parametrize("status", [400, 403, 404, 500, 501])
@pytest.mark.parametrize(
    "response", [{}, {"Error": {}}, {"Error": {"Code": ""}}, {"Error": {"Code": None}}, "status"]
)
def test_an_error_without_its_code_says_nothing_of_the_request_and_is_tried_again(
    response: Any, status: int
) -> None:
    # Where the answer has no code, botocore's parsers of JSON put the status in its place.
    given = {"Error": {"Code": str(status), "Message": ""}} if response == "status" else response
    error = ClientError({**given, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetParameter")
    found = translated(error)
    assert type(found) is ServiceUnavailableError
    assert "It is tried again after a pause" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("Version"),
        IndexError("list index out of range"),
        TypeError("'NoneType' object is not subscriptable"),
        ValueError("'curious' is not a valid ImageState\nand more"),
        AttributeError("'str' object has no attribute 'get'"),
        ResponseParserError("Unable to parse response (unclosed token: line 1, column 30)"),
        IncompleteReadError(actual_bytes=3, expected_bytes=7),
    ],
)
def test_an_answer_that_is_not_what_aws_describes_is_tried_again(error: Exception) -> None:
    found = translated(error)
    assert type(found) is ServiceUnavailableError
    assert str(found).startswith("ec2:RunInstances on m5.large in subnet-1 failed: ")
    assert "\n" not in str(found)
    assert found.__cause__ is error


@pytest.mark.parametrize("status", [400, 404, 501])
def test_an_unknown_code_passes_untouched(status: int) -> None:
    error = client_error("SomethingNew", status=status)
    with pytest.raises(ClientError) as caught, aws_errors("ec2:RunInstances", "m5.large"):
        raise error
    assert caught.value is error
    assert code_of(caught.value) == "SomethingNew"


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://ec2"),
        ConnectTimeoutError(endpoint_url="https://ec2"),
        ReadTimeoutError(endpoint_url="https://ec2"),
    ],
)
def test_no_answer_is_unavailability(error: Exception) -> None:
    found = translated(error)
    assert type(found) is ServiceUnavailableError
    assert found.__cause__ is error


def test_an_error_that_is_ours_passes_untouched() -> None:
    error = RefusedError("said already")
    assert translated(error) is error
