"""What is wrong with build_config.yml: all of it at once, by the key that has to be corrected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ami_lifecycle.domain.build_config import (
    SettingProblem,
    hook_problems,
    problems_of,
    settings_of,
    shared_tags,
    takes_promotions,
    value_problems,
)

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


# What each problem says: the value, what to write in its place, and where it counts.

TOP_KEYS = "['application', 'defaults', 'environments', 'image_name', 'image_tag'] at the top level"
OWN_KEYS = (
    "the keys here are repository, image_tag, publishes, image_name, base, builder, container, verification, "
    "launch, publication, retirement, refresh, approval, scan, rollback_on_alarm, hooks, "
    "reconcile_attempts, tags"
)
BUILDER_KEYS = (
    "the keys here are instance_types, architecture, subnet_ids, root_volume_gib, volume_type, iops, throughput, "
    "minimum_free_gib, agent_boot_seconds, self_destruct_minutes"
)
NAME = "write lower-case letters, digits and hyphens, at most 32, with a letter at the start and no hyphen at the end"


def said(build: Any, application: str | None = "comfyui") -> list[str]:
    return [str(problem) for problem in problems_of(build, application)]


def prod(**own: Any) -> dict[str, Any]:
    return {"environments": {"prod": own}}


@pytest.mark.parametrize("build", [None, [], "prod", 3])
def test_a_file_that_is_no_mapping_has_to_be_restored(build: Any) -> None:
    assert said(build) == ["config/build_config.yml is missing or empty; restore it from git"]


@pytest.mark.parametrize(
    ("top", "problem"),
    [
        (
            {"tags": {}},
            "tags: is no key of the top level; did you mean defaults.tags, for every environment?",
        ),
        (
            {"enviroments": {}},
            f"enviroments: is an unknown key; did you mean environments? build_config.yml knows {TOP_KEYS}",
        ),
        ({"colour": 1}, f"colour: is an unknown key; build_config.yml knows {TOP_KEYS}"),
        ({"defaults": 3}, "defaults: is 3; write a mapping, or {} for the defaults"),
        (
            {"image_tag": 20260101},
            "image_tag: is 20260101; write text, in quotes where YAML reads something else",
        ),
        ({"image_name": []}, "image_name: is []; write text, in quotes where YAML reads something else"),
        ({"application": 5}, "application: is 5; write text, in quotes where YAML reads something else"),
        ({"application": "comfy-"}, f"application: is 'comfy-', which is not a valid name: {NAME}"),
        (
            {"application": "docker"},
            (
                "application: is 'docker', which is not a valid name: docker.service is a unit of Ubuntu's own, which "
                "would be replaced; write another application name"
            ),
        ),
        (
            {"application": "other"},
            "application: is 'other', but the stack was deployed for 'comfyui'; make both the same",
        ),
        (
            {"environments": []},
            "environments: has no environments; add at least `environments: {prod: {}}`",
        ),
        (
            {"environments": ["prod"]},
            "environments: has no environments; add at least `environments: {prod: {}}`",
        ),
        ({"environments": {"Prod": {}}}, f"environments.Prod: is not a valid name: {NAME}"),
        (
            {"environments": {5: {}}},
            "environments.5: is not a valid name: 5 is no text; put the name in quotes",
        ),
        (
            {"environments": {"prod": []}},
            "environments.prod: is []; write a mapping, or {} for the defaults",
        ),
    ],
)
def test_a_file_of_another_shape_is_told_what_to_write(top: dict[str, Any], problem: str) -> None:
    assert said(prod() | top) == [problem]


def test_the_application_has_to_be_named_by_the_file_or_the_stack() -> None:
    assert said(prod(), None) == [
        "application: is missing; write the name that the stack was deployed with (ApplicationName)"
    ]
    assert said(prod() | {"application": None}) == []


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ({"builder": 3}, "builder: write a mapping (got 3)"),
        ({"container": {"environment": 3}}, "container.environment: write a mapping (got 3)"),
        (
            {"container": {"command": [8188]}},
            "container.command.0: write text, in quotes where YAML reads something else (got 8188)",
        ),
        ({"builder": {"subnet_ids": "subnet-1"}}, "builder.subnet_ids: write a list (got 'subnet-1')"),
        (
            {"builder": {"root_volume_gib": "forty"}},
            "builder.root_volume_gib: write a whole number (got 'forty')",
        ),
        ({"verification": {"enabled": "yes"}}, "verification.enabled: write true or false (got 'yes')"),
        (
            {"builder": {"volume_type": "gp4"}},
            "builder.volume_type: did you mean gp3? Input should be 'gp3', 'gp2' or 'io2' (got 'gp4')",
        ),
        (
            {"verification": {"health_check": {"kind": "tcp"}}},
            "verification.health_check.kind: Input should be 'none', 'http' or 'command' (got 'tcp')",
        ),
        ({"bilder": {}}, f"bilder: is an unknown key; did you mean builder? {OWN_KEYS} (got {{}})"),
        (
            {"builder": {"root_volume": 4}},
            f"builder.root_volume: is an unknown key; did you mean root_volume_gib? {BUILDER_KEYS} (got 4)",
        ),
        ({"builder": {"zzzzz": 4}}, f"builder.zzzzz: is an unknown key; {BUILDER_KEYS} (got 4)"),
        (
            {"builder": {"tags": {}}},
            (
                "builder.tags: is not known here; did you mean tags, beside builder and not in it? They go on "
                "instances, volumes, network interfaces, images, snapshots and parameters alike (got {})"
            ),
        ),
        (
            {"tags": {"aws:x": "y"}},
            "tags: the key 'aws:x' begins with aws:, which AWS keeps to itself; choose another",
        ),
        (
            {"builder": {"iops": 9_000, "root_volume_gib": 8}},
            "builder: iops is 9000, but a gp3 volume of 8 GiB has at most 4000; lower iops or raise root_volume_gib",
        ),
        (
            {"builder": {"instance_types": []}},
            "builder.instance_types: Tuple should have at least 1 item after validation, not 0 (got [])",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write_wherever_it_stands(
    own: dict[str, Any], problem: str
) -> None:
    assert said(prod(**own)) == [f"environments.prod.{problem}"]
    assert said(prod() | {"defaults": own}) == [f"defaults.{problem}"]


def test_items_that_are_refused_are_not_said_to_be_missing_and_hide_no_other_problem() -> None:
    builder = {"instance_types": ["zz"], "subnet_ids": ["x"], "root_volume_gib": 1}
    assert said(prod(builder=builder)) == [
        "environments.prod.builder.instance_types.0: write an instance type, m7i.large (got 'zz')",
        (
            "environments.prod.builder.subnet_ids.0: write the id of a subnet, subnet-0123456789abcdef0 "
            "(got 'x')"
        ),
        "environments.prod.builder.root_volume_gib: Input should be greater than or equal to 8 (got 1)",
    ]


def test_a_list_that_is_empty_is_told_beside_wrong_items_of_another() -> None:
    builder = {"instance_types": [], "subnet_ids": ["x"]}
    assert paths(prod(builder=builder)) == [
        "environments.prod.builder.instance_types",
        "environments.prod.builder.subnet_ids.0",
    ]


@pytest.mark.parametrize("key", ["image_tag", "image_name"])
@pytest.mark.parametrize(
    ("places", "path"),
    [
        (("top",), ""),
        (("top", "defaults"), "defaults."),
        (("top", "defaults", "own"), "environments.prod."),
    ],
)
def test_a_wrong_tag_or_name_is_told_where_the_one_that_counts_stands(
    key: str, places: tuple[str, ...], path: str
) -> None:
    build = prod(**({key: "a%b"} if "own" in places else {}))
    build |= {key: "a%b"} | ({"defaults": {key: "a%b"}} if "defaults" in places else {})
    assert paths(build) == [f"{path}{key}"]


# What an environment's settings are.


def test_an_environments_values_go_before_the_defaults_at_any_depth() -> None:
    build = {
        "defaults": {
            "builder": {"iops": 4_000, "throughput": 500},
            "verification": {"health_check": {"kind": "http", "port": 80}},
        },
        "environments": {
            "prod": {"builder": {"iops": 6_000}, "verification": {"health_check": {"port": 81}}}
        },
    }
    assert settings_of(build, "prod", "comfyui") == {
        "application": "comfyui",
        "environment": "prod",
        "image_tag": "prod-latest",
        "image_name": "comfyui-multitenant-prod",
        "builder": {"iops": 6_000, "throughput": 500},
        "verification": {"health_check": {"kind": "http", "port": 81}},
    }


@pytest.mark.parametrize("key", ["image_tag", "image_name"])
def test_tag_and_name_are_the_environments_own_or_the_defaults_or_the_top_levels(key: str) -> None:
    pattern = "{application}-{environment}"
    build = {"environments": {"prod": {key: "own"}, "dev": {key: ""}, "eu": None}, key: f"top-{pattern}"}
    found = [settings_of(build, name, "comfyui")[key] for name in ("prod", "dev", "eu")]
    assert found == ["own", "top-comfyui-dev", "top-comfyui-eu"]
    build["defaults"] = {key: f"default-{pattern}"}
    found = [settings_of(build, name, "comfyui")[key] for name in ("prod", "dev", "eu")]
    assert found == ["own", "default-comfyui-dev", "default-comfyui-eu"]


# Environments that would get into each other's way.


def test_environments_that_share_a_tag_are_each_told_with_which() -> None:
    build = {"environments": {"dev": {}, "prod": {}, "eu": None, "us": {"image_tag": "us"}}, "image_tag": "v"}
    assert said(build) == [
        "environments.prod: dev and prod are both built from the tag 'v'; give each an image_tag of its own",
        "environments.eu: dev and eu are both built from the tag 'v'; give each an image_tag of its own",
    ]


def test_one_tag_of_two_repositories_is_two_tags() -> None:
    environments = {"dev": {"repository": "one"}, "prod": None, "eu": {"repository": "two"}}
    build = {"environments": environments, "defaults": {"repository": "two"}, "image_tag": "v"}
    assert said(build) == [
        "environments.eu: prod and eu are both built from the tag 'v'; give each an image_tag of its own"
    ]


def test_the_repository_is_asked_for_only_where_environments_share_a_tag() -> None:
    asked: list[str] = []
    found = shared_tags(["dev", "prod", "eu"], {"dev": "a", "prod": "b", "eu": "a"}.__getitem__, asked.append)
    assert [problem.path for problem in found] == [("environments", "eu")]
    assert asked == ["dev", "eu"]


def test_environments_that_share_an_image_name_are_each_told_with_which() -> None:
    words = "and EC2 allows one image of a name; give each an image_name of its own"
    build = {"environments": {"dev": {}, "prod": {}, "eu": {}}, "image_name": "golden"}
    assert said(build) == [
        f"environments.prod: the images of environments dev and prod would both be named 'golden', {words}",
        f"environments.eu: the images of environments dev and eu would both be named 'golden', {words}",
    ]


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (lambda own: {"environments": {"prod": own}}, "environments.prod"),
        (lambda own: {"environments": {"prod": {}}, "defaults": own}, "defaults"),
    ],
)
def test_a_name_that_would_be_passed_over_is_refused(
    part: Callable[[dict[str, str]], dict[str, Any]], path: str
) -> None:
    one_name = "the application has one name, at the top level of the file"
    a_key = "an environment's name is the key that its settings stand under"
    assert said(part({"environment": "dev", "application": "other"})) == [
        f"{path}.application: is not set here: {one_name}; remove it",
        f"{path}.environment: is not set here: {a_key}; remove it",
    ]


def test_a_repository_that_neither_file_nor_store_names_is_missing() -> None:
    build = prod()
    values = settings_of(build, "prod", "comfyui")
    assert [str(problem) for problem in value_problems(build, "prod", values)] == [
        "environments.prod.repository: Field required"
    ]


@pytest.mark.parametrize("place", [("defaults",), ("environments", "prod")])
def test_a_script_that_cannot_be_run_is_told_where_the_file_names_it(place: tuple[str, ...]) -> None:
    hooks = {"hooks": {"verify": [{"script": "config/hooks/a.sh"}]}}
    build: dict[str, Any] = {"application": "comfyui", "environments": {"prod": {}}}
    if place == ("defaults",):
        build["defaults"] = hooks
    else:
        build["environments"]["prod"] = hooks
    values = settings_of(build, "prod", "comfyui") | {"repository": "comfyui"}
    assert list(hook_problems(build, "prod", values)) == [
        SettingProblem(
            (*place, "hooks", "verify", "0", "script"),
            "config/hooks/a.sh does not exist; add the file, or correct the name",
        )
    ]
    scripts = {"hook_scripts": {"config/hooks/a.sh": "#!/bin/sh\n"}}
    assert list(hook_problems(build, "prod", values | scripts)) == []


@pytest.mark.parametrize(
    ("devices", "twice"),
    [
        (["/dev/fuse", "/dev/snd:/dev/fuse"], "/dev/fuse"),
        (["/dev/a:/dev/c:rwm", "/dev/b:/dev/c"], "/dev/c"),
        (["/dev/a:rwm", "/dev/b:/dev/a"], "/dev/a"),
        (["/dev/a:/dev/b", "/dev/b:/dev/a"], None),
    ],
)
def test_a_device_is_told_by_its_path_in_the_container(devices: list[str], twice: str | None) -> None:
    build = {"application": "comfyui", "environments": {"prod": {"container": {"devices": devices}}}}
    told = [problem.message for problem in problems_of(build, "comfyui")]
    assert told == (
        [] if twice is None else [f"devices give the container {twice} twice; give each its own path"]
    )


@pytest.mark.parametrize(
    ("build", "names"),
    [
        ({"environments": {"dev": {}, "prod": {"publishes": "promotions"}}}, ["prod"]),
        ({"environments": {"dev": {"publishes": "builds"}, "prod": None}}, []),
        (
            {
                "environments": {"dev": {"publishes": "builds"}, "prod": None},
                "defaults": {"publishes": "promotions"},
            },
            ["prod"],
        ),
        ({"environments": {"dev": None, "prod": {}}, "defaults": None}, []),
    ],
)
def test_who_takes_promotions_is_said_by_the_environment_or_the_defaults(
    build: dict[str, Any], names: list[str]
) -> None:
    assert [name for name in build["environments"] if takes_promotions(build, name)] == names


def test_an_unknown_key_of_an_item_is_told_with_the_items_keys() -> None:
    hook = {"script": "config/hooks/a.sh", "parametres": {}}
    assert said(prod(hooks={"verify": [hook]}))[0] == (
        "environments.prod.hooks.verify.0.parametres: is an unknown key; did you mean parameters? the keys here are "
        "script, document, version, parameters, timeout_seconds (got {})"
    )
