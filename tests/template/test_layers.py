"""What contracts on imports (pyproject.toml) cannot hold: the rules of each layer, read from its code."""

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
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
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
    assert all((DOMAIN, STEPS, FUNCTIONS))


# Time is an argument.


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


# Functions parse, call once, dump.


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


# The edges that are no packages.


def test_nothing_imports_functions_or_tests() -> None:
    directories = (
        "layers",
        "client",
        "cli",
        "emulator/aws_emulator",
        "testbed/ami_lifecycle_testbed",
        "functions",
    )
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for directory in directories
        for path in sorted((ROOT / directory).rglob("*.py"))
        if "tests" not in path.relative_to(ROOT).parts
        for name in imports_of(path)
        if is_below(name, "functions", "tests")
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
