"""Checks of the vCPU quotas of the configured instance types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from ami_lifecycle.domain.quotas import VcpuQuota, quota_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.findings import Finding, Level


def applied_quota(client: Any, service: str, code: str) -> float | None:
    """The account's value of a quota; None where it cannot be read.

    In some accounts a quota that was never changed has no applied value; AWS's default counts then (Service Quotas
    API reference, GetServiceQuota).
    """
    for get_quota in (client.get_service_quota, client.get_aws_default_service_quota):
        try:
            return float(get_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
                return None
    return None


def check_vcpu_quotas(stack: Stack) -> Iterator[Finding]:
    """The vCPU quotas permit at least one instance type of each environment."""
    types = {name: stack.catalogue.get(name).builder.instance_types for name in stack.catalogue.environments}
    every = sorted({each for of_one in types.values() for each in of_one})
    vcpus = _vcpus(stack.client("ec2"), every)
    client = stack.client("service-quotas")
    limits: dict[VcpuQuota, float | None] = {}
    for each in every:
        quota = quota_of(each)
        if quota not in limits:
            limits[quota] = applied_quota(client, "ec2", quota.code)
    yield from vcpu_quota_findings(types, vcpus, limits)


def _vcpus(ec2: Any, types: Sequence[str]) -> dict[str, int]:
    """vCPUs of each type that the Region has."""
    # A filter: an unknown type among InstanceTypes would fail the call.
    pages = ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": list(types)}]
    )
    return {
        each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"])
        for page in pages
        for each in page["InstanceTypes"]
    }


def vcpu_quota_findings(
    types: Mapping[str, Sequence[str]],
    vcpus: Mapping[str, int],
    limits: Mapping[VcpuQuota, float | None],
) -> Iterator[Finding]:
    """One finding for each quota. A build runs one instance at a time: the canary when the builder has stopped.

    Args:
        types: instance types of each environment, in the order in which they are tried.
        vcpus: of the types that the Region has; others are reported by another check.
        limits: None for a quota that cannot be read.
    """

    def fits(instance_type: str) -> bool:
        limit = limits[quota_of(instance_type)]
        return instance_type in vcpus and (limit is None or vcpus[instance_type] <= limit)

    stuck = {name for name, of_one in types.items() if not any(map(fits, of_one))}
    for quota, limit in sorted(limits.items()):
        users = {
            name: [each for each in of_one if each in vcpus and quota_of(each) == quota]
            for name, of_one in types.items()
        }
        counted_types = sorted({each for of_one in users.values() for each in of_one})
        if not counted_types:
            continue
        needs = ", ".join(f"{each} ({vcpus[each]})" for each in counted_types)
        name = f"{quota.code}, On-Demand {quota.name}"
        if limit is None:
            yield Finding(
                Level.UNKNOWN,
                "quotas",
                f"the vCPUs of {name} could not be read; {needs} count against it",
                "grant yourself servicequotas:GetServiceQuota, or look in the console; in a new account it is "
                f"{quota.default}",
            )
            continue
        small = [each for each in counted_types if vcpus[each] > limit]
        without = sorted(each for each in stuck if any(kind in small for kind in users[each]))
        if not small:
            at_once = int(limit // max(vcpus[each] for each in counted_types))
            yield Finding(
                Level.OK,
                "quotas",
                f"{limit:.0f} vCPUs of {name}: enough for {needs}, {at_once} at a time",
            )
            continue
        passed = f"{limit:.0f} vCPUs of {name}: no room for one {', '.join(small)}"
        if without:
            message = f"{passed}, so {', '.join(without)} cannot be built"
            yield Finding(Level.ERROR, "quotas", message, f"{quota.request}; or name other types")
        else:
            yield Finding(
                Level.WARNING,
                "quotas",
                f"{passed}, which is passed over",
                f"{quota.request}; or take it out of builder.instance_types",
            )
