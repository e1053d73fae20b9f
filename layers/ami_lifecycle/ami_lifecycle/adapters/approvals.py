"""Requests for approval and decisions in DynamoDB, behind the ports `Approvals` and `Decisions`.

They are items of different keys, so that permissions tell who may write which (`dynamodb:LeadingKeys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.items import from_item, to_attribute
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.approval import ApprovalRecord, Decision

REQUEST_PREFIX: Final = "approval#"
DECISION_PREFIX: Final = "decision#"


class _Items:
    """Items of one prefix, each with a JSON text, and a version that the condition of a write compares."""

    def __init__(self, table_name: str, client: Any, prefix: str) -> None:
        self._table = table_name
        self._client = client
        self._prefix = prefix

    def read(self, key: str) -> str | None:
        """The text of an item."""
        with aws_errors("dynamodb:GetItem", self._name(key)):
            answer = self._client.get_item(
                TableName=self._table, Key={"pk": to_attribute(self._prefix + key)}, ConsistentRead=True
            )
            return str(from_item(answer["Item"])["content"]) if "Item" in answer else None

    def write(self, key: str, content: str, version: str | int, condition: str, value: str | int) -> bool:
        """Write an item on a condition about the stored version; False where that fails."""
        values: Mapping[str, str | int] = {
            "pk": self._prefix + key,
            "content": content,
            "version": version,
        }
        with aws_errors("dynamodb:PutItem", self._name(key)):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={name: to_attribute(each) for name, each in values.items()},
                    ConditionExpression=f"attribute_not_exists(#pk) OR #version {condition} :value",
                    ExpressionAttributeNames={"#pk": "pk", "#version": "version"},
                    ExpressionAttributeValues={":value": to_attribute(value)},
                )
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                return False
            return True

    def _name(self, key: str) -> str:
        return f"{self._table}, {self._prefix}{key}"


class DynamoApprovals:
    """Requests by environment, through a low-level DynamoDB client."""

    def __init__(self, table_name: str, client: Any) -> None:
        self._items = _Items(table_name, client, REQUEST_PREFIX)

    @calls("dynamodb:GetItem")
    def get(self, environment: str) -> ApprovalRecord:
        """The record; an empty one when there is none."""
        content = self._items.read(environment)
        if content is None:
            return ApprovalRecord(environment=environment)
        return ApprovalRecord.model_validate_json(content)

    @calls("dynamodb:GetItem", "dynamodb:PutItem")
    def put(self, record: ApprovalRecord) -> bool:
        """Store it in place of the revision before; False when that is not the stored one any more."""
        revision = record.revision
        written = self._items.write(record.environment, record.model_dump_json(), revision, "=", revision - 1)
        # boto3 repeats a call whose answer was lost, and then finds what the first attempt wrote.
        return written or self.get(record.environment) == record


class DynamoDecisions:
    """Decisions by the id of the approval, through a low-level DynamoDB client."""

    def __init__(self, table_name: str, client: Any) -> None:
        self._items = _Items(table_name, client, DECISION_PREFIX)

    @calls("dynamodb:GetItem")
    def get(self, approval_id: str) -> Decision | None:
        """The last decision."""
        content = self._items.read(approval_id)
        return Decision.model_validate_json(content) if content is not None else None

    @calls("dynamodb:GetItem", "dynamodb:PutItem")
    def put(self, decision: Decision) -> Decision:
        """Store it, unless its request was decided before; returns the decision that stands."""
        asked_at = decision.asked_at.isoformat()
        if self._items.write(decision.id, decision.model_dump_json(), asked_at, "<>", asked_at):
            return decision
        return self.get(decision.id) or decision
