"""`init`: the plan, and the plan carried out, broken off and carried out again."""

from __future__ import annotations

from typing import Any

import pytest

from parameter_config import Config, load_config
from parameter_config.errors import ConfigError
from parameter_config.initialisation import apply_init, plan_init

from .conftest import WriteConfig
from .fake_aws import TOO_MANY_UPDATES, FakeSsm, client_error

AWS = """
    ec2:
      id: {ssm_param: /project/ec2/id, description: The instance}
      type: {ssm_param: /project/ec2/type, default: g4dn.xlarge, allowed_pattern: '[a-z0-9.]+'}
    size: {ssm_param: /project/size, default: 100, tier: Advanced}
    zones: {ssm_param: /project/zones, default: [a, b]}
    on: {ssm_param: /project/on, default: false}
    empty: {ssm_param: /project/empty, default: ""}
    key: {ssm_param: /project/key, sensitive: true}
    """


def load(write_config: WriteConfig, ssm: FakeSsm, text: str = AWS, **options: Any) -> Config:
    return load_config(write_config(aws=text), ssm, clock=ssm.clock, **options)


def test_the_plan_writes_nothing_and_gives_a_reason_for_everything(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    ssm.put("/project/size", "200")
    plan = plan_init(load(write_config, ssm))
    assert [(planned.path, planned.action, planned.text, planned.reason) for planned in plan] == [
        ("aws.ec2.id", "set by hand", None, "has no default"),
        ("aws.ec2.type", "create", "g4dn.xlarge", "has a default"),
        (
            "aws.size",
            "keep",
            None,
            "exists without our tags, and differs (tier Standard -> Advanced); --adopt brings it about",
        ),
        ("aws.zones", "create", "a,b", "has a default"),
        ("aws.on", "create", "false", "has a default"),
        ("aws.empty", "set by hand", None, "has an empty default"),
        ("aws.key", "set by hand", None, "has no default"),
    ]
    assert {operation for operation, _ in ssm.calls} <= {
        "GetParameters",
        "DescribeParameters",
        "ListTagsForResource",
    }
    assert "config set aws.ec2.id VALUE" in (plan[0].command or "")
    assert "config set aws.key --stdin" in (plan[6].command or "")


def test_parameters_are_created_with_type_tier_pattern_and_tags(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load(write_config, ssm)
    apply_init(config, plan_init(config))
    assert ssm.texts() == {
        "/project/ec2/type": "g4dn.xlarge",
        "/project/size": "100",
        "/project/zones": "a,b",
        "/project/on": "false",
    }
    assert ssm.parameters["/project/zones"].type == "StringList"
    assert ssm.parameters["/project/size"].attributes["Tier"] == "Advanced"
    assert ssm.parameters["/project/ec2/type"].attributes["AllowedPattern"] == "^(?:[a-z0-9.]+)$"
    assert ssm.parameters["/project/ec2/type"].tags == {
        "Project": "project",
        "ami-lifecycle:application": "project",
        "ami-lifecycle:role": "configuration",
    }


def test_tags_name_application_and_environment(write_config: WriteConfig, ssm: FakeSsm) -> None:
    text = "a: {ssm_param: '/{application}/{environment}/a', default: 1}\nb: {ssm_param: /x/b, default: 1}"
    config = load(write_config, ssm, text, environment="prod", application="comfyui")
    apply_init(config, plan_init(config))
    assert ssm.parameters["/comfyui/prod/a"].tags["ami-lifecycle:environment"] == "prod"
    assert ssm.parameters["/comfyui/prod/a"].tags["Project"] == "comfyui"
    assert "ami-lifecycle:environment" not in ssm.parameters["/x/b"].tags


def test_parameters_carry_the_tags_of_the_build_configuration(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    build = "defaults: {tags: {CostCenter: '4711', Project: other, 'ami-lifecycle:role': builder}}"
    directory = write_config(aws="size: {ssm_param: /project/size, default: 1}", build=build)
    config = load_config(directory, ssm, clock=ssm.clock)
    apply_init(config, plan_init(config))
    assert ssm.parameters["/project/size"].tags == {
        "CostCenter": "4711",
        "Project": "project",
        "ami-lifecycle:application": "project",
        "ami-lifecycle:role": "configuration",
    }


def test_existing_values_are_left_alone(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "not even a number")
    config = load(write_config, ssm)
    outcome = apply_init(config, plan_init(config))
    assert ssm.text("/project/size") == "not even a number"
    assert ssm.parameters["/project/size"].tags == {}
    assert outcome.kept == ["/project/size"]


def test_a_value_that_appears_after_the_plan_is_left_alone(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config, ssm)
    plan = plan_init(config)
    ssm.put("/project/size", "300")
    outcome = apply_init(config, plan)
    assert ssm.text("/project/size") == "300"
    assert "/project/size" in outcome.kept
    assert "/project/size" not in outcome.created


def test_adopt_tags_existing_parameters_once(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "200")
    config = load(write_config, ssm)
    outcome = apply_init(config, plan_init(config, adopt=True))
    assert outcome.adopted == ["/project/size"]
    assert ssm.text("/project/size") == "200"
    assert ssm.parameters["/project/size"].tags["ami-lifecycle:role"] == "configuration"
    again = apply_init(config, plan_init(config, adopt=True))
    assert again.adopted == []


def test_writes_stay_under_three_a_second(write_config: WriteConfig, ssm: FakeSsm) -> None:
    text = "\n".join(f"v{index}: {{ssm_param: /p/v{index}, default: 1}}" for index in range(60))
    config = load(write_config, ssm, text)
    written_at: list[float] = []
    plan = plan_init(config)
    apply_init(config, plan, lambda _: written_at.append(ssm.clock.now()))
    for first, fourth in zip(written_at, written_at[3:], strict=False):
        assert fourth - first > 1.0
    assert written_at[-1] - written_at[0] < 60 / 2.5


class _KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("killed_after", range(1, 6))
@pytest.mark.parametrize("effect", ["before", "after"])
def test_killed_at_any_call_a_second_init_finishes(
    write_config: WriteConfig, ssm: FakeSsm, killed_after: int, effect: str
) -> None:
    ssm.put("/project/on", "true")
    config = load(write_config, ssm)

    def kill(calls: int) -> None:
        if calls >= killed_after:
            raise _KilledError

    if effect == "after":
        ssm.after_call = kill
    else:
        ssm.faults = [*[None] * (killed_after - 1), _KilledError()]
    try:
        apply_init(config, plan_init(config))
    except _KilledError:
        assert len(ssm.calls) == killed_after
    ssm.after_call, ssm.faults = lambda _: None, []
    kept = {name: parameter.versions[:] for name, parameter in ssm.parameters.items()}

    second = load(write_config, ssm)
    apply_init(second, plan_init(second))

    assert ssm.texts() == {
        "/project/on": "true",
        "/project/ec2/type": "g4dn.xlarge",
        "/project/size": "100",
        "/project/zones": "a,b",
    }
    assert all(ssm.parameters[name].versions == versions for name, versions in kept.items())
    assert all(
        parameter.tags.get("ami-lifecycle:role") == "configuration"
        for name, parameter in ssm.parameters.items()
        if name != "/project/on"
    )


def test_a_recently_deleted_name_does_not_stop_the_others(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config, ssm)
    plan = plan_init(config)
    ssm.faults = [None, TOO_MANY_UPDATES]
    outcome = apply_init(config, plan)
    assert [name for name, _ in outcome.failed] == ["/project/size"]
    assert "30 seconds" in outcome.failed[0][1].message
    assert len(outcome.created) == 3


def test_a_parameter_that_may_not_be_written_keeps_no_other(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config, ssm)
    plan = plan_init(config)
    ssm.faults = [client_error("AccessDeniedException")]
    outcome = apply_init(config, plan)
    ((name, error),) = outcome.failed
    assert "ssm:PutParameter" in error.message
    assert name not in outcome.created
    assert len(outcome.created) == 3


def test_a_plan_needs_the_environment_of_every_name(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load(write_config, ssm, "a: {ssm_param: '/p/{environment}/a', default: 1}")
    with pytest.raises(ConfigError, match="--environment"):
        plan_init(config)
