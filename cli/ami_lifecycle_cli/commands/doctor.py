"""`ami-lifecycle doctor`: what could keep builds from working, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from ami_lifecycle_cli.console.output import print_json, print_line
from ami_lifecycle_cli.console.stack_target import OperatorTarget, command
from ami_lifecycle_cli.stack import account_checks as account
from ami_lifecycle_cli.stack import network_checks as network
from ami_lifecycle_cli.stack import quota_checks as quotas
from ami_lifecycle_cli.stack.configuration_checks import comparison_with
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.findings import Examination, Finding, Level, examine
from ami_lifecycle_cli.stack.formatting import note_console, output_console

app = typer.Typer(add_completion=False)

EXAMINATIONS: Final[tuple[tuple[str, Examination], ...]] = (
    ("stack", account.examine_deployment),
    ("configuration", account.examine_configuration),
    ("builds", account.examine_builds),
    ("permissions", account.examine_permissions),
    ("network", network.examine_network),
    ("instance types", network.examine_instance_types),
    ("instance types", network.examine_gpus),
    ("base", account.examine_bases),
    ("encryption", account.examine_encryption),
    ("events", account.examine_rules),
    ("dead letters", account.examine_dead_letters),
    ("quotas", account.examine_images_quota),
    ("quotas", account.examine_snapshots_quota),
    ("quotas", account.examine_parameters_quota),
    ("quotas", quotas.examine_vcpu_quotas),
)
_MARKS: Final[Mapping[Level, tuple[str, str]]] = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warning", "yellow"),
    Level.ERROR: ("ERROR", "bold red"),
    Level.UNKNOWN: ("unknown", "magenta"),
}


@command(app, "doctor")
def doctor(
    target: OperatorTarget,
    *,
    config_dir: Annotated[
        Path | None,
        typer.Option(
            "--config-dir",
            help="Configuration to compare with what is deployed.  [default: config, where it is the stack's]",
        ),
    ] = None,
) -> None:
    """Examine permissions, quotas, network, instance types, encryption, event rules, dead letters.

    Ends with 1 when something is wrong that keeps builds from working.
    """
    stack = Stack(target)
    _ = stack.description
    findings: list[Finding] = []
    local = ("configuration", comparison_with(config_dir))
    with note_console().status("Examining ..."):
        for finding in examine(stack, [*EXAMINATIONS[:2], local, *EXAMINATIONS[2:]]):
            findings.append(finding)
            if not target.as_json:
                _print(finding)
    if target.as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        print_line(_summary(findings))
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    mark, style = _MARKS[finding.level]
    output_console().print(
        Text.assemble((f"{mark:<8}", style), f"{finding.area}: {finding.message}"), soft_wrap=True
    )
    if finding.remedy:
        output_console().print(Text(f"        -> {finding.remedy}"), soft_wrap=True)


def _summary(findings: list[Finding]) -> str:
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return ", ".join(f"{count} {level.value}" for level, count in counts.items() if count)
