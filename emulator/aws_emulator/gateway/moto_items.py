"""The calls that read and write one item of DynamoDB, answered by moto without its web framework.

They are what most calls of a stack are, and reading a request twice and writing its answer by way of Flask takes
several times as long as the answer. What moto refuses, and whatever is unusual, goes the long way.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_OPERATIONS: Final = {
    f"DynamoDB_20120810.{operation}": method
    for operation, method in (
        ("GetItem", "get_item"),
        ("PutItem", "put_item"),
        ("UpdateItem", "update_item"),
        ("DeleteItem", "delete_item"),
    )
}
# Their values are decoded on the way, which the long way does.
_BINARY: Final = re.compile(rb'"BS?"')
_MEMBERS: Final = ("Attributes", "Item", "ConsumedCapacity", "ItemCollectionMetrics")


class Answer(NamedTuple):
    """What a WSGI application answers with."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def answer_item_call(environ: Mapping[str, Any], body: bytes, account_id: str, region: str) -> Answer | None:
    """Answer one request; None for one that goes the long way, of which nothing has had an effect yet."""
    method = _OPERATIONS.get(environ.get("HTTP_X_AMZ_TARGET", ""))
    if method is None or _BINARY.search(body):
        return None
    from moto.core.exceptions import ServiceException  # noqa: PLC0415 - slow to import
    from moto.dynamodb.responses import DynamoHandler  # noqa: PLC0415
    from werkzeug.exceptions import HTTPException  # noqa: PLC0415

    handler = DynamoHandler()
    handler.current_account, handler.region = account_id, region
    try:
        handler.body = {name: value for name, value in json.loads(body).items() if value is not None}
        result: Any = getattr(handler, method)().result
    except (ServiceException, HTTPException, ValueError, AttributeError):
        return None
    members = {name: result[name] for name in _MEMBERS if result.get(name) is not None}
    content = json.dumps(members, default=_encoded).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-requestid": uuid.uuid4().hex.upper(),
        "x-amz-crc32": str(zlib.crc32(content)),
    }
    return Answer("200 OK", list(headers.items()), content)


def _encoded(binary: bytes) -> str:
    """A value of type B, as it is on the wire."""
    return base64.b64encode(binary).decode()
