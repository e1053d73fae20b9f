"""Tags of the settings: what AWS takes, and nothing that could be taken for the service's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ami_lifecycle.domain.model import Role, owner_tags
from ami_lifecycle.domain.tagging import MAXIMUM_TAGS, problem_of_tags

OWN = owner_tags("comfyui", "prod", "arn:execution", Role.BUILDER, "sha256:0", "name", {})


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"CostCenter": "4711"},
        {"Environment": "prod", "environment": "prod", "Application": "comfyui"},
        {"org:cost-center/code": "a_b.c:d/e=f+g-h@i j"},
        {"Bereich": "Entwicklung Süd", "部署": "開発"},
        {"empty": ""},
        {"k" * 128: "v" * 256},
        {f"key-{number}": "x" for number in range(MAXIMUM_TAGS)},
    ],
)
def test_what_aws_takes_is_taken(tags: dict[str, str]) -> None:
    assert problem_of_tags(tags) is None


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"aws:createdBy": "me"}, "aws:"),
        ({"AWS:x": "me"}, "aws:"),
        ({"ami-lifecycle:application": "other"}, "ami-lifecycle:"),
        ({"AMI-Lifecycle:Application": "other"}, "ami-lifecycle:"),
        ({" ami-lifecycle:application": "other"}, "ami-lifecycle:"),
        ({"Name": "mine"}, "image_name"),
        ({"": "x"}, "1 to 128"),
        ({"k" * 129: "x"}, "1 to 128"),
        ({"k": "v" * 257}, "at most 256"),
        ({"k": "a,b"}, "','"),
        ({"k#": "b"}, "'#'"),
        ({"k": "line\nline"}, "'\\n'"),
        ({"k": " x"}, "space"),
        ({f"key-{number}": "x" for number in range(MAXIMUM_TAGS + 1)}, "too many"),
    ],
)
def test_what_aws_or_this_service_refuses_is_named(tags: dict[str, str], told: str) -> None:
    problem = problem_of_tags(tags)
    assert problem is not None
    assert told in problem


SPELLINGS = sorted(
    {spelt for key in (*OWN, "Team") for spelt in (key, key.lower(), key.upper(), f" {key}", key.title())}
)


@given(some.dictionaries(some.sampled_from(SPELLINGS), some.text(max_size=5)))
def test_no_tags_that_are_taken_change_or_imitate_our_own(tags: dict[str, str]) -> None:
    if problem_of_tags(tags) is None:
        together = owner_tags("comfyui", "prod", "arn:execution", Role.BUILDER, "sha256:0", "name", tags)
        assert OWN.items() <= together.items()
        own = {key.lower() for key in OWN}
        assert [key for key in together if key.lower() in own and key not in OWN] == []


def test_all_characters_that_are_refused_are_named_and_all_that_are_taken() -> None:
    assert problem_of_tags({"team": "a#b,c#"}) == (
        "the value 'a#b,c#' of team has '#', ','; AWS takes letters, numbers, spaces and + - . / : = @ _"
    )
