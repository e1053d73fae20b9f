"""`config init`, `set`, `rollback`, `import` and `prune`: they write to Parameter Store."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ami_lifecycle_cli.commands.config_read import PathArgument
from ami_lifecycle_cli.console.connection import Target
from ami_lifecycle_cli.console.output import ask, print_error, print_json, print_line, print_note, print_table
from parameter_config import Config, ConfigError
from parameter_config.changes import (
    PlannedChange,
    apply_change,
    declaration_at,
    plan_import,
    plan_rollback,
    plan_set,
)
from parameter_config.copies import plan_copy
from parameter_config.drift import PruneOutcome, apply_prune, plan_prune
from parameter_config.errors import (
    OF_ONE_PARAMETER,
    ConfigFileError,
    ConfigRefusedError,
    InvalidDeclarationError,
)
from parameter_config.export_formats import ExportFormat, import_tree, unknown_in_import
from parameter_config.initialisation import InitOutcome, PlannedParameter, apply_init, plan_init
from parameter_config.sensitive import MASK

_WRITES: Final = frozenset({"create", "adopt", "update"})
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and write nothing.")]
AdoptOption = Annotated[
    bool, typer.Option("--adopt", help="Tag existing parameters without our tags as ours, too.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ValueArgument = Annotated[
    str | None,
    typer.Argument(
        help="Text to store; lists with commas, JSON as JSON; behind -- where it begins with a dash.",
        show_default=False,
    ),
]
ImportFormatOption = Annotated[ExportFormat, typer.Option("--format", "-f", help="Format of the file.")]


def init(target: Target, dry_run: DryRunOption = False, adopt: AdoptOption = False) -> None:
    """Create every declared parameter that has a default. Existing values are left alone.

    Without --environment, for every environment. Can be broken off and run again at any time.
    """
    config = target.load()
    plan = plan_init(config, adopt=adopt)
    if dry_run:
        _print_plan(plan, as_json=target.as_json)
        return
    outcome = _apply_with_progress(config, plan)
    if target.as_json:
        print_json(_outcome_row(outcome))
    else:
        _print_outcome(outcome)
    if outcome.failed:
        raise typer.Exit(1)


def _print_plan(plan: list[PlannedParameter], *, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, "plan": [_plan_row(planned) for planned in plan]})
        return
    rows = [(planned.action, planned.name, planned.text or planned.reason) for planned in plan]
    print_table(["action", "parameter", "value"], rows)
    _print_set_by_hand([planned for planned in plan if planned.action == "set by hand"])
    counts: Counter[str] = Counter(planned.action for planned in plan)
    print_line(f"Dry run, nothing written: {_counted(counts)}.")


def _plan_row(planned: PlannedParameter) -> dict[str, Any]:
    return {
        "action": planned.action,
        "name": planned.name,
        "path": planned.path,
        "environment": planned.environment,
        "value": planned.text,
        "reason": planned.reason,
        "command": planned.command,
    }


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} to {action}" for action, count in counts.items()) or "nothing is declared"


def _apply_with_progress(config: Config, plan: list[PlannedParameter]) -> InitOutcome:
    writes = [planned for planned in plan if planned.action in _WRITES]
    done = 0
    columns = (TextColumn("Parameters"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("init", total=len(writes))

        def advance(planned: PlannedParameter) -> None:
            nonlocal done
            if planned.action in _WRITES:
                done += 1
                progress.advance(task)

        try:
            return apply_init(config, plan, advance)
        except (ConfigError, KeyboardInterrupt):
            print_note(f"{done} of {len(writes)} parameters are written. Run the command again to finish.")
            raise


def _outcome_row(outcome: InitOutcome) -> dict[str, Any]:
    return {
        "created": outcome.created,
        "adopted": outcome.adopted,
        "updated": outcome.updated,
        "kept": outcome.kept,
        "left_unset": outcome.left_unset,
        "set_by_hand": [_plan_row(planned) for planned in outcome.set_by_hand],
        "failed": [{"name": name, "error": error.message} for name, error in outcome.failed],
    }


def _print_outcome(outcome: InitOutcome) -> None:
    for name in outcome.created:
        print_line(f"created  {name}")
    for name in outcome.adopted:
        print_line(f"adopted  {name}")
    for name in outcome.updated:
        print_line(f"updated  {name}")
    for name, error in outcome.failed:
        print_note(f"failed   {name}: {error.message} {error.remedy}")
    _print_set_by_hand(outcome.set_by_hand)
    print_line(
        f"{len(outcome.created)} created, {len(outcome.adopted)} adopted, "
        + (f"{len(outcome.updated)} updated, " if outcome.updated else "")
        + f"{len(outcome.kept)} left alone, "
        + (f"{len(outcome.left_unset)} optional and unset, " if outcome.left_unset else "")
        + f"{len(outcome.set_by_hand)} to be set by hand, {len(outcome.failed)} failed."
    )


def _print_set_by_hand(planned_parameters: list[PlannedParameter]) -> None:
    if planned_parameters:
        print_line("These need a value that only you know:")
    for planned in planned_parameters:
        print_line(f"  {planned.name}  {planned.declaration.schema.description}".rstrip())
        print_line(f"    {planned.command}")


def set_value(
    target: Target,
    path: PathArgument,
    value: ValueArgument = None,
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the value from standard input.")] = False,
    dry_run: DryRunOption = False,
    adopt: AdoptOption = False,
) -> None:
    """Give a declared parameter a value; it is checked against its declaration first."""
    config = target.load()
    sensitive = declaration_at(config, path).schema.sensitive
    text = _text_to_store(path, value, stdin=stdin, sensitive=sensitive)
    _make_change(target, config, plan_set(config, path, text, adopt=adopt), dry_run=dry_run)


def _text_to_store(path: str, value: str | None, *, stdin: bool, sensitive: bool) -> str:
    if value is not None and sensitive:
        raise InvalidDeclarationError(
            f"{path} is sensitive; on the command line, other users and the shell's history would see it.",
            remedy="Pass it with --stdin, or leave it out to be asked.",
        )
    if value is not None:
        return value
    if stdin:
        return _read_stdin()
    if not sys.stdin.isatty():
        raise ConfigFileError(f"No value is given for {path}.", remedy="Pass VALUE, or --stdin.")
    entered: str = typer.prompt(f"Value of {path}", hide_input=sensitive, err=True)
    return entered


def _read_stdin() -> str:
    """Standard input as UTF-8, whatever the terminal's encoding is, without the last line break."""
    try:
        return sys.stdin.buffer.read().decode().replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ConfigFileError(
            f"Standard input is not UTF-8: {error}.", remedy="Convert it, for example with iconv."
        ) from None


