"""The emulated account as a user would have prepared it before deploying the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aws_emulator.ec2.store import Ec2Store
from aws_emulator.gateway.api import Api
from aws_emulator.ssm import ParameterStore

ACCOUNT_ID: Final = "123456789012"
REGION: Final = "us-east-1"
CANONICAL: Final = "099720109477"
DEBIAN: Final = "136693071363"
# Amazon Linux and the Deep Learning AMIs; both have other owners in Regions that have to be enabled.
_LINUX: Final = "137112412989"
_DEEP_LEARNING: Final = "898082745236"
UBUNTU_PARAMETER: Final = "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id"
# dpkg's name of an architecture, and EC2's.
_ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "arm64"}
_ZONES: Final = 3


class _Published(NamedTuple):
    """An image that a publisher keeps current, and the public parameter that names it.

    `{dpkg}` and `{ec2}` stand for the two names of an architecture.
    """

    parameter: str
    name: str
    owner_id: str
    owner_alias: str | None = None
    root_device: str = "/dev/sda1"
    root_gib: int = 8
    data_type: str = "aws:ec2:image"


def _ubuntu(version: str, codename: str, volume: str, store: str) -> _Published:
    """Canonical, "Find Ubuntu images on AWS"."""
    return _Published(
        f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{{dpkg}}/hvm/{volume}/ami-id",
        f"ubuntu/images/{store}/ubuntu-{codename}-{version}-{{dpkg}}-server-20260101",
        CANONICAL,
    )


def _debian(version: str) -> _Published:
    """Debian wiki, Cloud/AmazonEC2Image."""
    return _Published(
        f"/aws/service/debian/release/{version}/latest/{{dpkg}}",
        f"debian-{version}-{{dpkg}}-20260101-2345",
        DEBIAN,
        root_device="/dev/xvda",
    )


def _deep_learning(system: str, title: str) -> _Published:
    """AWS Deep Learning AMIs developer guide, "Finding the ID of a DLAMI"."""
    return _Published(
        f"/aws/service/deeplearning/ami/{{ec2}}/base-oss-nvidia-driver-gpu-{system}/latest/ami-id",
        f"Deep Learning {{ec2}} Base OSS Nvidia Driver GPU AMI ({title}) 20260101",
        _DEEP_LEARNING,
        "amazon",
        root_gib=45,
    )


PUBLISHED: Final = (
    _ubuntu("22.04", "jammy", "ebs-gp2", "hvm-ssd"),
    _ubuntu("24.04", "noble", "ebs-gp3", "hvm-ssd-gp3"),
    _debian("12"),
    _debian("13"),
    # Amazon Linux 2023 user guide: its parameters have the data type text.
    _Published(
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{ec2}",
        "al2023-ami-2023.9.20260101.0-kernel-6.1-{ec2}",
        _LINUX,
        "amazon",
        root_device="/dev/xvda",
        data_type="text",
    ),
    _deep_learning("ubuntu-22.04", "Ubuntu 22.04"),
    _deep_learning("ubuntu-24.04", "Ubuntu 24.04"),
    _deep_learning("amazon-linux-2023", "Amazon Linux 2023"),
)


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
    """Publish the images that builds start from, and give the default VPC its way out; the network of the account."""
    for published in PUBLISHED:
        for dpkg, architecture in _ARCHITECTURES.items():
            image_id = ec2.seed_image(
                published.name.format(dpkg=dpkg, ec2=architecture),
                owner_id=published.owner_id,
                owner_alias=published.owner_alias,
                architecture=architecture,
                root_device=published.root_device,
                root_gib=published.root_gib,
            )
            name = published.parameter.format(dpkg=dpkg, ec2=architecture)
            parameters.seed_public(name, image_id, published.data_type)
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
