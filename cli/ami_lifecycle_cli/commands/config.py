"""`ami-lifecycle config`: what the files declare, and what Parameter Store holds."""

from __future__ import annotations

import typer

from ami_lifecycle_cli.commands import config_check, config_read, config_write
from ami_lifecycle_cli.console.connection import register

app = typer.Typer(
    name="config",
    help="Configuration: YAML in git says what exists, SSM Parameter Store holds the values.",
    no_args_is_help=True,
    add_completion=False,
)

register(app, "init")(config_write.init)
register(app, "show")(config_read.show)
register(app, "validate")(config_check.validate)
register(app, "diff")(config_check.diff)
register(app, "set")(config_write.set_value)
register(app, "history")(config_read.history)
register(app, "rollback")(config_write.rollback)
register(app, "export")(config_read.export)
register(app, "import")(config_write.import_values)
register(app, "copy")(config_write.copy_values)
register(app, "exec")(config_read.execute)
register(app, "prune")(config_write.prune)
register(app, "schema")(config_read.schema)
