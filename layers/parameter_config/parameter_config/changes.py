"""Changes single values in Parameter Store: set, roll back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from parameter_config.attributes import AttributeChange, arguments_of, read_changes
from parameter_config.declarations import Declaration
from parameter_config.documents import Node
from parameter_config.errors import (
    ConfigFileError,
    InvalidDeclarationError,
    ValueTypeError,
    VersionNotFoundError,
)
from parameter_config.initialisation import check_environment, new_parameter
from parameter_config.loader import Config
from parameter_config.ownership import foreign_parameter, is_ours, project_of, tags_for
from parameter_config.parameter_store import ParameterVersion
from parameter_config.values import format_value


@dataclass(frozen=True)
class PlannedChange:
    """A change of one parameter, checked and ready to be made.

    Attributes:
        before: the present version; None where the parameter is to be created.
        after: the text to store.
        adopt: the present parameter must be tagged as ours first.
        attributes: what is changed beside the value, such as the tier.
    """

    declaration: Declaration
    name: str
    before: ParameterVersion | None
    after: str = field(repr=False)
    adopt: bool = False
    attributes: tuple[AttributeChange, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether the stored text, or an attribute that AWS can change, would be another one."""
        return self.before is None or self.before.text != self.after or bool(self.attributes)

    @property
    def sensitive(self) -> bool:
        """Whether the values must not be shown."""
        return self.declaration.schema.sensitive or (self.before is not None and self.before.sensitive)


def declaration_at(config: Config, path: str) -> Declaration:
    """The declaration at a dotted path, or of a parameter name that begins with `/`.

    Raises:
        MissingValueError: there is nothing at that path.
        ConfigFileError: the path holds a plain value, which is changed in its file.
    """
    for declaration in config.declarations:
        if declaration.path == path or (
            path.startswith("/") and declaration.name(config.resolver.placeholders) == path
        ):
            return declaration
    keys = config.resolver.locate(path)
    if keys is None:
        raise config.resolver.missing(path)
    raise ConfigFileError(
        f"{path} is not in Parameter Store; it is a plain value of {config.resolver.documents.directory}.",
        remedy=f"Change it in {keys[0]}_config.yml and commit it.",
    )


def plan_set(config: Config, path: str, text: str, *, adopt: bool = False) -> PlannedChange:
    """Check that a value can be set. Reads, and writes nothing.

    Args:
        config: loaded for the environment to change.
        path: dotted path, or the parameter's name.
        text: the value as Parameter Store holds it (lists separated by commas, JSON as JSON).
        adopt: whether a parameter without our tags may be tagged and changed.

    Raises:
        ConfigInputError: the value is not what the declaration asks for.
        PlaceholderError: see `check_environment`.
        ForeignParameterError: the parameter is not ours, and `adopt` is not given.
    """
    declaration = declaration_at(config, path)
    declaration.check_text(text)
    name = declaration.name(config.resolver.placeholders)
    before = config.parameter_store.read([name]).get(name)
    if before is None:
        check_environment(config, declaration)
    change = PlannedChange(declaration, name, before, text)
    if before is not None:
        found = read_changes(config.parameter_store, {name: declaration}).get(name, [])
        change = replace(change, attributes=tuple(each for each in found if each.argument is not None))
    return _checked(config, change, adopt=adopt) if before is not None and change.is_change else change


def plan_rollback(config: Config, path: str, version: int, *, adopt: bool = False) -> PlannedChange:
    """Check that an earlier version can be stored again, as a new version. Writes nothing.

    Raises:
        VersionNotFoundError: Parameter Store does not have that version any more.
        ConfigInputError: its value is not what the declaration asks for today.
        ForeignParameterError: see `plan_set`.
    """
    declaration = declaration_at(config, path)
    name = declaration.name(config.resolver.placeholders)
    history = config.parameter_store.read_history(name)
    restored = next((stored for stored in history if stored.version == version), None)
    if restored is None or not history:
        raise VersionNotFoundError(
            f"{name} has no version {version}.",
            remedy=f"It has {_ranges(history)}: ami-lifecycle config history {path}.",
            location=declaration.location,
        )
    declaration.check_text(restored.text, sensitive=restored.sensitive)
    change = PlannedChange(declaration, name, history[-1], restored.text)
    return _checked(config, change, adopt=adopt) if change.is_change else change


def _ranges(history: list[ParameterVersion]) -> str:
    return f"versions {history[0].version} to {history[-1].version}" if history else "no versions"


def _checked(config: Config, change: PlannedChange, *, adopt: bool) -> PlannedChange:
    before, declaration = change.before, change.declaration
    if before is not None and declaration.schema.sensitive and not before.sensitive:
        raise InvalidDeclarationError(
            f"{change.name} is a {before.type}, and {declaration.path} is declared sensitive.",
            remedy="Written over, it would keep its older values in plain text. Delete the parameter "
            f"(aws ssm delete-parameter --name {change.name}), wait 30 seconds, and set it again.",
            location=declaration.location,
        )
    project = project_of(config, change.name)
    if is_ours(config.parameter_store.read_tags(change.name), project):
        return change
    if not adopt:
        raise foreign_parameter(change.name, project)
    return replace(change, adopt=True)


def plan_import(
    config: Config, tree: Mapping[str, Any], *, adopt: bool = False
) -> tuple[list[PlannedChange], list[str]]:
    """Find what a tree of values would change; values that equal the present ones are passed over.

    Returns:
        The changes of Parameter Store, and the paths of plain values that differ. Those are changed in
        their files.

    Raises:
        ConfigError: see `plan_set`.
    """
    changes: list[PlannedChange] = []
    elsewhere: list[str] = []
    for path, node, value in _side_by_side(config.resolver.documents.tree, tree, ()):
        dotted = ".".join(path)
        if value is None or value == config.resolver.resolve(node):
            continue
        if not isinstance(node, Declaration):
            elsewhere.append(dotted)
            continue
        try:
            text = format_value(value, node.type)
        except ValueError as error:
            raise ValueTypeError(
                f"The new value of {dotted} is not {error}.", remedy="Correct it.", location=node.location
            ) from None
        changes.append(plan_set(config, dotted, text, adopt=adopt))
    return changes, elsewhere


def _side_by_side(
    node: Node, value: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Node, Any]]:
    if isinstance(node, dict):
        for key, below in node.items():
            yield from _side_by_side(
                below, value.get(key) if isinstance(value, Mapping) else None, (*path, key)
            )
    else:
        yield path, node, value


def apply_change(config: Config, change: PlannedChange) -> int:
    """Make a planned change; returns the version that the parameter then has.

    Raises:
        ConfigError: nothing was written, or AWS did not answer.
    """
    store = config.parameter_store
    if change.before is None:
        created = store.create(new_parameter(config, change.declaration, change.name, change.after))
        if created:
            return 1
        raise VersionNotFoundError(
            f"{change.name} was created by somebody else a moment ago.", remedy="Run the command again."
        )
    if not change.is_change:
        return change.before.version
    if change.adopt:
        store.tag(change.name, tags_for(config, change.declaration, change.name))
    return store.overwrite(change.before, change.after, arguments_of(change.declaration, change.attributes))
