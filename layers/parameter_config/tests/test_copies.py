"""Copying the values of one environment to another: what changes, what stays, and what is refused."""

from __future__ import annotations

import pytest

from parameter_config import Config, MissingValueError, load_config
from parameter_config.changes import apply_change, plan_set
from parameter_config.copies import CopyPlan, plan_copy
from parameter_config.errors import ForeignParameterError, PlaceholderError, ValueNotAllowedError

from .conftest import WriteConfig
from .fake_aws import FakeSsm

AWS = """
    ec2:
      id: {ssm_param: '/app/{environment}/id', allowed_pattern: 'i-[0-9a-z-]+'}
      size: {ssm_param: '/app/{environment}/size', default: 100}
    key: {ssm_param: '/app/{environment}/key', sensitive: true}
    token: {ssm_param: '/app/{environment}/token'}
    shared: {ssm_param: /app/shared, default: x}
    """
BUILD = "environments: {dev: {}, prod: {}}"


@pytest.fixture
def config(write_config: WriteConfig, ssm: FakeSsm) -> Config:
    return load_config(write_config(aws=AWS, build=BUILD), ssm, clock=ssm.clock)


def store(config: Config, environment: str, **texts: str) -> None:
    own = config.for_environment(environment)
    for path, text in texts.items():
        apply_change(own, plan_set(own, f"aws.{path.replace('__', '.')}", text))


def paths_of(plan: CopyPlan) -> tuple[list[str], list[str], list[str]]:
    return (
        [change.declaration.path for change in plan.changes],
        plan.same,
        [each.path for each in plan.left_out],
    )


def test_what_differs_is_stored_for_the_other_environment(config: Config, ssm: FakeSsm) -> None:
    store(config, "dev", ec2__id="i-dev", ec2__size="200", token="t")
    store(config, "prod", ec2__id="i-prod", token="t")
    plan = plan_copy(config, "dev", "prod")
    assert paths_of(plan) == (["aws.ec2.id", "aws.ec2.size"], ["aws.token"], ["aws.key"])
    assert [each.reason for each in plan.left_out] == ["dev has no stored value"]
    assert ssm.text("/app/prod/id") == "i-prod"
    for change in plan.changes:
        apply_change(config.for_environment("prod"), change)
    assert (ssm.text("/app/prod/id"), ssm.text("/app/prod/size")) == ("i-dev", "200")
    assert ssm.parameters["/app/prod/size"].tags["ami-lifecycle:environment"] == "prod"
    assert paths_of(plan_copy(config, "dev", "prod"))[0] == []


def test_paths_of_values_and_of_mappings_choose(config: Config) -> None:
    store(config, "dev", ec2__id="i-dev", ec2__size="200", token="t")
    assert paths_of(plan_copy(config, "dev", "prod", ["aws.ec2"]))[0] == ["aws.ec2.id", "aws.ec2.size"]
    assert paths_of(plan_copy(config, "dev", "prod", ["aws.token"]))[0] == ["aws.token"]
    for path in ("aws.tokn", "aws.shared"):
        with pytest.raises(MissingValueError):
            plan_copy(config, "dev", "prod", [path])


def test_a_sensitive_value_is_copied_on_demand_only(config: Config, ssm: FakeSsm) -> None:
    store(config, "dev", key="hush")
    left_out = plan_copy(config, "dev", "prod").left_out
    assert "aws.key" in [each.path for each in left_out]
    (change,) = plan_copy(config, "dev", "prod", include_sensitive=True).changes
    assert change.sensitive
    assert "hush" not in repr(change)
    apply_change(config.for_environment("prod"), change)
    assert ssm.parameters["/app/prod/key"].type == "SecureString"


def test_what_is_encrypted_and_not_declared_so_never_becomes_plain(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/app/dev/token", "hush", kind="SecureString")
    plan = plan_copy(config, "dev", "prod", ["aws.token"], include_sensitive=True)
    assert plan.changes == []
    assert "not declared `sensitive: true`" in plan.left_out[0].reason


@pytest.mark.parametrize(
    ("source", "target"), [("dev", "dev"), ("qa", "prod"), ("dev", "qa"), ("d v", "prod")]
)
def test_an_environment_that_is_not_there_or_twice_there_is_refused(
    config: Config, source: str, target: str
) -> None:
    with pytest.raises(PlaceholderError):
        plan_copy(config, source, target)


def test_a_value_that_the_declaration_refuses_is_not_copied_on(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/app/dev/id", "wrong")
    with pytest.raises(ValueNotAllowedError):
        plan_copy(config, "dev", "prod")


def test_a_parameter_of_somebody_else_is_left_alone(config: Config, ssm: FakeSsm) -> None:
    store(config, "dev", token="mine")
    ssm.put("/app/prod/token", "theirs")
    with pytest.raises(ForeignParameterError):
        plan_copy(config, "dev", "prod")
    (change,) = plan_copy(config, "dev", "prod", adopt=True).changes
    assert change.adopt
