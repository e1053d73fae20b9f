"""What is looked at before money is spent, and with which names."""

from __future__ import annotations

import json

import pytest
from tests.fakes.network import VPC
from tests.unit.steps.account import Account
from tests.unit.steps.test_seen_before_money import CHART, GIB, INDEX, OCI

from ami_lifecycle.domain.docker_image import Manifest, read_manifest
from ami_lifecycle.domain.preflight import (
    ParameterShape,
    Problem,
    disk_space_problem,
    manifest_problem,
    parameter_problem,
    registry_problem,
    subnet_problems,
)
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.steps.preflight import Preflight

IMAGE_ID = "ami-0123456789abcdef1"
CHILD = "sha256:" + "c" * 64


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def settings(account: Account) -> EnvironmentSettings:
    return account.catalogue.get("prod")


def index_of(digest: str, architecture: str = "amd64") -> Manifest:
    child = {
        "digest": digest,
        "mediaType": OCI,
        "platform": {"os": "linux", "architecture": architecture},
    }
    found = read_manifest(json.dumps({"mediaType": INDEX, "manifests": [child]}), INDEX)
    assert found is not None
    return found


def plain(gib: float) -> Manifest:
    return Manifest(
        media_type=OCI,
        config_type="application/vnd.oci.image.config.v1+json",
        layer_types=("application/vnd.oci.image.layer.v1.tar+gzip",),
        size_bytes=int(gib * GIB),
    )


def told(problem: Problem | None) -> list[Problem]:
    assert problem is not None
    return [problem]


def test_every_parameter_that_is_written_is_looked_at(
    account: Account, settings: EnvironmentSettings
) -> None:
    names = [f"/comfyui/ami/prod/{name}" for name in ("latest", "metadata", f"history/{IMAGE_ID}")]
    for name in names:
        account.world.parameters.set(name, "x", "aws:ec2:image", "SecureString")
    expected = [
        problem
        for name in names
        for problem in told(parameter_problem(ParameterShape(name, "SecureString", "aws:ec2:image"), "prod"))
    ]
    assert account.preflight.parameter_problems(settings, IMAGE_ID) == expected
    account.world.parameters.calls.clear()
    assert account.preflight.parameter_problems(settings) == expected[:2]
    assert [call.args[0] for call in account.world.parameters.called("get")] == names[:2]


def test_a_parameter_of_the_wrong_data_type_is_told_and_others_are_not(
    account: Account, settings: EnvironmentSettings
) -> None:
    account.world.parameters.set("/comfyui/ami/prod/latest", "x")
    account.world.parameters.set("/comfyui/ami/prod/metadata", "x", "aws:ec2:image")
    shape = ParameterShape("/comfyui/ami/prod/metadata", "String", "aws:ec2:image")
    assert account.preflight.parameter_problems(settings) == told(parameter_problem(shape, "prod"))


def test_an_archived_image_is_not_looked_at_closer(account: Account, settings: EnvironmentSettings) -> None:
    digest = account.push("one")
    repository = account.world.repository
    repository.archived.add(digest)
    archived = repository.describe("comfyui", digest)
    assert archived is not None
    assert account.preflight.image_problems(settings, digest) == (
        told(registry_problem(f"comfyui@{digest}", archived)),
        None,
    )
    assert repository.called("manifest") == []


def test_a_plain_image_has_its_size(account: Account, settings: EnvironmentSettings) -> None:
    digest = account.push("one")
    account.world.repository.manifests[digest] = plain(3)
    assert account.preflight.image_problems(settings, digest) == ([], 3 * GIB)
    account.world.repository.manifests[digest] = plain(0)
    assert account.preflight.image_problems(settings, digest) == ([], None)


def test_what_is_no_image_is_told_without_a_size(account: Account, settings: EnvironmentSettings) -> None:
    digest = account.push("one")
    account.world.repository.manifests[digest] = CHART
    assert account.preflight.image_problems(settings, digest) == (
        told(manifest_problem(f"comfyui@{digest}", CHART, settings)),
        None,
    )


