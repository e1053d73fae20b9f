"""The tree of errors is as its own documentation draws it. What the state machine does with each is in
tests/template/test_state_machine.py.
"""

from __future__ import annotations

import inspect
import re

import pytest

from ami_lifecycle import errors
from ami_lifecycle.errors import (
    AmiLifecycleError,
    BuildError,
    InputError,
    RefusedError,
    TransientError,
    names_of,
)

KINDS = (InputError, TransientError, RefusedError, BuildError)
CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, AmiLifecycleError)
}
DRAWN = re.compile(r"^    (?P<branch>[│├└─ ]*)(?P<name>[A-Za-z]+Error)(?P<words> .*)?$", re.MULTILINE)


def drawn_tree() -> dict[str, str]:
    """Each class in the module's docstring with the one that it hangs below."""
    above: list[str] = []
    tree = {}
    for line in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["branch"]) // 4
        tree[line["name"]] = above[depth - 1] if depth else ""
        above[depth:] = [line["name"]]
    return tree


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    assert drawn_tree() == {
        name: "" if found is AmiLifecycleError else found.__bases__[0].__name__
        for name, found in CLASSES.items()
    }


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"AmiLifecycleError"}))
def test_every_error_is_drawn_with_what_it_means(name: str) -> None:
    (line,) = [found for found in DRAWN.finditer(errors.__doc__ or "") if found["name"] == name]
    assert line["words"].strip()


@pytest.mark.parametrize("found", CLASSES.values(), ids=CLASSES)
def test_every_error_says_what_it_is_and_ends_in_error(found: type[AmiLifecycleError]) -> None:
    assert found.__name__.endswith("Error")
    assert found.__doc__
    assert found.__doc__.endswith(".")


@pytest.mark.parametrize("found", sorted(set(CLASSES.values()) - {AmiLifecycleError, *KINDS}, key=str))
def test_every_error_is_of_exactly_one_kind(found: type[AmiLifecycleError]) -> None:
    assert [kind for kind in KINDS if issubclass(found, kind)] == [found.__bases__[0]]
    assert found.__name__ in names_of(found.__bases__[0]) <= names_of(AmiLifecycleError)


def test_errors_are_told_apart_by_name_alone_because_step_functions_knows_no_more() -> None:
    assert len(CLASSES) == len({found.__name__ for found in CLASSES.values()})
    assert not names_of(AmiLifecycleError) & {"Exception", "TimeoutError", "PermissionError"}
