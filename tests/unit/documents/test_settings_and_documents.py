"""Whatever the settings accept, both documents and their scripts accept; what a script refuses, the settings refuse.

The parameters are those that the steps really send. Patterns are checked as Systems Manager does, scripts run in bash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.documents.scratch_machine import DOCUMENTS, script_of

from ami_lifecycle.domain import forms
from ami_lifecycle.domain.forms import DOCUMENT_PATTERNS, FORMS
from ami_lifecycle.domain.naming import run_id
from ami_lifecycle.domain.plan import BuildMode, BuildPlan, Source
from ami_lifecycle.domain.request import Action, Trigger
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.steps.provision_builder import provisioning_parameters
from ami_lifecycle.steps.verify_image import verification_parameters
from aws_emulator.api.operations import ApiError
from aws_emulator.ssm.document_content import DocumentContent, bind, parse

REGION: Final = "eu-central-1"
DIGEST: Final = "sha256:" + "a" * 64
CONTENT: Final = {
    name: parse((DOCUMENTS / f"{name}.yaml").read_text(), "YAML")
    for name in ("provision_image", "verify_image")
}
SLOW: Final = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
QUICK: Final = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def of(form: str) -> st.SearchStrategy[str]:
    """Texts of a form."""
    return st.from_regex(FORMS[form].pattern, fullmatch=True).filter(FORMS[form].accepts)


WORDS: Final = st.text(max_size=40)
VALUES: Final = st.fixed_dictionaries(
    {
        "application": of("name"),
        "environment": of("name"),
        "repository": of("repository"),
        "image_tag": of("image_tag"),
        "image_name": of("image_name"),
        "builder": st.fixed_dictionaries({"minimum_free_gib": st.integers(0, 16_384)}),
        "container": st.fixed_dictionaries(
            {
                "ports": st.lists(of("port_mapping"), max_size=4, unique_by=lambda port: port.split(":")[0]),
                "environment": st.dictionaries(of("variable"), WORDS, max_size=3),
                "command": st.lists(WORDS, max_size=3),
                "volumes": st.lists(of("volume_mapping"), max_size=3),
                "shm_mib": st.integers(0, 999_999),
                "ipc": st.sampled_from([None, "private", "shareable", "host", "none"]),
                "network": st.sampled_from([None, "bridge", "host", "none"]),
                "ulimits": st.lists(of("ulimit"), max_size=2),
                "devices": st.lists(of("device"), max_size=2),
                "restart": of("restart"),
                "secrets": st.dictionaries(of("variable"), of("secret_source"), max_size=2),
                "instance_variables": st.dictionaries(of("variable"), of("variable_source"), max_size=2),
                "gpu": st.booleans(),
                "nvidia_toolkit": st.booleans(),
                "nvidia_driver": st.none() | of("nvidia_driver"),
            }
        ),
        "verification": st.fixed_dictionaries(
            {
                "health_check": st.fixed_dictionaries(
                    {
                        "kind": st.sampled_from(["none", "http", "command"]),
                        "port": st.integers(1, 65_535),
                        "path": of("health_path"),
                        "command": WORDS,
                        "timeout_seconds": st.integers(5, 1_800),
                    }
                )
            }
        ),
    }
)


def parameters_of(values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What the two steps send for settings; a value that the settings refuse is no example."""
    try:
        accepted = EnvironmentSettings.model_validate(values)
    except ValidationError:
        assume(False)
        raise
    plan = BuildPlan(
        action=Action.BUILD,
        trigger=Trigger.PUSH,
        environment=accepted.environment,
        reasons=(),
        run_id=run_id("arn:aws:states:eu-central-1:123456789012:execution:machine:run", DIGEST),
        settings=accepted,
        source=Source(repository_uri=_uri(accepted.repository), digest=DIGEST, tag=accepted.image_tag),
        mode=BuildMode.UPDATE,
    )
    return {
        "provision_image": provisioning_parameters(plan, REGION),
        "verify_image": verification_parameters(plan, REGION),
    }


