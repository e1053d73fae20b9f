"""The `ami-lifecycle` command. Each command is a module that is imported when it is used."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
import typer.core

from ami_lifecycle_cli.console.output import FAILED, print_error_json, print_note
from ami_lifecycle_cli.streams import prepare_streams

# Name of the command and of its module in `commands` (which has an `app`), and its line in the help.
COMMANDS: Final[dict[str, str]] = {
    "demo": "The whole life of an environment on the embedded emulator.",
    "emulator": "Emulated AWS on this machine, with this stack deployed.",
    "config": "Configuration: what the files declare, and what Parameter Store holds.",
    "status": "What is live, what runs, what waits, what is not as it should be.",
    "build": "Start a build, or say what it would do.",
    "wait": "Wait until an image is published for good; an exit code for each outcome.",
    "stop": "Stop what runs for an environment, and wait until it is cleaned up.",
    "builds": "The builds of an environment, by their ids.",
    "logs": "What a build has written, or writes now: its commands and functions.",
    "history": "The images of an environment, or its builds over time.",
    "show": "One image or one build: where it comes from, how it went, what uses it.",
    "diff": "What changed between two images.",
    "promote": "Publish in one environment what another one has tested, without a build.",
    "approvals": "What waits for approval, and what was decided.",
    "approve": "Let something be published that waits for approval.",
    "reject": "Keep something that waits for approval from being published.",
    "rollback": "Publish an earlier image again, and keep pushes from undoing it.",
    "undelete": "Publish a retired image again, from the Recycle Bin.",
    "unpin": "End a rollback: let the newest push through.",
    "retire": "Which images would go and which stay, and why.",
    "migrate": "Adopt images of an older way of building.",
    "doctor": "Check permissions, quotas, network, rules, dead letters.",
    "outputs": "What the stack tells of itself: ARNs, names, addresses.",
    "report": "One HTML page about environments, images and builds.",
}


def _show(error: typer.TyperException, *, as_json: bool) -> None:
    """Print a usage error, and how to get help."""
    context = getattr(error, "ctx", None)
    path = str(context.command_path) if context is not None else "ami-lifecycle"
    if as_json:
        print_error_json("UsageError", error.format_message(), f"see: {path} --help", error.exit_code)
        return
    if context is not None:
        print_note(f"{context.get_usage()}\nTry '{path} {context.help_option_names[0]}' for help.\n")
    print_note(f"Error: {error.format_message()}")


class _LazyCommands(typer.core.TyperGroup):
    """A group of commands that are imported when they are run."""

    _listing = False

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command. Wrong use is told in a frame to a terminal, in lines to a pipe, as JSON with --json."""
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        as_json = "--json" in options
        extra |= {"complete_var": complete_var, "windows_expand_args": windows_expand_args}
        if not standalone_mode or (sys.stderr.isatty() and not as_json):
            return super().main(args, prog_name, standalone_mode=standalone_mode, **extra)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except typer.TyperException as error:
            _show(error, as_json=as_json)
            sys.exit(error.exit_code)
        except typer.Abort:
            if as_json:
                print_error_json(
                    "Aborted", "a question was not answered with yes", "confirm with --yes", FAILED
                )
            else:
                print_note("Aborted.")
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, _context: Any) -> list[str]:
        """The commands in the order in which the help shows them."""
        return list(COMMANDS)

    def get_command(self, _context: Any, name: str) -> Any:
        """A command, or None for an unknown name."""
        if name not in COMMANDS:
            return None
        if self._listing:
            return typer.core.TyperCommand(name, help=COMMANDS[name])
        module = importlib.import_module(f"ami_lifecycle_cli.commands.{name}")
        command = typer.main.get_command(module.app)
        command.name = name
        return command

    def format_help(self, context: Any, formatter: Any) -> None:
        """Write the help without importing the commands."""
        self._listing = True
        try:
            super().format_help(context, formatter)
        finally:
            self._listing = False


app = typer.Typer(
    cls=_LazyCommands,
    name="ami-lifecycle",
    help="A Docker image pushed to ECR becomes a tested, published AMI: one per environment.",
    no_args_is_help=True,
    add_completion=True,
    # Passed to every command.
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"ami-lifecycle {importlib.metadata.version('ami-lifecycle')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the console script `ami-lifecycle`."""
    prepare_streams()
    app()
