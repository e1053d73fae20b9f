"""Task tokens in DynamoDB behind the port `Waits`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.items import from_item, to_attribute
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.ports import Clock, StoredWait

KEY_PREFIX: Final = "wait#"


class DynamoWaits:
    """Tokens by resource, in the table that also holds the environments."""

    def __init__(self, table_name: str, client: Any, clock: Clock | None = None) -> None:
        self._table = table_name
        self._client = client
        self._clock = clock or SystemClock()

    @calls("dynamodb:PutItem")
    def put(self, wait: StoredWait, expires: datetime) -> None:
        """Store the token, replacing an expired one of the same resource."""
        values: dict[str, str | int] = {
            "pk": KEY_PREFIX + wait.resource_id,
            "token": wait.token,
            "wait": json.dumps(wait.wait),
            "execution_arn": wait.execution_arn,
            "since": wait.since.isoformat(),
            "expires_at": int(expires.timestamp()),
        }
        with aws_errors("dynamodb:PutItem", self._name(wait.resource_id)):
            self._client.put_item(
                TableName=self._table,
                Item={name: to_attribute(value) for name, value in values.items()},
            )

    @calls("dynamodb:GetItem")
    def get(self, resource_id: str) -> StoredWait | None:
        """The token for a resource. DynamoDB deletes expired items late, so the date is checked."""
        with aws_errors("dynamodb:GetItem", self._name(resource_id)):
            answer = self._client.get_item(
                TableName=self._table, Key=self._key(resource_id), ConsistentRead=True
            )
            if "Item" not in answer:
                return None
            item = from_item(answer["Item"])
            if item["expires_at"] <= self._clock.now().timestamp():
                return None
            return StoredWait(
                resource_id,
                item["token"],
                json.loads(item["wait"]),
                item["execution_arn"],
                datetime.fromisoformat(item["since"]),
            )

    @calls("dynamodb:DeleteItem")
    def delete(self, resource_id: str, token: str) -> None:
        """Delete the token, unless another one has been stored since."""
        with aws_errors("dynamodb:DeleteItem", self._name(resource_id)):
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=self._key(resource_id),
                    ConditionExpression="#token = :token",
                    ExpressionAttributeNames={"#token": "token"},
                    ExpressionAttributeValues={":token": to_attribute(token)},
                )
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise

    def _key(self, resource_id: str) -> dict[str, Any]:
        return {"pk": to_attribute(KEY_PREFIX + resource_id)}

    def _name(self, resource_id: str) -> str:
        return f"{self._table}, {KEY_PREFIX}{resource_id}"
