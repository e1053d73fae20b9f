"""Allowed AMIs (EC2 user guide, Control the discovery and use of AMIs with Allowed AMIs)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.contract.account import Account

CANONICAL = "099720109477"


def run(account: Account, operation: str, **parameters: Any) -> dict[str, Any]:
    return account.gateway.call("ec2", operation, parameters, "operator")


def allow(account: Account, state: str, *criteria: dict[str, Any]) -> None:
    run(account, "ReplaceImageCriteriaInAllowedImagesSettings", ImageCriteria=list(criteria))
    run(account, "EnableAllowedImagesSettings", AllowedImagesSettingsState=state)


def seen(account: Account, image_id: str) -> list[bool | None]:
    found = run(account, "DescribeImages", ImageIds=[image_id])["Images"]
    return [image.get("ImageAllowed") for image in found]


@pytest.fixture
def ubuntu(account: Account) -> str:
    return account.state.seed_image("ubuntu-22.04", owner_id=CANONICAL)


def test_nothing_is_restricted_before_somebody_does(account: Account, ubuntu: str) -> None:
    assert run(account, "GetAllowedImagesSettings")["State"] == "disabled"
    assert seen(account, ubuntu) == [None]


@pytest.mark.parametrize(
    ("criterion", "allowed"),
    [
        ({"ImageProviders": [CANONICAL]}, True),
        ({"ImageProviders": ["amazon"]}, False),
        ({"ImageProviders": [CANONICAL], "ImageNames": ["ubuntu-*"]}, True),
        ({"ImageProviders": [CANONICAL], "ImageNames": ["debian-*"]}, False),
        ({"CreationDateCondition": {"MaximumDaysSinceCreated": 1}}, True),
    ],
)
def test_all_of_a_criterion_must_be_met_and_audit_mode_only_says_so(
    account: Account, ubuntu: str, criterion: dict[str, Any], allowed: bool
) -> None:
    allow(account, "audit-mode", criterion)
    assert seen(account, ubuntu) == [allowed]
    assert account.launch(ImageId=ubuntu)
    allow(account, "enabled", criterion)
    assert seen(account, ubuntu) == ([True] if allowed else [])


def test_one_of_several_criteria_is_enough(account: Account, ubuntu: str) -> None:
    allow(account, "enabled", {"ImageProviders": ["amazon"]}, {"ImageProviders": [CANONICAL]})
    assert seen(account, ubuntu) == [True]


def test_what_is_not_allowed_cannot_be_launched(account: Account, ubuntu: str) -> None:
    """aws/karpenter-provider-aws pull request 8197: a blocked AMI ends in InvalidAMIID.NotFound."""
    allow(account, "enabled", {"ImageProviders": ["amazon"]})
    with pytest.raises(ClientError, match=r"InvalidAMIID\.NotFound"):
        account.launch(ImageId=ubuntu)


def test_the_accounts_own_images_are_never_restricted(account: Account) -> None:
    """ "The Allowed AMIs feature does not restrict the AMIs owned by your account." """
    image_id = account.image()
    allow(account, "enabled", {"ImageProviders": ["amazon"]})
    assert seen(account, image_id) == [True]
    assert account.launch(ImageId=image_id)


def test_disabling_shows_everything_again_and_keeps_the_criteria(account: Account, ubuntu: str) -> None:
    allow(account, "enabled", {"ImageProviders": ["amazon"]})
    run(account, "DisableAllowedImagesSettings")
    assert seen(account, ubuntu) == [None]
    assert run(account, "GetAllowedImagesSettings")["ImageCriteria"] == [{"ImageProviders": ["amazon"]}]
