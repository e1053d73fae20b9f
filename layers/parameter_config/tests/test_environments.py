"""Optional declarations, and commands for all environments where none is named."""

from __future__ import annotations

import pytest

from parameter_config import Config, MissingValueError, load_config
from parameter_config.drift import find_drift
from parameter_config.errors import PlaceholderError
from parameter_config.initialisation import apply_init, plan_init
from parameter_config.validation import validate_values

from .conftest import WriteConfig
from .fake_aws import FakeSsm

AWS = """
    repository: {ssm_param: /p/repository, default: comfyui}
    size: {ssm_param: '/p/{environment}/size', default: 40}
    subnets: {ssm_param: '/p/{environment}/subnets', type: list, optional: true}
    """
BUILD = "environments: {dev: {}, prod: {}}"


def load(
    write_config: WriteConfig, ssm: FakeSsm, environment: str | None = None, build: str = BUILD
) -> Config:
    return load_config(write_config(aws=AWS, build=build), ssm, environment, clock=ssm.clock)


def test_what_is_optional_and_not_set_is_no_error_and_nothing_to_do(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load(write_config, ssm, "prod")
    plan = plan_init(config)
    assert [(planned.path, planned.action) for planned in plan] == [
        ("aws.repository", "create"),
        ("aws.size", "create"),
        ("aws.subnets", "leave unset"),
    ]
    outcome = apply_init(config, plan)
    assert outcome.left_unset == ["/p/prod/subnets"]
    assert outcome.set_by_hand == []
    assert find_drift(config) == []
    assert validate_values(config) == []
    assert config.get("aws.subnets") is None
    assert config.source("aws.subnets").kind == "unset"
    with pytest.raises(MissingValueError, match="config set"):
        config.require("aws.subnets")


def test_an_optional_value_that_is_set_is_checked_like_any_other(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    ssm.put("/p/prod/subnets", "a,,b")
    config = load(write_config, ssm, "prod")
    assert [finding.path for finding in validate_values(config)] == ["aws.subnets"]
    assert "invalid" in {drift.kind for drift in find_drift(config)}


def test_without_a_name_everything_is_for_all_environments_of_the_file(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load(write_config, ssm)
    plan = plan_init(config)
    assert [(planned.name, planned.action, planned.environment) for planned in plan] == [
        ("/p/repository", "create", "dev"),
        ("/p/dev/size", "create", "dev"),
        ("/p/dev/subnets", "leave unset", "dev"),
        ("/p/prod/size", "create", "prod"),
        ("/p/prod/subnets", "leave unset", "prod"),
    ]
    apply_init(config, plan)
    assert ssm.texts() == {"/p/repository": "comfyui", "/p/dev/size": "40", "/p/prod/size": "40"}
    assert ssm.parameters["/p/prod/size"].tags["ami-lifecycle:environment"] == "prod"
    assert "ami-lifecycle:environment" not in ssm.parameters["/p/repository"].tags
    ssm.put("/p/prod/size", "80")
    ssm.put("/p/dev/size", "big")
    assert [(drift.kind, drift.name) for drift in find_drift(config)] == [
        ("invalid", "/p/dev/size"),
        ("differs", "/p/prod/size"),
    ]
    assert ["/p/dev/size" in finding.message for finding in validate_values(config)] == [True]


def test_a_named_environment_is_the_only_one(write_config: WriteConfig, ssm: FakeSsm) -> None:
    names = [planned.name for planned in plan_init(load(write_config, ssm, "dev"))]
    assert names == ["/p/repository", "/p/dev/size", "/p/dev/subnets"]


@pytest.mark.parametrize("build", ["other: 1", "environments: {}"])
def test_where_no_file_says_which_environments_there_are_one_must_be_named(
    write_config: WriteConfig, ssm: FakeSsm, build: str
) -> None:
    with pytest.raises(PlaceholderError, match="--environment"):
        plan_init(load(write_config, ssm, build=build))
