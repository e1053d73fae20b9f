"""The deployed policies, grant by grant, and the roles that have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3
from tests.workflows.configuration import DURATIONS
from tests.workflows.conftest import Running
from tests.workflows.service import Service

from aws_emulator.iam.policies import Statement, parse_statements

_LITTLE_HISTORY = {"publication": {"history_to_keep": 1}}
# Provisioning takes long enough that a second push finds the environment held, however busy this machine is.
FEW_ENVIRONMENTS: dict[str, Any] = {
    "environments": {
        "failing": _LITTLE_HISTORY,
        # Scans are asked about by the plan and by the sweep, and there are none.
        # What a launch costs is reckoned from the snapshots, and a newer Ubuntu is looked for by the sweep.
        "calm": {**_LITTLE_HISTORY, "launch": {"initialization_rate": 300}},
        "swept": {
            **_LITTLE_HISTORY,
            "refresh": {"follow_base": True},
            "scan": {"missing": "allow", "wait_minutes": 0},
        },
        # Which previous images are kept goes by the records of their publications.
        "asked": {**_LITTLE_HISTORY, "approval": {"pushes": True}},
        "busy": {**_LITTLE_HISTORY, "retirement": {"keep_previous": 2}},
        # What stays is marked, and what goes comes back.
        "wayback": {
            "retirement": {"keep_previous": 1, "deprecate_kept": True, "deregistration_protection": True}
        },
    },
    "durations": replace(DURATIONS, provision=200),
    "parameters": {"KeepPackageLists": "true", "RecycleBinDays": "7"},
}


@dataclass(frozen=True)
class Grant:
    """One action on one resource in one statement of a role or managed policy, and all roles that have it."""

    owner: str
    number: int
    action: str
    resource: str
    role_arns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.owner} {self.action}"


class Policies:
    """The deployed policies, as IAM's API shows them."""

    def __init__(self, service: Service) -> None:
        self._iam = service.client("iam")
        self._roles = {
            logical_id: self._iam.get_role(RoleName=name)["Role"]["Arn"]
            for logical_id, name in service.physical_ids.items()
            if logical_id.endswith("Role")
        }
        self._managed = {
            name: logical_id
            for logical_id, name in service.physical_ids.items()
            if logical_id.endswith("Policy")
        }
        self.documents: dict[str, dict[str, Any]] = {}
        self.attached: dict[str, list[str]] = {}
        for logical_id, arn in self._roles.items():
            self._read_role(logical_id, arn)

    @property
    def roles(self) -> Mapping[str, str]:
        """ARNs by logical id."""
        return self._roles

    def _read_role(self, logical_id: str, arn: str) -> None:
        name = arn.rpartition("/")[2]
        self.attached[arn] = []
        for inline in self._iam.list_role_policies(RoleName=name)["PolicyNames"]:
            found = self._iam.get_role_policy(RoleName=name, PolicyName=inline)["PolicyDocument"]
            self.documents[logical_id] = found
            self.attached[arn].append(logical_id)
        for policy in self._iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            owner = self._managed[policy["PolicyArn"]]
            version = self._iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
            found = self._iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
            self.documents[owner] = found["PolicyVersion"]["Document"]
            self.attached[arn].append(owner)

    def grants(self) -> Iterator[Grant]:
        for owner, document in self.documents.items():
            roles = tuple(arn for arn, owners in self.attached.items() if owner in owners)
            for number, statement in enumerate(document["Statement"]):
                if statement["Effect"] == "Deny":
                    continue
                for action in listed(statement["Action"]):
                    for resource in listed(statement["Resource"]):
                        yield Grant(owner, number, action, resource, roles)

    def statements(self, role_arn: str) -> tuple[Statement, ...]:
        """All statements of a role."""
        return tuple(
            each for owner in self.attached[role_arn] for each in parse_statements(self.documents[owner])
        )

    def without(self, grant: Grant, role_arn: str) -> tuple[Statement, ...]:
        """A role's statements as they would be without one grant."""
        statements = []
        for owner in self.attached[role_arn]:
            for number, raw in enumerate(self.documents[owner]["Statement"]):
                if (owner, number) == (grant.owner, grant.number):
                    statements += _without(raw, grant)
                else:
                    statements.append(raw)
        return parse_statements({"Statement": statements})


def _without(raw: dict[str, Any], grant: Grant) -> list[dict[str, Any]]:
    """The statement without one pair of action and resource, as up to two statements."""
    others = [action for action in listed(raw["Action"]) if action != grant.action]
    elsewhere = [resource for resource in listed(raw["Resource"]) if resource != grant.resource]
    parts = []
    if others:
        parts.append({**raw, "Action": others})
    if elsewhere:
        parts.append({**raw, "Action": grant.action, "Resource": elsewhere})
    return parts


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def client_of(running: Running, function: str, service_name: str) -> Any:
    """A client that signs as a function does."""
    emulator = running.emulator
    key = emulator.identities.issue(function, emulator.identities.role_of(function)).access_key_id
    return boto3.client(
        service_name,
        endpoint_url=emulator.endpoint_url,
        region_name=emulator.region,
        aws_access_key_id=key,
        aws_secret_access_key="emulated",
    )


class Taken:
    """Takes an action from a role's policies, as an administrator could, and gives it back.

    A Deny does that: it outweighs every Allow, wherever that stands.
    """

    def __init__(self, running: Running, action: str, *, role: str) -> None:
        self._iam = running.service.client("iam")
        self._role = running.service.physical_ids[role]
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        self._document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def __enter__(self) -> None:
        self._iam.put_role_policy(RoleName=self._role, PolicyName="Taken", PolicyDocument=self._document)

    def __exit__(self, *_: object) -> None:
        self._iam.delete_role_policy(RoleName=self._role, PolicyName="Taken")
