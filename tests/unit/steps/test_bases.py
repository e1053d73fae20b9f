"""Builds from each kind of base, and every refusal of one, before anything is launched."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.faults import Call, Faulty
from tests.unit.steps.account import UBUNTU, UBUNTU_PARAMETER, Account, an_image, arn_of, catalogue
from tests.unit.steps.execution import Execution, converge, run

from ami_lifecycle.domain.model import TAG_BASE, TAG_BASE_IMAGE, Image
from ami_lifecycle.errors import ImageNotAllowedError, SettingsError
from ami_lifecycle.ports import AllowedImages
from ami_lifecycle.steps.base_images import current_base

GOLDEN = "ami-0aaaaaaaaaaaaaaa1"
OWNER = "123456789012"
OTHER = "210987654321"
CANONICAL = "099720109477"
PARAMETER = "/golden/x86_64"
BY_PARAMETER = {"parameter": "/golden/{architecture}", "owners": ["self"]}
BY_ID = {"image_id": GOLDEN, "owners": [OTHER]}
BY_NAME = {"newest": {"owner": "self", "name": "golden-*"}}


class Calls:
    """What is called, in words."""

    def __init__(self, account: Account) -> None:
        self.texts: list[str] = []
        account.world.watch(self)

    def before(self, port: Faulty, call: Call) -> None:
        self.texts.append(str(call))

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing is to be seen afterwards."""


def golden(account: Account, image_id: str = GOLDEN, **changes: Any) -> Image:
    image = an_image(0, name="golden-1", environment=None, owner_id=changes.pop("owner_id", OWNER))
    return account.world.images.add(image.model_copy(update={"image_id": image_id, **changes}))


def account_with(base: Any, **settings: Any) -> Account:
    account = Account(defaults={"base": base, **settings})
    account.world.parameters.set(PARAMETER, GOLDEN, "aws:ec2:image")
    return account


def refusal(account: Account) -> tuple[str | None, str]:
    """How a first build ends; nothing may have been launched."""
    account.push("one")
    ended = run(account)
    assert account.world.instances.all == {}
    return ended.error, ended.reason


@pytest.mark.parametrize(
    ("base", "tag"),
    [
        (BY_PARAMETER, "/golden/_architecture_ of self "),
        ({"image_id": GOLDEN, "owners": ["self"]}, f"{GOLDEN} of self"),
        (BY_NAME, "newest golden-_ of self "),
    ],
)
def test_a_build_starts_from_what_the_base_names(base: dict[str, Any], tag: str) -> None:
    account = account_with(base)
    golden(account)
    account.push("one")
    assert run(account).outcome == "published"
    assert account.metadata.base_ami_id == GOLDEN
    assert account.live.tags[TAG_BASE].startswith(tag)
    assert account.live.tags[TAG_BASE_IMAGE] == GOLDEN
    assert account.metadata.base_setting == account.live.tags[TAG_BASE]


def test_the_default_costs_one_read_of_a_parameter_and_one_of_an_image() -> None:
    account = Account()
    account.push("one")
    seen = Calls(account)
    current_base(account.catalogue.get("prod"), arn_of("x"), account.world.parameters, account.world.images)
    assert len(seen.texts) == 2
    assert UBUNTU_PARAMETER in seen.texts[0]
    assert UBUNTU in seen.texts[1]


def test_an_update_says_what_is_below_it_and_who_changes_the_base_gets_a_fresh_build() -> None:
    account = Account()
    account.push("one")
    assert run(account).outcome == "published"
    account.push("two")
    assert run(account, name="e2").outcome == "published"
    assert account.metadata.build_mode == "update"
    assert (account.metadata.base_setting, account.metadata.original_ami_id) == ("ubuntu-22.04", UBUNTU)
    assert account.metadata.base_ami_id != UBUNTU
    before = account.live.image_id
    golden(account)
    account.catalogue = catalogue(defaults={"publication": {"grace_period_seconds": 0}, "base": BY_NAME})
    account.push("three")
    assert run(account, name="e3").outcome == "published"
    assert (account.metadata.build_mode, account.metadata.original_ami_id) == ("fresh", GOLDEN)
    reason = f"{before} was built from ubuntu-22.04, and base is newest golden-* of self"
    assert reason in account.metadata.reason
    assert account.live.tags[TAG_BASE_IMAGE] == GOLDEN


