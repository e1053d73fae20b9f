"""Environment variables go before Parameter Store where an application asks for that, and not where it does not."""

from __future__ import annotations

from typing import Any

import pytest

from parameter_config import load_config
from parameter_config.errors import InvalidDeclarationError, ValueNotAllowedError, ValueTypeError
from parameter_config.export_formats import environment_variables

from .conftest import WriteConfig
from .fake_aws import FakeSsm

AWS = """
    ec2:
      size: {ssm_param: /app/size, default: 100}
      zones: {ssm_param: /app/zones, type: list}
      kind: {ssm_param: '/app/{environment}/kind', allowed_values: [g5, m7i], default: g5}
    key: {ssm_param: /app/key, sensitive: true}
    plain: 1
    """


@pytest.fixture
def load(write_config: WriteConfig, ssm: FakeSsm) -> Any:
    directory = write_config(aws=AWS)
    ssm.put("/app/size", "200")

    def load(prefix: str | None = "APP_", **options: Any) -> Any:
        return load_config(directory, ssm, "prod", clock=ssm.clock, variable_prefix=prefix, **options)

    return load


def test_a_variable_goes_before_the_parameter_with_the_declared_type(
    load: Any, ssm: FakeSsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load()
    monkeypatch.setenv("APP_AWS_EC2_SIZE", "300")
    assert config.get("aws.ec2.size") == 300
    assert str(config.source("aws.ec2.size")) == "variable"
    assert config.source("aws.ec2.size").name == "APP_AWS_EC2_SIZE"
    assert ssm.calls == []
    monkeypatch.setenv("APP_AWS_EC2_SIZE", "")
    assert (config.get("aws.ec2.size"), config.source("aws.ec2.size").kind) == (200, "ssm")


def test_none_is_read_unless_that_is_asked_for(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_SIZE", "300")
    assert load(None).get("aws.ec2.size") == 200
    assert load("").get("aws.ec2.size") == 300


def test_plain_values_stay_as_git_has_them(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_AWS_PLAIN", "2")
    assert load().get("aws.plain") == 1


@pytest.mark.parametrize("text", ['["a", "b"]', "a,b"])
def test_a_list_is_json_or_has_commas(load: Any, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("APP_AWS_EC2_ZONES", text)
    assert load().get("aws.ec2.zones") == ["a", "b"]


def test_what_exec_passes_on_is_what_a_child_reads(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_AWS_EC2_ZONES", "a,b")
    passed = environment_variables(load(), include_sensitive=True, prefix="APP_")
    for name, value in passed.items():
        monkeypatch.setenv(name, value)
    child = load(offline=True)
    assert (child.get("aws.ec2.size"), child.get("aws.ec2.zones")) == (200, ["a", "b"])


def test_an_empty_list_that_exec_passes_on_is_one_for_the_child(
    write_config: WriteConfig, ssm: FakeSsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_config(aws="zones: {ssm_param: /app/zones, type: list, default: []}")
    passed = environment_variables(load_config(directory, ssm), include_sensitive=False, prefix="APP_")
    monkeypatch.setenv("APP_AWS_ZONES", passed["APP_AWS_ZONES"])
    assert load_config(directory, ssm, variable_prefix="APP_").get("aws.zones") == []


def test_a_sensitive_variable_is_kept_from_view(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_AWS_KEY", "hush")
    value = load().get("aws.key")
    assert (str(value), repr(value)) == ("hush", "'********'")


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("APP_AWS_EC2_SIZE", "big", ValueTypeError),
        ("APP_AWS_EC2_ZONES", "[1", ValueTypeError),
        ("APP_AWS_EC2_KIND", "t2", ValueNotAllowedError),
    ],
)
def test_a_wrong_variable_is_named(
    load: Any, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, error: type[Exception]
) -> None:
    monkeypatch.setenv(variable, text)
    path = variable.removeprefix("APP_").lower().replace("_", ".")
    with pytest.raises(error, match=variable):
        load().get(path)


def test_it_holds_for_every_environment(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_AWS_EC2_KIND", "m7i")
    assert load().for_environment("dev").get("aws.ec2.kind") == "m7i"


def test_two_values_of_one_variable_are_refused(write_config: WriteConfig, ssm: FakeSsm) -> None:
    directory = write_config(aws="a-b: {ssm_param: /x}\na_b: {ssm_param: /y}\n")
    assert load_config(directory, ssm).declarations
    with pytest.raises(InvalidDeclarationError, match="APP_AWS_A_B"):
        load_config(directory, ssm, variable_prefix="APP_")