def bound(content: DocumentContent, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters as the agent gets them. Raises `ApiError` where Systems Manager refuses one."""
    return bind(content, {name: [value] for name, value in parameters.items()})


class Scripts:
    """The scripts' own checks, in bash, without what comes after them."""

    CHECKS: Final = {
        "provision_image": "read_parameters\ncontainer_unit check\n",
        "verify_image": "read_parameters\n",
    }

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.paths = {}
        for name, checks in self.CHECKS.items():
            script = script_of(name)
            assert script.endswith("\nmain\n")
            path = directory / f"{name}.sh"
            path.write_text(f"{script.removesuffix('main' + chr(10))}{checks}")
            self.paths[name] = path

    def refusal(self, name: str, parameters: Mapping[str, Any]) -> str | None:
        """What a script says against parameters; None when it takes them."""
        environment = {f"SSM_{parameter}": str(value) for parameter, value in parameters.items()}
        finished = subprocess.run(  # noqa: S603 - our own script
            [str(shutil.which("bash")), str(self.paths[name])],
            env={"PATH": os.environ["PATH"], "AMI_LIFECYCLE_ROOT": str(self.root), **environment},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert finished.returncode in {0, 10}, finished.stderr
        return finished.stderr if finished.returncode else None


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Scripts:
    return Scripts(tmp_path_factory.mktemp("scripts"))


@pytest.mark.parametrize("name", CONTENT)
def test_a_document_declares_the_patterns_that_the_settings_are_made_of(name: str) -> None:
    declared = {parameter: fields["allowedPattern"] for parameter, fields in CONTENT[name].parameters.items()}
    # What the stack decides, and no setting.
    if "PackageList" in declared:
        assert declared.pop("PackageList") == "^(true|false)$"
    assert declared == {parameter: DOCUMENT_PATTERNS[parameter] for parameter in declared}


@QUICK
@given(values=VALUES)
def test_both_documents_accept_whatever_the_settings_accept(values: dict[str, Any]) -> None:
    for name, parameters in parameters_of(values).items():
        bound(CONTENT[name], parameters)


@SLOW
@given(values=VALUES)
def test_both_scripts_accept_whatever_the_settings_accept(scripts: Scripts, values: dict[str, Any]) -> None:
    for name, parameters in parameters_of(values).items():
        assert scripts.refusal(name, bound(CONTENT[name], parameters)) is None


PLAIN: Final[dict[str, Any]] = {
    "application": "comfyui",
    "environment": "prod",
    "repository": "comfyui",
    "image_tag": "prod-latest",
    "image_name": "comfyui-prod",
    "container": {"ports": ["8188"]},
}


@pytest.mark.parametrize(
    ("document", "changed"),
    [
        ("provision_image", {"container": {"ports": ["99999:8188"]}}),
        ("provision_image", {"container": {"ports": ["0"]}}),
        ("provision_image", {"container": {"ports": ["8188:65536"]}}),
        ("provision_image", {"container": {"ports": ["x"]}}),
        ("provision_image", {"container": {"environment": {"KEY": "one\ntwo"}}}),
        ("provision_image", {"container": {"environment": {"1KEY": "x"}}}),
        ("provision_image", {"container": {"command": ["a\tb"]}}),
        ("provision_image", {"container": {"command": ["\x7f"]}}),
        ("provision_image", {"container": {"command": ["\x85"]}}),
        ("provision_image", {"container": {"command": ["\ufdd0"]}}),
        ("provision_image", {"container": {"command": ["\U0001fffe"]}}),
        ("provision_image", {"container": {"volumes": ["data:/data"]}}),
        ("provision_image", {"container": {"nvidia_driver": "latest"}}),
        ("provision_image", {"container": {"ipc": "container:other"}}),
        ("provision_image", {"container": {"network": "mine"}}),
        ("provision_image", {"container": {"ulimits": ["memlock"]}}),
        ("provision_image", {"container": {"ulimits": ["memlock=1=2"]}}),
        ("provision_image", {"container": {"devices": ["/etc/passwd"]}}),
        ("provision_image", {"container": {"devices": ["/dev/fuse --privileged"]}}),
        ("provision_image", {"container": {"restart": "on-failure:3"}}),
        ("provision_image", {"container": {"restart": "sometimes"}}),
        ("provision_image", {"environment": "prod-"}),
        ("provision_image", {"application": "comfy-"}),
        ("provision_image", {"application": "a" * 33}),
        ("provision_image", {"image_tag": ".x"}),
        ("verify_image", {"environment": "prod-"}),
        ("verify_image", {"verification": {"health_check": {"path": "x"}}}),
        ("verify_image", {"verification": {"health_check": {"path": "/" + "x" * 201}}}),
        ("verify_image", {"verification": {"health_check": {"port": 65_536}}}),
        ("verify_image", {"verification": {"health_check": {"port": 0}}}),
        ("verify_image", {"verification": {"health_check": {"kind": "command", "command": "\n"}}}),
    ],
)
def test_what_a_document_or_its_script_refuses_the_settings_refuse_first(
    scripts: Scripts, document: str, changed: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        EnvironmentSettings.model_validate(PLAIN | changed)
    assert _is_refused(scripts, document, _unchecked(document, changed))


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"network": "host", "ports": ["8188"]}, r"network is host.*set ports: \[\]"),
        ({"network": "none", "ports": ["80:8188"]}, "network is none"),
        ({"ipc": "host", "shm_mib": 64}, "ipc is host.*set shm_mib: 0"),
        ({"ipc": "none", "shm_mib": 64}, "ipc is none"),
        ({"ulimits": ["nofile=2:1"]}, "nofile=2:1.*soft"),
        ({"ulimits": ["memlock=-1:1"]}, "soft limit is above"),
        ({"ulimits": ["nofile=1", "nofile=2"]}, "nofile twice"),
        ({"ulimits": ["noproc=1"]}, "write a limit as"),
        ({"devices": ["/dev/fuse", "/dev/sda:/dev/fuse:r"]}, "/dev/fuse twice"),
        ({"devices": ["/dev/../etc/passwd"]}, r"\.\."),
        ({"devices": ["/dev/fuse:x"]}, "write a device as"),
        ({"restart": "on-failure:3"}, "takes no number"),
        ({"restart": "never"}, "write no, always"),
        ({"ulimits": ["nofile=-1"]}, "name a number"),
        ({"ulimits": ["nofile=1024:-1"]}, "name a number"),
        ({"secrets": {"A": "/app/token"}}, "ssm:NAME of a parameter"),
        ({"secrets": {"A": "ssm:/app/to ken"}}, "ssm:NAME of a parameter"),
        ({"secrets": {"A": "ssm:/app/token#key"}}, "ssm:NAME of a parameter"),
        ({"secrets": {"A": "vault:x"}}, "ssm:NAME of a parameter"),
        ({"secrets": {"A-B": "ssm:/a"}}, "variable"),
        (
            {"secrets": {"A": "ssm:/a"}, "environment": {"A": "b"}},
            "A is in more than one of environment, secrets",
        ),
        ({"secrets": {"A": "ssm:/a"}, "instance_variables": {"A": "imds:mac"}}, "A is in more than one"),
        ({"instance_variables": {"A": "Shard"}}, "tag:KEY of a tag"),
        ({"instance_variables": {"A": "tag:Patch Group"}}, "tag:KEY of a tag"),
        ({"instance_variables": {"A": "tag:_index"}}, "EC2 reserves"),
        ({"instance_variables": {"A": "imds:iam/security-credentials/x"}}, "holds credentials"),
        ({"instance_variables": {"A": "imds:iam//security-credentials/x"}}, "holds credentials"),
        ({"instance_variables": {"A": "imds:iam/./security-credentials/x"}}, "holds credentials"),
        ({"instance_variables": {"A": "imds:placement/../../user-data"}}, "leaves meta-data"),
        (
            {"instance_variables": {"A": "tag:Shard"}},
            r"the canary has not.*write tag:Shard\|DEFAULT, or add Shard to tags",
        ),
    ],
)
def test_what_makes_no_sense_to_docker_is_refused_with_the_remedy(
    container: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        EnvironmentSettings.model_validate(PLAIN | {"container": {"ports": [], **container}})


def test_a_container_without_network_cannot_be_asked_by_http() -> None:
    without = PLAIN | {"container": {"ports": [], "network": "none"}}
    http = {"health_check": {"kind": "http"}}
    with pytest.raises(ValidationError, match=r"container\.network is none.*kind command"):
        EnvironmentSettings.model_validate(without | {"verification": http})
    EnvironmentSettings.model_validate(without | {"verification": {"enabled": False, **http}})
    EnvironmentSettings.model_validate(without)


def test_values_of_every_kind_are_taken() -> None:
    arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:app/db-a1b2c3"
    taken = {
        "secrets": {
            "A": "ssm:/app/token",
            "B": "ssm:name:3",
            "C": "ssm:arn:aws:ssm:us-east-1:123456789012:parameter/app/token",
            "D": f"secretsmanager:{arn}#password",
            "E": "secretsmanager:app/db@prod",
        },
        "instance_variables": {
            "F": "tag:aws:autoscaling:groupName|",
            "G": "tag:Name",
            "H": "tag:Team",
            "I": "imds:placement/availability-zone",
            "J": "imds:public-ipv4|a default, with | in it",
            "K": "tag:ami-lifecycle:environment",
        },
    }
    EnvironmentSettings.model_validate(PLAIN | {"container": taken, "tags": {"Team": "vision"}})


def test_tags_that_metadata_cannot_have_are_refused_where_the_canary_shows_its_tags() -> None:
    container = {"instance_variables": {"A": "tag:Shard|0"}}
    tags = {"Cost Center": "7"}
    with pytest.raises(ValidationError, match="'Cost Center', with which EC2 launches no instance"):
        EnvironmentSettings.model_validate(PLAIN | {"container": container, "tags": tags})
    EnvironmentSettings.model_validate(PLAIN | {"tags": tags})
    EnvironmentSettings.model_validate(
        PLAIN | {"container": container, "tags": tags, "verification": {"enabled": False}}
    )


def test_programs_are_sent_with_values_alone() -> None:
    for container, sent in (({}, False), ({"secrets": {"A": "ssm:/a"}}, True)):
        given_parameters = parameters_of(PLAIN | {"container": container})["provision_image"]
        for name in ("ContainerValues", "ContainerPrograms"):
            assert (given_parameters[name] != "-") is sent
            assert len(given_parameters[name]) < 16_384


def test_limits_without_an_end_and_devices_with_rights_are_taken() -> None:
    taken = {
        "ports": [],
        "network": "host",
        "ipc": "host",
        "ulimits": ["memlock=-1", "stack=67108864", "nofile=1024:65536"],
        "devices": ["/dev/fuse", "/dev/sda:/dev/disk:r", "/dev/infiniband/uverbs0:rwm"],
    }
    EnvironmentSettings.model_validate(PLAIN | {"container": taken})


def _is_refused(scripts: Scripts, document: str, parameters: Mapping[str, str]) -> bool:
    """Whether Systems Manager, or else the script, refuses the parameters."""
    try:
        given_parameters = bound(CONTENT[document], parameters)
    except ApiError as error:
        return error.code == "InvalidParameters"
    return scripts.refusal(document, given_parameters) is not None


def _unchecked(document: str, changed: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that changed settings would send if nothing had checked them."""
    right = EnvironmentSettings.model_validate(PLAIN)
    health = right.verification.health_check.model_copy(
        update=changed.get("verification", {}).get("health_check", {})
    )
    parts = {
        "container": right.container.model_copy(update=changed.get("container", {})),
        "verification": right.verification.model_copy(update={"health_check": health}),
    }
    wrong = right.model_copy(update={**changed, **parts})
    source = Source.model_construct(repository_uri=_uri("comfyui"), digest=DIGEST, tag=wrong.image_tag)
    plan = BuildPlan.model_construct(run_id="run", mode=BuildMode.FRESH, source=source, settings=wrong)
    make = provisioning_parameters if document == "provision_image" else verification_parameters
    return make(plan, REGION)


def _uri(repository: str) -> str:
    return f"123456789012.dkr.ecr.{REGION}.amazonaws.com/{repository}"


@QUICK
@given(port=st.integers(-1, 70_000) | st.integers(65_530, 65_540))
def test_a_port_is_a_number_from_1_to_65535(port: int) -> None:
    assert FORMS["port_mapping"].accepts(str(port)) == (1 <= port <= 65_535)


def test_every_pattern_is_one_that_all_readers_read_alike() -> None:
    patterns = [form.pattern for form in FORMS.values()] + list(DOCUMENT_PATTERNS.values())
    assert not [pattern for pattern in patterns if "(?" in pattern or "\\d" in pattern or "\\w" in pattern]
    assert forms.CONTROL.search("\n")
