"""What is broken on purpose is seen: without that, no violations would mean nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_every_promise_that_is_broken_on_purpose_is_seen_broken() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--breaks"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for promise in ("P1", "P2", "P3", "P4", "P5", "P6", "P7"):
        assert f"caught  {promise}" in done.stdout
    assert "caught  held" in done.stdout, "permissions hold P6 where the code does not"
