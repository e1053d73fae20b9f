"""Answers of DynamoDB and Secrets Manager as AWS gives them, where moto, which answers for both here, gives others.

Sources: their API references; localstack/localstack (validated on AWS), tests/aws/services/dynamodb and secretsmanager.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.gateway.passthrough import MotoResponse
from aws_emulator.gateway.wire.http import HttpResponse

_FIRST_ERROR: Final = 400
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_KEY_OF_SECRETS: Final = "DefaultEncryptionKey"
# A table that is going shows no more of itself (a recorded call).
_OF_A_TABLE_THAT_GOES: Final = frozenset(
    {
        "DeletionProtectionEnabled",
        "ItemCount",
        "ProvisionedThroughput",
        "TableArn",
        "TableId",
        "TableName",
        "TableSizeBytes",
        "TableStatus",
    }
)


class JsonAnswers:
    """The gateway's middleware around what moto answers for both; it remembers when secrets were read."""

    def __init__(self) -> None:
        self._read: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Refuse what AWS refuses, and correct what moto answers."""
        if request.service == "secretsmanager":
            _require_secret_name(request.parameters)
        elif request.service != "dynamodb":
            return proceed()
        response = proceed()
        if not isinstance(response, MotoResponse):
            return response
        content = json.loads(response.http.body or b"{}")
        if response.http.status >= _FIRST_ERROR:
            corrected = _of_errors(content)
        elif request.service == "secretsmanager":
            corrected = self._of_secrets(request.operation, content)
        else:
            corrected = _of_tables(request.operation, request.parameters, content)
        if corrected is None:
            return response
        headers = {name: value for name, value in response.http.headers.items() if name != "x-amz-crc32"}
        return MotoResponse(HttpResponse(response.http.status, json.dumps(corrected).encode(), headers))

    def _of_secrets(self, operation: str, content: dict[str, Any]) -> dict[str, Any] | None:
        match operation:
            case "GetSecretValue":
                today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
                with self._lock:
                    self._read[content["ARN"]] = today.timestamp()
                return None
            case "DescribeSecret":
                with self._lock:
                    read = self._read.get(content["ARN"])
                stages = content.get("VersionIdsToStages") or {}
                content["VersionIdsToStages"] = {version: found for version, found in stages.items() if found}
                return content if read is None else content | {"LastAccessedDate": read}
        return None


def _require_secret_name(asked: Mapping[str, Any]) -> None:
    """Secrets Manager API reference, CreateSecret; a recorded call for each operation that names a secret."""
    name = asked.get("Name") or asked.get("SecretId")
    if name is not None and not name.startswith("arn:") and not _SECRET_NAME.fullmatch(name):
        raise ApiError(
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
            "-/_+=.@!",
        )


def _of_errors(content: dict[str, Any]) -> dict[str, Any] | None:
    """A failed condition that shows its item writes its message with a capital letter."""
    if "Item" not in content or "message" not in content:
        return None
    return {"Message" if name == "message" else name: value for name, value in content.items()}


def _of_tables(operation: str, asked: Mapping[str, Any], content: dict[str, Any]) -> dict[str, Any] | None:
    match operation:
        case "CreateTable":
            table = _described(content["TableDescription"])
            for each in (table, *table.get("GlobalSecondaryIndexes", ())):
                each.pop("WarmThroughput", None)
            if "WarmThroughput" in asked:
                table["WarmThroughput"] = asked["WarmThroughput"] | {"Status": "UPDATING"}
            table.get("BillingModeSummary", {}).pop("LastUpdateToPayPerRequestDateTime", None)
            return {"TableDescription": table | {"TableStatus": "CREATING"}}
        case "DescribeTable":
            return {"Table": _described(content["Table"])}
        case "DeleteTable":
            table = _described(content["TableDescription"])
            shown = {name: table[name] for name in table if name in _OF_A_TABLE_THAT_GOES}
            return {"TableDescription": shown | {"TableStatus": "DELETING"}}
        case "UpdateTable":
            return {"TableDescription": _described(content["TableDescription"])}
        case "BatchGetItem" | "BatchWriteItem":
            unasked = {
                member
                for member, parameter in (
                    ("ConsumedCapacity", "ReturnConsumedCapacity"),
                    ("ItemCollectionMetrics", "ReturnItemCollectionMetrics"),
                )
                if asked.get(parameter, "NONE") == "NONE"
            }
            return {name: value for name, value in content.items() if name not in unasked}
    return None


def _described(table: dict[str, Any]) -> dict[str, Any]:
    arn = table["TableArn"]
    # One for each table, a new one of an old name too.
    table["TableId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {table['CreationDateTime']}"))
    for name in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if not table.get(name):
            table.pop(name, None)
    billing = table.get("BillingModeSummary") or {}
    if billing.get("BillingMode") == "PAY_PER_REQUEST":
        billing.setdefault("LastUpdateToPayPerRequestDateTime", table["CreationDateTime"])
    else:
        table.pop("BillingModeSummary", None)
    for index in table.get("GlobalSecondaryIndexes", ()):
        index.update({"IndexArn": f"{arn}/index/{index['IndexName']}", "IndexSizeBytes": 0, "ItemCount": 0})
        index.setdefault("ProvisionedThroughput", {}).setdefault("NumberOfDecreasesToday", 0)
    return table
