"""`config validate` and `config diff`. Read-only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ami_lifecycle.settings_validation import validate_environment, validate_settings
from ami_lifecycle_cli.console.connection import Target
from ami_lifecycle_cli.console.output import print_json, print_line, print_table
from parameter_config.drift import Drift, find_drift
from parameter_config.validation import Finding, validate_files, validate_resources, validate_values


def validate(
    target: Target,
    offline: Annotated[bool, typer.Option("--offline", help="Check the files alone; needs no AWS.")] = False,
) -> None:
    """Check the files, every setting, the stored values, and whether the resources that they name exist.

    Without --environment, for every environment.
    """
    findings = validate_files(target.config_dir)
    if not any(finding.level == "error" for finding in findings):
        findings += _validate_contents(target, offline=offline)
    if target.as_json:
        print_json({"findings": [_finding_row(finding) for finding in findings]})
    else:
        _print_findings(findings, offline=offline)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def _validate_contents(target: Target, *, offline: bool) -> list[Finding]:
    findings = validate_environment(target.load_offline(), target.environment)
    if findings:
        return findings
    findings = validate_settings(target.load_offline())
    if offline:
        return findings
    config = target.load()
    if not findings:
        findings = validate_settings(config)
    return [*findings, *validate_values(config), *validate_resources(config, target.client)]


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "level": finding.level,
        "path": finding.path,
        "message": finding.message,
        "remedy": finding.remedy,
        "location": str(finding.location) if finding.location else None,
    }


def _print_findings(findings: list[Finding], *, offline: bool) -> None:
    for finding in findings:
        print_line(f"{finding.level}: {finding.message}")
        if finding.location:
            print_line(f"  at {finding.location}")
        if finding.remedy:
            print_line(f"  {finding.remedy}")
    if not findings:
        print_line("The files are valid." if offline else "The files and all values are valid.")


def diff(
    target: Target,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 if anything differs.")] = False,
) -> None:
    """Compare the files with Parameter Store: missing, differing from the default, invalid, orphaned."""
    found = find_drift(target.load())
    if target.as_json:
        print_json({"differences": [asdict(drift) for drift in found]})
    elif found:
        print_table(["", "parameter", "in git", "in Parameter Store"], [_drift_row(drift) for drift in found])
    else:
        print_line("Parameter Store holds what the files declare, with every default unchanged.")
    if exit_code and found:
        raise typer.Exit(1)


def _drift_row(drift: Drift) -> tuple[str, str, str, str]:
    stored = "\n".join(part for part in (drift.stored, drift.detail) if part)
    return drift.kind, drift.name, drift.default or "-", stored or "-"