def test_the_sweep_builds_what_is_live_again_when_the_base_changes_both_ways() -> None:
    account = Account()
    golden(account)
    digest = account.push("one")
    assert run(account).outcome == "published"
    for base, origin in ((BY_NAME, GOLDEN), ("ubuntu-22.04", UBUNTU)):
        before = account.latest
        account.catalogue = catalogue(defaults={"publication": {"grace_period_seconds": 0}, "base": base})
        converge(account, 3)
        assert account.latest != before
        assert (account.metadata.build_mode, account.metadata.original_ami_id) == ("fresh", origin)
        assert account.metadata.image_digest == digest
        assert "was built from" in account.metadata.reason
        settled = account.latest
        converge(account, 2)
        assert account.latest == settled


# Refusals.


def test_a_parameter_that_is_not_there_is_named() -> None:
    account = Account(defaults={"base": BY_PARAMETER})
    error, reason = refusal(account)
    assert error == "SettingsError"
    assert f"base.parameter: the parameter {PARAMETER} does not exist in this Region; write it" in reason


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("ubuntu", "String", "holds 'ubuntu', which is no id of an image"),
        ("AQECAH...", "SecureString", "is a SecureString, which is no id of an image"),
    ],
)
def test_a_parameter_that_names_no_image_is_refused(value: str, kind: str, words: str) -> None:
    account = Account(defaults={"base": BY_PARAMETER})
    account.world.parameters.set(PARAMETER, value, "text", kind)
    error, reason = refusal(account)
    assert (error, words in reason) == ("SettingsError", True)


@pytest.mark.parametrize("base", [BY_PARAMETER, BY_ID])
def test_an_image_that_this_account_does_not_see_is_refused(base: dict[str, Any]) -> None:
    error, reason = refusal(account_with(base))
    assert error == "SettingsError"
    assert f"names {GOLDEN}" in reason
    assert "this account sees no such image in this Region; correct it, or have the image shared" in reason


