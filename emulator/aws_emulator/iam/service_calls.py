"""What calls of the other services need (service authorization reference, one page for each service)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.iam.account import AccountView
from aws_emulator.iam.ec2_calls import Needs, Parameters
from aws_emulator.iam.policies import Check, check

# Members of TransactItems, and the actions that they need.
_TRANSACTION_ACTIONS: Final = {
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Delete": "dynamodb:DeleteItem",
    "Get": "dynamodb:GetItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
}


def _table(account: AccountView, name: str) -> str:
    return name if name.startswith("arn:") else account.arn("dynamodb", f"table/{name}")


def _item(action: str, account: AccountView, table: str, item: Mapping[str, Any]) -> Check:
    """A check on a table, with the partition key's value as `dynamodb:LeadingKeys`."""
    key = account.hash_key(table.rpartition("/")[2])
    value = item.get(key or "", {})
    leading = [str(each) for each in value.values()] if isinstance(value, Mapping) else []
    return check(action, _table(account, table), {"dynamodb:LeadingKeys": leading})


def _on_item(operation: str, member: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [_item(f"dynamodb:{operation}", account, parameters["TableName"], parameters.get(member, {}))]

    return needs


def _on_table(operation: str) -> Needs:
    """Calls on many items of a table: no leading key is known, so a condition on it finds none."""

    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [check(f"dynamodb:{operation}", _table(account, parameters["TableName"]))]

    return needs


def _transaction(parameters: Parameters, account: AccountView) -> list[Check]:
    return [
        _item(
            _TRANSACTION_ACTIONS[kind],
            account,
            request["TableName"],
            request.get("Key") or request.get("Item", {}),
        )
        for each in parameters["TransactItems"]
        for kind, request in each.items()
    ]


def _on_arn(action: str, member: str) -> Needs:
    def needs(parameters: Parameters, _account: AccountView) -> list[Check]:
        return [check(action, parameters.get(member) or "*")]

    return needs


def _function(parameters: Parameters, account: AccountView) -> list[Check]:
    """The function's ARN; `lambda:InvokeFunction` is the action of the operation Invoke."""
    name = parameters["FunctionName"]
    return [
        check(
            "lambda:InvokeFunction",
            name if name.startswith("arn:") else account.arn("lambda", f"function:{name}"),
        )
    ]


def _queue(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [check(f"sqs:{operation}", account.arn("sqs", parameters["QueueUrl"].rpartition("/")[2]))]

    return needs


def _repositories(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        names: Iterable[str] = parameters.get("repositoryNames") or [parameters.get("repositoryName") or "*"]
        return [check(f"ecr:{operation}", account.arn("ecr", f"repository/{name}")) for name in names]

    return needs


def _scan_findings(parameters: Parameters, account: AccountView) -> list[Check]:
    """Findings of Inspector are read in the caller's name (ECR user guide, IAM permissions required for enhanced
    scanning; alexjurkiewicz/ecr-scan-image #19 has the denial).
    """
    checks = _repositories("DescribeImageScanFindings")(parameters, account)
    if account.has_enhanced_scanning():
        checks += [check("inspector2:ListFindings"), check("inspector2:ListCoverage")]
    return checks


def _put_events(parameters: Parameters, account: AccountView) -> list[Check]:
    checks = []
    for entry in parameters["Entries"]:
        bus = entry.get("EventBusName") or "default"
        arn = bus if bus.startswith("arn:") else account.arn("events", f"event-bus/{bus}")
        context = {
            "events:source": entry.get("Source", ""),
            "events:detail-type": entry.get("DetailType", ""),
        }
        checks.append(check("events:PutEvents", arn, context))
    return checks


def _on_object(operation: str) -> Needs:
    def needs(parameters: Parameters, _account: AccountView) -> list[Check]:
        return [check(f"s3:{operation}", f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")]

    return needs


def _get_object(parameters: Parameters, account: AccountView) -> list[Check]:
    """Who may not list a bucket is not told that it lacks an object (S3 API reference, GetObject)."""
    bucket, key = parameters["Bucket"], parameters["Key"]
    reading = check("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    if account.has_object(bucket, key):
        return [reading]
    return [reading, check("s3:ListBucket", f"arn:aws:s3:::{bucket}")]


CALLS: Final[Mapping[tuple[str, str], Needs]] = {
    ("dynamodb", "DeleteItem"): _on_item("DeleteItem", "Key"),
    ("dynamodb", "GetItem"): _on_item("GetItem", "Key"),
    ("dynamodb", "PutItem"): _on_item("PutItem", "Item"),
    ("dynamodb", "Query"): _on_table("Query"),
    ("dynamodb", "Scan"): _on_table("Scan"),
    ("dynamodb", "TransactGetItems"): _transaction,
    ("dynamodb", "TransactWriteItems"): _transaction,
    ("dynamodb", "UpdateItem"): _on_item("UpdateItem", "Key"),
    ("ecr", "BatchGetImage"): _repositories("BatchGetImage"),
    ("ecr", "DescribeImageScanFindings"): _scan_findings,
    ("ecr", "DescribeImages"): _repositories("DescribeImages"),
    ("ecr", "DescribeRepositories"): _repositories("DescribeRepositories"),
    ("ecr", "ListImages"): _repositories("ListImages"),
    ("events", "PutEvents"): _put_events,
    ("lambda", "GetLayerVersionByArn"): _on_arn("lambda:GetLayerVersion", "Arn"),
    ("lambda", "Invoke"): _function,
    ("s3", "DeleteObject"): _on_object("DeleteObject"),
    ("s3", "GetObject"): _get_object,
    ("s3", "PutObject"): _on_object("PutObject"),
    ("secretsmanager", "GetSecretValue"): _on_arn("secretsmanager:GetSecretValue", "SecretId"),
    ("sns", "Publish"): _on_arn("sns:Publish", "TopicArn"),
    ("sqs", "SendMessage"): _queue("SendMessage"),
    ("stepfunctions", "DescribeExecution"): _on_arn("states:DescribeExecution", "executionArn"),
    ("stepfunctions", "GetExecutionHistory"): _on_arn("states:GetExecutionHistory", "executionArn"),
    ("stepfunctions", "ListExecutions"): _on_arn("states:ListExecutions", "stateMachineArn"),
    ("stepfunctions", "StartExecution"): _on_arn("states:StartExecution", "stateMachineArn"),
    ("stepfunctions", "StopExecution"): _on_arn("states:StopExecution", "executionArn"),
}
