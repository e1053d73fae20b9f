"""`ami-lifecycle emulator`: emulated AWS on this machine, with this project's stack deployed."""

from __future__ import annotations

import json
import logging
import secrets
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import yaml

from ami_lifecycle.errors import InputError
from ami_lifecycle_cli.console.output import errors_told, print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import EnvironmentArgument, OperatorTarget, command
from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_cli.stack.deployment import Stack

if TYPE_CHECKING:
    from ami_lifecycle_testbed.emulator import Emulator

app = typer.Typer(
    name="emulator",
    help="Emulated AWS on this machine, with this stack deployed.",
    no_args_is_help=True,
    add_completion=False,
)
_TEMPLATE: Final = "template.yaml"
# The template's default.
_APPLICATION: Final = "comfyui"


class NotAnEmulatorError(InputError):
    """A command for emulated accounts was given another endpoint."""


class PackageMissingError(InputError):
    """A package of the extra `emulator` is not installed."""


class CheckoutNotFoundError(InputError):
    """The command needs the project's files, and they are not here."""


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
        typer.Option(
            help="JSON file of faults to inject; docs/dev/reliability.md lists them.", dir_okay=False
        ),
    ] = None,
    application: Annotated[
        str | None, typer.Option(help="Application's name.  [default: that of build_config.yml]")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="ECR repository.  [default: that of aws_config.yml]")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What goes to stderr.")] = LogLevel.WARNING,
    as_json: Annotated[
        bool, typer.Option("--json", help="Errors as JSON, and no lines to copy on standard error.")
    ] = False,
) -> None:
    """Start the emulator; prints one JSON line when it is ready, then serves until it is stopped.

    What a shell needs to use it is printed to stderr, as lines to copy.
    """
    with errors_told(as_json=as_json):
        project = find_project()
        settings: dict[str, Any] = {
            "port": port,
            "time_scale": time_scale,
            "durations": durations,
            "faults": faults,
            "seed": seed,
            "config_dir": config_dir,
            "function_endpoint_url": function_endpoint_url,
            "builder": builder.value,
            "log_level": log_level.value,
            **names_of(config_dir or project / "config", application, repository),
        }
        _serve(project, settings, with_exports=not as_json)


def _serve(project: Path, settings: Mapping[str, Any], *, with_exports: bool) -> None:
    """Serve until the process is told to stop."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with emulated_account(project, **settings) as emulator:
        print_json(emulator.ready, in_one_line=True)
        if with_exports:
            print_note(exports(emulator.ready))
        stop.wait()


@contextmanager
def emulated_account(project: Path, **settings: Any) -> Iterator[Emulator]:
    """The account of `demo.emulated_account.started`, until the block ends.

    Raises:
        PackageMissingError: what it needs is not installed.
        EmulatorNotStartedError: see there.
    """
    with _needs_extra():
        # Commands that start no emulator need neither the time nor the packages.
        from ami_lifecycle_cli.demo.emulated_account import started  # noqa: PLC0415 - moto is slow to import

        with started(project, **settings) as emulator:
            yield emulator


@command(app, "push")
def push(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    tag: Annotated[
        str | None, typer.Option("--tag", help="Tag to push.  [default: the environment's own]")
    ] = None,
    commit: Annotated[
        str | None, typer.Option("--commit", help="Its label ami-lifecycle.commit.  [default: a new one]")
    ] = None,
    branch: Annotated[
        str, typer.Option("--branch", help="Its label ami-lifecycle.branch.", show_default=True)
    ] = "main",
) -> None:
    """Push a small Docker image to the emulator's registry, as docker push would; its build starts by itself.

    The same commit and branch are the same image. The emulator is that of AWS_ENDPOINT_URL or --endpoint-url.
    """
    stack = Stack(target)
    ecr = stack.client("ecr")
    _require_emulator(ecr.meta.endpoint_url)
    stack.require_environment(environment)
    settings = stack.catalogue.get(environment)
    name, revision = tag or settings.image_tag, commit or secrets.token_hex(20)
    digest = push_image(ecr, settings.repository, name, revision=revision, branch=branch)
    if target.as_json:
        fields = {"environment": environment, "repository": settings.repository, "tag": name}
        print_json({**fields, "image_digest": digest, "commit_sha": revision, "branch": branch})
        return
    print_line(f"Pushed {settings.repository}:{name}, commit {revision[:7]}, {digest}")
    if tag in {None, settings.image_tag}:
        print_note(f"Its build starts by itself; wait for it: ami-lifecycle wait {environment}")


def _require_emulator(url: str) -> None:
    """Refuse to push a generated image to a real registry.

    Raises:
        NotAnEmulatorError: no emulator answers there.
    """
    try:
        with urllib.request.urlopen(f"{url}/_emulator/health", timeout=10) as answer:  # noqa: S310 - boto3's own endpoint
            found = json.load(answer)
    except (OSError, ValueError):
        found = None
    if found != {"status": "ok"}:
        raise NotAnEmulatorError(
            f"{url} is no emulator, and a made-up image belongs nowhere else",
            hint="Start one with `ami-lifecycle emulator start`, and set AWS_ENDPOINT_URL as it says, or give "
            "--endpoint-url",
        )


@contextmanager
def _needs_extra() -> Iterator[None]:
    """Raise `PackageMissingError`, which says how to install it, where a dependency of the emulator is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("ami_lifecycle", "aws_emulator")):
            raise
        raise PackageMissingError(
            f"the emulator needs the package {error.name}, which is not installed",
            hint="install the command with its extra `emulator`: pip install '.[emulator]' in a checkout",
        ) from error


def names_of(config_dir: Path, application: str | None, repository: str | None) -> dict[str, Any]:
    """Application and repository, so that stack, configuration and registry agree about them."""
    application = application or _written(config_dir / "build_config.yml", "application") or _APPLICATION
    repository = (
        repository or _written(config_dir / "aws_config.yml", "ecr", "repository", "default") or application
    )
    given = {"ApplicationName": application, "RepositoryName": repository}
    return {
        "repository": repository,
        "parameters": {key: value for key, value in given.items() if value != _APPLICATION},
    }


def _written(path: Path, *keys: str) -> str | None:
    """A name in a configuration file; None where the file or the name is missing or unreadable."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        # The functions name what is wrong with the file when they read it.
        return None
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def exports(ready: Mapping[str, Any]) -> str:
    """Lines for another shell."""
    values = {
        "AWS_ENDPOINT_URL": ready["endpoint_url"],
        "AWS_REGION": ready["region"],
        "AWS_DEFAULT_REGION": ready["region"],
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
    }
    lines = (f"export {name}={value}" for name, value in values.items())
    return "\n".join(("Ready. In another shell:", *lines, "Ctrl-C stops it."))


def find_project() -> Path:
    """The directory of the template: the current one, else the checkout that this package comes from.

    Raises:
        CheckoutNotFoundError: there is none.
    """
    candidates = (Path.cwd(), *Path(__file__).resolve().parents)
    project = next((each for each in candidates if (each / _TEMPLATE).is_file()), None)
    if project is None:
        raise CheckoutNotFoundError(
            f"there is no {_TEMPLATE} here", hint="run the command in a checkout of the project"
        )
    return project
