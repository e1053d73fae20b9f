import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.documents.scratch_machine import (
    DOCUMENTS,
    IMAGE_URI,
    NEW_DIGEST,
    REPOSITORY,
    Machine,
    encoded,
    script_of,
)

NAMES = {"provision_image": "provisionImage", "verify_image": "verifyImage"}
GOOD = {
    "ImageUri": [IMAGE_URI, "localhost:5000/comfyui", "public.ecr.aws/a/b__c/d-e"],
    "ImageDigest": [NEW_DIGEST],
    "ImageTag": ["-", "prod-latest", "v1.2.3"],
    "Mode": ["fresh", "update"],
    "Region": ["us-east-1", "us-gov-west-1", "ap-southeast-4"],
    "Application": ["comfyui", "a"],
    "Environment": ["prod", "team-7"],
    "RunId": ["0f2b-1c_d.e", "build"],
    "ContainerPorts": ["-", "80", "80:8080,443"],
    "ContainerEnvironment": ["-", encoded({"A": "$(reboot)"})],
    "ContainerCommand": ["-", encoded(["--listen"])],
    "ContainerVolumes": ["-", "/data:/data", "/a:/b:ro,/c:/d"],
    "ContainerShmMiB": ["0", "8192"],
    "ContainerIpc": ["-", "host", "private"],
    "ContainerNetwork": ["-", "host", "none"],
    "ContainerUlimits": ["-", "memlock=-1", "nofile=1024:65536,stack=67108864"],
    "ContainerDevices": ["-", "/dev/fuse", "/dev/sda:/dev/disk:r,/dev/infiniband/uverbs0"],
    "ContainerRestart": ["no", "always", "unless-stopped", "on-failure"],
    "ContainerValues": ["-", encoded({"secrets": {"A": "ssm:/a"}})],
    "ContainerPrograms": ["-", encoded("a program")],
    "PackageList": ["true", "false"],
    "GpuEnabled": ["true", "false"],
    "NvidiaToolkit": ["true", "false"],
    "NvidiaDriver": ["none", "580-server", "570", "550-server-open"],
    "ImageSizeBytes": ["0", "123456789012345"],
    "MinimumFreeGiB": ["0", "100"],
    "HealthCheck": ["none", "http", "command"],
    "HealthPort": ["8188"],
    "HealthPath": ["/", "/a/b?c=d&e=%20"],
    "HealthCommand": ["-", encoded("true")],
    "Hooks": ["-", encoded("true")],
    "HealthTimeoutSeconds": ["300"],
    "BuiltFor": ["-", "staging", "team-7"],
}
# `&` may stand in a URL's query; the script passes it on as one quoted word.
ATTACKS = ["$(reboot)", "`reboot`", ";reboot", "|reboot", "a>b", "a<b", "${IFS}", "*", "!x", "(x)", "{{x}}"]
ATTACKS += ["'", '"', "\\", "a b", "a\nb", "a\n"]


