"""Planted values appear nowhere."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pytest

from parameter_config import Config, ConfigError, Sensitive, load_config
from parameter_config.changes import apply_change, plan_rollback, plan_set
from parameter_config.drift import find_drift
from parameter_config.export_formats import environment_variables, export_tree
from parameter_config.initialisation import plan_init
from parameter_config.validation import validate_values

from .conftest import WriteConfig
from .fake_aws import FakeSecretsManager, FakeSsm, client_error

PLANTED = "planted-7f3a"
OURS = {"ami-lifecycle:application": "p", "ami-lifecycle:role": "configuration"}
AWS = """
    key: {ssm_param: /p/key, sensitive: true, allowed_pattern: 'planted.*'}
    undeclared: {ssm_param: /p/undeclared}
    number: {ssm_param: /p/number, type: int}
    wrong: {ssm_param: /p/wrong, sensitive: true, allowed_pattern: 'other'}
    token: {ssm_param: /p/token, default: p/token, secret: true}
    """


@pytest.fixture
def config(write_config: WriteConfig, ssm: FakeSsm) -> Config:
    for name in ("key", "undeclared", "number", "wrong"):
        ssm.put(f"/p/{name}", PLANTED, "SecureString", OURS)
    secrets = FakeSecretsManager(p__token=PLANTED)
    return load_config(write_config(aws=AWS), ssm, secrets_client=secrets, clock=ssm.clock)


def outputs(config: Config) -> Iterator[Callable[[], object]]:
    yield lambda: repr(config)
    yield lambda: repr(config.aws)
    yield lambda: repr(config.get("aws.key"))
    yield lambda: repr({"key": config.get("aws.key"), "list": [config.secret("aws.token")]})
    yield lambda: repr(config.get("aws.undeclared"))
    yield lambda: config.get("aws.number")
    yield lambda: config.get("aws.wrong")
    yield lambda: repr(config.resolve())
    yield lambda: repr(config.source("aws.key"))
    yield lambda: config.require("aws.key.nothing")
    yield lambda: repr(config.resolver.__dict__)
    yield lambda: repr(vars(config.resolver.parameters))
    yield lambda: repr(vars(config._section_secrets))
    yield lambda: repr(find_drift(config))
    yield lambda: [asdict(drift) for drift in find_drift(config)]
    yield lambda: repr(validate_values(config))
    yield lambda: repr(plan_init(config))
    yield lambda: repr(plan_set(config, "aws.key", PLANTED + "-2"))
    yield lambda: plan_set(config, "aws.wrong", PLANTED)
    yield lambda: repr(plan_rollback(config, "aws.key", 1))
    yield lambda: plan_rollback(config, "aws.wrong", 1)
    yield lambda: plan_rollback(config, "aws.number", 1)


@pytest.mark.parametrize("index", range(22))
def test_a_planted_value_is_in_no_output_log_or_error(
    config: Config, index: int, caplog: pytest.LogCaptureFixture
) -> None:
    output = list(outputs(config))[index]
    with caplog.at_level(logging.DEBUG, logger="ami_lifecycle"):
        try:
            text = str(output())
        except ConfigError as error:
            text = f"{error} {error!r} {error.remedy} {''.join(traceback.format_exception(error))}"
    assert PLANTED not in text + caplog.text


@pytest.mark.parametrize("export_format", ["env", "json", "yaml", "tfvars"])
def test_an_export_leaves_sensitive_values_out_and_says_so(
    write_config: WriteConfig, ssm: FakeSsm, export_format: str
) -> None:
    ssm.put("/p/key", PLANTED, "SecureString")
    ssm.put("/p/undeclared", PLANTED, "SecureString")
    config = load_config(
        write_config(
            aws="""
            key: {ssm_param: /p/key, sensitive: true}
            unset: {ssm_param: /p/unset, sensitive: true}
            undeclared: {ssm_param: /p/undeclared}
            name: {ssm_param: /p/name, default: shown}
            """
        ),
        ssm,
        clock=ssm.clock,
    )
    text, hidden = export_tree(config, export_format)  # type: ignore[arg-type]  # one of the four formats
    assert PLANTED not in text
    assert "shown" in text
    assert hidden == ["aws.key", "aws.unset", "aws.undeclared"]


def test_a_secure_string_of_any_type_is_a_value_for_a_program_and_a_mask_for_people(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    ssm.put("/p/login", f'{{"password": "{PLANTED}"}}', "SecureString")
    files = write_config(
        aws="""
        login: {ssm_param: /p/login, type: json}
        both: [{ssm_param: /p/both, sensitive: true}, {ssm_param: /p/one, default: 1}]
        """
    )
    config = load_config(files, ssm, clock=ssm.clock)
    assert config.get("aws.login") == {"password": PLANTED}
    assert environment_variables(config, include_sensitive=True)["AWS_LOGIN"] == f'{{"password":"{PLANTED}"}}'
    shown = config.resolver.resolve_for_display(config.resolver.documents.tree)
    assert shown == {"aws": {"login": "********", "both": [None, 1]}}


def test_a_sensitive_value_can_be_used(config: Config) -> None:
    key = config.get("aws.key")
    assert key == PLANTED
    assert f"Bearer {key}" == f"Bearer {PLANTED}"
    assert isinstance(key, Sensitive)
    assert isinstance(pickle.loads(pickle.dumps(key)), Sensitive)  # noqa: S301  # made in this line


def test_a_command_gets_sensitive_values(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/p/key", PLANTED, "SecureString")
    config = load_config(write_config(aws="key: {ssm_param: /p/key, sensitive: true}"), ssm, clock=ssm.clock)
    assert environment_variables(config, include_sensitive=True) == {"AWS_KEY": PLANTED}
    assert environment_variables(config, include_sensitive=False) == {}


@pytest.mark.parametrize("exists", [True, False])
def test_a_refusal_of_aws_does_not_repeat_a_sensitive_value(
    write_config: WriteConfig, ssm: FakeSsm, exists: bool
) -> None:
    """Systems Manager answers `Value 'x' at 'value' failed to satisfy constraint`."""
    if exists:
        ssm.put("/p/key", "other", "SecureString", OURS)
    config = load_config(write_config(aws="key: {ssm_param: /p/key, sensitive: true}"), ssm, clock=ssm.clock)
    change = plan_set(config, "aws.key", PLANTED)
    refusal = client_error("ValidationException", f"Value '{PLANTED}' at 'value' failed")
    # An existing parameter's key is read first, in a call without the value.
    ssm.faults = [None, refusal] if exists else [refusal]
    with pytest.raises(ConfigError, match="ValidationException") as caught:
        apply_change(config, change)
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_no_log_of_ours_shows_a_value(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        config.get("aws.key")
        config.secret("aws.token")
    assert PLANTED not in caplog.text
