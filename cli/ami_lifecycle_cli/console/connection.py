"""Shared by commands that call AWS: options, connection, errors; and what is specific to `config` commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints
from urllib.parse import urlsplit

import typer

from ami_lifecycle_cli.console.arguments import CommandWithArguments
from ami_lifecycle_cli.console.environment_argument import both_ways
from ami_lifecycle_cli.console.output import errors_told
from parameter_config import Config, load_config
from parameter_config.aws_errors import translated
from parameter_config.clients import make_client

ENVIRONMENT_VARIABLE: Final = "AMI_LIFECYCLE_ENVIRONMENT"
ConfigDirOption = Annotated[
    Path, typer.Option("--config-dir", help="Directory of the <name>_config.yml files.", show_default=True)
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option("--environment", "-e", envvar=ENVIRONMENT_VARIABLE, help="Fills {environment}."),
]
ApplicationOption = Annotated[str | None, typer.Option("--application", help="Fills {application}.")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="AWS profile.")]
RegionOption = Annotated[str | None, typer.Option("--region", help="AWS Region.")]


def _check_endpoint_url(url: str | None) -> str | None:
    """Refuse an invalid URL before any call: botocore's error does not name the option."""
    if url is None or _is_address(url):
        return url
    raise typer.BadParameter(
        f"{url} is no address. Write it with scheme and host, such as http://localhost:4566."
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its check
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint-url", callback=_check_endpoint_url, help="AWS endpoint, for an emulator."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass
class Connection:
    """The account that a command works on, and how it prints."""

    profile: ProfileOption = None
    region: RegionOption = None
    endpoint_url: EndpointOption = None
    as_json: JsonOption = False
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def client(self, service: str) -> Any:
        """A boto3 client of a service, made once."""
        if service not in self._clients:
            with translated(service, "AWS"):
                self._clients[service] = make_client(
                    service, profile=self.profile, region=self.region, endpoint_url=self.endpoint_url
                )
        return self._clients[service]


@dataclass
class Target(Connection):
    """The configuration and the account that a `config` command works on."""

    config_dir: ConfigDirOption = Path("config")
    environment: EnvironmentOption = None
    application: ApplicationOption = None

    def load(self) -> Config:
        """The configuration, connected to Parameter Store."""
        return self._load(self.client("ssm"), offline=False)

    def load_offline(self) -> Config:
        """The configuration with defaults alone."""
        return self._load(None, offline=True)

    def _load(self, ssm_client: Any, *, offline: bool) -> Config:
        return load_config(self.config_dir, ssm_client, self.environment, self.application, offline=offline)


def register(
    app: typer.Typer, name: str, target_type: type[Any] = Target, **settings: Any
) -> Callable[[Callable[..., None]], None]:
    """Make a function a command of `app`.

    The function's first parameter is a `target_type`, a `Connection`; the command gets its options after
    the function's own. An error of this service is printed with its hint, and ends the command with exit
    code 1.
    """

    def decorate(function: Callable[..., None]) -> None:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = _shared_options(target_type)
        own, name_environment = both_ways(own, shared)

        def run(context: typer.Context, **arguments: Any) -> None:
            name_environment(context, arguments)
            target = target_type(**{option.name: arguments.pop(option.name) for option in shared})
            with errors_told(as_json=target.as_json):
                function(target, **arguments)

        run.__doc__ = function.__doc__
        context = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what inspect and Typer read
            [context, *sorted([*own, *shared], key=lambda parameter: parameter.kind)]
        )
        app.command(name, cls=CommandWithArguments, **settings)(run)

    return decorate


def _shared_options(target_type: type[Any]) -> list[inspect.Parameter]:
    annotations = get_type_hints(target_type, include_extras=True)
    return [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=annotations[option.name],
        )
        for option in fields(target_type)
        if option.init
    ]
