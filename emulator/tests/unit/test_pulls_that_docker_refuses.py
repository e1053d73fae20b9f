"""The emulated registry says what Docker would of a digest that it cannot pull or run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from aws_emulator.ecr import Registry
from aws_emulator.ecr.model import Repository, StoredImage

CONFIG = "application/vnd.oci.image.config.v1+json"


class Bus:
    def emit(self, *_: Any) -> None:
        """Tell nobody."""


class Now:
    def now(self) -> Any:
        """No time is asked for."""


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Now(), Bus(), account_id="123456789012", region="us-east-1")  # type: ignore[arg-type]
    registry.repositories["comfyui"] = Repository("comfyui", None)  # type: ignore[arg-type]
    return registry


def put(registry: Registry, content: dict[str, Any]) -> str:
    text = json.dumps(content)
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    image = StoredImage(digest, text, "", None, None)  # type: ignore[arg-type]
    registry.repositories["comfyui"].images[digest] = image
    return digest


def an_image(registry: Registry, architecture: str) -> str:
    blob = json.dumps({"architecture": architecture, "os": "linux"}).encode()
    config = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    registry.repositories["comfyui"].layers[config] = blob
    return put(registry, {"config": {"mediaType": CONFIG, "digest": config, "size": 7}})


def an_index(*entries: tuple[str, str]) -> dict[str, Any]:
    return {
        "manifests": [
            {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
            for digest, architecture in entries
        ]
    }


def test_a_chart_is_refused_by_its_media_type(registry: Registry) -> None:
    chart = put(registry, {"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}})
    assert "helm" in (registry.refusal_of_pull("comfyui", chart, "amd64") or "")


def test_an_image_of_another_architecture_is_refused(registry: Registry) -> None:
    arm = an_image(registry, "arm64")
    assert (
        registry.refusal_of_pull("comfyui", arm, "amd64")
        == "the image is for arm64, this instance needs amd64"
    )
    assert registry.refusal_of_pull("comfyui", arm, "arm64") is None


def test_of_an_index_the_entry_of_the_instance_is_taken(registry: Registry) -> None:
    amd, arm = an_image(registry, "amd64"), an_image(registry, "arm64")
    both = put(registry, an_index((arm, "arm64"), (amd, "amd64")))
    assert registry.refusal_of_pull("comfyui", both, "amd64") is None
    assert registry.variant_for("comfyui", both, "amd64") == amd
    only_arm = put(registry, an_index((arm, "arm64")))
    assert "no matching manifest for linux/amd64" in (
        registry.refusal_of_pull("comfyui", only_arm, "amd64") or ""
    )


def test_what_says_nothing_of_itself_is_pulled(registry: Registry) -> None:
    assert registry.refusal_of_pull("comfyui", put(registry, {"layers": []}), "amd64") is None
