"""The permissions that a call needs, by the services' tables; strict for calls that are in none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_emulator.iam import ec2_calls, service_calls, ssm_calls
from aws_emulator.iam.account import AccountView
from aws_emulator.iam.ec2_calls import Needs
from aws_emulator.iam.policies import Check, check

CALLS: Final[Mapping[tuple[str, str], Needs]] = {**ec2_calls.CALLS, **ssm_calls.CALLS, **service_calls.CALLS}
# IAM's prefix of a service where it is not the name that boto3 uses.
_PREFIXES: Final = {
    "resourcegroupstaggingapi": "tag",
    "stepfunctions": "states",
}


def needs_of(
    service: str, operation: str, parameters: Mapping[str, Any], account: AccountView
) -> list[Check]:
    """The checks that must all be allowed for a call.

    A call that no table knows is taken to have no resource, so only a grant on `*` without a condition
    that needs a key allows it.
    """
    needs = CALLS.get((service, operation))
    if needs is None:
        return [check(f"{_PREFIXES.get(service, service)}:{operation}")]
    return needs(parameters, account)
