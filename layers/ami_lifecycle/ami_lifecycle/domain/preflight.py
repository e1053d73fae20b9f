"""Preflight checks: problems that would fail a build after it has incurred costs. Pure functions.

The plan refuses the first problem, the sweep starts nothing while there is one, and `doctor` and `build --dry-run` tell
them all; each says what it is, which resource, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ami_lifecycle.domain.disk_space import least_root_volume_gib, root_volume_gib_to_set
from ami_lifecycle.domain.docker_image import Manifest, RegistryImage
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import DockerImageUnusableError, InputError, ParameterUnusableError, SettingsError

IMAGE_DATA_TYPE: Final = "aws:ec2:image"
TEXT: Final = "text"
# SSM API reference, DeleteParameter: a name is free again after 30 seconds.
_AGAIN_SECONDS: Final = 30
_PLATFORMS: Final = {"x86_64": "amd64", "arm64": "arm64"}


class Problem(NamedTuple):
    """Why a build would fail: the error that the plan raises, what is wrong, and the remedy."""

    error: type[InputError]
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"

    def refusal(self) -> InputError:
        """The error to raise."""
        return self.error(str(self))


class ParameterShape(NamedTuple):
    """A parameter's name, and its shape as it stands: its type and data type."""

    name: str
    type: str
    data_type: str


def parameter_problem(shape: ParameterShape, environment: str) -> Problem | None:
    """Whether a parameter can be written as it stands.

    Type and data type are for ever (SSM API reference, PutParameter, Type and DataType). A value that is no image's
    id, or no JSON, is overwritten.
    """
    if shape.type != "String":
        what = f"{shape.name} is a {shape.type}, and only a String can be published there"
    elif shape.data_type not in {TEXT, IMAGE_DATA_TYPE} or (
        shape.data_type == IMAGE_DATA_TYPE and not shape.name.endswith("/latest")
    ):
        what = (
            f"{shape.name} has the data type {shape.data_type}, which does not take what is published there"
        )
    else:
        return None
    return Problem(
        ParameterUnusableError,
        f"{what}; Parameter Store changes neither type nor data type",
        f"delete it (aws ssm delete-parameter --name {shape.name}), wait {_AGAIN_SECONDS} seconds, and build again "
        f"(ami-lifecycle build {environment})",
    )


def data_type_finding(name: str, data_type: str, value: str) -> str | None:
    """What consumers of `latest` cannot do, in words; None when they can do everything.

    The service publishes all the same: replacing the parameter would leave it missing for a while, which its owner
    must decide.
    """
    if data_type == IMAGE_DATA_TYPE:
        return None
    return (
        f"{name} has the data type {data_type}, so EC2 does not resolve it (resolve:ssm:{name}), and launch templates "
        f"that name it cannot launch. A data type cannot be changed: delete the parameter and make it again. "
        f"aws ssm delete-parameter --name {name} && sleep {_AGAIN_SECONDS} && aws ssm put-parameter --name {name} "
        f"--type String --data-type {IMAGE_DATA_TYPE} --value {value}"
    )


def platform_of(settings: EnvironmentSettings) -> str:
    """The builder's architecture as Docker names it."""
    return _PLATFORMS[settings.builder.architecture]


def registry_problem(reference: str, image: RegistryImage) -> Problem | None:
    """Whether the registry's description of a digest can be an image that can be pulled."""
    if image.is_archived:
        return _unusable(
            f"{reference} is in ECR's archive, from which nothing is pulled",
            "restore it (aws ecr update-image-storage-class), or push it again",
        )
    return None


def manifest_problem(reference: str, manifest: Manifest, settings: EnvironmentSettings) -> Problem | None:
    """Whether a manifest is of an image, or an index with one for the builder."""
    if manifest.is_index:
        found = manifest.child_for(platform_of(settings))
        if found is None:
            has = ", ".join(manifest.platforms) or "no image at all"
            return _unusable(
                f"{reference} is an index without linux/{platform_of(settings)}: it has {has}",
                f"push it with docker build --platform linux/{platform_of(settings)}, or set builder.architecture and "
                "builder.instance_types to what it is for",
            )
        return None
    if manifest.is_legacy:
        return _unusable(
            f"{reference} has a manifest of schema 1, which Docker does not pull any more",
            "push it again with a current Docker",
        )
    if (kind := manifest.other_than_image) is not None:
        return _unusable(
            f"{reference} is no Docker image, but {kind}",
            "push the image under this tag, and artifacts under tags of their own",
        )
    return None


def disk_space_problem(
    reference: str, size_bytes: int | None, settings: EnvironmentSettings
) -> Problem | None:
    """Whether an image of this compressed size can fit the builder's disk at all."""
    given = settings.builder.root_volume_gib
    if size_bytes is None or given >= least_root_volume_gib(size_bytes):
        return None
    return Problem(
        SettingsError,
        f"{reference} has {size_bytes / 1024**3:.1f} GiB of compressed layers, which do not fit a root volume of "
        f"{given} GiB together with what they unpack to",
        f"set builder.root_volume_gib to {root_volume_gib_to_set(size_bytes)}, and deploy",
    )


def subnet_problems(
    environment: str, subnet_ids: Sequence[str], vpcs: Mapping[str, str], vpc_of_group: str | None
) -> list[Problem]:
    """Whether the subnets exist and are in the VPC of the security group of builders and canaries.

    Args:
        vpcs: the VPC of each subnet that exists.
    """
    problems = []
    for subnet_id in subnet_ids:
        if subnet_id not in vpcs:
            what, remedy = (
                "does not exist in this account and Region",
                "correct builder.subnet_ids, or the stack's",
            )
        elif vpc_of_group is not None and vpcs[subnet_id] != vpc_of_group:
            what = f"is in {vpcs[subnet_id]}, but the stack's security group is in {vpc_of_group}"
            remedy = "name subnets of the stack's VPC in builder.subnet_ids, or in the stack's"
        else:
            continue
        problems.append(Problem(SettingsError, f"{environment}: {subnet_id} {what}", f"{remedy} SubnetIds"))
    return problems


def _unusable(what: str, remedy: str) -> Problem:
    return Problem(DockerImageUnusableError, what, remedy)
