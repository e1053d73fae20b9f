"""set, rollback, import, diff and prune: what they change, and what they refuse to."""

from __future__ import annotations

from typing import Any

import pytest

from parameter_config import Config, MissingValueError, load_config
from parameter_config.changes import (
    PlannedChange,
    apply_change,
    plan_import,
    plan_rollback,
    plan_set,
)
from parameter_config.drift import apply_prune, find_drift, plan_prune
from parameter_config.errors import (
    ConfigFileError,
    ForeignParameterError,
    InvalidDeclarationError,
    ValueNotAllowedError,
    ValueTooLongError,
    ValueTypeError,
    VersionNotFoundError,
)
from parameter_config.ownership import prefixes_of

from .conftest import WriteConfig
from .fake_aws import FakeSsm, client_error

AWS = """
    id: {ssm_param: /project/ec2/id, allowed_pattern: 'i-[0-9]+'}
    size: {ssm_param: /project/size, default: 100}
    key: {ssm_param: /project/key, sensitive: true}
    plain: {rate: 0.5}
    """
OURS = {"ami-lifecycle:application": "project", "ami-lifecycle:role": "configuration"}


@pytest.fixture
def config(write_config: WriteConfig, ssm: FakeSsm) -> Config:
    return load_config(write_config(aws=AWS), ssm, clock=ssm.clock)


def set_and_apply(config: Config, path: str, text: str, **options: Any) -> int:
    return apply_change(config, plan_set(config, path, text, **options))


def test_set_creates_with_tags(config: Config, ssm: FakeSsm) -> None:
    assert set_and_apply(config, "aws.id", "i-1") == 1
    assert ssm.text("/project/ec2/id") == "i-1"
    assert ssm.parameters["/project/ec2/id"].tags == OURS | {"Project": "project"}


def test_set_writes_a_new_version_of_our_parameter(config: Config, ssm: FakeSsm) -> None:
    set_and_apply(config, "aws.size", "200")
    assert set_and_apply(config, "aws.size", "300") == 2
    assert ssm.text("/project/size") == "300"


def test_set_takes_the_name_of_the_parameter_too(config: Config, ssm: FakeSsm) -> None:
    set_and_apply(config, "/project/size", "200")
    assert ssm.text("/project/size") == "200"


def test_planning_a_change_writes_nothing(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "100", tags=OURS)
    plan_set(config, "aws.size", "200")
    plan_set(config, "aws.id", "i-1")
    plan_rollback(config, "aws.size", 1)
    assert ssm.count("PutParameter") == ssm.count("AddTagsToResource") == 0


def test_setting_the_present_value_writes_nothing(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "200")
    assert set_and_apply(config, "aws.size", "200") == 1
    assert ssm.count("PutParameter") == 0


def test_a_parameter_without_our_tags_is_refused(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "1", tags={"ami-lifecycle:application": "project"})
    with pytest.raises(ForeignParameterError, match="--adopt"):
        plan_set(config, "aws.size", "2")
    with pytest.raises(ForeignParameterError):
        apply_change(config, plan_set(config, "aws.size", "2"))
    assert ssm.text("/project/size") == "1"


