"""Settings of the environments, from `config/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ami_lifecycle.domain.alarm_settings import matches
from ami_lifecycle.domain.build_config import (
    NAME_TEMPLATE,
    TAG_TEMPLATE,
    SettingProblem,
    alarms_of,
    hook_problems,
    settings_of,
    shared_alarms,
    shared_names,
    shared_tags,
    structural_problems,
    takes_promotions,
    text_of,
    value_problems,
)
from ami_lifecycle.domain.forms import FORMS
from ami_lifecycle.domain.hooks import HOOKS_DIRECTORY
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import (
    AccessDeniedError,
    ServiceUnavailableError,
    SettingsError,
    ThrottledError,
    UnknownEnvironmentError,
)
from parameter_config import Config, ConfigError, load_config
from parameter_config import errors as configuration
from parameter_config.rate_limit import Clock


@contextmanager
def named_errors() -> Iterator[None]:
    """Translate errors of the configuration library into those that the state machine knows."""
    try:
        yield
    except configuration.ThrottledError as error:
        raise ThrottledError(str(error)) from error
    except configuration.ConfigTransientError as error:
        raise ServiceUnavailableError(str(error)) from error
    except (configuration.AccessDeniedError, configuration.CredentialsError) as error:
        # As everywhere, credentials that are missing or have expired are no fault of the settings.
        raise AccessDeniedError(str(error)) from error
    except ConfigError as error:
        raise SettingsError(str(error)) from error


class Catalogue:
    """The configured environments. Parameter Store is read only when an environment's settings are.

    Args:
        config: the configuration with the namespaces `build` and `aws`.
        application: what the stack calls the application; its permissions are for this name.

    Raises:
        SettingsError: the configuration does not make sense.
    """

    def __init__(self, config: Config, application: str | None = None) -> None:
        self._config = config
        build = config.get("build")
        _refuse("build_config.yml is not valid", structural_problems(build, application))
        self._build: Mapping[str, Any] = build
        self.application: str = build.get("application") or application or ""
        self.environments: tuple[str, ...] = tuple(build["environments"])
        shared = [
            *shared_tags(
                [name for name in self.environments if not self.takes_promotions(name)],
                self.tag_of,
                self.repository_of,
            ),
            *shared_names(self.environments, self.image_name_of),
            *shared_alarms(self.environments, self.alarms_of),
        ]
        _refuse("build_config.yml is not valid", shared)

    def get(self, environment: str) -> EnvironmentSettings:
        """The settings of one environment, with the values of Parameter Store.

        Raises:
            UnknownEnvironmentError: it is not configured.
            SettingsError: a value is wrong; the message names field, value and remedy.
        """
        if environment not in self.environments:
            raise UnknownEnvironmentError(
                f"environment {environment!r} is not configured; configured are "
                f"{', '.join(self.environments)}. Add it to config/build_config.yml and deploy, or correct the name"
            )
        values = self.values_of(environment)
        _refuse(
            f"the settings of {environment} are not valid",
            list(value_problems(self._build, environment, values)),
        )
        _refuse(
            f"the hooks of {environment} cannot be run", list(hook_problems(self._build, environment, values))
        )
        return EnvironmentSettings.model_validate(values)

    @named_errors()
    def values_of(self, environment: str) -> dict[str, Any]:
        """The values of an environment as they are written and stored, not checked."""
        own = self._config.for_environment(environment, self.application)
        values = settings_of(self._build, environment, self.application)
        values.setdefault("repository", own.get("aws.ecr.repository"))
        given = values.get("builder")
        if given is None or isinstance(given, Mapping):
            builder = dict(given or {})
            for key in ("subnet_ids", "instance_types"):
                if (value := own.get(f"aws.builder.{key}")) is not None:
                    builder[key] = value
            values["builder"] = builder
        if scripts := self._scripts_of(values.get("hooks")):
            values["hook_scripts"] = scripts
        return values

    def _scripts_of(self, hooks: Any) -> dict[str, str]:
        """The texts of the scripts that settings name, as far as they exist; nothing is checked yet."""
        stages = hooks.values() if isinstance(hooks, Mapping) else ()
        listed = [hook for stage in stages if isinstance(stage, list | tuple) for hook in stage]
        named = {str(hook.get("script")) for hook in listed if isinstance(hook, Mapping)}
        directory = self._config.resolver.documents.directory / HOOKS_DIRECTORY
        # A deployed layer has at its top what is below config/ in a checkout.
        files = {name: directory / Path(name).name for name in named if FORMS["hook_script"].accepts(name)}
        return {name: _text_of(path) for name, path in sorted(files.items()) if path.is_file()}

    def for_tag(self, repository: str, tag: str) -> str | None:
        """The environment that is built from a repository's tag, before one that would be; None when none is."""
        return next(
            (
                name
                for name in sorted(self.environments, key=self.takes_promotions)
                if self.tag_of(name) == tag and self.repository_of(name) == repository
            ),
            None,
        )

    def for_alarm(self, name: str) -> str | None:
        """The environment that an alarm is of; None when it is of none."""
        patterns = ((environment, self.alarms_of(environment)) for environment in self.environments)
        return next((each for each, alarms in patterns if alarms is not None and matches(alarms, name)), None)

    def alarms_of(self, environment: str) -> str | None:
        """The alarms that have a publication of an environment undone."""
        return alarms_of(self._build, environment, self.application)

    def takes_promotions(self, environment: str) -> bool:
        """Whether an environment publishes what is promoted to it."""
        return takes_promotions(self._build, environment)

    @named_errors()
    def repository_of(self, environment: str) -> str:
        """The repository of an environment."""
        own = (self._build["environments"][environment] or {}).get("repository")
        found = own or (self._build.get("defaults") or {}).get("repository")
        if not found:
            found = self._config.for_environment(environment, self.application).get("aws.ecr.repository")
        return str(found or "")

    def tag_of(self, environment: str) -> str:
        """The tag that an environment is built from."""
        return str(text_of(self._build, "image_tag", TAG_TEMPLATE, environment, self.application))

    def image_name_of(self, environment: str) -> str:
        """The canonical name of an environment's image."""
        return str(text_of(self._build, "image_name", NAME_TEMPLATE, environment, self.application))


def load_catalogue(
    config_dir: str, ssm_client: Any, application: str | None = None, clock: Clock | None = None
) -> Catalogue:
    """Read the configuration directory.

    Args:
        clock: the time to pace reads by; the machine's own without it.
    """
    with named_errors():
        config = load_config(
            config_dir=config_dir, ssm_client=ssm_client, application=application or None, clock=clock
        )
    return Catalogue(config, application)


def _text_of(path: Path) -> str:
    """A script. What is no UTF-8 becomes a character that none has, so that it is refused as binary."""
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode(errors="replace") + "\0"


def _refuse(what: str, problems: list[SettingProblem]) -> None:
    if problems:
        raise SettingsError(
            f"{what}: {'; '.join(map(str, problems))}; correct config/build_config.yml or the parameter, and deploy"
        )
