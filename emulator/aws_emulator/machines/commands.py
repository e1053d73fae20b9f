"""Calls of the host's tools, with readable errors."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aws_emulator.machines.errors import CommandError


def run(*command: str, timeout_seconds: float = 1800.0, cwd: Path | None = None) -> str:
    """Run a tool of the host and return what it prints.

    Raises:
        CommandError: it is not there, fails, or takes too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed tools, with paths of ours
            command, capture_output=True, text=True, check=False, timeout=timeout_seconds, cwd=cwd
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{command[0]} could not run: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise CommandError(f"{' '.join(command)} ended with status {done.returncode}: {words}")
    return done.stdout
