"""Finds the value behind a path: from Parameter Store, else the default, else nothing."""

from __future__ import annotations

import copy
import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from parameter_config.declarations import Declaration
from parameter_config.documents import Documents, Node, duplicate_parameter
from parameter_config.errors import Location, MissingValueError, PlaceholderError
from parameter_config.parameter_cache import CachedParameter, ParameterCache
from parameter_config.sensitive import MASK
from parameter_config.variables import Variables

SourceKind: TypeAlias = Literal["variable", "ssm", "default", "yaml", "missing", "unset"]


class Nowhere:
    """Type of `NOWHERE`."""


NOWHERE: Final = Nowhere()


@dataclass(frozen=True)
class Source:
    """Where a value comes from.

    Attributes:
        kind: `variable` (of the environment), `ssm` (Parameter Store), `default`, `yaml` (a plain value), `unset`
            (declared optional, and without a value), or `missing`.
        name: the parameter's name, where one is declared; that of the variable where it has the value.
        version: the parameter's version, where it exists.
        changed_at: when that version was written (UTC).
        stale: the value is past its time, because Parameter Store does not answer.
        location: the file and line of the declaration.
    """

    kind: SourceKind
    name: str | None = None
    version: int | None = None
    changed_at: datetime | None = None
    stale: bool = False
    location: Location | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.kind}{version}{' (stale)' if self.stale else ''}"


