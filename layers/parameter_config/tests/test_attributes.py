"""Attributes that only creation used to apply: tier, description, pattern, data type, key."""

from __future__ import annotations

import pytest

from parameter_config import Config, load_config
from parameter_config.changes import apply_change, plan_set
from parameter_config.drift import find_drift
from parameter_config.errors import InvalidDeclarationError
from parameter_config.initialisation import apply_init, plan_init
from parameter_config.validation import validate_values

from .conftest import WriteConfig
from .fake_aws import FakeSsm, client_error

BEFORE = "size: {ssm_param: /p/size, default: small, description: Old, allowed_pattern: '[a-z]+'}"
OURS = {"ami-lifecycle:application": "p", "ami-lifecycle:role": "configuration"}


def load(write_config: WriteConfig, ssm: FakeSsm, text: str) -> Config:
    return load_config(write_config(aws=text), ssm, clock=ssm.clock)


@pytest.fixture
def created(write_config: WriteConfig, ssm: FakeSsm) -> FakeSsm:
    """A store in which `init` has made the parameter as it was declared first."""
    config = load(write_config, ssm, BEFORE)
    apply_init(config, plan_init(config))
    return ssm


@pytest.mark.parametrize(
    ("fields", "attribute", "argument"),
    [
        ("description: Old, allowed_pattern: '[a-z]+', tier: Advanced", "tier", ("Tier", "Advanced")),
        ("description: New, allowed_pattern: '[a-z]+'", "description", ("Description", "New")),
        (
            "description: Old, allowed_pattern: '[a-z0-9]+'",
            "allowed_pattern",
            ("AllowedPattern", "^(?:[a-z0-9]+)$"),
        ),
        ("description: Old", "allowed_pattern", ("AllowedPattern", "^(?:[\\s\\S]*)$")),
    ],
)
def test_a_declared_attribute_is_compared_and_brought_about(
    write_config: WriteConfig, created: FakeSsm, fields: str, attribute: str, argument: tuple[str, str]
) -> None:
    config = load(write_config, created, f"size: {{ssm_param: /p/size, default: small, {fields}}}")
    (drift,) = find_drift(config)
    assert (drift.kind, drift.path) == ("attributes", "aws.size")
    assert attribute in (drift.default or "")
    assert "config init" in drift.detail
    (finding,) = validate_values(config)
    assert (finding.level, attribute in finding.message) == ("warning", True)
    (planned,) = plan_init(config)
    assert (planned.action, attribute in planned.reason) == ("update", True)
    assert apply_init(config, [planned]).updated == ["/p/size"]
    assert created.text("/p/size") == "small"
    assert created.parameters["/p/size"].attributes[argument[0]] == argument[1]
    assert find_drift(config) == []
    assert [planned.action for planned in plan_init(config)] == ["keep"]


def test_set_brings_attributes_about_with_the_value(write_config: WriteConfig, created: FakeSsm) -> None:
    config = load(write_config, created, "size: {ssm_param: /p/size, default: small, tier: Advanced}")
    long = "x" * 5000
    change = plan_set(config, "aws.size", long)
    assert next(str(each) for each in change.attributes) == "tier Standard -> Advanced"
    apply_change(config, change)
    assert created.text("/p/size") == long
    assert created.parameters["/p/size"].attributes["Tier"] == "Advanced"


def test_the_same_value_with_another_tier_is_a_change(write_config: WriteConfig, created: FakeSsm) -> None:
    config = load(write_config, created, f"{BEFORE[:-1]}, tier: Advanced}}")
    change = plan_set(config, "aws.size", "small")
    assert change.is_change
    assert apply_change(config, change) == 2
    assert not plan_set(config, "aws.size", "small").is_change