def rollback(
    target: Target,
    path: PathArgument,
    version: Annotated[int, typer.Option("--to", help="Version whose value is stored again.")],
    dry_run: DryRunOption = False,
    adopt: AdoptOption = False,
) -> None:
    """Store the value of an earlier version again, as a new version."""
    config = target.load()
    _make_change(target, config, plan_rollback(config, path, version, adopt=adopt), dry_run=dry_run)


def _make_change(target: Target, config: Config, change: PlannedChange, *, dry_run: bool) -> None:
    row = _change_row(change) | {"dry_run": dry_run}
    if not dry_run:
        row["version"] = apply_change(config, change)
    if target.as_json:
        print_json(row)
    else:
        print_line(_change_text(row))


def _change_row(change: PlannedChange) -> dict[str, Any]:
    before = None if change.before is None else change.before.text
    hidden = change.sensitive
    return {
        "name": change.name,
        "path": change.declaration.path,
        "changed": change.is_change,
        "before": MASK if hidden and before is not None else before,
        "after": MASK if hidden else change.after,
        "attributes": [str(attribute) for attribute in change.attributes],
        "version": None if change.before is None else change.before.version,
    }


def _change_text(row: dict[str, Any]) -> str:
    if not row["changed"]:
        return f"{row['name']} has this value already (version {row['version']})."
    done = "would change (dry run)" if row["dry_run"] else f"is now version {row['version']}"
    also = f" ({'; '.join(row['attributes'])})" if row["attributes"] else ""
    return f"{row['name']} {done}: {_before(row)} -> {row['after']}{also}"


def _before(row: dict[str, Any]) -> str:
    return "(nothing)" if row["before"] is None else str(row["before"])