class Resolver:
    """Resolves paths of one configuration for one environment.

    Args:
        documents: the files.
        parameters: the values in Parameter Store.
        placeholders: the environment and the application; None where not known.
        variables: what goes before Parameter Store, if anything does.
    """

    def __init__(
        self,
        documents: Documents,
        parameters: ParameterCache,
        placeholders: Mapping[str, str | None],
        variables: Variables | None = None,
    ) -> None:
        self.variables = variables
        self.documents = documents
        self.parameters = parameters
        self.placeholders = placeholders

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every parameter name whose placeholders are known, each once.

        Raises:
            DuplicateParameterError: two declarations have one name in this environment.
        """
        seen: dict[str, Declaration] = {}
        for declaration in self.documents.declarations:
            try:
                name = declaration.name(self.placeholders)
            except PlaceholderError:
                continue
            first = seen.setdefault(name, declaration)
            if first.location != declaration.location:
                raise duplicate_parameter(name, first, declaration)
        return tuple(seen)

    @cached_property
    def _names_to_read(self) -> tuple[str, ...]:
        """All names that are read together: those of `names`, and the fallbacks whose placeholders are known."""
        fallbacks: list[str] = []
        for declaration in self.documents.declarations:
            with suppress(PlaceholderError):
                fallbacks += declaration.fallback_names(self.placeholders)
        return tuple(dict.fromkeys((*self.names, *fallbacks)))

    def declared_names(self) -> dict[str, Declaration]:
        """Every declaration by its parameter's name; keys that share one by an alias count once.

        Raises:
            PlaceholderError: a name needs an environment or application that is not given.
            DuplicateParameterError: see `names`.
        """
        declared = {
            declaration.name(self.placeholders): declaration
            for declaration in reversed(self.documents.declarations)
        }
        return {name: declared[name] for name in self.names}

    def find(self, path: Sequence[str]) -> Node | Nowhere:
        """What the files have at a path of keys; list items count from 0. `NOWHERE` where nothing is."""
        node: Node = self.documents.tree
        for key in path:
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isascii() and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            else:
                return NOWHERE
        return node

    def locate(self, path: str, below: Sequence[str] = ()) -> tuple[str, ...] | None:
        """The keys that a dotted path stands for, or None where nothing is.

        A key may have dots itself: where several are possible, the longest key comes first. No two values of a
        file have one path.
        """
        start = self.find(below)
        if isinstance(start, Nowhere):
            return None
        found = _locate(start, path.split(".")) if path else ()
        return None if found is None else (*below, *found)

    def find_path(self, path: str, below: Sequence[str] = ()) -> Node | Nowhere:
        """What the files have at a dotted path; see `locate`. An empty path is everything."""
        keys = self.locate(path, below)
        return NOWHERE if keys is None else self.find(keys)

    def resolve(self, node: Node) -> Any:
        """The node with every declaration replaced by its value; a copy, free to be changed.

        Raises:
            ConfigError: a value cannot be read, or is not what its declaration says.
        """
        match node:
            case Declaration():
                return self._value_of(node)
            case dict():
                return {key: self.resolve(value) for key, value in node.items()}
            case list():
                return [self.resolve(item) for item in node]
            case _:
                return node

    def resolve_for_display(self, node: Node) -> Any:
        """As `resolve`, with a mask in place of every sensitive value, at any depth."""
        match node:
            case Declaration():
                value = self._value_of(node)
                return MASK if value is not None and self.is_sensitive(node) else value
            case dict():
                return {key: self.resolve_for_display(value) for key, value in node.items()}
            case list():
                return [self.resolve_for_display(item) for item in node]
            case _:
                return node

    def is_sensitive(self, declaration: Declaration) -> bool:
        """Whether a value must not be shown: it is declared sensitive, or stored as a SecureString.

        A value of any type can be stored encrypted, and only strings can be `Sensitive`.
        """
        if declaration.schema.sensitive:
            return True
        if self._is_variable(declaration):
            return False
        stored = self.look_up(declaration).parameter
        return stored is not None and stored.sensitive

    def holds_sensitive(self, node: Node) -> bool:
        """Whether anything in a node must not be shown, at any depth."""
        match node:
            case Declaration():
                return self.is_sensitive(node)
            case dict():
                return any(self.holds_sensitive(value) for value in node.values())
            case list():
                return any(self.holds_sensitive(item) for item in node)
            case _:
                return False

    def look_up(self, declaration: Declaration) -> CachedParameter:
        """What Parameter Store has for a declaration: under its own name, else under the first fallback that exists."""
        own = self.parameters.look_up(declaration.name(self.placeholders), self._names_to_read)
        if own.parameter is not None:
            return own
        fallbacks = (
            self.parameters.look_up(name, self._names_to_read)
            for name in declaration.fallback_names(self.placeholders)
        )
        return next((found for found in fallbacks if found.parameter is not None), own)

    def source(self, path: str, below: Sequence[str] = ()) -> Source:
        """Where the value at a dotted path comes from."""
        node = self.find_path(path, below)
        match node:
            case Declaration():
                return self.source_of(node)
            case None | Nowhere():
                return Source("missing")
            case _:
                return Source("yaml")

    def source_of(self, declaration: Declaration) -> Source:
        """Where the value of a declaration comes from."""
        if self.variables is not None and self._is_variable(declaration):
            return Source("variable", self.variables.name(declaration), location=declaration.location)
        cached = self.look_up(declaration)
        name = declaration.name(self.placeholders)
        if (stored := cached.parameter) is not None:
            return Source(
                kind="ssm",
                name=stored.name,
                version=stored.version,
                changed_at=stored.changed_at,
                stale=cached.stale,
                location=declaration.location,
            )
        unset: SourceKind = "unset" if declaration.schema.optional else "missing"
        kind: SourceKind = unset if declaration.default is None else "default"
        return Source(kind, name, stale=cached.stale, location=declaration.location)

    def missing(self, path: str, below: Sequence[str] = ()) -> MissingValueError:
        """The error for a dotted path without a value."""
        node = self.find_path(path, below)
        dotted = ".".join((*below, path) if path else below)
        if isinstance(node, Declaration):
            name = node.name(self.placeholders)
            return MissingValueError(
                f"{dotted} has no value: the parameter {name} does not exist and has no default.",
                remedy=f"Create it: {self.set_command(node)}",
                location=node.location,
            )
        close = difflib.get_close_matches(dotted, list(self._paths()), n=1)
        return MissingValueError(
            f"{dotted} has no value in {self.documents.directory}.",
            remedy=f"Did you mean {close[0]}?" if close else "`ami-lifecycle config show` lists all paths.",
        )

    def set_command(self, declaration: Declaration) -> str:
        """The command that gives a declared parameter a value."""
        words = ["ami-lifecycle", "config", "set", declaration.path]
        words.append("--stdin" if declaration.schema.sensitive else "VALUE")
        for kind, value in self.placeholders.items():
            if value is not None and f"{{{kind}}}" in declaration.schema.ssm_param:
                words += [f"--{kind}", value]
        if str(self.documents.directory) != "config":
            words += ["--config-dir", str(self.documents.directory)]
        return shlex.join(words)

    def _is_variable(self, declaration: Declaration) -> bool:
        return self.variables is not None and self.variables.is_set(declaration)

    def _value_of(self, declaration: Declaration) -> Any:
        if self.variables is not None and self._is_variable(declaration):
            return self.variables.value(declaration)
        cached = self.look_up(declaration)
        if (stored := cached.parameter) is None:
            return copy.deepcopy(declaration.default)
        return declaration.parse(
            stored.text, source=f"{stored.name} (version {stored.version})", sensitive=stored.sensitive
        )

    def _paths(self) -> Iterator[str]:
        def walk(node: Node, path: str) -> Iterator[str]:
            if path:
                yield path
            if isinstance(node, dict):
                for key, value in node.items():
                    yield from walk(value, f"{path}.{key}" if path else key)

        return walk(self.documents.tree, "")


def _locate(node: Node, words: Sequence[str]) -> tuple[str, ...] | None:
    if not words:
        return ()
    if isinstance(node, list):
        word = words[0]
        if not (word.isascii() and word.isdigit() and int(word) < len(node)):
            return None
        rest = _locate(node[int(word)], words[1:])
        return None if rest is None else (word, *rest)
    if not isinstance(node, dict):
        return None
    for count in range(len(words), 0, -1):
        key = ".".join(words[:count])
        if key in node and (rest := _locate(node[key], words[count:])) is not None:
            return (key, *rest)
    return None
