"""Reads the YAML files of a configuration directory into one tree of values and declarations.

Each file `<name>_config.yml` is the namespace `<name>`. A mapping with the key `ssm_param` is a
declaration, everything else is a plain value. Two readings differ from YAML 1.1, because they have
surprised people: `1e-4` is a number, and dates are strings.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from pydantic import ValidationError

from ami_lifecycle.config.declarations import Declaration, declare
from ami_lifecycle.config.errors import (
    ConfigFileError,
    ConfigInputError,
    DuplicateKeyError,
    DuplicateParameterError,
    InvalidDeclarationError,
    Location,
    UnknownFieldError,
    YamlSyntaxError,
)
from ami_lifecycle.config.schema import ParameterSchema

Node: TypeAlias = "Declaration | dict[str, Node] | list[Node] | str | int | float | bool | None"
Tree: TypeAlias = dict[str, Node]
_Entries: TypeAlias = dict[str, tuple[yaml.Node, yaml.Node]]

_FILE_NAME: Final = re.compile(r"(?P<namespace>[A-Za-z0-9][A-Za-z0-9_-]*)_config\.ya?ml")
_EXPONENT: Final = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+")
_FIELDS: Final = tuple(ParameterSchema.model_fields)
_BaseLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Which plain words are not strings, by their first character, in the form that PyYAML keeps it."""
    resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789":
        resolvers.setdefault(first, []).append(("tag:yaml.org,2002:float", _EXPONENT))
    return resolvers


class _Loader(_BaseLoader):  # type: ignore[misc]  # the base is chosen at run time: libyaml where it is built in
    """Safe YAML with numbers like 1e-4 and without dates."""

    yaml_implicit_resolvers = yaml_resolvers()


