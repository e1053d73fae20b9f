"""Settings of the environments, from `config/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from ami_lifecycle.config import Config, load_config
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import SettingsError, UnknownEnvironmentError

_ENVIRONMENT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KNOWN: Final = frozenset({"application", "image_name", "image_tag", "defaults", "environments"})


class Catalogue:
    """The configured environments. Parameter Store is asked only when an environment's settings are.

    Args:
        config: the configuration with the namespaces `build` and `aws`.
        application: what the stack calls the application; its permissions are for this name.

    Raises:
        SettingsError: the configuration does not make sense.
    """

    def __init__(self, config: Config, application: str | None = None) -> None:
        self._config = config
        build = config.get("build")
        if not isinstance(build, Mapping):
            raise SettingsError("config/build_config.yml is missing or empty; restore it from git")
        unknown = sorted(set(build) - _KNOWN)
        if unknown:
            raise SettingsError(
                f"build_config.yml has unknown keys {unknown}; it knows {sorted(_KNOWN)} at the top level"
            )
        self._build = build
        self.application: str = build.get("application") or application or ""
        if application and self.application != application:
            raise SettingsError(
                f"build_config.yml says application {self.application!r}, but the stack was deployed for "
                f"{application!r}; make both the same"
            )
        environments = build.get("environments")
        if not isinstance(environments, Mapping) or not environments:
            raise SettingsError(
                "build_config.yml has no environments; add at least `environments: {prod: {}}`"
            )
        for name in environments:
            if not _ENVIRONMENT_NAME.fullmatch(str(name)):
                raise SettingsError(
                    f"environments.{name} in build_config.yml is not a valid name; use lower-case letters, "
                    "digits and hyphens, at most 32, and begin with a letter"
                )
        self.environments: tuple[str, ...] = tuple(environments)
        self._defaults = _mapping("defaults", build.get("defaults"))
        self._own = {name: _mapping(f"environments.{name}", environments[name]) for name in environments}
        self._refuse_shared_tags()
        self._refuse_shared_names()

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
        own = self._config.for_environment(environment, self.application)
        values = _merged(self._defaults, self._own[environment])
        values["image_tag"] = self.tag_of(environment)
        values["image_name"] = self.image_name_of(environment)
        values.setdefault("repository", own.get("aws.ecr.repository"))
        builder = dict(_mapping(f"builder of {environment}", values.get("builder")))
        for key in ("subnet_ids", "instance_types"):
            if (value := own.get(f"aws.builder.{key}")) is not None:
                builder[key] = value
        values["builder"] = builder
        values |= {"application": self.application, "environment": environment}
        try:
            return EnvironmentSettings.model_validate(values)
        except ValidationError as error:
            raise SettingsError(
                f"the settings of {environment} are not valid: {explain(error)}; "
                "correct config/build_config.yml or the parameter, and deploy"
            ) from error

    def for_tag(self, repository: str, tag: str) -> str | None:
        """The environment that is built from a repository's tag; None when none is."""
        return next(
            (
                name
                for name in self.environments
                if self.tag_of(name) == tag and self.repository_of(name) == repository
            ),
            None,
        )

    def repository_of(self, environment: str) -> str:
        """The repository of an environment."""
        found = self._own[environment].get("repository") or self._defaults.get("repository")
        if not found:
            found = self._config.for_environment(environment, self.application).get("aws.ecr.repository")
        return str(found or "")

    def tag_of(self, environment: str) -> str:
        """The tag that an environment is built from."""
        return self._text("image_tag", "{environment}-latest", environment)

    def image_name_of(self, environment: str) -> str:
        """The canonical name of an environment's image."""
        return self._text("image_name", "{application}-multitenant-{environment}", environment)

    def _text(self, key: str, default: str, environment: str) -> str:
        """A text that an environment sets, or the defaults, or the top level, with its placeholders filled."""
        pattern = (
            self._own[environment].get(key) or self._defaults.get(key) or self._build.get(key) or default
        )
        return str(pattern).replace("{application}", self.application).replace("{environment}", environment)

    def _refuse_shared_tags(self) -> None:
        by_tag: dict[str, list[str]] = {}
        for name in self.environments:
            by_tag.setdefault(self.tag_of(name), []).append(name)
        for tag, names in by_tag.items():
            # Repositories may be in Parameter Store, which is asked only where it matters.
            repositories = [self.repository_of(name) for name in names] if len(names) > 1 else []
            for position, repository in enumerate(repositories):
                if (first := repositories.index(repository)) < position:
                    raise SettingsError(
                        f"environments {names[first]} and {names[position]} are both built from the tag {tag!r}; "
                        "give each an image_tag of its own"
                    )

    def _refuse_shared_names(self) -> None:
        owners: dict[str, str] = {}
        for name in self.environments:
            image_name = self.image_name_of(name)
            if image_name in owners:
                raise SettingsError(
                    f"the images of environments {owners[image_name]} and {name} would both be named "
                    f"{image_name!r}, and EC2 allows one image of a name; give each an image_name of its own"
                )
            owners[image_name] = name


def load_catalogue(config_dir: str, ssm_client: Any, application: str | None = None) -> Catalogue:
    """Read the configuration directory."""
    config = load_config(config_dir=config_dir, ssm_client=ssm_client, application=application or None)
    return Catalogue(config, application)


def _mapping(what: str, value: Any) -> Mapping[str, Any]:
    """The value, which must be a mapping or nothing. Raises `SettingsError` for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(
            f"{what} in build_config.yml is {value!r:.120}; write a mapping, or {{}} for the defaults"
        )
    return value


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = (
            _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
