"""What the doctor makes of networks, quotas and instance types."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ami_lifecycle.errors import SettingsError
from ami_lifecycle_cli.operators.account_examinations import _of_limit
from ami_lifecycle_cli.operators.findings import Finding, Level, examine
from ami_lifecycle_cli.operators.network_examinations import _judge_types, judge_gpus, judge_way_out

SUBNET = {"SubnetId": "subnet-1", "AvailabilityZone": "us-east-1a", "MapPublicIpOnLaunch": True}
GATEWAY = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
ALL_ENDPOINTS = frozenset({"ssm", "ssmmessages", "ecr.api", "ecr.dkr", "s3", "logs"})


@pytest.mark.parametrize(
    ("subnet", "routes", "endpoints", "level", "words"),
    [
        ({}, [LOCAL, GATEWAY], frozenset(), Level.OK, "public addresses"),
        ({"MapPublicIpOnLaunch": False}, [LOCAL, GATEWAY], frozenset(), Level.ERROR, "no public address"),
        ({}, [LOCAL, NAT], frozenset(), Level.OK, "nat-1"),
        ({}, [LOCAL, {**NAT, "State": "blackhole"}], frozenset(), Level.ERROR, "no way to the internet"),
        ({}, [LOCAL], ALL_ENDPOINTS, Level.WARNING, "VPC endpoints only"),
        ({}, [LOCAL], ALL_ENDPOINTS - {"ecr.dkr"}, Level.ERROR, "no endpoints for ecr.dkr"),
        ({}, [], frozenset(), Level.ERROR, "no way to the internet"),
    ],
)
def test_a_subnet_needs_a_way_to_aws(
    subnet: dict[str, Any], routes: list[dict[str, Any]], endpoints: frozenset[str], level: Level, words: str
) -> None:
    finding = judge_way_out({**SUBNET, **subnet}, routes, endpoints)
    assert (finding.level, words in finding.message) == (level, True)
    assert bool(finding.remedy) == (level is not Level.OK)


@pytest.mark.parametrize(
    ("count", "level"),
    [(0, Level.OK), (89, Level.OK), (90, Level.WARNING), (99, Level.WARNING), (100, Level.ERROR)],
)
def test_a_quota_warns_before_it_is_used_up(count: int, level: Level) -> None:
    assert _of_limit("images", count, 100, "ask").level is level


def test_one_instance_type_that_is_nowhere_is_a_warning_and_all_are_an_error() -> None:
    assert _judge_types("prod", ("a.x", "b.x"), ["a.x"], []).level is Level.WARNING
    assert _judge_types("prod", ("a.x", "b.x"), ["a.x", "b.x"], []).level is Level.ERROR
    assert _judge_types("prod", ("a.x", "b.x"), [], ["a.x not in us-east-1c"]).level is Level.OK


@pytest.mark.parametrize(
    ("has_gpu", "level", "named"),
    [
        ({"g.x": True, "m.x": True}, Level.OK, ""),
        ({"g.x": True, "m.x": False}, Level.WARNING, "m.x has no NVIDIA GPU"),
        ({"g.x": False, "m.x": True}, Level.ERROR, "g.x has no NVIDIA GPU"),
        ({"g.x": False, "m.x": False}, Level.ERROR, "g.x, m.x have no NVIDIA GPU"),
        # A type that is not offered here is another examination's finding.
        ({"g.x": True}, Level.OK, ""),
        ({"m.x": False}, Level.WARNING, "m.x has no NVIDIA GPU"),
    ],
)
def test_a_container_with_gpus_wants_types_that_have_them(
    has_gpu: dict[str, bool], level: Level, named: str
) -> None:
    finding = judge_gpus("prod", ("g.x", "m.x"), has_gpu)
    assert (finding.level, named in finding.message) == (level, True)
    assert ("builder.instance_types" in finding.remedy) == (level is not Level.OK)


def test_an_examination_that_fails_does_not_keep_the_others_from_running() -> None:
    def refused(_stack: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListRules")

    def wrong(_stack: Any) -> Any:
        raise SettingsError("correct it")

    def fine(_stack: Any) -> Any:
        yield Finding(Level.OK, "c", "fine")

    found = list(examine(None, (("a", refused), ("b", wrong), ("c", fine))))  # type: ignore[arg-type]  # not looked at
    assert [(each.area, each.level) for each in found] == [
        ("a", Level.UNKNOWN),
        ("b", Level.ERROR),
        ("c", Level.OK),
    ]
    assert "ListRules" in found[0].remedy
