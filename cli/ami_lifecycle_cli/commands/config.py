"""`ami-lifecycle config`: what the files declare, and what Parameter Store holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import typer

from ami_lifecycle_cli.commands import config_check, config_read, config_write
from ami_lifecycle_cli.console.connection import register

app = typer.Typer(
    name="config",
    help="Configuration: YAML in git says what exists, SSM Parameter Store holds the values.",
    no_args_is_help=True,
    add_completion=False,
)

_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "init": config_write.init,
    "show": config_read.show,
    "validate": config_check.validate,
    "diff": config_check.diff,
    "set": config_write.set_value,
    "history": config_read.history,
    "rollback": config_write.rollback,
    "export": config_read.export,
    "import": config_write.import_values,
    "copy": config_write.copy_values,
    "exec": config_read.execute,
    "prune": config_write.prune,
    "schema": config_read.schema,
}
for _name, _command in _COMMANDS.items():
    register(app, _name)(_command)
