"""The emulated account as a user would have prepared it before deploying the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.ec2.store import Ec2Store
from aws_emulator.gateway.api import Api
from aws_emulator.ssm import ParameterStore

ACCOUNT_ID: Final = "123456789012"
REGION: Final = "us-east-1"
CANONICAL: Final = "099720109477"
UBUNTU_PARAMETER: Final = "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id"
# Canonical's name of an architecture, and EC2's.
_ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "arm64"}
_ZONES: Final = 3


@dataclass(frozen=True)
class Network:
    """The default VPC and one subnet in each of several zones."""

    vpc_id: str
    subnet_ids: tuple[str, ...]
    zones: tuple[str, ...]

    def parameter_values(self) -> Mapping[str, Any]:
        """Values for template parameters, by their type."""
        return {
            "AWS::EC2::VPC::Id": self.vpc_id,
            "AWS::EC2::Subnet::Id": self.subnet_ids[0],
            "List<AWS::EC2::Subnet::Id>": list(self.subnet_ids),
        }


def prepare_account(api: Api, ec2: Ec2Store, parameters: ParameterStore) -> Network:
    """Publish the Ubuntu images, and give the default VPC its way out; the network of the account."""
    for name, architecture in _ARCHITECTURES.items():
        image_id = ec2.seed_image(
            f"ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{name}-server-20260101",
            owner_id=CANONICAL,
            architecture=architecture,
        )
        parameters.seed_public(UBUNTU_PARAMETER.format(name), image_id, "aws:ec2:image")
    subnets = api.call("operator", "ec2", "DescribeSubnets", {})["Subnets"]
    chosen = sorted(subnets, key=lambda subnet: str(subnet["AvailabilityZone"]))[:_ZONES]
    _route_to_the_internet(api, chosen[0]["VpcId"])
    return Network(
        vpc_id=chosen[0]["VpcId"],
        subnet_ids=tuple(subnet["SubnetId"] for subnet in chosen),
        zones=tuple(subnet["AvailabilityZone"] for subnet in chosen),
    )


def _route_to_the_internet(api: Api, vpc_id: str) -> None:
    """Give the VPC what a default VPC has: an internet gateway and the route to it (VPC user guide)."""

    def call(operation: str, parameters: dict[str, Any]) -> Any:
        return api.call("operator", "ec2", operation, parameters)

    gateway_id = call("CreateInternetGateway", {})["InternetGateway"]["InternetGatewayId"]
    call("AttachInternetGateway", {"InternetGatewayId": gateway_id, "VpcId": vpc_id})
    tables = call("DescribeRouteTables", {"Filters": [{"Name": "vpc-id", "Values": [vpc_id]}]})["RouteTables"]
    for table in tables:
        route = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway_id}
        call("CreateRoute", {"RouteTableId": table["RouteTableId"], **route})
