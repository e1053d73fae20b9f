"""`config show`, `history`, `export`, `exec`, `schema`. Read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ami_lifecycle_cli.console.connection import ENVIRONMENT_VARIABLE, Target
from ami_lifecycle_cli.console.output import (
    print_data,
    print_error,
    print_json,
    print_json_schema,
    print_note,
    print_table,
    show_value,
)
from ami_lifecycle_cli.settings_reference import build_config_json_schema
from parameter_config import Config
from parameter_config.changes import declaration_at
from parameter_config.declarations import Declaration
from parameter_config.documents import Node
from parameter_config.environments import differs_by_environment, each_environment, known_environments
from parameter_config.errors import (
    ConfigFileError,
    ConfigInputError,
    CredentialsError,
    StoreRequestError,
)
from parameter_config.export_formats import ExportFormat, environment_variables, export_tree
from parameter_config.parameter_store import ParameterVersion
from parameter_config.resolution import Nowhere
from parameter_config.schema import config_json_schema
from parameter_config.sensitive import MASK

# The exit codes of shells for a command that cannot be run, or is not found.
_NOT_RUN = 126
_NOT_FOUND = 127

PathArgument = Annotated[
    str, typer.Argument(help="Dotted path, or the parameter's name.", show_default=False)
]
SubtreeArgument = Annotated[str, typer.Argument(help="Only what is below this path.", show_default=False)]
FormatOption = Annotated[ExportFormat, typer.Option("--format", "-f", help="Format to write.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write, instead of printing.")
]


def show(target: Target, path: SubtreeArgument = "") -> None:
    """Show every value and where it comes from; sensitive values are masked.

    Where no environment is named, what differs by environment is shown for each.
    """
    config = target.load()
    node = config.resolver.find_path(path)
    # `config show prod`, as everywhere else; an environment that the shell's variable names gives way.
    is_free = target.environment in {None, os.environ.get(ENVIRONMENT_VARIABLE)}
    if isinstance(node, Nowhere) and is_free and path in known_environments(config):
        target.environment, path = path, ""
        config = target.load()
        node = config.resolver.find_path(path)
    if isinstance(node, Nowhere):
        raise config.resolver.missing(path)
    rows = list(_rows(config, each_environment(config), node, path))
    if target.as_json:
        print_json({"values": rows})
    else:
        _print_rows(rows)
    if any("error" in row for row in rows):
        print_note("Some values are not what their declarations say: ami-lifecycle config validate")
        raise typer.Exit(1)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    several = any("environment" in row for row in rows)
    headers = ["path", *(["environment"] if several else []), "value", "source"]
    print_table(
        headers,
        [
            (
                row["path"],
                *([row.get("environment", "")] if several else []),
                row.get("error") or show_value(row["value"]),
                _source_text(row),
            )
            for row in rows
        ],
    )


def _rows(config: Config, environments: list[Config], node: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _rows(config, environments, value, f"{path}.{key}" if path else key)
        return
    if len(environments) < 2 or not differs_by_environment(node):
        yield _row(environments[0], node, {"path": path, "value": None})
        return
    for own in environments:
        name = own.resolver.placeholders["environment"]
        yield _row(own, node, {"path": path, "environment": name, "value": None})


def _row(config: Config, node: Node, row: dict[str, Any]) -> dict[str, Any]:
    try:
        row |= _source_columns(config, node)
        row["value"] = config.resolver.resolve_for_display(node)
    except (CredentialsError, StoreRequestError):
        raise  # of the whole account, and not of this value
    except ConfigInputError as error:
        row |= {"source": "invalid", "error": f"{error.message} {error.remedy}"}
    return row


def _source_columns(config: Config, node: Node) -> dict[str, Any]:
    if not isinstance(node, Declaration):
        return {"source": "yaml"}
    source = config.resolver.source_of(node)
    return {"source": source.kind, "name": source.name, "version": source.version}


def _source_text(row: dict[str, Any]) -> str:
    return f"{row['source']} v{row['version']}" if row.get("version") else str(row["source"])


def history(
    target: Target,
    path: PathArgument,
    diff: Annotated[bool, typer.Option("--diff", help="Show what each version changed.")] = False,
) -> None:
    """Show the versions of a parameter that Parameter Store still has (the last 100)."""
    config = target.load()
    declaration = declaration_at(config, path)
    name = declaration.name(config.resolver.placeholders)
    versions = config.parameter_store.read_history(name)
    if target.as_json:
        print_json({"name": name, "versions": [_version_row(declaration, each) for each in versions]})
        return
    rows = []
    before: ParameterVersion | None = None
    for version in versions:
        shown = _shown(declaration, version)
        if diff:
            shown = _changed(declaration, before, version)
        when = version.changed_at.strftime("%Y-%m-%d %H:%M:%S") if version.changed_at else ""
        rows.append((str(version.version), when, shown, version.changed_by.rsplit("/", 1)[-1]))
        before = version
    print_table(["version", "changed (UTC)", "change" if diff else "value", "by"], rows, title=name)


def _shown(declaration: Declaration, version: ParameterVersion) -> str:
    return MASK if version.sensitive else declaration.mask(version.text)


def _changed(declaration: Declaration, before: ParameterVersion | None, version: ParameterVersion) -> str:
    if before is None:
        return f"+ {_shown(declaration, version)}"
    if before.text == version.text:
        return "(same value)"
    return f"- {_shown(declaration, before)}\n+ {_shown(declaration, version)}"


def _version_row(declaration: Declaration, version: ParameterVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "value": _shown(declaration, version),
        "changed_at": version.changed_at,
        "changed_by": version.changed_by,
    }


def export(target: Target, export_format: FormatOption = "env", output: OutputOption = None) -> None:
    """Write all values as environment variables, JSON, YAML or Terraform variables.

    Sensitive values are left out; `config exec` passes them to a command.
    """
    text, hidden = export_tree(target.load(), export_format)
    if output is None:
        print_data(text)
    else:
        _write_file(output, text)
    for path in hidden:
        print_note(f"Left out, because it is sensitive: {path}")
    if target.as_json and output is not None:
        print_json({"output": str(output), "format": export_format, "left_out": hidden})


def _write_file(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigFileError(
            f"{output} cannot be written: {error.strerror}.",
            remedy="Name a file in a directory that exists and that you may write to.",
        ) from error


def execute(
    target: Target,
    command: Annotated[
        list[str], typer.Argument(help="Command and arguments, after --.", show_default=False)
    ],
    prefix: Annotated[str, typer.Option("--prefix", help="Put before each variable's name.")] = "",
) -> None:
    """Run a command with all values, sensitive ones too, in its environment.

    aws.ec2.instance_id is AWS_EC2_INSTANCE_ID; mappings are taken apart, lists are JSON.
    """
    variables = environment_variables(target.load(), include_sensitive=True, prefix=prefix)
    # In UTF-8, which is what the files and Parameter Store have, also where this terminal has another encoding.
    environ = os.environb | {name.encode(): value.encode() for name, value in variables.items()}
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606  # running it is the purpose
    except OSError as error:
        failure = ConfigFileError(
            f"{command[0]} cannot be run: {error.strerror}.", remedy="Check the command after `--`."
        )
        print_error(failure, as_json=target.as_json)
        raise typer.Exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN) from error
    except ValueError as error:
        raise ConfigFileError(
            f"{command[0]} cannot be run: a value has a null character, which no variable can hold.",
            remedy="Take it out of the value.",
        ) from error


def schema(
    target: Target,
    build: Annotated[bool, typer.Option("--build", help="That of build_config.yml instead.")] = False,
) -> None:
    """Print the JSON Schema of configuration files, for editors."""
    del target
    print_json_schema(build_config_json_schema() if build else config_json_schema())
