"""A parameter of the advanced tier is overwritten in it, also where AWS takes a write without a tier as a way back."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ami_lifecycle.adapters.parameters import SsmParameters

NAME = "/comfyui/ami/prod/latest"


class Ssm:
    """An account whose default is the standard tier, and that refuses a way back to it."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.writes: list[dict[str, Any]] = []

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        assert Name == NAME
        return {"Parameter": {"Name": NAME, "Value": "ami-1", "Version": 3, "Type": "String"}}

    def put_parameter(self, **asked: Any) -> dict[str, Any]:
        self.writes.append(asked)
        if "Tier" not in asked:
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": self.message}}, "PutParameter"
            )
        return {"Version": 4, "Tier": asked["Tier"]}


def put(ssm: Ssm) -> int:
    return SsmParameters(ssm).put(NAME, "ami-2", data_type="aws:ec2:image", description="x", tags={})


def test_the_tier_is_named_where_aws_asks_for_it() -> None:
    ssm = Ssm("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from it.")
    assert put(ssm) == 4
    assert [write.get("Tier") for write in ssm.writes] == [None, "Advanced"]


def test_another_refusal_is_not_repeated() -> None:
    ssm = Ssm("Parameter value can't nest another parameter.")
    with pytest.raises(ClientError):
        put(ssm)
    assert len(ssm.writes) == 1
