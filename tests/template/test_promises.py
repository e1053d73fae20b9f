"""`docs/dev/promises.md` names tests that exist, for each promise one or more."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TABLE = PROJECT / "docs" / "dev" / "promises.md"
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
ROWS = [
    line for line in TABLE.read_text(encoding="utf-8").splitlines() if re.match(r"\| (?!---|promise )", line)
]


def functions_of(path: str) -> set[str]:
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_names_tests_that_exist(row: str) -> None:
    named = TEST.findall(row)
    assert named, f"no test holds this: {row}"
    for path, name in named:
        assert (PROJECT / path).is_file(), f"{path} has moved"
        assert name in functions_of(path), f"{path} has no {name} any more: {row}"


def test_each_of_the_promises_is_in_the_table() -> None:
    assert {row[2:4] for row in ROWS} >= {"P1", "P2", "P3", "P4", "P5", "P6", "P7"}
