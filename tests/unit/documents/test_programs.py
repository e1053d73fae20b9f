"""The Python programs of the documents, each run as a script of a document runs it."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.documents.test_documents import DOCUMENTS, REPOSITORY, document

from ami_lifecycle.domain.start_programs import START_PROGRAMS

PROGRAMS = sorted((DOCUMENTS / "programs").glob("*.py"))
REFERENCE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:" + "a" * 64


def run(name: str, *arguments: str, environment: Mapping[str, str] | None = None, text: str = "") -> str:
    """What a program prints; a refusal is what it says on standard error."""
    command = [sys.executable, str(DOCUMENTS / "programs" / name), *arguments]
    ended = subprocess.run(  # noqa: S603 - the program is the subject under test
        command, input=text, capture_output=True, text=True, env={**(environment or {})}, check=False
    )
    return ended.stdout if ended.returncode == 0 else ended.stderr


@pytest.fixture
def inspected(tmp_path: Path) -> Path:
    image = {
        "Id": "sha256:1",
        "RepoDigests": [REFERENCE],
        "Os": "linux",
        "Architecture": "amd64",
        "RepoTags": ["a", "b"],
    }
    path = tmp_path / "image.json"
    path.write_text(json.dumps([image]))
    return path


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_python_that_ubuntu_20_04_reads(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_stands_in_the_documents_as_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    text = importlib.import_module("generate").program_text(path)
    scripts = [
        document(name)["mainSteps"][0]["inputs"]["runCommand"][0]
        for name in ("provision_image", "verify_image")
    ]
    assert any(text in script for script in scripts)
    assert not any("# program:" in script for script in scripts)


@pytest.mark.parametrize("name", START_PROGRAMS)
def test_a_program_of_a_start_is_python_that_ubuntu_20_04_reads(name: str) -> None:
    ast.parse(START_PROGRAMS[name], feature_version=(3, 8))


def test_no_script_holds_a_program_of_its_own() -> None:
    for script in DOCUMENTS.glob("*.sh"):
        heredocs = re.findall(r"<<'PYTHON'.*\n(.*\n)(.*\n)", script.read_text())
        assert all(first.startswith("# program: ") and last == "PYTHON\n" for first, last in heredocs), (
            script.name
        )


def test_a_program_that_its_quotes_would_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    generate = importlib.import_module("generate")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/quoted.py").write_text('"""One."""\n\nprint("it\'s")\n')
    match = generate.PROGRAM.search("python3 -c '\n# program: documents/programs/quoted.py\n'\n")
    with pytest.raises(ValueError, match="between single quotes"):
        generate.inlined_program(tmp_path, match)
    (tmp_path / "programs/ended.py").write_text('"""One."""\n\nx = """\nPYTHON\n"""\n')
    with pytest.raises(ValueError, match="a line PYTHON"):
        generate.program_text(tmp_path / "programs/ended.py")
    (tmp_path / "programs/bare.py").write_text("print()\n")
    with pytest.raises(ValueError, match="begin with a docstring"):
        generate.program_text(tmp_path / "programs/bare.py")


def test_the_image_asked_for_is_no_finding(inspected: Path) -> None:
    assert run("unusable_image.py", str(inspected), REFERENCE, "x86_64") == ""


def test_an_image_of_another_machine_is_a_finding(inspected: Path) -> None:
    found = run("unusable_image.py", str(inspected), REFERENCE, "aarch64")
    assert found == "the image is for amd64, this instance needs arm64\n"


def test_an_image_of_another_digest_is_a_finding(inspected: Path) -> None:
    assert "is not other@sha256:b" in run("unusable_image.py", str(inspected), "other@sha256:b", "x86_64")


def test_a_field_of_an_image_is_printed_by_lines(inspected: Path) -> None:
    assert run("image_field.py", str(inspected), "RepoTags") == "a\nb\n"
    assert run("image_field.py", str(inspected), "Id") == "sha256:1\n"
    assert run("image_field.py", str(inspected), "Missing") == "\n"


@pytest.mark.parametrize(
    ("info", "configuration", "store", "directory"),
    [
        ({}, "", "graph-driver", "/var/lib/docker"),
        ({"DockerRootDir": "/data"}, "", "graph-driver", "/data"),
        (
            {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
            'version = 2\nroot = "/mnt/containerd"\n[grpc]\nroot = "/no"\n',
            "containerd",
            "/mnt/containerd",
        ),
    ],
)
def test_the_store_of_images_is_found(
    info: dict[str, object], configuration: str, store: str, directory: str, tmp_path: Path
) -> None:
    assert run("image_store.py", str(tmp_path), json.dumps(info), configuration) == f"{store}\n{directory}\n"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"Running": True, "StartedAt": "2026-01-02T03:04:05.123456789Z"}, "running 1767323045\n"),
        (
            {"Running": False, "ExitCode": 137, "OOMKilled": True},
            "not running, exit code 137, out of memory\n",
        ),
    ],
)
def test_the_state_of_a_container_is_one_line(state: dict[str, object], said: str) -> None:
    told = json.dumps([{"Image": "sha256:1", "Config": {"Image": REFERENCE}, "State": state}])
    assert run("container_state.py", "sha256:1", REFERENCE, text=told) == said
    assert run("container_state.py", "sha256:2", "other", text=told) == "of-another-image\n"
    assert run("container_state.py", "sha256:1", REFERENCE, text="") == "absent\n"


def test_settings_that_docker_has_are_kept(tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text('{"data-root": "/data", "log-driver": "journald"}')
    run("daemon_settings.py", str(settings))
    merged = json.loads(settings.read_text())
    assert merged["data-root"] == "/data"
    assert merged["log-driver"] == "json-file"
    assert settings.stat().st_mode & 0o777 == 0o644


def test_settings_that_are_no_json_are_left_alone(tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text("{")
    assert "JSONDecodeError" in run("daemon_settings.py", str(settings))
    assert settings.read_text() == "{"
