"""`ami-lifecycle demo`: the whole life of an environment on the embedded emulator."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle_cli.commands.emulator import find_project, needs_extra
from ami_lifecycle_cli.demo.story import EmulatedTarget, Picture, Scene, Story, UnexpectedError
from ami_lifecycle_cli.demo.telling import Teller
from ami_lifecycle_cli.stack.following import Followed
from ami_lifecycle_cli.stack.runs import StateRun

app = typer.Typer(add_completion=False)

_NEXT: Final = """
Next:
  ami-lifecycle emulator start --time-scale 0.01   this account, to try commands and SDKs on it yourself
  docs/deploy.md                                   from nothing to the first image in an AWS account
  docs/adapt.md                                    another application than ComfyUI"""


@app.command()
def demo(
    time_scale: Annotated[
        float, typer.Option(help="Seconds of this machine for one emulated second.")
    ] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Show the whole life of an environment on the embedded emulator; no AWS account is needed."""
    with needs_extra():
        from ami_lifecycle_testbed.emulator import Emulator  # noqa: PLC0415 - moto is slow to import

    console = Console(quiet=as_json, highlight=False)
    began = time.monotonic()
    console.print("Starting an emulated AWS account, and deploying template.yaml to it ...")
    teller = Teller(console, time_scale)
    try:
        with Emulator(find_project(), time_scale=time_scale) as emulator:
            console.print(f"Ready after {time.monotonic() - began:.1f} s at {emulator.endpoint_url}")
            target = EmulatedTarget(emulator.stack_name, emulator.region, emulator.endpoint_url)
            story = Story(target, teller.begin, teller.state)
            scenes = story.live()
            picture = story.picture()
    except (UnexpectedError, AmiLifecycleError) as error:
        typer.echo(f"Error: the demonstration went wrong; {error}", err=True)
        raise typer.Exit(1) from error
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps(_document(scenes, picture, teller, seconds), indent=2))
        return
    teller.finish(scenes, picture)
    console.print(f"\nAll of it in {seconds:.0f} s on this machine.")
    console.print(_NEXT)


def _document(scenes: list[Scene], picture: Picture, teller: Teller, seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "scenes": [
            {
                "title": scene.title,
                "outcome": scene.outcome,
                "latest": scene.latest,
                "executions": [_execution(execution, teller) for execution in scene.executions],
            }
            for scene in scenes
        ],
        "final": picture.as_json(),
    }


def _execution(execution: Followed, teller: Teller) -> dict[str, Any]:
    return {
        "name": execution.run.name,
        "status": execution.run.status,
        "error": execution.run.error,
        "cause": execution.run.cause,
        "phases": {phase: round(value, 1) for phase, value in teller.phases(execution).items()},
        "states": [_state(run, teller) for run in execution.states],
    }


def _state(run: StateRun, teller: Teller) -> dict[str, Any]:
    return {"name": run.name, "seconds": round(teller.seconds(run), 1)}
