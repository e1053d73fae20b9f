"""The catalogue of environments: what it resolves, and what it says about a configuration that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from layers.parameter_config.tests.fake_aws import FakeClock, FakeSsm

from ami_lifecycle.errors import AccessDeniedError, SettingsError, UnknownEnvironmentError
from ami_lifecycle.function_environment import FunctionEnvironment
from ami_lifecycle.settings import Catalogue, load_catalogue, named_errors
from parameter_config import errors as configuration
from parameter_config import load_config

SHIPPED = Path(__file__).parents[2] / "config"


class Files:
    """A configuration directory; `aws` is what config/aws_config.yml says unless a test says otherwise."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write("aws", {"ecr": {"repository": "comfyui"}})

    def write(self, namespace: str, content: object) -> None:
        (self.directory / f"{namespace}_config.yml").write_text(yaml.safe_dump(content))

    def catalogue(self, application: str | None = "comfyui", **build: Any) -> Catalogue:
        self.write("build", {"application": "comfyui", "environments": {"dev": {}, "prod": {}}} | build)
        return Catalogue(load_config(config_dir=self.directory, offline=True), application)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_the_shipped_configuration_has_three_environments_with_the_documented_names() -> None:
    catalogue = load_catalogue(str(SHIPPED), FakeSsm(FakeClock()), "comfyui")
    assert catalogue.environments == ("dev", "staging", "prod")
    for environment in catalogue.environments:
        settings = catalogue.get(environment)
        assert settings.image_name == f"comfyui-multitenant-{environment}"
        assert settings.image_tag == f"{environment}-latest"
        assert settings.repository == "comfyui"
        assert settings.parameter_names.prefix == f"/comfyui/ami/{environment}"
        assert settings.verification.enabled


def test_an_environments_own_entries_come_on_top_of_the_defaults_at_any_depth(files: Files) -> None:
    catalogue = files.catalogue(
        defaults={
            "builder": {"root_volume_gib": 100, "iops": 4_000},
            "verification": {"health_check": {"kind": "http", "port": 80}},
        },
        environments={
            "dev": None,
            "prod": {"builder": {"iops": 5_000}, "verification": {"health_check": {"port": 81}}},
        },
    )
    dev, prod = catalogue.get("dev"), catalogue.get("prod")
    assert (dev.builder.root_volume_gib, dev.builder.iops) == (100, 4_000)
    assert (prod.builder.root_volume_gib, prod.builder.iops) == (100, 5_000)
    assert (prod.verification.health_check.kind, prod.verification.health_check.port) == ("http", 81)


def test_parameter_store_gives_what_differs_by_account(files: Files) -> None:
    files.write(
        "aws",
        {
            "ecr": {"repository": "comfyui"},
            "builder": {"subnet_ids": ["subnet-0123456789abcdef0"], "instance_types": ["g5.xlarge"]},
        },
    )
    builder = files.catalogue(defaults={"builder": {"root_volume_gib": 80}}).get("prod").builder
    assert builder.subnet_ids == ("subnet-0123456789abcdef0",)
    assert builder.instance_types == ("g5.xlarge",)
    assert builder.root_volume_gib == 80


def test_a_tag_and_its_repository_name_the_environment(files: Files) -> None:
    catalogue = files.catalogue()
    assert catalogue.for_tag("comfyui", "prod-latest") == "prod"
    assert catalogue.for_tag("comfyui", "v1.2.3") is None
    assert catalogue.for_tag("other", "prod-latest") is None


@pytest.mark.parametrize(
    "where",
    [
        {"environments": {"prod": {"image_tag": "stable"}}},
        {"defaults": {"image_tag": "stable"}, "environments": {"prod": {}}},
        {"image_tag": "stable", "environments": {"prod": {}}},
    ],
    ids=["environment", "defaults", "top-level"],
)
def test_a_tag_is_found_wherever_it_is_set(files: Files, where: dict[str, Any]) -> None:
    catalogue = files.catalogue(**where)
    assert catalogue.for_tag("comfyui", "stable") == "prod"
    assert catalogue.get("prod").image_tag == "stable"


def test_two_environments_of_one_tag_are_refused(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"dev and prod are both built from the tag 'latest'.*image_tag"):
        files.catalogue(image_tag="latest")


def test_one_tag_of_two_repositories_is_two_tags(files: Files) -> None:
    catalogue = files.catalogue(
        image_tag="latest", environments={"dev": {"repository": "comfyui-dev"}, "prod": {}}
    )
    assert catalogue.for_tag("comfyui-dev", "latest") == "dev"
    assert catalogue.for_tag("comfyui", "latest") == "prod"


def test_a_shared_tag_is_seen_behind_an_environment_of_another_repository(files: Files) -> None:
    environments = {"dev": {}, "staging": {"repository": "other"}, "prod": {}}
    with pytest.raises(SettingsError, match="dev and prod"):
        files.catalogue(image_tag="latest", environments=environments)


