"""Subnets and security groups in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.faults import Faulty, port_call

VPC = "vpc-0123456789abcdef0"


class FakeNetwork(Faulty):
    """Every subnet is in the stack's VPC, unless a test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: dict[str, str] = {}
        self.missing: set[str] = set()

    @port_call
    def vpcs_of_subnets(self, subnet_ids: Sequence[str]) -> dict[str, str]:
        """The VPC of each of these subnets that exists."""
        return {each: self.elsewhere.get(each, VPC) for each in subnet_ids if each not in self.missing}

    @port_call
    def vpc_of_group(self, group_id: str) -> str | None:
        """The VPC of a security group."""
        return VPC if group_id else None
