"""What is written in a file is what is used, or the file is refused: plain words, keys, merges, aliases."""

from __future__ import annotations

import copy
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from parameter_config import Config, ConfigError, Section, load_config
from parameter_config.errors import (
    AmbiguousValueError,
    DuplicateKeyError,
    InvalidDeclarationError,
    InvalidKeyError,
    ValueTypeError,
    YamlSyntaxError,
)
from parameter_config.schema import RESERVED_KEYS, RESERVED_NAMESPACES, RESERVED_PREFIXES
from parameter_config.values import parse_text

from .conftest import WriteConfig


def load(write_config: WriteConfig, text: str, **more: str) -> Config:
    return load_config(write_config(training=dedent(text), **more), offline=True)


# plain words


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("2122:22", "127342"),
        ("12:30:45", "45045"),
        ("1:30.5", "90.5"),
        ("0123", "83"),
        ("012345670123", "1402433619"),
        ("0x1F", "31"),
        ("0b101", "5"),
        ("1_000", "1000"),
        ("+5", "5"),
        ("+491701234567", "491701234567"),
        ("1.10", "1.1"),
        ("3.10", "3.1"),
        ("1.00", "1.0"),
        ("007.5", "7.5"),
        ("12e4", "120000.0"),
        ("4857e10", "48570000000000.0"),
        ("yes", "true"),
        ("no", "false"),
        ("NO", "false"),
        ("on", "true"),
        ("Off", "false"),
    ],
)
@pytest.mark.parametrize("place", ["a: {}", "a:\n  b: {}", "a: [x, {}]", "a: {{b: [{{c: {}}}]}}"])
def test_a_word_that_readers_of_yaml_disagree_about_is_refused(
    write_config: WriteConfig, place: str, word: str, number: str
) -> None:
    with pytest.raises(AmbiguousValueError) as caught:
        load(write_config, "first: 1\n" + place.format(word))
    error = caught.value
    assert error.location is not None
    assert error.location.line == 2 + place.count("\n")
    assert f"{word} is {number}" in error.message
    assert f'"{word}"' in error.remedy
    assert number in error.remedy


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("0", 0),
        ("123456789012", 123456789012),
        ("012345678901", "012345678901"),
        ("1.5", 1.5),
        ("0.05", 0.05),
        ("1.0", 1.0),
        (".5", 0.5),
        ("-2.5", -2.5),
        ("2.0e-4", 2e-4),
        ("1e-4", 1e-4),
        ("1.0e10", 1e10),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("y", "y"),
        ("2024-11-01", "2024-11-01"),
        ("2024-11-01 10:00:00", "2024-11-01 10:00:00"),
        ("=", "="),
        ("'0123'", "0123"),
        ('"no"', "no"),
        ("!!str 1.10", "1.10"),
        ("1.2.3", "1.2.3"),
        ("v1.10", "v1.10"),
    ],
)
def test_a_clear_word_is_what_it_looks_like(write_config: WriteConfig, word: str, value: object) -> None:
    found = load(write_config, f"a: {word}").get("training.a")
    assert found == value
    assert type(found) is type(value)


def test_the_declared_type_decides_about_fractions_and_exponents(write_config: WriteConfig) -> None:
    text = "a: {ssm_param: /p/a, type: float, default: 0.10}\nb: {ssm_param: /p/b, type: float, default: 1e3}"
    assert load(write_config, text).get("training") == {"a": 0.1, "b": 1000.0}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("type: str, default: 20241101", '"20241101"'),
        ("type: str, default: 1.5", '"1.5"'),
        ("type: str, default: true", '"true"'),
        ("type: list, default: [a, 123456789012]", '"123456789012"'),
    ],
)
def test_a_default_of_another_type_is_refused_with_the_text_to_write(
    write_config: WriteConfig, fields: str, shown: str
) -> None:
    with pytest.raises(ValueTypeError) as caught:
        load(write_config, f"a: {{ssm_param: /p/a, {fields}}}")
    assert shown in caught.value.remedy


@pytest.mark.parametrize(("field", "shown"), [("description: 2024", '"2024"'), ("allowed_pattern: 7", '"7"')])
def test_a_field_of_another_type_is_refused_with_the_text_to_write(
    write_config: WriteConfig, field: str, shown: str
) -> None:
    with pytest.raises(InvalidDeclarationError) as caught:
        load(write_config, f"a:\n  ssm_param: /p/a\n  {field}")
    assert shown in caught.value.remedy
    assert str(caught.value.location).endswith(":3")