def test_a_name_that_no_image_has_is_refused() -> None:
    account = account_with(BY_NAME)
    golden(account, architecture="arm64")
    error, reason = refusal(account)
    assert error == "SettingsError"
    assert "base.newest names an image of self named golden-* for x86_64" in reason


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        (BY_PARAMETER, {"owner_id": OTHER}, f"which {OTHER} owns, and not self"),
        (BY_ID, {}, f"which {OWNER} owns, and not {OTHER}"),
        (BY_PARAMETER, {"architecture": "arm64"}, "which is arm64, but builder.architecture is x86_64"),
        (BY_PARAMETER, {"root_device_type": "instance-store"}, "whose root device is instance-store"),
    ],
)
def test_an_image_that_is_no_base_is_refused(
    base: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    account = account_with(base)
    golden(account, **changes)
    error, reason = refusal(account)
    assert (error, words in reason) == ("SettingsError", True)


def test_whoever_changes_what_a_public_parameter_names_gets_nothing_launched() -> None:
    account = Account()
    golden(account, owner_id=OTHER)
    account.world.parameters.set(UBUNTU_PARAMETER, GOLDEN, "aws:ec2:image")
    error, reason = refusal(account)
    assert error == "SettingsError"
    assert f"base names {GOLDEN}, which {OTHER} owns, and not {CANONICAL}" in reason


def test_a_base_that_is_larger_than_the_builders_volume_is_refused() -> None:
    account = account_with(BY_PARAMETER, builder={"root_volume_gib": 20})
    golden(account)
    error, reason = refusal(account)
    assert error == "SettingsError"
    assert (
        f"builder.root_volume_gib is 20, but {GOLDEN} has a root volume of 40 GiB; raise it, or name another"
        in reason
    )


def test_a_partition_that_a_preset_is_not_published_in_is_told() -> None:
    account = Account()
    with pytest.raises(
        SettingsError, match=r"Canonical publishes no images of Ubuntu 22.04 in the partition aws-eusc"
    ):
        current_base(
            account.catalogue.get("prod"),
            arn_of("x").replace("arn:aws:", "arn:aws-eusc:"),
            account.world.parameters,
            account.world.images,
        )


@pytest.mark.parametrize(
    ("base", "provider", "words"),
    [
        (
            BY_ID,
            OTHER,
            f"may hide {GOLDEN}, the image that fresh builds start from (base: {GOLDEN} of {OTHER})",
        ),
        (
            {"newest": {"owner": OTHER, "name": "golden-*"}},
            OTHER,
            f"this account sees no available image of {OTHER} named golden-* for x86_64",
        ),
    ],
)
@pytest.mark.parametrize("is_policy", [False, True])
def test_a_base_that_the_account_does_not_allow_itself_is_told_with_its_provider(
    base: dict[str, Any], provider: str, words: str, *, is_policy: bool
) -> None:
    account = account_with(base)
    golden(account, owner_id=OTHER)
    account.world.images.allowed = AllowedImages(restricts=True, is_policy=is_policy)
    error, reason = refusal(account)
    assert error == "ImageNotAllowedError"
    assert words in reason
    assert f"allow the image provider {provider} " in reason
    assert ("declarative policy" in reason) is is_policy


@pytest.mark.parametrize("base", [BY_PARAMETER, BY_NAME, {"newest": {"owner": OWNER, "name": "golden-*"}}])
def test_the_accounts_own_images_are_always_allowed_so_the_setting_is_not_the_cause(
    base: dict[str, Any],
) -> None:
    account = account_with(base)
    account.world.images.allowed = AllowedImages(restricts=True)
    error, _ = refusal(account)
    assert error == "SettingsError"
    golden(account)
    assert run(account, name="again").outcome == "published"


def test_a_hidden_image_of_a_preset_names_its_publisher() -> None:
    account = Account()
    account.world.images.allowed = AllowedImages(restricts=True)
    with pytest.raises(
        ImageNotAllowedError, match=rf"hides {UBUNTU}, .*allow the image provider {CANONICAL} \(Canon"
    ):
        current_base(
            account.catalogue.get("prod"), arn_of("x"), account.world.parameters, account.world.images
        )


# Scheduled rebuilds.


def test_a_base_is_followed_by_the_same_look() -> None:
    account = account_with(BY_NAME, refresh={"follow_base": True})
    golden(account)
    digest = account.push("one")
    assert run(account).outcome == "published"
    converge(account, 2)
    first = account.latest
    newer = golden(account, "ami-0aaaaaaaaaaaaaaa2", creation_date=account.world.clock.now())
    converge(account, 5)
    assert account.latest != first
    assert (account.metadata.original_ami_id, account.metadata.image_digest) == (newer.image_id, digest)
    assert "the base of" in account.metadata.reason


def test_environments_of_different_bases_are_looked_up_apart() -> None:
    account = Account()
    account.catalogue = catalogue(
        environments={"dev": {"base": BY_NAME}, "prod": {}, "test": {"base": BY_NAME}},
        defaults={"publication": {"grace_period_seconds": 0}, "refresh": {"follow_base": True}},
    )
    golden(account)
    for name in ("dev", "prod", "test"):
        account.environment = name
        account.push("one")
        assert Execution(account, f"first-{name}").run({"environment": name}).outcome == "published"
    seen = Calls(account)
    account.sweeper.sweep()
    assert len([text for text in seen.texts if "golden-*" in text]) == 1
    assert len([text for text in seen.texts if "canonical/ubuntu" in text]) == 1
