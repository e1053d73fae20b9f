"""What holds for every configuration."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from parameter_config import Config, load_config
from parameter_config.errors import InvalidDeclarationError
from parameter_config.export_formats import PlainDumper, export_tree, import_tree
from parameter_config.schema import RESERVED_KEYS, RESERVED_PREFIXES, ValueType
from parameter_config.tfvars import format_tfvars, parse_tfvars
from parameter_config.values import coerce_value, format_value, infer_type, parse_text

from .fake_aws import FakeSsm

KEYS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8).filter(
    lambda key: (
        "ssm" not in key.lower() and key not in RESERVED_KEYS and not key.startswith(RESERVED_PREFIXES)
    )
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\"'\\$%{}#: ,"), max_size=12
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
PLAIN = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    """A declaration with a default, a stored value, both or neither; `stored` is taken out before use."""
    value_type: ValueType = draw(st.sampled_from(["str", "int", "float", "bool", "list", "json"]))
    values: dict[str, st.SearchStrategy[Any]] = {
        "str": TEXT.filter(lambda text: text != "" and "{{" not in text),
        "int": st.integers(-(2**53), 2**53),
        "float": st.floats(allow_nan=False, allow_infinity=False),
        "bool": st.booleans(),
        "list": st.lists(
            st.text(string.ascii_letters + "-.", min_size=1, max_size=5), min_size=1, max_size=3
        ),
        "json": (st.lists(SCALARS, max_size=2) | st.dictionaries(KEYS, SCALARS, max_size=2)).filter(
            lambda value: "{{" not in json.dumps(value)
        ),
    }
    declared: dict[str, Any] = {"ssm_param": "", "type": value_type}
    if draw(st.booleans()):
        declared["default"] = draw(values[value_type])
    if draw(st.booleans()):
        declared["stored"] = format_value(draw(values[value_type]), value_type)
    return declared


TREES = st.dictionaries(
    KEYS,
    st.recursive(
        declarations() | PLAIN, lambda below: st.dictionaries(KEYS, below, max_size=4), max_leaves=10
    ),
    max_size=4,
)


def prepare(tree: Any, ssm: FakeSsm) -> None:
    """Give every declaration a name of its own, and put the stored values into the store."""
    for count, declared in enumerate(_declared(tree)):
        declared["ssm_param"] = f"/p/{count}"
        if (stored := declared.pop("stored", None)) is not None:
            ssm.put(f"/p/{count}", stored)


def _declared(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict) and "ssm_param" in node:
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _declared(value)
    elif isinstance(node, list):
        for value in node:
            yield from _declared(value)


class _Loaded:
    """A generated tree as files, loaded."""

    def __init__(self, tree: Any) -> None:
        self._directory = TemporaryDirectory()
        ssm = FakeSsm()
        prepare(tree, ssm)
        text = yaml.dump(tree, Dumper=PlainDumper)
        (Path(self._directory.name) / "aws_config.yml").write_text(text, encoding="utf-8")
        self._config = load_config(self._directory.name, ssm, clock=ssm.clock)

    def __enter__(self) -> Config:
        return self._config

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            yield from leaves(value, (*path, str(index)))
    else:
        yield path, node


@SETTINGS
@given(TREES)
def test_resolve_equals_what_single_get_calls_return(tree: dict[str, Any]) -> None:
    with _Loaded(tree) as config:
        resolved = config.resolve()
        for path, value in leaves(resolved["aws"], ("aws",)):
            if _is_within_a_value(config, path):
                continue
            assert config.get(".".join(path)) == value
            assert type(config.get(".".join(path))) is type(value)
        assert config.get("aws", default={}) == resolved["aws"]


def _is_within_a_value(config: Config, path: tuple[str, ...]) -> bool:
    """Lists and JSON that a parameter holds are one value, and have no paths of their own."""
    return any(
        config.resolver.source_of(declaration) is not None
        for declaration in config.declarations
        if ".".join(path).startswith(f"{declaration.path}.")
    )


@SETTINGS
@given(TREES)
@pytest.mark.parametrize("export_format", ["env", "json", "yaml", "tfvars"])
def test_export_followed_by_import_gives_the_same_tree(export_format: Any, tree: dict[str, Any]) -> None:
    with _Loaded(tree) as config:
        try:
            text, hidden = export_tree(config, export_format)
        except InvalidDeclarationError:
            if export_format != "env":
                raise
            reject()  # two keys that are one environment variable
        assert hidden == []
        assert import_tree(config, text, export_format) == config.resolve()


@given(st.dictionaries(KEYS, PLAIN, max_size=4))
@example({"a": "${x} $${y} %{z} \\u0041 \\n \x00\x7f"})
def test_tfvars_are_read_as_they_were_written(tree: dict[str, Any]) -> None:
    assert parse_tfvars(format_tfvars(tree)) == tree


@given(PLAIN)
def test_a_value_that_is_stored_is_read_as_it_was(value: Any) -> None:
    value_type = infer_type(value)
    if value is None:
        return
    if value_type == "list" and not value:
        assert format_value(value, value_type) == ""
        return
    read = parse_text(format_value(value, value_type), value_type)
    assert read == value
    assert coerce_value(read, value_type) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_yaml(number: float) -> None:
    with TemporaryDirectory() as directory:
        Path(directory, "aws_config.yml").write_text(yaml.safe_dump({"n": number}))
        found = load_config(directory, offline=True).get("aws.n")
    assert math.isclose(found, number, rel_tol=0, abs_tol=0)