@pytest.mark.parametrize(
    ("value_type", "text"),
    [
        ("int", "0123"),
        ("int", "1_000"),
        ("float", "1_000.5"),
        ("float", "007.5"),
        ("float", "infinity"),
        ("json", '{"a": 1, "a": 2}'),
        ("json", "NaN"),
    ],
)
def test_a_stored_text_is_not_read_as_something_else(value_type: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"number|JSON"):
        parse_text(text, value_type)


# keys

ODD_KEYS = """
    models:
      meta-llama/Llama-3.1-8B: {lr: 1.0e-4}
      meta-llama/Llama-3: {lr: 2.0e-4}
      a b[0]: c
    .hidden: 1
    two..dots: 2
    on: 3
    1.10: 4
    _private: 5
    null: 6
    "0": 7
    """


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models.meta-llama/Llama-3.1-8B.lr", 1e-4),
        ("models.meta-llama/Llama-3.lr", 2e-4),
        ("models.a b[0]", "c"),
        (".hidden", 1),
        ("two..dots", 2),
        ("on", 3),
        ("1.10", 4),
        ("_private", 5),
        ("null", 6),
        ("0", 7),
    ],
)
def test_every_key_is_reached_by_path_index_and_attribute_alike(
    write_config: WriteConfig, path: str, value: object
) -> None:
    config = load(write_config, ODD_KEYS)
    assert config.get(f"training.{path}", default="another") == value
    assert config.require(f"training.{path}") == value
    assert config.source(f"training.{path}").kind == "yaml"
    assert config.training.get(path) == value
    assert config["training"][path] == value
    assert path in config["training"]
    assert getattr(config.training, path) == value
    assert f"training.{path}" in config


def test_a_declaration_under_a_key_with_a_dot_is_reached_by_the_path_that_it_prints(
    write_config: WriteConfig,
) -> None:
    config = load(write_config, "buckets:\n  eu.data: {ssm_param: /p/eu-data, default: x}")
    (declaration,) = config.declarations
    assert declaration.path == "training.buckets.eu.data"
    assert config.get(declaration.path) == "x"
    assert config.source(declaration.path).kind == "default"
    missing = config.resolver.missing(declaration.path)
    assert "/p/eu-data" in missing.message


def test_two_values_with_one_path_are_refused(write_config: WriteConfig) -> None:
    with pytest.raises(
        DuplicateKeyError, match=r"training\.a\.b\.c is the path of two values.*:2.*without a dot"
    ):
        load(write_config, "a: {x: 1}\n".replace("{x: 1}", "\n  b: {c: 1}\n  b.c: 2"))


@pytest.mark.parametrize("key", [*sorted(RESERVED_KEYS), "__class__", "__x", "_section_path"])
def test_a_key_that_is_a_name_of_the_configuration_is_refused(write_config: WriteConfig, key: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        load(write_config, f"a:\n  {key}: 1")
    assert repr(key) in caught.value.message
    assert str(caught.value.location).endswith(":2")


@pytest.mark.parametrize("key", ["''", "' '", '"a\\nb"'])
def test_a_key_that_cannot_be_written_in_a_path_is_refused(write_config: WriteConfig, key: str) -> None:
    with pytest.raises(InvalidKeyError):
        load(write_config, f"a: {{{key}: 1}}")


def test_values_that_are_no_sections_may_have_any_key(write_config: WriteConfig) -> None:
    text = "a: [{items: 1}]\nb: {ssm_param: /p/b, type: json, default: {get: {values: 2}}}"
    assert load(write_config, text).get("training") == {"a": [{"items": 1}], "b": {"get": {"values": 2}}}


def test_a_file_that_is_named_like_a_method_is_refused(write_config: WriteConfig) -> None:
    with pytest.raises(InvalidKeyError, match=r"'secret'.*another name"):
        load(write_config, "a: 1", secret="b: 1")


def test_the_reserved_names_are_those_of_the_classes(write_config: WriteConfig) -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith(RESERVED_PREFIXES)}

    assert public(Section) == RESERVED_KEYS
    assert public(Config) == RESERVED_NAMESPACES
    config = load(write_config, "a: 1")
    assert all(name.startswith(RESERVED_PREFIXES) for name in vars(config))


