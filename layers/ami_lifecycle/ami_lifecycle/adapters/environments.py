"""The environments' records in DynamoDB behind the port `Environments`.

One item per environment, key `environment#{environment}`. boto3 retries a call whose response was lost, so each
conditional write must recognise its own first attempt: the condition then fails, and the item that DynamoDB returns
with the failure shows whether the write was applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError
from pydantic import BaseModel, TypeAdapter

from ami_lifecycle.adapters.items import from_item, to_attribute
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of, garbled
from ami_lifecycle.domain.environment import (
    Claim,
    EnvironmentRecord,
    FailedAttempts,
    HeldBack,
    LaunchProgress,
    Pin,
    UnusableBase,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.errors import ClaimLostError

KEY_PREFIX: Final = "environment#"
_DATES: Final = TypeAdapter(datetime)
# The attribute of the queued request, under the name that items of earlier releases have.
_QUEUED_REQUEST: Final = "wanted"
# Every attribute is written as `#name`, because several names are reserved words of DynamoDB.
NAMES: Final = (
    "arn",
    "busy_until",
    "claim",
    "failed",
    "failed_before",
    "fencing",
    "held_back",
    "launching",
    "number",
    "pin",
    "pk",
    "published_by",
    "published_count",
    "rebuild_due_since",
    "revision",
    "unusable_base",
    _QUEUED_REQUEST,
)
HELD: Final = "#claim.#arn = :arn AND #claim.#number = :number"
UNCHANGED_REVISION: Final = (
    "(#revision = :revision OR (attribute_not_exists(#revision) AND :revision = :zero))"
)


class WriteResult(NamedTuple):
    """Whether a write was applied, and the record: as written, or as it was when the condition failed."""

    applied: bool
    record: EnvironmentRecord


class DynamoEnvironments:
    """Records through a low-level DynamoDB client; all reads are consistent."""

    def __init__(self, table_name: str, client: Any) -> None:
        self._table = table_name
        self._client = client

    @calls("dynamodb:GetItem")
    def get(self, environment: str) -> EnvironmentRecord:
        """The record; an empty one when there is none."""
        with aws_errors("dynamodb:GetItem", self._name(environment)):
            answer = self._client.get_item(TableName=self._table, Key=_key(environment), ConsistentRead=True)
            return _record(environment, answer.get("Item", {}))

    @calls("dynamodb:UpdateItem")
    def claim(self, environment: str, claim: Claim) -> bool:
        """Claim a free environment; False when somebody holds it or its fencing number has moved on."""
        written = self._update(
            environment,
            "SET #claim = :claim, #fencing = :number",
            "attribute_not_exists(#claim) AND "
            "(#fencing = :previous OR (attribute_not_exists(#fencing) AND :previous = :zero))",
            {":claim": claim, ":number": claim.number, ":previous": claim.number - 1, ":zero": 0},
        )
        return written.applied or written.record.claim == claim

    @calls("dynamodb:UpdateItem")
    def queue(self, environment: str, request: BuildRequest, *, behind: Claim, revision: int) -> bool:
        """Queue a request behind this holder; False when holder or revision has changed."""
        written = self._update(
            environment,
            "SET #wanted = :wanted, #revision = :next",
            f"{HELD} AND {UNCHANGED_REVISION}",
            {
                ":wanted": request,
                ":next": revision + 1,
                ":arn": behind.execution_arn,
                ":number": behind.number,
                ":revision": revision,
                ":zero": 0,
            },
        )
        record = written.record
        return written.applied or (
            record.is_held_by(behind.execution_arn, behind.number)
            and record.revision == revision + 1
            and record.queued_request == request
        )

    @calls("dynamodb:UpdateItem")
    def enter(self, environment: str, execution_arn: str, number: int, busy_until: datetime) -> Claim:
        """Begin writing under the claim; returns the claim as it was before.

        Raises `ClaimLostError` when the claim is not held.
        """
        written = self._update(
            environment,
            "SET #claim.#busy_until = :busy_until",
            HELD,
            {":arn": execution_arn, ":number": number, ":busy_until": _date(busy_until)},
            returning="ALL_OLD",
        )
        if not written.applied:
            holder = written.record.claim
            held_by = f"{holder.execution_arn} (claim {holder.number})" if holder else "nobody"
            raise ClaimLostError(
                f"{environment} is held by {held_by}, no longer by {execution_arn} (claim {number}). "
                "Nothing was written; start a new execution if its result is still wanted."
            )
        before = written.record.claim
        if before is None:
            raise garbled(
                "dynamodb:UpdateItem", self._name(environment), "it holds no claim, and was written"
            )
        # boto3 repeats the call after a lost answer, and then finds what the first attempt wrote.
        return before.model_copy(update={"busy_until": None}) if before.busy_until == busy_until else before

    @calls("dynamodb:UpdateItem")
    def leave(
        self, environment: str, execution_arn: str, number: int, *, still_busy_until: datetime | None = None
    ) -> None:
        """End writing under the claim; no effect when it is no longer held."""
        held: dict[str, str | int] = {":arn": execution_arn, ":number": number}
        if still_busy_until is None:
            self._update(environment, "REMOVE #claim.#busy_until", HELD, held)
        else:
            restored = {**held, ":busy_until": _date(still_busy_until)}
            self._update(environment, "SET #claim.#busy_until = :busy_until", HELD, restored)

    @calls("dynamodb:UpdateItem")
    def remember_launch(
        self, environment: str, execution_arn: str, number: int, progress: LaunchProgress
    ) -> None:
        """Store the progress of a launch in the claim. Raises `ClaimLostError` when it is not held."""
        held: dict[str, BaseModel | str | int] = {
            ":arn": execution_arn,
            ":number": number,
            ":launching": progress,
        }
        if not self._update(environment, "SET #claim.#launching = :launching", HELD, held).applied:
            raise ClaimLostError(
                f"{environment} is no longer held by {execution_arn} (claim {number}); start a new execution if "
                "its result is still wanted"
            )

    @calls("dynamodb:UpdateItem")
    def release(self, environment: str, claim: Claim, *, revision: int) -> bool:
        """Remove the claim and add one to the fencing number; a queued request stays.

        False when claim or revision is not as it was read. Where the claim is gone and nothing was queued since, the
        release has been done, by an earlier attempt or by another caller.
        """
        written = self._update(
            environment,
            "SET #fencing = :next REMOVE #claim",
            f"#claim = :claim AND {UNCHANGED_REVISION}",
            {":claim": claim, ":next": claim.number + 1, ":revision": revision, ":zero": 0},
        )
        record = written.record
        return written.applied or (record.fencing > claim.number and record.revision == revision)

    @calls("dynamodb:UpdateItem")
    def clear_queued_request(self, environment: str, *, revision: int) -> None:
        """Remove the queued request, unless another was queued since."""
        self._update(environment, "REMOVE #wanted", "#revision = :revision", {":revision": revision})

    @calls("dynamodb:UpdateItem")
    def count_publication(self, environment: str, execution_arn: str) -> int:
        """Number of this execution's publication: one more than the last, and the same on a retry."""
        written = self._update(
            environment,
            "SET #published_count = if_not_exists(#published_count, :zero) + :one, #published_by = :arn",
            "attribute_not_exists(#published_by) OR #published_by <> :arn",
            {":zero": 0, ":one": 1, ":arn": execution_arn},
        )
        if not written.record.published_count:
            raise garbled(
                "dynamodb:UpdateItem", self._name(environment), "it holds no number, and was written"
            )
        return written.record.published_count

    @calls("dynamodb:UpdateItem")
    def record_failures(self, environment: str, failures: Sequence[FailedAttempts]) -> None:
        """Store the failures, the latest first, in place of the previous ones.

        The last one is in an attribute of its own, where releases before this one have it alone.
        """
        if not failures:
            self._update(environment, "REMOVE #failed, #failed_before", "attribute_exists(#pk)", {})
            return
        last, *before = failures
        listed = [each.model_dump(mode="json") for each in before]
        update = "SET #failed = :failed, #failed_before = :before"
        self._update(environment, update, None, {":failed": last, ":before": listed})

    @calls("dynamodb:UpdateItem")
    def note_rebuild(self, environment: str, since: datetime | None) -> None:
        """Store since when a rebuild is due; None when none is."""
        if since is None:
            self._update(environment, "REMOVE #rebuild_due_since", "attribute_exists(#pk)", {})
        else:
            self._update(environment, "SET #rebuild_due_since = :since", None, {":since": _date(since)})

    @calls("dynamodb:UpdateItem")
    def hold_back(self, environment: str, held: Sequence[HeldBack]) -> None:
        """Store the pending retries."""
        if held:
            values = {":held": [each.model_dump(mode="json", exclude_none=True) for each in held]}
            self._update(environment, "SET #held_back = :held", None, values)
        else:
            self._update(environment, "REMOVE #held_back", "attribute_exists(#pk)", {})

    @calls("dynamodb:UpdateItem")
    def record_unusable_base(self, environment: str, base: UnusableBase | None) -> None:
        """Store or remove the base image that no build can start from."""
        if base is None:
            self._update(environment, "REMOVE #unusable_base", "attribute_exists(#pk)", {})
        else:
            self._update(environment, "SET #unusable_base = :base", None, {":base": base})

    @calls("dynamodb:UpdateItem")
    def set_pin(self, environment: str, pin: Pin | None) -> None:
        """Pin or unpin."""
        if pin is None:
            self._update(environment, "REMOVE #pin", "attribute_exists(#pk)", {})
        else:
            self._update(environment, "SET #pin = :pin", None, {":pin": pin})

    @calls("dynamodb:Scan")
    def held_by(self, execution_arn: str) -> list[EnvironmentRecord]:
        """The records whose claim belongs to the execution. The table has one item per environment and
        one per open wait, so a scan is small.
        """
        with aws_errors("dynamodb:Scan", self._table):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                ConsistentRead=True,
                FilterExpression="begins_with(#pk, :prefix) AND #claim.#arn = :arn",
                ExpressionAttributeNames={"#pk": "pk", "#claim": "claim", "#arn": "execution_arn"},
                ExpressionAttributeValues={
                    ":prefix": to_attribute(KEY_PREFIX),
                    ":arn": to_attribute(execution_arn),
                },
            )
            return [
                _record(item["pk"]["S"].removeprefix(KEY_PREFIX), item)
                for page in pages
                for item in page["Items"]
            ]

    def _update(
        self,
        environment: str,
        update: str,
        condition: str | None,
        values: Mapping[str, BaseModel | str | int | list[dict[str, Any]]],
        returning: str = "ALL_NEW",
    ) -> WriteResult:
        """One UpdateItem; a failed condition is a result, not an error."""
        expressions = f"{update} {condition or ''}"
        parameters: dict[str, Any] = {
            "TableName": self._table,
            "Key": _key(environment),
            "UpdateExpression": update,
            "ExpressionAttributeNames": _names_in(expressions),
            "ReturnValues": returning,
        }
        if condition is not None:
            parameters["ConditionExpression"] = condition
            parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if values:
            parameters["ExpressionAttributeValues"] = {
                name: to_attribute(value) for name, value in values.items()
            }
        with aws_errors("dynamodb:UpdateItem", self._name(environment)):
            try:
                answer = self._client.update_item(**parameters)
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                # Without an item, the condition found none.
                return WriteResult(False, _record(environment, error.response.get("Item", {})))
            return WriteResult(True, _record(environment, answer["Attributes"]))

    def _name(self, environment: str) -> str:
        return f"{self._table}, {KEY_PREFIX}{environment}"


def _key(environment: str) -> dict[str, Any]:
    return {"pk": to_attribute(KEY_PREFIX + environment)}


def _names_in(expressions: str) -> dict[str, str]:
    """The name placeholders in the expressions: DynamoDB refuses unused ones."""
    words = set(expressions.replace(".", " ").replace("(", " ").replace(")", " ").replace(",", " ").split())
    return {f"#{name}": "execution_arn" if name == "arn" else name for name in NAMES if f"#{name}" in words}


def _date(date: datetime) -> str:
    """A date as pydantic writes it inside a claim, so that a claim read back compares equal."""
    return str(_DATES.dump_python(date, mode="json"))


def _record(environment: str, item: Mapping[str, Any]) -> EnvironmentRecord:
    """The record of a DynamoDB item, in which attributes that were never written are missing."""
    known = from_item(item)
    known["queued_request"] = known.get(_QUEUED_REQUEST)
    fields = {name: known[name] for name in EnvironmentRecord.model_fields if name in known}
    return EnvironmentRecord.model_validate({**fields, "environment": environment})
