"""The setting `base`: what can be written, what it names, and which images are no base."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.domain.builders import ACCOUNT_ID, an_image, image_id, settings

from ami_lifecycle.domain.bases import (
    DEFAULT_PRESET,
    PRESETS,
    BaseSettings,
    Driver,
    Preset,
    _debian,
    _deep_learning,
    _ubuntu,
    is_of,
    problem_of_image,
)
from ami_lifecycle.domain.build_config import problems_of
from ami_lifecycle.domain.model import ImageState
from ami_lifecycle.domain.recipe import baked_part, hooks_part
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.domain.tagging import problem_of_tags

CANONICAL = "099720109477"
PARAMETER = {"parameter": "/golden/{architecture}", "owners": ["self"]}
IMAGE_ID = {"image_id": image_id(1), "owners": [CANONICAL]}
NEWEST = {"newest": {"owner": "self", "name": "golden-*"}}


def base(value: Any) -> BaseSettings:
    return BaseSettings.model_validate(value)


def problems(value: Any, **own: Any) -> list[str]:
    build = {"application": "comfyui", "environments": {"prod": {"base": value, **own}}}
    return [str(problem) for problem in problems_of(build)]


@pytest.mark.parametrize("value", [*PRESETS, PARAMETER, IMAGE_ID, NEWEST])
def test_what_can_be_written_comes_back_as_it_was_written(value: Any) -> None:
    wanted = settings(base=base(value))
    assert wanted.model_dump(mode="json")["base"] == value
    assert EnvironmentSettings.model_validate_json(wanted.model_dump_json()) == wanted
    assert problems(value) == []


def test_nothing_written_is_ubuntu_as_ever() -> None:
    assert settings().base == base(DEFAULT_PRESET)
    assert DEFAULT_PRESET == "ubuntu-22.04"


_LISTED = ", ".join(PRESETS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ubunut-22.04", "base: did you mean ubuntu-22.04? write one of ubuntu-22.04, "),
        (22.04, "base: write one of"),
        (5, f"base: write one of {_LISTED}, or a mapping with parameter, image_id or newest (got 5)"),
        (None, "base: write one of"),
        (["ubuntu-22.04"], "base: "),
        (
            {},
            f"base: names nothing; name one of parameter, image_id and newest, or write a preset alone: {_LISTED}",
        ),
        (PARAMETER | IMAGE_ID, "base: names parameter and image_id; name one of"),
        (
            NEWEST | {"owners": ["self"]},
            "base: owners stands beside newest, which says whose image it is; leave",
        ),
        ({"preset": "ubuntu-24.04", "owners": ["self"]}, "base: owners stands beside preset, which says"),
        ({"preset": "gentoo"}, f"base: preset is 'gentoo'; write one of {_LISTED}"),
        ({"parameter": "/golden"}, "base: parameter stands without owners; name whose image it must be"),
        ({"image_id": image_id(1)}, "base: image_id stands without owners; name whose"),
        (
            {"parameter": "/g/{arch}", "owners": ["self"]},
            "base.parameter: write the name of a parameter, in which only",
        ),
        ({"parameter": "/g//x", "owners": ["self"]}, "base.parameter: write the name of a parameter"),
        ({"image_id": "ami-1", "owners": ["self"]}, "base.image_id: write the id of an image"),
        ({"image_id": image_id(1), "owners": [99720109477]}, "base.owners.0: write text, in quotes"),
        (
            {"image_id": image_id(1), "owners": ["me"]},
            "base.owners.0: write the 12 digits of an account in quotes",
        ),
        ({"image_id": image_id(1), "owners": "self"}, "base.owners: write a list"),
        ({"newest": {"name": "x*"}}, "base.newest.owner: "),
        (
            {"newest": {"owner": "self", "name": "a,b*"}},
            "base.newest.name: write the name of images, with * and ?",
        ),
        (
            {"newest": {"owner": "self", "nam": "x-*"}},
            "base.newest.nam: is an unknown key; did you mean name?",
        ),
        (
            {"imageid": image_id(1)},
            "base.imageid: is an unknown key; did you mean image_id? the keys here are",
        ),
    ],
)
def test_what_is_no_base_is_told_with_what_to_write(value: Any, words: str) -> None:
    found = problems(value)
    assert found
    assert any(problem.startswith(f"environments.prod.{words}") for problem in found), found


def test_an_environments_base_takes_the_whole_place_of_the_defaults() -> None:
    build = {
        "application": "comfyui",
        "defaults": {"base": PARAMETER},
        "environments": {"dev": {"base": IMAGE_ID}, "prod": {"base": "ubuntu-24.04"}, "test": {}},
    }
    assert problems_of(build) == []


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("architecture", "dpkg"), [("x86_64", "amd64"), ("arm64", "arm64")])
def test_a_preset_has_a_public_parameter_for_each_architecture(
    name: str, architecture: str, dpkg: str
) -> None:
    found = base(name).parameter_name(architecture)
    assert found is not None
    assert found.startswith("/aws/service/")
    assert "{" not in found
    assert architecture in found or dpkg in found


def test_placeholders_become_the_names_of_the_architecture() -> None:
    found = base(PARAMETER | {"parameter": "/a/{architecture}/{dpkg_architecture}"})
    assert found.parameter_name("x86_64") == "/a/x86_64/amd64"
    assert found.parameter_name("arm64") == "/a/arm64/arm64"
    assert base(IMAGE_ID).parameter_name("arm64") is None


@pytest.mark.parametrize(
    ("value", "text", "field"),
    [
        ("ubuntu-24.04", "ubuntu-24.04", "base"),
        (PARAMETER, "/golden/{architecture} of self", "base.parameter"),
        (
            {"image_id": image_id(1), "owners": ["self", CANONICAL]},
            f"{image_id(1)} of self or {CANONICAL}",
            "base.image_id",
        ),
        (NEWEST, "newest golden-* of self", "base.newest"),
    ],
)
def test_a_base_is_told_in_one_line(value: Any, text: str, field: str) -> None:
    assert (base(value).text, base(value).field) == (text, field)


def test_a_tag_holds_what_tags_take_and_keeps_bases_apart() -> None:
    assert base("ubuntu-24.04").tag == "ubuntu-24.04"
    assert base(IMAGE_ID).tag == base(IMAGE_ID).text
    first = base({"newest": {"owner": "self", "name": "a*b"}})
    second = base({"newest": {"owner": "self", "name": "a?b"}})
    assert first.tag != second.tag
    assert first.tag.startswith("newest a_b of self ")


@given(st.from_regex(r"[A-Za-z0-9()\[\] ./'@_*?-]{3,128}", fullmatch=True))
def test_any_base_is_a_value_of_a_tag(name: str) -> None:
    value = base({"newest": {"owner": "self", "name": name}}).tag
    assert problem_of_tags({"base": value}) is None


def test_owners_of_a_preset_go_by_the_partition() -> None:
    assert base("ubuntu-22.04").owners_in("aws") == (CANONICAL,)
    assert base("ubuntu-22.04").owners_in("aws-cn") == ("837727238323",)
    assert base("ubuntu-22.04").owners_in("aws-eusc") == ()
    assert base(NEWEST).owners_in("aws") == ("self",)
    assert base(IMAGE_ID).owners_in("aws-cn") == (CANONICAL,)


def test_an_owner_is_an_account_this_account_or_what_ec2_calls_it() -> None:
    image = an_image(1, owner_id=ACCOUNT_ID)
    assert is_of(image, ("self",), ACCOUNT_ID)
    assert not is_of(image, ("self",), "999999999999")
    assert is_of(image, (CANONICAL, ACCOUNT_ID), "999999999999")
    assert not is_of(image, ("amazon",), ACCOUNT_ID)
    assert is_of(an_image(1, owner_id=CANONICAL, owner_alias="amazon"), ("amazon",), ACCOUNT_ID)
    assert not is_of(image, (), ACCOUNT_ID)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        (
            {"owner_id": "666666666666", "owner_alias": "aws-marketplace"},
            "who has changed what it names, or name its owner in base.owners if you trust it",
        ),
        (
            {"architecture": "arm64"},
            f"base.image_id names {image_id(1)}, which is arm64, but builder.architecture is x86_64; name an image for",
        ),
        (
            {"platform": "windows"},
            f"base.image_id names {image_id(1)}, which runs Windows; name an image of Linux",
        ),
        (
            {"root_device_type": "instance-store"},
            "whose root device is instance-store and whose virtualization is hvm",
        ),
        (
            {"virtualization_type": "paravirtual"},
            "whose root device is ebs and whose virtualization is paravirtual",
        ),
        ({"state": ImageState.DISABLED}, "which is disabled; build when it is available, or name another"),
    ],
)
def test_an_image_that_no_build_can_start_from_is_refused(changes: dict[str, Any], words: str | None) -> None:
    image = an_image(1, **({"owner_id": CANONICAL} | changes))
    problem = problem_of_image(
        base(IMAGE_ID), image, architecture="x86_64", partition="aws", account_id=ACCOUNT_ID
    )
    if words is None:
        assert problem is None
    else:
        assert problem is not None
        assert words in problem
        assert "; " in problem


def test_of_a_preset_nobody_is_asked_to_trust_another_owner() -> None:
    problem = problem_of_image(
        base("ubuntu-22.04"),
        an_image(1, owner_id="666666666666"),
        architecture="x86_64",
        partition="aws",
        account_id=ACCOUNT_ID,
    )
    assert problem == (
        f"base names {image_id(1)}, which 666666666666 owns, and not {CANONICAL}; find out who has changed what it "
        "names"
    )


# The driver.


def test_a_driver_of_ubuntus_archive_is_refused_where_the_base_has_its_own() -> None:
    (problem,) = problems("deep-learning-ubuntu-24.04", container={"nvidia_driver": "580-server"})
    assert "which has a driver already; leave container.nvidia_driver out" in problem
    for name in ("debian-12", "amazon-linux-2023"):
        (problem,) = problems(name, container={"nvidia_driver": "580-server"})
        assert (
            f"which comes from Ubuntu's archive, but base is {name}; leave it out, or set base: ubuntu"
            in problem
        )
    assert problems("ubuntu-24.04", container={"nvidia_driver": "580-server"}) == []
    assert problems("deep-learning-ubuntu-24.04", container={"nvidia_toolkit": True}) == []
    assert problems(IMAGE_ID, container={"nvidia_driver": "580-server"}) == []


def test_a_preset_alone_is_a_name_and_not_a_mapping_of_nothing() -> None:
    with pytest.raises(ValidationError, match="names nothing"):
        BaseSettings()


# The recipe.


def test_another_base_is_another_recipe_and_the_default_is_none() -> None:
    assert settings().recipe is None
    others = {settings(base=base(each)).recipe for each in (*PRESETS, PARAMETER, IMAGE_ID, NEWEST)}
    assert len(others) == len(PRESETS) + 3
    recipe = settings(base=base(NEWEST)).recipe
    assert recipe is not None
    assert re.fullmatch("base:[0-9a-f]{12}", recipe)
    assert (baked_part(recipe), hooks_part(recipe)) == (None, None)
    assert hooks_part(f"{recipe} provision:0 verify:1") == "provision:0 verify:1"


# To the letter.


def test_presets_of_one_publisher_differ_in_what_they_are_named_by() -> None:
    """Asked here once more: the presets themselves are made when the module is read."""
    canonical = {"aws": CANONICAL, "aws-cn": "837727238323", "aws-us-gov": "513442679011"}
    assert _ubuntu("1", "vol") == Preset(
        "Ubuntu 1",
        "/aws/service/canonical/ubuntu/server/1/stable/current/{dpkg_architecture}/hvm/vol/ami-id",
        canonical,
        "Canonical",
        Driver.UBUNTU_ARCHIVE,
        has_agent=True,
    )
    assert _debian("1") == Preset(
        "Debian 1",
        "/aws/service/debian/release/1/latest/{dpkg_architecture}",
        {"aws": "136693071363"},
        "Debian",
        Driver.NOWHERE,
        has_agent=False,
    )
    assert _deep_learning("sys", "Sys 1") == Preset(
        "Deep Learning Base with NVIDIA's driver, Sys 1",
        "/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-sys/latest/ami-id",
        {"aws": "amazon", "aws-cn": "amazon", "aws-us-gov": "amazon"},
        "Amazon",
        Driver.IN_THE_IMAGE,
        has_agent=True,
    )


def test_the_schema_is_a_name_or_a_mapping_without_one() -> None:
    name, mapping = BaseSettings.model_json_schema()["anyOf"]
    assert name == {"enum": list(PRESETS), "type": "string"}
    assert mapping["type"] == "object"
    assert list(mapping["properties"]) == ["parameter", "image_id", "newest", "owners"]
    assert "title" not in mapping
    written = BaseSettings.model_json_schema(mode="serialization")["anyOf"]
    assert written == [name, {"type": "object"}]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"owner_id": "666666666666", "owner_alias": "aws-marketplace"},
            (
                f"which 666666666666 (aws-marketplace) owns, and not {CANONICAL}; find out who has changed what it "
                "names, or name its owner in base.owners if you trust it"
            ),
        ),
        (
            {"owner_id": "666666666666"},
            (
                f"which 666666666666 owns, and not {CANONICAL}; find out who has changed what it names, or name its "
                "owner in base.owners if you trust it"
            ),
        ),
        (
            {"architecture": "arm64"},
            (
                "which is arm64, but builder.architecture is x86_64; name an image for it, or correct "
                "builder.architecture and builder.instance_types"
            ),
        ),
        ({"platform": "windows"}, "which runs Windows; name an image of Linux"),
        (
            {"root_device_type": "instance-store"},
            (
                "whose root device is instance-store and whose virtualization is hvm; name one with an EBS root volume "
                "(ebs) and hvm, of which EC2 makes images"
            ),
        ),
        (
            {"state": ImageState.DISABLED},
            "which is disabled; build when it is available, or name another",
        ),
    ],
)
def test_why_an_image_is_no_base_is_told_with_the_remedy(changes: dict[str, Any], problem: str) -> None:
    image = an_image(1, **({"owner_id": CANONICAL} | changes))
    told = problem_of_image(
        base(IMAGE_ID), image, architecture="x86_64", partition="aws", account_id=ACCOUNT_ID
    )
    assert told == f"base.image_id names {image_id(1)}, {problem}"


def test_a_preset_that_is_not_published_in_a_partition_is_anybodys_and_so_nobodys() -> None:
    told = problem_of_image(
        base("debian-12"), an_image(1), architecture="x86_64", partition="aws-cn", account_id=ACCOUNT_ID
    )
    assert told is not None
    assert f"which {an_image(1).owner_id} owns, and not anybody known; find out" in told


@pytest.mark.parametrize(("owner_id", "is_taken"), [(ACCOUNT_ID, True), ("999999999999", False)])
def test_self_is_the_account_that_builds(owner_id: str, is_taken: bool) -> None:
    own = base({"image_id": image_id(1), "owners": ["self"]})
    problem = problem_of_image(
        own,
        an_image(1, owner_id=owner_id),
        architecture="x86_64",
        partition="aws",
        account_id=ACCOUNT_ID,
    )
    assert (problem is None) is is_taken


def test_several_owners_are_told_as_alternatives() -> None:
    several = base({"image_id": image_id(1), "owners": [CANONICAL, "self"]})
    told = problem_of_image(
        several,
        an_image(1, owner_id="666666666666"),
        architecture="x86_64",
        partition="aws",
        account_id=ACCOUNT_ID,
    )
    assert told is not None
    assert f"and not {CANONICAL} or self; find out" in told
