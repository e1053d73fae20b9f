"""botocore's service models, loaded once, and which service and operation a request is for."""

from __future__ import annotations

import functools
import re
from typing import Any, Final
from urllib.parse import parse_qsl

import botocore.session

from aws_emulator.api.operations import ApiError
from aws_emulator.gateway.wire import query, rest_xml
from aws_emulator.gateway.wire.http import HttpRequest

# The name in the credential scope of a signature, where it differs from botocore's name of the service.
_BY_SIGNING_NAME: Final = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
}
SERVICES: Final = (
    "ssm",
    "ecr",
    "dynamodb",
    "stepfunctions",
    "ec2",
    "lambda",
    "events",
    "sqs",
    "sns",
    "logs",
    "iam",
    "sts",
    "rbin",
    "scheduler",
    "cloudformation",
    "cloudwatch",
    "autoscaling",
    "secretsmanager",
    "kms",
    "resourcegroupstaggingapi",
    "s3",
    "dynamodbstreams",
)
# The prefix of the target, where a service signs with the name of another one.
_BY_TARGET: Final = {"DynamoDBStreams_20120810": "dynamodbstreams"}
_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]*)/([^/]+)/aws4_request")
_CBOR_PATH: Final = re.compile(r"/service/[^/]+/operation/([A-Za-z0-9]+)$")


@functools.cache
def service_model(service: str) -> Any:
    """botocore's `ServiceModel` of a service."""
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def operation_names(service: str) -> frozenset[str]:
    """All operations that a service has."""
    return frozenset(service_model(service).operation_names)


@functools.cache
def operation_model(service: str, operation: str) -> Any:
    """botocore's `OperationModel` of an operation."""
    return service_model(service).operation_model(operation)


def protocol_of(service: str, request: HttpRequest) -> str:
    """The wire protocol of a request: ec2, query, json, rest-json or smithy-rpc-v2-cbor.

    Some services speak several, and SDKs choose one.
    """
    declared = str(service_model(service).metadata["protocol"])
    if declared == "ec2" or declared.startswith("rest"):
        return declared
    if "x-amz-target" in request.headers:
        return "json"
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return "query"
    return declared


def access_key_of(request: HttpRequest) -> str:
    """The access key that signed the request, or an empty string."""
    match = _CREDENTIAL.search(request.headers.get("authorization", ""))
    return match.group(1) if match else ""


def region_of(request: HttpRequest) -> str:
    """The Region that the request was signed for, or an empty string."""
    match = _CREDENTIAL.search(request.headers.get("authorization", ""))
    return match.group(2) if match else ""


def service_of(request: HttpRequest) -> str | None:
    """Which service a request is for, from its signature, else its target, else its API version."""
    prefix = request.headers.get("x-amz-target", "").rpartition(".")[0]
    if prefix in _BY_TARGET:
        return _BY_TARGET[prefix]
    match = _CREDENTIAL.search(request.headers.get("authorization", ""))
    if match:
        name = _BY_SIGNING_NAME.get(match.group(3), match.group(3))
        return name if name in SERVICES else None
    if prefix:
        return _service_by("targetPrefix", prefix)
    version = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("Version")
    return _service_by("apiVersion", version) if version else None


@functools.cache
def _service_by(key: str, value: str) -> str | None:
    # The most used first: each model that is looked at has to be loaded.
    return next((name for name in SERVICES if service_model(name).metadata.get(key) == value), None)


def operation_of(service: str, request: HttpRequest) -> tuple[str, dict[str, str]]:
    """The operation's name, and the labels in a REST path.

    Raises:
        ApiError: for what cannot be read, what is no operation of the service, or one of S3 that is not emulated.
    """
    protocol = protocol_of(service, request)
    if protocol == "rest-xml":
        return rest_xml.operation_of(request)
    is_rest = protocol.startswith("rest")
    name, labels = _rest_operation(service, request) if is_rest else (_named(protocol, request), {})
    if name not in operation_names(service):
        message = f"{service} has no operation for {request.method} {request.path}"
        raise ApiError("UnknownOperationException", message)
    return name, labels


def _named(protocol: str, request: HttpRequest) -> str:
    """The name of an operation in a request that has it in its target, its form or its path."""
    if protocol == "json":
        return request.headers.get("x-amz-target", "").rpartition(".")[2]
    if protocol in {"ec2", "query"}:
        return dict(query.form_of(request)).get("Action", "")
    match = _CBOR_PATH.search(request.path)
    return match.group(1) if match else ""


def _rest_operation(service: str, request: HttpRequest) -> tuple[str, dict[str, str]]:
    asked = frozenset(parse_qsl(request.query))
    for method, pattern, fixed, name in _rest_routes(service):
        if method == request.method and fixed <= asked and (match := pattern.fullmatch(request.path)):
            return name, match.groupdict()
    return "", {}


@functools.cache
def _rest_routes(service: str) -> list[tuple[str, re.Pattern[str], frozenset[tuple[str, str]], str]]:
    """Routes with the most literal text first, so that a fixed path or query wins over a label."""
    routes = []
    for name in service_model(service).operation_names:
        http = operation_model(service, name).http
        path, _, query = http["requestUri"].partition("?")
        parts = re.split(r"\{([^}]+)\}", path)
        pattern = ""
        for index, part in enumerate(parts):
            if index % 2 == 0:
                pattern += re.escape(part)
            elif part.endswith("+"):
                pattern += f"(?P<{part[:-1]}>.+)"
            else:
                pattern += f"(?P<{part}>[^/]+)"
        literal = sum(len(part) for part in parts[::2]) + len(query)
        fixed = frozenset(parse_qsl(query))
        routes.append((literal, http["method"], re.compile(pattern.rstrip("/") + "/?"), fixed, name))
    routes.sort(key=lambda route: -route[0])
    return [route[1:] for route in routes]
