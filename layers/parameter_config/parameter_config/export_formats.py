"""Writes a resolved configuration in other formats, and reads it back.

Sensitive values are never written, and no list that holds one: without it, the list would be another value.
What has no value is null, and is left out of `env`.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import yaml

from parameter_config.declarations import Declaration
from parameter_config.documents import Node, Tree, load_plain_yaml, yaml_resolvers
from parameter_config.errors import ConfigFileError, InvalidDeclarationError
from parameter_config.loader import Config
from parameter_config.resolution import Resolver
from parameter_config.schema import ValueType
from parameter_config.tfvars import format_tfvars, parse_tfvars
from parameter_config.values import format_value, infer_type, parse_text
from parameter_config.variables import variable_name

ExportFormat: TypeAlias = Literal["env", "json", "yaml", "tfvars"]


def export_tree(config: Config, export_format: ExportFormat) -> tuple[str, list[str]]:
    """Write all values of a configuration; returns the text and the paths that were left out.

    Raises:
        ConfigError: a value cannot be resolved, or two paths have one environment variable.
    """
    resolver = config.resolver
    tree = resolver.documents.tree
    hidden = [".".join(path) for path, node in _leaves(tree) if resolver.holds_sensitive(node)]
    visible = _without_sensitive(resolver, tree)
    match export_format:
        case "env":
            text = "".join(
                f"{name}={shlex.quote(value)}\n"
                for name, value in environment_variables(config, include_sensitive=False).items()
            )
        case "json":
            text = json.dumps(visible, indent=2, ensure_ascii=False) + "\n"
        case "yaml":
            text = yaml.dump(visible, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
        case "tfvars":
            text = format_tfvars(visible)
    return text, hidden


def import_tree(config: Config, text: str, export_format: ExportFormat) -> dict[str, Any]:
    """Read what `export_tree` wrote back into a tree; `config` says which types `env` stands for.

    Raises:
        ConfigFileError: the text is not of that format.
    """
    try:
        tree = _IMPORTERS[export_format](config, text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigFileError(
            f"The text is not {export_format}: {error}.", remedy="Name the right --format."
        ) from error
    if not isinstance(tree, dict):
        raise ConfigFileError("The text is not a tree of values.", remedy="Import what `export` wrote.")
    return tree


def environment_variables(config: Config, *, include_sensitive: bool, prefix: str = "") -> dict[str, str]:
    """The values as environment variables: `aws.ec2.instance_id` is `AWS_EC2_INSTANCE_ID`.

    Mappings are taken apart, lists are JSON, and what has no value is left out.

    Raises:
        InvalidDeclarationError: two paths have one variable.
    """
    variables: dict[str, str] = {}
    paths: dict[str, str] = {}
    for path, node in _leaves(config.resolver.documents.tree):
        name = variable_name(".".join(path), prefix)
        if name in paths:
            raise InvalidDeclarationError(
                f"{'.'.join(path)} and {paths[name]} are both the environment variable {name}.",
                remedy="Rename one of the keys.",
            )
        paths[name] = ".".join(path)
        if not include_sensitive and config.resolver.holds_sensitive(node):
            continue
        if (value := config.resolver.resolve(node)) is not None:
            variables[name] = format_value(value, "str" if isinstance(value, str) else _text_type(value))
    return variables


def _text_type(value: Any) -> ValueType:
    return "json" if isinstance(value, list | dict) else infer_type(value)


def _leaves(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, node


def _without_sensitive(resolver: Resolver, node: Node) -> Any:
    if not isinstance(node, dict):
        return resolver.resolve(node)
    return {
        key: _without_sensitive(resolver, value)
        for key, value in node.items()
        if isinstance(value, dict) or not resolver.holds_sensitive(value)
    }


class PlainDumper(yaml.SafeDumper):
    """Quotes what our reading of YAML would take for a number."""

    yaml_implicit_resolvers = yaml_resolvers()


def unknown_in_import(config: Config, text: str, export_format: ExportFormat) -> list[str]:
    """What a file for `import_tree` has and the configuration has not, each with the nearest name."""
    tree = config.resolver.documents.tree
    if export_format == "env":
        known = [variable_name(".".join(path)) for path, _ in _leaves(tree)]
        names: list[str] = list(_read_env(text))
    else:
        known = [".".join(path) for path, _ in _leaves(tree)]
        names = list(_unknown_paths(tree, import_tree(config, text, export_format), ()))
    unknown = [name for name in names if name not in known]
    close = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
    return [f"{name} (did you mean {close[name][0]}?)" if close[name] else name for name in unknown]


def _unknown_paths(node: Node, value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(node, dict) or not isinstance(value, Mapping):
        return
    for key, below in value.items():
        if key in node:
            yield from _unknown_paths(node[key], below, (*path, str(key)))
        else:
            yield ".".join((*path, str(key)))


def _import_env(config: Config, text: str) -> dict[str, Any]:
    return _fill(config.resolver.documents.tree, _read_env(text), ())


def _read_env(text: str) -> dict[str, str]:
    variables: dict[str, str] = {}
    for word in shlex.split(text, comments=True):
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{name!r} is not NAME=value")
        variables[name] = value
    return variables


def _fill(tree: Tree, variables: Mapping[str, str], path: tuple[str, ...]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for key, node in tree.items():
        below = (*path, key)
        if isinstance(node, dict):
            filled[key] = _fill(node, variables, below)
        elif (text := variables.get(variable_name(".".join(below)))) is not None:
            filled[key] = parse_text(text, _type_in_env(node))
        elif not (isinstance(node, Declaration) and node.schema.sensitive):
            filled[key] = None
    return filled


def _type_in_env(node: Node) -> ValueType:
    value_type = node.type if isinstance(node, Declaration) else infer_type(node)
    return "json" if value_type == "list" else value_type


_IMPORTERS: Final[dict[ExportFormat, Callable[[Config, str], Any]]] = {
    "env": _import_env,
    "json": lambda _, text: json.loads(text),
    "yaml": lambda _, text: load_plain_yaml(text),
    "tfvars": lambda _, text: parse_tfvars(text),
}
