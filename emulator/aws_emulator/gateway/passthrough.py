"""The operations that are passed on to moto.

Everything that is neither here nor in a strict service is refused.
"""

from __future__ import annotations

import fnmatch
import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from aws_emulator.api.errors import unsupported_operation
from aws_emulator.api.operations import ApiError
from aws_emulator.gateway.wire.http import HttpResponse

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Operation names may hold wildcards.
MOTO_OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "cloudformation": (),
    "cloudwatch": ("*",),
    # Not the transactions: moto applies one again whose ClientRequestToken it has seen.
    "dynamodb": (
        "BatchGetItem",
        "BatchWriteItem",
        "CreateTable",
        "DeleteItem",
        "DeleteTable",
        "Describe*",
        "GetItem",
        "ListTables",
        "ListTagsOfResource",
        "PutItem",
        "Query",
        "Scan",
        "TagResource",
        "UntagResource",
        "UpdateContinuousBackups",
        "UpdateItem",
        "UpdateTable",
        "UpdateTimeToLive",
    ),
    "ec2": (
        "AssociateRouteTable",
        "AttachInternetGateway",
        "AuthorizeSecurityGroup*",
        "CreateInternetGateway",
        "CreateKeyPair",
        "CreateRoute",
        "CreateRouteTable",
        "CreateSecurityGroup",
        "CreateSubnet",
        "CreateVpc",
        "DeleteKeyPair",
        "DeleteSecurityGroup",
        "DeleteSubnet",
        "DeleteVpc",
        "DescribeAvailabilityZones",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeInternetGateways",
        "DescribeKeyPairs",
        "DescribeNetworkAcls",
        "DescribeRegions",
        "DescribeRouteTables",
        "DescribeSecurityGroup*",
        "DescribeSubnets",
        "DescribeVpcAttribute",
        "DescribeVpcEndpoints",
        "DescribeVpcs",
        "ModifySubnetAttribute",
        "ModifyVpcAttribute",
        "RevokeSecurityGroup*",
    ),
    # Roles, their policies and instance profiles: what roles of services, users and their credentials are on AWS, moto
    # does not know.
    "iam": (
        "AddRoleToInstanceProfile",
        "AttachRolePolicy",
        "CreateInstanceProfile",
        "CreatePolicy",
        "CreatePolicyVersion",
        "CreateRole",
        "DeleteInstanceProfile",
        "DeletePolicy",
        "DeletePolicyVersion",
        "DeleteRole",
        "DeleteRolePermissionsBoundary",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "GetInstanceProfile",
        "GetPolicy",
        "GetPolicyVersion",
        "GetRole",
        "GetRolePolicy",
        "ListAttachedRolePolicies",
        "ListEntitiesForPolicy",
        "ListInstanceProfile*",
        "ListPolicies",
        "ListPolicyTags",
        "ListPolicyVersions",
        "ListRolePolicies",
        "ListRoleTags",
        "ListRoles",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
        "RemoveRoleFromInstanceProfile",
        "SetDefaultPolicyVersion",
        "TagInstanceProfile",
        "TagPolicy",
        "TagRole",
        "UntagInstanceProfile",
        "UntagPolicy",
        "UntagRole",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
        "UpdateRoleDescription",
    ),
    "kms": ("*",),
    # Not rotation, replicas and lists of versions, which moto has otherwise than AWS.
    "secretsmanager": (
        "BatchGetSecretValue",
        "CreateSecret",
        "DeleteResourcePolicy",
        "DeleteSecret",
        "DescribeSecret",
        "GetRandomPassword",
        "GetResourcePolicy",
        "GetSecretValue",
        "ListSecrets",
        "PutResourcePolicy",
        "PutSecretValue",
        "RestoreSecret",
        "TagResource",
        "UntagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    ),
    "sns": ("*",),
    "sqs": ("*",),
    "sts": ("AssumeRole", "GetCallerIdentity", "GetFederationToken", "GetSessionToken"),
}
# moto checks a condition and applies the change in two steps, between which another thread may come; AWS does
# both in one. moto's state belongs to the process, and so do the locks. SQS has none: receiving may wait.
_ONE_AT_A_TIME: Final = {service: threading.Lock() for service in MOTO_OPERATIONS if service != "sqs"}
_XML_CODE: Final = re.compile(rb"<Code>([^<]+)</Code>")


