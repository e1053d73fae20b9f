"""`ami-lifecycle config`: what the files declare, and what Parameter Store holds."""

from __future__ import annotations

import typer

from ami_lifecycle_cli.commands import config_checking, config_reading, config_writing
from ami_lifecycle_cli.console.connection import register

app = typer.Typer(
    name="config",
    help="Configuration: YAML in git says what exists, SSM Parameter Store holds the values.",
    no_args_is_help=True,
    add_completion=False,
)

register(app, "init")(config_writing.init)
register(app, "show")(config_reading.show)
register(app, "validate")(config_checking.validate)
register(app, "diff")(config_checking.diff)
register(app, "set")(config_writing.set_value)
register(app, "history")(config_reading.history)
register(app, "rollback")(config_writing.rollback)
register(app, "export")(config_reading.export)
register(app, "import")(config_writing.import_values)
register(app, "exec")(config_reading.execute)
register(app, "prune")(config_writing.prune)
register(app, "schema")(config_reading.schema)
