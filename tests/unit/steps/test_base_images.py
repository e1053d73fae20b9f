"""The image that fresh builds start from, or why there is none, with what a person can do about it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import MACHINE, UBUNTU, Account
from tests.unit.steps.test_bases import (
    BY_ID,
    BY_NAME,
    BY_PARAMETER,
    GOLDEN,
    OTHER,
    PARAMETER,
    account_with,
    golden,
)

from ami_lifecycle.domain.model import Image
from ami_lifecycle.errors import AmiLifecycleError, ImageNotAllowedError, SettingsError
from ami_lifecycle.ports import AllowedImages
from ami_lifecycle.steps.base_images import current_base

NAME = "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id"
THEIRS = {"newest": {"owner": OTHER, "name": "golden-*"}}
REPLACE = "with aws ec2 replace-image-criteria-in-allowed-images-settings, which replaces all criteria"
POLICY = "in the organization's declarative policy for EC2"


def base_of(account: Account, arn: str = MACHINE) -> Image:
    return current_base(account.catalogue.get("prod"), arn, account.world.parameters, account.world.images)


def refusal(account: Account, kind: type[AmiLifecycleError] = SettingsError, arn: str = MACHINE) -> str:
    with pytest.raises(AmiLifecycleError) as raised:
        base_of(account, arn)
    assert type(raised.value) is kind
    return str(raised.value)


def restricted(account: Account, **allowed: Any) -> Account:
    account.world.images.allowed = AllowedImages(restricts=True, **allowed)
    return account


# A preset.


@pytest.mark.parametrize(
    ("architecture", "name", "types"),
    [("x86_64", "amd64", ["m5.large"]), ("arm64", "arm64", ["m7g.large"])],
)
def test_a_preset_is_the_current_image_of_the_architecture(
    architecture: str, name: str, types: list[str]
) -> None:
    account = Account({"builder": {"architecture": architecture, "instance_types": types}})
    image = account.world.images.all[UBUNTU].model_copy(update={"architecture": architecture})
    account.world.images.add(image)
    account.world.parameters.set(NAME.format(name), UBUNTU, "aws:ec2:image")
    assert base_of(account).image_id == UBUNTU
    assert [call.args for call in account.world.parameters.called("get")] == [(NAME.format(name),)]


def test_a_region_without_the_preset_is_told() -> None:
    account = Account()
    account.world.parameters.delete(NAME.format("amd64"))
    assert refusal(account) == (
        f"the public parameter {NAME.format('amd64')} does not exist in this Region; choose a Region that Ubuntu 22.04 "
        "is published in, or another base"
    )


def test_an_image_of_the_preset_that_nobody_has_is_told() -> None:
    account = Account()
    account.world.images.hidden.add(UBUNTU)
    assert refusal(account) == (
        f"{UBUNTU}, which the public parameter {NAME.format('amd64')} names, does not exist in this Region; look again "
        "in a few minutes, and else ask Canonical"
    )


@pytest.mark.parametrize(
    ("partition", "owner"),
    [("aws", "099720109477"), ("aws-cn", "837727238323"), ("aws-us-gov", "513442679011")],
)
@pytest.mark.parametrize(("allowed", "how"), [({"is_policy": True}, POLICY), ({}, REPLACE)])
def test_an_account_that_hides_the_preset_is_told_whom_to_allow_and_how(
    partition: str, owner: str, allowed: dict[str, Any], how: str
) -> None:
    account = restricted(Account(), **allowed)
    arn = MACHINE.replace("arn:aws:", f"arn:{partition}:")
    assert refusal(account, ImageNotAllowedError, arn) == (
        f"EC2's setting Allowed AMIs of this account and Region hides {UBUNTU}, the image that fresh builds start from "
        f"(base: ubuntu-22.04): allow the image provider {owner} (Canonical) {how}, then build again"
    )


def test_a_preset_that_is_not_published_in_the_partition_is_told_before_any_look() -> None:
    account = Account()
    assert refusal(account, arn=MACHINE.replace("arn:aws:", "arn:aws-iso:")) == (
        "base is ubuntu-22.04, but Canonical publishes no images of Ubuntu 22.04 in the partition aws-iso; name "
        "another base, or parameter, image_id or newest with its owner"
    )
    assert account.world.parameters.calls == account.world.images.calls == []


# A parameter, an image.


def test_a_parameter_that_is_not_there_is_told() -> None:
    assert refusal(Account({"base": BY_PARAMETER})) == (
        f"base.parameter: the parameter {PARAMETER} does not exist in this Region; write it, or correct the name (a "
        "public one begins with /aws/service/)"
    )


@pytest.mark.parametrize(
    ("value", "kind", "what"),
    [
        ("x" * 90, "String", f"holds {'x' * 90!r:.60}"),
        ("secret", "SecureString", "is a SecureString"),
    ],
)
def test_a_parameter_that_holds_no_id_is_told_and_no_secret_is(value: str, kind: str, what: str) -> None:
    account = Account({"base": BY_PARAMETER})
    account.world.parameters.set(PARAMETER, value, "text", kind)
    assert refusal(account) == (
        f"base.parameter: the parameter {PARAMETER} {what}, which is no id of an image; write a String with an id, as "
        "ami-0123456789abcdef0"
    )


@pytest.mark.parametrize(
    ("base", "names"),
    [
        (BY_PARAMETER, f"base.parameter names {GOLDEN}, which the parameter {PARAMETER} holds,"),
        (BY_ID, f"base.image_id names {GOLDEN}"),
    ],
)
def test_an_image_that_this_account_does_not_see_is_told(base: dict[str, Any], names: str) -> None:
    assert refusal(account_with(base)) == (
        f"{names} and this account sees no such image in this Region; correct it, or have the image shared with this "
        "account"
    )


def test_an_image_of_others_that_may_be_hidden_is_told_with_whom_to_allow() -> None:
    account = restricted(account_with(BY_ID))
    golden(account, owner_id=OTHER)
    assert refusal(account, ImageNotAllowedError) == (
        f"EC2's setting Allowed AMIs of this account and Region may hide {GOLDEN}, the image that fresh builds start "
        f"from (base: {GOLDEN} of {OTHER}): allow the image provider {OTHER} {REPLACE}, then build again"
    )


def test_an_own_image_is_never_hidden_so_that_nobody_asks_for_the_setting() -> None:
    account = restricted(account_with(BY_PARAMETER))
    assert refusal(account).startswith("base.parameter names")
    assert account.world.images.called("allowed_images") == []


def test_an_image_of_another_owner_is_not_built_from() -> None:
    account = account_with(BY_PARAMETER)
    golden(account, owner_id=OTHER)
    words = refusal(account)
    assert words.startswith(f"base.parameter names {GOLDEN}, which {OTHER} owns, and not self")


@pytest.mark.parametrize("base", [BY_PARAMETER, {"image_id": GOLDEN, "owners": ["self"]}])
def test_an_image_that_is_named_is_taken(base: dict[str, Any]) -> None:
    account = account_with(base)
    golden(account)
    assert base_of(account).image_id == GOLDEN


# The newest of a name.


def test_the_newest_of_a_name_is_asked_for_by_owner_and_architecture() -> None:
    account = account_with(BY_NAME)
    golden(account)
    assert base_of(account).image_id == GOLDEN
    assert [call.args for call in account.world.images.called("newest")] == [("self", "golden-*", "x86_64")]


@pytest.mark.parametrize("owner", ["self", "123456789012", OTHER])
def test_a_name_without_an_image_is_told(owner: str) -> None:
    account = account_with({"newest": {"owner": owner, "name": "golden-*"}})
    assert refusal(account) == (
        f"base.newest names an image of {owner} named golden-* for x86_64, and this account sees none that is "
        "available in this Region; correct owner and name, or have the image shared with this account"
    )
    assert len(account.world.images.called("allowed_images")) == (owner == OTHER)


@pytest.mark.parametrize(("allowed", "how"), [({"is_policy": True}, POLICY), ({}, REPLACE)])
def test_the_newest_of_others_that_may_be_hidden_is_told(allowed: dict[str, Any], how: str) -> None:
    account = restricted(account_with(THEIRS), **allowed)
    assert refusal(account, ImageNotAllowedError) == (
        f"base.newest: this account sees no available image of {OTHER} named golden-* for x86_64, which EC2's setting "
        f"Allowed AMIs of this account and Region may hide: allow the image provider {OTHER} {how}, then build again; "
        "or correct base.newest"
    )
