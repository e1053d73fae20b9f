"""What would end a build after money is spent is refused by the plan, named by the sweep, and started by neither."""

from __future__ import annotations

import json

import pytest
from tests.fakes.repository import PLAIN_IMAGE
from tests.unit.steps.account import Account, arn_of, image_id_of
from tests.unit.steps.execution import run

from ami_lifecycle.domain.docker_image import Child, Manifest, read_manifest
from ami_lifecycle.domain.execution import BuildState
from ami_lifecycle.domain.model import TAG_DIGEST
from ami_lifecycle.domain.publication import dump, load
from ami_lifecycle.domain.record import Metadata
from ami_lifecycle.errors import (
    DockerImageUnusableError,
    InvalidRequestError,
    ParameterUnusableError,
    SettingsError,
)
from ami_lifecycle.steps.plan_build import PlanInput

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
GIB = 1024**3


@pytest.fixture
def account() -> Account:
    return Account()


def plan(account: Account, **fields: object) -> BuildState:
    request = {"environment": account.environment, **fields}
    return account.planner.plan(PlanInput(request=request, execution_arn=arn_of("e1"), execution_name="e1"))


def manifest(config: str = CONFIG, *layers: str, **more: object) -> Manifest:
    text = {
        "mediaType": OCI,
        "config": {"mediaType": config, "size": 100},
        "layers": [{"mediaType": layer, "size": 1_000} for layer in layers],
        **more,
    }
    found = read_manifest(json.dumps(text), OCI)
    assert found is not None
    return found


def index(*platforms: str | None) -> Manifest:
    children = [
        {"digest": f"sha256:{number:064x}", "mediaType": OCI}
        | (
            {"platform": {"os": platform.split("/")[0], "architecture": platform.split("/")[1]}}
            if platform
            else {}
        )
        for number, platform in enumerate(platforms)
    ]
    found = read_manifest(json.dumps({"mediaType": INDEX, "manifests": children}), INDEX)
    assert found is not None
    return found