def load_plain_yaml(text: str) -> Any:
    """Read YAML text as configuration files are read, without declarations.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # the loader is a safe one


@dataclass(frozen=True)
class Documents:
    """The files of one configuration directory, read and checked, nothing resolved."""

    directory: Path
    tree: Tree
    declarations: tuple[Declaration, ...]


def read_documents(config_dir: str | Path) -> Documents:
    """Read every `<name>_config.yml` of a directory.

    Raises:
        ConfigInputError: the first thing that is wrong, with file and line; see `errors`.
    """
    documents, problems = examine_documents(config_dir)
    if problems:
        raise problems[0]
    return documents


def examine_documents(config_dir: str | Path) -> tuple[Documents, list[ConfigInputError]]:
    """Read a directory as far as it can be read, and list everything that is wrong.

    Raises:
        ConfigFileError: there is no directory, or no file in it.
    """
    directory = Path(config_dir)
    tree: Tree = {}
    declarations: list[Declaration] = []
    problems: list[ConfigInputError] = []
    for namespace, file in _files_of(directory):
        if namespace in tree:
            problems.append(_second_file(namespace, file))
            continue
        reader = _Reader(file, problems)
        tree[namespace] = reader.read(namespace)
        declarations.extend(reader.declarations)
    problems.extend(_duplicates(declarations))
    return Documents(directory=directory, tree=tree, declarations=tuple(declarations)), problems


def _second_file(namespace: str, file: Path) -> ConfigFileError:
    return ConfigFileError(
        f"Two files are the namespace {namespace!r}: {file.name} is the second.",
        remedy="Keep one of them.",
        location=Location(str(file)),
    )


def _files_of(directory: Path) -> Iterator[tuple[str, Path]]:
    if not directory.is_dir():
        raise ConfigFileError(
            f"{directory} is not a directory.",
            remedy="Name the directory that holds aws_config.yml, with config_dir=... or --config-dir.",
        )
    found = [
        (match["namespace"], path)
        for path in sorted(directory.iterdir())
        if (match := _FILE_NAME.fullmatch(path.name))
    ]
    if not found:
        raise ConfigFileError(
            f"{directory} has no file named <name>_config.yml.",
            remedy="Create aws_config.yml there; docs/configuration.md shows the pattern.",
        )
    return iter(found)


def _duplicates(declarations: list[Declaration]) -> Iterator[DuplicateParameterError]:
    """Two declarations of one parameter are an error; a YAML alias is one declaration under two keys."""
    seen: dict[str, Declaration] = {}
    for declaration in declarations:
        first = seen.setdefault(declaration.schema.ssm_param, declaration)
        if first.location != declaration.location:
            yield duplicate_parameter(declaration.schema.ssm_param, first, declaration)


def duplicate_parameter(name: str, first: Declaration, second: Declaration) -> DuplicateParameterError:
    """The error for two declarations of the parameter `name`."""
    return DuplicateParameterError(
        f"{second.path} declares the parameter {name}, as {first.path} does ({first.location}).",
        remedy="Give one of them another ssm_param, or make one a YAML alias of the other.",
        location=second.location,
    )


class _Reader:
    """Turns the YAML nodes of one file into a tree, knowing the line of everything."""

    def __init__(self, file: Path, problems: list[ConfigInputError]) -> None:
        self._file = file
        self._problems = problems
        self._open: set[int] = set()
        self.declarations: list[Declaration] = []

    def read(self, namespace: str) -> Tree:
        """The file's tree; what is wrong goes to the list of problems, and its place stays empty."""
        try:
            return self._read(namespace)
        except ConfigInputError as problem:
            self._problems.append(problem)
        except yaml.YAMLError as error:
            self._problems.append(self._broken(error))
        return {}

    def _read(self, namespace: str) -> Tree:
        try:
            text = self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigFileError(
                f"The file cannot be read: {error}.",
                remedy="It must be a readable UTF-8 file.",
                location=Location(str(self._file)),
            ) from error
        self._lines = len(text.splitlines())
        self._loader = _Loader(text)
        root = self._loader.get_single_node()
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise self._syntax_error("The file must be a mapping of keys to values.", root)
        return self._mapping(root, namespace)

    def _at(self, node: yaml.Node) -> Location:
        return Location(str(self._file), node.start_mark.line + 1, node.start_mark.column + 1)

    def _syntax_error(
        self, message: str, node: yaml.Node, remedy: str = "Correct the file."
    ) -> YamlSyntaxError:
        return YamlSyntaxError(message, remedy=remedy, location=self._at(node))

    def _broken(self, error: yaml.YAMLError) -> YamlSyntaxError:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        context = getattr(error, "context", None)
        return YamlSyntaxError(
            f"The file is not valid YAML: {problem}" + (f" ({context})." if context else "."),
            remedy="Check indentation, colons and quotes at this line and the one before.",
            location=Location(str(self._file), min(mark.line + 1, self._lines) if mark else 0),
        )

    def _node(self, node: yaml.Node, path: str) -> Node:
        match node:
            case yaml.ScalarNode():
                return self._scalar(node)
            case yaml.SequenceNode() | yaml.MappingNode():
                return self._collection(node, path)
            case _:
                raise self._syntax_error("This is neither a value, a list nor a mapping.", node)

    def _collection(self, node: yaml.SequenceNode | yaml.MappingNode, path: str) -> Node:
        if id(node) in self._open:
            raise self._syntax_error(f"{path} contains itself, through an alias.", node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._node(item, f"{path}.{index}") for index, item in enumerate(node.value)]
            keys = self._entries(node)
            if "ssm_param" in keys:
                return self._declaration_or_problem(node, keys, path)
            self._suspect(keys, path)
            return {key: self._node(value, f"{path}.{key}") for key, (_, value) in keys.items()}
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: str) -> Tree:
        tree = self._collection(node, path)
        if not isinstance(tree, dict):
            raise self._syntax_error("The file itself is a declaration; give it a key.", node)
        return tree

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        value = self._loader.construct_object(node)
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        raise self._syntax_error(f"{node.value!r} is not a value that JSON has.", node, "Quote it.")

    def _entries(self, node: yaml.MappingNode) -> _Entries:
        """The keys of a mapping with their nodes; merge keys (`<<`) give what is not written out."""
        written: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._syntax_error("A key must be a plain word.", key)
            if key.value in written:
                raise DuplicateKeyError(
                    f"The key {key.value!r} is written twice in one mapping; the first would be lost.",
                    remedy="Remove or rename one of them.",
                    location=self._at(key),
                )
            written.add(key.value)
        self._loader.flatten_mapping(node)
        return {key.value: (key, value) for key, value in node.value}

    def _suspect(self, keys: _Entries, path: str) -> None:
        """Refuse a mapping that is meant as a declaration and misspells `ssm_param`."""
        for key, (node, _) in keys.items():
            if _looks_like_ssm_param(key):
                raise UnknownFieldError(
                    f"{path} has the key {key!r}.",
                    remedy="Did you mean `ssm_param`?",
                    location=self._at(node),
                )

    def _declaration_or_problem(
        self, node: yaml.MappingNode, keys: _Entries, path: str
    ) -> Declaration | None:
        try:
            return self._declaration(node, keys, path)
        except ConfigInputError as problem:
            self._problems.append(problem)
            return None

    def _declaration(self, node: yaml.MappingNode, keys: _Entries, path: str) -> Declaration:
        location = self._at(node)
        fields = {key: self._node(value, f"{path}.{key}") for key, (_, value) in keys.items()}
        try:
            schema = ParameterSchema.model_validate(fields)
        except ValidationError as error:
            raise self._invalid(error, keys, path, location) from None
        declaration = declare(path, schema, location)
        self.declarations.append(declaration)
        return declaration

    def _invalid(
        self,
        error: ValidationError,
        keys: _Entries,
        path: str,
        location: Location,
    ) -> UnknownFieldError | InvalidDeclarationError:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        at = self._at(keys[name][0]) if name in keys else location
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, _FIELDS, n=1)
            return UnknownFieldError(
                f"{path} has the unknown field {name!r}.",
                remedy=f"Did you mean `{close[0]}`?" if close else f"The fields are: {', '.join(_FIELDS)}.",
                location=at,
            )
        return InvalidDeclarationError(
            f"{path}: {name}: {first['msg'].lower()}.", remedy="Correct the field.", location=at
        )


def _looks_like_ssm_param(key: str) -> bool:
    """Whether a key is one slip away from `ssm_param`."""
    if not 7 <= len(key) <= 11:
        return False
    return difflib.SequenceMatcher(None, key.lower().replace("-", "_"), "ssm_param").ratio() > 0.85
