"""The image of Ubuntu that fresh builds start from, or why there is none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import MACHINE, UBUNTU, Account

from ami_lifecycle.domain.model import Image
from ami_lifecycle.errors import ImageNotAllowedError, SettingsError
from ami_lifecycle.ports import AllowedImages
from ami_lifecycle.steps.ubuntu import current_ubuntu

NAME = "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id"


def ubuntu(account: Account, arn: str = MACHINE) -> Image:
    settings = account.catalogue.get("prod")
    return current_ubuntu(settings, arn, account.world.parameters, account.world.images)


@pytest.mark.parametrize(
    ("architecture", "name", "types"),
    [("x86_64", "amd64", ["m5.large"]), ("arm64", "arm64", ["m7g.large"])],
)
def test_it_is_the_current_one_of_the_architecture(architecture: str, name: str, types: list[str]) -> None:
    account = Account({"builder": {"architecture": architecture, "instance_types": types}})
    account.world.parameters.set(NAME.format(name), UBUNTU, "aws:ec2:image")
    assert ubuntu(account).image_id == UBUNTU
    assert [call.args for call in account.world.parameters.called("get")] == [(NAME.format(name),)]


def test_a_region_without_ubuntu_is_told() -> None:
    account = Account()
    account.world.parameters.delete(NAME.format("amd64"))
    with pytest.raises(SettingsError) as raised:
        ubuntu(account)
    assert str(raised.value) == (
        f"the public parameter {NAME.format('amd64')} does not exist in this Region; choose a Region that Ubuntu 22.04 "
        "is published in"
    )


def test_an_image_that_nobody_has_is_told() -> None:
    account = Account()
    account.world.images.hidden.add(UBUNTU)
    with pytest.raises(SettingsError) as raised:
        ubuntu(account)
    assert str(raised.value) == (
        f"{UBUNTU}, which the public parameter {NAME.format('amd64')} names, does not exist in this Region; look again "
        "in a few minutes, and else ask Canonical"
    )


@pytest.mark.parametrize(
    ("partition", "owner"),
    [
        ("aws", "099720109477"),
        ("aws-cn", "837727238323"),
        ("aws-us-gov", "513442679011"),
        ("aws-iso", "Canonical's account"),
    ],
)
@pytest.mark.parametrize(
    ("allowed", "how"),
    [
        ({"is_policy": True}, "in the organization's declarative policy for EC2"),
        (
            {},
            "with aws ec2 replace-image-criteria-in-allowed-images-settings, which replaces all criteria",
        ),
    ],
)
def test_an_account_that_hides_it_is_told_whom_to_allow_and_how(
    partition: str, owner: str, allowed: dict[str, Any], how: str
) -> None:
    account = Account()
    account.world.images.allowed = AllowedImages(restricts=True, **allowed)
    with pytest.raises(ImageNotAllowedError) as raised:
        ubuntu(account, MACHINE.replace("arn:aws:", f"arn:{partition}:"))
    assert str(raised.value) == (
        f"EC2's setting Allowed AMIs of this account and Region hides {UBUNTU}, the Ubuntu image that fresh builds "
        f"start from: allow the image provider {owner} (Canonical) {how}, then build again"
    )