def document(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((DOCUMENTS / f"{name}.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


CASES = [(name, parameter) for name in NAMES for parameter in document(name)["parameters"]]


def script_parameters(name: str) -> dict[str, tuple[str, str | None]]:
    """The patterns and defaults that a script itself checks."""
    text = (DOCUMENTS / f"{name}.sh").read_text().replace("\\\n", " ")
    found = re.findall(r"^ +parameter \w+ (\w+) +'([^']+)'(?: (\S+))?$", text, re.MULTILINE)
    return {parameter: (pattern, default or None) for parameter, pattern, default in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_one_step_of_schema_2_2(name: str) -> None:
    content = document(name)
    assert content["schemaVersion"] == "2.2"
    (step,) = content["mainSteps"]
    assert step["action"] == "aws:runShellScript"
    assert step["name"] == NAMES[name]
    assert isinstance(step["inputs"]["timeoutSeconds"], str)
    assert step["inputs"]["runCommand"][0].startswith("#!/usr/bin/env bash\n")
    assert len((DOCUMENTS / f"{name}.yaml").read_bytes()) < 64 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_what_is_deployed_is_the_same_document_in_json(name: str) -> None:
    deployed = (DOCUMENTS / f"{name}.json").read_text()
    assert json.loads(deployed) == document(name)
    # What CloudFormation hands to Systems Manager is without the white space.
    assert len(json.dumps(document(name))) < 64 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_pasted_into_shell_text(name: str) -> None:
    text = (DOCUMENTS / f"{name}.yaml").read_text()
    assert "{{" not in text
    assert "!Sub" not in text
    assert "Fn::" not in text


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_every_parameter_travels_as_a_checked_environment_variable(name: str, parameter: str) -> None:
    fields = document(name)["parameters"][parameter]
    assert fields["type"] == "String"
    assert fields["interpolationType"] == "ENV_VAR"
    assert fields["description"]
    assert re.fullmatch(fields["allowedPattern"], fields.get("default", GOOD[parameter][0]))


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_patterns_accept_what_is_good_and_no_shell_metacharacter(name: str, parameter: str) -> None:
    pattern = document(name)["parameters"][parameter]["allowedPattern"]
    assert all(re.fullmatch(pattern, good) for good in GOOD[parameter])
    prefixes = ["", *GOOD[parameter]]
    accepted = [
        prefix + attack for prefix in prefixes for attack in ATTACKS if re.fullmatch(pattern, prefix + attack)
    ]
    assert accepted == []


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_patterns_keep_to_what_java_go_and_bash_read_alike(name: str, parameter: str) -> None:
    pattern = document(name)["parameters"][parameter]["allowedPattern"]
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    assert "\\" not in pattern
    assert "(?" not in pattern
    # Go's regexp refuses to repeat more than 1,000 times.
    assert all(int(number) <= 1000 for number in re.findall(r"\{(?:\d+,)?(\d+)\}", pattern))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_checks_what_its_document_declares(name: str) -> None:
    declared = {
        parameter: (fields["allowedPattern"], fields.get("default"))
        for parameter, fields in document(name)["parameters"].items()
    }
    assert script_parameters(name) == declared


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_describes_every_parameter_with_its_pattern(name: str) -> None:
    text = (DOCUMENTS / "README.md").read_text().replace("\\|", "|")
    section = text.split("## ProvisionImage parameters")[1]
    for parameter, fields in document(name)["parameters"].items():
        assert f"`{parameter}`" in section
        assert f"`{fields['allowedPattern']}`" in section


@pytest.mark.parametrize(
    ("parameter", "value"), [("Application", "a;b"), ("ImageDigest", "latest"), ("MinimumFreeGiB", "$(id)")]
)
def test_a_script_refuses_what_the_service_let_through(plain: Machine, parameter: str, value: str) -> None:
    result = plain.provision(**{parameter: value})
    assert result.code == 10
    assert parameter in result.sentence
    assert plain.calls == []


def test_generated_files_are_current() -> None:
    check = [sys.executable, str(REPOSITORY / "scripts/generate.py"), "--check"]
    result = subprocess.run(check, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert (result.stdout, result.returncode) == ("", 0)


def test_a_stale_file_is_named_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    generate = importlib.import_module("generate")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    entries = [
        generate.Generated(Path(name), lambda: "current\n")
        for name in ("fresh.txt", "stale.txt", "absent.txt")
    ]
    monkeypatch.setattr(generate, "GENERATED", entries)
    (tmp_path / "fresh.txt").write_text("current\n")
    (tmp_path / "stale.txt").write_text("edited by hand\n")

    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().out == "stale: run make fix: stale.txt\nstale: run make fix: absent.txt\n"
    assert (tmp_path / "stale.txt").read_text() == "edited by hand\n"

    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["current\n"] * 3
    assert generate.stale() == []


@pytest.mark.parametrize("name", NAMES)
def test_the_python_in_a_script_runs_on_the_python_of_ubuntu_22_04(name: str) -> None:
    text = script_of(name)
    blocks = re.findall(r"<<'PYTHON'.*?\n(.*?)\n *PYTHON\n", text, re.DOTALL)
    blocks += re.findall(r"python3 -c '(.*?)'", text, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        ast.parse(block, feature_version=(3, 10))
