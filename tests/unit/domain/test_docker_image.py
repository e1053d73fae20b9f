"""What a registry's manifest says of a digest: an image, an index of images, or something that is kept like one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.docker_image import Child, Manifest, read_manifest

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ODD = st.sampled_from([None, True, 3, "x", [], ["x"], [None], [{}], {}, {"size": "3"}, {"platform": 3}])
FIELDS = st.sampled_from(["mediaType", "config", "layers", "manifests", "artifactType"])


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def read(content: Any, media_type: str = OCI) -> Manifest:
    """The manifest with this JSON, which the registry has given under this media type."""
    found = read_manifest(json.dumps(content), media_type)
    assert found is not None
    return found


def an_image(config: str = CONFIG, layer: str = LAYER, **more: Any) -> dict[str, Any]:
    """The JSON of an image's manifest, as the OCI image specification shows it."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": config, "digest": digest(1), "size": 7_023},
        "layers": [
            {"mediaType": layer, "digest": digest(2), "size": 32_654},
            {"mediaType": layer, "digest": digest(3), "size": 16_724},
        ],
    } | more


def an_entry(number: int, platform: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """The JSON of an index's entry."""
    entry = {"mediaType": OCI, "digest": digest(number), "size": 7_143}
    return entry | ({} if platform is None else {"platform": platform}) | more


def linux(architecture: str) -> dict[str, str]:
    return {"os": "linux", "architecture": architecture}


def an_index(*entries: dict[str, Any]) -> Manifest:
    return read({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}, OCI_INDEX)


# An image.


@pytest.mark.parametrize(("config", "layer"), [(CONFIG, LAYER), (DOCKER_CONFIG, DOCKER_LAYER)])
def test_an_image_is_read_with_its_types_and_the_size_of_config_and_layers(config: str, layer: str) -> None:
    found = read(an_image(config, layer))
    assert found == Manifest(
        media_type=OCI,
        config_type=config,
        layer_types=(layer, layer),
        size_bytes=7_023 + 32_654 + 16_724,
    )
    assert found.other_than_image is None
    assert (found.is_index, found.is_legacy) == (False, False)


def test_the_media_type_in_the_json_goes_before_the_registrys() -> None:
    assert read({"mediaType": OCI_INDEX}, OCI).media_type == OCI_INDEX


@pytest.mark.parametrize("own", [{}, {"mediaType": None}, {"mediaType": ""}])
def test_a_manifest_that_does_not_say_its_type_has_the_one_that_the_registry_gave(
    own: dict[str, Any],
) -> None:
    """OCI image specification, manifest: mediaType should be there, and older images lack it."""
    assert read(own, OCI_INDEX).is_index


def test_of_an_image_that_says_nothing_of_its_types_nothing_is_known() -> None:
    found = read({"config": {}, "layers": [{}]})
    assert (found.config_type, found.artifact_type, found.layer_types) == ("", "", ("",))
    assert found.other_than_image is None


@pytest.mark.parametrize("size", [None, "7023", 7.5, -1, {}])
def test_a_size_that_is_none_does_not_count(size: object) -> None:
    content = an_image()
    content["config"]["size"] = size
    assert read(content).size_bytes == 32_654 + 16_724


def test_a_blob_without_a_size_does_not_count() -> None:
    assert read({"config": {"size": 1}, "layers": [{}, {"size": 2}]}).size_bytes == 3


# What is kept like an image.


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            an_image("application/vnd.cncf.helm.config.v1+json"),
            "a Helm chart (application/vnd.cncf.helm.config.v1+json)",
        ),
        (an_image(layer="application/vnd.in-toto+json"), "an attestation (application/vnd.in-toto+json)"),
        (
            an_image(layer="application/vnd.dev.cosign.simplesigning.v1+json"),
            "a signature (application/vnd.dev.cosign.simplesigning.v1+json)",
        ),
        (an_image(artifactType="application/x-weights"), "an artifact (application/x-weights)"),
        (
            an_image("application/vnd.wasm.config.v0+json", "application/wasm"),
            "a WebAssembly module (application/vnd.wasm.config.v0+json)",
        ),
    ],
)
def test_what_is_no_image_is_told_by_its_type(content: dict[str, Any], kind: str) -> None:
    assert read(content).other_than_image == kind


def test_an_image_that_calls_its_own_config_its_artifact_type_is_an_image() -> None:
    """OCI image specification, manifest: artifactType may be there whatever the config is."""
    assert read(an_image(artifactType=CONFIG)).other_than_image is None
    own = "application/vnd.example.config+json"
    assert read(an_image(own, artifactType=own)).artifact_type == ""


def test_an_artifact_without_a_config_is_none() -> None:
    assert read({"artifactType": "text/plain"}).artifact_type == "text/plain"


# An index.


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_has_an_entry_for_each_platform(media_type: str) -> None:
    found = read(
        {"mediaType": media_type, "manifests": [an_entry(1, linux("amd64")), an_entry(2, linux("arm64"))]}
    )
    assert found.is_index
    assert found.platforms == ("linux/amd64", "linux/arm64")
    assert found.child_for("arm64") == Child(digest=digest(2), media_type=OCI, platform="linux/arm64")
    assert found.child_for("amd64") == Child(digest=digest(1), media_type=OCI, platform="linux/amd64")
    assert found.child_for("riscv64") is None


def test_the_builders_platform_goes_before_an_entry_that_names_none() -> None:
    found = an_index(an_entry(1), an_entry(2, linux("amd64")))
    amd64, other = found.child_for("amd64"), found.child_for("arm64")
    assert amd64 is not None
    assert other is not None
    assert (amd64.digest, other.digest) == (digest(2), digest(1))
    assert found.platforms == ("linux/amd64",)


def test_an_entry_of_another_system_is_not_for_the_builder() -> None:
    assert an_index(an_entry(1, {"os": "windows", "architecture": "amd64"})).child_for("amd64") is None


def test_what_is_signed_or_attested_beside_an_image_is_not_taken_for_it() -> None:
    soci = an_entry(1, linux("amd64"), artifactType="application/vnd.amazon.soci.index.v2+json")
    attestation = an_entry(2, {"os": "unknown", "architecture": "unknown"})
    found = an_index(soci, attestation, an_entry(3, linux("amd64")))
    child = found.child_for("amd64")
    assert child is not None
    assert child.digest == digest(3)
    assert found.platforms == ("linux/amd64",)


def test_an_entry_that_says_little_is_kept_with_what_it_says() -> None:
    assert an_index({}).children == (Child(digest=""),)


# What cannot be read.


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "[" * 100_000])
def test_what_is_no_manifest_is_left_to_the_pull(text: str) -> None:
    assert read_manifest(text, OCI) is None


@given(st.dictionaries(FIELDS, ODD))
def test_a_manifest_of_any_shape_is_read(content: dict[str, Any]) -> None:
    assert read(content).size_bytes == 0
    assert read(content).platforms == ()
