"""Who may import whom (docs/architecture.md, Layers), read from the imports themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.template.stack import ROOT

PACKAGE = ROOT / "layers/ami_lifecycle/ami_lifecycle"
DOMAIN = sorted((PACKAGE / "domain").glob("*.py"))
PURE = [*DOMAIN, PACKAGE / "errors.py", PACKAGE / "ports.py"]
STEPS = sorted((PACKAGE / "steps").glob("*.py"))
# `composition.py` puts adapters and steps together, for the functions that need almost all of them.
ADAPTERS = sorted(set((PACKAGE / "adapters").glob("*.py")) - {PACKAGE / "adapters/composition.py"})
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
# Standard library, but not pure: it reads the clock, the environment, files, the network, or chance.
IMPURE = {
    "asyncio",
    "http",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
}
AWS = {"boto3", "botocore"}
CLOCK_CALLS = {"now", "today", "utcnow", "time"}
EC2_STATES = {"pending", "available", "shutting-down", "terminated", "stopping", "stopped", "running"}


def identified(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, at its top or within functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_every_layer_has_files() -> None:
    assert all((DOMAIN, STEPS, ADAPTERS, FUNCTIONS))


# Layer 1: the domain is pure.


@pytest.mark.parametrize("path", identified(PURE))
def test_the_domain_imports_the_standard_library_pydantic_and_itself(path: Path) -> None:
    allowed = (
        "pydantic",
        "ami_lifecycle.contracts",
        "ami_lifecycle.domain",
        "ami_lifecycle.errors",
        *(sys.stdlib_module_names - IMPURE),
    )
    assert [name for name in imports_of(path) if not is_below(name, *allowed)] == []


@pytest.mark.parametrize("path", identified([*PURE, *STEPS]))
def test_neither_the_domain_nor_a_step_reads_the_clock(path: Path) -> None:
    read = [
        ast.unparse(node)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCK_CALLS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"date", "datetime", "time"}
    ]
    assert read == []


# The steps know ports, and neither adapters nor AWS.


@pytest.mark.parametrize("path", identified(STEPS))
def test_a_step_is_given_its_adapters(path: Path) -> None:
    forbidden = (*AWS, *IMPURE, "aws_lambda_powertools", "ami_lifecycle.adapters", "ami_lifecycle.entry")
    assert [name for name in imports_of(path) if is_below(name, *forbidden)] == []


# Layer 2: AWS stays within adapters.


def test_only_adapters_and_configuration_import_the_aws_sdk() -> None:
    importing = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(is_below(name, *AWS) for name in imports_of(path))
    }
    assert importing <= {"adapters", "config", "client.py"}


@pytest.mark.parametrize("path", identified([*STEPS, *FUNCTIONS]))
def test_no_state_of_aws_is_compared_as_text_outside_adapters(path: Path) -> None:
    compared = {
        node.value
        for comparison in ast.walk(tree_of(path))
        if isinstance(comparison, ast.Compare)
        for node in ast.walk(comparison)
        if isinstance(node, ast.Constant)
    }
    assert compared & EC2_STATES == set()


@pytest.mark.parametrize("path", identified(ADAPTERS))
def test_an_adapter_knows_neither_steps_nor_functions(path: Path) -> None:
    forbidden = ("ami_lifecycle.steps", "ami_lifecycle.entry")
    assert [name for name in imports_of(path) if is_below(name, *forbidden)] == []


# Layer 3: functions parse, call once, dump.


@pytest.mark.parametrize("path", identified(FUNCTIONS))
def test_a_function_has_at_most_40_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("path", identified(FUNCTIONS))
def test_a_function_decides_nothing_and_catches_nothing(path: Path) -> None:
    deciding = (
        ast.If,
        ast.IfExp,
        ast.Match,
        ast.Try,
        ast.TryStar,
        ast.For,
        ast.While,
        ast.BoolOp,
        ast.Compare,
    )
    assert [ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, deciding)] == []


@pytest.mark.parametrize("path", identified(FUNCTIONS))
def test_a_functions_handler_has_the_name_that_the_template_gives(path: Path) -> None:
    handlers = [node.name for node in tree_of(path).body if isinstance(node, ast.FunctionDef)]
    assert "handler" in handlers


# Layer 4: nothing imports what is at the edge.


def test_nothing_imports_functions_command_line_or_emulator() -> None:
    edges = {
        PACKAGE: ("functions", "ami_lifecycle_cli", "aws_emulator", "tests"),
        ROOT / "functions": ("functions", "ami_lifecycle_cli", "aws_emulator", "tests"),
        ROOT / "emulator/aws_emulator": ("functions", "ami_lifecycle_cli", "tests"),
        ROOT / "cli/ami_lifecycle_cli": ("functions", "tests"),
    }
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for directory, forbidden in edges.items()
        for path in sorted(directory.rglob("*.py"))
        for name in imports_of(path)
        if is_below(name, *forbidden)
    ]
    assert found == []


def test_what_is_deployed_needs_only_what_the_layers_hold() -> None:
    held = {
        "aws_lambda_powertools",
        "boto3",
        "botocore",
        "pydantic",
        "yaml",
        "ami_lifecycle",
        "parameter_config",
    }
    needed = {
        name.split(".")[0]
        for directory in (PACKAGE, ROOT / "functions")
        for path in directory.rglob("*.py")
        if path != PACKAGE / "client.py"  # left out of the layer
        for name in imports_of(path)
    }
    assert needed - set(sys.stdlib_module_names) <= held