def test_a_section_can_be_copied(write_config: WriteConfig) -> None:
    section = load(write_config, "a: {b: 1}").training
    assert copy.copy(section).a.b == 1
    assert not hasattr(section, "__no_such_protocol__")


# merges and aliases


def test_a_mapping_with_a_merge_can_be_repeated_by_an_alias(write_config: WriteConfig) -> None:
    config = load(
        write_config,
        """
        base: &base {lr: 1.0e-4, epochs: 3}
        staging: &staging
          <<: *base
          epochs: 1
        prod: *staging
        """,
    )
    assert config.get("training.prod") == config.get("training.staging") == {"lr": 1e-4, "epochs": 1}


def test_a_declaration_with_a_merge_can_be_repeated_by_an_alias(write_config: WriteConfig) -> None:
    config = load(
        write_config,
        """
        common: &common {description: x, tier: Standard}
        bucket: &bucket
          <<: *common
          ssm_param: /p/bucket
          default: one
          tier: Advanced
        archive: *bucket
        """,
    )
    assert config.get("training.archive") == config.get("training.bucket") == "one"
    assert {declaration.schema.tier for declaration in config.declarations} == {"Advanced"}


def test_of_several_merged_mappings_the_first_wins_and_what_is_written_wins_over_all(
    write_config: WriteConfig,
) -> None:
    config = load(
        write_config,
        """
        a: &a {x: 1, y: 1}
        b: &b {y: 2, z: 2}
        c: {<<: [*a, *b], z: 3}
        d: &d {<<: *a, w: 4}
        e: {<<: *d, x: 5}
        """,
    )
    assert config.get("training.c") == {"x": 1, "y": 1, "z": 3}
    assert config.get("training.e") == {"x": 5, "y": 1, "w": 4}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a: &a {x: 1}\nb: {<<: *a, y: 1, y: 2}", DuplicateKeyError),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", DuplicateKeyError),
        ("a: &a {x: 1, x: 2}\nb: *a", DuplicateKeyError),
        ("a: &a\n  <<: *a\n  x: 1", YamlSyntaxError),
        ("a: &a\n  b: {<<: *a}", YamlSyntaxError),
        ("a: &a\n  b: [*a]", YamlSyntaxError),
        ("a: {<<: 5}", YamlSyntaxError),
        ("a: {<<: [5]}", YamlSyntaxError),
        ("a: <<", YamlSyntaxError),
    ],
)
def test_what_a_merge_cannot_be_is_refused(
    write_config: WriteConfig, text: str, kind: type[ConfigError]
) -> None:
    with pytest.raises(kind):
        load(write_config, text)


def test_a_key_in_quotes_is_no_merge(write_config: WriteConfig) -> None:
    assert load(write_config, "a: {'<<': 1}").get("training.a") == {"<<": 1}


@pytest.mark.parametrize("merge", ["[{}]", "{{k1: {0}, k2: {0}}}", "{{<<: [{}], k: 1}}"])
def test_aliases_of_aliases_do_not_exhaust_the_memory(write_config: WriteConfig, merge: str) -> None:
    lines = ["a0: &a0 {x: 1, y: [1, 2, 3]}"]
    for level in range(1, 40):
        repeated = ", ".join([f"*a{level - 1}"] * (1 if "k1" in merge else 9))
        lines.append(f"a{level}: &a{level} " + merge.format(repeated))
    text = "\n".join(lines)
    if "<<" in merge:
        assert load(write_config, text).get("training.a39.k") == 1
        return
    with pytest.raises(YamlSyntaxError, match="counting what its aliases repeat"):
        load(write_config, text)


@pytest.mark.parametrize("depth", [101, 5_000, 200_000])
@pytest.mark.parametrize("nest", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_and_does_not_end_the_process(tmp_path: Path, nest: str, depth: int) -> None:
    closing = {"[": "]", "{a: ": "}", "- ": ""}[nest]
    (tmp_path / "x_config.yml").write_text("a:\n  " + nest * depth + "1" + closing * depth)
    with pytest.raises(YamlSyntaxError, match="nested deeper than 100"):
        load_config(tmp_path, offline=True)