def import_values(
    target: Target,
    file: Annotated[Path, typer.Argument(help="What `config export` wrote.", show_default=False)],
    export_format: ImportFormatOption = "env",
    *,
    dry_run: DryRunOption = False,
    adopt: AdoptOption = False,
    yes: YesOption = False,
) -> None:
    """Store the values of an exported file, where they differ; plain values stay as they are in git."""
    config = target.load()
    text = _read_file(file)
    changes, elsewhere = plan_import(config, import_tree(config, text, export_format), adopt=adopt)
    rows = [_change_row(change) | {"dry_run": dry_run} for change in changes]
    for path in elsewhere:
        print_note(f"Not imported, because it is a plain value in git: {path}")
    for note in unknown_in_import(config, text, export_format):
        print_note(f"Not imported, because the files have no such value: {note}")
    if changes and not dry_run and not yes:
        for row in rows:
            print_note(f"{row['name']}: {_before(row)} -> {row['after']}")
        _confirm(f"Store {_values(len(changes))}?", yes=yes)
    failed = _store_each(target, config, rows, changes, dry_run=dry_run)
    if target.as_json:
        print_json({"changes": rows})
    else:
        done = _values(len(changes) - failed)
        print_line(f"{done} {'would be stored (dry run)' if dry_run else 'stored'}.")
    if failed:
        print_note(f"{_values(failed)} could not be stored.")
        raise typer.Exit(1)


def copy_values(
    target: Target,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Values or mappings; without any, all.", show_default=False),
    ] = None,
    *,
    source: Annotated[str, typer.Option("--from", metavar="ENV", help="Environment to read.")],
    destination: Annotated[str, typer.Option("--to", metavar="ENV", help="Environment to write to.")],
    sensitive: Annotated[bool, typer.Option("--sensitive", help="Sensitive values, too.")] = False,
    dry_run: DryRunOption = False,
    adopt: AdoptOption = False,
    yes: YesOption = False,
) -> None:
    """Store the values of one environment for another, where they differ. Says what would change, and asks."""
    config = target.load()
    plan = plan_copy(config, source, destination, paths or (), include_sensitive=sensitive, adopt=adopt)
    rows = [_change_row(change) | {"dry_run": dry_run} for change in plan.changes]
    for each in plan.left_out:
        print_note(f"Not copied: {each.path}: {each.reason}")
    if rows and not dry_run and not yes:
        for row in rows:
            print_note(f"{row['name']}: {_before(row)} -> {row['after']}")
        _confirm(f"Store {_values(len(rows))} for {destination}?", yes=yes)
    own = config.for_environment(destination)
    failed = _store_each(target, own, rows, plan.changes, dry_run=dry_run)
    if target.as_json:
        left_out = [{"path": each.path, "reason": each.reason} for each in plan.left_out]
        print_json({"changes": rows, "same": plan.same, "left_out": left_out})
    else:
        done = f"{_values(len(rows) - failed)} {'would be stored (dry run)' if dry_run else 'stored'}"
        print_line(f"{done}; {len(plan.same)} the same already, {len(plan.left_out)} not copied.")
    if failed:
        print_note(f"{_values(failed)} could not be stored.")
        raise typer.Exit(1)


def _store_each(
    target: Target,
    config: Config,
    rows: list[dict[str, Any]],
    changes: Sequence[PlannedChange],
    *,
    dry_run: bool,
) -> int:
    """Make and report the changes; returns how many were refused."""
    failed = 0
    for row, change in zip(rows, changes, strict=True):
        try:
            if not dry_run:
                row["version"] = apply_change(config, change)
        except OF_ONE_PARAMETER as error:
            failed += 1
            row["error"] = error.message
            print_error(error)
            continue
        if not target.as_json:
            print_line(_change_text(row))
    return failed


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _read_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{file} cannot be read: {error}.", remedy="Name a readable file.") from error


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigRefusedError(f"{question} Nobody is there to answer.", remedy="Pass --yes.")
    ask(question)


def prune(target: Target, dry_run: DryRunOption = False, yes: YesOption = False) -> None:
    """Delete parameters under our path that carry our tags and are not declared any more."""
    config = target.load()
    names = plan_prune(config)
    if not target.as_json:
        for name in names:
            print_line(f"{'would delete' if dry_run else 'delete'}  {name}")
    outcome = PruneOutcome([], [])
    if names and not dry_run:
        _confirm(f"Delete {len(names)} parameters with their history?", yes=yes)
        outcome = apply_prune(config, names)
    for _, error in outcome.failed:
        print_error(error)
    if target.as_json:
        failed = [{"name": name, "error": error.message} for name, error in outcome.failed]
        print_json({"dry_run": dry_run, "orphans": names, "deleted": outcome.deleted, "failed": failed})
    else:
        print_line(f"{len(outcome.deleted)} deleted." if names and not dry_run else f"{len(names)} orphans.")
    if outcome.failed:
        raise typer.Exit(1)
