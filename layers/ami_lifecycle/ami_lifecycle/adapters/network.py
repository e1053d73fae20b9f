"""Subnets and security groups behind the port `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of


class Ec2Network:
    """The network of this account and Region through a low-level EC2 client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ec2:DescribeSubnets")
    def vpcs_of_subnets(self, subnet_ids: Sequence[str]) -> dict[str, str]:
        """The VPC of each of these subnets that exists; those shared with the account count."""
        if not subnet_ids:
            return {}
        # A filter, because an id that does not exist would be an error as SubnetIds.
        filters = [{"Name": "subnet-id", "Values": list(subnet_ids)}]
        with aws_errors("ec2:DescribeSubnets", ", ".join(subnet_ids)):
            pages = self._client.get_paginator("describe_subnets").paginate(Filters=filters)
            return {found["SubnetId"]: found["VpcId"] for page in pages for found in page["Subnets"]}

    @calls("ec2:DescribeSecurityGroups")
    def vpc_of_group(self, group_id: str) -> str | None:
        """The VPC of a security group; None where it does not exist."""
        with aws_errors("ec2:DescribeSecurityGroups", group_id):
            try:
                answer = self._client.describe_security_groups(GroupIds=[group_id])
            except ClientError as error:
                if code_of(error) == "InvalidGroup.NotFound":
                    return None
                raise
            # Where the account has no such group, EC2 answers InvalidGroup.NotFound.
            return str(answer["SecurityGroups"][0]["VpcId"])