CHART = manifest(
    "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (CHART, "a Helm chart"),
        (manifest(EMPTY, "application/spdx+json", artifactType="application/spdx+json"), "a bill of"),
        (manifest(CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"), "a signature"),
        (manifest(CONFIG, "application/vnd.in-toto+json"), "an attestation"),
        (manifest(EMPTY, "text/plain", artifactType="application/x-weights"), "an artifact"),
        (Manifest(media_type="application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
        (index("linux/arm64", "unknown/unknown"), "without linux/amd64: it has linux/arm64"),
        (index("windows/amd64"), "without linux/amd64: it has windows/amd64"),
        (index(), "no image at all"),
    ],
)
def test_what_is_no_image_for_the_builder_is_refused_by_the_plan(
    account: Account, what: Manifest, words: str
) -> None:
    digest = account.push("odd")
    account.world.repository.manifests[digest] = what
    with pytest.raises(DockerImageUnusableError, match=words) as raised:
        plan(account)
    assert digest in str(raised.value)


def test_an_archived_image_is_refused_by_the_plan(account: Account) -> None:
    account.world.repository.archived.add(account.push("old"))
    with pytest.raises(DockerImageUnusableError, match=r"archive.*restore it"):
        plan(account)


@pytest.mark.parametrize(
    "what",
    [
        PLAIN_IMAGE,
        manifest(
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
        manifest(CONFIG, artifactType=CONFIG),
        manifest(""),
        index("linux/arm64", "linux/amd64", "unknown/unknown"),
        index(None),
    ],
)
def test_an_image_is_planned(account: Account, what: Manifest) -> None:
    account.world.repository.manifests[account.push("image")] = what
    assert plan(account).plan.source is not None


def referrers(platform: dict[str, str] | None) -> Manifest:
    """An index as `soci convert` and signing tools write it: artifacts next to the image that they are about."""
    of = {"platform": platform} if platform else {}
    entries = [
        {"digest": f"sha256:{1:064x}", "mediaType": OCI, "artifactType": "application/vnd.x.sig+json", **of},
        {"digest": f"sha256:{2:064x}", "mediaType": OCI, **of},
    ]
    found = read_manifest(json.dumps({"mediaType": INDEX, "manifests": entries}), INDEX)
    assert found is not None
    return found


@pytest.mark.parametrize("platform", [None, {"os": "linux", "architecture": "amd64"}], ids=str)
def test_an_artifact_next_to_the_image_in_an_index_is_not_taken_for_it(
    account: Account, platform: dict[str, str] | None
) -> None:
    repository = account.world.repository
    both = referrers(platform)
    repository.manifests[account.push("signed")] = both
    repository.manifests[f"sha256:{1:064x}"] = manifest(EMPTY, "application/vnd.x.sig+json")
    repository.manifests[f"sha256:{2:064x}"] = PLAIN_IMAGE.model_copy(update={"size_bytes": 3 * GIB})
    source = plan(account).plan.source
    assert source is not None
    assert source.size_bytes == 3 * GIB


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "text"], ids=["deep", "list", "text"])
def test_a_manifest_that_cannot_be_read_is_left_to_the_pull(text: str) -> None:
    assert read_manifest(text, OCI) is None


def test_members_of_another_kind_are_left_to_the_pull() -> None:
    odd = read_manifest('{"layers": 3, "config": null, "manifests": "x"}', OCI)
    assert odd is not None
    assert odd.other_than_image is None


def test_the_size_is_that_of_the_builders_own_platform(account: Account) -> None:
    repository = account.world.repository
    both = index("linux/arm64", "linux/amd64")
    repository.manifests[account.push("both")] = both
    repository.manifests[both.children[0].digest] = PLAIN_IMAGE.model_copy(update={"size_bytes": 90 * GIB})
    repository.manifests[both.children[1].digest] = PLAIN_IMAGE.model_copy(update={"size_bytes": 3 * GIB})
    source = plan(account).plan.source
    assert source is not None
    assert source.size_bytes == 3 * GIB


def test_an_image_that_cannot_fit_is_refused_with_the_number_to_set(account: Account) -> None:
    digest = account.push("large")
    account.world.repository.manifests[digest] = PLAIN_IMAGE.model_copy(update={"size_bytes": 30 * GIB})
    with pytest.raises(SettingsError, match=r"30\.0 GiB.*root volume of 40 GiB.*root_volume_gib to 103"):
        plan(account)


def test_an_index_within_an_index_is_left_to_the_pull(account: Account) -> None:
    outer = Manifest(media_type=INDEX, children=(Child(digest="sha256:" + "0" * 64),))
    account.world.repository.manifests[account.push("nested")] = outer
    assert plan(account).plan.source is not None


@pytest.mark.parametrize("name", ["latest", "metadata"])
@pytest.mark.parametrize("kind", ["SecureString", "StringList"])
def test_a_parameter_of_another_type_is_refused_with_the_commands_that_repair_it(
    account: Account, name: str, kind: str
) -> None:
    account.push("first")
    full_name = f"{account.prefix}/{name}"
    account.world.parameters.set(full_name, "ami-0123456789abcdef0", kind=kind)
    with pytest.raises(ParameterUnusableError) as raised:
        plan(account)
    for part in (
        full_name,
        kind,
        f"delete-parameter --name {full_name}",
        "30 seconds",
        "ami-lifecycle build",
    ):
        assert part in str(raised.value)


def test_metadata_that_ec2_would_have_to_validate_is_refused(account: Account) -> None:
    account.push("first")
    account.world.parameters.set(f"{account.prefix}/metadata", "ami-0123456789abcdef0", "aws:ec2:image")
    with pytest.raises(ParameterUnusableError, match="data type aws:ec2:image"):
        plan(account)


@pytest.mark.parametrize("text", ["Enter AMI-ID of your choice", "ami-placeholder", "none", "{}"])
def test_a_placeholder_is_overwritten_and_never_looked_up(account: Account, text: str) -> None:
    account.world.parameters.set(f"{account.prefix}/latest", text)
    account.world.parameters.set(f"{account.prefix}/metadata", "not yet")
    digest = account.push("first")
    assert run(account).outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    asked = [call.args[0] for call in account.world.parameters.calls if call.method == "get"]
    assert [name for name in asked if text in name] == []


def test_every_problem_is_in_the_message(account: Account) -> None:
    account.world.repository.manifests[account.push("chart")] = CHART
    account.world.parameters.set(f"{account.prefix}/latest", "x", kind="StringList")
    account.world.network.missing.add("subnet-0aaaaaaaaaaaaaaaa")
    with pytest.raises(
        ParameterUnusableError, match=r"StringList.*also: .*Helm chart.*also: .*subnet-0a.*not exist"
    ):
        plan(account)


def test_a_subnet_of_another_vpc_is_refused_by_name(account: Account) -> None:
    account.push("first")
    account.world.network.elsewhere["subnet-0bbbbbbbbbbbbbbbb"] = "vpc-other"
    with pytest.raises(
        SettingsError, match=r"subnet-0bbbbbbbbbbbbbbbb is in vpc-other.*security group is in vpc-0"
    ):
        plan(account)


def test_the_sweep_names_the_problem_and_starts_nothing(account: Account) -> None:
    digest = account.push("chart")
    account.world.repository.manifests[digest] = CHART
    result = account.sweeper.sweep()
    assert account.world.executions.started == []
    (finding,) = [each.finding for each in result.findings if "Helm chart" in each.finding]
    assert "not started" in finding
    assert result.unpublished == (account.environment,)
    del account.world.repository.manifests[digest]
    account.sweeper.sweep()
    assert len(account.world.executions.started) == 1


@pytest.mark.parametrize("field", ["branch", "commit_sha", "workflow_run_id", "reason"])
@pytest.mark.parametrize(("text", "words"), [("${{ github.ref_name }}", "template"), ("a\nb", "control")])
def test_a_callers_text_that_no_store_takes_is_refused_by_field(
    account: Account, field: str, text: str, words: str
) -> None:
    account.push("first")
    with pytest.raises(InvalidRequestError, match=rf"{field} is .*{words}"):
        plan(account, **{field: text})


def test_a_label_with_braces_is_kept_as_it_is_and_written_so_that_parameter_store_takes_it() -> None:
    record = Metadata(
        ami_id=image_id_of(1),
        docker_image="x",
        environment="prod",
        creation_date="",
        branch="{{{.FullCommit}}}",
        commit_sha="{{ x }}",
        region="us-east-1",
        workflow_run_id="",
        workflow_run_number="1",
        image_digest="",
        facts={"image_labels": {"a{{b": "}}{{"}},
    )
    text = dump(record)
    assert "{{" not in text
    assert load(Metadata, text) == record
