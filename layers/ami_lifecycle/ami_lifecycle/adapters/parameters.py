"""SSM Parameter Store behind the port `Parameters`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.tags import to_tags
from ami_lifecycle.adapters.translation import aws_errors, code_of, message_of
from ami_lifecycle.ports import StoredParameter

_ADVANCED: Final = "advanced-parameter tier"
# SSM API reference, GetParameter, Errors.
_MISSING: Final = frozenset({"ParameterNotFound", "ParameterVersionNotFound"})
# SSM API reference, GetParameters: ten names at most.
_NAMES_PER_CALL: Final = 10


def _stored(parameter: Mapping[str, Any]) -> StoredParameter:
    return StoredParameter(
        parameter["Value"],
        parameter["Version"],
        parameter.get("DataType", "text"),
        parameter.get("Type", "String"),
    )


class SsmParameters:
    """Parameters of type String through a low-level SSM client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ssm:GetParameter")
    def get(self, name: str) -> StoredParameter | None:
        """One parameter, or the version or label of it behind a colon; None when it does not exist."""
        with aws_errors("ssm:GetParameter", name):
            try:
                answer = self._client.get_parameter(Name=name)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
            return _stored(answer["Parameter"])

    @calls("ssm:GetParameters")
    def get_each(self, names: Sequence[str]) -> dict[str, StoredParameter]:
        """Those of the parameters that exist, by name; ten in a call."""
        found: dict[str, StoredParameter] = {}
        for start in range(0, len(names), _NAMES_PER_CALL):
            chunk = list(names[start : start + _NAMES_PER_CALL])
            with aws_errors("ssm:GetParameters", ", ".join(chunk)):
                answer = self._client.get_parameters(Names=chunk)
                found |= {each["Name"]: _stored(each) for each in answer["Parameters"]}
                missing = answer.get("InvalidParameters") or ()
                if len(answer["Parameters"]) + len(missing) != len(set(chunk)):
                    raise LookupError("a name of which the answer says nothing")
        return found

    @calls("ssm:PutParameter")
    def overwrite(self, name: str, value: str, *, data_type: str, description: str) -> int:
        """Overwrite one that exists; returns the version that the write was given."""
        return self._overwrite(name, value, data_type, description)

    # SSM validates an aws:ec2:image with the writer's ec2:DescribeImages, and drops the write without it.
    @calls("ssm:PutParameter", "ssm:GetParameter", "ssm:AddTagsToResource", "ec2:DescribeImages")
    def put(self, name: str, value: str, *, data_type: str, description: str, tags: Mapping[str, str]) -> int:
        """Create it with tags, or overwrite it; returns the version that the write was given.

        A data type cannot be changed, so an existing parameter keeps its own. Raises `RefusedError` when
        its hundredth version carries a label.
        """
        known = self.get(name)
        if known is None:
            created = self._create(name, value, data_type, description, tags)
            if created is not None:
                return created
            # Another writer, or an earlier attempt whose response was lost, has created it meanwhile.
            known = self.get(name)
        return self._overwrite(name, value, known.data_type if known else data_type, description)

    @calls("ssm:GetParametersByPath")
    def list_below(self, path: str) -> dict[str, StoredParameter]:
        """All parameters below a path, by name."""
        with aws_errors("ssm:GetParametersByPath", path):
            pages = self._client.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
            return {found["Name"]: _stored(found) for page in pages for found in page["Parameters"]}

    @calls("ssm:DeleteParameter")
    def delete(self, name: str) -> None:
        """Delete it. Idempotent."""
        with aws_errors("ssm:DeleteParameter", name):
            try:
                self._client.delete_parameter(Name=name)
            except ClientError as error:
                if code_of(error) != "ParameterNotFound":
                    raise

    def _create(
        self, name: str, value: str, data_type: str, description: str, tags: Mapping[str, str]
    ) -> int | None:
        with aws_errors("ssm:PutParameter", name):
            try:
                answer = self._client.put_parameter(
                    Name=name,
                    Value=value,
                    Type="String",
                    DataType=data_type,
                    Description=description,
                    Tags=to_tags(tags),
                )
            except ClientError as error:
                if code_of(error) == "ParameterAlreadyExists":
                    return None
                raise
            return int(answer["Version"])

    def _overwrite(self, name: str, value: str, data_type: str, description: str) -> int:
        asked = {
            "Name": name,
            "Value": value,
            "Type": "String",
            "DataType": data_type,
            "Description": description,
            "Overwrite": True,
        }
        with aws_errors("ssm:PutParameter", name):
            try:
                answer = self._client.put_parameter(**asked)
            except ClientError as error:
                # The tier is named explicitly: in an account whose default is the standard tier, a write without it
                # to an advanced parameter may be refused as a downgrade (SSM user guide, Parameter tiers).
                if code_of(error) != "ValidationException" or _ADVANCED not in message_of(error):
                    raise
                answer = self._client.put_parameter(**asked, Tier="Advanced")
            return int(answer["Version"])
