"""Shell and Python as the machine needs them: without what is written for people.

A Systems Manager document may have 64 KB (Systems Manager endpoints and quotas, "SSM document size"), and a document
holds its whole script.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?(['\"]?)(\w+)\1(?=[ \t\n;|&)]|$)")
_KEPT_COMMENT = re.compile(r"#!|# program:")


def compact_python(text: str) -> str:
    """A program without docstrings, comments and empty lines, indented by single spaces; it has the same syntax tree.

    Raises:
        SyntaxError: the text is no Python.
        ValueError: a docstring is all that a function or class has.
    """
    tree = ast.parse(text)
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    documentation = {number for node in _docstrings(tree) for number in _rows(node)}
    texts = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in _docstrings(tree)
        for number in list(_rows(node))[1:]
    }
    return "".join(
        f"{line if number in texts else _indented_by_one(line)}\n"
        for number, line in enumerate(lines, 1)
        if number not in documentation and (line.strip() or number in texts)
    )


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str()) as found), *rest]:
                    if not rest:
                        raise ValueError(f"line {found.lineno}: nothing stands beside a docstring")
                    yield found


def _rows(node: ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _indented_by_one(line: str) -> str:
    """A line of a formatted program, which is indented by four."""
    spaces = len(line) - len(line.lstrip(" "))
    return " " * (spaces // 4) + line[spaces:]


def compact_shell(text: str) -> str:
    """A script without lines that are comments, and without empty lines; here-documents stay as they are.

    The line that names the shell stays, and so do those that name a program.
    """
    return "".join(_needed(text.splitlines(keepends=True)))


def _needed(lines: list[str]) -> Iterator[str]:
    ends: list[str] = []
    for line in lines:
        words = line.strip()
        if ends:
            if words == ends[0]:
                ends.pop(0)
        elif not words or (words.startswith("#") and not _KEPT_COMMENT.match(words)):
            continue
        else:
            ends = [match[2] for match in _HERE_DOCUMENT.finditer(line)]
        yield line