def test_two_environments_of_one_image_name_are_refused(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"dev and prod would both be named 'golden'.*image_name"):
        files.catalogue(image_name="golden")


def test_an_unknown_environment_is_told_the_known_ones(files: Files) -> None:
    with pytest.raises(UnknownEnvironmentError, match=r"'qa'.*dev, prod.*build_config\.yml"):
        files.catalogue().get("qa")


def test_an_application_that_the_stack_does_not_have_is_refused(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"'comfyui'.*'other'.*make both the same"):
        files.catalogue(application="other")


def test_a_directory_without_a_build_configuration_is_refused(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"build_config\.yml is missing or empty"):
        Catalogue(load_config(config_dir=files.directory, offline=True), "comfyui")


def test_an_unknown_key_is_named_with_the_known_ones(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"enviroments: is an unknown key.*environments"):
        files.catalogue(enviroments={})


@pytest.mark.parametrize("environments", [None, {}, [], ["prod"], "prod", 3])
def test_no_environments_are_refused_with_an_example(files: Files, environments: object) -> None:
    with pytest.raises(SettingsError, match=r"environments: \{prod: \{\}\}"):
        files.catalogue(environments=environments)


@pytest.mark.parametrize("name", ["Prod", "1st", "prod_eu", "prod-", "a" * 33, "prod/eu", 5])
def test_a_name_that_parameters_cannot_have_is_refused(files: Files, name: object) -> None:
    with pytest.raises(SettingsError, match="write lower-case letters"):
        files.catalogue(environments={name: {}})


@pytest.mark.parametrize("junk", [5, "text", ["list"], True])
@pytest.mark.parametrize("place", ["environment", "defaults", "builder"])
def test_what_should_be_a_mapping_and_is_not_is_named(files: Files, place: str, junk: object) -> None:
    build = {
        "environment": {"environments": {"prod": junk}},
        "defaults": {"defaults": junk},
        "builder": {"environments": {"prod": {"builder": junk}}},
    }[place]
    with pytest.raises(SettingsError, match="write a mapping") as raised:
        files.catalogue(**build).get("prod")
    assert repr(junk) in str(raised.value)


