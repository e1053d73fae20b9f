"""Secrets of Secrets Manager as parameters.

Sources: Systems Manager user guide, "Referencing AWS Secrets Manager secrets from Parameter Store parameters";
radkawar/stackd, testdata/aws/ssm/secret_references.json; localstack/localstack, tests/aws/services/ssm.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.api.errors import validation
from aws_emulator.api.operations import ApiError

PREFIX: Final = "/aws/reference/secretsmanager/"
_VERSION_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Who reads, and the parameters of GetSecretValue; the answer, or the service's ApiError.
ReadSecret = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def secret_parameter(read: ReadSecret, caller: str, name: str, *, decrypt: bool) -> dict[str, Any]:
    """What GetParameter shows of a secret, which the caller must be allowed to read.

    Raises:
        ApiError: `ValidationException` without decryption, `ParameterNotFound`, or Secrets Manager's own.
    """
    if not decrypt:
        raise validation("WithDecryption flag must be True for retrieving a Secret Manager secret.")
    path, _, selector = name.partition(":")
    asked: dict[str, Any] = {"SecretId": path.removeprefix(PREFIX)}
    if selector:
        asked["VersionId" if _VERSION_ID.fullmatch(selector) else "VersionStage"] = selector
    try:
        secret = read(caller, asked)
    except ApiError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise ApiError(
            "ParameterNotFound",
            f"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {path} not found.",
        ) from error
    text = secret.get("SecretString")
    value = text if text is not None else base64.b64encode(secret["SecretBinary"]).decode()
    shown: dict[str, Any] = {
        "Name": path,
        "Type": "SecureString",
        "Value": value,
        "Version": 0,
        "SourceResult": _source(secret),
        "LastModifiedDate": secret["CreatedDate"],
        "ARN": secret["ARN"],
    }
    return shown | ({"Selector": f":{selector}"} if selector else {})


def _source(secret: Mapping[str, Any]) -> str:
    created = secret["CreatedDate"]
    content = {
        "ARN": secret["ARN"],
        "name": secret["Name"],
        "versionId": secret["VersionId"],
        "secretString": secret.get("SecretString"),
        "versionStages": secret["VersionStages"],
        "createdDate": f"{created:%b} {created.day}, {created.year}, {created.hour % 12 or 12}:{created:%M:%S %p}",
    }
    return json.dumps(
        {key: value for key, value in content.items() if value is not None}, separators=(",", ":")
    )