@pytest.mark.parametrize(
    ("stored", "fields", "attribute"),
    [
        ({"Tier": "Advanced"}, "tier: Standard", "tier"),
        ({"DataType": "text"}, "data_type: 'aws:ec2:image'", "data_type"),
    ],
)
def test_what_aws_cannot_change_is_said_with_the_way(
    write_config: WriteConfig, ssm: FakeSsm, stored: dict[str, str], fields: str, attribute: str
) -> None:
    ssm.put("/p/a", "x", tags=OURS)
    ssm.parameters["/p/a"].attributes |= stored
    config = load(write_config, ssm, f"a: {{ssm_param: /p/a, {fields}}}")
    (planned,) = plan_init(config)
    assert planned.action == "keep"
    assert attribute in planned.reason
    assert "aws ssm delete-parameter --name /p/a" in planned.reason
    assert "wait 30 seconds" in find_drift(config)[0].detail
    assert plan_set(config, "aws.a", "y").attributes == ()


def test_what_is_not_declared_is_not_compared(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/p/a", "x", tags=OURS)
    by_hand = {"Tier": "Advanced", "Description": "by hand", "AllowedPattern": "x+"}
    ssm.parameters["/p/a"].attributes |= by_hand
    assert find_drift(load(write_config, ssm, "a: {ssm_param: /p/a}")) == []
    assert find_drift(load(write_config, ssm, "a: {ssm_param: /p/a, tier: Intelligent-Tiering}")) == []


def test_a_parameter_that_is_not_ours_is_changed_with_adopt_alone(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    ssm.put("/p/a", "x")
    config = load(write_config, ssm, "a: {ssm_param: /p/a, description: Mine}")
    (planned,) = plan_init(config)
    assert (planned.action, "--adopt" in planned.reason) == ("keep", True)
    apply_init(config, plan_init(config, adopt=True))
    assert ssm.parameters["/p/a"].attributes["Description"] == "Mine"
    assert ssm.parameters["/p/a"].tags.items() >= OURS.items()


def test_without_the_permission_to_describe_parameters_values_are_still_set(
    write_config: WriteConfig, created: FakeSsm
) -> None:
    config = load(write_config, created, f"{BEFORE[:-1]}, tier: Advanced}}")
    denied = client_error("AccessDeniedException", "not authorized to perform: ssm:DescribeParameters")
    created.faults = [None, denied]
    apply_change(config, plan_set(config, "aws.size", "large"))
    assert created.parameters["/p/size"].attributes["Tier"] == "Advanced"
    created.faults = [None, denied]
    assert [planned.action for planned in plan_init(config)] == ["keep"]


def test_a_value_that_changes_while_attributes_are_written_is_not_lost_without_a_word(
    write_config: WriteConfig, created: FakeSsm
) -> None:
    config = load(write_config, created, f"{BEFORE[:-1]}, tier: Advanced}}")
    plan = plan_init(config)
    begun = len(created.calls)

    def somebody(calls: int) -> None:
        if calls == begun + 1:
            created.parameters["/p/size"].versions.append(created.parameters["/p/size"].versions[-1])

    created.after_call = somebody
    outcome = apply_init(config, plan)
    ((name, error),) = outcome.failed
    assert name == "/p/size"
    assert "config rollback aws.size --to 2" in error.remedy


def test_a_new_parameter_has_its_data_type_and_its_key(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(
        write_config,
        ssm,
        """
        image: {ssm_param: /p/image, default: ami-0123456789abcdef0, data_type: 'aws:ec2:image'}
        key: {ssm_param: /p/key, sensitive: true, key_id: alias/mine}
        """,
    )
    apply_init(config, plan_init(config))
    apply_change(config, plan_set(config, "aws.key", "x"))
    assert ssm.parameters["/p/image"].attributes["DataType"] == "aws:ec2:image"
    assert ssm.parameters["/p/key"].attributes["KeyId"] == "alias/mine"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("key_id: alias/mine", "not sensitive"),
        ("data_type: 'aws:ec2:image', type: list", "only a plain string"),
        ("data_type: 'aws:ec2:image', sensitive: true", "only a plain string"),
    ],
)
def test_attributes_that_exclude_each_other_are_refused(
    write_config: WriteConfig, ssm: FakeSsm, fields: str, words: str
) -> None:
    with pytest.raises(InvalidDeclarationError, match=words):
        load(write_config, ssm, f"a: {{ssm_param: /p/a, {fields}}}")
