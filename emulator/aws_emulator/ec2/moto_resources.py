"""Resources in moto's state that EC2 needs: subnets, security groups, instance types, instance profiles, their
tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from aws_emulator.api.operations import ApiError
from aws_emulator.gateway.moto_backend import MotoAccount


@dataclass(frozen=True)
class Subnet:
    """A subnet as a launch needs it."""

    subnet_id: str
    vpc_id: str
    zone: str
    is_default: bool


class MotoResources:
    """Reads moto's resources of one account and Region."""

    def __init__(self, moto: MotoAccount, account_id: str) -> None:
        self._moto = moto
        self._account_id = account_id
        self._owners: dict[str, str] = {}

    def subnets(self) -> list[Subnet]:
        """All subnets."""
        with self._moto.backend("ec2") as ec2:
            return [
                Subnet(subnet.id, subnet.vpc_id, subnet.availability_zone, _is_true(subnet.default_for_az))
                for subnet in ec2.describe_subnets()
            ]

    def subnet(self, subnet_id: str) -> Subnet:
        """The subnet with an id.

        Raises:
            ApiError: `InvalidSubnetID.NotFound`.
        """
        for subnet in self.subnets():
            if subnet.subnet_id == subnet_id:
                return subnet
        raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")

    def default_subnet(self, zone: str | None) -> Subnet:
        """The default subnet of a zone, or of any zone.

        Raises:
            ApiError: `MissingInput` if there is none.
        """
        for subnet in sorted(self.subnets(), key=lambda each: each.zone):
            if subnet.is_default and zone in {None, subnet.zone}:
                return subnet
        raise ApiError(
            "MissingInput", f"No subnets found for the default VPC. zone: {zone}. Please specify a subnet."
        )

    def share_subnet(self, subnet_id: str, owner_id: str) -> None:
        """Have another account own a subnet and share it with this one (AWS RAM user guide, Shareable resources)."""
        self._owners[self.subnet(subnet_id).subnet_id] = owner_id

    def owner_of_subnet(self, subnet_id: str) -> str:
        """The account that owns a subnet; this one if nobody shares it."""
        return self._owners.get(subnet_id, self._account_id)

    def private_ip(self, subnet_id: str, number: int) -> str:
        """An address in the subnet for the n-th instance."""
        with self._moto.backend("ec2") as ec2:
            network = next(subnet.cidr for subnet in ec2.describe_subnets() if subnet.id == subnet_id)
        return str(network[4 + number % (network.num_addresses - 5)])

    def security_groups(self, vpc_id: str, group_ids: list[str]) -> list[dict[str, str]]:
        """Ids and names of security groups; the VPC's default one if none is given.

        Raises:
            ApiError: `InvalidGroup.NotFound`, or `InvalidParameter` for a group of another VPC.
        """
        with self._moto.backend("ec2") as ec2:
            groups = {group.id: group for group in ec2.describe_security_groups()}
        if not group_ids:
            group_ids = [
                group.id for group in groups.values() if group.vpc_id == vpc_id and group.name == "default"
            ]
        found = []
        for group_id in group_ids:
            group = groups.get(group_id)
            if group is None:
                raise ApiError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
            if group.vpc_id != vpc_id:
                raise ApiError(
                    "InvalidParameter", f"Security group {group_id} and subnet belong to different networks."
                )
            found.append({"GroupId": group.id, "GroupName": group.name})
        return found

    def instance_type(self, name: str) -> Mapping[str, Any]:
        """EC2's data of an instance type.

        Raises:
            ApiError: `InvalidParameterValue` for an unknown one.
        """
        if name not in INSTANCE_TYPES:
            raise ApiError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
        data: Mapping[str, Any] = INSTANCE_TYPES[name]
        return data

    def instance_profile(self, profile: Mapping[str, str]) -> dict[str, str]:
        """ARN and id of an instance profile given by name or ARN.

        Raises:
            ApiError: `InvalidParameterValue` if IAM does not have it.
        """
        with self._moto.backend("iam") as iam:
            profiles = list(iam.get_instance_profiles())
        name, arn = profile.get("Name"), profile.get("Arn")
        for known in profiles:
            if known.arn == arn or (name is not None and known.name == name):
                return {"Arn": known.arn, "Id": known.id}
        if arn is not None:
            raise ApiError(
                "InvalidParameterValue", f"Value ({arn}) for parameter iamInstanceProfile.arn is invalid."
            )
        raise ApiError(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        )

    def create_tags(self, resource_id: str, tags: Mapping[str, str]) -> None:
        """Tag a resource that moto keeps.

        Raises:
            ApiError: `InvalidID` for an id that nobody knows.
        """
        self._require(resource_id)
        with self._moto.backend("ec2") as ec2:
            ec2.create_tags([resource_id], dict(tags))

    def delete_tags(self, resource_id: str, tags: Mapping[str, str | None]) -> None:
        """Remove tags from a resource that moto keeps; None stands for any value.

        Raises:
            ApiError: `InvalidID` for an id that nobody knows.
        """
        self._require(resource_id)
        with self._moto.backend("ec2") as ec2:
            ec2.delete_tags([resource_id], dict(tags))

    def tags(self) -> list[dict[str, str]]:
        """All tags of the resources that moto keeps, as DescribeTags shows them."""
        with self._moto.backend("ec2") as ec2:
            tags = list(ec2.describe_tags())
        return [
            {
                "ResourceId": tag["resource_id"],
                "ResourceType": tag["resource_type"],
                "Key": tag["key"],
                "Value": tag["value"],
            }
            for tag in tags
        ]

    def _require(self, resource_id: str) -> None:
        with self._moto.backend("ec2") as ec2:
            known = {
                *(subnet.id for subnet in ec2.describe_subnets()),
                *(vpc.id for vpc in ec2.describe_vpcs()),
                *(group.id for group in ec2.describe_security_groups()),
                *(table.id for table in ec2.describe_route_tables()),
                *(gateway.id for gateway in ec2.describe_internet_gateways()),
            }
        if resource_id not in known:
            raise ApiError("InvalidID", f"The ID '{resource_id}' is not valid")


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"
