"""Reads the YAML files of a configuration directory into one tree of values and declarations.

Each file `<name>_config.yml` is the namespace `<name>`. A mapping with the key `ssm_param` is a
declaration, everything else is a plain value. Two readings differ from YAML 1.1, because they have
surprised people: `1e-4` is a number, and dates are strings. Words that readers of YAML disagree about are
refused (`ambiguous_scalars`). Keys are the text that is written, also where YAML has a number or a truth value.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from pydantic import ValidationError

from parameter_config.ambiguous_scalars import quoted, reading_of
from parameter_config.declarations import Declaration, WrittenDefault, declare
from parameter_config.errors import (
    AmbiguousValueError,
    ConfigFileError,
    ConfigInputError,
    DuplicateKeyError,
    DuplicateParameterError,
    InvalidDeclarationError,
    InvalidKeyError,
    Location,
    UnknownFieldError,
    YamlSyntaxError,
)
from parameter_config.schema import (
    RESERVED_KEYS,
    RESERVED_NAMESPACES,
    RESERVED_PREFIXES,
    ParameterSchema,
    ValueType,
)

Node: TypeAlias = "Declaration | dict[str, Node] | list[Node] | str | int | float | bool | None"
Tree: TypeAlias = dict[str, Node]
_Keys: TypeAlias = tuple[str, ...]
_Entries: TypeAlias = dict[str, tuple[yaml.Node, yaml.Node]]

_FILE_NAME: Final = re.compile(r"(?P<namespace>[A-Za-z0-9][A-Za-z0-9_-]*)_config\.ya?ml")
_EXPONENT: Final = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+")
_FIELDS: Final = tuple(ParameterSchema.model_fields)
# What can nest many times in one line; by indentation alone, a file of bearable size does not nest deeply.
_NESTS: Final = re.compile(r"[\[{]|[-?:][ \t]+(?=[-?])")
_VALUE_FIELDS: Final = frozenset({"default", "allowed_values"})
_STRING: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"
_COLLECTIONS: Final = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 100
# Dates, and `=`, which YAML 1.1 keeps for itself.
_NOT_READ: Final = frozenset({"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"})
_BaseLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Which plain words are not strings, by their first character, in the form that PyYAML keeps it."""
    resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag not in _NOT_READ]
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
class Place:
    """Where a value stands, and the plain word that it is written as; None where it is in quotes or no word."""

    location: Location
    word: str | None = None


@dataclass(frozen=True)
class Documents:
    """The files of one configuration directory, read and checked, nothing resolved.

    `places` has the place of each value by its keys; items of lists count from 0.
    """

    directory: Path
    tree: Tree
    declarations: tuple[Declaration, ...]
    places: Mapping[tuple[str, ...], Place] = field(default_factory=dict, repr=False)

    def place(self, keys: Sequence[str]) -> Place | None:
        """The place of a value, or of the nearest mapping above it."""
        return next(
            (place for count in range(len(keys), 0, -1) if (place := self.places.get(tuple(keys[:count])))),
            None,
        )


def read_documents(config_dir: str | Path) -> Documents:
    """Read every `<name>_config.yml` of a directory.

    Raises:
        ConfigInputError: the first thing that is wrong, with file and line; see `errors`.
    """
    documents, problems = read_all_documents(config_dir)
    if problems:
        raise problems[0]
    return documents


def read_all_documents(config_dir: str | Path) -> tuple[Documents, list[ConfigInputError]]:
    """Read a directory as far as it can be read, and list everything that is wrong.

    Raises:
        ConfigFileError: there is no directory, or no file in it.
    """
    directory = Path(config_dir)
    tree: Tree = {}
    declarations: list[Declaration] = []
    places: dict[tuple[str, ...], Place] = {}
    problems: list[ConfigInputError] = []
    for namespace, file in _files_of(directory):
        if namespace in tree:
            problems.append(_second_file(namespace, file))
            continue
        if namespace in RESERVED_NAMESPACES:
            problems.append(_reserved_file(namespace, file))
        reader = _Reader(file, problems)
        tree[namespace] = reader.read(namespace)
        declarations.extend(reader.declarations)
        places.update(reader.places)
    problems.extend(_duplicates(declarations))
    return Documents(directory, tree, tuple(declarations), places), problems


