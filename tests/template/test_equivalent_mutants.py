"""What `make mutants` is told to leave alone is there: to see it there takes longer than anybody waits for a check."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from tests.template.stack import ROOT

PACKAGE = ROOT / "layers" / "ami_lifecycle" / "ami_lifecycle"
LISTED = yaml.safe_load((ROOT / "tests" / "unit" / "equivalent_mutants.yaml").read_text(encoding="utf-8"))


def sources(path: Path) -> Mapping[str, str]:
    """The functions of a module, and the methods of its classes; each on one line."""
    text = path.read_text(encoding="utf-8")

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.FunctionDef):
                lines = (ast.get_source_segment(text, each) or "").splitlines()
                yield prefix + each.name, " ".join(line.strip() for line in lines)
            elif isinstance(each, ast.ClassDef):
                yield from below(each, f"{each.name}.")

    return dict(below(ast.parse(text), ""))


@pytest.mark.parametrize("function", sorted({entry["function"] for entry in LISTED}))
def test_an_equivalent_mutant_changes_what_stands_in_its_function(function: str) -> None:
    package, module, name = function.split(".", 2)
    source = sources(PACKAGE / package / f"{module}.py").get(name, "")
    changed = [entry["was"] for entry in LISTED if entry["function"] == function]
    assert [was for was in changed if was not in source] == []
