"""What is wrong with build_config.yml: all of it at once, by the key that has to be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ami_lifecycle.domain.build_config import problems_of

SHIPPED = Path(__file__).parents[3] / "config" / "build_config.yml"


def paths(build: Any, application: str | None = "comfyui") -> list[str]:
    return [".".join(problem.path) for problem in problems_of(build, application)]


def test_the_shipped_file_is_fine() -> None:
    assert problems_of(yaml.safe_load(SHIPPED.read_text()), "comfyui") == []


def test_everything_that_is_wrong_is_said_at_once_and_where_it_stands() -> None:
    build = {
        "application": "comfyui",
        "defaults": {"builder": {"root_volume_gib": "forty"}, "container": {"ports": ["99999:8188"]}},
        "environments": {
            "dev": {"builder": {"root_volume_gib": 50}, "bilder": {}},
            "prod": {"retirement": {"keep_previous": 99}},
        },
    }
    assert paths(build) == [
        "defaults.container.ports.0",
        "environments.dev.bilder",
        "defaults.builder.root_volume_gib",
        "environments.prod.retirement.keep_previous",
    ]


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (None, ""),
        ({}, "environments"),
        ({"environments": {"Prod": {}}}, "environments.Prod"),
        ({"environments": {5: {}}}, "environments.5"),
        ({"environments": {"prod": []}}, "environments.prod"),
        ({"environments": {"prod": {}}, "defaults": 3}, "defaults"),
        ({"environments": {"prod": {}}, "enviroments": {}}, "enviroments"),
        ({"environments": {"prod": {}}, "image_tag": 20260101}, "image_tag"),
        ({"environments": {"prod": {}}, "image_tag": "a b"}, "image_tag"),
        ({"environments": {"prod": {"image_tag": 1}}}, "environments.prod.image_tag"),
        ({"environments": {"prod": {}}, "application": "comfy-"}, "application"),
        ({"environments": {"prod": {}}, "application": "other"}, "application"),
        ({"environments": {"dev": {}, "prod": {}}, "image_tag": "latest"}, "environments.prod"),
        ({"environments": {"dev": {}, "prod": {}}, "image_name": "golden"}, "environments.prod"),
    ],
)
def test_one_thing_that_is_wrong_is_one_problem(build: Any, path: str) -> None:
    assert paths(build) == [path]


def test_without_a_stack_the_files_application_counts() -> None:
    assert problems_of({"application": "comfyui", "environments": {"prod": {}}}) == []
    assert paths({"environments": {"prod": {}}}, None) == ["application"]
