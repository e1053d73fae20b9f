"""What is written for people is not sent to machines, and nothing else is left out."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.documents.scratch_machine import DOCUMENTS, REPOSITORY

PROGRAMS = sorted(DOCUMENTS.glob("*programs/*.py"))
SCRIPTS = sorted(DOCUMENTS.glob("*.sh"))


@pytest.fixture
def compaction(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    return importlib.import_module("compaction")


class WithoutDocstrings(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            del node.body[0]
        return node


def tree(text: str) -> str:
    return ast.dump(WithoutDocstrings().visit(ast.parse(text)))


def commands(text: str) -> list[str]:
    """A script as bash has understood it, which prints an empty line for what was between two commands."""
    ended = subprocess.run(
        ["bash", "--pretty-print"],  # noqa: S607 - prints, and runs nothing
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in ended.stdout.splitlines() if line]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_has_the_same_syntax_tree(path: Path, compaction: Any) -> None:
    text = path.read_text()
    compact = compaction.compact_python(text)
    assert tree(compact) == tree(text)
    assert len(compact) < len(text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_bash_reads_the_same_commands(path: Path, compaction: Any) -> None:
    # A program's line stands for its text, and bash would take it for a comment.
    text = path.read_text().replace("# program:", "program:")
    compact = compaction.compact_shell(text)
    assert commands(compact) == commands(text)
    assert len(compact) < len(text)


TRICKY = '''"""What it is for."""

import os  # why

TEXT = """# no comment

    four spaces
"""
WORDS = (
    "#1"  # a comment between
    "2"

    "3"
)


class A:
    """Nothing that runs."""

    def method(self) -> str:
        """Nothing either."""
        # A comment.
        if os.sep:

            return f"""
        {self} # {TEXT}

"""
        return ("a"
                "b")
'''


def test_texts_that_look_like_comments_or_indentation_stay(compaction: Any) -> None:
    compact = compaction.compact_python(TRICKY)
    assert tree(compact) == tree(TRICKY)
    for words in ("why", "between", "A comment", "Nothing", "What it"):
        assert words not in compact


def test_a_function_of_a_docstring_alone_is_refused(compaction: Any) -> None:
    with pytest.raises(ValueError, match="line 4: nothing stands beside a docstring"):
        compaction.compact_python('"""One."""\n\ndef a():\n    """Two."""\n')


SCRIPT = """#!/usr/bin/env bash
# A comment.
cat <<UNIT <<'OTHER'

# of the unit
UNIT
  # of the other
OTHER

  # Another.
grep x <<<word
# program: documents/programs/a.py
echo $((1 << 2)) # stays: it costs little, and a shell's quotes are hard to read
"""


def test_a_here_document_stays_as_it_is(compaction: Any) -> None:
    assert (
        compaction.compact_shell(SCRIPT).splitlines()
        == [line for line in SCRIPT.splitlines()[:8] if line != "# A comment."] + SCRIPT.splitlines()[10:]
    )


@pytest.mark.parametrize("name", ["provision_image", "verify_image"])
def test_a_document_leaves_room_for_what_comes(name: str) -> None:
    # 64 KB are a document's limit (Systems Manager endpoints and quotas, "SSM document size"), for what CloudFormation
    # sends, which is without the white space, and for who uploads the YAML by hand.
    assert len(json.dumps(json.loads((DOCUMENTS / f"{name}.json").read_text()))) < 56 * 1024
    assert len((DOCUMENTS / f"{name}.yaml").read_bytes()) < 61 * 1024
