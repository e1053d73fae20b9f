"""Measure cold starts: `make bench-cold-start`.

Each run starts Lambda's runtime client on Python 3.13 with a function and the built layers, as Lambda does, and
takes the time until it asks for its first invocation: that is the init phase. A bare handler is the unit. Runs
of all functions are interleaved, so that whatever else this machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[1]
BARE: Final = "def handler(event, context):\n    return {}\n"
# What any function pays that talks to AWS through botocore and has its data checked by pydantic, whatever else
# it does: the floor under the figures.
_EC2: Final = "import botocore.session\nbotocore.session.get_session().create_client('ec2')\n"
_MODEL: Final = "import pydantic\nclass Model(pydantic.BaseModel):\n    name: str\n"
REFERENCES: Final = {
    "(botocore, EC2 client)": _EC2 + BARE,
    "(pydantic)": _MODEL + BARE,
    "(both)": _EC2 + _MODEL + BARE,
}
GOAL_WITH_EC2: Final = 5.0
GOAL_WITHOUT_EC2: Final = 2.5
_INIT_SECONDS: Final = 60
_POLL_SECONDS: Final = 1


@dataclass
class Subject:
    """A function that is started again and again."""

    name: str
    task_root: Path
    uses_ec2: bool
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of its init times, in seconds."""
        return statistics.median(self.seconds)


def init_seconds(python: Path, runtime: Path, layers: Path, subject: Subject) -> float:
    """Start the function once; seconds until it asks for work.

    Raises:
        RuntimeError: it ended, or reported an error, instead.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4)
        listener.settimeout(_POLL_SECONDS)
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": f"{subject.task_root}:{layers}:{runtime}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": subject.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "LAMBDA_TASK_ROOT": str(subject.task_root),
            # As the template sets it for every function.
            "PYDANTIC_DISABLE_PLUGINS": "1",
            "POWERTOOLS_SERVICE_NAME": "ami-lifecycle",
            "TABLE_NAME": "bench",
        }
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - the interpreter and a function of this project
            [str(python), "-m", "awslambdaric", "app.handler"],
            cwd=subject.task_root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            asked, seconds = "nothing", 0.0
            while process.poll() is None and time.perf_counter() - began < _INIT_SECONDS:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                seconds = time.perf_counter() - began
                with connection:
                    asked = connection.recv(4096).decode()
                break
        finally:
            process.kill()
            output, _ = process.communicate()
    if "/invocation/next" not in asked:
        raise RuntimeError(
            f"{subject.name} did not start: {asked.splitlines()[:1]} {output.decode()[-2000:]}"
        )
    return seconds


def subjects(scratch: Path) -> list[Subject]:
    """The bare handler first, then every function as built: its file beside its bytecode."""
    bare = scratch / "bare"
    bare.mkdir()
    (bare / "app.py").write_text(BARE)
    found = [Subject("bare", bare, uses_ec2=False)]
    for number, (name, text) in enumerate(REFERENCES.items()):
        target = scratch / f"reference{number}"
        target.mkdir()
        (target / "app.py").write_text(text)
        found.append(Subject(name, target, uses_ec2=False))
    for app in sorted(PROJECT.glob("functions/*/app.py")):
        text = app.read_text()
        uses_ec2 = '"ec2"' in text or "adapters.composition" in text
        target = scratch / app.parent.name
        target.mkdir()
        shutil.copy(app, target)
        found.append(Subject(app.parent.name, target, uses_ec2=uses_ec2))
    return found


def prepare_layers(built: Path, scratch: Path) -> Path:
    """All layers in one directory, as Lambda merges them into /opt/python."""
    target = scratch / "python"
    for name in ("DependenciesLayer", "AmiLifecycleLayer", "ParameterConfigLayer"):
        shutil.copytree(built / name / "python", target, dirs_exist_ok=True)
    return target


def measure(python: Path, runtime: Path, built: Path, runs: int) -> list[Subject]:
    """Measure all functions in turns."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        layers = prepare_layers(built, scratch)
        found = subjects(scratch)
        for number in range(runs + 1):
            # In another order each time, so that none always runs behind the same neighbour.
            for subject in random.sample(found, len(found)):
                seconds = init_seconds(python, runtime, layers, subject)
                # The first round fills the machine's file cache.
                if number:
                    subject.seconds.append(seconds)
        return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, required=True, help="CPython 3.13")
    parser.add_argument("--runtime", type=Path, required=True, help="directory with awslambdaric for it")
    parser.add_argument(
        "--built", type=Path, default=PROJECT / ".aws-sam" / "local", help="output of sam build"
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    runtime, built = arguments.runtime.resolve(), arguments.built.resolve()
    bare, *functions = measure(arguments.python, runtime, built, arguments.runs)
    rows = [
        {
            "function": each.name,
            "median_ms": round(each.median * 1000, 1),
            "ratio": round(each.median / bare.median, 2),
            "goal": None if each.name in REFERENCES else GOAL_WITH_EC2 if each.uses_ec2 else GOAL_WITHOUT_EC2,
        }
        for each in functions
    ]
    bare_ms = round(bare.median * 1000, 1)
    if arguments.json:
        print(json.dumps({"runs": arguments.runs, "bare_ms": bare_ms, "functions": rows}, indent=2))
    else:
        print(f"{'bare handler':24} {bare_ms:7.1f} ms   1.00")
        for row in rows:
            goal = f"  (goal {row['goal']})" if row["goal"] else ""
            print(f"{row['function']:24} {row['median_ms']:7.1f} ms  {row['ratio']:5.2f}{goal}")
    missed = [row for row in rows if row["goal"] and row["ratio"] > row["goal"]]
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
