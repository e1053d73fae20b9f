"""What Systems Manager calls need (service authorization reference, AWS Systems Manager)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.iam.account import AccountView
from aws_emulator.iam.ec2_calls import Needs, Parameters
from aws_emulator.iam.policies import Check, check

_PUBLIC: Final = "/aws/service/"
_KEY_OF_AWS: Final = "alias/aws/ssm"
_TAGGED_KINDS: Final = {"Parameter": "parameter", "Document": "document"}


def _parameter(
    action: str, account: AccountView, name: str, context: Mapping[str, Any] | None = None
) -> Check:
    """A check on a parameter; `name:3` and `name:label` are the parameter `name`."""
    name = _path(name)
    tags = account.parameter_tags(name)
    own = {f"{prefix}/{key}": value for prefix in _TAG_KEYS for key, value in tags.items()}
    arn = account.arn("ssm", f"parameter/{name.removeprefix('/')}", owned=not name.startswith(_PUBLIC))
    return check(action, arn, {**own, **(context or {})})


_TAG_KEYS: Final = ("aws:ResourceTag", "ssm:resourceTag")


def _decrypting(parameters: Parameters, account: AccountView, names: Iterable[str]) -> list[Check]:
    """`kms:Decrypt` on the key of each SecureString that is asked for with its value.

    The policy of alias/aws/ssm lets every principal of the account decrypt, so that only a Deny keeps one out; a
    customer's key leaves it to the policies of IAM (Systems Manager user guide, Restricting access to Parameter Store
    parameters; AWS KMS developer guide, How AWS Systems Manager Parameter Store uses AWS KMS).
    """
    if not parameters.get("WithDecryption"):
        return []
    checks = []
    for name, key in account.secrets(_path(name) for name in names):
        context = {
            "kms:ViaService": f"ssm.{account.region}.amazonaws.com",
            "kms:EncryptionContext:PARAMETER_ARN": account.arn("ssm", f"parameter/{name.removeprefix('/')}"),
        }
        owned_by_aws = key == _KEY_OF_AWS
        key_id = "aws-ssm" if owned_by_aws else key.rpartition("key/")[2]
        checks.append(
            check("kms:Decrypt", account.arn("kms", f"key/{key_id}"), context, admitted=owned_by_aws)
        )
    return checks


def _path(name: str) -> str:
    """A parameter's name without the version or label behind it, of a name or an ARN."""
    if name.startswith("arn:"):
        name = "/" + name.partition(":parameter/")[2]
    return name.partition(":")[0]


def _reading(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        names = parameters.get("Names") or [parameters["Name"]]
        asked = [_parameter(f"ssm:{operation}", account, name) for name in names]
        return asked + _decrypting(parameters, account, names)

    return needs


def _by_path(parameters: Parameters, account: AccountView) -> list[Check]:
    path = parameters["Path"]
    own = _parameter("ssm:GetParametersByPath", account, path)
    return [own, *_decrypting(parameters, account, account.names_below(path))]


def _on_name(operation: str, member: str = "Name") -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [_parameter(f"ssm:{operation}", account, parameters[member])]

    return needs


def _on_names(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [_parameter(f"ssm:{operation}", account, name) for name in parameters["Names"]]

    return needs


def _request_tags(parameters: Parameters) -> dict[str, Any]:
    tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags") or ()}
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | {"aws:TagKeys": list(tags)}


def _put_parameter(parameters: Parameters, account: AccountView) -> list[Check]:
    """Tags in the call also need AddTagsToResource (Systems Manager user guide, Tagging parameters)."""
    asked, name = _request_tags(parameters), parameters["Name"]
    actions = ["ssm:PutParameter", *(["ssm:AddTagsToResource"] if parameters.get("Tags") else [])]
    return [_parameter(action, account, name, asked) for action in actions]


def _on_tagged(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        action, kind = f"ssm:{operation}", _TAGGED_KINDS.get(parameters["ResourceType"])
        if kind == "parameter":
            return [_parameter(action, account, parameters["ResourceId"], _request_tags(parameters))]
        resource = account.arn("ssm", f"{kind or '*'}/{parameters['ResourceId']}")
        return [check(action, resource, _request_tags(parameters))]

    return needs


def _document(action: str, account: AccountView, name: str) -> Check:
    """A check on a document; one of AWS has no account in its ARN."""
    owned = not name.startswith(("AWS-", "Amazon"))
    arn = name if name.startswith("arn:") else account.arn("ssm", f"document/{name}", owned=owned)
    return check(action, arn)


def _get_document(parameters: Parameters, account: AccountView) -> list[Check]:
    return [_document("ssm:GetDocument", account, parameters["Name"])]


def _send_command(parameters: Parameters, account: AccountView) -> list[Check]:
    """The document and every instance are authorised; a target by tags stands for any instance."""
    instances = parameters.get("InstanceIds") or ["*"]
    return [
        _document("ssm:SendCommand", account, parameters["DocumentName"]),
        *(_instance("ssm:SendCommand", account, each) for each in instances),
    ]


def _instance(action: str, account: AccountView, instance_id: str) -> Check:
    tags = account.ec2_tags("instance", instance_id)
    context = {f"{prefix}/{key}": value for prefix in _TAG_KEYS for key, value in tags.items()}
    return check(action, account.arn("ec2", f"instance/{instance_id}"), context)


CALLS: Final[Mapping[tuple[str, str], Needs]] = {
    ("ssm", "AddTagsToResource"): _on_tagged("AddTagsToResource"),
    ("ssm", "DeleteParameter"): _on_name("DeleteParameter"),
    ("ssm", "DeleteParameters"): _on_names("DeleteParameters"),
    ("ssm", "GetDocument"): _get_document,
    ("ssm", "GetParameter"): _reading("GetParameter"),
    ("ssm", "GetParameterHistory"): _reading("GetParameterHistory"),
    ("ssm", "GetParameters"): _reading("GetParameters"),
    ("ssm", "GetParametersByPath"): _by_path,
    ("ssm", "LabelParameterVersion"): _on_name("LabelParameterVersion"),
    ("ssm", "ListTagsForResource"): _on_tagged("ListTagsForResource"),
    ("ssm", "PutParameter"): _put_parameter,
    ("ssm", "RemoveTagsFromResource"): _on_tagged("RemoveTagsFromResource"),
    ("ssm", "SendCommand"): _send_command,
    ("ssm", "UnlabelParameterVersion"): _on_name("UnlabelParameterVersion"),
}
