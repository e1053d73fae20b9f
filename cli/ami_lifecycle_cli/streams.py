"""Standard output and standard error, whatever their encoding is."""

from __future__ import annotations

import io
import sys


def prepare_streams() -> None:
    """Have text for people never fail: what a terminal or a pipe of another encoding lacks is written as \\xe9."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
