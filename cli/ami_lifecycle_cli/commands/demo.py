"""`ami-lifecycle demo`: the whole life of an environment on the embedded emulator."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ami_lifecycle_cli.commands.emulator import emulated_account, find_project
from ami_lifecycle_cli.console.output import errors_told, print_json
from ami_lifecycle_cli.demo.output import DemoOutput
from ami_lifecycle_cli.demo.story import AccountSummary, EmulatedTarget, Scene, Story
from ami_lifecycle_cli.stack.follower import Followed
from ami_lifecycle_cli.stack.runs import StateRun

app = typer.Typer(add_completion=False)

_NEXT: Final = """
Next:
  {command} emulator start --time-scale 0.01
      an account like this one, to try commands and SDKs on
  docs/deploy.md
      from nothing to the first image in an AWS account
  docs/adapt.md
      another application than ComfyUI"""


@app.command()
def demo(
    time_scale: Annotated[
        float, typer.Option(help="Seconds of this machine for one emulated second.")
    ] = 0.01,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; the story goes to standard error.")
    ] = False,
) -> None:
    """Show the whole life of an environment on the embedded emulator; no AWS account is needed."""
    with errors_told(as_json=as_json):
        _tell(time_scale, as_json=as_json)


def _tell(time_scale: float, *, as_json: bool) -> None:
    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    console.print("Starting an emulated AWS account and deploying to it ...", soft_wrap=True)
    output = DemoOutput(console, time_scale)
    with emulated_account(find_project(), time_scale=time_scale) as emulator:
        output.introduce(time.monotonic() - began, emulator.endpoint_url)
        target = EmulatedTarget(emulator.stack_name, emulator.region, emulator.endpoint_url)
        story = Story(target, output)
        scenes = story.live()
        summary = story.summary()
    seconds = time.monotonic() - began
    if as_json:
        print_json(_document(scenes, summary, output, seconds))
        return
    output.finish(scenes, summary)
    console.print(f"\nAll of it in {seconds:.0f} s on this machine.")
    # `make demo` runs it from an environment that the shell does not know.
    command = "ami-lifecycle" if shutil.which("ami-lifecycle") else os.path.relpath(sys.argv[0])
    console.print(_NEXT.format(command=command), soft_wrap=True)


def _document(
    scenes: list[Scene], summary: AccountSummary, output: DemoOutput, seconds: float
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "scenes": [
            {
                "title": scene.title,
                "outcome": scene.outcome,
                "latest": scene.latest,
                "executions": [_execution(execution, output) for execution in scene.executions],
            }
            for scene in scenes
        ],
        "final": summary.as_json(),
    }


def _execution(execution: Followed, output: DemoOutput) -> dict[str, Any]:
    return {
        "name": execution.run.name,
        "status": execution.run.status,
        "error": execution.run.error,
        "cause": execution.run.cause,
        "phases": {phase: round(value, 1) for phase, value in output.phases(execution).items()},
        "states": [_state(run, output) for run in execution.states],
    }


def _state(run: StateRun, output: DemoOutput) -> dict[str, Any]:
    return {"name": run.name, "seconds": round(output.seconds(run), 1)}
