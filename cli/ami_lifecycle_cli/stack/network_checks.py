"""Checks of the builders' network: egress of each subnet, and the instance types that are offered there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.findings import Finding, Level

# Systems Manager user guide, VPC endpoints; Amazon ECR user guide, Interface VPC endpoints.
_ENDPOINTS: Final = ("ssm", "ssmmessages", "ecr.api", "ecr.dkr", "s3", "logs")
_EVERYWHERE: Final = "0.0.0.0/0"


def subnets_by_environment(stack: Stack) -> dict[str, tuple[str, ...]]:
    """Ids of the subnets in which each environment's builders run."""
    own = tuple(
        part.strip() for part in stack.parameters_given.get("SubnetIds", "").split(",") if part.strip()
    )
    return {
        name: stack.catalogue.get(name).builder.subnet_ids or own for name in stack.catalogue.environments
    }


def check_network(stack: Stack) -> Iterator[Finding]:
    """Builders reach Systems Manager and ECR from every subnet."""
    ec2 = stack.client("ec2")
    subnet_ids = sorted({subnet for subnets in subnets_by_environment(stack).values() for subnet in subnets})
    pages = ec2.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "subnet-id", "Values": subnet_ids}]
    )
    subnets = {each["SubnetId"]: each for page in pages for each in page["Subnets"]}
    for subnet_id in subnet_ids:
        subnet = subnets.get(subnet_id)
        # Missing subnets are reported by `check_builds`.
        if subnet is not None:
            yield egress_finding(subnet, _routes(ec2, subnet), _endpoints(ec2, subnet["VpcId"], stack.region))


def egress_finding(
    subnet: Mapping[str, Any], routes: Sequence[Mapping[str, Any]], endpoints: frozenset[str]
) -> Finding:
    """Whether instances in a subnet can reach the services that a build needs."""
    name = f"{subnet['SubnetId']} in {subnet['AvailabilityZone']}"
    ways = [each for each in routes if each.get("DestinationCidrBlock") == _EVERYWHERE]
    route = next((each for each in ways if each.get("State") != "blackhole"), None)
    if route is not None and str(route.get("GatewayId", "")).startswith("igw-"):
        if subnet.get("MapPublicIpOnLaunch"):
            return Finding(Level.OK, "network", f"{name} reaches the internet with public addresses")
        return Finding(
            Level.ERROR,
            "network",
            f"{name} routes to an internet gateway, but instances get no public address there",
            "switch on auto-assignment of public IPv4 addresses for the subnet, or route through a NAT gateway",
        )
    if route is not None:
        way = next((str(route[key]) for key in _TARGETS if route.get(key)), "another device")
        return Finding(Level.OK, "network", f"{name} reaches the internet through {way}")
    missing = [each for each in _ENDPOINTS if each not in endpoints]
    if missing:
        return Finding(
            Level.ERROR,
            "network",
            f"{name} has no way to the internet, and its VPC no endpoints for {', '.join(missing)}",
            "add a NAT gateway, or public addresses, or these endpoints; without them the agent never comes online",
        )
    return Finding(
        Level.WARNING,
        "network",
        f"{name} reaches AWS through VPC endpoints only",
        "fresh builds also need the package archive of their base; updates do not",
    )


_TARGETS: Final = ("NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId", "GatewayId")


