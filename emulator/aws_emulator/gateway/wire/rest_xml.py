"""The `rest-xml` protocol, as far as S3 needs it: what travels in paths, queries, headers, and a body that is data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aws_emulator.api.errors import unsupported_operation
from aws_emulator.api.operations import ApiError
from aws_emulator.gateway.wire.http import HttpRequest, HttpResponse

_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# By method, for an object and for a bucket. Most operations of S3 differ from others in their query or a header alone.
_OF_OBJECT: Final = {"PUT": "PutObject", "GET": "GetObject", "DELETE": "DeleteObject"}
_OF_BUCKET: Final = {"PUT": "CreateBucket"}
# What SDKs add to name the operation, and nothing else.
_TELLING: Final = frozenset({"x-id"})
_COPIES: Final = "x-amz-copy-source"


def operation_of(request: HttpRequest) -> tuple[str, dict[str, str]]:
    """The operation and the labels of its path, whose first part is the bucket.

    Raises:
        ApiError: `EmulatorUnsupportedOperation` for every other request, as it may well be an operation.
    """
    bucket, _, key = request.path.removeprefix("/").partition("/")
    operation = (_OF_OBJECT if key else _OF_BUCKET).get(request.method) if bucket else None
    asked = set(dict(parse_qsl(request.query, keep_blank_values=True)))
    if operation is None or asked - _TELLING or _COPIES in request.headers:
        raise unsupported_operation("s3", f"{request.method} {request.path}")
    return operation, {"Bucket": bucket, "Key": key} if key else {"Bucket": bucket}


def encode(operation: Any, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """Write a result: its body is data or empty, everything else goes into headers."""
    headers = {"x-amz-request-id": request_id}
    shape = operation.output_shape
    for name, value in result.items():
        member = shape.members[name]
        if member.serialization.get("location") == "header" and name != "ContentLength":
            headers[member.serialization["name"]] = (
                format_datetime(value, usegmt=True) if isinstance(value, datetime) else str(value)
            )
    body = result.get(shape.serialization.get("payload")) if shape is not None else None
    return HttpResponse(int(operation.http.get("responseCode", 200)), body or b"", headers)


def encode_error(error: ApiError, request_id: str) -> HttpResponse:
    """Write an error (S3 API reference, Error responses)."""
    members = {"Code": error.code, "Message": error.message, **error.fields, "RequestId": request_id}
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in members.items())
    headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    return HttpResponse(error.status, f"{_XML}<Error>{inner}</Error>".encode(), headers)
