"""Where a reader types: a copy of the repository, a shell that remembers, and a few commands that are played."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PLAYED: Final = Path(__file__).parent / "played"
_BIN: Final = Path(sys.executable).parent
_LEFT_OUT: Final = shutil.ignore_patterns(
    ".git",
    ".venv*",
    ".aws-sam",
    "build",
    "node_modules",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)
# A reader who is asked says yes.
_ANSWERS: Final = b"y\n" * 20
_SECONDS: Final = 150
# The last line of what serves: all that it says to export stands before it.
_READY: Final = "Ctrl-C stops it."
# What bash sets itself, or what ends with the block.
_OWN: Final = (
    "^declare -[a-zA-Z]*r|^declare -[-a-zA-Z]* (BASH|OLDPWD|PPID|EUID|UID|SHELLOPTS|FUNCNAME|PIPESTATUS|_=)"
)


@dataclass(frozen=True)
class Done:
    """How a block ended."""

    exit_code: int
    output: str
    notes: str


@dataclass
class Room:
    """A directory of its own, in which blocks are typed one after the other."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    _serving: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def checkout(self) -> Path:
        """The copy of the repository."""
        return self.directory / "checkout"

    def furnish(self, root: Path) -> None:
        """Copy the repository as a clone has it, with the environments that `make install` and `make build` make."""
        shutil.copytree(root, self.checkout, ignore=_LEFT_OUT, symlinks=True)
        (self.checkout / ".venv").symlink_to(_BIN.parent)
        (self.checkout / ".venv-build" / "bin").mkdir(parents=True)
        shutil.copy(PLAYED / "sam", self.checkout / ".venv-build" / "bin" / "sam")

    def type(self, text: str) -> Done:
        """Type a block; it must end. The first command that fails ends it."""
        output, notes = self.directory / "stdout", self.directory / "stderr"
        answers, terminal = pty.openpty()
        try:
            os.write(answers, _ANSWERS)
            with output.open("wb") as out, notes.open("wb") as err:
                process = self._begin(text, terminal, out.fileno(), err.fileno())
                try:
                    code = process.wait(_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    code = -1
        finally:
            os.close(answers)
            os.close(terminal)
        return Done(code, output.read_text(errors="replace"), notes.read_text(errors="replace"))

    def serve(self, text: str) -> Done:
        """Type a block whose last command serves until it is interrupted; returns when it is ready."""
        output, notes = self.directory / "served", self.directory / "served-notes"
        with output.open("wb") as out, notes.open("wb") as err:
            process = self._begin(text, subprocess.DEVNULL, out.fileno(), err.fileno())
        self._serving.append(process)
        end = time.monotonic() + _SECONDS
        while process.poll() is None and _READY not in notes.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        code = 0 if process.poll() is None and _READY in notes.read_text() else process.poll() or -1
        return Done(code, output.read_text(), notes.read_text())

    def close(self) -> None:
        """End what serves."""
        for process in self._serving:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _begin(self, text: str, stdin: int, out: int, err: int) -> subprocess.Popen[bytes]:
        state = self.directory / "state.sh"
        state.touch()
        script = "\n".join(
            (
                f". {state} 2>/dev/null",
                'cd "$PWD"',
                f"trap 'code=$?; {{ declare -p | grep -vE \"{_OWN}\"; declare -f; }} > {state}; exit $code' EXIT",
                "set -e",
                text,
            )
        )
        environment = {
            "PATH": f"{PLAYED}:{_BIN}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            **self.variables,
        }
        return subprocess.Popen(  # noqa: S603 - the product's own documentation
            ["/bin/bash", "-c", script],
            cwd=self.checkout,
            stdin=stdin,
            stdout=out,
            stderr=err,
            env=environment,
            start_new_session=True,
        )


def exported(text: str) -> dict[str, str]:
    """The variables of lines like `export NAME=value`."""
    return dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