def _routes(ec2: Any, subnet: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Routes of a subnet: of its own table, else of the main table of its VPC."""
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
        "RouteTables"
    ]
    own = [
        table
        for table in tables
        if any(each.get("SubnetId") == subnet["SubnetId"] for each in table["Associations"])
    ]
    main = [table for table in tables if any(each.get("Main") for each in table["Associations"])]
    return [route for table in (own or main)[:1] for route in table["Routes"]]


def _endpoints(ec2: Any, vpc_id: str, region: str) -> frozenset[str]:
    found = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["VpcEndpoints"]
    prefix = f"com.amazonaws.{region}."
    return frozenset(each["ServiceName"].removeprefix(prefix) for each in found)


def check_instance_types(stack: Stack) -> Iterator[Finding]:
    """Each environment's instance types are offered in the zones of its subnets."""
    ec2 = stack.client("ec2")
    by_environment = subnets_by_environment(stack)
    ids = sorted({subnet for subnets in by_environment.values() for subnet in subnets})
    pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "subnet-id", "Values": ids}])
    zones = {each["SubnetId"]: each["AvailabilityZone"] for page in pages for each in page["Subnets"]}
    for environment, subnets in by_environment.items():
        types = stack.catalogue.get(environment).builder.instance_types
        offered = _offered(ec2, types)
        subnet_zones = sorted({zones[subnet] for subnet in subnets if subnet in zones})
        nowhere = [each for each in types if not any((each, zone) in offered for zone in subnet_zones)]
        missing = [(each, zone) for each in types for zone in subnet_zones if (each, zone) not in offered]
        partly = [f"{each} not in {zone}" for each, zone in missing if each not in nowhere]
        yield _type_findings(environment, types, nowhere, partly)


def _offered(ec2: Any, types: Sequence[str]) -> set[tuple[str, str]]:
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(types)}]
    )
    return {
        (each["InstanceType"], each["Location"]) for page in pages for each in page["InstanceTypeOfferings"]
    }


def check_gpus(stack: Stack) -> Iterator[Finding]:
    """The instance types of environments whose containers get all GPUs have GPUs, because canaries start them."""
    for environment in stack.catalogue.environments:
        settings = stack.catalogue.get(environment)
        if settings.container.gpu and settings.verification.enabled:
            types = settings.builder.instance_types
            yield gpu_findings(environment, types, _with_gpu(stack.client("ec2"), types))


def _with_gpu(ec2: Any, types: Sequence[str]) -> dict[str, bool]:
    """Whether each type that the Region has got an NVIDIA GPU; `--gpus` knows no others."""
    # A filter: an unknown type among InstanceTypes would fail the call.
    pages = ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": list(types)}]
    )
    return {
        each["InstanceType"]: any(
            gpu.get("Manufacturer", "").upper() == "NVIDIA" for gpu in each.get("GpuInfo", {}).get("Gpus", ())
        )
        for page in pages
        for each in page["InstanceTypes"]
    }


def gpu_findings(environment: str, types: Sequence[str], has_gpu: Mapping[str, bool]) -> Finding:
    """Whether the container of a canary can start on each type; unknown types are skipped."""
    without = [each for each in types if has_gpu.get(each) is False]
    if not without:
        return Finding(
            Level.OK, "instance types", f"{environment}: container.gpu is true, and its types have GPUs"
        )
    # The first type is tried first; the others only when that has no capacity.
    return Finding(
        Level.ERROR if types[0] in without else Level.WARNING,
        "instance types",
        f"{environment}: container.gpu is true, but {', '.join(without)} {_HAVE[len(without) == 1]} no NVIDIA GPU, "
        "so a canary there cannot start the container, and the build fails",
        "name only types with an NVIDIA GPU in builder.instance_types, such as g4dn.xlarge, or set "
        "container.gpu: false",
    )


_HAVE: Final = {True: "has", False: "have"}


def _type_findings(
    environment: str, types: Sequence[str], nowhere: Sequence[str], partly: Sequence[str]
) -> Finding:
    if len(nowhere) == len(types):
        return Finding(
            Level.ERROR,
            "instance types",
            f"{environment}: none of {', '.join(types)} is offered in the zones of its subnets",
            "correct builder.instance_types",
        )
    if nowhere:
        return Finding(
            Level.WARNING,
            "instance types",
            f"{environment}: {', '.join(nowhere)} is offered in none of its zones",
            "replace it in builder.instance_types, so that there is a choice when capacity is short",
        )
    note = f" ({'; '.join(partly)}, which is passed over)" if partly else ""
    return Finding(Level.OK, "instance types", f"{environment}: {', '.join(types)} are offered{note}")
