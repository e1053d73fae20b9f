"""What would end a build after money is spent is told before, with the remedy; and how texts are made to fit."""

from __future__ import annotations

import json

import pytest
from tests.unit.domain.builders import DIGEST, settings

from ami_lifecycle.domain import texts
from ami_lifecycle.domain.docker_image import Child, Manifest, RegistryImage
from ami_lifecycle.domain.preflight import (
    ParameterShape,
    data_type_finding,
    disk_space_problem,
    manifest_problem,
    parameter_problem,
    platform_of,
    registry_problem,
    subnet_problems,
)
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import DockerImageUnusableError, ParameterUnusableError, SettingsError

NAME = "/comfyui/ami/prod/latest"


def test_a_latest_of_text_is_told_with_the_commands_that_make_it_again() -> None:
    told = data_type_finding(NAME, "text", "ami-0123456789abcdef0")
    assert told is not None
    for part in (
        "resolve:ssm",
        f"delete-parameter --name {NAME}",
        "sleep 30",
        "--data-type aws:ec2:image",
        "ami-01",
    ):
        assert part in told
    assert data_type_finding(NAME, "aws:ec2:image", "ami-0123456789abcdef0") is None


@pytest.mark.parametrize("data_type", ["text", "aws:ec2:image"])
def test_a_latest_of_either_data_type_can_be_written(data_type: str) -> None:
    assert parameter_problem(ParameterShape(NAME, "String", data_type), "prod") is None


def test_a_subject_is_one_line_of_printable_ascii() -> None:
    assert texts.subject("a\x1b[31m\n b é") == "a [31m b ?"
    assert texts.subject("\x00") == "ami-lifecycle"
    assert len(texts.subject("x" * 300)) == 100


@pytest.mark.parametrize("limit", [4_000, 20_000, texts.EVENT_BYTES])
def test_a_long_message_is_made_to_fit_and_says_what_it_lacks(limit: int) -> None:
    message = {
        "outcome": "Image Published",
        "decisions": [{"reason": "é" * 200}] * 5_000,
        "cause": "x" * 50_000,
    }
    text = texts.fitting(message, limit)
    assert len(text.encode()) <= limit
    found = json.loads(text)
    assert found["outcome"] == "Image Published"
    assert found["left_out"]["decisions"] + len(found["decisions"]) == 5_000


def test_a_message_that_fits_is_not_changed() -> None:
    assert json.loads(texts.fitting({"a": [1, 2]}, 1_000)) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (ParameterShape(NAME, "SecureString", "text"), f"{NAME} is a SecureString, and only a String can be"),
        (
            ParameterShape(NAME, "String", "aws:ssm:integration"),
            f"{NAME} has the data type aws:ssm:integration, which does not take what is",
        ),
        (
            ParameterShape("/comfyui/ami/prod/metadata", "String", "aws:ec2:image"),
            "/comfyui/ami/prod/metadata has the data type aws:ec2:image, which does not take what is",
        ),
    ],
)
def test_a_parameter_that_cannot_be_written_is_named_with_the_commands_that_repair_it(
    shape: ParameterShape, what: str
) -> None:
    problem = parameter_problem(shape, "prod")
    assert problem is not None
    assert problem.what == (f"{what} published there; Parameter Store changes neither type nor data type")
    assert problem.remedy == (
        f"delete it (aws ssm delete-parameter --name {shape.name}), wait 30 seconds, and build again "
        "(ami-lifecycle build prod)"
    )
    refusal = problem.refusal()
    assert isinstance(refusal, ParameterUnusableError)
    assert str(refusal) == str(problem) == f"{problem.what}; {problem.remedy}"


# The Docker image. These are the last words that a person reads before money would be spent.

REFERENCE = "registry/comfyui:prod-latest"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
GIB = 1024**3


def an_index(*platforms: str | None) -> Manifest:
    children = tuple(Child(digest=DIGEST, platform=platform) for platform in platforms)
    return Manifest(media_type=INDEX, children=children)


