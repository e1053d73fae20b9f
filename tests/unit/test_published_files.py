"""The published schema, the example and the service's own files agree with the loader."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from parameter_config import load_config
from parameter_config.schema import ParameterSchema, config_json_schema

REPOSITORY = Path(__file__).parents[2]
FILES = sorted([*REPOSITORY.glob("config/*_config.yml"), *REPOSITORY.glob("config/examples/*/*_config.yml")])
SCHEMA = json.loads((REPOSITORY / "config/config.schema.json").read_text(encoding="utf-8"))


def test_the_published_schema_is_the_one_of_the_model() -> None:
    assert config_json_schema() == SCHEMA


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_every_published_file_fits_the_schema_and_loads(file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), SCHEMA)
    assert file.name.removesuffix("_config.yml") in load_config(file.parent, offline=True)


@pytest.mark.parametrize(
    "content",
    [
        {"a": {"ssm_param": "/p/a", "defualt": 1}},
        {"a": {"b": [{"ssm_param": "/p/a", "type": "integer"}]}},
        {"a": {"ssm_param": 7}},
        {"a": {"items": 1}},
        {"__x": 1},
        ["a"],
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(content: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_the_documentation_names_every_field() -> None:
    text = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
    assert [name for name in ParameterSchema.model_fields if f"| `{name}` |" not in text] == []