@pytest.mark.parametrize(
    ("own", "field"),
    [
        ({"builder": {"root_volume_gib": 4}}, "builder.root_volume_gib"),
        ({"builder": {"root_volume_gib": "big"}}, "builder.root_volume_gib"),
        ({"builder": {"instance_types": []}}, "builder.instance_types"),
        ({"builder": {"instance_types": ["large"]}}, "builder.instance_types.0"),
        ({"builder": {"subnet_ids": ["subnet-x"]}}, "builder.subnet_ids.0"),
        ({"builder": {"architecture": "mips"}}, "builder.architecture"),
        ({"builder": {"iops": 1}}, "builder.iops"),
        ({"builder": {"colour": "blue"}}, "builder.colour"),
        ({"container": {"ports": ["8188;rm"]}}, "container.ports.0"),
        ({"container": {"volumes": ["data"]}}, "container.volumes.0"),
        ({"container": {"environment": {"A B": "x"}}}, "container.environment"),
        ({"container": {"nvidia_driver": "latest"}}, "container.nvidia_driver"),
        ({"verification": {"enabled": "perhaps"}}, "verification.enabled"),
        ({"verification": {"health_check": {"kind": "tcp"}}}, "verification.health_check.kind"),
        ({"builder": {"root_volume_gib": "40"}}, "builder.root_volume_gib"),
        ({"builder": {"root_volume_gib": True}}, "builder.root_volume_gib"),
        ({"container": {"gpu": "yes"}}, "container.gpu"),
        ({"container": {"ports": ["99999:8188"]}}, "container.ports.0"),
        ({"container": {"ports": ["0"]}}, "container.ports.0"),
        ({"container": {"ports": [127342]}}, "container.ports.0"),
        ({"container": {"environment": {"KEY": "one\ntwo"}}}, "container.environment.KEY"),
        ({"container": {"command": ["a\tb"]}}, "container.command.0"),
        ({"container": {"command": ["\ufffe"]}}, "container.command.0"),
        ({"container": {"nvidia_driver": 535}}, "container.nvidia_driver"),
        (
            {"verification": {"health_check": {"kind": "command", "command": "a\x00b"}}},
            "health_check.command",
        ),
        ({"verification": {"health_check": {"path": "no-slash"}}}, "verification.health_check.path"),
        ({"publication": {"image_naming": "dated"}}, "publication.image_naming"),
        ({"publication": {"grace_period_seconds": -1}}, "publication.grace_period_seconds"),
        ({"publication": {"history_to_keep": 0}}, "publication.history_to_keep"),
        ({"retirement": {"keep_previous": 51}}, "retirement.keep_previous"),
        ({"refresh": {"max_generations": 0}}, "refresh.max_generations"),
        ({"reconcile_attempts": -1}, "reconcile_attempts"),
        ({"image_tag": "no spaces"}, "image_tag"),
        ({"image_name": "x"}, "image_name"),
        ({"image_name": "a" * 81}, "image_name"),
        ({"repository": "UPPER"}, "repository"),
        ({"repositry": "comfyui"}, "repositry"),
    ],
)
def test_a_wrong_value_is_refused_by_field_with_the_remedy(
    files: Files, own: dict[str, Any], field: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        files.catalogue(environments={"prod": own}).get("prod")
    message = str(raised.value)
    assert f"{field}" in message
    assert "(got " in message
    assert "the settings of prod are not valid" in message
    assert "correct config/build_config.yml or the parameter, and deploy" in message


@pytest.mark.parametrize(
    ("own", "what"),
    [
        ({"verification": {"health_check": {"kind": "command"}}}, "command is empty; name the command"),
        ({"verification": {"health_check": {"kind": "command", "command": " \n"}}}, "command is empty"),
        ({"builder": {"throughput": 1_000}}, "needs iops of at least 4000"),
        ({"builder": {"iops": 5_000, "root_volume_gib": 8}}, "has at most 4000; lower iops"),
        ({"container": {"ports": ["80:8188", "80:9000"]}}, "port 80 of the host twice"),
        ({"container": {"volumes": ["/data:/"]}}, "which Docker refuses"),
        ({"container": {"volumes": ["/a:/data", "/b:/data/"]}}, "mount /data of the container twice"),
        ({"container": {"environment": {"A": "x" * 20_000}}}, "at most 16384 fit"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    files: Files, own: dict[str, Any], what: str
) -> None:
    with pytest.raises(SettingsError, match=what):
        files.catalogue(environments={"prod": own}).get("prod")


@pytest.mark.parametrize("name", ["aws-tools", "ssm", "docker", "systemd-x", "comfy-", "Comfy"])
def test_an_application_that_has_no_place_for_its_parameters_or_its_unit_is_refused(
    files: Files, name: str
) -> None:
    files.write("build", {"application": name, "environments": {"prod": {}}})
    with pytest.raises(SettingsError, match=r"application: is .*write"):
        Catalogue(load_config(config_dir=files.directory, offline=True), name)


def test_a_wrong_environment_does_not_keep_another_from_being_read(files: Files) -> None:
    catalogue = files.catalogue(environments={"dev": {"reconcile_attempts": "many"}, "prod": {}})
    assert catalogue.get("prod").reconcile_attempts == 3


def test_without_a_repository_the_field_is_named(files: Files) -> None:
    files.write("aws", {"ecr": {}})
    with pytest.raises(SettingsError, match="repository"):
        files.catalogue().get("prod")


@pytest.mark.parametrize(
    ("text", "subnets"),
    [("", ()), ("subnet-1", ("subnet-1",)), ("subnet-1, subnet-2,", ("subnet-1", "subnet-2"))],
)
def test_the_stacks_subnets_come_as_one_text(text: str, subnets: tuple[str, ...]) -> None:
    assert FunctionEnvironment(SUBNET_IDS=text).subnet_ids == subnets


def test_tags_of_an_environment_come_on_top_of_those_for_all(files: Files) -> None:
    catalogue = files.catalogue(
        defaults={"tags": {"CostCenter": "4711", "Team": "images"}},
        environments={"dev": {}, "prod": {"tags": {"Team": "production", "Data": "internal"}}},
    )
    assert catalogue.get("dev").tags == {"CostCenter": "4711", "Team": "images"}
    assert catalogue.get("prod").tags == {"CostCenter": "4711", "Team": "production", "Data": "internal"}


@pytest.mark.parametrize("part", ["builder", "container", "publication", "verification"])
def test_tags_in_a_part_are_shown_their_place(files: Files, part: str) -> None:
    catalogue = files.catalogue(environments={"prod": {part: {"tags": {"CostCenter": "4711"}}}})
    with pytest.raises(SettingsError, match=rf"{part}\.tags: .* did you mean tags, beside {part}"):
        catalogue.get("prod")


def test_tags_at_the_top_are_shown_their_place(files: Files) -> None:
    with pytest.raises(SettingsError, match=r"did you mean defaults\.tags"):
        files.catalogue(tags={"CostCenter": "4711"})


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"ami-lifecycle:application": "x"}, "tags: .*begins with ami-lifecycle:"),
        ({"CostCenter": 4711}, "tags.CostCenter: write text, in quotes .*4711"),
        (["CostCenter"], "tags: "),
    ],
)
def test_tags_that_cannot_be_set_are_named(files: Files, tags: Any, told: str) -> None:
    catalogue = files.catalogue(environments={"prod": {"tags": tags}})
    with pytest.raises(SettingsError, match=told):
        catalogue.get("prod")


def test_missing_credentials_are_no_fault_of_the_settings() -> None:
    with pytest.raises(AccessDeniedError, match="Run `aws configure`"), named_errors():
        raise configuration.CredentialsError(
            "ssm:GetParameters: no credentials.", remedy="Run `aws configure`."
        )
