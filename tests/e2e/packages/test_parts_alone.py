"""Each part that is advertised as installable alone is: in an empty environment, with what it declares and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[3]
PINS = PROJECT / "requirements" / "dev.txt"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")


def run(*command: str | Path, directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def closure(declared: Iterable[str]) -> set[str]:
    """The names of distributions that requirements bring with them, as those of this environment declare it."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in declared]
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        for text in requires(requirement.name) or []:
            below = Requirement(text)
            extras = requirement.extras or {""}
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(below)
    return {name for name, _ in seen}


def pinned(names: set[str]) -> str:
    """The part of the pinned requirements, with their hashes, that has these names."""
    blocks = re.split(r"\n(?=[a-z0-9])", PINS.read_text())
    return "\n".join(block for block in blocks if canonicalize_name(re.split(r"[=\[]", block)[0]) in names)


@dataclass(frozen=True)
class Part:
    """A copy of a part's folder, and the environment in which it is installed."""

    directory: Path
    python: Path

    def run(self, *arguments: str) -> str:
        return run(self.python, *arguments, directory=self.directory)


def installed(folder: str, directory: Path, *tools: str) -> Part:
    """Install a part into an empty environment, beside the tools that its tests need."""
    part = Part(directory / "part", directory / "environment" / "bin" / "python")
    shutil.copytree(PROJECT / folder, part.directory, ignore=LEFT_OUT)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", directory, ".",
        directory=part.directory)  # fmt: skip
    (wheel,) = directory.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", directory / "environment", directory=directory)
    name = wheel.name.partition("-")[0]
    run(sys.executable, "-m", "zipfile", "-e", wheel, directory / "content", directory=directory)
    metadata = next((directory / "content").glob(f"{name}-*.dist-info/METADATA")).read_text()
    declared = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    requirements = directory / "requirements.txt"
    requirements.write_text(pinned(closure([*declared, *tools])))
    pip = (sys.executable, "-m", "pip", "--python", part.python)
    install = (*pip, "install", "-q", "--no-deps", "--no-compile", "--disable-pip-version-check")
    run(*install, "--require-hashes", "-r", requirements, directory=directory)
    run(*install, wheel, directory=directory)
    # What it declares is all there.
    run(*pip, "check", directory=directory)
    return part


@pytest.mark.parametrize(
    ("folder", "tools"), [("client", ("pytest",)), ("layers/parameter_config", ("pytest", "hypothesis"))]
)
def test_a_library_passes_its_own_tests_alone(folder: str, tools: tuple[str, ...], tmp_path: Path) -> None:
    part = installed(folder, tmp_path, *tools)
    for package in part.directory.glob("*/py.typed"):
        shutil.rmtree(package.parent)  # what is tested is the installed one
    told = part.run("-m", "pytest", "-q", "--import-mode=importlib", "-c", "pyproject.toml", "tests")
    assert " passed" in told
    assert "skipped" not in told


def test_the_emulator_can_be_imported_without_the_service() -> None:
    """All of its modules, in a process that refuses every other part."""
    walk = """
import importlib, pkgutil, sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ami_lifecycle", "ami_lifecycle_testbed", "parameter_config"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refusal())
import aws_emulator
names = [each.name for each in pkgutil.walk_packages(aws_emulator.__path__, "aws_emulator.")]
print(len([importlib.import_module(name) for name in names if not name.endswith("__main__")]))
"""
    assert int(run(sys.executable, "-c", walk, directory=PROJECT)) > 50


@pytest.mark.parametrize("folder", ["client", "layers/parameter_config", "emulator"])
def test_a_part_names_nothing_of_the_rest_of_the_repository(folder: str) -> None:
    """Neither its code nor its tests: a copy of the folder is all that somebody else needs."""
    own = {"client": "ami_lifecycle_client", "emulator": "aws_emulator"}.get(folder, "parameter_config")
    others = {"ami_lifecycle", "ami_lifecycle_cli", "ami_lifecycle_client", "ami_lifecycle_testbed"}
    others |= {"aws_emulator", "parameter_config", "tests", "client", "layers"}
    imports = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    found = {
        (path.name, name)
        for path in (PROJECT / folder).rglob("*.py")
        if "fixtures" not in path.parts  # a function there asks on purpose for what no layer has
        for name in imports.findall(path.read_text())
        if name in others - {own}
    }
    assert not found
