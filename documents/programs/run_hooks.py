"""Run the hooks of a stage, one after the other; print what happened to the one that failed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import zlib
from typing import Any

stage, run, kind = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
# Systems Manager keeps 24,000 characters of standard output, and the facts come last.
CHARACTERS, LINES = 1800, 30
progress = os.fdopen(int(sys.argv[4]), "w", encoding="utf-8")


def end_of(path: pathlib.Path) -> str:
    """The last lines of a hook's output, in characters that every log takes."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 65536))
        text = stream.read().decode("ascii", "replace")
    lines = [
        "".join(each if " " <= each <= "~" else "?" for each in line)[:240] for line in text.splitlines()
    ]
    return "\n".join(lines[-LINES:])[-CHARACTERS:]


def descendants(parent: int) -> list[int]:
    """Every process that a process has started, and that still is of it."""
    children: dict[int, list[int]] = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: list[int] = []
    known = [parent]
    while known:
        below = children.get(known.pop(), [])
        found += below
        known += below
    return found


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a hook with what it has started. It has no process group of its own, so that it ends with the document."""
    for number in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait()


try:
    hooks = json.loads(zlib.decompress(base64.b64decode(os.environ["hooks"]))).get(stage, [])
except (ValueError, zlib.error) as error:
    print(f"parameter Hooks cannot be read ({error})")
    sys.exit()
# Files of a hook are for others to read, unless it says otherwise; our own directory is for root alone.
os.umask(0o022)
given = {name: os.environ[name] for name in ("PATH", "HOME", "LC_ALL") if name in os.environ}
# needrestart(1): Ubuntu's apt calls it, and it would restart services, the agent that runs this command among them.
quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
facts = {
    name: os.environ.get(name, "") for name in ("application", "environment", "region", "mode", "run_id")
}
told = {f"AMI_LIFECYCLE_{name.upper()}": value for name, value in facts.items()}
told["AMI_LIFECYCLE_IMAGE"] = f"{os.environ['image_uri']}@{os.environ['image_digest']}"
told["AMI_LIFECYCLE_STAGE"] = stage
given |= {name: os.environ[name] for name in os.environ if name.startswith("AWS_SSM_")}


def run_step(
    hook: dict[str, Any], step: dict[str, Any], files: pathlib.Path, seconds: float
) -> tuple[str, int]:
    """How a script ended, in words and as a number."""
    files.write_text(step["script"], encoding="utf-8")
    # As the kernel reads it; /run may be mounted noexec.
    interpreter = step["script"].partition("\n")[0][2:].strip().split(None, 1)
    with files.with_suffix(".log").open("wb") as sink:
        try:
            process = subprocess.Popen(  # noqa: S603 - what the settings want run
                [*interpreter, str(files)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=step.get("directory", "/"),
                env={**given, **quiet, **hook["parameters"], **told},
            )
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            end(process)
            # A step of a document may have less than its hook.
            most = min(step["timeout_seconds"], hook["timeout_seconds"])
            return "was stopped, because it took more than its timeout_seconds:", most
        except OSError as error:
            return f"cannot be started ({error.strerror}: {error.filename or interpreter[0]}):", 127
    return ("was ended by signal", -code) if code < 0 else ("ended with exit code", code)


for number, hook in enumerate(hooks, 1):
    deadline, failed = time.monotonic() + hook["timeout_seconds"], ""
    # A document has steps, and a script is one.
    for step in hook.get("steps", [hook]):
        named = f" step {step['name']}," if "steps" in hook else ""
        what = f"hook {number} of {stage}, {hook['name']},{named}"
        files, started = run / f"hook-{stage}-{number}", time.monotonic()
        ended, code = run_step(hook, step, files, min(step["timeout_seconds"], deadline - started))
        said = end_of(files.with_suffix(".log"))
        files.unlink()
        files.with_suffix(".log").unlink()
        print(
            f"{what} {ended} {code} after {time.monotonic() - started:.0f} s",
            said,
            sep="\n",
            file=progress,
            flush=True,
        )
        if (ended, code) != ("ended with exit code", 0):
            failed = f"{what} {ended} {code}"
            break
    if failed:
        (run / f"{kind}-hook.log").write_text(f"{said}\n", encoding="utf-8")
        print(failed)
        break