def arm_settings() -> EnvironmentSettings:
    return settings(builder={"architecture": "arm64", "instance_types": ["m7g.large"]})


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            an_index("linux/arm64", "linux/riscv64"),
            (
                f"{REFERENCE} is an index without linux/amd64: it has linux/arm64, linux/riscv64; push it with docker "
                "build --platform linux/amd64, or set builder.architecture and builder.instance_types to what it is for"
            ),
        ),
        (
            an_index(),
            (
                f"{REFERENCE} is an index without linux/amd64: it has no image at all; push it with docker build "
                "--platform linux/amd64, or set builder.architecture and builder.instance_types to what it is for"
            ),
        ),
        (
            Manifest(media_type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
            (
                f"{REFERENCE} has a manifest of schema 1, which Docker does not pull any more; push it again with a "
                "current Docker"
            ),
        ),
        (
            Manifest(media_type="", config_type="application/vnd.cncf.helm.config.v1+json"),
            (
                f"{REFERENCE} is no Docker image, but a Helm chart (application/vnd.cncf.helm.config.v1+json); push "
                "the image under this tag, and artifacts under tags of their own"
            ),
        ),
    ],
)
def test_what_is_no_image_for_the_builder_is_told_with_the_way_out(manifest: Manifest, message: str) -> None:
    problem = manifest_problem(REFERENCE, manifest, settings())
    assert problem is not None
    assert problem.error is DockerImageUnusableError
    assert str(problem) == message


def test_an_image_for_the_builder_is_no_problem() -> None:
    assert manifest_problem(REFERENCE, Manifest(media_type="", config_type=CONFIG), settings()) is None
    assert manifest_problem(REFERENCE, an_index("linux/amd64"), settings()) is None
    assert manifest_problem(REFERENCE, an_index("linux/arm64"), arm_settings()) is None
    assert manifest_problem(REFERENCE, an_index(None), arm_settings()) is None


def test_the_platform_is_dockers_name_for_the_builders_architecture() -> None:
    assert (platform_of(settings()), platform_of(arm_settings())) == ("amd64", "arm64")


def test_an_archived_image_has_to_be_restored() -> None:
    archived = registry_problem(REFERENCE, RegistryImage(digest=DIGEST, is_archived=True))
    assert archived == (
        DockerImageUnusableError,
        f"{REFERENCE} is in ECR's archive, from which nothing is pulled",
        "restore it (aws ecr update-image-storage-class), or push it again",
    )
    assert registry_problem(REFERENCE, RegistryImage(digest=DIGEST)) is None


def test_an_image_that_cannot_fit_is_told_with_its_size_and_the_number_to_set() -> None:
    assert disk_space_problem(REFERENCE, 30 * GIB, settings()) == (
        SettingsError,
        (
            f"{REFERENCE} has 30.0 GiB of compressed layers, which do not fit a root volume of 40 GiB together with "
            "what they unpack to"
        ),
        "set builder.root_volume_gib to 103, and deploy",
    )


def test_the_largest_image_that_might_fit_is_built() -> None:
    # 3 GiB for a bare system, and the image twice: as it is downloaded, and unpacked.
    least = settings(builder={"root_volume_gib": 43})
    assert disk_space_problem(REFERENCE, 20 * GIB, least) is None
    assert disk_space_problem(REFERENCE, 20 * GIB + 1, least) is not None
    assert disk_space_problem(REFERENCE, None, settings()) is None


# Subnets.

VPCS = {"subnet-1": "vpc-a", "subnet-2": "vpc-b"}


def test_subnets_that_do_not_exist_or_lie_elsewhere_are_all_told() -> None:
    assert subnet_problems("prod", ["subnet-0", "subnet-1", "subnet-2"], VPCS, "vpc-a") == [
        (
            SettingsError,
            "prod: subnet-0 does not exist in this account and Region",
            "correct builder.subnet_ids, or the stack's SubnetIds",
        ),
        (
            SettingsError,
            "prod: subnet-2 is in vpc-b, but the stack's security group is in vpc-a",
            "name subnets of the stack's VPC in builder.subnet_ids, or in the stack's SubnetIds",
        ),
    ]


def test_where_the_group_is_not_known_a_subnet_may_be_in_any_vpc() -> None:
    assert subnet_problems("prod", ["subnet-1", "subnet-2"], VPCS, None) == []
