"""What the operator is told about old images: when they go depends on what `latest` names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.cli.samples import NOW, a_live, image_id

from ami_lifecycle.domain.model import Image, ImageState, ImageUse, Usage, UsageKind
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle_cli.commands.migrate import _question, _what_comes
from ami_lifecycle_cli.stack.adoption import Adoption, Proposal, adopt, propose_each

NAME = "comfyui-multitenant-prod"
NOTHING_LIVE = Live(value=None, problem="`latest` does not exist yet")
GONE = Live(value=image_id(9), problem=f"`latest` names {image_id(9)}, which does not exist any more")
DEPLOYING = Path(__file__).resolve().parents[3] / "docs" / "deploy.md"


def an_old_image(number: int) -> Image:
    return Image(
        image_id=image_id(number),
        name=f"{NAME}-{number}",
        state=ImageState.AVAILABLE,
        creation_date=NOW - timedelta(days=10 - number),
    )


def proposals(live: Live, used: Sequence[int] = ()) -> dict[str, Proposal]:
    """Proposals for old images 3, 2 and 1, by image id."""
    settings = EnvironmentSettings(
        application="comfyui",
        environment="prod",
        repository="comfyui",
        image_tag="prod-latest",
        image_name=NAME,
    )
    use = ImageUse(kind=UsageKind.LAUNCH_TEMPLATE, resource="lt-1")
    usages = [Usage(image_id=image_id(number), uses=(use,) if number in used else ()) for number in (3, 2, 1)]
    found = propose_each([an_old_image(number) for number in (3, 2, 1)], usages, live, settings, ())
    return {each.image.image_id: each for each in found}


@pytest.mark.parametrize("live", [NOTHING_LIVE, GONE], ids=["nothing published", "the image is gone"])
def test_without_a_live_image_old_ones_go_with_the_next_publication(live: Live) -> None:
    told = proposals(live)
    assert told[image_id(3)].adoption is Adoption.BASE
    for number in (1, 2):
        assert told[image_id(number)].adoption is Adoption.RETIRE
        assert told[image_id(number)].reason.endswith("; goes with the next publication")
    assert not any(each.goes_soon for each in told.values())


def test_with_a_live_image_old_ones_go_with_the_next_sweep() -> None:
    told = proposals(a_live(7))
    for number in (1, 2, 3):
        assert told[image_id(number)].adoption is Adoption.RETIRE
        assert told[image_id(number)].reason.endswith("; goes with the next sweep, within 15 minutes")
        assert told[image_id(number)].goes_soon


def test_neither_the_live_image_nor_a_used_one_goes_with_the_sweep() -> None:
    told = proposals(a_live(3), used=[2])
    assert {number: told[image_id(number)].adoption for number in (1, 2, 3)} == {
        1: Adoption.RETIRE,
        2: Adoption.LEAVE,
        3: Adoption.BASE,
    }
    assert [number for number in (1, 2, 3) if told[image_id(number)].goes_soon] == [1]


def test_the_question_says_that_images_go_without_a_push() -> None:
    question = _question("prod", 3, 2)
    assert "2 of which the next sweep retires within 15 minutes, without any push" in question
    assert "sweep" not in _question("prod", 3, 0)
    assert question.endswith("?")


def test_the_last_line_says_what_comes() -> None:
    assert "The next sweep retires 2 of these images within 15 minutes" in _what_comes("prod", 2)
    assert _what_comes("prod", 0).startswith("Push the Docker image now")


def test_the_document_says_when_old_images_go() -> None:
    section = " ".join(DEPLOYING.read_text().partition("## 7.")[2].partition("\n## ")[0].split())
    assert "they are retired by the next sweep, within 15 minutes, without any push" in section


def test_an_image_that_cannot_be_tagged_is_named_and_the_others_are_tagged() -> None:
    tagged: list[str] = []

    def create_tags(*, Resources: list[str], Tags: Any) -> None:  # noqa: N803 - as EC2 names them
        if image_id(2) in Resources:
            denied = {"Error": {"Code": "UnauthorizedOperation", "Message": "You are not authorized."}}
            raise ClientError(denied, "CreateTags")  # type: ignore[arg-type]
        tagged.extend(Resources)

    settings = SimpleNamespace(application="comfyui", environment="prod")
    stack: Any = SimpleNamespace(
        catalogue=SimpleNamespace(get=lambda _: settings),
        client=lambda _: SimpleNamespace(create_tags=create_tags),
    )
    found, left = adopt(stack, "prod", list(proposals(a_live(7)).values()))
    assert found == tagged == [image_id(3), image_id(1)]
    assert [blocked.resource for blocked in left] == [image_id(2)]
    assert "Grant ec2:CreateTags" in left[0].reason
