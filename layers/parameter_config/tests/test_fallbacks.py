"""Several names for one value: the first that exists is read, and only the first is written."""

from __future__ import annotations

from typing import Any

import pytest

from parameter_config import Config, load_config
from parameter_config.changes import apply_change, plan_set
from parameter_config.copies import plan_copy
from parameter_config.drift import find_drift
from parameter_config.errors import (
    InvalidDeclarationError,
    InvalidParameterNameError,
    PlaceholderError,
    ValueTypeError,
)
from parameter_config.initialisation import apply_init, plan_init

from .conftest import WriteConfig
from .fake_aws import FakeSsm

AWS = """
    size: {ssm_param: '/app/{environment}/size', fallbacks: ['/app/size', /old/size], default: 100}
    name: {ssm_param: /app/name, default: x}
    """


@pytest.fixture
def config(write_config: WriteConfig, ssm: FakeSsm) -> Config:
    return load_config(write_config(aws=AWS), ssm, "prod", clock=ssm.clock)


def test_the_first_name_that_exists_has_the_value(config: Config, ssm: FakeSsm) -> None:
    assert (config.get("aws.size"), config.source("aws.size").kind) == (100, "default")
    for name, text in (("/old/size", "1"), ("/app/size", "2"), ("/app/prod/size", "3")):
        ssm.put(name, text)
        config.refresh()
        assert config.get("aws.size") == int(text)
        assert (config.source("aws.size").kind, config.source("aws.size").name) == ("ssm", name)


def test_all_names_are_read_in_one_call(config: Config, ssm: FakeSsm) -> None:
    config.resolve()
    assert ssm.count("GetParameters") == 1


def test_a_wrong_value_names_the_parameter_that_has_it(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/old/size", "big")
    with pytest.raises(ValueTypeError, match="/old/size"):
        config.get("aws.size")


def test_init_does_not_hide_a_value_behind_a_default(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/old/size", "7")
    plan = plan_init(config, adopt=True)
    assert [(each.action, each.name) for each in plan] == [
        ("keep", "/app/prod/size"),
        ("create", "/app/name"),
    ]
    assert plan[0].reason == "its value is that of /old/size"
    apply_init(config, plan)
    config.refresh()
    assert config.get("aws.size") == 7
    assert ssm.parameters["/old/size"].tags == {}


def test_set_writes_the_first_name_and_leaves_the_others(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/old/size", "7")
    apply_change(config, plan_set(config, "aws.size", "8"))
    assert (ssm.text("/app/prod/size"), ssm.text("/old/size")) == ("8", "7")


def test_a_fallback_is_neither_missing_nor_an_orphan(config: Config, ssm: FakeSsm) -> None:
    ssm.put(
        "/app/size", "7", tags={"ami-lifecycle:application": "app", "ami-lifecycle:role": "configuration"}
    )
    ssm.put("/app/name", "x")
    (drift,) = find_drift(config)
    assert (drift.kind, drift.path, drift.stored) == ("differs", "aws.size", "7")


def test_what_is_not_stored_costs_the_comparison_no_further_call(config: Config, ssm: FakeSsm) -> None:
    assert {drift.kind for drift in find_drift(config)} == {"missing"}
    assert ssm.count("GetParameters") == 1


def test_what_an_environment_reads_by_a_fallback_can_be_copied(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/app/size", "7")
    (change,) = plan_copy(config, "dev", "prod").changes
    assert (change.name, change.after) == ("/app/prod/size", "7")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("ssm_param: /a/b, fallbacks: [/a/b]", InvalidDeclarationError),
        ("ssm_param: /a/b, fallbacks: [/c, /c]", InvalidDeclarationError),
        ("ssm_param: /a/b, fallbacks: /c", InvalidDeclarationError),
        ("ssm_param: /a/b, fallbacks: [no/slash]", InvalidParameterNameError),
        ("ssm_param: /a/b, fallbacks: ['/{stage}/c']", PlaceholderError),
    ],
)
def test_fallbacks_that_cannot_be_are_refused(
    write_config: WriteConfig, ssm: FakeSsm, fields: str, error: type[Any]
) -> None:
    with pytest.raises(error):
        load_config(write_config(aws=f"x: {{{fields}}}"), ssm)
