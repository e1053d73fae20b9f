"""`config validate` sees every setting that a build would refuse, offline, with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from layers.parameter_config.tests.fake_aws import FakeClock, FakeSsm
from typer.testing import CliRunner

from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle.settings import load_catalogue
from ami_lifecycle.settings_validation import validate_settings
from ami_lifecycle_cli.main import app
from ami_lifecycle_cli.settings_reference import MEANINGS, build_config_json_schema, setting_fields
from parameter_config import load_config

SHIPPED = Path(__file__).parents[2] / "config"
Validate = Callable[..., tuple[int, str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("aws_config.yml", "build_config.yml"):
        (tmp_path / name).write_text((SHIPPED / name).read_text())
    return tmp_path


@pytest.fixture
def validate(directory: Path) -> Validate:
    def run(*options: str) -> tuple[int, str]:
        words = ["config", "validate", "--offline", "--config-dir", str(directory), *options]
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout

    return run


def write(directory: Path, environments: str, top: str = "application: comfyui") -> None:
    (directory / "build_config.yml").write_text(f"{top}\nenvironments:\n{environments}\n")


MISTAKES = [
    ("  prod: {bilder: {}}", 3, "did you mean builder?"),
    ("  prod:\n    builder:\n      root_volume_gib: forty", 5, "whole number"),
    ("  prod:\n    builder: {root_volume_gib: '40'}", 4, "whole number"),
    ("  Prod: {}", 3, "not a valid name"),
    ("  prod:\n    container:\n      ports:\n      - '8188'\n      - 2122:22", 7, '"2122:22"'),
    ("  prod:\n    container: {nvidia_driver: 535}", 4, '"535", with the quotes'),
    ("  prod: {verification: {health_check: {kind: htp}}}", 3, "did you mean http?"),
    ("  prod: {verification: {health_chek: {kind: http}}}", 3, "did you mean health_check?"),
    ("  prod:\n    image_tg: x", 4, "did you mean image_tag?"),
    ("  prod: {container: {gpu: yes please}}", 3, "true or false"),
    ("  prod: {container: {gpu: yes}}", 3, 'Write true if that is meant, else "yes"'),
    ("  prod: {builder: {instance_types: g5.xlarge}}", 3, "a list"),
    ("  prod:\n    image_tag: 20241101", 4, '"20241101", with the quotes'),
    ("  dev: {image_tag: a}\n  prod: {image_tag: a}", 4, "both built from the tag 'a'"),
    ("  dev: {image_name: fixed}\n  prod: {image_name: fixed}", 4, "both be named 'fixed'"),
    ("  prod: {image_name: ab}", 3, "3 to 80"),
    ("  prod:\n    builder:\n      iops: 80000\n      root_volume_gib: 8", 4, "at most"),
]


@pytest.mark.parametrize(("environments", "line", "words"), MISTAKES)
def test_a_setting_that_a_build_refuses_is_named_with_its_line(
    directory: Path, validate: Validate, environments: str, line: int, words: str
) -> None:
    write(directory, environments)
    code, output = validate()
    assert code == 1
    assert f"build_config.yml:{line}" in output
    assert words in output
    with pytest.raises(AmiLifecycleError):
        build_settings(directory)


# Mistakes that are made by changing the shipped file: what was written, what stands there instead, and what is said.
SLIPS = [
    ("kind: none", "kind: htp", "health_check.kind: did you mean http?"),
    ("kind: none", "knd: http", "health_check.knd: is an unknown key; did you mean kind?"),
    (
        "health_check:",
        "health_chek:",
        "verification.health_chek: is an unknown key; did you mean health_check?",
    ),
    ("image_tag: ", "image_tg: ", "image_tg: is an unknown key; did you mean image_tag?"),
    ('ports: ["8188:8188"]', "gpu: yes please", "container.gpu: write true or false"),
    ('ports: ["8188:8188"]', "nvidia_driver: 535", "container.nvidia_driver: write text, in quotes"),
    ("[m7i.large, m6i.large, m5.large]", "g5.xlarge", "builder.instance_types: write a list"),
    ("application: comfyui", "application: LLM", "application: is 'LLM', which is not a valid name"),
    ("prod: {}", "QA: {}", "environments.QA: is not a valid name"),
    ("prod: {}", "prod: {image_tag: dev-latest}", "dev and prod are both built from the tag 'dev-latest'"),
]


@pytest.mark.parametrize(("written", "instead", "words"), SLIPS)
def test_a_slip_in_the_shipped_file_is_named_with_file_line_and_what_was_meant(
    directory: Path, validate: Validate, written: str, instead: str, words: str
) -> None:
    file = directory / "build_config.yml"
    lines = file.read_text().splitlines()
    (number,) = [
        at for at, line in enumerate(lines) if line.strip().removeprefix("- ").startswith(written)
    ] or [at for at, line in enumerate(lines) if written in line]
    lines[number] = lines[number].replace(written, instead)
    file.write_text("\n".join(lines))
    code, output = validate()
    assert code == 1
    assert words in output
    assert f"{file}:{number + 1}\n" in output


@pytest.mark.parametrize(
    ("written", "instead", "words"),
    [
        ('"{application}-multitenant-{environment}"', "comfyui", "would both be named 'comfyui'"),
        ('"{environment}-latest"', "latest", "are both built from the tag 'latest'"),
    ],
)
def test_a_name_without_its_placeholder_is_named_at_each_environment_that_shares_it(
    directory: Path, validate: Validate, written: str, instead: str, words: str
) -> None:
    file = directory / "build_config.yml"
    file.write_text(file.read_text().replace(written, instead))
    code, output = validate()
    assert code == 1
    assert output.count(words) == 2
    for environment in ("staging", "prod"):
        number = file.read_text().splitlines().index(f"  {environment}: {{}}") + 1
        assert f"build.environments.{environment}: " in output
        assert f"{file}:{number}\n" in output


def build_settings(directory: Path) -> None:
    catalogue = load_catalogue(str(directory), FakeSsm(FakeClock()), "comfyui")
    for environment in catalogue.environments:
        catalogue.get(environment)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ("application: LLM", "application"),
        ("aplication: comfyui", "did you mean application?"),
        ("application: comfyui\ndefaults: {builder: {iops: many}}", "build.defaults.builder.iops"),
        ("application: comfyui\nimage_tag: 1.5", '"1.5", with the quotes'),
    ],
)
def test_what_is_wrong_outside_of_the_environments_is_named(
    directory: Path, validate: Validate, top: str, words: str
) -> None:
    write(directory, "  prod: {}", top)
    code, output = validate()
    assert code == 1
    assert words in output


def test_every_problem_is_named_at_once(directory: Path, validate: Validate) -> None:
    write(directory, "  dev: {bilder: {}}\n  prod: {container: {gpu: 1, shm_mib: -1}}")
    _, output = validate()
    assert [words in output for words in ("bilder", "gpu", "shm_mib")] == [True, True, True]


def test_a_default_of_a_declaration_is_checked_as_the_setting_that_it_is(
    directory: Path, validate: Validate
) -> None:
    (directory / "aws_config.yml").write_text(
        "ecr:\n  repository: {ssm_param: /comfyui/repository, default: Comfy UI}\n"
        "builder:\n  subnet_ids:\n    ssm_param: '/comfyui/{environment}/subnets'\n    default: [subnet-x]\n"
    )
    code, output = validate()
    assert code == 1
    assert "aws.builder.subnet_ids" in output
    assert "aws_config.yml:4" in output
    assert "aws.ecr.repository" in output
    assert "aws_config.yml:2" in output


def test_a_stored_value_is_checked_as_the_setting_that_it_is(directory: Path) -> None:
    ssm = FakeSsm(FakeClock())
    ssm.put("/comfyui/config/prod/builder/instance-types", "large", "StringList")
    findings = validate_settings(load_config(directory, ssm, application="comfyui"))
    assert [finding.path for finding in findings] == ["aws.builder.instance_types"]
    assert "an instance type" in findings[0].message


@pytest.mark.parametrize("options", [(), ("--environment", "prod")])
def test_the_shipped_configuration_passes(validate: Validate, options: tuple[str, ...]) -> None:
    assert validate(*options) == (0, "The files are valid.\n")


def test_an_environment_that_is_not_there_is_named(validate: Validate) -> None:
    code, output = validate("--environment", "prd")
    assert code == 1
    assert "prd is no environment" in output
    assert "Did you mean prod?" in output


def test_a_file_that_nothing_reads_is_a_warning(directory: Path, validate: Validate) -> None:
    (directory / "build-config.yml").write_text("environments: {}")
    code, output = validate()
    assert code == 0
    assert "is not read" in output
    assert "Is it meant to be build_config.yml?" in output


def test_another_projects_build_file_is_no_business_of_ours(directory: Path, validate: Validate) -> None:
    (directory / "build_config.yml").write_text("compiler: gcc\njobs: 4\n")
    assert validate()[0] == 0


# the reference


def test_every_setting_has_its_meaning_in_the_reference() -> None:
    fields = {path: model.model_fields[name] for path, model, name in setting_fields(EnvironmentSettings)}
    assert set(MEANINGS) <= set(fields)
    assert [path for path, field in fields.items() if path not in MEANINGS and not field.description] == []


def test_the_schema_accepts_the_shipped_file_and_refuses_mistakes() -> None:
    schema = build_config_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    shipped = yaml.safe_load((SHIPPED / "build_config.yml").read_text())
    jsonschema.validate(shipped, schema)
    for mistake in (
        {"environments": {}},
        {"environments": {"Prod": {}}},
        {"environments": {"prod": {"bilder": {}}}},
        {"environments": {"prod": {"builder": {"iops": 1}}}},
        {"environments": {"prod": {"builder": {"instance_types": ["large"]}}}},
        {"environments": {"prod": {"container": {"gpu": "yes"}}}},
        {"enviroments": {"prod": {}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(mistake, schema)


def test_the_command_prints_both_schemas() -> None:
    for words, title in (([], "Configuration file"), (["--build"], "build_config.yml")):
        result = CliRunner().invoke(app, ["config", "schema", *words])
        assert title in json.loads(result.stdout)["title"]


@pytest.mark.parametrize("name", ["aws_config.yml", "build_config.yml"])
def test_the_shipped_files_name_their_schema_for_editors(name: str) -> None:
    first, *_ = (SHIPPED / name).read_text().splitlines()
    schema = first.removeprefix("# yaml-language-server: $schema=./")
    assert (SHIPPED / schema).is_file()
