"""What starts a build, and what ends before it costs anything."""

from __future__ import annotations

import pytest
from tests.unit.steps.account import Account, an_image
from tests.unit.steps.execution import Execution, run


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.mark.parametrize("tag", ["prod-latest", "", None])
def test_a_push_event_builds_the_environment_of_its_tag_or_of_its_digest(
    account: Account, tag: str | None
) -> None:
    digest = account.push("one")
    detail = {
        "action-type": "PUSH",
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": digest,
        "image-tag": tag,
    }
    event = {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": detail}
    assert Execution(account).run(event).outcome == "published"


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"action-type": "DELETE"}, "not a successful push"),
        ({"result": "FAILURE"}, "not a successful push"),
        ({"image-tag": "v1"}, "no environment is built from comfyui:v1"),
        ({"repository-name": "other"}, "no environment is built from other:prod-latest"),
        ({"image-tag": "", "image-digest": "sha256:" + "0" * 64}, "no environment's tag names it"),
        ({"image-tag": "", "image-digest": ""}, "no environment's tag names it"),
    ],
)
def test_an_event_that_concerns_nobody_ends_in_words(
    account: Account, detail: dict[str, str], words: str
) -> None:
    account.push("one")
    whole = {
        "action-type": "PUSH",
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": "sha256:" + "1" * 64,
        "image-tag": "prod-latest",
    }
    event = {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": whole | detail}
    ended = Execution(account).run(event)
    assert ended.outcome == "nothing"
    assert words in ended.reason
    assert account.world.instances.all == {}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"environment": "qa"}, "UnknownEnvironmentError"),
        ({"environment": "prod", "image_tag": "nope"}, "ImageTagNotFoundError"),
        ({"environment": "prod", "image_digest": "sha256:" + "0" * 64}, "ImageDigestNotFoundError"),
        ({"environment": "prod", "action": "publish"}, "RecordNotFoundError"),
        ({"environment": 5}, "InvalidRequestError"),
    ],
)
def test_a_request_that_cannot_be_fulfilled_costs_nothing_and_fails_by_name(
    account: Account, request_: dict[str, object], error: str
) -> None:
    account.push("one")
    ended = Execution(account).run(request_)
    assert (ended.outcome, ended.error) == ("failed", error)
    assert account.world.instances.all == {}
    assert account.world.environments.records == {}


def test_a_disk_that_is_smaller_than_the_images_is_refused_before_anything_is_launched(
    account: Account,
) -> None:
    account.publish(an_image(1, digest=account.push("one")))
    small = Account({"builder": {"root_volume_gib": 20}}, world=account.world)
    account.push("two")
    ended = run(small)
    assert ended.error == "SettingsError"
    assert "builder.root_volume_gib is 20" in ended.reason
    assert account.world.instances.all == {}
