"""Events are best effort, capacity comes and goes, agents never report: waits that take long.

Time runs faster here than in the other tests, because these builds wait for minutes and hours.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.workflows.service import Environment, Service

from ami_lifecycle_testbed.durations import BuildDurations

SETTINGS: dict[str, Any] = {
    "time_scale": 0.001,
    "durations": BuildDurations(),
    "environments": {f"env-{number}": {} for number in range(12)},
}
COMPLETION = (
    {"source": "aws.ec2", "detail_type": "EC2 AMI State Change"},
    {"source": "aws.ec2", "detail_type": "EC2 Instance State-change Notification"},
    {"source": "aws.ssm", "detail_type": "EC2 Command Invocation Status-change Notification"},
)


def afflict(service: Service, effect: str, **fault: Any) -> None:
    service.inject(
        *({"kind": "event", "effect": effect, "times": None, **which, **fault} for which in COMPLETION)
    )


def timeouts(service: Service, arn: str) -> int:
    return sum(event["type"] == "TaskTimedOut" for event in service.history(arn))


def test_a_build_succeeds_without_any_completion_event(service: Service, environment: Environment) -> None:
    afflict(service, "lose")
    ended = environment.must_build("one")
    assert timeouts(service, ended.arn) >= 1, "a wait has looked for itself"
    environment.has_one_image()


def test_a_build_succeeds_when_a_rule_is_disabled(service: Service, environment: Environment) -> None:
    rules = ("ImageStateChangedRule", "InstanceStateChangedRule", "CommandEndedRule")
    service.set_rules(*rules, enabled=False)
    try:
        environment.must_build("one")
    finally:
        service.set_rules(*rules, enabled=True)
    environment.has_one_image()


def test_events_that_come_twice_change_nothing(service: Service, environment: Environment) -> None:
    afflict(service, "repeat", seconds=5)
    environment.must_build("one")
    environment.must_build("two")
    environment.has_one_image()
    assert service.dead_letters() == []


def test_events_that_come_after_their_wait_change_nothing(service: Service, environment: Environment) -> None:
    afflict(service, "delay", seconds=400)
    ended = environment.must_build("one")
    assert timeouts(service, ended.arn) >= 1
    environment.must_build("two")
    environment.has_one_image()
    assert service.dead_letters() == []


@pytest.mark.parametrize("document", ["ProvisionImage", "VerifyImage"])
def test_a_command_that_never_reaches_its_instance_is_sent_again(
    service: Service, environment: Environment, document: str
) -> None:
    service.inject({"kind": "command_lost", "document": document, "times": 2})
    environment.must_build("one")
    environment.has_one_image()


def test_commands_that_never_reach_their_instance_fail_the_build_by_name(
    service: Service, environment: Environment
) -> None:
    service.inject({"kind": "command_lost", "document": "ProvisionImage", "times": 5})
    ended = environment.build("one")
    assert (ended.status, ended.error) == ("FAILED", "CommandUndeliveredError")
    assert environment.left().images == {}
    environment.must_build("two")


def test_no_capacity_anywhere_is_tried_for_long_and_then_an_error_that_says_what_to_do(
    service: Service, environment: Environment
) -> None:
    environment.must_build("one")
    before, latest = environment.left(), environment.latest()
    service.inject(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "RunInstances",
            "code": "InsufficientInstanceCapacity",
            "times": None,
        }
    )
    ended = environment.build("two")
    assert (ended.status, ended.error) == ("FAILED", "CapacityUnavailableError")
    assert "builder.subnet_ids" in str(ended.cause)
    refused = [event for event in service.history(ended.arn) if event["type"] == "LambdaFunctionFailed"]
    assert len(refused) == 9, "once and eight more times"
    assert (environment.left(), environment.latest()) == (before, latest)


def test_capacity_that_comes_back_lets_the_build_go_on(service: Service, environment: Environment) -> None:
    service.inject(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "RunInstances",
            "code": "InsufficientInstanceCapacity",
            "times": 20,
        }
    )
    environment.must_build("one")
    environment.has_one_image()


@pytest.mark.slow
def test_an_agent_that_never_reports_fails_the_build_by_name(
    service: Service, environment: Environment
) -> None:
    service.inject({"kind": "agent_never_online", "role": "builder"})
    ended = environment.build("one")
    assert (ended.status, ended.error) == ("FAILED", "AgentNotOnlineError")
    assert "instance profile" in str(ended.cause)
    left = environment.left()
    assert (left.images, left.instances, left.claimed) == ({}, frozenset(), False)