def test_an_image_without_room_is_told_with_its_size(account: Account, settings: EnvironmentSettings) -> None:
    digest = account.push("one")
    account.world.repository.manifests[digest] = plain(30)
    assert account.preflight.image_problems(settings, digest) == (
        told(disk_space_problem(f"comfyui@{digest}", 30 * GIB, settings)),
        30 * GIB,
    )


def test_of_an_index_the_builders_own_image_is_looked_at(
    account: Account, settings: EnvironmentSettings
) -> None:
    digest = account.push("one")
    manifests = account.world.repository.manifests
    manifests |= {digest: index_of(CHILD), CHILD: plain(5)}
    assert account.preflight.image_problems(settings, digest) == ([], 5 * GIB)
    manifests[CHILD] = plain(30)
    assert account.preflight.image_problems(settings, digest) == (
        told(disk_space_problem(f"comfyui@{digest}", 30 * GIB, settings)),
        30 * GIB,
    )
    manifests[CHILD] = CHART
    assert account.preflight.image_problems(settings, digest) == (
        told(manifest_problem(f"comfyui@{digest}", CHART, settings)),
        None,
    )
    nested = manifests[CHILD] = index_of("sha256:" + "d" * 64, "arm64")
    assert account.preflight.image_problems(settings, digest) == (
        told(manifest_problem(f"comfyui@{digest}", nested, settings)),
        None,
    )
    del manifests[CHILD]
    assert account.preflight.image_problems(settings, digest) == ([], None)


def test_an_index_without_the_builders_platform_is_told(
    account: Account, settings: EnvironmentSettings
) -> None:
    digest = account.push("one")
    index = index_of(CHILD, "arm64")
    account.world.repository.manifests[digest] = index
    assert account.preflight.image_problems(settings, digest) == (
        told(manifest_problem(f"comfyui@{digest}", index, settings)),
        None,
    )


def test_what_the_registry_does_not_have_is_left_to_the_plan(
    account: Account, settings: EnvironmentSettings
) -> None:
    assert account.preflight.image_problems(settings, CHILD) == ([], None)


@pytest.mark.parametrize("group", ["sg-0123456789abcdef0", ""])
def test_the_subnets_of_the_settings_are_looked_at_or_else_the_stacks(group: str) -> None:
    account = Account()
    world = account.world
    stacks, own = "subnet-0dddddddddddddddd", "subnet-0eeeeeeeeeeeeeeee"
    world.network.elsewhere |= {stacks: "vpc-other", own: "vpc-other"}
    preflight = Preflight(world.repository, world.parameters, world.network, (stacks,), group)
    vpc = VPC if group else None
    settings = account.catalogue.get("prod")
    assert preflight.network_problems(settings) == subnet_problems(
        "prod", [stacks], {stacks: "vpc-other"}, vpc
    )
    builder = settings.builder.model_copy(update={"subnet_ids": (own,)})
    settings = settings.model_copy(update={"builder": builder})
    assert preflight.network_problems(settings) == subnet_problems("prod", [own], {own: "vpc-other"}, vpc)
    assert bool(preflight.network_problems(settings)) is bool(group)
    assert bool(world.network.called("vpc_of_group")) is bool(group)


def test_a_preflight_of_nothing_but_ports_has_no_subnets_of_a_stack() -> None:
    world = Account().world
    preflight = Preflight(world.repository, world.parameters, world.network)
    assert (preflight.subnet_ids, preflight.security_group_id) == ((), "")


def test_a_build_is_kept_by_all_of_it_in_order(account: Account, settings: EnvironmentSettings) -> None:
    digest = account.push("one")
    name = f"/comfyui/ami/prod/history/{IMAGE_ID}"
    account.world.parameters.set(name, "x", kind="StringList")
    account.world.repository.manifests[digest] = plain(30)
    account.world.network.missing.add("subnet-0aaaaaaaaaaaaaaaa")
    problems, size = account.preflight.build_problems(settings, digest, IMAGE_ID)
    assert problems == [
        *told(parameter_problem(ParameterShape(name, "StringList", "text"), "prod")),
        *told(disk_space_problem(f"comfyui@{digest}", 30 * GIB, settings)),
        *subnet_problems("prod", ["subnet-0aaaaaaaaaaaaaaaa"], {}, VPC),
    ]
    assert size == 30 * GIB
