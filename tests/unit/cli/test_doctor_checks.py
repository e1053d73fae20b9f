"""What the doctor makes of networks, quotas and instance types."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.domain.builders import settings

from ami_lifecycle.domain.quotas import quota_of
from ami_lifecycle.errors import SettingsError
from ami_lifecycle_cli.stack.account_checks import _limit_finding, check_alarms, check_permissions
from ami_lifecycle_cli.stack.findings import Finding, Level, run_checks
from ami_lifecycle_cli.stack.network_checks import _type_findings, egress_finding, gpu_findings
from ami_lifecycle_cli.stack.quota_checks import applied_quota, vcpu_quota_findings

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
    finding = egress_finding({**SUBNET, **subnet}, routes, endpoints)
    assert (finding.level, words in finding.message) == (level, True)
    assert bool(finding.remedy) == (level is not Level.OK)


@pytest.mark.parametrize(
    ("given", "changes", "action"),
    [
        ({"KeepPackageLists": "true"}, {}, "s3:GetObject"),
        ({"RecycleBinDays": "7"}, {}, "ec2:ListSnapshotsInRecycleBin"),
        ({}, {"scan": {}}, "ecr:DescribeImageScanFindings"),
        ({}, {"approval": {"pushes": True}}, "lambda:InvokeFunction"),
        ({}, {"hooks": {"verify": [{"document": "Golden-Check"}]}}, "ssm:GetDocument"),
    ],
)
def test_what_is_switched_on_asks_more_of_operators(
    given: dict[str, str], changes: dict[str, Any], action: str
) -> None:
    def asked(given: dict[str, str], changes: dict[str, Any]) -> set[str]:
        seen: list[str] = []

        def simulate(**arguments: Any) -> dict[str, Any]:
            seen.extend(arguments["ActionNames"])
            return {"EvaluationResults": []}

        client = SimpleNamespace(
            get_caller_identity=lambda: {"Arn": "arn:aws:iam::123456789012:user/ann"},
            simulate_principal_policy=simulate,
        )
        catalogue = SimpleNamespace(environments=("prod",), get=lambda _: settings(**changes))
        stack: Any = SimpleNamespace(
            parameters_given=given, has_configuration=True, catalogue=catalogue, client=lambda _: client
        )
        assert [each.level for each in check_permissions(stack)] == [Level.OK]
        return set(seen)

    off = {"KeepPackageLists": "false", "RecycleBinDays": "0"}
    assert action not in asked(off, {})
    assert action in asked(off | given, changes)


@pytest.mark.parametrize(
    ("count", "level"),
    [(0, Level.OK), (89, Level.OK), (90, Level.WARNING), (99, Level.WARNING), (100, Level.ERROR)],
)
def test_a_quota_warns_before_it_is_used_up(count: int, level: Level) -> None:
    assert _limit_finding("images", count, 100, "ask").level is level


def test_one_instance_type_that_is_nowhere_is_a_warning_and_all_are_an_error() -> None:
    assert _type_findings("prod", ("a.x", "b.x"), ["a.x"], []).level is Level.WARNING
    assert _type_findings("prod", ("a.x", "b.x"), ["a.x", "b.x"], []).level is Level.ERROR
    assert _type_findings("prod", ("a.x", "b.x"), [], ["a.x not in us-east-1c"]).level is Level.OK


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
    finding = gpu_findings("prod", ("g.x", "m.x"), has_gpu)
    assert (finding.level, named in finding.message) == (level, True)
    assert ("builder.instance_types" in finding.remedy) == (level is not Level.OK)


def test_an_examination_that_fails_does_not_keep_the_others_from_running() -> None:
    def refused(_stack: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListRules")

    def wrong(_stack: Any) -> Any:
        raise SettingsError("correct it")

    def fine(_stack: Any) -> Any:
        yield Finding(Level.OK, "c", "fine")

    found = list(run_checks(None, (("a", refused), ("b", wrong), ("c", fine))))  # type: ignore[arg-type]  # not looked at
    assert [(each.area, each.level) for each in found] == [
        ("a", Level.UNKNOWN),
        ("b", Level.ERROR),
        ("c", Level.OK),
    ]
    assert "ListRules" in found[0].remedy


# Quotas of vCPUs.

VCPUS = {"m7i.large": 2, "m6i.large": 2, "g5.xlarge": 4, "g5.4xlarge": 16, "p4d.24xlarge": 96}
STANDARD, G, P = quota_of("m7i.large"), quota_of("g5.xlarge"), quota_of("p4d.24xlarge")
DEFAULT_TYPES = ("m7i.large", "m6i.large")


@pytest.mark.parametrize(
    ("types", "limits", "levels"),
    [
        ({"prod": DEFAULT_TYPES}, {STANDARD: 5}, [Level.OK]),
        ({"prod": DEFAULT_TYPES}, {STANDARD: 1}, [Level.ERROR]),
        # Only the quotas that are needed are looked at: no standard quota is no problem of a GPU environment.
        ({"prod": ("g5.xlarge",)}, {G: 8}, [Level.OK]),
        ({"prod": ("g5.xlarge",)}, {G: 0}, [Level.ERROR]),
        ({"prod": ("g5.xlarge",), "dev": DEFAULT_TYPES}, {STANDARD: 5, G: 0}, [Level.OK, Level.ERROR]),
        # A type that has no room is passed over where another has some, of this quota or of another.
        ({"prod": ("g5.4xlarge", "g5.xlarge")}, {G: 4}, [Level.WARNING]),
        ({"prod": ("p4d.24xlarge", "g5.xlarge")}, {P: 0, G: 4}, [Level.WARNING, Level.OK]),
        ({"prod": ("p4d.24xlarge", "g5.xlarge")}, {P: 0, G: 0}, [Level.ERROR, Level.ERROR]),
        ({"prod": ("g5.xlarge",)}, {G: None}, [Level.UNKNOWN]),
        # A type that the Region does not have is another examination's finding.
        ({"prod": ("g99.xlarge", "m7i.large")}, {STANDARD: 5, G: 0}, [Level.OK]),
    ],
)
def test_each_quota_that_the_types_count_against_is_looked_at(
    types: dict[str, tuple[str, ...]], limits: dict[Any, float | None], levels: list[Level]
) -> None:
    findings = list(vcpu_quota_findings(types, VCPUS, limits))
    assert sorted(finding.level for finding in findings) == sorted(levels)
    for finding in findings:
        assert bool(finding.remedy) == (finding.level is not Level.OK)


def test_an_error_of_a_quota_names_the_environment_the_code_and_how_to_ask_for_more() -> None:
    (finding,) = vcpu_quota_findings({"prod": ("g5.xlarge",)}, VCPUS, {G: 0})
    assert "prod cannot be built" in finding.message
    assert "0 vCPUs of L-DB2E81BA, On-Demand G and VT" in finding.message
    assert "request-service-quota-increase" in finding.remedy


class Quotas:
    """Service Quotas with an applied value, a default, or a refusal."""

    def __init__(self, applied: float | str, default: float | str) -> None:
        self.applied, self.default = applied, default

    def _answer(self, value: float | str) -> dict[str, Any]:
        if isinstance(value, str):
            raise ClientError({"Error": {"Code": value}}, "GetServiceQuota")
        return {"Quota": {"Value": value}}

    def get_service_quota(self, **_: str) -> dict[str, Any]:
        return self._answer(self.applied)

    def get_aws_default_service_quota(self, **_: str) -> dict[str, Any]:
        return self._answer(self.default)


@pytest.mark.parametrize(
    ("applied", "default", "expected"),
    [
        (32.0, 5.0, 32.0),
        ("NoSuchResourceException", 5.0, 5.0),
        ("NoSuchResourceException", "NoSuchResourceException", None),
        ("AccessDeniedException", 5.0, None),
    ],
)
def test_a_quota_that_nobody_has_changed_has_its_default(
    applied: float | str, default: float | str, expected: float | None
) -> None:
    assert applied_quota(Quotas(applied, default), "ec2", "L-DB2E81BA") == expected


@pytest.mark.parametrize(
    ("given", "level", "message"),
    [
        ("*-comfyui-*", Level.OK, "prod: alarms of prod-comfyui-* roll it back while it soaks"),
        (
            "",
            Level.ERROR,
            "prod: alarms of prod-comfyui-* roll nothing back, because the stack's RollbackAlarms is empty",
        ),
        (
            "staging-*",
            Level.ERROR,
            (
                "prod: alarms of prod-comfyui-* roll nothing back, because the stack's RollbackAlarms lets staging-* "
                "through"
            ),
        ),
    ],
)
def test_alarms_that_do_not_reach_the_service_are_an_error(given: str, level: Level, message: str) -> None:
    stack: Any = SimpleNamespace(
        parameters_given={"RollbackAlarms": given} if given else {},
        catalogue=SimpleNamespace(
            environments=("dev", "prod"), alarms_of=lambda name: "prod-comfyui-*" if name == "prod" else None
        ),
    )
    (finding,) = check_alarms(stack)
    assert (finding.level, finding.area, finding.message) == (level, "events", message)
    assert bool(finding.remedy) == (level is Level.ERROR)
