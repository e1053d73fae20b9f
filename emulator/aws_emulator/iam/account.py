"""Data of the account that the evaluation of permissions needs: policies, tags, keys of tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aws_emulator.api.operations import ApiError
from aws_emulator.ec2.model import Resource
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.s3 import Buckets
from aws_emulator.ssm.parameters import ParameterTable


class AccountView:
    """Reads the services' state. Read-only."""

    def __init__(
        self,
        account_id: str,
        region: str,
        ec2: Ec2Store,
        parameters: ParameterTable,
        moto: MotoAccount,
        buckets: Buckets,
    ) -> None:
        self.account_id = account_id
        self.region = region
        self.ec2 = ec2
        self._parameters = parameters
        self._moto = moto
        self._buckets = buckets
        # Set where there is a registry.
        self.has_enhanced_scanning: Callable[[], bool] = lambda: False

    def arn(self, service: str, resource: str, *, owned: bool = True) -> str:
        """An ARN of this account and Region; `owned` is False for what has no account in its ARN."""
        return f"arn:aws:{service}:{self.region}:{self.account_id if owned else ''}:{resource}"

    # IAM.

    def policies_of(self, role_arn: str) -> list[str]:
        """The documents of a role's policies, inline and attached; empty for an unknown role."""
        with self._moto.backend("iam") as iam:
            role = _role(iam, role_arn)
            if role is None:
                return []
            attached = [
                _text(version.document)
                for policy in role.managed_policies.values()
                for version in policy.versions
                if version.version_id == policy.default_version_id
            ]
            return [_text(document) for document in role.policies.values()] + attached

    def trust_of(self, role_arn: str) -> str:
        """A role's trust policy; one that trusts nobody for an unknown role."""
        with self._moto.backend("iam") as iam:
            role = _role(iam, role_arn)
        return _text(role.assume_role_policy_document) if role else '{"Statement": []}'

    def role_of_profile(self, profile: Mapping[str, str]) -> str | None:
        """The ARN of the role in an instance profile given by name or ARN."""
        name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
        with self._moto.backend("iam") as iam:
            profiles = list(iam.instance_profiles.values())
        for each in profiles:
            if each.name == name and each.roles:
                return str(each.roles[0].arn)
        return None

    # EC2.

    def ec2_tags(self, kind: str, resource_id: str) -> Mapping[str, str]:
        """The tags of an instance, image or snapshot; none for what EC2 does not know."""
        stores: dict[str, Mapping[str, Resource]] = {
            "image": self.ec2.images,
            "instance": self.ec2.instances,
            "snapshot": self.ec2.snapshots,
            "volume": self.ec2.volumes,
        }
        with self.ec2.lock:
            found = stores.get(kind, {}).get(resource_id)
            if found is None and kind == "snapshot":
                # The condition key is of what is in the bin, too (service authorization reference,
                # RestoreSnapshotFromRecycleBin).
                binned = self.ec2.bin.content(self.ec2.clock.now()).get(resource_id)
                found = binned.snapshot if binned else None
            return dict(found.tags) if found else {}

    def subnet_of(self, subnet_id: str | None, zone: str | None) -> str:
        """The subnet of a launch: the given one, else the zone's default; `*` if there is none."""
        if subnet_id:
            return subnet_id
        try:
            return self.ec2.moto.default_subnet(zone).subnet_id
        except ApiError:
            return "*"

    def subnet_arn(self, subnet_id: str) -> str:
        """The ARN of a subnet: one that another account shares has its owner's account in it."""
        owner = self.ec2.moto.owner_of_subnet(subnet_id)
        return f"arn:aws:ec2:{self.region}:{owner}:subnet/{subnet_id}"

    # Systems Manager, DynamoDB, SQS.

    def parameter_tags(self, name: str) -> Mapping[str, str]:
        """The tags of a parameter; none for one that does not exist."""
        with self._parameters.lock:
            found = self._parameters.by_name.get(name)
            return dict(found.tags) if found else {}

    def secrets(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The SecureStrings among parameters, each with the key that encrypts it."""
        with self._parameters.lock:
            found = ((name, self._parameters.by_name.get(name)) for name in names)
            return [
                (name, parameter.latest.key_id or "")
                for name, parameter in found
                if parameter is not None and parameter.latest.kind == "SecureString"
            ]

    def names_below(self, path: str) -> list[str]:
        """The names of all parameters of a hierarchy."""
        below = path.rstrip("/") + "/"
        with self._parameters.lock:
            return [name for name in self._parameters.by_name if name.startswith(below)]

    def hash_key(self, table: str) -> str | None:
        """The name of a table's partition key."""
        with self._moto.backend("dynamodb") as dynamodb:
            found = dynamodb.tables.get(table)
        return str(found.hash_key_attr) if found else None

    def state_of_key(self, key_arn: str) -> str:
        """The state of a KMS key, as DescribeKey shows it; `Unknown` for one that does not exist."""
        with self._moto.backend("kms") as kms:
            key = kms.keys.get(key_arn.rpartition("/")[2])
        return str(key.key_state) if key else "Unknown"

    def has_object(self, bucket: str, key: str) -> bool:
        """Whether a bucket has an object."""
        return self._buckets.has(bucket, key)

    def queue_policy(self, arn: str) -> str:
        """A queue's policy; one that admits nobody if it has none."""
        with self._moto.backend("sqs") as sqs:
            queue = sqs.queues.get(arn.rpartition(":")[2])
        policy = queue.policy if queue else None
        return _text(policy) if policy else '{"Statement": []}'


def _role(iam: Any, role_arn: str) -> Any:
    return next((role for role in iam.roles.values() if role.arn == role_arn), None)


def _text(document: Any) -> str:
    """A policy document as JSON, whichever form it is kept in."""
    return document if isinstance(document, str) else json.dumps(document, sort_keys=True)