def _reserved_file(namespace: str, file: Path) -> InvalidKeyError:
    return InvalidKeyError(
        f"The namespace {namespace!r} is also a method of a configuration: config.{namespace} would not be this file.",
        remedy="Give the file another name.",
        location=Location(str(file)),
    )


def _second_file(namespace: str, file: Path) -> ConfigFileError:
    return ConfigFileError(
        f"Two files are the namespace {namespace!r}: {file.name} is the second.",
        remedy="Keep one of them.",
        location=Location(str(file)),
    )


def is_config_file(path: Path) -> bool:
    """Whether a file is read, by its name."""
    return _FILE_NAME.fullmatch(path.name) is not None


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
        self._entries_of: dict[int, _Entries] = {}
        self._count = 0
        # Inside of a list or of a declaration's fields, where nothing is read as an attribute or by a path.
        self._plain = 0
        self.declarations: list[Declaration] = []
        self.places: dict[_Keys, Place] = {}

    def read(self, namespace: str) -> Tree:
        """The file's tree; what is wrong goes to the list of problems, and its place stays empty."""
        try:
            return self._read(namespace)
        except ConfigInputError as problem:
            self._problems.append(problem)
        except yaml.YAMLError as error:
            self._problems.append(self._broken(error))
        except RecursionError:
            self._problems.append(self._too_deep(Location(str(self._file))))
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
        self._refuse_depth(text)
        self._loader = _Loader(text)
        root = self._loader.get_single_node()
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise self._syntax_error("The file must be a mapping of keys to values.", root)
        return self._mapping(root, (namespace,))

    def _refuse_depth(self, text: str) -> None:
        """Refuse what is nested too deeply for libyaml, which composes it by calling itself and ends the process."""
        if sum(1 for _ in _NESTS.finditer(text)) < _DEEPEST:
            return
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise self._too_deep(
                        Location(str(self._file), event.start_mark.line + 1 if event.start_mark else 0)
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1

    def _at(self, node: yaml.Node) -> Location:
        return Location(str(self._file), node.start_mark.line + 1, node.start_mark.column + 1)

    def _syntax_error(
        self, message: str, node: yaml.Node, remedy: str = "Correct the file."
    ) -> YamlSyntaxError:
        return YamlSyntaxError(message, remedy=remedy, location=self._at(node))

    def _too_deep(self, location: Location) -> YamlSyntaxError:
        return YamlSyntaxError(
            f"The file is nested deeper than {_DEEPEST} levels.", remedy="Flatten it.", location=location
        )

    def _broken(self, error: yaml.YAMLError) -> YamlSyntaxError:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        context = getattr(error, "context", None)
        return YamlSyntaxError(
            f"The file is not valid YAML: {problem}" + (f" ({context})." if context else "."),
            remedy="Check indentation, colons and quotes at this line and the one before.",
            location=Location(str(self._file), min(mark.line + 1, self._lines) if mark else 0),
        )

    def _node(self, node: yaml.Node, keys: _Keys, expected: ValueType | None = None) -> Node:
        self._count += 1
        if self._count > _MOST_NODES:
            raise self._syntax_error(
                f"The file has more than {_MOST_NODES:,} values, counting what its aliases repeat.",
                node,
                "Repeat less.",
            )
        match node:
            case yaml.ScalarNode():
                return self._scalar(node, expected)
            case yaml.SequenceNode() | yaml.MappingNode():
                return self._collection(node, keys, expected)
            case _:
                raise self._syntax_error("This is neither a value, a list nor a mapping.", node)

    def _collection(
        self, node: yaml.SequenceNode | yaml.MappingNode, keys: _Keys, expected: ValueType | None = None
    ) -> Node:
        self._check_tag(node)
        if id(node) in self._open:
            raise self._syntax_error(f"{'.'.join(keys)} contains itself, through an alias.", node)
        if len(self._open) >= _DEEPEST:
            raise self._too_deep(self._at(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self._items(node, keys, expected)
            entries = self._entries(node)
            if "ssm_param" in entries:
                return self._declaration_or_problem(node, entries, keys)
            self._suspect(entries, keys)
            self._check_keys(entries, keys)
            return {key: self._entry(key, *entry, keys, expected) for key, entry in entries.items()}
        finally:
            self._open.discard(id(node))

    def _check_tag(self, node: yaml.SequenceNode | yaml.MappingNode) -> None:
        """Refuse a tag, which asks for something else than the list or mapping that stands there (`!Sub`)."""
        if node.tag not in _COLLECTIONS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._syntax_error(
                f"The tag {tag} means nothing here, and would be lost.", node, "Remove the tag."
            )

    def _items(self, node: yaml.SequenceNode, keys: _Keys, expected: ValueType | None) -> list[Node]:
        self._plain += 1
        try:
            items: list[Node] = []
            for index, item in enumerate(node.value):
                self._note((*keys, str(index)), item, item)
                items.append(self._node(item, (*keys, str(index)), expected))
            return items
        finally:
            self._plain -= 1

    def _entry(
        self, key: str, at: yaml.Node, value: yaml.Node, keys: _Keys, expected: ValueType | None
    ) -> Node:
        self._note((*keys, key), at, value)
        return self._node(value, (*keys, key), expected)

    def _note(self, keys: _Keys, at: yaml.Node, value: yaml.Node) -> None:
        self.places[keys] = Place(self._at(at), value.value if _is_plain(value) else None)

    def _mapping(self, node: yaml.MappingNode, keys: _Keys) -> Tree:
        tree = self._collection(node, keys)
        if not isinstance(tree, dict):
            raise self._syntax_error("The file itself is a declaration; give it a key.", node)
        self._refuse_shared_paths()
        return tree

    def _refuse_shared_paths(self) -> None:
        """Refuse keys with dots whose dotted path is also that of keys in keys."""
        if not any("." in key for keys in self.places for key in keys):
            return
        seen: dict[str, tuple[_Keys, Place]] = {}
        for keys, place in self.places.items():
            path = ".".join(keys)
            if path in seen and seen[path][0] != keys:
                raise DuplicateKeyError(
                    f"{path} is the path of two values; the other one is at {seen[path][1].location}.",
                    remedy="Rename one of the keys, or write it without a dot.",
                    location=place.location,
                )
            seen[path] = (keys, place)

    def _scalar(
        self, node: yaml.ScalarNode, expected: ValueType | None = None
    ) -> str | int | float | bool | None:
        if node.tag == _MERGE:
            raise self._syntax_error(f"{node.value!r} is not a value here.", node, "Quote it.")
        value = self._loader.construct_object(node)
        if value is None or isinstance(value, str):
            return value
        if not isinstance(value, bool | int | float) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            raise self._syntax_error(f"{node.value!r} is not a value that JSON has.", node, "Quote it.")
        if _is_plain(node) and (reading := reading_of(node.value, value, expected)):
            raise AmbiguousValueError(
                f"{node.value} is {reading} to YAML, and text to others.",
                remedy=f"Write {reading} if that is meant, else {quoted(node.value)}, with the quotes.",
                location=self._at(node),
            )
        return value

    def _entries(self, node: yaml.MappingNode) -> _Entries:
        """The keys of a mapping with their nodes; merge keys (`<<`) give what is not written out.

        A mapping that an alias repeats is the same node again, so it is taken apart once.
        """
        found = self._entries_of.get(id(node))
        if found is None:
            found = self._entries_of[id(node)] = self._taken_apart(node)
        return found

    def _taken_apart(self, node: yaml.MappingNode) -> _Entries:
        written: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: _Entries = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._syntax_error("A key must be a plain word.", key)
            if key.value in written:
                raise DuplicateKeyError(
                    f"The key {key.value!r} is written twice in one mapping; the first would be lost.",
                    remedy="Remove or rename one of them.",
                    location=self._at(key),
                )
            written[key.value] = (key, value)
            if key.tag == _MERGE:
                merged = self._merged(value)
        return merged | {key: entry for key, entry in written.items() if entry[0].tag != _MERGE}

    def _merged(self, node: yaml.Node) -> _Entries:
        """What a merge key brings: of several mappings, the first that has a key wins (YAML, "Merge Key")."""
        merged: _Entries = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                raise self._syntax_error("`<<` takes a mapping or a list of mappings.", source)
            self._check_tag(source)
            if id(source) in self._open:
                raise self._syntax_error("A mapping is merged into itself, through an alias.", source)
            self._open.add(id(source))
            try:
                for key, entry in self._entries(source).items():
                    merged.setdefault(key, entry)
            finally:
                self._open.discard(id(source))
        return merged

    def _check_keys(self, entries: _Entries, keys: _Keys) -> None:
        """Refuse keys that no path or attribute could reach."""
        for key, (node, _) in entries.items():
            if not key.strip() or not key.isprintable():
                raise InvalidKeyError(
                    f"{'.'.join(keys)} has a key that is empty or has characters that do not print: {key!r}.",
                    remedy="Rename it.",
                    location=self._at(node),
                )
            if not self._plain and (key in RESERVED_KEYS or key.startswith(RESERVED_PREFIXES)):
                raise InvalidKeyError(
                    f"{'.'.join(keys)} has the key {key!r}, which is also a name of the configuration itself: "
                    f"config.{'.'.join(keys)}.{key} would not be its value.",
                    remedy="Rename the key.",
                    location=self._at(node),
                )

    def _suspect(self, entries: _Entries, keys: _Keys) -> None:
        """Refuse a mapping that is meant as a declaration and misspells `ssm_param`."""
        for key, (node, _) in entries.items():
            if _looks_like_ssm_param(key):
                raise UnknownFieldError(
                    f"{'.'.join(keys)} has the key {key!r}.",
                    remedy="Did you mean `ssm_param`?",
                    location=self._at(node),
                )

    def _declaration_or_problem(
        self, node: yaml.MappingNode, entries: _Entries, keys: _Keys
    ) -> Declaration | None:
        self._plain += 1
        try:
            return self._declaration(node, entries, keys)
        except ConfigInputError as problem:
            self._problems.append(problem)
            return None
        finally:
            self._plain -= 1

    def _declaration(self, node: yaml.MappingNode, entries: _Entries, keys: _Keys) -> Declaration:
        location, path = self._at(node), ".".join(keys)
        declared = entries["type"][1].value if "type" in entries else None
        expected: ValueType | None = "float" if declared == "float" else None
        fields = {
            key: self._node(value, (*keys, key), expected if key in _VALUE_FIELDS else None)
            for key, (_, value) in entries.items()
        }
        try:
            schema = ParameterSchema.model_validate(fields)
        except ValidationError as error:
            raise self._invalid(error, entries, path, location) from None
        written = None
        if "default" in entries:
            value = entries["default"][1]
            written = WrittenDefault(self._at(value), self._first_word(value))
        declaration = declare(path, schema, location, written)
        self.declarations.append(declaration)
        return declaration

    @staticmethod
    def _first_word(node: yaml.Node) -> str | None:
        """The first plain word that is no text, in a value or in a list of them."""
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return next((item.value for item in items if _is_plain(item) and item.tag != _STRING), None)

    def _invalid(
        self,
        error: ValidationError,
        entries: _Entries,
        path: str,
        location: Location,
    ) -> UnknownFieldError | InvalidDeclarationError:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        at = self._at(entries[name][0]) if name in entries else location
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, _FIELDS, n=1)
            return UnknownFieldError(
                f"{path} has the unknown field {name!r}.",
                remedy=f"Did you mean `{close[0]}`?" if close else f"The fields are: {', '.join(_FIELDS)}.",
                location=at,
            )
        value = entries[name][1] if name in entries else None
        text_is_due = first["type"] == "string_type" and value is not None and _is_plain(value)
        return InvalidDeclarationError(
            f"{path}: {name}: {first['msg'].lower()}.",
            remedy=f"Correct the field: as text it is {quoted(value.value)}, with the quotes."
            if text_is_due and value is not None
            else "Correct the field.",
            location=at,
        )


def _is_plain(node: yaml.Node) -> bool:
    """Whether a node is a word without quotes, with something in it."""
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value != ""


def _looks_like_ssm_param(key: str) -> bool:
    """Whether a key is one slip away from `ssm_param`."""
    if not 7 <= len(key) <= 11:
        return False
    return difflib.SequenceMatcher(None, key.lower().replace("-", "_"), "ssm_param").ratio() > 0.85