class MotoResponse(dict[str, Any]):
    """A response that moto has already serialized; as a mapping it is empty."""

    def __init__(self, http: HttpResponse) -> None:
        super().__init__()
        self.http = http

    def outcome(self) -> str:
        """`ok` or the error code inside."""
        if self.http.status < 400:
            return "ok"
        match = _XML_CODE.search(self.http.body)
        if match:
            return match.group(1).decode()
        try:
            code = json.loads(self.http.body).get("__type", "")
        except (ValueError, AttributeError):
            code = ""
        return str(code or self.http.headers.get("x-amzn-errortype", "") or self.http.status).rpartition("#")[
            2
        ]


class CutAnswer(dict[str, Any]):
    """A response that is truncated to its first half; as a mapping it is empty."""

    def __init__(self, whole: dict[str, Any]) -> None:
        super().__init__()
        self.whole = whole


def without(response: dict[str, Any], member: str | None) -> dict[str, Any]:
    """A response less one member of its top level, or all of them for None."""
    if isinstance(response, MotoResponse):
        http = response.http
        try:
            content = json.loads(http.body or b"{}")
        except ValueError:  # XML, whose members are elements at some depth
            return CutAnswer(response)
        body = json.dumps(_less(content, member)).encode()
        # DynamoDB's checksum would tell, and the SDK would ask again by itself.
        headers = {name: value for name, value in http.headers.items() if name.lower() != "x-amz-crc32"}
        return MotoResponse(HttpResponse(http.status, body, headers))
    return _less(response, member)


def _less(content: dict[str, Any], member: str | None) -> dict[str, Any]:
    return {name: value for name, value in content.items() if member is not None and name != member}


def is_passed_on(operations: Mapping[str, tuple[str, ...]], service: str, operation: str) -> bool:
    """Whether moto answers this operation."""
    return any(fnmatch.fnmatchcase(operation, pattern) for pattern in operations.get(service, ()))


def forward(
    app: WsgiApp, environ: Mapping[str, Any], body: bytes, service: str, operation: str
) -> MotoResponse:
    """Have moto's WSGI application answer a request, one at a time of each service.

    Raises:
        ApiError: `EmulatorUnsupportedOperation` if moto does not implement it after all,
            `EmulatorUnsupportedRequest` if it fails.
    """
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        answer["status"] = int(status.split(" ", 1)[0])
        answer["headers"] = {name.lower(): value for name, value in headers}

    inner = {key: value for key, value in environ.items() if not key.startswith("werkzeug.")}
    inner["wsgi.input"] = io.BytesIO(body)
    inner["CONTENT_LENGTH"] = str(len(body))
    inner.pop("HTTP_TRANSFER_ENCODING", None)
    try:
        with _ONE_AT_A_TIME.get(service, nullcontext()):
            content = b"".join(app(inner, start_response))
    except NotImplementedError as error:
        raise unsupported_operation(service, operation) from error
    except Exception as error:
        raise _not_answered(service, operation, f"{type(error).__name__}: {error}") from error
    if answer["status"] >= 500:
        raise _not_answered(service, operation, f"HTTP {answer['status']}")
    headers = {
        name: value
        for name, value in answer["headers"].items()
        if name not in {"content-length", "date", "server"}
    }
    return MotoResponse(HttpResponse(answer["status"], content, headers))


def _not_answered(service: str, operation: str, problem: str) -> ApiError:
    return ApiError(
        "EmulatorUnsupportedRequest",
        f"the emulator leaves {service}:{operation} to moto, which fails on this request: {problem}",
        501,
    )
