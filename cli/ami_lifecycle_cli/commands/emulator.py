"""`ami-lifecycle emulator`: emulated AWS on this machine, with this project's stack deployed."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

app = typer.Typer(
    name="emulator",
    help="Emulated AWS on this machine, with this stack deployed.",
    no_args_is_help=True,
    add_completion=False,
)
_TEMPLATE: Final = "template.yaml"


class LogLevel(StrEnum):
    """What is written to stderr; `debug` shows the functions' output."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Builder(StrEnum):
    """How images are built; `container` runs the documents for real, and needs root on Linux."""

    SIMULATED = "simulated"
    CONTAINER = "container"


@app.callback()
def _group() -> None:
    """Emulated AWS on this machine, with this stack deployed."""


@app.command()
def start(
    *,
    port: Annotated[
        int, typer.Option(help="Port of 127.0.0.1; 0 for any free one.", min=0, max=65535)
    ] = 4566,
    time_scale: Annotated[
        float, typer.Option(help="Seconds of this machine for one emulated second; 1.0 is real time.")
    ] = 1.0,
    durations: Annotated[
        Path | None,
        typer.Option(
            help="JSON file: emulated seconds for image, provision, verify and so on.", dir_okay=False
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes what is random repeatable.")] = None,
    config_dir: Annotated[
        Path | None,
        typer.Option(help="Another configuration for the functions.", exists=True, file_okay=False),
    ] = None,
    function_endpoint_url: Annotated[
        str | None, typer.Option(help="AWS endpoint of the functions, for a proxy in between.")
    ] = None,
    builder: Annotated[
        Builder, typer.Option(help="Simulate builds, or run the documents on machines (Linux, root).")
    ] = Builder.SIMULATED,
    faults: Annotated[
        Path | None,
        typer.Option(help="JSON file of faults to inject; docs/reliability.md lists them.", dir_okay=False),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What goes to stderr.")] = LogLevel.WARNING,
) -> None:
    """Start the emulator; prints one JSON line when it is ready, then serves until it is stopped."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    from ami_lifecycle_testbed.durations import BuildDurations  # noqa: PLC0415 - moto is slow to import
    from ami_lifecycle_testbed.emulator import Emulator  # noqa: PLC0415
    from aws_emulator.cloudformation.template import TemplateError  # noqa: PLC0415
    from aws_emulator.durations import DurationsError  # noqa: PLC0415
    from aws_emulator.gateway.http_server import PortInUseError  # noqa: PLC0415
    from aws_emulator.machines.errors import ProvisioningError  # noqa: PLC0415

    try:
        emulator = Emulator(
            find_project(),
            port=port,
            time_scale=time_scale,
            durations=BuildDurations.load(durations) if durations else None,
            seed=seed,
            config_dir=config_dir,
            function_endpoint_url=function_endpoint_url,
            builder=builder.value,
            log_level=log_level.value,
        )
        with emulator:
            if faults is not None:
                emulator.faults.load(faults)
            print(json.dumps(emulator.ready), flush=True)
            stop.wait()
    except PortInUseError as error:
        _fail(str(error.strerror))
    except (TemplateError, DurationsError, ProvisioningError, ValueError) as error:
        _fail(str(error))


def find_project() -> Path:
    """The directory of the template: the current one, else the checkout that this package comes from.

    Raises:
        typer.Exit: there is none.
    """
    candidates = (Path.cwd(), *Path(__file__).resolve().parents)
    project = next((each for each in candidates if (each / _TEMPLATE).is_file()), None)
    if project is None:
        _fail(f"there is no {_TEMPLATE} here; run the command in a checkout of the project")
    return project


def _fail(message: str) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(1)