def test_adopt_tags_before_it_changes(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "1", tags={"owner": "ana"})
    assert set_and_apply(config, "aws.size", "2", adopt=True) == 2
    assert ssm.parameters["/project/size"].tags == OURS | {"Project": "project", "owner": "ana"}
    operations = [operation for operation, _ in ssm.calls]
    assert operations.index("AddTagsToResource") < operations.index("PutParameter")


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("aws.id", "vol-1", ValueNotAllowedError),
        ("aws.size", "big", ValueTypeError),
        ("aws.key", "x" * 4097, ValueTooLongError),
        ("aws.key", "", ValueNotAllowedError),
        ("aws.key", "{{ssm:x}}", ValueNotAllowedError),
        ("aws.nothing", "1", MissingValueError),
        ("aws.plain.rate", "0.1", ConfigFileError),
        ("aws.plain", "0.1", ConfigFileError),
    ],
)
def test_a_wrong_change_is_refused_before_any_call(
    config: Config, ssm: FakeSsm, path: str, text: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        plan_set(config, path, text)
    assert ssm.calls == []


def test_a_plain_string_cannot_become_a_secure_one(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/key", "planted", tags=OURS)
    with pytest.raises(InvalidDeclarationError, match="delete-parameter") as caught:
        plan_set(config, "aws.key", "other")
    assert "planted" not in str(caught.value)


def test_a_parameter_created_meanwhile_is_not_overwritten(config: Config, ssm: FakeSsm) -> None:
    change = plan_set(config, "aws.size", "2")
    ssm.put("/project/size", "1")
    with pytest.raises(VersionNotFoundError, match="somebody else"):
        apply_change(config, change)
    assert ssm.text("/project/size") == "1"


def test_rollback_stores_an_old_value_as_a_new_version(config: Config, ssm: FakeSsm) -> None:
    for size in ("200", "300", "400"):
        set_and_apply(config, "aws.size", size)
    change = plan_rollback(config, "aws.size", 1)
    assert (change.before and change.before.version, change.after) == (3, "200")
    assert apply_change(config, change) == 4
    assert ssm.text("/project/size") == "200"


def test_rollback_knows_the_versions_that_are_left(config: Config, ssm: FakeSsm) -> None:
    for size in range(1, 121):
        set_and_apply(config, "aws.size", str(size))
    assert plan_rollback(config, "aws.size", 21).after == "21"
    with pytest.raises(VersionNotFoundError, match="versions 21 to 120"):
        plan_rollback(config, "aws.size", 20)
    with pytest.raises(VersionNotFoundError, match="does not exist"):
        plan_rollback(config, "aws.id", 1)


def test_rollback_refuses_a_value_that_the_declaration_no_longer_allows(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "huge", tags=OURS)
    set_and_apply(config, "aws.size", "5")
    with pytest.raises(ValueTypeError):
        plan_rollback(config, "aws.size", 1)


def test_rollback_refuses_a_parameter_without_our_tags(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", "1")
    ssm.put_parameter(Name="/project/size", Value="2", Overwrite=True)
    with pytest.raises(ForeignParameterError):
        plan_rollback(config, "aws.size", 1)


def test_import_changes_only_what_differs(config: Config, ssm: FakeSsm) -> None:
    changes, elsewhere = plan_import(
        config, {"aws": {"size": 250, "id": None, "plain": {"rate": 0.7}}, "other": {"x": 1}}
    )
    assert [(change.name, change.after) for change in changes] == [("/project/size", "250")]
    assert elsewhere == ["aws.plain.rate"]
    with pytest.raises(ValueTypeError, match=r"aws\.size"):
        plan_import(config, {"aws": {"size": "big"}})


def test_drift_is_missing_differing_invalid_or_orphaned(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/ec2/id", "not-an-id")
    ssm.put("/project/size", "200")
    ssm.put("/project/old", "x", tags=OURS)
    ssm.put("/project/deep/by-hand", "x")
    ssm.put("/projectile", "x", tags=OURS)
    found = {drift.name: drift for drift in find_drift(config)}
    assert {name: drift.kind for name, drift in found.items()} == {
        "/project/ec2/id": "invalid",
        "/project/size": "differs",
        "/project/key": "missing",
        "/project/old": "orphaned",
        "/project/deep/by-hand": "orphaned",
    }
    assert (found["/project/size"].default, found["/project/size"].stored) == ("100", "200")
    assert found["/project/old"].ours
    assert not found["/project/deep/by-hand"].ours


def test_a_value_equal_to_its_default_is_no_drift(config: Config, ssm: FakeSsm) -> None:
    ssm.put("/project/size", " 100")
    assert [drift.name for drift in find_drift(config)] == ["/project/ec2/id", "/project/key"]


def test_prune_deletes_orphans_with_our_tags_alone(config: Config, ssm: FakeSsm) -> None:
    for index in range(23):
        ssm.put(f"/project/old-{index:02}", "x", tags=OURS)
    ssm.put("/project/by-hand", "x")
    ssm.put("/project/other-application", "x", tags=OURS | {"ami-lifecycle:application": "other"})
    ssm.put("/project/ami/prod/latest", "ami-1", tags={"ami-lifecycle:application": "project"})
    ssm.put("/project/size", "1", tags=OURS)
    ssm.put("/elsewhere/old", "x", tags=OURS)
    planned = plan_prune(config)
    assert planned == [f"/project/old-{index:02}" for index in range(23)]
    assert ssm.count("DeleteParameters") == 0
    assert apply_prune(config, planned) == (planned, [])
    assert set(ssm.parameters) == {
        "/project/by-hand",
        "/project/other-application",
        "/project/ami/prod/latest",
        "/project/size",
        "/elsewhere/old",
    }


def test_an_orphan_that_may_not_be_deleted_keeps_no_other(config: Config, ssm: FakeSsm) -> None:
    names = [f"/project/old-{index:02}" for index in range(3)]
    for name in names:
        ssm.put(name, "x", tags=OURS)
    # The batch for one of its three, and that one by itself.
    ssm.faults = [client_error("AccessDeniedException"), None, client_error("AccessDeniedException"), None]
    deleted, failed = apply_prune(config, names)
    assert deleted == [names[0], names[2]]
    assert [name for name, _ in failed] == [names[1]]
    assert names[1] in ssm.parameters


def test_another_environment_is_no_orphan(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(
        write_config(aws="a: {ssm_param: '/project/{environment}/a'}\nb: {ssm_param: /project/b}"),
        ssm,
        environment="prod",
        clock=ssm.clock,
    )
    ssm.put("/project/dev/a", "x", tags=OURS)
    ssm.put("/project/dev/old", "x", tags=OURS)
    assert plan_prune(config) == ["/project/dev/old"]


@pytest.mark.parametrize(
    ("names", "prefixes"),
    [
        ([], []),
        (["single"], []),
        (["/p/a"], ["/p"]),
        (["/p/a/x", "/p/a/y"], ["/p/a"]),
        (["/p/a/x", "/p/b/y", "/p/a/z"], ["/p"]),
        (["/p/a/b/x", "/p/a/y"], ["/p/a"]),
        (["/p/a/c/x", "/p/b/c/y"], ["/p"]),
        (["/q/a", "/p/a/b"], ["/p/a", "/q"]),
    ],
)
def test_the_prefix_is_the_longest_common_path(names: list[str], prefixes: list[str]) -> None:
    assert prefixes_of(names) == prefixes


def test_a_planned_change_does_not_show_its_value(config: Config) -> None:
    change = plan_set(config, "aws.key", "planted")
    assert isinstance(change, PlannedChange)
    assert "planted" not in repr(change)
