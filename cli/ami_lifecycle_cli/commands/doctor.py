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
from ami_lifecycle_cli.stack.findings import Check, Finding, Level, run_checks
from ami_lifecycle_cli.stack.formatting import note_console, output_console

app = typer.Typer(add_completion=False)

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("stack", account.check_deployment),
    ("configuration", account.check_configuration),
    ("builds", account.check_builds),
    ("permissions", account.check_permissions),
    ("network", network.check_network),
    ("instance types", network.check_instance_types),
    ("instance types", network.check_gpus),
    ("base", account.check_bases),
    ("hooks", account.check_hook_documents),
    ("encryption", account.check_encryption),
    ("events", account.check_rules),
    ("events", account.check_alarms),
    ("dead letters", account.check_dead_letters),
    ("quotas", account.check_images_quota),
    ("quotas", account.check_snapshots_quota),
    ("quotas", account.check_parameters_quota),
    ("quotas", quotas.check_vcpu_quotas),
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
        for finding in run_checks(stack, [*CHECKS[:2], local, *CHECKS[2:]]):
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
